package dev.gosset.core.hadamard;

/**
 * The discrete Fourier transform of N complex numbers in float64, {@code w_j = sum_k u_k exp(-2 pi i j k / N)}, for every N: Stockham's
 * passes, one for each prime factor; where a factor is larger than {@value #LARGEST_FACTOR}, the chirp transform of Bluestein over a
 * power of two. Immutable, thread-safe; the arrays that it works in are the caller's.
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
            inner.transform(filterRe, filterIm, new double[inner.workLength()]);
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

    /** Numbers of scratch that {@link #transform} needs. */
    int workLength() {
        return inner == null ? 2 * n : inner.workLength();
    }

    /** In place: re and im hold u before and w after. */
    void transform(double[] re, double[] im, double[] work) {
        if (inner == null) {
            passes(re, im, work);
        } else {
            chirp(re, im, work);
        }
    }

    private void passes(double[] re, double[] im, double[] work) {
        int len = n;
        int stride = 1;
        for (int p : factors) {
            int m = len / p;
            System.arraycopy(re, 0, work, 0, n);
            System.arraycopy(im, 0, work, n, n);
            switch (p) {
                case 2 -> two(work, re, im, m, stride);
                case 4 -> four(work, re, im, m, stride);
                default -> prime(p, work, re, im, m, stride);
            }
            len = m;
            stride *= p;
        }
    }

    private void two(double[] x, double[] re, double[] im, int m, int stride) {
        for (int i = 0; i < m; i++) {
            double c = cos[stride * i];
            double s = sin[stride * i];
            int a = stride * i;
            int b = stride * (i + m);
            int y = stride * 2 * i;
            for (int q = 0; q < stride; q++) {
                double ar = x[a + q];
                double ai = x[n + a + q];
                double br = x[b + q];
                double bi = x[n + b + q];
                re[y + q] = ar + br;
                im[y + q] = ai + bi;
                re[y + stride + q] = (ar - br) * c - (ai - bi) * s;
                im[y + stride + q] = (ar - br) * s + (ai - bi) * c;
            }
        }
    }

    private void four(double[] x, double[] re, double[] im, int m, int stride) {
        for (int i = 0; i < m; i++) {
            int w = stride * i;
            double c1 = cos[w];
            double s1 = sin[w];
            double c2 = cos[2 * w];
            double s2 = sin[2 * w];
            double c3 = cos[3 * w];
            double s3 = sin[3 * w];
            int a = stride * i;
            int step = stride * m;
            int y = stride * 4 * i;
            for (int q = 0; q < stride; q++, a++, y++) {
                double sumR = x[a] + x[a + 2 * step];
                double sumI = x[n + a] + x[n + a + 2 * step];
                double difR = x[a] - x[a + 2 * step];
                double difI = x[n + a] - x[n + a + 2 * step];
                double oddR = x[a + step] + x[a + 3 * step];
                double oddI = x[n + a + step] + x[n + a + 3 * step];
                // -i times the difference of the odd ones.
                double turnR = x[n + a + step] - x[n + a + 3 * step];
                double turnI = x[a + 3 * step] - x[a + step];
                re[y] = sumR + oddR;
                im[y] = sumI + oddI;
                double r = difR + turnR;
                double j = difI + turnI;
                re[y + stride] = r * c1 - j * s1;
                im[y + stride] = r * s1 + j * c1;
                r = sumR - oddR;
                j = sumI - oddI;
                re[y + 2 * stride] = r * c2 - j * s2;
                im[y + 2 * stride] = r * s2 + j * c2;
                r = difR - turnR;
                j = difI - turnI;
                re[y + 3 * stride] = r * c3 - j * s3;
                im[y + 3 * stride] = r * s3 + j * c3;
            }
        }
    }

    private void prime(int p, double[] x, double[] re, double[] im, int m, int stride) {
        int root = n / p;
        for (int i = 0; i < m; i++) {
            for (int k = 0; k < p; k++) {
                int y = stride * (p * i + k);
                double c = cos[stride * i * k];
                double s = sin[stride * i * k];
                java.util.Arrays.fill(re, y, y + stride, 0);
                java.util.Arrays.fill(im, y, y + stride, 0);
                for (int r = 0; r < p; r++) {
                    int angle = root * (r * k % p);
                    double fc = cos[angle] * c - sin[angle] * s;
                    double fs = cos[angle] * s + sin[angle] * c;
                    int a = stride * (i + m * r);
                    for (int q = 0; q < stride; q++) {
                        re[y + q] += x[a + q] * fc - x[n + a + q] * fs;
                        im[y + q] += x[a + q] * fs + x[n + a + q] * fc;
                    }
                }
            }
        }
    }

    private void chirp(double[] re, double[] im, double[] work) {
        int size = inner.n;
        double[] ar = new double[size];
        double[] ai = new double[size];
        for (int k = 0; k < n; k++) {
            ar[k] = re[k] * chirpRe[k] - im[k] * chirpIm[k];
            ai[k] = re[k] * chirpIm[k] + im[k] * chirpRe[k];
        }
        inner.transform(ar, ai, work);
        for (int k = 0; k < size; k++) {
            double r = ar[k] * filterRe[k] - ai[k] * filterIm[k];
            // Conjugated: the way back is a transform of conjugates.
            ai[k] = -(ar[k] * filterIm[k] + ai[k] * filterRe[k]);
            ar[k] = r;
        }
        inner.transform(ar, ai, work);
        for (int k = 0; k < n; k++) {
            double r = ar[k] / size;
            double j = -ai[k] / size;
            re[k] = r * chirpRe[k] - j * chirpIm[k];
            im[k] = r * chirpIm[k] + j * chirpRe[k];
        }
    }
}
