package dev.gosset.core.codebook;

import java.util.Arrays;

/**
 * D4, 2 bits per weight, of checkpoints of 2023: 256 points of the lattice D4 + 1/2 for four weights each. A code {@code (c0
 * << 8) | c1} stands for eight weights, c0 for the first four of them.
 *
 * <p>The points of a byte: its low five bits choose a pattern of magnitudes 1/2, 3/2 and 5/2, bit 5 negates coordinate 2,
 * bit 6 coordinate 1, coordinate 3 is negated where the sum would else be odd, and bit 7 negates all four.
 *
 * <p>Immutable, thread-safe, allocates nothing. Read for the sake of old checkpoints: E8P is better at the same rate.
 * Source: spec/quip-sharp.md, section 4.7.
 */
public final class D4 implements Codebook {
    public static final D4 INSTANCE = new D4();

    /** Points of four weights. */
    private static final int POINTS = 256;

    private static final int HALF = DIMENSION / 2;
    private static final double[] GRID = new double[POINTS * HALF];

    static {
        for (int code = 0; code < POINTS; code++) {
            double[] v = magnitudes(code & 31);
            v[2] *= (code & 32) == 0 ? 1 : -1;
            v[1] *= (code & 64) == 0 ? 1 : -1;
            v[3] *= (int) Arrays.stream(v).sum() % 2 == 0 ? 1 : -1;
            for (int c = 0; c < HALF; c++) {
                GRID[code * HALF + c] = (code & 128) == 0 ? v[c] : -v[c];
            }
        }
    }

    private D4() {}

    private static double[] magnitudes(int i) {
        double[] v = new double[HALF];
        Arrays.fill(v, 0.5);
        if (i < 2) {
            Arrays.fill(v, i + 0.5);
        } else if (i < 8) {
            Arrays.fill(v, i % 2 == 1 ? 0.5 : 1.5);
            v[0] = 2 - v[0];
            v[i >> 1] = v[0];
        } else if (i < 16) {
            Arrays.fill(v, i < 12 ? 0.5 : 1.5);
            v[i & 3] = 2 - v[i & 3];
        } else if (i < 20) {
            v[i & 3] = 2.5;
        } else {
            int p = i - 20 & 3;
            int r = i - 20 >> 2;
            v[p] = 1.5;
            v[r >= p ? r + 1 : r] = 2.5;
        }
        return v;
    }

    @Override
    public String name() {
        return "D4";
    }

    @Override
    public int id() {
        return 0;
    }

    @Override
    public int version() {
        return 0;
    }

    @Override
    public int bits() {
        return 2;
    }

    @Override
    public double optimalScale() {
        return 1.21;
    }

    @Override
    public double defaultScale() {
        return optimalScale();
    }

    @Override
    public double residualScale() {
        return 1;
    }

    @Override
    public double largestNorm() {
        return Math.sqrt(18);
    }

    /** {@inheritDoc} Only the low 16 bits of {@code code} are read. */
    @Override
    public void decode(int code, double[] out, int offset) {
        System.arraycopy(GRID, (code >>> 8 & 0xff) * HALF, out, offset, HALF);
        System.arraycopy(GRID, (code & 0xff) * HALF, out, offset + HALF, HALF);
    }

    /** {@inheritDoc} At equal distance the lowest code wins. */
    @Override
    public int nearest(double[] x, int offset) {
        return nearestPoint(x, offset) << 8 | nearestPoint(x, offset + HALF);
    }

    private static int nearestPoint(double[] x, int offset) {
        double best = Double.POSITIVE_INFINITY;
        int nearest = 0;
        for (int code = 0; code < POINTS; code++) {
            double distance = 0;
            for (int c = 0; c < HALF; c++) {
                double d = x[offset + c] - GRID[code * HALF + c];
                distance += d * d;
            }
            if (distance < best) {
                best = distance;
                nearest = code;
            }
        }
        return nearest;
    }
}
