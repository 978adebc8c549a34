package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;

import java.lang.foreign.MemorySegment;

/**
 * The discrete Fourier transform of N complex numbers in float64, {@code w_j = sum_k u_k exp(-2 pi i j k / N)}, for every N: Stockham's
 * passes, one for each prime factor; where a factor is larger than {@value #LARGEST_FACTOR}, the chirp transform of Bluestein over a
 * power of two. Immutable, thread-safe; the memory that it works in is the caller's, and it allocates nothing.
 */
final class ComplexFourier {
    private static final int LARGEST_FACTOR = 61;

    private final int n;
    private final int[] factors;
    /** exp(-2 pi i k / n), k below n. */
    private final double[] cos;

    private final double[] sin;
    /** Of a chirp transform: the passes over a power of two, and the transformed chirp. */
    private final ComplexFourier inner;

    private final double[] chirpRe;
    private final double[] chirpIm;
    private final double[] filterRe;
    private final double[] filterIm;

    ComplexFourier(int n) {
        this.n = n;
        factors = factors(n);
        if (factors.length > 0 && factors[factors.length - 1] > LARGEST_FACTOR) {
            int size = Integer.highestOneBit(2 * n - 2) * 2;
            inner = new ComplexFourier(size);
            cos = sin = null;
            chirpRe = new double[n];
            chirpIm = new double[n];
            filterRe = new double[size];
            filterIm = new double[size];
            for (int k = 0; k < n; k++) {
                // exp(-pi i k^2 / n), whose exponent counts modulo 2 n.
                double angle = Math.PI * ((long) k * k % (2L * n)) / n;
                chirpRe[k] = Math.cos(angle);
                chirpIm[k] = -Math.sin(angle);
                filterRe[k] = filterRe[(size - k) % size] = chirpRe[k];
                filterIm[k] = filterIm[(size - k) % size] = -chirpIm[k];
            }
            double[] work = new double[Math.toIntExact(2L * size + inner.workLength())];
            System.arraycopy(filterRe, 0, work, 0, size);
            System.arraycopy(filterIm, 0, work, size, size);
            inner.transform(MemorySegment.ofArray(work), 0);
            System.arraycopy(work, 0, filterRe, 0, size);
            System.arraycopy(work, size, filterIm, 0, size);
        } else {
            inner = null;
            chirpRe = chirpIm = filterRe = filterIm = null;
            cos = new double[n];
            sin = new double[n];
            for (int k = 0; k < n; k++) {
                cos[k] = Math.cos(2 * Math.PI * k / n);
                sin[k] = -Math.sin(2 * Math.PI * k / n);
            }
        }
    }

    /** The primes of n, ascending, pairs of 2 as 4. */
    private static int[] factors(int n) {
        int[] found = new int[32];
        int count = 0;
        int rest = n;
        for (int p = 2; rest > 1; p++) {
            if ((long) p * p > rest) {
                p = rest;
            }
            for (; rest % p == 0; rest /= p) {
                if (p == 2 && count > 0 && found[count - 1] == 2) {
                    found[count - 1] = 4;
                } else {
                    found[count++] = p;
                }
            }
        }
        int[] factors = java.util.Arrays.copyOf(found, count);
        java.util.Arrays.sort(factors);
        return factors;
    }

    /** Numbers of scratch that {@link #transform} needs behind the 2 N of the vector. */
    long workLength() {
        return inner == null ? 2L * n : 2L * inner.n + inner.workLength();
    }

    /**
     * In place.
     *
     * @param x from the number {@code at} on N real parts, N imaginary parts, and scratch: before u, after w
     */
    void transform(MemorySegment x, long at) {
        if (inner == null) {
            passes(x, at);
        } else {
            chirp(x, at);
        }
    }

    private static double get(MemorySegment x, long i) {
        return x.get(JAVA_DOUBLE_UNALIGNED, 8 * i);
    }

    private static void set(MemorySegment x, long i, double value) {
        x.set(JAVA_DOUBLE_UNALIGNED, 8 * i, value);
    }

    /** Each pass copies the vector behind itself and writes it anew from there. */
    private void passes(MemorySegment x, long at) {
        int len = n;
        int stride = 1;
        for (int p : factors) {
            int m = len / p;
            MemorySegment.copy(x, 8 * at, x, 8 * (at + 2L * n), 16L * n);
            switch (p) {
                case 2 -> two(x, at + 2L * n, at, m, stride);
                case 4 -> four(x, at + 2L * n, at, m, stride);
                default -> prime(p, x, at + 2L * n, at, m, stride);
            }
            len = m;
            stride *= p;
        }
    }

    private void two(MemorySegment x, long from, long to, int m, int stride) {
        for (int i = 0; i < m; i++) {
            double c = cos[stride * i];
            double s = sin[stride * i];
            for (int q = 0; q < stride; q++) {
                long a = from + (long) stride * i + q;
                long b = a + (long) stride * m;
                long y = to + 2L * stride * i + q;
                double difR = get(x, a) - get(x, b);
                double difI = get(x, n + a) - get(x, n + b);
                set(x, y, get(x, a) + get(x, b));
                set(x, n + y, get(x, n + a) + get(x, n + b));
                set(x, y + stride, difR * c - difI * s);
                set(x, n + y + stride, difR * s + difI * c);
            }
        }
    }

    private void four(MemorySegment x, long from, long to, int m, int stride) {
        long step = (long) stride * m;
        for (int i = 0; i < m; i++) {
            int w = stride * i;
            for (int q = 0; q < stride; q++) {
                long a = from + w + q;
                long y = to + 4L * w + q;
                double sumR = get(x, a) + get(x, a + 2 * step);
                double sumI = get(x, n + a) + get(x, n + a + 2 * step);
                double difR = get(x, a) - get(x, a + 2 * step);
                double difI = get(x, n + a) - get(x, n + a + 2 * step);
                double oddR = get(x, a + step) + get(x, a + 3 * step);
                double oddI = get(x, n + a + step) + get(x, n + a + 3 * step);
                // -i times the difference of the odd ones.
                double turnR = get(x, n + a + step) - get(x, n + a + 3 * step);
                double turnI = get(x, a + 3 * step) - get(x, a + step);
                set(x, y, sumR + oddR);
                set(x, n + y, sumI + oddI);
                turned(x, y + stride, difR + turnR, difI + turnI, w);
                turned(x, y + 2L * stride, sumR - oddR, sumI - oddI, 2 * w);
                turned(x, y + 3L * stride, difR - turnR, difI - turnI, 3 * w);
            }
        }
    }

    /** Writes a number turned by the angle of {@code cos[w]}. */
    private void turned(MemorySegment x, long y, double r, double i, int w) {
        set(x, y, r * cos[w] - i * sin[w]);
        set(x, n + y, r * sin[w] + i * cos[w]);
    }

    private void prime(int p, MemorySegment x, long from, long to, int m, int stride) {
        int root = n / p;
        for (int i = 0; i < m; i++) {
            for (int k = 0; k < p; k++) {
                double c = cos[stride * i * k];
                double s = sin[stride * i * k];
                for (int q = 0; q < stride; q++) {
                    double re = 0;
                    double im = 0;
                    for (int r = 0, angle = 0; r < p; r++) {
                        long a = from + q + (long) stride * (i + (long) m * r);
                        re += get(x, a) * cos[root * angle] - get(x, n + a) * sin[root * angle];
                        im += get(x, a) * sin[root * angle] + get(x, n + a) * cos[root * angle];
                        angle += k;
                        angle = angle < p ? angle : angle - p;
                    }
                    long y = to + q + (long) stride * ((long) p * i + k);
                    set(x, y, re * c - im * s);
                    set(x, n + y, re * s + im * c);
                }
            }
        }
    }

    private void chirp(MemorySegment x, long at) {
        int size = inner.n;
        long a = at + 2L * n;
        for (int k = 0; k < size; k++) {
            boolean given = k < n;
            double re = given ? get(x, at + k) : 0;
            double im = given ? get(x, at + n + k) : 0;
            set(x, a + k, given ? re * chirpRe[k] - im * chirpIm[k] : 0);
            set(x, a + size + k, given ? re * chirpIm[k] + im * chirpRe[k] : 0);
        }
        inner.transform(x, a);
        for (int k = 0; k < size; k++) {
            double re = get(x, a + k);
            double im = get(x, a + size + k);
            set(x, a + k, re * filterRe[k] - im * filterIm[k]);
            // Conjugated: the way back is a transform of conjugates.
            set(x, a + size + k, -(re * filterIm[k] + im * filterRe[k]));
        }
        inner.transform(x, a);
        for (int k = 0; k < n; k++) {
            double re = get(x, a + k) / size;
            double im = -get(x, a + size + k) / size;
            set(x, at + k, re * chirpRe[k] - im * chirpIm[k]);
            set(x, at + n + k, re * chirpIm[k] + im * chirpRe[k]);
        }
    }
}
