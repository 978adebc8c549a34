package dev.gosset.core.methods;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.NotPositiveDefiniteException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/**
 * What a {@link ScalarMethod} does, in grid coordinates and float64: weights g become codes c, integers of 0 to q. Rows do not see each
 * other, so results do not depend on the number of threads. Source: spec/quip-methods.md, section 4.
 */
public final class ScalarRounding {
    /** Rows that share the reading of H or of its factor. */
    private static final int TILE = 16;

    private static final int BOUNDED_STEPS = 2000;

    private final ThreadTeam team;

    public ScalarRounding(ThreadTeam team) {
        this.team = team;
    }

    /**
     * Rounds.
     *
     * @param g m x n weights in grid coordinates; where what lies outside 0 to q shall count as lying on its end, clamped
     * @param h n x n, symmetric positive definite
     * @param q the largest code
     * @param noise of the stochastic methods
     * @param c receives the codes, m x n
     * @throws NotPositiveDefiniteException where a method needs a Cholesky factor and H has none
     */
    public void round(ScalarMethod method, DoubleMatrix g, DoubleMatrix h, int q, Noise noise, DoubleMatrix c) {
        int n = g.cols();
        switch (method) {
            case ScalarMethod.Nearest m -> each(g, q, Noise.NEAREST, c);
            case ScalarMethod.Stochastic m -> each(g, q, noise, c);
            case ScalarMethod.Ldlq m -> ldlq(identity(n), g, h, q, m.stochastic() ? noise : Noise.NEAREST, c);
            case ScalarMethod.Optq m -> ldlq(reversed(identity(n)), g, h, q, Noise.NEAREST, c);
            case ScalarMethod.Greedy m -> {
                c.data().copyFrom(g.data());
                greedy(reversed(ascending(h)), m.passes(), g, h, q, c);
            }
            case ScalarMethod.LdlqRg m -> {
                int[] order = ascending(h);
                ldlq(order, g, h, q, Noise.NEAREST, c);
                greedy(reversed(order), m.passes(), g, h, q, c);
            }
            case ScalarMethod.LdlqBounded m -> {
                try (Arena arena = Arena.ofShared()) {
                    feedback(identity(n), inverse(bounded(h, m.limit(), arena), arena), g, q, noise, c);
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------------ orders

    private static int[] identity(int n) {
        return IntStream.range(0, n).toArray();
    }

    private static int[] reversed(int[] order) {
        return IntStream.range(0, order.length)
                .map(i -> order[order.length - 1 - i])
                .toArray();
    }

    /** Columns by rising diagonal of H. */
    private static int[] ascending(DoubleMatrix h) {
        return IntStream.range(0, h.rows())
                .boxed()
                .sorted((a, b) -> Double.compare(h.get(a, a), h.get(b, b)))
                .mapToInt(Integer::intValue)
                .toArray();
    }

    // ------------------------------------------------------------------------------------------------ one by one

    private static double code(double t, double eta, int q) {
        return Math.clamp(Math.floor(t + eta), 0, q);
    }

    private static void each(DoubleMatrix g, int q, Noise noise, DoubleMatrix c) {
        for (int i = 0; i < g.rows(); i++) {
            for (int j = 0; j < g.cols(); j++) {
                c.set(i, j, code(g.get(i, j), noise.at((long) i * g.cols() + j), q));
            }
        }
    }

    // ------------------------------------------------------------------------------------------------ LDLQ

    /**
     * The unit lower triangular factor of {@code H[p,p] = L diag(D) L^T}.
     *
     * @param d receives D
     */
    static DoubleMatrix ldl(DoubleMatrix h, int[] p, double[] d, Arena arena) {
        int n = h.rows();
        DoubleMatrix l = DoubleMatrix.allocate(arena, n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                l.set(i, j, h.get(p[i], p[j]));
            }
        }
        int failed = Blas.cholesky(Operand.of(l));
        if (failed != 0 || !(l.get(n - 1, n - 1) > 0)) {
            throw new NotPositiveDefiniteException("the Hessian of " + n
                    + " inputs is not positive definite: its Cholesky factor ends at column "
                    + (failed == 0 ? n : failed));
        }
        double[] diagonal = new double[n];
        for (int j = 0; j < n; j++) {
            diagonal[j] = l.get(j, j);
            d[j] = diagonal[j] * diagonal[j];
        }
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                l.set(i, j, l.get(i, j) / diagonal[j]);
            }
        }
        return l;
    }

    private void ldlq(int[] p, DoubleMatrix g, DoubleMatrix h, int q, Noise noise, DoubleMatrix c) {
        try (Arena arena = Arena.ofShared()) {
            feedback(p, ldl(h, p, new double[p.length], arena), g, q, noise, c);
        }
    }

    /** The columns p[n-1] to p[0] in turn: {@code t = g_i + sum_{k > i} (g_k - c_k) L_ki} is rounded. */
    private void feedback(int[] p, DoubleMatrix l, DoubleMatrix g, int q, Noise noise, DoubleMatrix c) {
        int n = p.length;
        team.run(Math.ceilDiv(g.rows(), TILE), tile -> {
            int from = tile * TILE;
            int rows = Math.min(TILE, g.rows() - from);
            double[][] sums = new double[rows][n];
            double[] factors = new double[n];
            for (int i = n - 1; i >= 0; i--) {
                MemorySegment.copy(l.row(i), ValueLayout.JAVA_DOUBLE_UNALIGNED, 0, factors, 0, i);
                for (int r = 0; r < rows; r++) {
                    double value = g.get(from + r, p[i]);
                    double t = value + sums[r][i];
                    double code = code(t, noise.at((long) (from + r) * n + p[i]), q);
                    c.set(from + r, p[i], code);
                    add(value - code, factors, sums[r], i);
                }
            }
        });
    }

    /** {@code sums += factor * row}, the first n. */
    static void add(double factor, double[] row, double[] sums, int n) {
        for (int k = 0; k < n; k++) {
            sums[k] += factor * row[k];
        }
    }

    // ------------------------------------------------------------------------------------------------ greedy

    /** Passes over the columns p[0] to p[n-1], each code the best there is beside the others as they stand; c holds the start. */
    private void greedy(int[] p, int passes, DoubleMatrix g, DoubleMatrix h, int q, DoubleMatrix c) {
        int n = p.length;
        team.run(Math.ceilDiv(g.rows(), TILE), tile -> {
            int from = tile * TILE;
            int rows = Math.min(TILE, g.rows() - from);
            // (c - g) H, kept up.
            double[][] products = new double[rows][n];
            double[] row = new double[n];
            for (int k = 0; k < n; k++) {
                MemorySegment.copy(h.row(k), ValueLayout.JAVA_DOUBLE_UNALIGNED, 0, row, 0, n);
                for (int r = 0; r < rows; r++) {
                    double error = c.get(from + r, k) - g.get(from + r, k);
                    if (error != 0) {
                        add(error, row, products[r], n);
                    }
                }
            }
            boolean changed = true;
            for (int pass = 0; pass < passes && changed; pass++) {
                changed = false;
                for (int i : p) {
                    MemorySegment.copy(h.row(i), ValueLayout.JAVA_DOUBLE_UNALIGNED, 0, row, 0, n);
                    for (int r = 0; r < rows; r++) {
                        double old = c.get(from + r, i);
                        double code = code(old - products[r][i] / row[i], 0.5, q);
                        if (code != old) {
                            c.set(from + r, i, code);
                            add(code - old, row, products[r], n);
                            changed = true;
                        }
                    }
                }
            }
        });
    }

    // ------------------------------------------------------------------------------------------------ bounded feedback

    /**
     * {@code Z + I}, Z strictly lower triangular with columns no longer than {@code limit}, that minimizes {@code tr((Z + I) H (Z +
     * I)^T)}: by accelerated projected gradients from Z = 0, until the objective stands still.
     */
    DoubleMatrix bounded(DoubleMatrix h, double limit, Arena arena) {
        int n = h.rows();
        DoubleMatrix z = DoubleMatrix.allocate(arena, n, n);
        DoubleMatrix ahead = DoubleMatrix.allocate(arena, n, n);
        DoubleMatrix gradient = DoubleMatrix.allocate(arena, n, n);
        Processing.addToDiagonal(z, 1);
        ahead.data().copyFrom(z.data());
        double step = 1 / largestEigenvalue(h);
        double momentum = 1;
        double last = Double.POSITIVE_INFINITY;
        for (int s = 0; s < BOUNDED_STEPS; s++) {
            Blas.gemm(team, 1, Operand.of(ahead), Operand.of(h), 0, Operand.of(gradient));
            double next = (1 + Math.sqrt(1 + 4 * momentum * momentum)) / 2;
            double beyond = (momentum - 1) / next;
            momentum = next;
            double[] squares = new double[n];
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < i; j++) {
                    double v = ahead.get(i, j) - step * gradient.get(i, j);
                    gradient.set(i, j, v);
                    squares[j] += v * v;
                }
            }
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < i; j++) {
                    double length = Math.sqrt(squares[j]);
                    double v = gradient.get(i, j) * (length > limit ? limit / length : 1);
                    ahead.set(i, j, v + beyond * (v - z.get(i, j)));
                    z.set(i, j, v);
                }
            }
            if (s % 50 == 49) {
                double objective = objective(z, h, gradient);
                if (Math.abs(last - objective) < 1e-9 * objective) {
                    break;
                }
                if (objective > last) {
                    momentum = 1;
                }
                last = objective;
            }
        }
        return z;
    }

    /** {@code tr(Z H Z^T)}. */
    double objective(DoubleMatrix z, DoubleMatrix h, DoubleMatrix work) {
        Blas.gemm(team, 1, Operand.of(z), Operand.of(h), 0, Operand.of(work));
        double sum = 0;
        for (int i = 0; i < z.rows(); i++) {
            for (int j = 0; j <= i; j++) {
                sum += z.get(i, j) * work.get(i, j);
            }
        }
        return sum;
    }

    private static double largestEigenvalue(DoubleMatrix h) {
        try (Arena arena = Arena.ofConfined()) {
            double[] values = Blas.symmetricEigen(Operand.of(h.copy(arena)));
            return values[values.length - 1];
        }
    }

    /** The inverse of a unit lower triangular matrix. */
    private static DoubleMatrix inverse(DoubleMatrix t, Arena arena) {
        DoubleMatrix inverse = DoubleMatrix.allocate(arena, t.rows(), t.rows());
        Processing.addToDiagonal(inverse, 1);
        Blas.solveRight(Operand.of(t), Operand.of(inverse));
        return inverse;
    }
}
