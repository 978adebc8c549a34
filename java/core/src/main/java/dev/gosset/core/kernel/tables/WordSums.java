package dev.gosset.core.kernel.tables;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The loops of {@link TableMatrix} over {@link WordCodes}: as {@link ByteSums}, with the same planes, sums and rules, but by
 * instructions of AVX-512 F and BW alone. VPERMI2W looks up the fields of 32 codes among 64, VPCMPW and VPBLENDMW choose among
 * the three classes of codes.
 *
 * <p>With D the fields of 32 codes c, {@code W = D ^ (c & VISIBLE)} holds the indices of three pairs: of the second pair in its
 * low bits, of the third from bit 5 and of the first from bit 10 on. The fourth's is c from bit 9 on with the fields of D;
 * its lowest bit, z of the third pair, becomes the fourth's by those of the second, bit 0 of W, and of the first, bit 10.
 */
final class WordSums {
    private static final VectorSpecies<Short> S = ShortVector.SPECIES_512;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_512;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final MemorySegment MEMORY = NativeMemory.ALL;
    private static final long POINT_FIELDS = WordCodes.FIELDS.address();
    private static final long RESIDUAL_FIELDS = POINT_FIELDS + WordCodes.RESIDUAL_FIELDS;

    /** As {@link ByteSums}: what no address has. */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    // Masks for both halves of an int.
    private static final int VISIBLE = 0x10001 * WordCodes.VISIBLE;
    private static final int FOURTH = 0x10001 * WordCodes.FOURTH;
    private static final int DIRECT = 0x10001 * WordCodes.DIRECT;
    private static final int Z = 0x10001;
    private static final int UPPER = 0xff00ff00;

    /** The least word of the class of fives, unsigned. */
    private static final short FIVES = (short) 0xc000;

    private WordSums() {}

    /** As {@link ByteSums#sumPoints}: per group of columns, 512 weights, six VPERMI2W look up fields, six VPERMW and two VPERMI2W products. */
    static void sumPoints(long at, int unit, int region, long tables, int groups, long sums) {
        long kept = CodeRegions.top(region) | (1L << unit) - 1;
        long middle = CodeRegions.middle(unit, region);
        long lowest = 3L << unit;
        int up = CodeRegions.up(unit, region);
        ShortVector a0 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS, ORDER);
        ShortVector a1 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 64, ORDER);
        ShortVector b0 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 128, ORDER);
        ShortVector b1 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 192, ORDER);
        ShortVector c0 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 256, ORDER);
        ShortVector c1 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 320, ORDER);
        IntVector u = IntVector.fromMemorySegment(I, MEMORY, sums, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, MEMORY, sums + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, MEMORY, sums + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, MEMORY, sums + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long b = at + ((long) g << unit);
            long p = (b & kept | (b & lowest) << up | (b & middle) >>> 2) & ADDRESS;
            long q = tables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            ShortVector x0 = ShortVector.fromMemorySegment(S, MEMORY, q, ORDER);
            ShortVector y0 = ShortVector.fromMemorySegment(S, MEMORY, q + 64, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, MEMORY, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, MEMORY, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, MEMORY, q + 256, ORDER);
            IntVector code = IntVector.fromMemorySegment(I, MEMORY, p, ORDER);
            ShortVector word = code.reinterpretAsShorts();
            ShortVector row = code.lanewise(VectorOperators.LSHR, 2).reinterpretAsShorts();
            IntVector fields = row.selectFrom(a0, a1)
                    .blend(row.selectFrom(b0, b1), word.compare(VectorOperators.LT, (short) 0))
                    .blend(row.selectFrom(c0, c1), word.compare(VectorOperators.UGE, FIVES))
                    .reinterpretAsInts();
            IntVector second = code.and(VISIBLE).lanewise(VectorOperators.XOR, fields);
            IntVector third = second.lanewise(VectorOperators.LSHR, 5);
            IntVector first = second.lanewise(VectorOperators.LSHR, 10);
            IntVector parity = second.lanewise(VectorOperators.XOR, first).and(Z);
            ShortVector fourth = code.lanewise(VectorOperators.BITWISE_BLEND, fields, FOURTH)
                    .lanewise(VectorOperators.LSHR, 9)
                    .reinterpretAsShorts()
                    .lanewise(VectorOperators.XOR, parity.reinterpretAsShorts());
            IntVector sum = first.reinterpretAsShorts()
                    .selectFrom(x0, y0)
                    .add(second.reinterpretAsShorts().selectFrom(x1))
                    .add(third.reinterpretAsShorts().selectFrom(x2).add(fourth.selectFrom(x3)))
                    .reinterpretAsInts();
            u = u.add(sum);
            upperU = upperU.add(sum.lanewise(VectorOperators.LSHR, 16));
            IntVector code2 = IntVector.fromMemorySegment(I, MEMORY, p + 64, ORDER);
            ShortVector word2 = code2.reinterpretAsShorts();
            ShortVector row2 = code2.lanewise(VectorOperators.LSHR, 2).reinterpretAsShorts();
            IntVector fields2 = row2.selectFrom(a0, a1)
                    .blend(row2.selectFrom(b0, b1), word2.compare(VectorOperators.LT, (short) 0))
                    .blend(row2.selectFrom(c0, c1), word2.compare(VectorOperators.UGE, FIVES))
                    .reinterpretAsInts();
            IntVector second2 = code2.and(VISIBLE).lanewise(VectorOperators.XOR, fields2);
            IntVector third2 = second2.lanewise(VectorOperators.LSHR, 5);
            IntVector first2 = second2.lanewise(VectorOperators.LSHR, 10);
            IntVector parity2 = second2.lanewise(VectorOperators.XOR, first2).and(Z);
            ShortVector fourth2 = code2.lanewise(VectorOperators.BITWISE_BLEND, fields2, FOURTH)
                    .lanewise(VectorOperators.LSHR, 9)
                    .reinterpretAsShorts()
                    .lanewise(VectorOperators.XOR, parity2.reinterpretAsShorts());
            IntVector sum2 = first2.reinterpretAsShorts()
                    .selectFrom(x0, y0)
                    .add(second2.reinterpretAsShorts().selectFrom(x1))
                    .add(third2.reinterpretAsShorts().selectFrom(x2).add(fourth2.selectFrom(x3)))
                    .reinterpretAsInts();
            v = v.add(sum2);
            upperV = upperV.add(sum2.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 64, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
    }

    /** As {@link #sumPoints} for residual codes of 8 bits, one run of them. */
    static void sumResiduals(long at, int region, long tables, int groups, long sums) {
        long kept = CodeRegions.top(region) | (1L << TableLookups.UNIT) - 1;
        long middle = CodeRegions.middle(TableLookups.UNIT, region);
        int up = CodeRegions.up(TableLookups.UNIT, region);
        ShortVector a0 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS, ORDER);
        ShortVector a1 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 64, ORDER);
        ShortVector b0 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 128, ORDER);
        ShortVector b1 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 192, ORDER);
        ShortVector c0 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 256, ORDER);
        ShortVector c1 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 320, ORDER);
        IntVector u = IntVector.fromMemorySegment(I, MEMORY, sums, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, MEMORY, sums + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, MEMORY, sums + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, MEMORY, sums + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long b = at + 2L * TableLookups.BLOCK * g;
            long p = (b & kept | (b & 3L << TableLookups.UNIT) << up | (b & middle) >>> 2) & ADDRESS;
            long q = tables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            ShortVector x0 = ShortVector.fromMemorySegment(S, MEMORY, q, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, MEMORY, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, MEMORY, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, MEMORY, q + 256, ORDER);
            IntVector codes = IntVector.fromMemorySegment(I, MEMORY, p, ORDER);
            IntVector code = codes;
            ShortVector word = codes.lanewise(VectorOperators.LSHL, 8).reinterpretAsShorts();
            ShortVector row = code.reinterpretAsShorts();
            IntVector first = row.selectFrom(a0, a1)
                    .blend(row.selectFrom(b0, b1), word.compare(VectorOperators.GE, (short) 0x4000))
                    .blend(row.selectFrom(c0, c1), word.compare(VectorOperators.LT, (short) 0))
                    .reinterpretAsInts()
                    .lanewise(VectorOperators.XOR, code.and(DIRECT));
            IntVector second = first.lanewise(VectorOperators.LSHR, 4);
            IntVector third = first.lanewise(VectorOperators.LSHR, 8);
            IntVector fourth = first.lanewise(VectorOperators.LSHR, 12);
            IntVector sum = first.reinterpretAsShorts()
                    .selectFrom(x0)
                    .add(second.reinterpretAsShorts().selectFrom(x1))
                    .add(third.reinterpretAsShorts()
                            .selectFrom(x2)
                            .add(fourth.reinterpretAsShorts().selectFrom(x3)))
                    .reinterpretAsInts();
            u = u.add(sum);
            upperU = upperU.add(sum.lanewise(VectorOperators.LSHR, 16));
            IntVector code2 = codes.lanewise(VectorOperators.LSHR, 8);
            ShortVector word2 = codes.reinterpretAsShorts();
            ShortVector row2 = code2.reinterpretAsShorts();
            IntVector first2 = row2.selectFrom(a0, a1)
                    .blend(row2.selectFrom(b0, b1), word2.compare(VectorOperators.GE, (short) 0x4000))
                    .blend(row2.selectFrom(c0, c1), word2.compare(VectorOperators.LT, (short) 0))
                    .reinterpretAsInts()
                    .lanewise(VectorOperators.XOR, code2.and(DIRECT));
            IntVector second2 = first2.lanewise(VectorOperators.LSHR, 4);
            IntVector third2 = first2.lanewise(VectorOperators.LSHR, 8);
            IntVector fourth2 = first2.lanewise(VectorOperators.LSHR, 12);
            IntVector sum2 = first2.reinterpretAsShorts()
                    .selectFrom(x0)
                    .add(second2.reinterpretAsShorts().selectFrom(x1))
                    .add(third2.reinterpretAsShorts()
                            .selectFrom(x2)
                            .add(fourth2.reinterpretAsShorts().selectFrom(x3)))
                    .reinterpretAsInts();
            v = v.add(sum2);
            upperV = upperV.add(sum2.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 64, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
    }

    /** The first half of {@link #sumPoints}: writes the planes. */
    static void indexPoints(long at, int unit, int region, int groups, long planes) {
        long kept = CodeRegions.top(region) | (1L << unit) - 1;
        long middle = CodeRegions.middle(unit, region);
        long lowest = 3L << unit;
        int up = CodeRegions.up(unit, region);
        ShortVector a0 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS, ORDER);
        ShortVector a1 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 64, ORDER);
        ShortVector b0 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 128, ORDER);
        ShortVector b1 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 192, ORDER);
        ShortVector c0 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 256, ORDER);
        ShortVector c1 = ShortVector.fromMemorySegment(S, MEMORY, POINT_FIELDS + 320, ORDER);
        for (int g = 0; g < groups; g++) {
            long b = at + ((long) g << unit);
            long p = (b & kept | (b & lowest) << up | (b & middle) >>> 2) & ADDRESS;
            long q = planes + (long) TableLookups.PLANE_BYTES * g & ADDRESS;
            IntVector code = IntVector.fromMemorySegment(I, MEMORY, p, ORDER);
            ShortVector word = code.reinterpretAsShorts();
            ShortVector row = code.lanewise(VectorOperators.LSHR, 2).reinterpretAsShorts();
            IntVector fields = row.selectFrom(a0, a1)
                    .blend(row.selectFrom(b0, b1), word.compare(VectorOperators.LT, (short) 0))
                    .blend(row.selectFrom(c0, c1), word.compare(VectorOperators.UGE, FIVES))
                    .reinterpretAsInts();
            IntVector second = code.and(VISIBLE).lanewise(VectorOperators.XOR, fields);
            IntVector third = second.lanewise(VectorOperators.LSHR, 5);
            IntVector first = second.lanewise(VectorOperators.LSHR, 10);
            IntVector parity = second.lanewise(VectorOperators.XOR, first).and(Z);
            ShortVector fourth = code.lanewise(VectorOperators.BITWISE_BLEND, fields, FOURTH)
                    .lanewise(VectorOperators.LSHR, 9)
                    .reinterpretAsShorts()
                    .lanewise(VectorOperators.XOR, parity.reinterpretAsShorts());
            IntVector code2 = IntVector.fromMemorySegment(I, MEMORY, p + 64, ORDER);
            ShortVector word2 = code2.reinterpretAsShorts();
            ShortVector row2 = code2.lanewise(VectorOperators.LSHR, 2).reinterpretAsShorts();
            IntVector fields2 = row2.selectFrom(a0, a1)
                    .blend(row2.selectFrom(b0, b1), word2.compare(VectorOperators.LT, (short) 0))
                    .blend(row2.selectFrom(c0, c1), word2.compare(VectorOperators.UGE, FIVES))
                    .reinterpretAsInts();
            IntVector second2 = code2.and(VISIBLE).lanewise(VectorOperators.XOR, fields2);
            IntVector third2 = second2.lanewise(VectorOperators.LSHR, 5);
            IntVector first2 = second2.lanewise(VectorOperators.LSHR, 10);
            IntVector parity2 = second2.lanewise(VectorOperators.XOR, first2).and(Z);
            ShortVector fourth2 = code2.lanewise(VectorOperators.BITWISE_BLEND, fields2, FOURTH)
                    .lanewise(VectorOperators.LSHR, 9)
                    .reinterpretAsShorts()
                    .lanewise(VectorOperators.XOR, parity2.reinterpretAsShorts());
            first.lanewise(VectorOperators.BITWISE_BLEND, first2.lanewise(VectorOperators.LSHL, 8), UPPER)
                    .intoMemorySegment(MEMORY, q, ORDER);
            second.lanewise(VectorOperators.BITWISE_BLEND, second2.lanewise(VectorOperators.LSHL, 8), UPPER)
                    .intoMemorySegment(MEMORY, q + 64, ORDER);
            third.lanewise(VectorOperators.BITWISE_BLEND, third2.lanewise(VectorOperators.LSHL, 8), UPPER)
                    .intoMemorySegment(MEMORY, q + 128, ORDER);
            fourth.reinterpretAsInts()
                    .lanewise(
                            VectorOperators.BITWISE_BLEND,
                            fourth2.reinterpretAsInts().lanewise(VectorOperators.LSHL, 8),
                            UPPER)
                    .intoMemorySegment(MEMORY, q + 192, ORDER);
        }
    }

    /** The first half of {@link #sumResiduals}, in a form that {@link TableLookups#lookUpTwo} takes. */
    static void indexResiduals(long at, int region, int groups, long planes) {
        long kept = CodeRegions.top(region) | (1L << TableLookups.UNIT) - 1;
        long middle = CodeRegions.middle(TableLookups.UNIT, region);
        int up = CodeRegions.up(TableLookups.UNIT, region);
        ShortVector a0 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS, ORDER);
        ShortVector a1 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 64, ORDER);
        ShortVector b0 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 128, ORDER);
        ShortVector b1 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 192, ORDER);
        ShortVector c0 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 256, ORDER);
        ShortVector c1 = ShortVector.fromMemorySegment(S, MEMORY, RESIDUAL_FIELDS + 320, ORDER);
        for (int g = 0; g < groups; g++) {
            long b = at + 2L * TableLookups.BLOCK * g;
            long p = (b & kept | (b & 3L << TableLookups.UNIT) << up | (b & middle) >>> 2) & ADDRESS;
            long q = planes + (long) TableLookups.PLANE_BYTES * g & ADDRESS;
            IntVector codes = IntVector.fromMemorySegment(I, MEMORY, p, ORDER);
            IntVector code = codes;
            ShortVector word = codes.lanewise(VectorOperators.LSHL, 8).reinterpretAsShorts();
            ShortVector row = code.reinterpretAsShorts();
            IntVector first = row.selectFrom(a0, a1)
                    .blend(row.selectFrom(b0, b1), word.compare(VectorOperators.GE, (short) 0x4000))
                    .blend(row.selectFrom(c0, c1), word.compare(VectorOperators.LT, (short) 0))
                    .reinterpretAsInts()
                    .lanewise(VectorOperators.XOR, code.and(DIRECT));
            IntVector second = first.lanewise(VectorOperators.LSHR, 4);
            IntVector third = first.lanewise(VectorOperators.LSHR, 8);
            IntVector fourth = first.lanewise(VectorOperators.LSHR, 12);
            IntVector code2 = codes.lanewise(VectorOperators.LSHR, 8);
            ShortVector word2 = codes.reinterpretAsShorts();
            ShortVector row2 = code2.reinterpretAsShorts();
            IntVector first2 = row2.selectFrom(a0, a1)
                    .blend(row2.selectFrom(b0, b1), word2.compare(VectorOperators.GE, (short) 0x4000))
                    .blend(row2.selectFrom(c0, c1), word2.compare(VectorOperators.LT, (short) 0))
                    .reinterpretAsInts()
                    .lanewise(VectorOperators.XOR, code2.and(DIRECT));
            IntVector second2 = first2.lanewise(VectorOperators.LSHR, 4);
            IntVector third2 = first2.lanewise(VectorOperators.LSHR, 8);
            IntVector fourth2 = first2.lanewise(VectorOperators.LSHR, 12);
            first.lanewise(VectorOperators.BITWISE_BLEND, first2.lanewise(VectorOperators.LSHL, 8), UPPER)
                    .and(0x1f1f1f1f)
                    .intoMemorySegment(MEMORY, q, ORDER);
            second.lanewise(VectorOperators.BITWISE_BLEND, second2.lanewise(VectorOperators.LSHL, 8), UPPER)
                    .intoMemorySegment(MEMORY, q + 64, ORDER);
            third.lanewise(VectorOperators.BITWISE_BLEND, third2.lanewise(VectorOperators.LSHL, 8), UPPER)
                    .intoMemorySegment(MEMORY, q + 128, ORDER);
            fourth.lanewise(VectorOperators.BITWISE_BLEND, fourth2.lanewise(VectorOperators.LSHL, 8), UPPER)
                    .intoMemorySegment(MEMORY, q + 192, ORDER);
        }
    }
}
