package dev.gosset.core.kernel.tables;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.bounds.ErrorBounds;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * The products that codes can have with an input x, as 16-bit integers in tables that fit one vector register.
 *
 * <p>Eight coordinates are four pairs. The magnitudes of a pair of E8P, doubled, are one of eight: {1, 3} x {1, 3}, or a 5
 * beside a 1 or a 3. With two signs that is an index of 5 bits, so the 32 products of a pair with its two x fill a vector
 * of 512 bits; the first pair has 64, for it also carries the shift of +-1/4 times the sum of the eight x. The residual
 * E81B has 17 different pairs: 13 of integers and four of halves.
 *
 * <p><b>Layout of a prepared input.</b> 64 bytes: the double {@code 1 / scale} of the points at 0 and of the residual at 8.
 * Then for each group of eight columns {@value #GROUP_BYTES} bytes: 64 shorts of the first pair, 32 of each other. Every entry
 * is {@code round(scale * product)}, those of the first pair plus 32768. For 3 bits then the tables of the residual, as the
 * {@link BlockCodes} want them: either the same of its pairs, where the second half of the first pair's is left out, or {@link
 * ResidualTables}.
 *
 * <p><b>Error.</b> {@code scale = 32700 / (N max_g |x_g|)} with the Euclidean norm of a group of eight and N the largest
 * norm of a point, sqrt(17) for E8P and 2 for E81B: no sum of four entries overflows 16 bits. An entry is wrong by at most
 * 0.51 of its unit, so a row of G groups by at most {@code 4 * 0.51 G / scale}, of the order of {@code 0.58 sqrt(G) /
 * scale} for random roundings: 1.3e-4 of y for Gaussian x. For 3 and 4 bits the residual's error, divided by the residual
 * scale, adds to it; {@link ResidualTables} state theirs.
 */
final class ProductTables {
    /** Bytes before the tables of a prepared input. */
    static final int HEADER = 64;

    /** Bytes of the tables of one group of eight columns. */
    static final int GROUP_BYTES = 320;

    /** The largest sum of four entries. */
    static final double LIMIT = 32700;

    /** What the sum of four entries is too large by. */
    static final int OFFSET = 32768;

    /** Entries that the product of a point adds up. */
    private static final int POINT_ENTRIES = 4;

    /** The unit of the points' entries, as a part of the largest norm of a group of x. */
    private static final double POINT_UNIT = ErrorBounds.POINT_NORM / LIMIT;

    private static final VectorSpecies<Float> F = FloatVector.SPECIES_512;
    private static final MemorySegment MEMORY = NativeMemory.ALL;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final VectorShuffle<Float> SWAP1 = VectorShuffle.fromOp(F, i -> i ^ 1);
    private static final VectorShuffle<Float> SWAP2 = VectorShuffle.fromOp(F, i -> i ^ 2);
    private static final VectorShuffle<Float> SWAP4 = VectorShuffle.fromOp(F, i -> i ^ 4);

    /** The doubled magnitudes of a pair by its number. */
    static final int[][] PAIRS = {{1, 1}, {3, 1}, {1, 3}, {3, 3}, {5, 1}, {1, 5}, {5, 3}, {3, 5}};

    /** Added to a float so that its low bits are the nearest integer. */
    private static final float ROUND = 12582912f;

    private ProductTables() {}

    /** The number of a pair of doubled magnitudes. */
    static int pair(int first, int second) {
        int number = 0;
        while (PAIRS[number][0] != first || PAIRS[number][1] != second) {
            number++;
        }
        return number;
    }

    /** Bytes of the prepared form of one x. */
    static long bytes(Codebook codebook, int groups, BlockCodes form) {
        return HEADER + (long) groups * (GROUP_BYTES + (codebook.bits() == 3 ? form.residualTableBytes() : 0));
    }

    /**
     * Builds the tables of one x.
     *
     * @param x {@code 32 * groups} bytes of floats
     * @param form whose order the entries have, and whose tables the residual
     * @param out {@link #bytes} bytes from {@code at} on
     */
    static void build(Codebook codebook, MemorySegment x, int groups, BlockCodes form, MemorySegment out, long at) {
        long from = NativeMemory.readable(x, 0, 32L * groups);
        long to = NativeMemory.writable(out, at, bytes(codebook, groups, form));
        try {
            double squared = largestSquaredNorm(from, groups);
            // Squares that float32 cannot hold are rare: they are formed again in float64.
            double norm = squared > 1e-30 && squared < 1e38 ? Math.sqrt(squared) : ErrorBounds.largestNorm(x, groups);
            // A scale that float32 cannot hold is cut: what is lost then is below 1e-25.
            double scale = Math.min(LIMIT / (ErrorBounds.POINT_NORM * norm), 0x1p100);
            out.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, at, inverse(scale));
            points(from, groups, form.factors().data.address(), (float) scale, to + HEADER);
            if (codebook.bits() == 3) {
                double residualScale = Math.min(LIMIT / (ErrorBounds.RESIDUAL_NORM * norm), 0x1p100);
                out.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, at + 8, inverse(residualScale));
                form.buildResiduals(from, groups, (float) residualScale, to + HEADER + (long) GROUP_BYTES * groups);
            }
        } finally {
            NativeMemory.keep(x, out);
        }
    }

    /** {@link PreparedMatrix#errorBound} but for the last rounding. */
    static double errorBound(Codebook codebook, MemorySegment x, int groups, BlockCodes form) {
        double norms = groups * ErrorBounds.ENTRY * ErrorBounds.largestNorm(x, groups);
        return norms * (POINT_ENTRIES * POINT_UNIT + residualEntries(codebook, form) * residualUnit(codebook));
    }

    /** {@link PreparedMatrix#relativeError}. */
    static double relativeError(Codebook codebook, BlockCodes form) {
        return ErrorBounds.ofTables(POINT_ENTRIES, POINT_UNIT, residualEntries(codebook, form), residualUnit(codebook));
    }

    private static int residualEntries(Codebook codebook, BlockCodes form) {
        return switch (codebook.bits()) {
            case 2 -> 0;
            case 3 -> form.residualEntries();
            default -> POINT_ENTRIES;
        };
    }

    private static double residualUnit(Codebook codebook) {
        return (codebook.bits() == 3 ? ErrorBounds.RESIDUAL_NORM / LIMIT : POINT_UNIT) / codebook.residualScale();
    }

    /** Infinite or NaN inputs give NaN, as a sum over all columns would. */
    private static double inverse(double scale) {
        return scale > 0 ? 1 / (double) (float) scale : Double.NaN;
    }

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing but the Vector API, so that C2 compiles it on its own and boxes nothing.

    /** {@code max_g |x_g|^2}; infinite or NaN where an x is. */
    private static float largestSquaredNorm(long x, int groups) {
        FloatVector m0 = FloatVector.zero(F);
        FloatVector m1 = m0;
        FloatVector m2 = m0;
        FloatVector m3 = m0;
        int g = 0;
        for (; g <= groups - 8; g += 8) {
            long p = x + 32L * g & NativeMemory.ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(F, MEMORY, p, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(F, MEMORY, p + 64, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(F, MEMORY, p + 128, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(F, MEMORY, p + 192, ORDER);
            a = a.mul(a);
            b = b.mul(b);
            c = c.mul(c);
            d = d.mul(d);
            a = a.add(a.rearrange(SWAP4));
            b = b.add(b.rearrange(SWAP4));
            c = c.add(c.rearrange(SWAP4));
            d = d.add(d.rearrange(SWAP4));
            a = a.add(a.rearrange(SWAP2));
            b = b.add(b.rearrange(SWAP2));
            c = c.add(c.rearrange(SWAP2));
            d = d.add(d.rearrange(SWAP2));
            m0 = m0.max(a.add(a.rearrange(SWAP1)));
            m1 = m1.max(b.add(b.rearrange(SWAP1)));
            m2 = m2.max(c.add(c.rearrange(SWAP1)));
            m3 = m3.max(d.add(d.rearrange(SWAP1)));
        }
        float max = m0.max(m1).max(m2.max(m3)).reduceLanes(VectorOperators.MAX);
        for (; g < groups; g++) {
            float sum = 0;
            for (long p = x + 32L * g, end = p + 32; p < end; p += 4) {
                sum = Math.fma(MEMORY.get(FLOAT, p), MEMORY.get(FLOAT, p), sum);
            }
            max = Math.max(max, sum);
        }
        return max;
    }

    /** The tables of the points: per entry the FMAs and the addition that rounds; VPSLLD and VPTERNLOGD make pairs of shorts. */
    private static void points(long x, int groups, long factors, float scale, long out) {
        FloatVector a0 = FloatVector.fromMemorySegment(F, MEMORY, factors, ORDER);
        FloatVector a1 = FloatVector.fromMemorySegment(F, MEMORY, factors + 64, ORDER);
        FloatVector b0 = FloatVector.fromMemorySegment(F, MEMORY, factors + 128, ORDER);
        FloatVector b1 = FloatVector.fromMemorySegment(F, MEMORY, factors + 192, ORDER);
        FloatVector h0 = FloatVector.fromMemorySegment(F, MEMORY, factors + 256, ORDER);
        FloatVector h1 = FloatVector.fromMemorySegment(F, MEMORY, factors + 320, ORDER);
        FloatVector i0 = FloatVector.fromMemorySegment(F, MEMORY, factors + 384, ORDER);
        FloatVector i1 = FloatVector.fromMemorySegment(F, MEMORY, factors + 448, ORDER);
        FloatVector j0 = FloatVector.fromMemorySegment(F, MEMORY, factors + 512, ORDER);
        FloatVector j1 = FloatVector.fromMemorySegment(F, MEMORY, factors + 576, ORDER);
        FloatVector k0 = FloatVector.fromMemorySegment(F, MEMORY, factors + 640, ORDER);
        FloatVector k1 = FloatVector.fromMemorySegment(F, MEMORY, factors + 704, ORDER);
        FloatVector c0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS, ORDER);
        FloatVector c1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 64, ORDER);
        FloatVector d0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 128, ORDER);
        FloatVector d1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 192, ORDER);
        FloatVector e0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 256, ORDER);
        FloatVector e1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 320, ORDER);
        FloatVector f0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 384, ORDER);
        FloatVector f1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 448, ORDER);
        FloatVector l0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 512, ORDER);
        FloatVector l1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 576, ORDER);
        FloatVector m0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 640, ORDER);
        FloatVector m1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.POINTS + 704, ORDER);
        FloatVector round = FloatVector.broadcast(F, ROUND);
        FloatVector biased = FloatVector.broadcast(F, ROUND + OFFSET);
        for (int g = 0; g < groups; g++) {
            long p = x + 32L * g & NativeMemory.ADDRESS;
            long q = out + (long) GROUP_BYTES * g & NativeMemory.ADDRESS;
            float x0 = MEMORY.get(FLOAT, p) * scale;
            float x1 = MEMORY.get(FLOAT, p + 4) * scale;
            float x2 = MEMORY.get(FLOAT, p + 8) * scale;
            float x3 = MEMORY.get(FLOAT, p + 12) * scale;
            float x4 = MEMORY.get(FLOAT, p + 16) * scale;
            float x5 = MEMORY.get(FLOAT, p + 20) * scale;
            float x6 = MEMORY.get(FLOAT, p + 24) * scale;
            float x7 = MEMORY.get(FLOAT, p + 28) * scale;
            float shift = 0.25f * (((x0 + x1) + (x2 + x3)) + ((x4 + x5) + (x6 + x7)));
            FloatVector v = FloatVector.broadcast(F, x0);
            FloatVector w = FloatVector.broadcast(F, x1);
            FloatVector s = FloatVector.broadcast(F, shift);
            IntVector even = v.fma(a0, w.fma(b0, s.mul(h0))).add(biased).reinterpretAsInts();
            IntVector odd = v.fma(a1, w.fma(b1, s.mul(h1))).add(biased).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q, ORDER);
            even = v.fma(i0, w.fma(j0, s.mul(k0))).add(biased).reinterpretAsInts();
            odd = v.fma(i1, w.fma(j1, s.mul(k1))).add(biased).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q + 64, ORDER);
            v = FloatVector.broadcast(F, x2);
            w = FloatVector.broadcast(F, x3);
            even = v.fma(c0, w.mul(d0)).add(round).reinterpretAsInts();
            odd = v.fma(c1, w.mul(d1)).add(round).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q + 128, ORDER);
            v = FloatVector.broadcast(F, x4);
            w = FloatVector.broadcast(F, x5);
            even = v.fma(e0, w.mul(f0)).add(round).reinterpretAsInts();
            odd = v.fma(e1, w.mul(f1)).add(round).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q + 192, ORDER);
            v = FloatVector.broadcast(F, x6);
            w = FloatVector.broadcast(F, x7);
            even = v.fma(l0, w.mul(m0)).add(round).reinterpretAsInts();
            odd = v.fma(l1, w.mul(m1)).add(round).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q + 256, ORDER);
        }
    }

    /**
     * The tables of the pairs of the residual.
     *
     * @param x the address of {@code 8 * groups} floats
     * @param factors that of {@link ProductFactors}
     * @param out that of {@code groups * } {@value #GROUP_BYTES} bytes
     */
    static void residuals(long x, int groups, long factors, float scale, long out) {
        FloatVector a0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS, ORDER);
        FloatVector a1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 64, ORDER);
        FloatVector b0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 128, ORDER);
        FloatVector b1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 192, ORDER);
        FloatVector c0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 256, ORDER);
        FloatVector c1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 320, ORDER);
        FloatVector d0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 384, ORDER);
        FloatVector d1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 448, ORDER);
        FloatVector e0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 512, ORDER);
        FloatVector e1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 576, ORDER);
        FloatVector f0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 640, ORDER);
        FloatVector f1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 704, ORDER);
        FloatVector l0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 768, ORDER);
        FloatVector l1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 832, ORDER);
        FloatVector m0 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 896, ORDER);
        FloatVector m1 = FloatVector.fromMemorySegment(F, MEMORY, factors + ProductFactors.RESIDUALS + 960, ORDER);
        FloatVector round = FloatVector.broadcast(F, ROUND);
        FloatVector biased = FloatVector.broadcast(F, ROUND + OFFSET);
        for (int g = 0; g < groups; g++) {
            long p = x + 32L * g & NativeMemory.ADDRESS;
            long q = out + (long) GROUP_BYTES * g & NativeMemory.ADDRESS;
            FloatVector v = FloatVector.broadcast(F, MEMORY.get(FLOAT, p) * scale);
            FloatVector w = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 4) * scale);
            IntVector even = v.fma(a0, w.mul(b0)).add(biased).reinterpretAsInts();
            IntVector odd = v.fma(a1, w.mul(b1)).add(biased).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q, ORDER);
            v = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 8) * scale);
            w = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 12) * scale);
            even = v.fma(c0, w.mul(d0)).add(round).reinterpretAsInts();
            odd = v.fma(c1, w.mul(d1)).add(round).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q + 128, ORDER);
            v = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 16) * scale);
            w = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 20) * scale);
            even = v.fma(e0, w.mul(f0)).add(round).reinterpretAsInts();
            odd = v.fma(e1, w.mul(f1)).add(round).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q + 192, ORDER);
            v = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 24) * scale);
            w = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 28) * scale);
            even = v.fma(l0, w.mul(m0)).add(round).reinterpretAsInts();
            odd = v.fma(l1, w.mul(m1)).add(round).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q + 256, ORDER);
        }
    }
}
