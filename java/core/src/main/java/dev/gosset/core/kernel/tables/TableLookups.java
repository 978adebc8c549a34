package dev.gosset.core.kernel.tables;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * What the loops over byte codes ({@link ByteSums}) and over word codes ({@link WordSums}) share: blocks, planes and sums, and
 * the loop from planes to sums, which does not know how codes are spelled. Addresses are those of {@link NativeMemory}, checked by
 * the caller.
 *
 * <p><b>Planes.</b> The 64 codes of a group of columns become four vectors of 64 bytes, a byte for each row: the index of its
 * first pair of coordinates in the tables of x, that of its second, third and fourth pair. VPERMW looks up 32 rows at a time:
 * it reads the low five bits of a short (VPERMI2W six), so the even rows' indices are found as they are and those of the odd
 * rows after a shift; other bits of the planes mean nothing.
 *
 * <p><b>Sums.</b> The even rows' sums of four products are 32 shorts e, two rows in each of 16 ints. Added as ints they give
 * u, and their upper shorts alone give upperU: so the upper row's sum is upperU and the lower row's u - (upperU << 16). v and
 * upperV are those of the odd rows.
 */
final class TableLookups {
    /** Rows of a block: the bytes of a vector. */
    static final int BLOCK = 64;

    /** Bytes of a block's E8P codes for one group of columns: magnitudes and signs. */
    static final int CODE_BYTES = 2 * BLOCK;

    /** log2 of {@link #CODE_BYTES}: see {@link CodeRegions}. */
    static final int UNIT = 7;

    /** Bytes of the sums of a block: u, v, upperU and upperV. */
    static final int SUM_BYTES = 4 * BLOCK;

    /** Bytes of the planes of a block for one group of columns. */
    static final int PLANE_BYTES = 4 * BLOCK;

    /** Groups whose bytes add up to shorts. */
    static final int MOST_BYTES = 256;

    private static final VectorSpecies<Short> S = ShortVector.SPECIES_512;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_512;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ORDER);
    private static final MemorySegment MEMORY = NativeMemory.ALL;

    /** What no address has: C2 then knows that address + constant lies in {@link #MEMORY}. */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private TableLookups() {}

    /**
     * {@link #lookUpTwo} for an even number of inputs.
     *
     * @param nextTables bytes from the tables of an input to those of the next, as {@code nextSums} between their sums
     */
    static void lookUpPairs(
            long planes, long tables, long nextTables, int inputs, int groups, long sums, long nextSums) {
        for (int t = 0; t < inputs; t += 2) {
            long from = tables + nextTables * t;
            long to = sums + nextSums * t;
            lookUpTwo(planes, from, from + nextTables, groups, to, to + nextSums);
        }
    }

    /** The second half of {@link #sumPoints} for two inputs, which share the loads and shifts of planes. */
    static void lookUpTwo(long planes, long tables, long tables2, int groups, long sums, long sums2) {
        IntVector u = IntVector.fromMemorySegment(I, MEMORY, sums, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, MEMORY, sums + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, MEMORY, sums + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, MEMORY, sums + 192, ORDER);
        IntVector u2 = IntVector.fromMemorySegment(I, MEMORY, sums2, ORDER);
        IntVector v2 = IntVector.fromMemorySegment(I, MEMORY, sums2 + 64, ORDER);
        IntVector upperU2 = IntVector.fromMemorySegment(I, MEMORY, sums2 + 128, ORDER);
        IntVector upperV2 = IntVector.fromMemorySegment(I, MEMORY, sums2 + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = planes + (long) PLANE_BYTES * g & ADDRESS;
            long q = tables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            long q2 = tables2 + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            IntVector p0 = IntVector.fromMemorySegment(I, MEMORY, p, ORDER);
            IntVector p1 = IntVector.fromMemorySegment(I, MEMORY, p + 64, ORDER);
            IntVector p2 = IntVector.fromMemorySegment(I, MEMORY, p + 128, ORDER);
            IntVector p3 = IntVector.fromMemorySegment(I, MEMORY, p + 192, ORDER);
            ShortVector x0 = ShortVector.fromMemorySegment(S, MEMORY, q, ORDER);
            ShortVector y0 = ShortVector.fromMemorySegment(S, MEMORY, q + 64, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, MEMORY, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, MEMORY, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, MEMORY, q + 256, ORDER);
            ShortVector x02 = ShortVector.fromMemorySegment(S, MEMORY, q2, ORDER);
            ShortVector y02 = ShortVector.fromMemorySegment(S, MEMORY, q2 + 64, ORDER);
            ShortVector x12 = ShortVector.fromMemorySegment(S, MEMORY, q2 + 128, ORDER);
            ShortVector x22 = ShortVector.fromMemorySegment(S, MEMORY, q2 + 192, ORDER);
            ShortVector x32 = ShortVector.fromMemorySegment(S, MEMORY, q2 + 256, ORDER);
            IntVector even = p0.reinterpretAsShorts()
                    .selectFrom(x0, y0)
                    .add(p1.reinterpretAsShorts().selectFrom(x1))
                    .add(p2.reinterpretAsShorts()
                            .selectFrom(x2)
                            .add(p3.reinterpretAsShorts().selectFrom(x3)))
                    .reinterpretAsInts();
            u = u.add(even);
            upperU = upperU.add(even.lanewise(VectorOperators.LSHR, 16));
            IntVector odd = p0.lanewise(VectorOperators.LSHR, 8)
                    .reinterpretAsShorts()
                    .selectFrom(x0, y0)
                    .add(p1.lanewise(VectorOperators.LSHR, 8)
                            .reinterpretAsShorts()
                            .selectFrom(x1))
                    .add(p2.lanewise(VectorOperators.LSHR, 8)
                            .reinterpretAsShorts()
                            .selectFrom(x2)
                            .add(p3.lanewise(VectorOperators.LSHR, 8)
                                    .reinterpretAsShorts()
                                    .selectFrom(x3)))
                    .reinterpretAsInts();
            v = v.add(odd);
            upperV = upperV.add(odd.lanewise(VectorOperators.LSHR, 16));
            IntVector even2 = p0.reinterpretAsShorts()
                    .selectFrom(x02, y02)
                    .add(p1.reinterpretAsShorts().selectFrom(x12))
                    .add(p2.reinterpretAsShorts()
                            .selectFrom(x22)
                            .add(p3.reinterpretAsShorts().selectFrom(x32)))
                    .reinterpretAsInts();
            u2 = u2.add(even2);
            upperU2 = upperU2.add(even2.lanewise(VectorOperators.LSHR, 16));
            IntVector odd2 = p0.lanewise(VectorOperators.LSHR, 8)
                    .reinterpretAsShorts()
                    .selectFrom(x02, y02)
                    .add(p1.lanewise(VectorOperators.LSHR, 8)
                            .reinterpretAsShorts()
                            .selectFrom(x12))
                    .add(p2.lanewise(VectorOperators.LSHR, 8)
                            .reinterpretAsShorts()
                            .selectFrom(x22)
                            .add(p3.lanewise(VectorOperators.LSHR, 8)
                                    .reinterpretAsShorts()
                                    .selectFrom(x32)))
                    .reinterpretAsInts();
            v2 = v2.add(odd2);
            upperV2 = upperV2.add(odd2.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 64, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
        u2.intoMemorySegment(MEMORY, sums2, ORDER);
        v2.intoMemorySegment(MEMORY, sums2 + 64, ORDER);
        upperU2.intoMemorySegment(MEMORY, sums2 + 128, ORDER);
        upperV2.intoMemorySegment(MEMORY, sums2 + 192, ORDER);
    }

    /**
     * The sum of a row of a block: of row 4 i it is {@code u[i] - (upperU[i] << 16)}, of row 4 i + 1 the same of v, of row
     * 4 i + 2 {@code upperU[i]} and of row 4 i + 3 {@code upperV[i]}.
     *
     * @param at where the sums of the block begin
     */
    static int sum(MemorySegment sums, long at, int row) {
        long i = at + 64L * (row & 1) + (row & ~3);
        int upper = sums.get(INT, i + 128);
        return (row & 2) != 0 ? upper : sums.get(INT, i) - (upper << 16);
    }
}
