package dev.gosset.core.kernel.transform;

import static dev.gosset.core.kernel.memory.NativeMemory.ALL;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The product with the small matrix M_K of a transform, for a tile of {@value #VECTORS} vectors of columns, at absolute
 * addresses ({@link NativeMemory}). The tile's K rows are copied to scratch first, so that no two streams collide in
 * the cache.
 *
 * <p>Of a Hadamard matrix four rows are formed at a time out of eight sums ({@link HadamardTransform#signedSums}): K / 4 + 5
 * additions for each element where entry by entry K are needed. The scratch holds -x beside x, so that a sum needs
 * additions only. The matrix of order 28 goes a shorter way ({@link PaleyProduct}), and so do most of Williamson's ({@link
 * WilliamsonProduct}). A Hartley matrix is multiplied entry by entry
 * with FMAs, four rows at a time.
 *
 * <p>Rounding of an element: K / 4 + 4 at most for a Hadamard matrix, K and that of the entries for a Hartley matrix.
 * Stateless, thread-safe, allocates nothing.
 */
final class SmallMatrixProduct {
    private static final int VECTORS = 2;
    private static final VectorSpecies<Float> S =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    /** Bytes of a vector. */
    private static final long V = 4L * S.length();
    /** Columns of a tile. */
    static final int TILE = VECTORS * S.length();

    /** Masks that tell C2 what addresses and strides are: see {@link VectorSylvester}. */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private static final long STRIDE = (1L << 40) - 1;

    private SmallMatrixProduct() {}

    private static boolean bySums(HadamardTransform transform) {
        return transform.kind() == HadamardTransform.Kind.HADAMARD;
    }

    /** Bytes of scratch of {@link #apply}. */
    static long scratchBytes(HadamardTransform transform) {
        if (PaleyProduct.serves(transform)) {
            return PaleyProduct.scratchBytes();
        }
        if (WilliamsonProduct.serves(transform)) {
            return WilliamsonProduct.scratchBytes(transform.k());
        }
        return 4L * TILE * transform.k() * (bySums(transform) ? 2 : 1);
    }

    /** What {@link #apply} reads of the matrix. */
    static MemorySegment form(HadamardTransform transform, boolean transpose) {
        if (WilliamsonProduct.serves(transform)) {
            return transform.unitSums(transpose);
        }
        return bySums(transform) ? transform.signedSums(transpose) : transform.smallMatrix();
    }

    /**
     * {@code x <- M x}, or {@code M^T x}, in place; x is K x {@value #VECTORS} vectors.
     *
     * @param form address of {@link #form} of the same transform and direction; K at least 4
     * @param x address of x, whose rows lie {@code stride} bytes apart
     * @param scratch address of {@link #scratchBytes}
     */
    static void apply(HadamardTransform transform, boolean transpose, long form, long x, long stride, long scratch) {
        if (PaleyProduct.serves(transform)) {
            PaleyProduct.apply(x, stride, scratch);
            return;
        }
        int k = transform.k();
        if (WilliamsonProduct.serves(transform)) {
            WilliamsonProduct.apply(form, k, x, stride, scratch);
            return;
        }
        if (bySums(transform)) {
            gatherSigned(x, stride, k, scratch);
            sumUp(form, k, scratch, x, stride);
            return;
        }
        gather(x, stride, k, scratch);
        long down = transpose ? 4 : 4L * k;
        long across = transpose ? 4L * k : 4;
        for (int block = 0; block < k; block += 4) {
            // where 4 does not divide k the last rows are computed twice
            int i = Math.min(block, k - 4);
            fourRows(form + i * down, down, across, k, scratch, x + i * stride, stride);
        }
    }

    // The methods that hold vectors are long and hold their own loops: see VectorSylvester.

    /** Copies x, whose rows lie {@code stride} bytes apart, to the first k rows of the tile and -x to the next k; 4 divides k. */
    private static void gatherSigned(long x, long stride, int k, long tile) {
        long s1 = stride & STRIDE;
        long s2 = 2 * stride & STRIDE;
        long s3 = 3 * stride & STRIDE;
        long minus = 2 * V * k & STRIDE;
        for (int j = 0; j < k; j += 4) {
            long from = x + j * stride & ADDRESS;
            long to = tile + 2 * V * j & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, from, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, from + V, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, from + s1, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(S, ALL, from + s1 + V, ORDER);
            FloatVector c0 = FloatVector.fromMemorySegment(S, ALL, from + s2, ORDER);
            FloatVector c1 = FloatVector.fromMemorySegment(S, ALL, from + s2 + V, ORDER);
            FloatVector d0 = FloatVector.fromMemorySegment(S, ALL, from + s3, ORDER);
            FloatVector d1 = FloatVector.fromMemorySegment(S, ALL, from + s3 + V, ORDER);
            a0.intoMemorySegment(ALL, to, ORDER);
            a0.neg().intoMemorySegment(ALL, to + minus, ORDER);
            a1.intoMemorySegment(ALL, to + V, ORDER);
            a1.neg().intoMemorySegment(ALL, to + minus + V, ORDER);
            b0.intoMemorySegment(ALL, to + 2 * V, ORDER);
            b0.neg().intoMemorySegment(ALL, to + minus + 2 * V, ORDER);
            b1.intoMemorySegment(ALL, to + 3 * V, ORDER);
            b1.neg().intoMemorySegment(ALL, to + minus + 3 * V, ORDER);
            c0.intoMemorySegment(ALL, to + 4 * V, ORDER);
            c0.neg().intoMemorySegment(ALL, to + minus + 4 * V, ORDER);
            c1.intoMemorySegment(ALL, to + 5 * V, ORDER);
            c1.neg().intoMemorySegment(ALL, to + minus + 5 * V, ORDER);
            d0.intoMemorySegment(ALL, to + 6 * V, ORDER);
            d0.neg().intoMemorySegment(ALL, to + minus + 6 * V, ORDER);
            d1.intoMemorySegment(ALL, to + 7 * V, ORDER);
            d1.neg().intoMemorySegment(ALL, to + minus + 7 * V, ORDER);
        }
    }

    /**
     * Rows of y by the sums of {@link HadamardTransform#signedSums}, whose letters these are. Per row of the tile an index and
     * two loads with additions.
     */
    private static void sumUp(long sums, int k, long tile, long y, long stride) {
        long columns = tile & ADDRESS;
        long at = sums & ADDRESS;
        long s1 = stride & STRIDE;
        long s2 = 2 * stride & STRIDE;
        long s3 = 3 * stride & STRIDE;
        for (int row = 0; row < k; row += 4) {
            int m = ALL.get(JAVA_SHORT_UNALIGNED, at);
            at = at + 2 & ADDRESS;
            FloatVector p0x = FloatVector.zero(S);
            FloatVector p0z = FloatVector.zero(S);
            FloatVector p1x = FloatVector.zero(S);
            FloatVector p1z = FloatVector.zero(S);
            FloatVector p2x = FloatVector.zero(S);
            FloatVector p2z = FloatVector.zero(S);
            FloatVector p3x = FloatVector.zero(S);
            FloatVector p3z = FloatVector.zero(S);
            for (int i = 0; i < m; i++) {
                long c0 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at) & 0xffffL);
                p0x = p0x.add(FloatVector.fromMemorySegment(S, ALL, c0, ORDER));
                p0z = p0z.add(FloatVector.fromMemorySegment(S, ALL, c0 + V, ORDER));
                long c1 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 2) & 0xffffL);
                p1x = p1x.add(FloatVector.fromMemorySegment(S, ALL, c1, ORDER));
                p1z = p1z.add(FloatVector.fromMemorySegment(S, ALL, c1 + V, ORDER));
                long c2 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 4) & 0xffffL);
                p2x = p2x.add(FloatVector.fromMemorySegment(S, ALL, c2, ORDER));
                p2z = p2z.add(FloatVector.fromMemorySegment(S, ALL, c2 + V, ORDER));
                long c3 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 6) & 0xffffL);
                p3x = p3x.add(FloatVector.fromMemorySegment(S, ALL, c3, ORDER));
                p3z = p3z.add(FloatVector.fromMemorySegment(S, ALL, c3 + V, ORDER));
                at = at + 8 & ADDRESS;
            }
            FloatVector n0x = FloatVector.zero(S);
            FloatVector n0z = FloatVector.zero(S);
            FloatVector n1x = FloatVector.zero(S);
            FloatVector n1z = FloatVector.zero(S);
            FloatVector n2x = FloatVector.zero(S);
            FloatVector n2z = FloatVector.zero(S);
            FloatVector n3x = FloatVector.zero(S);
            FloatVector n3z = FloatVector.zero(S);
            for (int i = 0; i < k / 4 - m; i++) {
                long c0 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at) & 0xffffL);
                n0x = n0x.add(FloatVector.fromMemorySegment(S, ALL, c0, ORDER));
                n0z = n0z.add(FloatVector.fromMemorySegment(S, ALL, c0 + V, ORDER));
                long c1 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 2) & 0xffffL);
                n1x = n1x.add(FloatVector.fromMemorySegment(S, ALL, c1, ORDER));
                n1z = n1z.add(FloatVector.fromMemorySegment(S, ALL, c1 + V, ORDER));
                long c2 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 4) & 0xffffL);
                n2x = n2x.add(FloatVector.fromMemorySegment(S, ALL, c2, ORDER));
                n2z = n2z.add(FloatVector.fromMemorySegment(S, ALL, c2 + V, ORDER));
                long c3 = columns + 2 * V * (ALL.get(JAVA_SHORT_UNALIGNED, at + 6) & 0xffffL);
                n3x = n3x.add(FloatVector.fromMemorySegment(S, ALL, c3, ORDER));
                n3z = n3z.add(FloatVector.fromMemorySegment(S, ALL, c3 + V, ORDER));
                at = at + 8 & ADDRESS;
            }
            long to = y + row * stride & ADDRESS;
            FloatVector t0x = p0x.add(n0x);
            FloatVector t1x = p1x.add(n1x);
            FloatVector t2x = p2x.add(n2x);
            FloatVector t3x = p3x.add(n3x);
            FloatVector d0x = p0x.sub(n0x);
            FloatVector d1x = p1x.sub(n1x);
            FloatVector d2x = p2x.sub(n2x);
            FloatVector d3x = p3x.sub(n3x);
            FloatVector ex = t0x.add(t1x);
            FloatVector fx = t2x.add(t3x);
            FloatVector gx = t0x.sub(t1x);
            FloatVector hx = t2x.sub(t3x);
            ex.add(fx).intoMemorySegment(ALL, to, ORDER);
            ex.sub(fx).intoMemorySegment(ALL, to + s1, ORDER);
            gx.add(hx).intoMemorySegment(ALL, to + s2, ORDER);
            d0x.sub(d1x).sub(d2x.sub(d3x)).intoMemorySegment(ALL, to + s3, ORDER);
            FloatVector t0z = p0z.add(n0z);
            FloatVector t1z = p1z.add(n1z);
            FloatVector t2z = p2z.add(n2z);
            FloatVector t3z = p3z.add(n3z);
            FloatVector d0z = p0z.sub(n0z);
            FloatVector d1z = p1z.sub(n1z);
            FloatVector d2z = p2z.sub(n2z);
            FloatVector d3z = p3z.sub(n3z);
            FloatVector ez = t0z.add(t1z);
            FloatVector fz = t2z.add(t3z);
            FloatVector gz = t0z.sub(t1z);
            FloatVector hz = t2z.sub(t3z);
            ez.add(fz).intoMemorySegment(ALL, to + V, ORDER);
            ez.sub(fz).intoMemorySegment(ALL, to + s1 + V, ORDER);
            gz.add(hz).intoMemorySegment(ALL, to + s2 + V, ORDER);
            d0z.sub(d1z).sub(d2z.sub(d3z)).intoMemorySegment(ALL, to + s3 + V, ORDER);
        }
    }

    /** Copies the k x TILE floats whose rows lie {@code stride} bytes apart; k at least 4. */
    private static void gather(long x, long stride, int k, long tile) {
        long s1 = stride & STRIDE;
        long s2 = 2 * stride & STRIDE;
        long s3 = 3 * stride & STRIDE;
        for (int block = 0; block < k; block += 4) {
            int j = Math.min(block, k - 4);
            long from = x + j * stride & ADDRESS;
            long to = tile + 2 * V * j & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, from, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, from + V, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, from + s1, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(S, ALL, from + s1 + V, ORDER);
            FloatVector c0 = FloatVector.fromMemorySegment(S, ALL, from + s2, ORDER);
            FloatVector c1 = FloatVector.fromMemorySegment(S, ALL, from + s2 + V, ORDER);
            FloatVector d0 = FloatVector.fromMemorySegment(S, ALL, from + s3, ORDER);
            FloatVector d1 = FloatVector.fromMemorySegment(S, ALL, from + s3 + V, ORDER);
            a0.intoMemorySegment(ALL, to, ORDER);
            a1.intoMemorySegment(ALL, to + V, ORDER);
            b0.intoMemorySegment(ALL, to + 2 * V, ORDER);
            b1.intoMemorySegment(ALL, to + 3 * V, ORDER);
            c0.intoMemorySegment(ALL, to + 4 * V, ORDER);
            c1.intoMemorySegment(ALL, to + 5 * V, ORDER);
            d0.intoMemorySegment(ALL, to + 6 * V, ORDER);
            d1.intoMemorySegment(ALL, to + 7 * V, ORDER);
        }
    }

    /** Four rows of the product: per entry of a column four broadcasts, two loads and eight FMAs. */
    private static void fourRows(long entry, long down, long across, int k, long tile, long y, long stride) {
        long s1 = stride & STRIDE;
        long s2 = 2 * stride & STRIDE;
        long s3 = 3 * stride & STRIDE;
        long d = down & STRIDE;
        long to = y & ADDRESS;
        FloatVector a0 = FloatVector.zero(S);
        FloatVector a1 = a0;
        FloatVector b0 = a0;
        FloatVector b1 = a0;
        FloatVector c0 = a0;
        FloatVector c1 = a0;
        FloatVector d0 = a0;
        FloatVector d1 = a0;
        for (int j = 0; j < k; j++) {
            long t = tile + 2 * V * j & ADDRESS;
            FloatVector x0 = FloatVector.fromMemorySegment(S, ALL, t, ORDER);
            FloatVector x1 = FloatVector.fromMemorySegment(S, ALL, t + V, ORDER);
            long m = entry + j * across & ADDRESS;
            FloatVector r = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, m));
            a0 = x0.fma(r, a0);
            a1 = x1.fma(r, a1);
            r = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, m + d));
            b0 = x0.fma(r, b0);
            b1 = x1.fma(r, b1);
            r = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, m + 2 * d));
            c0 = x0.fma(r, c0);
            c1 = x1.fma(r, c1);
            r = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, m + 3 * d));
            d0 = x0.fma(r, d0);
            d1 = x1.fma(r, d1);
        }
        a0.intoMemorySegment(ALL, to, ORDER);
        a1.intoMemorySegment(ALL, to + V, ORDER);
        b0.intoMemorySegment(ALL, to + s1, ORDER);
        b1.intoMemorySegment(ALL, to + s1 + V, ORDER);
        c0.intoMemorySegment(ALL, to + s2, ORDER);
        c1.intoMemorySegment(ALL, to + s2 + V, ORDER);
        d0.intoMemorySegment(ALL, to + s3, ORDER);
        d1.intoMemorySegment(ALL, to + s3 + V, ORDER);
    }
}
