package dev.gosset.core.kernel;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The loops of {@link TableMatrix} over {@link ByteCodes}: from the codes of 64 rows to indices, and from indices to sums of products.
 * Addresses are those of {@link NativeMemory}, checked by the caller.
 *
 * <p><b>Planes.</b> The 64 codes of a group of columns become four vectors of 64 bytes, a byte for each row: the index of its
 * first pair of coordinates in the tables of x, that of its second, third and fourth pair. VPERMW looks up 32 rows at a time:
 * it reads the low five bits of a short (VPERMI2W six), so the even rows' indices are found as they are and those of the odd
 * rows after a shift; other bits of the planes mean nothing.
 *
 * <p><b>Sums.</b> The even rows' sums of four products are 32 shorts e, two rows in each of 16 ints. Added as ints they give
 * u, and their upper shorts alone give upperU: so the upper row's sum is upperU and the lower row's u - (upperU << 16). v and
 * upperV are those of the odd rows.
 *
 * <p>Every method that holds a vector is longer than 325 bytecodes, loops inside and calls nothing but the Vector API: then C2
 * compiles it on its own and boxes nothing. Shifts are those of ints: of shorts C2 would bring the count in a register each
 * time. BITWISE_BLEND is one VPTERNLOGD.
 */
final class TableSums {
    /** Rows of a block: the bytes of a vector. */
    static final int BLOCK = 64;

    /** Bytes of a block's E8P codes for one group of columns: magnitudes and signs. */
    static final int CODE_BYTES = 2 * BLOCK;

    /** Bytes of the sums of a block: u, v, upperU and upperV. */
    static final int SUM_BYTES = 4 * BLOCK;

    /** Bytes of the planes of a block for one group of columns. */
    static final int PLANE_BYTES = 4 * BLOCK;

    private static final VectorSpecies<Byte> B = ByteVector.SPECIES_512;
    private static final VectorSpecies<Short> S = ShortVector.SPECIES_512;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_512;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final MemorySegment MEMORY = NativeMemory.ALL;
    private static final long POINT_FIELDS = ByteCodes.FIELDS.address();
    private static final long RESIDUAL_FIELDS = POINT_FIELDS + ByteCodes.RESIDUAL_FIELDS;

    /** What no address has: C2 then knows that address + constant lies in {@link #MEMORY}. */
    private static final long ADDRESS = (1L << 62) - 1;

    // Which bits of a byte of a plane are those of the sign byte, and which those of the nibbles of a residual code.
    private static final int FIRST_SIGNS = 0x24242424;
    private static final int UPPER_SIGNS = 0x18181818;
    private static final int LOWER_SIGNS = 0x03030303;
    private static final int NIBBLES = 0x0f0f0f0f;

    private TableSums() {}

    /**
     * Adds the products of E8P codes to the sums of a block. Per group of columns, 512 weights: four VPERMI2B look up the
     * fields of 64 magnitude bytes; masks and shifts put them and the signs together to the planes; six VPERMW and two
     * VPERMI2W look up products.
     */
    static void sumPoints(long at, long tables, int groups, long sums) {
        ByteVector a0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 64, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 128, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 192, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 256, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 320, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 384, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 448, ORDER);
        IntVector u = IntVector.fromMemorySegment(I, MEMORY, sums, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, MEMORY, sums + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, MEMORY, sums + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, MEMORY, sums + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = at + (long) CODE_BYTES * g & ADDRESS;
            long q = tables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            IntVector s = IntVector.fromMemorySegment(I, MEMORY, p + BLOCK, ORDER);
            VectorMask<Byte> high = c.compare(VectorOperators.LT, (byte) 0);
            IntVector m = c.selectFrom(a0, a1).blend(c.selectFrom(a2, a3), high).reinterpretAsInts();
            IntVector n = c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), high).reinterpretAsInts();
            IntVector ones =
                    s.reinterpretAsBytes().lanewise(VectorOperators.BIT_COUNT).reinterpretAsInts();
            IntVector p0 = m.lanewise(VectorOperators.BITWISE_BLEND, s, FIRST_SIGNS)
                    .lanewise(VectorOperators.XOR, ones.and(0x01010101));
            IntVector p1 = m.lanewise(VectorOperators.LSHR, 5).lanewise(VectorOperators.BITWISE_BLEND, s, UPPER_SIGNS);
            IntVector p2 = n.lanewise(VectorOperators.BITWISE_BLEND, s, LOWER_SIGNS);
            IntVector p3 = n.lanewise(VectorOperators.LSHR, 5)
                    .lanewise(VectorOperators.BITWISE_BLEND, s.lanewise(VectorOperators.LSHR, 3), UPPER_SIGNS);
            ShortVector x0 = ShortVector.fromMemorySegment(S, MEMORY, q, ORDER);
            ShortVector y0 = ShortVector.fromMemorySegment(S, MEMORY, q + 64, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, MEMORY, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, MEMORY, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, MEMORY, q + 256, ORDER);
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
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 64, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
    }

    /**
     * {@link #sumPoints} of {@code 2 * half} groups, of which the second half is read together with the first: prefetchers
     * bring two streams from memory faster than one.
     */
    static void sumPointsOfHalves(long at, long tables, int half, long sums) {
        long second = at + (long) CODE_BYTES * half;
        long secondTables = tables + (long) ProductTables.GROUP_BYTES * half;
        ByteVector a0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 64, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 128, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 192, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 256, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 320, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 384, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 448, ORDER);
        IntVector u = IntVector.fromMemorySegment(I, MEMORY, sums, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, MEMORY, sums + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, MEMORY, sums + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, MEMORY, sums + 192, ORDER);
        for (int g = 0; g < half; g++) {
            long p = at + (long) CODE_BYTES * g & ADDRESS;
            long q = tables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            long r = second + (long) CODE_BYTES * g & ADDRESS;
            long q2 = secondTables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            IntVector s = IntVector.fromMemorySegment(I, MEMORY, p + BLOCK, ORDER);
            VectorMask<Byte> high = c.compare(VectorOperators.LT, (byte) 0);
            IntVector m = c.selectFrom(a0, a1).blend(c.selectFrom(a2, a3), high).reinterpretAsInts();
            IntVector n = c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), high).reinterpretAsInts();
            IntVector ones =
                    s.reinterpretAsBytes().lanewise(VectorOperators.BIT_COUNT).reinterpretAsInts();
            IntVector p0 = m.lanewise(VectorOperators.BITWISE_BLEND, s, FIRST_SIGNS)
                    .lanewise(VectorOperators.XOR, ones.and(0x01010101));
            IntVector p1 = m.lanewise(VectorOperators.LSHR, 5).lanewise(VectorOperators.BITWISE_BLEND, s, UPPER_SIGNS);
            IntVector p2 = n.lanewise(VectorOperators.BITWISE_BLEND, s, LOWER_SIGNS);
            IntVector p3 = n.lanewise(VectorOperators.LSHR, 5)
                    .lanewise(VectorOperators.BITWISE_BLEND, s.lanewise(VectorOperators.LSHR, 3), UPPER_SIGNS);
            ShortVector x0 = ShortVector.fromMemorySegment(S, MEMORY, q, ORDER);
            ShortVector y0 = ShortVector.fromMemorySegment(S, MEMORY, q + 64, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, MEMORY, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, MEMORY, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, MEMORY, q + 256, ORDER);
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
            ByteVector c2 = ByteVector.fromMemorySegment(B, MEMORY, r, ORDER);
            IntVector s2 = IntVector.fromMemorySegment(I, MEMORY, r + BLOCK, ORDER);
            VectorMask<Byte> high2 = c2.compare(VectorOperators.LT, (byte) 0);
            IntVector m2 =
                    c2.selectFrom(a0, a1).blend(c2.selectFrom(a2, a3), high2).reinterpretAsInts();
            IntVector n2 =
                    c2.selectFrom(b0, b1).blend(c2.selectFrom(b2, b3), high2).reinterpretAsInts();
            IntVector ones2 =
                    s2.reinterpretAsBytes().lanewise(VectorOperators.BIT_COUNT).reinterpretAsInts();
            IntVector p02 = m2.lanewise(VectorOperators.BITWISE_BLEND, s2, FIRST_SIGNS)
                    .lanewise(VectorOperators.XOR, ones2.and(0x01010101));
            IntVector p12 =
                    m2.lanewise(VectorOperators.LSHR, 5).lanewise(VectorOperators.BITWISE_BLEND, s2, UPPER_SIGNS);
            IntVector p22 = n2.lanewise(VectorOperators.BITWISE_BLEND, s2, LOWER_SIGNS);
            IntVector p32 = n2.lanewise(VectorOperators.LSHR, 5)
                    .lanewise(VectorOperators.BITWISE_BLEND, s2.lanewise(VectorOperators.LSHR, 3), UPPER_SIGNS);
            ShortVector x02 = ShortVector.fromMemorySegment(S, MEMORY, q2, ORDER);
            ShortVector y02 = ShortVector.fromMemorySegment(S, MEMORY, q2 + 64, ORDER);
            ShortVector x12 = ShortVector.fromMemorySegment(S, MEMORY, q2 + 128, ORDER);
            ShortVector x22 = ShortVector.fromMemorySegment(S, MEMORY, q2 + 192, ORDER);
            ShortVector x32 = ShortVector.fromMemorySegment(S, MEMORY, q2 + 256, ORDER);
            IntVector even2 = p02.reinterpretAsShorts()
                    .selectFrom(x02, y02)
                    .add(p12.reinterpretAsShorts().selectFrom(x12))
                    .add(p22.reinterpretAsShorts()
                            .selectFrom(x22)
                            .add(p32.reinterpretAsShorts().selectFrom(x32)))
                    .reinterpretAsInts();
            u = u.add(even2);
            upperU = upperU.add(even2.lanewise(VectorOperators.LSHR, 16));
            IntVector odd2 = p02.lanewise(VectorOperators.LSHR, 8)
                    .reinterpretAsShorts()
                    .selectFrom(x02, y02)
                    .add(p12.lanewise(VectorOperators.LSHR, 8)
                            .reinterpretAsShorts()
                            .selectFrom(x12))
                    .add(p22.lanewise(VectorOperators.LSHR, 8)
                            .reinterpretAsShorts()
                            .selectFrom(x22)
                            .add(p32.lanewise(VectorOperators.LSHR, 8)
                                    .reinterpretAsShorts()
                                    .selectFrom(x32)))
                    .reinterpretAsInts();
            v = v.add(odd2);
            upperV = upperV.add(odd2.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 64, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
    }

    /**
     * {@link #sumPoints} of codes and of residual codes of 16 bits, which lie behind those of all groups; both share the
     * loads of products. The sums of the residual go behind the others.
     */
    static void sumPointsTwice(long at, long tables, int groups, long sums) {
        long second = at + (long) CODE_BYTES * groups;
        ByteVector a0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 64, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 128, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 192, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 256, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 320, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 384, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 448, ORDER);
        IntVector u = IntVector.fromMemorySegment(I, MEMORY, sums, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, MEMORY, sums + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, MEMORY, sums + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, MEMORY, sums + 192, ORDER);
        IntVector u2 = IntVector.fromMemorySegment(I, MEMORY, sums + 256, ORDER);
        IntVector v2 = IntVector.fromMemorySegment(I, MEMORY, sums + 320, ORDER);
        IntVector upperU2 = IntVector.fromMemorySegment(I, MEMORY, sums + 384, ORDER);
        IntVector upperV2 = IntVector.fromMemorySegment(I, MEMORY, sums + 448, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = at + (long) CODE_BYTES * g & ADDRESS;
            long q = tables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            long r = second + (long) CODE_BYTES * g & ADDRESS;
            ShortVector x0 = ShortVector.fromMemorySegment(S, MEMORY, q, ORDER);
            ShortVector y0 = ShortVector.fromMemorySegment(S, MEMORY, q + 64, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, MEMORY, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, MEMORY, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, MEMORY, q + 256, ORDER);
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            IntVector s = IntVector.fromMemorySegment(I, MEMORY, p + BLOCK, ORDER);
            VectorMask<Byte> high = c.compare(VectorOperators.LT, (byte) 0);
            IntVector m = c.selectFrom(a0, a1).blend(c.selectFrom(a2, a3), high).reinterpretAsInts();
            IntVector n = c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), high).reinterpretAsInts();
            IntVector ones =
                    s.reinterpretAsBytes().lanewise(VectorOperators.BIT_COUNT).reinterpretAsInts();
            IntVector p0 = m.lanewise(VectorOperators.BITWISE_BLEND, s, FIRST_SIGNS)
                    .lanewise(VectorOperators.XOR, ones.and(0x01010101));
            IntVector p1 = m.lanewise(VectorOperators.LSHR, 5).lanewise(VectorOperators.BITWISE_BLEND, s, UPPER_SIGNS);
            IntVector p2 = n.lanewise(VectorOperators.BITWISE_BLEND, s, LOWER_SIGNS);
            IntVector p3 = n.lanewise(VectorOperators.LSHR, 5)
                    .lanewise(VectorOperators.BITWISE_BLEND, s.lanewise(VectorOperators.LSHR, 3), UPPER_SIGNS);
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
            ByteVector c2 = ByteVector.fromMemorySegment(B, MEMORY, r, ORDER);
            IntVector s2 = IntVector.fromMemorySegment(I, MEMORY, r + BLOCK, ORDER);
            VectorMask<Byte> high2 = c2.compare(VectorOperators.LT, (byte) 0);
            IntVector m2 =
                    c2.selectFrom(a0, a1).blend(c2.selectFrom(a2, a3), high2).reinterpretAsInts();
            IntVector n2 =
                    c2.selectFrom(b0, b1).blend(c2.selectFrom(b2, b3), high2).reinterpretAsInts();
            IntVector ones2 =
                    s2.reinterpretAsBytes().lanewise(VectorOperators.BIT_COUNT).reinterpretAsInts();
            IntVector p02 = m2.lanewise(VectorOperators.BITWISE_BLEND, s2, FIRST_SIGNS)
                    .lanewise(VectorOperators.XOR, ones2.and(0x01010101));
            IntVector p12 =
                    m2.lanewise(VectorOperators.LSHR, 5).lanewise(VectorOperators.BITWISE_BLEND, s2, UPPER_SIGNS);
            IntVector p22 = n2.lanewise(VectorOperators.BITWISE_BLEND, s2, LOWER_SIGNS);
            IntVector p32 = n2.lanewise(VectorOperators.LSHR, 5)
                    .lanewise(VectorOperators.BITWISE_BLEND, s2.lanewise(VectorOperators.LSHR, 3), UPPER_SIGNS);
            IntVector even2 = p02.reinterpretAsShorts()
                    .selectFrom(x0, y0)
                    .add(p12.reinterpretAsShorts().selectFrom(x1))
                    .add(p22.reinterpretAsShorts()
                            .selectFrom(x2)
                            .add(p32.reinterpretAsShorts().selectFrom(x3)))
                    .reinterpretAsInts();
            u2 = u2.add(even2);
            upperU2 = upperU2.add(even2.lanewise(VectorOperators.LSHR, 16));
            IntVector odd2 = p02.lanewise(VectorOperators.LSHR, 8)
                    .reinterpretAsShorts()
                    .selectFrom(x0, y0)
                    .add(p12.lanewise(VectorOperators.LSHR, 8)
                            .reinterpretAsShorts()
                            .selectFrom(x1))
                    .add(p22.lanewise(VectorOperators.LSHR, 8)
                            .reinterpretAsShorts()
                            .selectFrom(x2)
                            .add(p32.lanewise(VectorOperators.LSHR, 8)
                                    .reinterpretAsShorts()
                                    .selectFrom(x3)))
                    .reinterpretAsInts();
            v2 = v2.add(odd2);
            upperV2 = upperV2.add(odd2.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 64, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
        u2.intoMemorySegment(MEMORY, sums + 256, ORDER);
        v2.intoMemorySegment(MEMORY, sums + 320, ORDER);
        upperU2.intoMemorySegment(MEMORY, sums + 384, ORDER);
        upperV2.intoMemorySegment(MEMORY, sums + 448, ORDER);
    }

    /** As {@link #sumPoints} for residual codes of 8 bits: three VPERMI2B and eight VPERMW. */
    static void sumResiduals(long at, long tables, int groups, long sums) {
        ByteVector a0 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 64, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 128, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 192, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 256, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 320, ORDER);
        IntVector u = IntVector.fromMemorySegment(I, MEMORY, sums, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, MEMORY, sums + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, MEMORY, sums + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, MEMORY, sums + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = at + (long) BLOCK * g & ADDRESS;
            long q = tables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            VectorMask<Byte> half = c.compare(VectorOperators.LT, (byte) 0);
            IntVector m = c.selectFrom(a0, a1).blend(c, half).reinterpretAsInts();
            IntVector n = c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), half).reinterpretAsInts();
            IntVector flag = c.reinterpretAsInts().lanewise(VectorOperators.LSHR, 3);
            IntVector p0 = flag.lanewise(VectorOperators.BITWISE_BLEND, m, NIBBLES);
            IntVector p1 = flag.lanewise(VectorOperators.BITWISE_BLEND, m.lanewise(VectorOperators.LSHR, 4), NIBBLES);
            IntVector p2 = flag.lanewise(VectorOperators.BITWISE_BLEND, n, NIBBLES);
            IntVector p3 = flag.lanewise(VectorOperators.BITWISE_BLEND, n.lanewise(VectorOperators.LSHR, 4), NIBBLES);
            ShortVector x0 = ShortVector.fromMemorySegment(S, MEMORY, q, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, MEMORY, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, MEMORY, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, MEMORY, q + 256, ORDER);
            IntVector even = p0.reinterpretAsShorts()
                    .selectFrom(x0)
                    .add(p1.reinterpretAsShorts().selectFrom(x1))
                    .add(p2.reinterpretAsShorts()
                            .selectFrom(x2)
                            .add(p3.reinterpretAsShorts().selectFrom(x3)))
                    .reinterpretAsInts();
            u = u.add(even);
            upperU = upperU.add(even.lanewise(VectorOperators.LSHR, 16));
            IntVector odd = p0.lanewise(VectorOperators.LSHR, 8)
                    .reinterpretAsShorts()
                    .selectFrom(x0)
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
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 64, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
    }

    /** The first half of {@link #sumPoints}: writes the planes. */
    static void indexPoints(long at, int groups, long planes) {
        ByteVector a0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 64, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 128, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 192, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 256, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 320, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 384, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 448, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = at + (long) CODE_BYTES * g & ADDRESS;
            long q = planes + (long) PLANE_BYTES * g & ADDRESS;
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            IntVector s = IntVector.fromMemorySegment(I, MEMORY, p + BLOCK, ORDER);
            VectorMask<Byte> high = c.compare(VectorOperators.LT, (byte) 0);
            IntVector m = c.selectFrom(a0, a1).blend(c.selectFrom(a2, a3), high).reinterpretAsInts();
            IntVector n = c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), high).reinterpretAsInts();
            IntVector ones =
                    s.reinterpretAsBytes().lanewise(VectorOperators.BIT_COUNT).reinterpretAsInts();
            IntVector p0 = m.lanewise(VectorOperators.BITWISE_BLEND, s, FIRST_SIGNS)
                    .lanewise(VectorOperators.XOR, ones.and(0x01010101));
            IntVector p1 = m.lanewise(VectorOperators.LSHR, 5).lanewise(VectorOperators.BITWISE_BLEND, s, UPPER_SIGNS);
            IntVector p2 = n.lanewise(VectorOperators.BITWISE_BLEND, s, LOWER_SIGNS);
            IntVector p3 = n.lanewise(VectorOperators.LSHR, 5)
                    .lanewise(VectorOperators.BITWISE_BLEND, s.lanewise(VectorOperators.LSHR, 3), UPPER_SIGNS);
            p0.intoMemorySegment(MEMORY, q, ORDER);
            p1.intoMemorySegment(MEMORY, q + 64, ORDER);
            p2.intoMemorySegment(MEMORY, q + 128, ORDER);
            p3.intoMemorySegment(MEMORY, q + 192, ORDER);
        }
    }

    /** The first half of {@link #sumResiduals}, in a form that {@link #lookUpTwo} takes. */
    static void indexResiduals(long at, int groups, long planes) {
        ByteVector a0 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 64, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 128, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 192, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 256, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, MEMORY, RESIDUAL_FIELDS + 320, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = at + (long) BLOCK * g & ADDRESS;
            long q = planes + (long) PLANE_BYTES * g & ADDRESS;
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            VectorMask<Byte> half = c.compare(VectorOperators.LT, (byte) 0);
            IntVector m = c.selectFrom(a0, a1).blend(c, half).reinterpretAsInts();
            IntVector n = c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), half).reinterpretAsInts();
            IntVector flag = c.reinterpretAsInts().lanewise(VectorOperators.LSHR, 3);
            IntVector p0 =
                    flag.lanewise(VectorOperators.BITWISE_BLEND, m, NIBBLES).and(0x1f1f1f1f);
            IntVector p1 = flag.lanewise(VectorOperators.BITWISE_BLEND, m.lanewise(VectorOperators.LSHR, 4), NIBBLES);
            IntVector p2 = flag.lanewise(VectorOperators.BITWISE_BLEND, n, NIBBLES);
            IntVector p3 = flag.lanewise(VectorOperators.BITWISE_BLEND, n.lanewise(VectorOperators.LSHR, 4), NIBBLES);
            p0.intoMemorySegment(MEMORY, q, ORDER);
            p1.intoMemorySegment(MEMORY, q + 64, ORDER);
            p2.intoMemorySegment(MEMORY, q + 128, ORDER);
            p3.intoMemorySegment(MEMORY, q + 192, ORDER);
        }
    }

    /** The second half of {@link #sumPoints} or {@link #sumResiduals} for two inputs, which share the loads and shifts of planes. */
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
}
