package dev.gosset.core.methods;

import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.ProxyLoss;
import java.lang.foreign.Arena;

/**
 * Quantizes one matrix by a method of QuIP: processes, fits a grid, rounds, and gives back the weights that the codes stand for, as
 * dense numbers. All in float64. The same input gives the same bits whatever the number of threads. One call at a time.
 */
public final class MethodQuantizer {
    private final MethodSettings settings;
    private final ThreadTeam team;

    public MethodQuantizer(MethodSettings settings, ThreadTeam team) {
        this.settings = settings;
        this.team = team;
    }

    /**
     * A matrix, rounded.
     *
     * @param weights what the codes stand for, in the columns and rows of the original; m x n
     * @param codes m x n, in processed coordinates; the numbers of points where the grid is one of points
     * @param levels the grid
     * @param proxyError {@code tr(E H E^T) / tr(W H W^T)} of the original W and the damped original H
     * @param frobeniusError {@code |E|^2 / |W|^2}
     * @param processedWeights W as it was rounded, m x n
     * @param processedHessian H as rounding saw it, n x n
     */
    public record Result(
            DoubleMatrix weights,
            DoubleMatrix codes,
            Grid.Levels levels,
            double proxyError,
            double frobeniusError,
            DoubleMatrix processedWeights,
            DoubleMatrix processedHessian) {
        /** What was rounded, in theory's numbers. */
        public Spectrum spectrum() {
            return Spectrum.of(processedWeights, processedHessian);
        }

        /** The loss in processed coordinates, relative to that of all weights: what theory predicts. */
        public double processedProxy(ThreadTeam team) {
            try (Arena work = Arena.ofShared()) {
                DoubleMatrix e = DoubleMatrix.allocate(work, codes.rows(), codes.cols());
                for (int i = 0; i < e.rows(); i++) {
                    for (int j = 0; j < e.cols(); j++) {
                        e.set(i, j, levels.fromGrid(i, codes.get(i, j)) - processedWeights.get(i, j));
                    }
                }
                return ratio(
                        ProxyLoss.trace(team, e, processedHessian),
                        ProxyLoss.trace(team, processedWeights, processedHessian));
            }
        }
    }

    /**
     * Quantizes with transforms that are drawn.
     *
     * @param name of the linear: with the seed, the key of all that is random
     * @param w m x n; left alone
     * @param h n x n second moments of the inputs, not damped; left alone; both accessible to the threads of the team
     * @param arena owns the result
     * @throws IllegalArgumentException where the processing has no transform of these sizes, or the grid's points do not fit them or the
     *     method
     * @throws dev.gosset.core.rounding.NotPositiveDefiniteException where the damped H has no Cholesky factor
     */
    public Result quantize(String name, long seed, DoubleMatrix w, DoubleMatrix h, Arena arena) {
        DoubleMatrix wr = w.copy(arena);
        DoubleMatrix hr = h.copy(arena);
        Processing.Applied applied = settings.processing().apply(seed, name, team, wr, hr);
        return round(Noise.of(seed ^ name.hashCode() * 0x9e3779b97f4a7c15L), applied, w, h, wr, hr, arena);
    }

    /** Quantizes with given transforms. */
    Result quantize(
            OrthogonalTransform inputs,
            OrthogonalTransform outputs,
            Noise noise,
            DoubleMatrix w,
            DoubleMatrix h,
            Arena arena) {
        DoubleMatrix wr = w.copy(arena);
        DoubleMatrix hr = h.copy(arena);
        return round(noise, settings.processing().apply(inputs, outputs, team, wr, hr), w, h, wr, hr, arena);
    }

    private Result round(
            Noise noise,
            Processing.Applied applied,
            DoubleMatrix w,
            DoubleMatrix h,
            DoubleMatrix wr,
            DoubleMatrix hr,
            Arena arena) {
        int m = w.rows();
        int n = w.cols();
        Grid.Levels levels = settings.grid().of(wr);
        DoubleMatrix codes = DoubleMatrix.allocate(arena, m, n);
        DoubleMatrix out = DoubleMatrix.allocate(arena, m, n);
        try (Arena work = Arena.ofShared()) {
            DoubleMatrix g = DoubleMatrix.allocate(work, m, n);
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < n; j++) {
                    double v = levels.toGrid(i, wr.get(i, j));
                    g.set(i, j, settings.clampFirst() ? Math.clamp(v, 0, levels.q()) : v);
                }
            }
            if (settings.grid() instanceof Grid.Points points) {
                new PointRounding(team).round(settings.method(), g, hr, points.set(), codes);
            } else {
                new ScalarRounding(team).round(settings.method(), g, hr, levels.q(), noise, codes);
            }
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < n; j++) {
                    out.set(i, j, levels.fromGrid(i, codes.get(i, j)));
                }
            }
            applied.back(team, out);
            DoubleMatrix e = DoubleMatrix.allocate(work, m, n);
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < n; j++) {
                    e.set(i, j, out.get(i, j) - w.get(i, j));
                }
            }
            DoubleMatrix damped = h.copy(work);
            Processing.addToDiagonal(damped, Processing.DAMPING * Processing.trace(damped) / n);
            return new Result(
                    out,
                    codes,
                    levels,
                    ratio(ProxyLoss.trace(team, e, damped), ProxyLoss.trace(team, w, damped)),
                    ratio(ProxyLoss.squaredNorm(e), ProxyLoss.squaredNorm(w)),
                    wr,
                    hr);
        }
    }

    private static double ratio(double part, double whole) {
        return whole == 0 ? 0 : part / whole;
    }
}
