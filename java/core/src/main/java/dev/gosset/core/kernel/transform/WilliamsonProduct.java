package dev.gosset.core.kernel.transform;

import static dev.gosset.core.kernel.memory.NativeMemory.ALL;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.memory.NativeMemory;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The product with a Hadamard matrix of Williamson's, for a tile of two vectors of columns, by the sums of {@link
 * HadamardTransform#unitSums}: 31 additions for each element where K = 172, and 4 before, where {@link HadamardTransform#signedSums}
 * take 48. The scratch holds x' and -x', so that a sum needs additions only, a row of
 * zeros, and what the first of a pair of groups leaves for the second: with both in one method, C2 boxes the last of them in some orders of compilation.
 *
 * <p>At absolute addresses ({@link NativeMemory}). Rounding of an element: 13 at most where K = 172. Stateless, thread-safe, allocates nothing.
 */
final class WilliamsonProduct {
    private static final VectorSpecies<Float> S =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    /** Bytes of a vector. */
    private static final long V = 4L * S.length();

    /** Masks that tell C2 what addresses and strides are: see {@link VectorSylvester}. */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private static final long STRIDE = (1L << 40) - 1;

    /** Vectors that a row of the first group leaves for the second. */
    private static final int SUMS = 8;

    /** Bytes of the table before its lists. */
    private static final int LISTS = 64 * 18;

    // Vectors of one number in the table. They are loaded: C2 may box what is broadcast.
    private static final int TWO = 64 * 16;
    private static final int ZERO = 64 * 17;

    private WilliamsonProduct() {}

    /** Whether the transform's small matrix is one of Williamson's. */
    static boolean serves(HadamardTransform transform) {
        return transform.hasUnitSums();
    }

    /** Bytes of scratch of {@link #apply}. */
    static long scratchBytes(int k) {
        return V * (4L * k + 2 + 4 * SUMS);
    }

    /**
     * {@code x <- H x} in place for the table of H, or of its transpose; the rows of x, two vectors each, lie {@code stride} bytes
     * apart.
     */
    static void apply(long table, int k, long x, long stride, long scratch) {
        gather(table, k, x, stride, scratch);
        sumUp(table, k, scratch, x, stride);
    }

    // The methods that hold vectors are long and hold their own loops: see VectorSylvester.

    /** Writes x', -x' and a row of zeros to the tile: the four strips of a group by N, four FMAs for each element. */
    private static void gather(long table, int k, long x, long stride, long tile) {
        int s = k / 4;
        long across = s * stride & STRIDE;
        long minus = 2 * V * k & STRIDE;
        long nothing = tile + 2 * minus & ADDRESS;
        FloatVector zero = FloatVector.fromMemorySegment(S, ALL, (table & ADDRESS) + ZERO, ORDER);
        zero.intoMemorySegment(ALL, nothing, ORDER);
        zero.intoMemorySegment(ALL, nothing + V, ORDER);
        for (int i = 0; i < s; i++) {
            long from = x + i * stride & ADDRESS;
            FloatVector x0 = FloatVector.fromMemorySegment(S, ALL, from, ORDER);
            FloatVector z0 = FloatVector.fromMemorySegment(S, ALL, from + V, ORDER);
            FloatVector x1 = FloatVector.fromMemorySegment(S, ALL, from + 1 * across, ORDER);
            FloatVector z1 = FloatVector.fromMemorySegment(S, ALL, from + 1 * across + V, ORDER);
            FloatVector x2 = FloatVector.fromMemorySegment(S, ALL, from + 2 * across, ORDER);
            FloatVector z2 = FloatVector.fromMemorySegment(S, ALL, from + 2 * across + V, ORDER);
            FloatVector x3 = FloatVector.fromMemorySegment(S, ALL, from + 3 * across, ORDER);
            FloatVector z3 = FloatVector.fromMemorySegment(S, ALL, from + 3 * across + V, ORDER);
            for (int r = 0; r < 4; r++) {
                long n = table + 256L * r & ADDRESS;
                long to = tile + 2 * V * (r * s + i) & ADDRESS;
                FloatVector n0 = FloatVector.fromMemorySegment(S, ALL, n, ORDER);
                FloatVector n1 = FloatVector.fromMemorySegment(S, ALL, n + 64, ORDER);
                FloatVector n2 = FloatVector.fromMemorySegment(S, ALL, n + 128, ORDER);
                FloatVector n3 = FloatVector.fromMemorySegment(S, ALL, n + 192, ORDER);
                FloatVector a = x3.fma(n3, x2.fma(n2, x1.fma(n1, x0.mul(n0))));
                FloatVector b = z3.fma(n3, z2.fma(n2, z1.fma(n1, z0.mul(n0))));
                a.intoMemorySegment(ALL, to, ORDER);
                a.neg().intoMemorySegment(ALL, to + minus, ORDER);
                b.intoMemorySegment(ALL, to + V, ORDER);
                b.neg().intoMemorySegment(ALL, to + minus + V, ORDER);
            }
        }
    }

    /** For each pair of groups of rows the first, then the second. */
    private static void sumUp(long table, int k, long tile, long y, long stride) {
        int s = k / 4;
        long sums = tile + V * (4L * k + 2);
        long at = table + LISTS;
        for (int pair = 0; pair < (s + 1) / 2; pair++) {
            long first = ALL.get(JAVA_SHORT_UNALIGNED, at) & 0xffffL;
            long second = ALL.get(JAVA_SHORT_UNALIGNED, at + 2) & 0xffffL;
            at = addUp(table, at + 4, tile, y + first * stride, s * stride, sums);
            if (second != first) {
                combine(table, sums, y + second * stride, s * stride);
            }
        }
    }

    /**
     * The rows of the first of a pair of groups, and P - N of each of them for the four rows of the second; x and z are the two
     * vectors of a row.
     *
     * @param lists their address
     * @return that of what follows them
     */
    private static long addUp(long table, long lists, long tile, long first, long group, long sums) {
        long columns = tile & ADDRESS;
        long across = group & STRIDE;
        long at = lists & ADDRESS;
        FloatVector two = FloatVector.fromMemorySegment(S, ALL, (table & ADDRESS) + TWO, ORDER);
        FloatVector none = FloatVector.fromMemorySegment(S, ALL, (table & ADDRESS) + ZERO, ORDER);
        for (int r = 0; r < 4; r++) {
            int length = ALL.get(JAVA_SHORT_UNALIGNED, at);
            at = at + 2 & ADDRESS;
            FloatVector px0 = none;
            FloatVector pz0 = none;
            FloatVector nx0 = none;
            FloatVector nz0 = none;
            FloatVector px1 = none;
            FloatVector pz1 = none;
            FloatVector nx1 = none;
            FloatVector nz1 = none;
            FloatVector px2 = none;
            FloatVector pz2 = none;
            FloatVector nx2 = none;
            FloatVector nz2 = none;
            FloatVector px3 = none;
            FloatVector pz3 = none;
            FloatVector nx3 = none;
            FloatVector nz3 = none;
            for (int i = 0; i < length; i++) {
                long p0 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at) & 0xffffL);
                px0 = px0.add(FloatVector.fromMemorySegment(S, ALL, p0, ORDER));
                pz0 = pz0.add(FloatVector.fromMemorySegment(S, ALL, p0 + V, ORDER));
                long n0 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 2) & 0xffffL);
                nx0 = nx0.add(FloatVector.fromMemorySegment(S, ALL, n0, ORDER));
                nz0 = nz0.add(FloatVector.fromMemorySegment(S, ALL, n0 + V, ORDER));
                long p1 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 4) & 0xffffL);
                px1 = px1.add(FloatVector.fromMemorySegment(S, ALL, p1, ORDER));
                pz1 = pz1.add(FloatVector.fromMemorySegment(S, ALL, p1 + V, ORDER));
                long n1 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 6) & 0xffffL);
                nx1 = nx1.add(FloatVector.fromMemorySegment(S, ALL, n1, ORDER));
                nz1 = nz1.add(FloatVector.fromMemorySegment(S, ALL, n1 + V, ORDER));
                long p2 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 8) & 0xffffL);
                px2 = px2.add(FloatVector.fromMemorySegment(S, ALL, p2, ORDER));
                pz2 = pz2.add(FloatVector.fromMemorySegment(S, ALL, p2 + V, ORDER));
                long n2 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 10) & 0xffffL);
                nx2 = nx2.add(FloatVector.fromMemorySegment(S, ALL, n2, ORDER));
                nz2 = nz2.add(FloatVector.fromMemorySegment(S, ALL, n2 + V, ORDER));
                long p3 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 12) & 0xffffL);
                px3 = px3.add(FloatVector.fromMemorySegment(S, ALL, p3, ORDER));
                pz3 = pz3.add(FloatVector.fromMemorySegment(S, ALL, p3 + V, ORDER));
                long n3 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 14) & 0xffffL);
                nx3 = nx3.add(FloatVector.fromMemorySegment(S, ALL, n3, ORDER));
                nz3 = nz3.add(FloatVector.fromMemorySegment(S, ALL, n3 + V, ORDER));
                at = at + 16 & ADDRESS;
            }
            long row = first + r * across & ADDRESS;
            FloatVector.fromMemorySegment(S, ALL, row, ORDER)
                    .fma(two, px0.add(nx0).add(px1.add(nx1)).add(px2.add(nx2).add(px3.add(nx3))))
                    .intoMemorySegment(ALL, row, ORDER);
            FloatVector.fromMemorySegment(S, ALL, row + V, ORDER)
                    .fma(two, pz0.add(nz0).add(pz1.add(nz1)).add(pz2.add(nz2).add(pz3.add(nz3))))
                    .intoMemorySegment(ALL, row + V, ORDER);
            long to = sums + SUMS * V * r & ADDRESS;
            px0.sub(nx0).intoMemorySegment(ALL, to, ORDER);
            pz0.sub(nz0).intoMemorySegment(ALL, to + 1 * V, ORDER);
            px1.sub(nx1).intoMemorySegment(ALL, to + 2 * V, ORDER);
            pz1.sub(nz1).intoMemorySegment(ALL, to + 3 * V, ORDER);
            px2.sub(nx2).intoMemorySegment(ALL, to + 4 * V, ORDER);
            pz2.sub(nz2).intoMemorySegment(ALL, to + 5 * V, ORDER);
            px3.sub(nx3).intoMemorySegment(ALL, to + 6 * V, ORDER);
            pz3.sub(nz3).intoMemorySegment(ALL, to + 7 * V, ORDER);
        }
        return at;
    }

    /** The rows of the second group from what {@link #addUp} left; x and z are the two vectors of a row. */
    private static void combine(long table, long sums, long second, long group) {
        long across = group & STRIDE;
        long from = sums & ADDRESS;
        FloatVector two = FloatVector.fromMemorySegment(S, ALL, (table & ADDRESS) + TWO, ORDER);
        for (int r = 0; r < 4; r++) {
            long at = from + 2 * V * r & ADDRESS;
            long row = second + r * across & ADDRESS;
            FloatVector x0 = FloatVector.fromMemorySegment(S, ALL, at, ORDER);
            FloatVector x1 = FloatVector.fromMemorySegment(S, ALL, at + 8 * V, ORDER);
            FloatVector x2 = FloatVector.fromMemorySegment(S, ALL, at + 16 * V, ORDER);
            FloatVector x3 = FloatVector.fromMemorySegment(S, ALL, at + 24 * V, ORDER);
            FloatVector z0 = FloatVector.fromMemorySegment(S, ALL, at + 1 * V, ORDER);
            FloatVector z1 = FloatVector.fromMemorySegment(S, ALL, at + 9 * V, ORDER);
            FloatVector z2 = FloatVector.fromMemorySegment(S, ALL, at + 17 * V, ORDER);
            FloatVector z3 = FloatVector.fromMemorySegment(S, ALL, at + 25 * V, ORDER);
            FloatVector.fromMemorySegment(S, ALL, row, ORDER)
                    .fma(two, x0.add(x1).add(x2.add(x3)))
                    .intoMemorySegment(ALL, row, ORDER);
            FloatVector.fromMemorySegment(S, ALL, row + V, ORDER)
                    .fma(two, z0.add(z1).add(z2.add(z3)))
                    .intoMemorySegment(ALL, row + V, ORDER);
        }
    }
}
