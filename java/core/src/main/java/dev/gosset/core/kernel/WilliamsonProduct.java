package dev.gosset.core.kernel;

import static dev.gosset.core.kernel.NativeMemory.ALL;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.gosset.core.hadamard.HadamardTransform;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The product with a Hadamard matrix of Williamson's, for a tile of two vectors of columns, by the sums of {@link
 * HadamardTransform#unitSums}: 31 additions for each element where K = 172, and 4 before, where {@link HadamardTransform#signedSums}
 * take 48. The scratch holds x' and -x', so that a sum needs additions only, and a row of zeros.
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
    private static final long ADDRESS = (1L << 62) - 1;

    private static final long STRIDE = (1L << 40) - 1;

    /** Bytes of the table before its lists. */
    private static final int LISTS = 128;

    private WilliamsonProduct() {}

    /** Whether the transform's small matrix is one of Williamson's. */
    static boolean serves(HadamardTransform transform) {
        return transform.hasUnitSums();
    }

    /** Bytes of scratch of {@link #apply}. */
    static long scratchBytes(int k) {
        return 4 * V * k + 2 * V;
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

    /** Writes x' and -x' to the tile: the four strips of a group by N, four FMAs for each element. */
    private static void gather(long table, int k, long x, long stride, long tile) {
        int s = k / 4;
        long across = s * stride & STRIDE;
        long minus = 2 * V * k & STRIDE;
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
                long n = table + 16L * r & ADDRESS;
                long to = tile + 2 * V * (r * s + i) & ADDRESS;
                FloatVector n0 = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, n + 0));
                FloatVector n1 = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, n + 4));
                FloatVector n2 = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, n + 8));
                FloatVector n3 = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, n + 12));
                FloatVector a = x3.fma(n3, x2.fma(n2, x1.fma(n1, x0.mul(n0))));
                FloatVector b = z3.fma(n3, z2.fma(n2, z1.fma(n1, z0.mul(n0))));
                a.intoMemorySegment(ALL, to, ORDER);
                a.neg().intoMemorySegment(ALL, to + minus, ORDER);
                b.intoMemorySegment(ALL, to + V, ORDER);
                b.neg().intoMemorySegment(ALL, to + minus + V, ORDER);
            }
        }
    }

    /** The sums, two groups of rows at a time: the letters are those of the table, x and z the two vectors. */
    private static void sumUp(long table, int k, long tile, long y, long stride) {
        int s = k / 4;
        long across = s * stride & STRIDE;
        long columns = tile & ADDRESS;
        FloatVector two = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, table + 64));
        FloatVector zero = FloatVector.zero(S);
        zero.intoMemorySegment(ALL, columns + 4 * V * k & ADDRESS, ORDER);
        zero.intoMemorySegment(ALL, columns + 4 * V * k + V & ADDRESS, ORDER);
        long at = table + LISTS & ADDRESS;
        for (int pair = 0; pair < (s + 1) / 2; pair++) {
            long first = y + (ALL.get(JAVA_SHORT_UNALIGNED, at) & 0xffffL) * stride & ADDRESS;
            long second = y + (ALL.get(JAVA_SHORT_UNALIGNED, at + 2) & 0xffffL) * stride & ADDRESS;
            at = at + 4 & ADDRESS;
            FloatVector x0 = FloatVector.zero(S);
            FloatVector z0 = FloatVector.zero(S);
            FloatVector x1 = FloatVector.zero(S);
            FloatVector z1 = FloatVector.zero(S);
            FloatVector x2 = FloatVector.zero(S);
            FloatVector z2 = FloatVector.zero(S);
            FloatVector x3 = FloatVector.zero(S);
            FloatVector z3 = FloatVector.zero(S);
            for (int r = 0; r < 4; r++) {
                int length = ALL.get(JAVA_SHORT_UNALIGNED, at);
                at = at + 2 & ADDRESS;
                FloatVector px0 = FloatVector.zero(S);
                FloatVector pz0 = FloatVector.zero(S);
                FloatVector nx0 = FloatVector.zero(S);
                FloatVector nz0 = FloatVector.zero(S);
                FloatVector px1 = FloatVector.zero(S);
                FloatVector pz1 = FloatVector.zero(S);
                FloatVector nx1 = FloatVector.zero(S);
                FloatVector nz1 = FloatVector.zero(S);
                FloatVector px2 = FloatVector.zero(S);
                FloatVector pz2 = FloatVector.zero(S);
                FloatVector nx2 = FloatVector.zero(S);
                FloatVector nz2 = FloatVector.zero(S);
                FloatVector px3 = FloatVector.zero(S);
                FloatVector pz3 = FloatVector.zero(S);
                FloatVector nx3 = FloatVector.zero(S);
                FloatVector nz3 = FloatVector.zero(S);
                for (int i = 0; i < length; i++) {
                    long p0 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 0) & 0xffffL);
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
                FloatVector rx = px0.add(nx0).add(px1.add(nx1)).add(px2.add(nx2).add(px3.add(nx3)));
                rx = FloatVector.fromMemorySegment(S, ALL, row, ORDER).fma(two, rx);
                rx.intoMemorySegment(ALL, row, ORDER);
                FloatVector rz = pz0.add(nz0).add(pz1.add(nz1)).add(pz2.add(nz2).add(pz3.add(nz3)));
                rz = FloatVector.fromMemorySegment(S, ALL, row + V, ORDER).fma(two, rz);
                rz.intoMemorySegment(ALL, row + V, ORDER);
                x0 = x0.add(px0.sub(nx0));
                z0 = z0.add(pz0.sub(nz0));
                x1 = x1.add(px1.sub(nx1));
                z1 = z1.add(pz1.sub(nz1));
                x2 = x2.add(px2.sub(nx2));
                z2 = z2.add(pz2.sub(nz2));
                x3 = x3.add(px3.sub(nx3));
                z3 = z3.add(pz3.sub(nz3));
            }
            if (second != first) {
                long row0 = second + 0 * across & ADDRESS;
                x0 = FloatVector.fromMemorySegment(S, ALL, row0, ORDER).fma(two, x0);
                x0.intoMemorySegment(ALL, row0, ORDER);
                z0 = FloatVector.fromMemorySegment(S, ALL, row0 + V, ORDER).fma(two, z0);
                z0.intoMemorySegment(ALL, row0 + V, ORDER);
                long row1 = second + 1 * across & ADDRESS;
                x1 = FloatVector.fromMemorySegment(S, ALL, row1, ORDER).fma(two, x1);
                x1.intoMemorySegment(ALL, row1, ORDER);
                z1 = FloatVector.fromMemorySegment(S, ALL, row1 + V, ORDER).fma(two, z1);
                z1.intoMemorySegment(ALL, row1 + V, ORDER);
                long row2 = second + 2 * across & ADDRESS;
                x2 = FloatVector.fromMemorySegment(S, ALL, row2, ORDER).fma(two, x2);
                x2.intoMemorySegment(ALL, row2, ORDER);
                z2 = FloatVector.fromMemorySegment(S, ALL, row2 + V, ORDER).fma(two, z2);
                z2.intoMemorySegment(ALL, row2 + V, ORDER);
                long row3 = second + 3 * across & ADDRESS;
                x3 = FloatVector.fromMemorySegment(S, ALL, row3, ORDER).fma(two, x3);
                x3.intoMemorySegment(ALL, row3, ORDER);
                z3 = FloatVector.fromMemorySegment(S, ALL, row3 + V, ORDER).fma(two, z3);
                z3.intoMemorySegment(ALL, row3 + V, ORDER);
            }
        }
    }
}
