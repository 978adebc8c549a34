package dev.gosset.core.methods;

import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/**
 * Rounds groups of d weights to the points of a set: each by itself, or with the feedback of LDLQ in blocks of d. Source:
 * spec/quip-sharp.md, section 3.
 */
final class PointRounding {
    private final ThreadTeam team;

    PointRounding(ThreadTeam team) {
        this.team = team;
    }

    /**
     * Rounds.
     *
     * @param g m x n, in units of the set; n a multiple of d
     * @param h n x n, positive definite
     * @param c receives the points' numbers, m x n
     * @throws IllegalArgumentException where the method is neither nearest nor ldlq, or groups do not fill a row
     */
    void round(ScalarMethod method, DoubleMatrix g, DoubleMatrix h, PointSet set, DoubleMatrix c) {
        boolean feedback = switch (method) {
            case ScalarMethod.Nearest m -> false;
            case ScalarMethod.Ldlq m when !m.stochastic() -> true;
            default ->
                throw new IllegalArgumentException(
                        "points of " + set.name() + " are rounded to by nearest or ldlq only, found " + method);
        };
        int n = g.cols();
        int d = set.dimension();
        if (n % d != 0) {
            throw new IllegalArgumentException(
                    "rows of " + n + " weights are no groups of " + d + ", which " + set.name() + " needs");
        }
        try (Arena arena = Arena.ofShared()) {
            DoubleMatrix l = feedback ? blockFactor(h, d, arena) : null;
            team.run(Math.ceilDiv(g.rows(), OrthogonalTransform.TILE), tile -> {
                int from = tile * OrthogonalTransform.TILE;
                int rows = Math.min(OrthogonalTransform.TILE, g.rows() - from);
                double[][] sums = new double[rows][n];
                double[][] factors = new double[d][n];
                double[] t = new double[d];
                double[] point = new double[d];
                float[] scratch = new float[PointSet.SCRATCH];
                for (int i = n - d; i >= 0; i -= d) {
                    for (int k = 0; feedback && k < d; k++) {
                        MemorySegment.copy(l.row(i + k), ValueLayout.JAVA_DOUBLE_UNALIGNED, 0, factors[k], 0, i);
                    }
                    for (int r = 0; r < rows; r++) {
                        for (int k = 0; k < d; k++) {
                            t[k] = g.get(from + r, i + k) + sums[r][i + k];
                        }
                        set.nearest(t, 0, point, scratch);
                        for (int k = 0; k < d; k++) {
                            c.set(from + r, i + k, point[k]);
                            if (feedback) {
                                ScalarRounding.add(g.get(from + r, i + k) - point[k], factors[k], sums[r], i);
                            }
                        }
                    }
                }
            });
        }
    }

    /** L of {@code H = L D L^T} with identity blocks of d on its diagonal: the unit factor's columns times the inverse of its own. */
    private static DoubleMatrix blockFactor(DoubleMatrix h, int d, Arena arena) {
        int n = h.rows();
        DoubleMatrix l = ScalarRounding.ldl(h, IntStream.range(0, n).toArray(), new double[n], arena);
        for (int k = 0; k < n; k += d) {
            for (int i = k + d; i < n; i++) {
                for (int j = d - 2; j >= 0; j--) {
                    double sum = l.get(i, k + j);
                    for (int p = j + 1; p < d; p++) {
                        sum -= l.get(i, k + p) * l.get(k + p, k + j);
                    }
                    l.set(i, k + j, sum);
                }
            }
        }
        return l;
    }
}
