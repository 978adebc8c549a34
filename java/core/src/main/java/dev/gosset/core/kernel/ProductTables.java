package dev.gosset.core.kernel;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E8p;
import java.lang.foreign.Arena;
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
 * of 512 bits; the first pair has 64, for it also carries the shift of +-1/4 times the sum of the eight x.
 *
 * <p><b>Layout of a prepared input.</b> 64 bytes: the double {@code 1 / scale} of the points at 0 and of the residual at 8.
 * Then for each group of eight columns {@value #GROUP_BYTES} bytes: 64 shorts of the first pair, 32 of each other. Every entry
 * is {@code round(scale * product)}, those of the first pair plus 32768. For 3 bits then the {@link ResidualTables}.
 *
 * <p><b>Error.</b> {@code scale = 32700 / (N max_g |x_g|)} with the Euclidean norm of a group of eight and N the largest
 * norm of a point, sqrt(17) for E8P: no sum of four entries overflows 16 bits. An entry is wrong by at most
 * 0.51 of its unit, so a row of G groups by at most {@code 4 * 0.51 G / scale}, of the order of {@code 0.58 sqrt(G) /
 * scale} for random roundings: 1.3e-4 of y for Gaussian x. For 3 and 4 bits the residual's error, divided by the residual
 * scale, adds to it; {@link ResidualTables} state that of 3 bits.
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

    static final double POINT_NORM = Math.sqrt(17);

    /**
     * Two tables of 256 bytes indexed by the magnitude byte of an E8P code: bit 0 of the first is the parity of the row of S,
     * bits 1, 3 and 4 the first pair, bits 5 to 7 the second; bits 2 to 4 of the second table are the third pair, bits 5 to 7
     * the fourth.
     */
    static final MemorySegment FIELDS = Arena.global().allocate(512, 64);

    private static final VectorSpecies<Float> F = FloatVector.SPECIES_512;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final VectorShuffle<Float> SWAP1 = VectorShuffle.fromOp(F, i -> i ^ 1);
    private static final VectorShuffle<Float> SWAP2 = VectorShuffle.fromOp(F, i -> i ^ 2);
    private static final VectorShuffle<Float> SWAP4 = VectorShuffle.fromOp(F, i -> i ^ 4);

    /** The doubled magnitudes of a pair by its number. */
    private static final int[][] PAIRS = {{1, 1}, {3, 1}, {1, 3}, {3, 3}, {5, 1}, {1, 5}, {5, 3}, {3, 5}};

    /**
     * Three kinds of tables of 256 bytes: the factors of the first x in the entries 0, 2, .. 30, then in 1, 3, .. 31, then
     * those of the second x. The kinds are the first pair, the second and fourth, the third.
     */
    private static final MemorySegment FACTORS = Arena.global().allocate(3 * 256, 64);

    private static final long FACTORS_AT = FACTORS.address();
    private static final MemorySegment MEMORY = NativeMemory.ALL;

    /** What no address has: C2 then knows that address + constant lies in {@link #MEMORY}. */
    private static final long ADDRESS = (1L << 62) - 1;

    /** Added to a float so that its low bits are the nearest integer. */
    private static final float ROUND = 12582912f;

    static {
        fillPoints();
    }

    private ProductTables() {}

    private static void fillPoints() {
        byte[] doubled = E8p.doubledMagnitudes();
        for (int a = 0; a < 256; a++) {
            int sum = 0;
            int[] pair = new int[4];
            for (int p = 0; p < 4; p++) {
                int m1 = doubled[8 * a + 2 * p];
                int m2 = doubled[8 * a + 2 * p + 1];
                sum += m1 + m2;
                while (PAIRS[pair[p]][0] != m1 || PAIRS[pair[p]][1] != m2) {
                    pair[p]++;
                }
            }
            int first = (sum / 2 & 1) | (pair[0] & 1) << 1 | (pair[0] & 6) << 2 | pair[1] << 5;
            FIELDS.set(ValueLayout.JAVA_BYTE, a, (byte) first);
            FIELDS.set(ValueLayout.JAVA_BYTE, 256 + a, (byte) (pair[2] << 2 | pair[3] << 5));
        }
        for (int i = 0; i < 32; i++) {
            // the sign of the first coordinate, bit 0 of the index, is flipped once more for the shift -1/4: see build
            setFactors(0, i, PAIRS[(i >> 1 & 1) | (i >> 2 & 6)], i & 1, i >> 2 & 1);
            setFactors(1, i, PAIRS[i & 7], i >> 3 & 1, i >> 4 & 1);
            setFactors(2, i, PAIRS[i >> 2 & 7], i & 1, i >> 1 & 1);
        }
    }

    private static void setFactors(int kind, int entry, int[] doubled, int sign1, int sign2) {
        long at = 256L * kind + 64L * (entry & 1) + 4L * (entry >> 1);
        FACTORS.set(FLOAT, at, (sign1 == 0 ? 0.5f : -0.5f) * doubled[0]);
        FACTORS.set(FLOAT, at + 128, (sign2 == 0 ? 0.5f : -0.5f) * doubled[1]);
    }

    /** Bytes of the prepared form of one x. */
    static long bytes(Codebook codebook, int groups) {
        return HEADER + (long) groups * (GROUP_BYTES + (codebook.bits() == 3 ? ResidualTables.GROUP_BYTES : 0));
    }

    /**
     * Builds the tables of one x.
     *
     * @param x {@code 32 * groups} bytes of floats
     * @param out {@link #bytes} bytes from {@code at} on
     */
    static void build(Codebook codebook, MemorySegment x, int groups, MemorySegment out, long at) {
        long from = NativeMemory.readable(x, 0, 32L * groups);
        long to = NativeMemory.writable(out, at, bytes(codebook, groups));
        try {
            double squared = largestSquaredNorm(from, groups);
            // Squares that float32 cannot hold are rare: they are formed again in float64.
            double norm = Math.sqrt(squared > 1e-30 && squared < 1e38 ? squared : slowSquaredNorm(x, groups));
            // A scale that float32 cannot hold is cut: what is lost then is below 1e-25.
            double scale = Math.min(LIMIT / (POINT_NORM * norm), 0x1p100);
            out.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, at, inverse(scale));
            points(from, groups, (float) scale, to + HEADER);
            if (codebook.bits() == 3) {
                double residualScale = Math.min(LIMIT / (ResidualTables.NORM * norm), 0x1p100);
                out.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, at + 8, inverse(residualScale));
                long tables = to + HEADER + (long) GROUP_BYTES * groups;
                ResidualTables.build(from, groups, (float) residualScale, tables);
            }
        } finally {
            NativeMemory.keep(x, out);
        }
    }

    /** Infinite or NaN inputs give NaN, as a sum over all columns would. */
    private static double inverse(double scale) {
        return scale > 0 ? 1 / (double) (float) scale : Double.NaN;
    }

    private static double slowSquaredNorm(MemorySegment x, int groups) {
        double max = 0;
        for (int g = 0; g < groups; g++) {
            double sum = 0;
            for (long p = 32L * g; p < 32L * g + 32; p += 4) {
                sum += (double) x.get(FLOAT, p) * x.get(FLOAT, p);
            }
            max = Math.max(max, sum);
        }
        return max;
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
            long p = x + 32L * g & ADDRESS;
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

    /** The tables of the points: per entry two FMAs and the addition that rounds; VPSLLD and VPTERNLOGD make pairs of shorts. */
    private static void points(long x, int groups, float scale, long out) {
        FloatVector a0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT, ORDER);
        FloatVector a1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 64, ORDER);
        FloatVector b0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 128, ORDER);
        FloatVector b1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 192, ORDER);
        FloatVector c0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 256, ORDER);
        FloatVector c1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 320, ORDER);
        FloatVector d0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 384, ORDER);
        FloatVector d1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 448, ORDER);
        FloatVector e0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 512, ORDER);
        FloatVector e1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 576, ORDER);
        FloatVector f0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 640, ORDER);
        FloatVector f1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 704, ORDER);
        FloatVector round = FloatVector.broadcast(F, ROUND);
        FloatVector biased = FloatVector.broadcast(F, ROUND + OFFSET);
        for (int g = 0; g < groups; g++) {
            long p = x + 32L * g & ADDRESS;
            long q = out + (long) GROUP_BYTES * g & ADDRESS;
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
            IntVector even = v.fma(a0, w.fma(b0, s)).add(biased).reinterpretAsInts();
            IntVector odd = v.fma(a1, w.fma(b1, s)).add(biased).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q, ORDER);
            v = FloatVector.broadcast(F, -x0);
            s = FloatVector.broadcast(F, -shift);
            even = v.fma(a0, w.fma(b0, s)).add(biased).reinterpretAsInts();
            odd = v.fma(a1, w.fma(b1, s)).add(biased).reinterpretAsInts();
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
            even = v.fma(c0, w.mul(d0)).add(round).reinterpretAsInts();
            odd = v.fma(c1, w.mul(d1)).add(round).reinterpretAsInts();
            even.and(0xffff).or(odd.lanewise(VectorOperators.LSHL, 16)).intoMemorySegment(MEMORY, q + 256, ORDER);
        }
    }
}
