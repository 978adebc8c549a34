package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The Hartley matrix of a large odd order o, applied in O(o log o) through Bluestein's chirp: with {@code b_j = exp(i pi
 * j^2 / o)} the discrete Fourier transform is {@code X_k = conj(b_k) sum_j (x_j conj(b_j)) b_(k-j)}, a convolution of
 * length M, the power of two from 2 o - 1 up, and the Hartley transform of a real x is {@code Re X - Im X}. Float64.
 * Immutable once constructed.
 */
final class HartleyChirp {
    private final int order;
    private final int length;
    /** b_j, cosine and sine interleaved. */
    private final double[] chirp;
    /** The Fourier transform of b over M, in bit-reversed order, complex, every entry divided by M. */
    private final double[] filter;
    /** exp(-2 pi i j / M) for j below M / 2, complex. */
    private final double[] roots;

    HartleyChirp(int order) {
        this.order = order;
        this.length = length(order);
        chirp = new double[2 * order];
        for (int j = 0; j < order; j++) {
            // j^2 modulo 2 o is exact; j^2 itself would lose the low bits of the angle
            double angle = Math.PI * ((long) j * j % (2L * order)) / order;
            chirp[2 * j] = Math.cos(angle);
            chirp[2 * j + 1] = Math.sin(angle);
        }
        roots = new double[length];
        for (int j = 0; j < length / 2; j++) {
            double angle = -2 * Math.PI * j / length;
            roots[2 * j] = Math.cos(angle);
            roots[2 * j + 1] = Math.sin(angle);
        }
        filter = new double[2 * length];
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment b = arena.allocate(16L * length, 8);
            for (int j = 0; j < order; j++) {
                set(b, 0, j, chirp[2 * j], chirp[2 * j + 1]);
                set(b, 0, (length - j) % length, chirp[2 * j], chirp[2 * j + 1]);
            }
            fourier(b, 0);
            for (int j = 0; j < 2 * length; j++) {
                filter[j] = b.get(JAVA_DOUBLE_UNALIGNED, 8L * j) / length;
            }
        }
    }

    /** The length M of the convolution for an order. */
    static int length(int order) {
        return Integer.highestOneBit(2 * order - 1) * 2;
    }

    /**
     * {@code x <- C_o x} for the o doubles at {@code 8 * (first + j * stride)} bytes.
     *
     * @param scratch byte offset in {@code work} of 16 M bytes to use
     */
    void apply(MemorySegment work, long first, int stride, long scratch) {
        for (int j = 0; j < order; j++) {
            double v = work.get(JAVA_DOUBLE_UNALIGNED, 8 * (first + (long) j * stride));
            set(work, scratch, j, v * chirp[2 * j], -v * chirp[2 * j + 1]);
        }
        for (int j = order; j < length; j++) {
            set(work, scratch, j, 0, 0);
        }
        fourier(work, scratch);
        for (int j = 0; j < length; j++) {
            double re = re(work, scratch, j);
            double im = im(work, scratch, j);
            set(
                    work,
                    scratch,
                    j,
                    re * filter[2 * j] - im * filter[2 * j + 1],
                    re * filter[2 * j + 1] + im * filter[2 * j]);
        }
        inverseFourier(work, scratch);
        for (int k = 0; k < order; k++) {
            double re = re(work, scratch, k);
            double im = im(work, scratch, k);
            double c = chirp[2 * k];
            double s = chirp[2 * k + 1];
            // Re - Im of conj(b_k) times the convolution
            work.set(JAVA_DOUBLE_UNALIGNED, 8 * (first + (long) k * stride), re * c + im * s - (im * c - re * s));
        }
    }

    /** Natural order in, bit-reversed order out. */
    private void fourier(MemorySegment a, long at) {
        for (int len = length; len >= 2; len /= 2) {
            int half = len / 2;
            int step = length / len;
            for (int block = 0; block < length; block += len) {
                for (int j = 0; j < half; j++) {
                    int p = block + j;
                    int q = p + half;
                    double c = roots[2 * j * step];
                    double s = roots[2 * j * step + 1];
                    double pr = re(a, at, p);
                    double pi = im(a, at, p);
                    double qr = re(a, at, q);
                    double qi = im(a, at, q);
                    set(a, at, p, pr + qr, pi + qi);
                    double dr = pr - qr;
                    double di = pi - qi;
                    set(a, at, q, dr * c - di * s, dr * s + di * c);
                }
            }
        }
    }

    /** Bit-reversed order in, natural order out; M times the inverse. */
    private void inverseFourier(MemorySegment a, long at) {
        for (int len = 2; len <= length; len *= 2) {
            int half = len / 2;
            int step = length / len;
            for (int block = 0; block < length; block += len) {
                for (int j = 0; j < half; j++) {
                    int p = block + j;
                    int q = p + half;
                    double c = roots[2 * j * step];
                    double s = -roots[2 * j * step + 1];
                    double qr = re(a, at, q);
                    double qi = im(a, at, q);
                    double tr = qr * c - qi * s;
                    double ti = qr * s + qi * c;
                    double pr = re(a, at, p);
                    double pi = im(a, at, p);
                    set(a, at, p, pr + tr, pi + ti);
                    set(a, at, q, pr - tr, pi - ti);
                }
            }
        }
    }

    private static double re(MemorySegment a, long at, int i) {
        return a.get(JAVA_DOUBLE_UNALIGNED, at + 16L * i);
    }

    private static double im(MemorySegment a, long at, int i) {
        return a.get(JAVA_DOUBLE_UNALIGNED, at + 16L * i + 8);
    }

    private static void set(MemorySegment a, long at, int i, double re, double im) {
        a.set(JAVA_DOUBLE_UNALIGNED, at + 16L * i, re);
        a.set(JAVA_DOUBLE_UNALIGNED, at + 16L * i + 8, im);
    }
}
