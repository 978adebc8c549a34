package dev.gosset.core.kernel.transform;

import static dev.gosset.core.kernel.memory.NativeMemory.ALL;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.memory.NativeMemory;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The product with the Hadamard matrix of order 28, which comes by Paley's second construction from a symmetric conference
 * matrix C of order 14 (C^2 = 13 I): with strips u_0 .. u_13 and v_0 .. v_13, s = u + v and d = u - v,
 *
 * <pre>
 * y_u = C s + d      y_v = C d - s
 * </pre>
 *
 * <p>C is bordered: row and column 0 stand for infinity, the others for the residues modulo 13, where entry (i, j) is chi(i - j), the
 * quadratic character. Since chi(-1) = 1 the strips i and -i are taken by their sum e_i and their difference o_i, i = 1 .. 6, with
 * zero and infinity as the pair 0. Then {@code chi(i - j) +- chi(i + j)} is 0 for half of the entries, and (C s)_i = E_i + O_i,
 * (C s)_-i = E_i - O_i with two additions in each E_i and O_i for the other pairs and a half of e_i or o_i, signed by chi(2 i). That
 * makes 7 additions for each element, two of them FMAs, and nothing but registers between the loads and the stores, where {@link
 * HadamardTransform#signedSums} takes 12 and an index for each.
 *
 * <p>The matrix is symmetric: the transpose is the same. At absolute addresses ({@link NativeMemory}), for a tile of two vectors of
 * columns. Rounding of an element: 7 at most. Stateless, thread-safe, allocates nothing. Source: spec/quip-sharp.md section 1.2.
 */
final class PaleyProduct {
    /** The order of the matrix. */
    static final int K = 28;

    private static final VectorSpecies<Float> S =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final int LANES = S.length();
    /** Bytes of a vector. */
    private static final long V = 4L * LANES;

    /** Masks that tell C2 what addresses and strides are: see {@link VectorSylvester}. */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private static final long STRIDE = (1L << 40) - 1;

    private PaleyProduct() {}

    /** Whether this is the small matrix of the transform. */
    static boolean serves(HadamardTransform transform) {
        return transform.k() == K && transform.kind() == HadamardTransform.Kind.HADAMARD;
    }

    /** Bytes of scratch of {@link #apply}. */
    static long scratchBytes() {
        return 2 * K * V;
    }

    /** {@code x <- H x} in place; the rows of x, two vectors each, lie {@code stride} bytes apart. */
    static void apply(long x, long stride, long scratch) {
        split(x, stride, scratch);
        products(scratch, x, stride);
    }

    /** {@code y <- (H (x) S_2) x}, S_2 across neighbouring floats: the stage 1 of {@link VectorSylvester}. */
    static void applyWithPairs(long x, long xStride, long y, long yStride, long scratch) {
        splitAndPair(x, xStride, scratch);
        products(scratch, y, yStride);
    }

    /** As {@link #applyWithPairs} of f x in place of x; the rows of f lie as those of x do. */
    static void applyToProductWithPairs(long x, long f, long xStride, long y, long yStride, long scratch) {
        splitAndPairOfProduct(x, f, xStride, scratch);
        products(scratch, y, yStride);
    }

    // The methods that hold vectors are long and hold their own loops: see VectorSylvester.

    /**
     * Writes for each of the two vectors e_0, o_0, e_1, .. o_6 of s and then of d to the tile. The strips i and -i of C are 1 + i and
     * 14 - i; the pair 0 is 1 and 0.
     */
    private static void split(long x, long stride, long tile) {
        long s14 = 14 * stride & STRIDE;
        for (int t = 0; t < 7; t++) {
            long i = x + (t + 1) * stride & ADDRESS;
            long j = x + (t == 0 ? 0 : 14 - t) * stride & ADDRESS;
            long to = tile + 2 * V * t & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, i, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector c0 = FloatVector.fromMemorySegment(S, ALL, i + s14, ORDER);
            FloatVector d0 = FloatVector.fromMemorySegment(S, ALL, j + s14, ORDER);
            FloatVector e0 = a0.add(b0);
            FloatVector f0 = a0.sub(b0);
            FloatVector g0 = c0.add(d0);
            FloatVector h0 = c0.sub(d0);
            e0.add(g0).intoMemorySegment(ALL, to, ORDER);
            f0.add(h0).intoMemorySegment(ALL, to + V, ORDER);
            e0.sub(g0).intoMemorySegment(ALL, to + 14 * V, ORDER);
            f0.sub(h0).intoMemorySegment(ALL, to + 15 * V, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, i + V, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER);
            FloatVector c1 = FloatVector.fromMemorySegment(S, ALL, i + s14 + V, ORDER);
            FloatVector d1 = FloatVector.fromMemorySegment(S, ALL, j + s14 + V, ORDER);
            FloatVector e1 = a1.add(b1);
            FloatVector f1 = a1.sub(b1);
            FloatVector g1 = c1.add(d1);
            FloatVector h1 = c1.sub(d1);
            e1.add(g1).intoMemorySegment(ALL, to + 28 * V, ORDER);
            f1.add(h1).intoMemorySegment(ALL, to + 29 * V, ORDER);
            e1.sub(g1).intoMemorySegment(ALL, to + 42 * V, ORDER);
            f1.sub(h1).intoMemorySegment(ALL, to + 43 * V, ORDER);
        }
    }

    /** As {@link #split} of S_2 x. Here half of the processor's units would be idle, while all are busy in Sylvester's passes. */
    private static void splitAndPair(long x, long stride, long tile) {
        long s14 = 14 * stride & STRIDE;
        for (int t = 0; t < 7; t++) {
            long i = x + (t + 1) * stride & ADDRESS;
            long j = x + (t == 0 ? 0 : 14 - t) * stride & ADDRESS;
            long to = tile + 2 * V * t & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, i, ORDER);
            a0 = a0.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? a0.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : a0.rearrange(VectorSylvester.SWAP1));
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            b0 = b0.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? b0.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : b0.rearrange(VectorSylvester.SWAP1));
            FloatVector c0 = FloatVector.fromMemorySegment(S, ALL, i + s14, ORDER);
            c0 = c0.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? c0.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : c0.rearrange(VectorSylvester.SWAP1));
            FloatVector d0 = FloatVector.fromMemorySegment(S, ALL, j + s14, ORDER);
            d0 = d0.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? d0.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : d0.rearrange(VectorSylvester.SWAP1));
            FloatVector e0 = a0.add(b0);
            FloatVector f0 = a0.sub(b0);
            FloatVector g0 = c0.add(d0);
            FloatVector h0 = c0.sub(d0);
            e0.add(g0).intoMemorySegment(ALL, to, ORDER);
            f0.add(h0).intoMemorySegment(ALL, to + V, ORDER);
            e0.sub(g0).intoMemorySegment(ALL, to + 14 * V, ORDER);
            f0.sub(h0).intoMemorySegment(ALL, to + 15 * V, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, i + V, ORDER);
            a1 = a1.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? a1.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : a1.rearrange(VectorSylvester.SWAP1));
            FloatVector b1 = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER);
            b1 = b1.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? b1.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : b1.rearrange(VectorSylvester.SWAP1));
            FloatVector c1 = FloatVector.fromMemorySegment(S, ALL, i + s14 + V, ORDER);
            c1 = c1.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? c1.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : c1.rearrange(VectorSylvester.SWAP1));
            FloatVector d1 = FloatVector.fromMemorySegment(S, ALL, j + s14 + V, ORDER);
            d1 = d1.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? d1.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : d1.rearrange(VectorSylvester.SWAP1));
            FloatVector e1 = a1.add(b1);
            FloatVector f1 = a1.sub(b1);
            FloatVector g1 = c1.add(d1);
            FloatVector h1 = c1.sub(d1);
            e1.add(g1).intoMemorySegment(ALL, to + 28 * V, ORDER);
            f1.add(h1).intoMemorySegment(ALL, to + 29 * V, ORDER);
            e1.sub(g1).intoMemorySegment(ALL, to + 42 * V, ORDER);
            f1.sub(h1).intoMemorySegment(ALL, to + 43 * V, ORDER);
        }
    }

    /** As {@link #splitAndPair} of f x; the rows of f lie as those of x do. */
    private static void splitAndPairOfProduct(long x, long f, long stride, long tile) {
        long s14 = 14 * stride & STRIDE;
        for (int t = 0; t < 7; t++) {
            long up = (t + 1) * stride;
            long down = (t == 0 ? 0 : 14 - t) * stride;
            long i = x + up & ADDRESS;
            long j = x + down & ADDRESS;
            long k = f + up & ADDRESS;
            long m = f + down & ADDRESS;
            long to = tile + 2 * V * t & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, i, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k, ORDER));
            a0 = a0.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? a0.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : a0.rearrange(VectorSylvester.SWAP1));
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, j, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, m, ORDER));
            b0 = b0.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? b0.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : b0.rearrange(VectorSylvester.SWAP1));
            FloatVector c0 = FloatVector.fromMemorySegment(S, ALL, i + s14, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + s14, ORDER));
            c0 = c0.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? c0.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : c0.rearrange(VectorSylvester.SWAP1));
            FloatVector d0 = FloatVector.fromMemorySegment(S, ALL, j + s14, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, m + s14, ORDER));
            d0 = d0.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? d0.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : d0.rearrange(VectorSylvester.SWAP1));
            FloatVector e0 = a0.add(b0);
            FloatVector f0 = a0.sub(b0);
            FloatVector g0 = c0.add(d0);
            FloatVector h0 = c0.sub(d0);
            e0.add(g0).intoMemorySegment(ALL, to, ORDER);
            f0.add(h0).intoMemorySegment(ALL, to + V, ORDER);
            e0.sub(g0).intoMemorySegment(ALL, to + 14 * V, ORDER);
            f0.sub(h0).intoMemorySegment(ALL, to + 15 * V, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, i + V, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + V, ORDER));
            a1 = a1.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? a1.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : a1.rearrange(VectorSylvester.SWAP1));
            FloatVector b1 = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, m + V, ORDER));
            b1 = b1.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? b1.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : b1.rearrange(VectorSylvester.SWAP1));
            FloatVector c1 = FloatVector.fromMemorySegment(S, ALL, i + s14 + V, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + s14 + V, ORDER));
            c1 = c1.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? c1.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : c1.rearrange(VectorSylvester.SWAP1));
            FloatVector d1 = FloatVector.fromMemorySegment(S, ALL, j + s14 + V, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, m + s14 + V, ORDER));
            d1 = d1.fma(
                    VectorSylvester.SIGN1,
                    LANES == 16
                            ? d1.reinterpretAsLongs()
                                    .lanewise(VectorOperators.ROL, 32)
                                    .reinterpretAsFloats()
                            : d1.rearrange(VectorSylvester.SWAP1));
            FloatVector e1 = a1.add(b1);
            FloatVector f1 = a1.sub(b1);
            FloatVector g1 = c1.add(d1);
            FloatVector h1 = c1.sub(d1);
            e1.add(g1).intoMemorySegment(ALL, to + 28 * V, ORDER);
            f1.add(h1).intoMemorySegment(ALL, to + 29 * V, ORDER);
            e1.sub(g1).intoMemorySegment(ALL, to + 42 * V, ORDER);
            f1.sub(h1).intoMemorySegment(ALL, to + 43 * V, ORDER);
        }
    }

    /** From what {@link #split} left: y_u of the two vectors, then y_v. */
    private static void products(long tile, long y, long stride) {
        long s1 = stride & STRIDE;
        long s2 = 2 * stride & STRIDE;
        long s3 = 3 * stride & STRIDE;
        FloatVector half = FloatVector.broadcast(S, 0.5f);
        FloatVector minusHalf = FloatVector.broadcast(S, -0.5f);
        for (int pass = 0; pass < 4; pass++) {
            FloatVector w = FloatVector.broadcast(S, pass < 2 ? 0.5f : -0.5f);
            FloatVector minusW = FloatVector.broadcast(S, pass < 2 ? -0.5f : 0.5f);
            long p = tile + (pass & 1) * 28L * V + (pass >> 1) * 14L * V & ADDRESS;
            long q = tile + (pass & 1) * 28L * V + (1 - (pass >> 1)) * 14L * V & ADDRESS;
            long to = y + (pass & 1) * V + (pass >> 1) * 14L * stride & ADDRESS;
            long to4 = to + 4 * stride & ADDRESS;
            long to8 = to + 8 * stride & ADDRESS;
            long to12 = to + 12 * stride & ADDRESS;
            FloatVector e0 = FloatVector.fromMemorySegment(S, ALL, p, ORDER);
            FloatVector o0 = FloatVector.fromMemorySegment(S, ALL, p + V, ORDER);
            FloatVector e1 = FloatVector.fromMemorySegment(S, ALL, p + 2 * V, ORDER);
            FloatVector o1 = FloatVector.fromMemorySegment(S, ALL, p + 3 * V, ORDER);
            FloatVector e2 = FloatVector.fromMemorySegment(S, ALL, p + 4 * V, ORDER);
            FloatVector o2 = FloatVector.fromMemorySegment(S, ALL, p + 5 * V, ORDER);
            FloatVector e3 = FloatVector.fromMemorySegment(S, ALL, p + 6 * V, ORDER);
            FloatVector o3 = FloatVector.fromMemorySegment(S, ALL, p + 7 * V, ORDER);
            FloatVector e4 = FloatVector.fromMemorySegment(S, ALL, p + 8 * V, ORDER);
            FloatVector o4 = FloatVector.fromMemorySegment(S, ALL, p + 9 * V, ORDER);
            FloatVector e5 = FloatVector.fromMemorySegment(S, ALL, p + 10 * V, ORDER);
            FloatVector o5 = FloatVector.fromMemorySegment(S, ALL, p + 11 * V, ORDER);
            FloatVector e6 = FloatVector.fromMemorySegment(S, ALL, p + 12 * V, ORDER);
            FloatVector o6 = FloatVector.fromMemorySegment(S, ALL, p + 13 * V, ORDER);
            FloatVector f0 = FloatVector.fromMemorySegment(S, ALL, q, ORDER)
                    .fma(w, e0.fma(half, e1.add(e3).add(e4)));
            FloatVector g0 = FloatVector.fromMemorySegment(S, ALL, q + V, ORDER)
                    .fma(minusW, o0.fma(half, e2.add(e5).add(e6)));
            f0.add(g0).intoMemorySegment(ALL, to, ORDER);
            f0.sub(g0).intoMemorySegment(ALL, to + s1, ORDER);
            FloatVector f1 = FloatVector.fromMemorySegment(S, ALL, q + 2 * V, ORDER)
                    .fma(w, e1.fma(minusHalf, e2.add(e0).sub(e6)));
            FloatVector g1 = FloatVector.fromMemorySegment(S, ALL, q + 3 * V, ORDER)
                    .fma(w, o1.fma(half, o4.add(o5).sub(o3)));
            f1.add(g1).intoMemorySegment(ALL, to + s2, ORDER);
            f1.sub(g1).intoMemorySegment(ALL, to12 + s1, ORDER);
            FloatVector f2 = FloatVector.fromMemorySegment(S, ALL, q + 4 * V, ORDER)
                    .fma(w, e2.fma(half, e1.sub(e4).sub(o0)));
            FloatVector g2 = FloatVector.fromMemorySegment(S, ALL, q + 5 * V, ORDER)
                    .fma(w, o2.fma(minusHalf, o3.add(o5).add(o6)));
            f2.add(g2).intoMemorySegment(ALL, to + s3, ORDER);
            f2.sub(g2).intoMemorySegment(ALL, to12, ORDER);
            FloatVector f3 = FloatVector.fromMemorySegment(S, ALL, q + 6 * V, ORDER)
                    .fma(w, e3.fma(minusHalf, e6.add(e0).sub(e5)));
            FloatVector g3 = FloatVector.fromMemorySegment(S, ALL, q + 7 * V, ORDER)
                    .fma(w, o3.fma(half, o2.add(o4).sub(o1)));
            f3.add(g3).intoMemorySegment(ALL, to4, ORDER);
            f3.sub(g3).intoMemorySegment(ALL, to8 + s3, ORDER);
            FloatVector f4 = FloatVector.fromMemorySegment(S, ALL, q + 8 * V, ORDER)
                    .fma(w, e4.fma(minusHalf, e5.add(e0).sub(e2)));
            FloatVector g4 = FloatVector.fromMemorySegment(S, ALL, q + 9 * V, ORDER)
                    .fma(w, o4.fma(half, o1.add(o3).sub(o6)));
            f4.add(g4).intoMemorySegment(ALL, to4 + s1, ORDER);
            f4.sub(g4).intoMemorySegment(ALL, to8 + s2, ORDER);
            FloatVector f5 = FloatVector.fromMemorySegment(S, ALL, q + 10 * V, ORDER)
                    .fma(w, e5.fma(half, e4.sub(e3).sub(o0)));
            FloatVector g5 = FloatVector.fromMemorySegment(S, ALL, q + 11 * V, ORDER)
                    .fma(w, o5.fma(minusHalf, o1.add(o2).add(o6)));
            f5.add(g5).intoMemorySegment(ALL, to4 + s2, ORDER);
            f5.sub(g5).intoMemorySegment(ALL, to8 + s1, ORDER);
            FloatVector f6 = FloatVector.fromMemorySegment(S, ALL, q + 12 * V, ORDER)
                    .fma(w, e6.fma(half, e3.sub(e1).sub(o0)));
            FloatVector g6 = FloatVector.fromMemorySegment(S, ALL, q + 13 * V, ORDER)
                    .fma(w, o6.fma(minusHalf, o2.add(o5).sub(o4)));
            f6.add(g6).intoMemorySegment(ALL, to4 + s3, ORDER);
            f6.sub(g6).intoMemorySegment(ALL, to8, ORDER);
        }
    }
}
