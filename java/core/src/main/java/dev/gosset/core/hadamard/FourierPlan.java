package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/**
 * The passes of a fast {@link FourierTransform} of N = n / 2 complex numbers, in Stockham's order, and their numbers as float32: radix
 * 4 with the strides 1 and 4, further fours, at most one two, then the odd primes of N.
 *
 * <p>A pass of radix p and stride s, with m = N / (p s), takes {@code x[s (i + m r) + q]}, r below p, to {@code y[s (p i + k) + q]}, k
 * below p, for i below m and q below s, by a transform of length p and a turn by {@code w^(s i k)}, {@code w = exp(-2 pi i / N)}.
 * Immutable, thread-safe.
 */
public final class FourierPlan {
    /** n is a multiple of this, so that vectors of up to 16 floats never reach over a stride. */
    private static final int MULTIPLE = 64;

    private static final int LARGEST_PRIME = 509;

    /**
     * One pass.
     *
     * @param radix p: 2, 4 or an odd prime
     * @param stride s
     * @param turns byte in the table. Radix 2 and 4: for each i eight floats, the cosine and sine of the angle of {@code w^-(s i k)} for k = 1
     *     .. 3; an odd prime: for each i 2 (p - 1) floats, likewise. Angles count against the turn, which is by their negative
     * @param spread byte in the table, of strides 1 and 4: six rows of N / 2 floats, for k = 1 .. 3 the cosines, each twice, and the sines, as s
     *     and -s, with {@code i = t / s} for pair t
     * @param coefficients byte in the table, of an odd prime: for k = 1, 3, 5 .. up to (p - 1) / 2 and r = 1 .. (p - 1) / 2 four floats: cos(2
     *     pi r k / p), the same for k + 1, and both sines; k again in place of a k + 1 beyond
     */
    public record Pass(int radix, int stride, long turns, long spread, long coefficients) {}

    private final Pass[] passes;
    private final MemorySegment table;
    private final int largest;

    FourierPlan(int n) {
        int half = n / 2;
        int[] radices = radices(half);
        largest = radices[radices.length - 1];
        passes = new Pass[radices.length];
        long bytes = 0;
        for (int i = 0, stride = 1; i < radices.length; stride *= radices[i], i++) {
            int p = radices[i];
            int m = half / p / stride;
            long turns = bytes;
            long spread = turns + 4L * m * turnsOf(p);
            long coefficients = spread + (stride <= 4 ? 12L * half : 0);
            bytes = coefficients + (p > 4 || p == 3 ? 16L * ((p + 1) / 4) * (p / 2) : 0);
            passes[i] = new Pass(p, stride, turns, spread, coefficients);
        }
        MemorySegment all = Arena.ofAuto().allocate(bytes, 64);
        for (Pass pass : passes) {
            fill(all, pass, half);
        }
        table = all.asReadOnly();
    }

    private static int turnsOf(int radix) {
        return radix <= 4 && radix != 3 ? 8 : 2 * (radix - 1);
    }

    /** Whether there is one for vectors of n numbers. */
    static boolean exists(int n) {
        return n % MULTIPLE == 0 && IntStream.of(radices(n / 2)).allMatch(p -> p <= LARGEST_PRIME);
    }

    private static int[] radices(int half) {
        int[] found = new int[32];
        int count = 0;
        int rest = half;
        for (; rest % 4 == 0; rest /= 4) {
            found[count++] = 4;
        }
        for (int p = 2; rest > 1; p++) {
            if ((long) p * p > rest) {
                p = rest;
            }
            for (; rest % p == 0; rest /= p) {
                found[count++] = p;
            }
        }
        return java.util.Arrays.copyOf(found, count);
    }

    private static void fill(MemorySegment all, Pass pass, int half) {
        int p = pass.radix;
        int s = pass.stride;
        int m = half / p / s;
        int turns = turnsOf(p);
        for (int i = 0; i < m; i++) {
            for (int k = 1; k < p; k++) {
                double angle = 2 * Math.PI * ((long) s * i * k) / half;
                put(all, pass.turns, (long) turns * i + 2L * (k - 1), Math.cos(angle));
                put(all, pass.turns, (long) turns * i + 2L * (k - 1) + 1, Math.sin(angle));
            }
        }
        for (int t = 0; s <= 4 && t < half / 4; t++) {
            for (int k = 1; k < 4; k++) {
                double angle = 2 * Math.PI * ((long) s * (t / s) * k) / half;
                long cosines = (long) half * (k - 1) + 2L * t;
                put(all, pass.spread, cosines, Math.cos(angle));
                put(all, pass.spread, cosines + 1, Math.cos(angle));
                put(all, pass.spread, cosines + half / 2, Math.sin(angle));
                put(all, pass.spread, cosines + half / 2 + 1, -Math.sin(angle));
            }
        }
        if (p > 4 || p == 3) {
            long at = 0;
            for (int k = 1; k <= p / 2; k += 2) {
                for (int r = 1; r <= p / 2; r++, at += 4) {
                    for (int pair = 0; pair < 2; pair++) {
                        double angle = 2 * Math.PI * (r * Math.min(k + pair, p / 2) % p) / p;
                        put(all, pass.coefficients, at + pair, Math.cos(angle));
                        put(all, pass.coefficients, at + 2 + pair, Math.sin(angle));
                    }
                }
            }
        }
    }

    private static void put(MemorySegment all, long from, long index, double value) {
        all.set(JAVA_FLOAT_UNALIGNED, from + 4 * index, (float) value);
    }

    /** How many passes; at least two. */
    public int passes() {
        return passes.length;
    }

    /** One of the passes. */
    public Pass pass(int i) {
        return passes[i];
    }

    /** The radix of the last pass. */
    public int largestRadix() {
        return largest;
    }

    /** The numbers of all passes: float32, native byte order, a read-only native segment that lives as long as it is reachable. */
    public MemorySegment table() {
        return table;
    }
}
