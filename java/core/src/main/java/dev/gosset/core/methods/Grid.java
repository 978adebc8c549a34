package dev.gosset.core.methods;

import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.rounding.ProxyLoss;

/**
 * The levels that weights are rounded to, evenly spaced unless they are {@link Points}: {@code q + 1 = 2^bits} of them. In grid coordinates
 * they are the integers 0 to q. Source: spec/quip-methods.md, section 2.
 */
public sealed interface Grid {
    /** Bits of a weight. */
    double rate();

    /** The grid of a matrix. */
    Levels of(DoubleMatrix w);

    /** From the least to the greatest weight of each row, zero always inside: what QuIP's baselines have. Stored: two numbers a row. */
    record PerRow(int bits) implements Grid {
        public PerRow {
            check(bits);
        }

        @Override
        public double rate() {
            return bits;
        }

        @Override
        public Levels of(DoubleMatrix w) {
            int q = (1 << bits) - 1;
            double[] step = new double[w.rows()];
            double[] zero = new double[w.rows()];
            for (int i = 0; i < w.rows(); i++) {
                double low = 0;
                double high = 0;
                for (int j = 0; j < w.cols(); j++) {
                    low = Math.min(low, w.get(i, j));
                    high = Math.max(high, w.get(i, j));
                }
                if (low == 0 && high == 0) {
                    low = -1;
                    high = 1;
                }
                step[i] = (high - low) / q;
                zero[i] = Math.floor(-low / step[i] + 0.5);
            }
            return new Levels(q, step, zero);
        }
    }

    /**
     * One grid for the whole matrix, symmetric, as wide as {@code rho} times its root mean square: what incoherent weights want. Stored:
     * one number.
     */
    record PerMatrix(int bits, double rho) implements Grid {
        /** The width of the published program. */
        public static final double PUBLISHED_RHO = 2.4;

        public PerMatrix {
            check(bits);
            if (!(rho > 0 && rho < Double.POSITIVE_INFINITY)) {
                throw new IllegalArgumentException("rho must be a number above 0, found " + rho);
            }
        }

        /** The width at which LDLQ that feeds clipping back loses least, as far as we have measured. */
        public static double bestRho(int bits) {
            return bits == 2 ? 2.0 : bits == 3 ? 2.3 : 2.6;
        }

        @Override
        public double rate() {
            return bits;
        }

        @Override
        public Levels of(DoubleMatrix w) {
            double s = rho * rms(w);
            int q = (1 << bits) - 1;
            return new Levels(q, new double[] {s > 0 ? 2 * s / q : 1}, new double[] {q / 2.0});
        }
    }

    /**
     * Points of a set in the place of evenly spaced levels: weights are divided by their root mean square and multiplied by {@code
     * scale}. In grid coordinates they are the numbers of points. Stored: one number.
     */
    record Points(PointSet set, double scale) implements Grid {
        public Points {
            if (!(scale > 0 && scale < Double.POSITIVE_INFINITY)) {
                throw new IllegalArgumentException("the scale must be a number above 0, found " + scale);
            }
        }

        @Override
        public double rate() {
            return set.bits();
        }

        @Override
        public Levels of(DoubleMatrix w) {
            double rms = rms(w);
            return new Levels(0, new double[] {rms > 0 ? rms / scale : 1}, new double[] {0});
        }
    }

    private static double rms(DoubleMatrix w) {
        return Math.sqrt(ProxyLoss.squaredNorm(w) / ((double) w.rows() * w.cols()));
    }

    private static void check(int bits) {
        if (bits < 2 || bits > 8) {
            throw new IllegalArgumentException("a grid has 2 to 8 bits, found " + bits);
        }
    }

    /**
     * A grid that was fitted: {@code g = w / step + zero}, {@code w = step (c - zero)}.
     *
     * @param q the largest code; 0 of points
     * @param step of each row, or one for all
     * @param zero the coordinate of 0, as many
     */
    record Levels(int q, double[] step, double[] zero) {
        double toGrid(int row, double w) {
            return w / step[step.length == 1 ? 0 : row] + zero[zero.length == 1 ? 0 : row];
        }

        double fromGrid(int row, double g) {
            return step[step.length == 1 ? 0 : row] * (g - zero[zero.length == 1 ? 0 : row]);
        }
    }
}
