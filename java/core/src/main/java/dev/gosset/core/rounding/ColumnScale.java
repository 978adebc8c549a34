package dev.gosset.core.rounding;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Matrix;
import java.lang.foreign.Arena;

/**
 * The optional diagonal rescaling of input channels. With {@code H' = H / max|H|}, {@code dH = max(diag H', 1e-8)}, {@code
 * dW = max(diag(W^T W), 1e-8)} and {@code s = max((dH / dW)^(1/4), 1e-8)}: {@code W <- W diag(s)}, {@code H <- diag(1/s) H'
 * diag(1/s)}; inference divides x by s. Source: spec/quip-sharp.md, section 1.5.
 */
final class ColumnScale {
    private static final double FLOOR = 1e-8;

    private ColumnScale() {}

    /** s, 1 x n, float32; rescales W and H in place, in their precision. */
    static FloatMatrix apply(Matrix w, Matrix h, Arena arena) {
        int n = w.cols();
        double largest = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                largest = Math.max(largest, Math.abs(h.at(i, j)));
            }
        }
        double[] squares = new double[n];
        for (int i = 0; i < w.rows(); i++) {
            for (int j = 0; j < n; j++) {
                double v = w.at(i, j);
                squares[j] += v * v;
            }
        }
        FloatMatrix s = FloatMatrix.allocate(arena, 1, n);
        for (int j = 0; j < n; j++) {
            s.set(0, j, scale(h.at(j, j) / largest, squares[j]));
        }
        for (int i = 0; i < w.rows(); i++) {
            for (int j = 0; j < n; j++) {
                w.put(i, j, w.at(i, j) * s.get(0, j));
            }
        }
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                h.put(i, j, h.at(i, j) / largest / s.get(0, i) / s.get(0, j));
            }
        }
        return s;
    }

    private static float scale(double hessian, double weights) {
        return (float) Math.max(Math.pow(Math.max(hessian, FLOOR) / Math.max(weights, FLOOR), 0.25), FLOOR);
    }
}
