package dev.gosset.core.kernel.nibbles;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The loops of {@link NibbleMatrix}: from the codes of 16 rows to indices, and from indices to sums of products. Addresses
 * are those of {@link NativeMemory}, checked by the caller.
 *
 * <p><b>Planes.</b> The 16 codes of a group of columns become four vectors of 16 bytes, a byte for each row. With a the signs
 * of the coordinates and t the mask of {@link NibbleCodes}, they are a; b = a XOR t; whether the shift is -1/4 and, as 2,
 * whether the code is a mask; and 2 p plus the sign of coordinate p of a code that is none. For {@code sign (1/2 + t)} is
 * {@code (1 - 2 a) + (b - 1/2)}, a sum over the bits of two bytes, each nibble of which is one of 16: six lookups make a group.
 *
 * <p><b>Sums.</b> A lookup is two VPSHUFB (TBL on ARM), for the upper and the lower byte of a product, as in {@link
 * NibbleTables}, and bytes are summed as they are: no sum of a group leaves its byte. The bytes of four rows b0 to b3 in an
 * int are added up over groups as two shorts, which gives U, and shifted by 8, which gives V. All of it modulo 2^16: the
 * upper short of V is b3, U's is b2 + 256 b3, the lower one of V is b1 + 256 b2, U's is b0 + 256 b1. So sums of up to {@value
 * #MOST_GROUPS} groups come out exactly.
 *
 * <p>Every method that holds a vector is longer than 325 bytecodes, loops inside and calls nothing but the Vector API: then C2
 * compiles it on its own and boxes nothing. Indices and lookups are two loops because 16 registers hold the tables and
 * constants of one of them. C2 masks the index of a selectFrom to four bits itself.
 */
final class NibbleSums {
    /** Rows of a block: the bytes of a vector. */
    static final int BLOCK = 16;

    /** Bytes of a block's E8P codes for one group of columns: magnitudes and signs. */
    static final int CODE_BYTES = 2 * BLOCK;

    /** Bytes of the sums of a block: four vectors of ints, row 4 i + k is lane i of vector k. */
    static final int SUM_BYTES = 4 * BLOCK;

    /** Bytes of the planes of a block for one group of columns. */
    static final int PLANE_BYTES = 4 * BLOCK;

    /** The groups whose sums of bytes fit 16 bits. */
    static final int MOST_GROUPS = 257;

    private static final VectorSpecies<Byte> B = ByteVector.SPECIES_128;
    private static final VectorSpecies<Short> S = ShortVector.SPECIES_128;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_128;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final MemorySegment MEMORY = NativeMemory.ALL;
    private static final long TABLES = NibbleCodes.TABLES.address();

    /** What no address has: C2 then knows that address + constant lies in {@link #MEMORY}. */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private NibbleSums() {}

    /** Writes the planes of a block's E8P codes. */
    static void indexPoints(long at, int groups, long planes) {
        ByteVector lower = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.LOWER, ORDER);
        ByteVector upper = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.UPPER, ORDER);
        ByteVector first = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.FIRST, ORDER);
        ByteVector twice = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.TWICE, ORDER);
        ByteVector second = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.SECOND, ORDER);
        ByteVector parity = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.PARITY, ORDER);
        ByteVector moved = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.ALL_MOVED, ORDER);
        ByteVector movedTo = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.ALL_MOVED_TO, ORDER);
        ByteVector allButOne = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.ALL_BUT_ONE, ORDER);
        ByteVector two = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.TWO, ORDER);
        ByteVector zero = ByteVector.zero(B);
        for (int g = 0; g < groups; g++) {
            long p = at + (long) CODE_BYTES * g & ADDRESS;
            long q = planes + (long) PLANE_BYTES * g & ADDRESS;
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            ByteVector signs = ByteVector.fromMemorySegment(B, MEMORY, p + BLOCK, ORDER);
            ByteVector s = c.selectFrom(lower)
                    .add(c.reinterpretAsInts()
                            .lanewise(VectorOperators.LSHR, 4)
                            .reinterpretAsBytes()
                            .selectFrom(upper));
            VectorMask<Byte> mask = s.compare(VectorOperators.LT, (byte) 0);
            ByteVector notFirst = s.selectFrom(first);
            ByteVector t = s.reinterpretAsInts()
                    .lanewise(VectorOperators.LSHR, 3)
                    .reinterpretAsBytes()
                    .selectFrom(second)
                    .and(notFirst)
                    .blend(c.blend(moved, c.compare(VectorOperators.EQ, movedTo)), mask);
            ByteVector v = signs.lanewise(VectorOperators.XOR, t);
            ByteVector odd = v.lanewise(
                            VectorOperators.XOR,
                            v.reinterpretAsInts()
                                    .lanewise(VectorOperators.LSHR, 4)
                                    .reinterpretAsBytes())
                    .selectFrom(parity);
            ByteVector a = signs.lanewise(VectorOperators.XOR, odd);
            ByteVector b = v.lanewise(VectorOperators.XOR, odd);
            // all bits but p set, and p where coordinate p is negative: 255 then, else less
            ByteVector five = a.or(notFirst)
                    .lanewise(VectorOperators.SUSUB, allButOne)
                    .add(s.selectFrom(twice))
                    .blend(zero, mask);
            a.intoMemorySegment(MEMORY, q, ORDER);
            b.intoMemorySegment(MEMORY, q + 16, ORDER);
            odd.blend(odd.or(two), mask).intoMemorySegment(MEMORY, q + 32, ORDER);
            five.intoMemorySegment(MEMORY, q + 48, ORDER);
        }
    }

    /** Sums the products of a block's planes with one input: U and V of the upper bytes, then of the lower ones. */
    static void lookUp(long planes, long tables, int groups, long sums) {
        ShortVector u = ShortVector.zero(S);
        ShortVector v = u;
        ShortVector lowU = u;
        ShortVector lowV = u;
        for (int g = 0; g < groups; g++) {
            long p = planes + (long) PLANE_BYTES * g & ADDRESS;
            long q = tables + (long) NibbleTables.POINT_BYTES * g & ADDRESS;
            ByteVector a = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            ByteVector b = ByteVector.fromMemorySegment(B, MEMORY, p + 16, ORDER);
            ByteVector shift = ByteVector.fromMemorySegment(B, MEMORY, p + 32, ORDER);
            ByteVector five = ByteVector.fromMemorySegment(B, MEMORY, p + 48, ORDER);
            ByteVector a2 =
                    a.reinterpretAsInts().lanewise(VectorOperators.LSHR, 4).reinterpretAsBytes();
            ByteVector b2 =
                    b.reinterpretAsInts().lanewise(VectorOperators.LSHR, 4).reinterpretAsBytes();
            ByteVector high = a.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q, ORDER))
                    .add(a2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 32, ORDER)))
                    .add(b.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 64, ORDER))
                            .add(b2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 96, ORDER))))
                    .add(shift.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 128, ORDER))
                            .add(five.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 160, ORDER))));
            ByteVector low = a.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 16, ORDER))
                    .add(a2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 48, ORDER)))
                    .add(b.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 80, ORDER))
                            .add(b2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 112, ORDER))))
                    .add(shift.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 144, ORDER))
                            .add(five.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 176, ORDER))));
            u = u.add(high.reinterpretAsShorts());
            lowU = lowU.add(low.reinterpretAsShorts());
            v = v.add(high.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
            lowV = lowV.add(
                    low.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 16, ORDER);
        lowU.intoMemorySegment(MEMORY, sums + 32, ORDER);
        lowV.intoMemorySegment(MEMORY, sums + 48, ORDER);
    }

    /** {@link #lookUp} for two inputs, which share the loads, shifts and masks of the planes. */
    static void lookUpTwo(long planes, long tables, long tables2, int groups, long sums, long sums2) {
        ShortVector u = ShortVector.zero(S);
        ShortVector v = u;
        ShortVector lowU = u;
        ShortVector lowV = u;
        ShortVector u2 = u;
        ShortVector v2 = u;
        ShortVector lowU2 = u;
        ShortVector lowV2 = u;
        for (int g = 0; g < groups; g++) {
            long p = planes + (long) PLANE_BYTES * g & ADDRESS;
            long q = tables + (long) NibbleTables.POINT_BYTES * g & ADDRESS;
            long r = tables2 + (long) NibbleTables.POINT_BYTES * g & ADDRESS;
            ByteVector a = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            ByteVector b = ByteVector.fromMemorySegment(B, MEMORY, p + 16, ORDER);
            ByteVector shift = ByteVector.fromMemorySegment(B, MEMORY, p + 32, ORDER);
            ByteVector five = ByteVector.fromMemorySegment(B, MEMORY, p + 48, ORDER);
            ByteVector a2 =
                    a.reinterpretAsInts().lanewise(VectorOperators.LSHR, 4).reinterpretAsBytes();
            ByteVector b2 =
                    b.reinterpretAsInts().lanewise(VectorOperators.LSHR, 4).reinterpretAsBytes();
            ByteVector high = a.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q, ORDER))
                    .add(a2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 32, ORDER)))
                    .add(b.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 64, ORDER))
                            .add(b2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 96, ORDER))))
                    .add(shift.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 128, ORDER))
                            .add(five.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 160, ORDER))));
            ByteVector low = a.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 16, ORDER))
                    .add(a2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 48, ORDER)))
                    .add(b.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 80, ORDER))
                            .add(b2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 112, ORDER))))
                    .add(shift.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 144, ORDER))
                            .add(five.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 176, ORDER))));
            u = u.add(high.reinterpretAsShorts());
            lowU = lowU.add(low.reinterpretAsShorts());
            v = v.add(high.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
            lowV = lowV.add(
                    low.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
            ByteVector high2 = a.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r, ORDER))
                    .add(a2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 32, ORDER)))
                    .add(b.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 64, ORDER))
                            .add(b2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 96, ORDER))))
                    .add(shift.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 128, ORDER))
                            .add(five.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 160, ORDER))));
            ByteVector low2 = a.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 16, ORDER))
                    .add(a2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 48, ORDER)))
                    .add(b.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 80, ORDER))
                            .add(b2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 112, ORDER))))
                    .add(shift.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 144, ORDER))
                            .add(five.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, r + 176, ORDER))));
            u2 = u2.add(high2.reinterpretAsShorts());
            lowU2 = lowU2.add(low2.reinterpretAsShorts());
            v2 = v2.add(
                    high2.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
            lowV2 = lowV2.add(
                    low2.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 16, ORDER);
        lowU.intoMemorySegment(MEMORY, sums + 32, ORDER);
        lowV.intoMemorySegment(MEMORY, sums + 48, ORDER);
        u2.intoMemorySegment(MEMORY, sums2, ORDER);
        v2.intoMemorySegment(MEMORY, sums2 + 16, ORDER);
        lowU2.intoMemorySegment(MEMORY, sums2 + 32, ORDER);
        lowV2.intoMemorySegment(MEMORY, sums2 + 48, ORDER);
    }

    /** As {@link #lookUp} for residual codes of 8 bits, straight from the codes. */
    static void sumResiduals(long at, long tables, int groups, long sums) {
        ByteVector zeros = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.ALL_ZERO, ORDER);
        ByteVector opposite = ByteVector.fromMemorySegment(B, MEMORY, TABLES + NibbleCodes.ALL_LAST, ORDER);
        ShortVector u = ShortVector.zero(S);
        ShortVector v = u;
        ShortVector lowU = u;
        ShortVector lowV = u;
        for (int g = 0; g < groups; g++) {
            long p = at + (long) BLOCK * g & ADDRESS;
            long q = tables + (long) NibbleTables.RESIDUAL_BYTES * g & ADDRESS;
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            VectorMask<Byte> half = c.compare(VectorOperators.LT, (byte) 0);
            ByteVector c2 =
                    c.reinterpretAsInts().lanewise(VectorOperators.LSHR, 4).reinterpretAsBytes();
            ByteVector second = c.add(c2).blend(opposite, c.compare(VectorOperators.EQ, zeros));
            ByteVector fold = c.lanewise(VectorOperators.XOR, c2);
            ByteVector units = ByteVector.fromMemorySegment(B, MEMORY, q, ORDER);
            ByteVector lowUnits = ByteVector.fromMemorySegment(B, MEMORY, q + 16, ORDER);
            ByteVector high = c.selectFrom(units)
                    .add(second.selectFrom(units))
                    .blend(
                            c.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 32, ORDER))
                                    .add(c2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 64, ORDER)))
                                    .add(fold.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 96, ORDER))),
                            half);
            ByteVector low = c.selectFrom(lowUnits)
                    .add(second.selectFrom(lowUnits))
                    .blend(
                            c.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 48, ORDER))
                                    .add(c2.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 80, ORDER)))
                                    .add(fold.selectFrom(ByteVector.fromMemorySegment(B, MEMORY, q + 112, ORDER))),
                            half);
            u = u.add(high.reinterpretAsShorts());
            lowU = lowU.add(low.reinterpretAsShorts());
            v = v.add(high.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
            lowV = lowV.add(
                    low.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 16, ORDER);
        lowU.intoMemorySegment(MEMORY, sums + 32, ORDER);
        lowV.intoMemorySegment(MEMORY, sums + 48, ORDER);
    }

    /**
     * Adds the sums of bytes that {@link #lookUp} and the others have written to those of a block.
     *
     * @param from {@value #SUM_BYTES} bytes for each of {@code count} inputs
     * @param to the first input's sums
     * @param stride bytes from the sums of an input to those of the next
     * @param radix what an upper byte stands for
     */
    static void addUp(long from, int count, long to, long stride, int radix) {
        for (int t = 0; t < count; t++) {
            long p = from + (long) SUM_BYTES * t & ADDRESS;
            long q = to + stride * t & ADDRESS;
            IntVector u = IntVector.fromMemorySegment(I, MEMORY, p, ORDER);
            IntVector v = IntVector.fromMemorySegment(I, MEMORY, p + 16, ORDER);
            IntVector lowU = IntVector.fromMemorySegment(I, MEMORY, p + 32, ORDER);
            IntVector lowV = IntVector.fromMemorySegment(I, MEMORY, p + 48, ORDER);
            IntVector h3 = v.lanewise(VectorOperators.LSHR, 16);
            IntVector l3 = lowV.lanewise(VectorOperators.LSHR, 16);
            IntVector h2 = u.lanewise(VectorOperators.LSHR, 16)
                    .sub(h3.lanewise(VectorOperators.LSHL, 8))
                    .and(0xffff);
            IntVector l2 = lowU.lanewise(VectorOperators.LSHR, 16)
                    .sub(l3.lanewise(VectorOperators.LSHL, 8))
                    .and(0xffff);
            IntVector h1 = v.sub(h2.lanewise(VectorOperators.LSHL, 8)).and(0xffff);
            IntVector l1 = lowV.sub(l2.lanewise(VectorOperators.LSHL, 8)).and(0xffff);
            IntVector h0 = u.sub(h1.lanewise(VectorOperators.LSHL, 8)).and(0xffff);
            IntVector l0 = lowU.sub(l1.lanewise(VectorOperators.LSHL, 8)).and(0xffff);
            IntVector.fromMemorySegment(I, MEMORY, q, ORDER)
                    .add(h0.mul(radix).add(l0))
                    .intoMemorySegment(MEMORY, q, ORDER);
            IntVector.fromMemorySegment(I, MEMORY, q + 16, ORDER)
                    .add(h1.mul(radix).add(l1))
                    .intoMemorySegment(MEMORY, q + 16, ORDER);
            IntVector.fromMemorySegment(I, MEMORY, q + 32, ORDER)
                    .add(h2.mul(radix).add(l2))
                    .intoMemorySegment(MEMORY, q + 32, ORDER);
            IntVector.fromMemorySegment(I, MEMORY, q + 48, ORDER)
                    .add(h3.mul(radix).add(l3))
                    .intoMemorySegment(MEMORY, q + 48, ORDER);
        }
    }
}
