package dev.gosset.llm.finetune;

import dev.gosset.core.kernel.dense.VectorGradients;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;

/** Loops over the rows or columns of matrices by a team, cut by shape alone. */
final class Rows {
    private static final int ROWS = 32;
    private static final int COLUMNS = 128;

    private Rows() {}

    @FunctionalInterface
    interface Range {
        void accept(int from, int to);
    }

    static void run(int rows, Workspace workspace, Range work) {
        cut(rows, ROWS, workspace, work);
    }

    static void cut(int count, int tile, Workspace workspace, Range work) {
        workspace.team().run(Math.ceilDiv(count, tile), i -> work.accept(i * tile, Math.min(count, (i + 1) * tile)));
    }

    /**
     * {@code y = D(w) x} for every row; y may be x.
     *
     * @param pairs whether D multiplies complex numbers
     * @param transpose D transposed: by the conjugates
     */
    static void multiply(
            FloatMatrix x, FloatMatrix w, boolean pairs, boolean transpose, FloatMatrix y, Workspace workspace) {
        int n = x.cols();
        run(x.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                if (!pairs) {
                    VectorMath.multiply(x.data(), 4L * t * n, w.data(), 0, y.data(), 4L * t * n, n);
                }
                for (int j = 0; pairs && j < n; j += 2) {
                    float re = x.get(t, j);
                    float im = x.get(t, j + 1);
                    float c = w.get(0, j);
                    float s = transpose ? -w.get(0, j + 1) : w.get(0, j + 1);
                    y.set(t, j, re * c - im * s);
                    y.set(t, j + 1, re * s + im * c);
                }
            }
        });
    }

    /**
     * Adds the gradient of w in {@code b = D(w) a} by that of b; or in {@code a = D(w)^T b} by that of a, which then stands first: {@code
     * sum_t conj(a_t) b_t}.
     */
    static void addFactorGradient(FloatMatrix a, FloatMatrix b, boolean pairs, FloatMatrix sums, Workspace workspace) {
        if (!pairs) {
            addColumnProducts(b, a, null, sums, workspace);
            return;
        }
        cut(a.cols() / 2, COLUMNS, workspace, (from, to) -> {
            for (int t = 0; t < a.rows(); t++) {
                for (int j = 2 * from; j < 2 * to; j += 2) {
                    float re = a.get(t, j);
                    float im = a.get(t, j + 1);
                    sums.set(0, j, sums.get(0, j) + re * b.get(t, j) + im * b.get(t, j + 1));
                    sums.set(0, j + 1, sums.get(0, j + 1) + re * b.get(t, j + 1) - im * b.get(t, j));
                }
            }
        });
    }

    /** {@code y += x}. */
    static void add(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        int n = x.cols();
        run(
                x.rows(),
                workspace,
                (from, to) -> VectorMath.add(x.data(), 4L * from * n, y.data(), 4L * from * n, (to - from) * n));
    }

    static void normalize(FloatMatrix x, FloatMatrix w, float epsilon, FloatMatrix y, Workspace workspace) {
        int n = x.cols();
        run(x.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                VectorMath.rmsNorm(x.data(), 4L * t * n, w.data(), epsilon, y.data(), 4L * t * n, n);
            }
        });
    }

    /**
     * The way back through {@link #normalize}.
     *
     * @param keep 1 to add to dx, 0 to write it
     */
    static void normalizeGradient(
            FloatMatrix x,
            Parameters.Parameter w,
            float epsilon,
            FloatMatrix dy,
            float keep,
            FloatMatrix dx,
            Workspace workspace) {
        int n = x.cols();
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix r = frame.matrix(1, x.rows());
            if (w.isTuned() && keep == 0 && dx.data().address() == dy.data().address()) {
                throw new IllegalArgumentException("the gradient of the norm's weight needs dy after dx is written");
            }
            run(x.rows(), workspace, (from, to) -> {
                for (int t = from; t < to; t++) {
                    r.set(
                            0,
                            t,
                            VectorGradients.rmsNormGradient(
                                    x.data(),
                                    4L * t * n,
                                    w.value().data(),
                                    epsilon,
                                    dy.data(),
                                    4L * t * n,
                                    keep,
                                    dx.data(),
                                    4L * t * n,
                                    n));
                }
            });
            if (w.isTuned()) {
                addColumnProducts(x, dy, r.data(), w.gradient(), workspace);
            }
        }
    }

    /** {@code sums[j] += sum_t f[t] a[t][j] b[t][j]}; f may be null for ones. */
    static void addColumnProducts(
            FloatMatrix a, FloatMatrix b, MemorySegment factors, FloatMatrix sums, Workspace workspace) {
        long stride = 4L * a.cols();
        cut(
                a.cols(),
                COLUMNS,
                workspace,
                (from, to) -> VectorGradients.addColumnProducts(
                        a.data(),
                        4L * from,
                        stride,
                        b.data(),
                        4L * from,
                        stride,
                        factors,
                        0,
                        a.rows(),
                        sums.data(),
                        4L * from,
                        to - from));
    }
}
