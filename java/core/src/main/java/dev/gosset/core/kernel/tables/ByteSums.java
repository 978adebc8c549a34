package dev.gosset.core.kernel.tables;

import static dev.gosset.core.kernel.tables.TableLookups.BLOCK;
import static dev.gosset.core.kernel.tables.TableLookups.CODE_BYTES;
import static dev.gosset.core.kernel.tables.TableLookups.PLANE_BYTES;
import static dev.gosset.core.kernel.tables.TableLookups.UNIT;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The loops of {@link TableMatrix} over {@link ByteCodes}: from the codes of 64 rows to indices, and from indices to sums of products.
 * Addresses are those of {@link NativeMemory}, checked by the caller; those of codes are the ones that {@link CodeRegions#place} takes.
 *
 * <p>Every method that holds a vector is longer than 325 bytecodes, loops inside and calls nothing but the Vector API: then C2
 * compiles it on its own and boxes nothing. Shifts are those of ints: of shorts C2 would bring the count in a register each
 * time. BITWISE_BLEND is one VPTERNLOGD.
 */
final class ByteSums {
    private static final VectorSpecies<Byte> B = ByteVector.SPECIES_512;
    private static final VectorSpecies<Short> S = ShortVector.SPECIES_512;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_512;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ORDER);
    private static final MemorySegment MEMORY = NativeMemory.ALL;
    private static final long POINT_FIELDS = ByteCodes.FIELDS.address();

    /** What no address has: C2 then knows that address + constant lies in {@link #MEMORY}. */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    // Which bits of a byte of a plane are those of the sign byte.
    private static final int FIRST_SIGNS = 0x24242424;
    private static final int UPPER_SIGNS = 0x18181818;
    private static final int LOWER_SIGNS = 0x03030303;

    private ByteSums() {}

    /**
     * Adds the products of E8P codes to the sums of a block. Per group of columns, 512 weights: four VPERMI2B look up the
     * fields of 64 magnitude bytes; masks and shifts put them and the signs together to the planes; six VPERMW and two
     * VPERMI2W look up products. Two quarters of a region are read from
     * front to back, then the other two, which is best where the codes lie in a cache.
     *
     * @param at of an even unit
     * @param pairs half the number of groups
     */
    static void sumPoints(long at, int region, long tables, int pairs, long sums) {
        long top = CodeRegions.top(region);
        long quarter = (1L << region) / 4 & ADDRESS;
        int units = 1 << region - UNIT;
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
        for (int first = 0, count; first < 2 * pairs; first += count) {
            long start = at + (long) CODE_BYTES * first;
            int begin = (int) (start & ~top) >> UNIT;
            count = Math.min(2 * pairs - first, units - begin);
            for (int half = 0; half < 2; half++) {
                long from = (start & top) + 2L * half * quarter;
                for (int g = 2 * half - begin & 3; g < count; g += 4) {
                    long p = from + ((long) (begin + g >> 2) << UNIT) & ADDRESS;
                    long q = tables + (long) ProductTables.GROUP_BYTES * (first + g) & ADDRESS;
                    long r = p + quarter & ADDRESS;
                    long q2 = q + ProductTables.GROUP_BYTES;
                    ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
                    IntVector s = IntVector.fromMemorySegment(I, MEMORY, p + BLOCK, ORDER);
                    VectorMask<Byte> high = c.compare(VectorOperators.LT, (byte) 0);
                    IntVector m = c.selectFrom(a0, a1)
                            .blend(c.selectFrom(a2, a3), high)
                            .reinterpretAsInts();
                    IntVector n = c.selectFrom(b0, b1)
                            .blend(c.selectFrom(b2, b3), high)
                            .reinterpretAsInts();
                    IntVector ones = s.reinterpretAsBytes()
                            .lanewise(VectorOperators.BIT_COUNT)
                            .reinterpretAsInts();
                    IntVector p0 = m.lanewise(VectorOperators.BITWISE_BLEND, s, FIRST_SIGNS)
                            .lanewise(VectorOperators.XOR, ones.and(0x01010101));
                    IntVector p1 =
                            m.lanewise(VectorOperators.LSHR, 5).lanewise(VectorOperators.BITWISE_BLEND, s, UPPER_SIGNS);
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
                    IntVector m2 = c2.selectFrom(a0, a1)
                            .blend(c2.selectFrom(a2, a3), high2)
                            .reinterpretAsInts();
                    IntVector n2 = c2.selectFrom(b0, b1)
                            .blend(c2.selectFrom(b2, b3), high2)
                            .reinterpretAsInts();
                    IntVector ones2 = s2.reinterpretAsBytes()
                            .lanewise(VectorOperators.BIT_COUNT)
                            .reinterpretAsInts();
                    IntVector p02 = m2.lanewise(VectorOperators.BITWISE_BLEND, s2, FIRST_SIGNS)
                            .lanewise(VectorOperators.XOR, ones2.and(0x01010101));
                    IntVector p12 = m2.lanewise(VectorOperators.LSHR, 5)
                            .lanewise(VectorOperators.BITWISE_BLEND, s2, UPPER_SIGNS);
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
            }
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        v.intoMemorySegment(MEMORY, sums + 64, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
    }

    /** {@link #sumPoints}, of any number of groups, with the four quarters of a region by turns: for codes that come from memory. */
    static void sumPointsFromMemory(long at, int region, long tables, int groups, long sums) {
        long top = CodeRegions.top(region);
        long middle = CodeRegions.middle(UNIT, region);
        int up = CodeRegions.up(UNIT, region);
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
            long a = at + (long) CODE_BYTES * g;
            long p = (a & top | (a & 3L << UNIT) << up | (a & middle) >>> 2) & ADDRESS;
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
     * {@link #sumPoints} of codes and of residual codes of 16 bits, which lie behind those of the same group; both share the
     * loads of products. The sums of the residual go behind the others.
     */
    static void sumPointsTwice(long at, int region, long tables, int groups, long sums) {
        long top = CodeRegions.top(region);
        long middle = CodeRegions.middle(UNIT + 1, region);
        int up = CodeRegions.up(UNIT + 1, region);
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
            long b = at + 2L * CODE_BYTES * g;
            long p = (b & top | (b & 3L << UNIT + 1) << up | (b & middle) >>> 2) & ADDRESS;
            long q = tables + (long) ProductTables.GROUP_BYTES * g & ADDRESS;
            long r = p + CODE_BYTES & ADDRESS;
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

    /**
     * Adds the products of residual codes of 8 bits to the byte sums of two blocks, which share the loads of the tables and whose codes
     * of a group lie together: for 64 codes four VPERMI2B. A block has a byte sum of the lower bytes and one of the upper, 128 bytes each: the sum of all
     * bytes as shorts, and that of each int's upper three bytes. After {@link #MOST_BYTES} groups {@link #foldBytes} has to
     * follow.
     */
    static void sumResiduals(long at, int region, long tables, int groups, long sums, long sums2) {
        long top = CodeRegions.top(region);
        long middle = CodeRegions.middle(UNIT, region);
        int up = CodeRegions.up(UNIT, region);
        ShortVector u = ShortVector.fromMemorySegment(S, MEMORY, sums, ORDER);
        ShortVector upperU = ShortVector.fromMemorySegment(S, MEMORY, sums + 64, ORDER);
        ShortVector v = ShortVector.fromMemorySegment(S, MEMORY, sums + 128, ORDER);
        ShortVector upperV = ShortVector.fromMemorySegment(S, MEMORY, sums + 192, ORDER);
        ShortVector u2 = ShortVector.fromMemorySegment(S, MEMORY, sums2, ORDER);
        ShortVector upperU2 = ShortVector.fromMemorySegment(S, MEMORY, sums2 + 64, ORDER);
        ShortVector v2 = ShortVector.fromMemorySegment(S, MEMORY, sums2 + 128, ORDER);
        ShortVector upperV2 = ShortVector.fromMemorySegment(S, MEMORY, sums2 + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long b = at + 2L * BLOCK * g;
            long p = (b & top | (b & 3L << UNIT) << up | (b & middle) >>> 2) & ADDRESS;
            long r = p + BLOCK & ADDRESS;
            long q = tables + (long) ResidualTables.GROUP_BYTES * g & ADDRESS;
            ByteVector a0 = ByteVector.fromMemorySegment(B, MEMORY, q, ORDER);
            ByteVector a1 = ByteVector.fromMemorySegment(B, MEMORY, q + 64, ORDER);
            ByteVector a2 = ByteVector.fromMemorySegment(B, MEMORY, q + 128, ORDER);
            ByteVector a3 = ByteVector.fromMemorySegment(B, MEMORY, q + 192, ORDER);
            ByteVector b0 = ByteVector.fromMemorySegment(B, MEMORY, q + 256, ORDER);
            ByteVector b1 = ByteVector.fromMemorySegment(B, MEMORY, q + 320, ORDER);
            ByteVector b2 = ByteVector.fromMemorySegment(B, MEMORY, q + 384, ORDER);
            ByteVector b3 = ByteVector.fromMemorySegment(B, MEMORY, q + 448, ORDER);
            ByteVector c = ByteVector.fromMemorySegment(B, MEMORY, p, ORDER);
            VectorMask<Byte> high = c.compare(VectorOperators.LT, (byte) 0);
            ByteVector lower = c.selectFrom(a0, a1).blend(c.selectFrom(a2, a3), high);
            ByteVector upper = c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), high);
            u = u.add(lower.reinterpretAsShorts());
            upperU = upperU.add(
                    lower.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
            v = v.add(upper.reinterpretAsShorts());
            upperV = upperV.add(
                    upper.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
            ByteVector c2 = ByteVector.fromMemorySegment(B, MEMORY, r, ORDER);
            VectorMask<Byte> high2 = c2.compare(VectorOperators.LT, (byte) 0);
            ByteVector lower2 = c2.selectFrom(a0, a1).blend(c2.selectFrom(a2, a3), high2);
            ByteVector upper2 = c2.selectFrom(b0, b1).blend(c2.selectFrom(b2, b3), high2);
            u2 = u2.add(lower2.reinterpretAsShorts());
            upperU2 = upperU2.add(
                    lower2.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
            v2 = v2.add(upper2.reinterpretAsShorts());
            upperV2 = upperV2.add(
                    upper2.reinterpretAsInts().lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts());
        }
        u.intoMemorySegment(MEMORY, sums, ORDER);
        upperU.intoMemorySegment(MEMORY, sums + 64, ORDER);
        v.intoMemorySegment(MEMORY, sums + 128, ORDER);
        upperV.intoMemorySegment(MEMORY, sums + 192, ORDER);
        u2.intoMemorySegment(MEMORY, sums2, ORDER);
        upperU2.intoMemorySegment(MEMORY, sums2 + 64, ORDER);
        v2.intoMemorySegment(MEMORY, sums2 + 128, ORDER);
        upperV2.intoMemorySegment(MEMORY, sums2 + 192, ORDER);
    }

    /**
     * Adds the byte sums of {@code count} blocks to the sums that lie {@value #SUM_BYTES} bytes behind them, and clears
     * them. The byte sums of an int's four bytes b follow from the last to the first: those of all bytes are {@code b0 + 256
     * b1} and {@code b2 + 256 b3}, those of the upper three {@code b1 + 256 b2} and {@code b3}, all modulo 65536.
     *
     * @param sums where the byte sums of the first block begin
     * @param step bytes from the byte sums of one block to those of the next
     */
    static void foldBytes(long sums, long step, int count) {
        IntVector zero = IntVector.zero(I);
        for (int i = 0; i < count; i++) {
            long p = sums + step * i & ADDRESS;
            IntVector u = IntVector.fromMemorySegment(I, MEMORY, p, ORDER);
            IntVector upperU = IntVector.fromMemorySegment(I, MEMORY, p + 64, ORDER);
            IntVector v = IntVector.fromMemorySegment(I, MEMORY, p + 128, ORDER);
            IntVector upperV = IntVector.fromMemorySegment(I, MEMORY, p + 192, ORDER);
            zero.intoMemorySegment(MEMORY, p, ORDER);
            zero.intoMemorySegment(MEMORY, p + 64, ORDER);
            zero.intoMemorySegment(MEMORY, p + 128, ORDER);
            zero.intoMemorySegment(MEMORY, p + 192, ORDER);
            IntVector u3 = upperU.lanewise(VectorOperators.LSHR, 16);
            IntVector v3 = upperV.lanewise(VectorOperators.LSHR, 16);
            IntVector u2 = u.lanewise(VectorOperators.LSHR, 16)
                    .sub(u3.lanewise(VectorOperators.LSHL, 8))
                    .and(0xffff);
            IntVector v2 = v.lanewise(VectorOperators.LSHR, 16)
                    .sub(v3.lanewise(VectorOperators.LSHL, 8))
                    .and(0xffff);
            IntVector u1 = upperU.sub(u2.lanewise(VectorOperators.LSHL, 8)).and(0xffff);
            IntVector v1 = upperV.sub(v2.lanewise(VectorOperators.LSHL, 8)).and(0xffff);
            IntVector u0 = u.sub(u1.lanewise(VectorOperators.LSHL, 8)).and(0xffff);
            IntVector v0 = v.sub(v1.lanewise(VectorOperators.LSHL, 8)).and(0xffff);
            IntVector.fromMemorySegment(I, MEMORY, p + 256, ORDER)
                    .add(u0)
                    .add(v0.lanewise(VectorOperators.LSHL, 8))
                    .intoMemorySegment(MEMORY, p + 256, ORDER);
            IntVector.fromMemorySegment(I, MEMORY, p + 320, ORDER)
                    .add(u1)
                    .add(v1.lanewise(VectorOperators.LSHL, 8))
                    .intoMemorySegment(MEMORY, p + 320, ORDER);
            IntVector.fromMemorySegment(I, MEMORY, p + 384, ORDER)
                    .add(u2)
                    .add(v2.lanewise(VectorOperators.LSHL, 8))
                    .intoMemorySegment(MEMORY, p + 384, ORDER);
            IntVector.fromMemorySegment(I, MEMORY, p + 448, ORDER)
                    .add(u3)
                    .add(v3.lanewise(VectorOperators.LSHL, 8))
                    .intoMemorySegment(MEMORY, p + 448, ORDER);
        }
    }

    /** The first half of {@link #sumPoints}: writes the planes. */
    static void indexPoints(long at, int unit, int region, int groups, long planes) {
        long kept = CodeRegions.top(region) | (1L << unit) - 1;
        long middle = CodeRegions.middle(unit, region);
        long lowest = 3L << unit;
        int up = CodeRegions.up(unit, region);
        ByteVector a0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 64, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 128, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 192, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 256, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 320, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 384, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, MEMORY, POINT_FIELDS + 448, ORDER);
        for (int g = 0; g < groups; g++) {
            long b = at + ((long) g << unit);
            long p = (b & kept | (b & lowest) << up | (b & middle) >>> 2) & ADDRESS;
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

    /** The sum of a row of a block as {@link #foldBytes} leaves it: row 4 i + j in int i of vector j. */
    static int foldedSum(MemorySegment sums, long at, int row) {
        return sums.get(INT, at + 64L * (row & 3) + (row & ~3));
    }
}
