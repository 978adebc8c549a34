package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;

import java.lang.foreign.MemorySegment;

/**
 * The Fourier transform of real vectors of even length n as pairs of neighbours: with {@code N = n / 2} and {@code u_k = x_2k + i
 * x_2k+1}, {@code w_j = N^-1/2 sum_k u_k exp(-2 pi i j k / N)}, written to {@code y_2j + i y_2j+1}. As a map of n real numbers it is
 * orthogonal. QuIP#'s randomized Fourier transform is this behind {@link #turn}. Source: spec/quip-methods.md, section 6.
 *
 * <p>Immutable, thread-safe.
 */
public final class FourierTransform {
    private final int half;
    private final double norm;
    private final ComplexFourier fourier;

    /**
     * @throws IllegalArgumentException where n is odd: pairs of neighbours leave one number over
     */
    public FourierTransform(int n) {
        if (n < 2 || n % 2 != 0) {
            throw new IllegalArgumentException("a Fourier transform of pairs needs an even length, found " + n);
        }
        half = n / 2;
        norm = 1 / Math.sqrt(half);
        fourier = new ComplexFourier(half);
    }

    /** The length of the vectors. */
    public int n() {
        return 2 * half;
    }

    /** The size in bytes of the segment that {@link #apply(MemorySegment, boolean)} works in: 8 n and scratch. */
    public long workBytes() {
        return 8 * (4L * half + fourier.workLength());
    }

    /**
     * In place.
     *
     * @param x n numbers
     * @param forward or the inverse, which is the transposed
     */
    public void apply(double[] x, boolean forward) {
        MemorySegment work = MemorySegment.ofArray(new double[Math.toIntExact(workBytes() / 8)]);
        MemorySegment.copy(x, 0, work, JAVA_DOUBLE_UNALIGNED, 0, x.length);
        apply(work, forward);
        MemorySegment.copy(work, JAVA_DOUBLE_UNALIGNED, 0, x, 0, x.length);
    }

    /**
     * As {@link #apply(double[], boolean)}, without allocation.
     *
     * @param work at least {@link #workBytes} bytes: the vector, n doubles in and out, and scratch
     */
    public void apply(MemorySegment work, boolean forward) {
        long re = 2L * half;
        long im = 3L * half;
        double sign = forward ? 1 : -1;
        for (int k = 0; k < half; k++) {
            work.set(JAVA_DOUBLE_UNALIGNED, 8 * (re + k), work.get(JAVA_DOUBLE_UNALIGNED, 16L * k));
            work.set(JAVA_DOUBLE_UNALIGNED, 8 * (im + k), sign * work.get(JAVA_DOUBLE_UNALIGNED, 16L * k + 8));
        }
        fourier.transform(work, re);
        for (int k = 0; k < half; k++) {
            work.set(JAVA_DOUBLE_UNALIGNED, 16L * k, work.get(JAVA_DOUBLE_UNALIGNED, 8 * (re + k)) * norm);
            work.set(JAVA_DOUBLE_UNALIGNED, 16L * k + 8, sign * work.get(JAVA_DOUBLE_UNALIGNED, 8 * (im + k)) * norm);
        }
    }

    /**
     * Multiplies the complex numbers of x by those of another vector, or by their conjugates, in place.
     *
     * @param factors n numbers, real and imaginary parts in turn
     */
    public static void turn(double[] x, double[] factors, boolean conjugate) {
        double sign = conjugate ? -1 : 1;
        for (int k = 0; k < x.length; k += 2) {
            double re = x[k];
            double c = factors[k];
            double s = sign * factors[k + 1];
            x[k] = re * c - x[k + 1] * s;
            x[k + 1] = re * s + x[k + 1] * c;
        }
    }

    /** The unit numbers {@code exp(i theta_k)}, real and imaginary parts in turn. */
    public static double[] phases(double[] theta) {
        double[] factors = new double[2 * theta.length];
        for (int k = 0; k < theta.length; k++) {
            factors[2 * k] = Math.cos(theta[k]);
            factors[2 * k + 1] = Math.sin(theta[k]);
        }
        return factors;
    }
}
