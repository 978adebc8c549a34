package dev.gosset.core.rounding;

import dev.gosset.core.Golden;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;

/** What the tests of rounding share: random matrices, and golden tensors as matrices. */
final class RoundingFixtures {
    private RoundingFixtures() {}

    static FloatMatrix floats(Arena arena, Golden golden, String name) {
        Golden.Tensor t = golden.get(name);
        return FloatMatrix.copyOf(arena, t.shape()[0], t.shape()[1], t.floats());
    }

    static DoubleMatrix doubles(Arena arena, Golden golden, String name) {
        Golden.Tensor t = golden.get(name);
        return DoubleMatrix.copyOf(arena, t.shape()[0], t.shape()[1], t.doubles());
    }

    static byte[] signs(Golden golden, String name) {
        long[] values = golden.get(name).longs();
        byte[] signs = new byte[values.length];
        for (int i = 0; i < signs.length; i++) {
            signs[i] = (byte) values[i];
        }
        return signs;
    }

    static Incoherence incoherence(Golden golden) {
        return new Incoherence(signs(golden, "SU_sign"), signs(golden, "SV_sign"));
    }

    static FloatMatrix gaussian(Arena arena, SplittableRandom random, int rows, int cols) {
        FloatMatrix a = FloatMatrix.allocate(arena, rows, cols);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                a.set(i, j, (float) random.nextGaussian());
            }
        }
        return a;
    }

    /** A Hessian of correlated inputs: {@code X^T X / tokens} of a random X with few strong directions, plus 0.01 I. */
    static FloatMatrix hessian(Arena arena, SplittableRandom random, int n) {
        int tokens = 2 * n;
        double[][] x = new double[tokens][n];
        for (double[] row : x) {
            double common = random.nextGaussian();
            double walk = 0;
            for (int j = 0; j < n; j++) {
                walk = 0.9 * walk + random.nextGaussian();
                row[j] = walk + 0.5 * common;
            }
        }
        FloatMatrix h = FloatMatrix.allocate(arena, n, n);
        double trace = 0;
        double[][] sum = new double[n][n];
        for (double[] row : x) {
            for (int i = 0; i < n; i++) {
                for (int j = 0; j <= i; j++) {
                    sum[i][j] += row[i] * row[j];
                }
            }
        }
        for (int i = 0; i < n; i++) {
            trace += sum[i][i];
        }
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                float v = (float) (sum[i][j] * n / trace + (i == j ? 0.01 : 0));
                h.set(i, j, v);
                h.set(j, i, v);
            }
        }
        return h;
    }

    static DoubleMatrix widen(Arena arena, FloatMatrix a) {
        DoubleMatrix d = DoubleMatrix.allocate(arena, a.rows(), a.cols());
        for (int i = 0; i < a.rows(); i++) {
            for (int j = 0; j < a.cols(); j++) {
                d.set(i, j, a.get(i, j));
            }
        }
        return d;
    }

    /** {@code tr(E H E^T)} by the definition. */
    static double trace(DoubleMatrix e, DoubleMatrix h) {
        double sum = 0;
        for (int r = 0; r < e.rows(); r++) {
            for (int i = 0; i < h.rows(); i++) {
                double row = 0;
                for (int j = 0; j < h.cols(); j++) {
                    row += h.get(i, j) * e.get(r, j);
                }
                sum += row * e.get(r, i);
            }
        }
        return sum;
    }

    static double largestDifference(FloatMatrix a, float[] expected) {
        double largest = 0;
        float[] values = a.toArray();
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs((double) values[i] - expected[i]));
        }
        return largest;
    }

    static double largestDifference(DoubleMatrix a, double[] expected) {
        double largest = 0;
        double[] values = a.toArray();
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(values[i] - expected[i]));
        }
        return largest;
    }

    /** How many codes differ. */
    static int differences(CodeMatrix codes, long[] expected) {
        int different = 0;
        for (int i = 0, at = 0; i < codes.rows(); i++) {
            for (int g = 0; g < codes.groups(); g++, at++) {
                different += Integer.toUnsignedLong(codes.code(i, g)) == expected[at] ? 0 : 1;
            }
        }
        return different;
    }

    static boolean sameBits(MemorySegment a, MemorySegment b) {
        return a.byteSize() == b.byteSize() && a.mismatch(b) == -1;
    }
}
