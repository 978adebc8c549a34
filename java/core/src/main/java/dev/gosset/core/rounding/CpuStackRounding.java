package dev.gosset.core.rounding;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.contract.EncodeKernel;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.util.function.Function;

/** {@link StackRounding} on the processor, everything in place; in float64 too. */
final class CpuStackRounding implements StackRounding {
    private final Incoherence.RowTransform transform;
    private final Function<Codebook, Ldlq.PointSearch> search;
    private final ThreadTeam team;

    private CpuStackRounding(
            Incoherence.RowTransform transform, Function<Codebook, Ldlq.PointSearch> search, ThreadTeam team) {
        this.transform = transform;
        this.search = search;
        this.team = team;
    }

    /** By kernels, for float32 matrices. */
    CpuStackRounding(EncodeKernel encode, TransformKernel transform, ThreadTeam team) {
        this(new Incoherence.FloatRows(transform), codebook -> Ldlq.PointSearch.of(encode, codebook), team);
    }

    /** By the scalar oracles, for float64 matrices. */
    static CpuStackRounding oracle(ThreadTeam team) {
        return new CpuStackRounding(new Incoherence.DoubleRows(), Ldlq.PointSearch::oracle, team);
    }

    @Override
    public Outcome round(
            RoundingSettings settings,
            Incoherence incoherence,
            FloatMatrix w,
            FloatMatrix h,
            CodeMatrix codes,
            FloatMatrix error) {
        return roundAny(settings, incoherence, w, h, codes, error);
    }

    /** {@link #round} of matrices in the precision that this is for. */
    Outcome roundAny(
            RoundingSettings settings, Incoherence incoherence, Matrix w, Matrix h, CodeMatrix codes, Matrix error) {
        try (Arena work = Arena.ofShared()) {
            incoherence.hessian(transform, team, h);
            incoherence.weights(transform, team, w);
            double weightScale =
                    Math.sqrt(ProxyLoss.squaredNorm(w) / ((double) w.rows() * w.cols())) / settings.scale();
            divide(w, weightScale > 0 ? weightScale : 1);
            Matrix e = error == null ? w.precision().allocate(work, w.rows(), w.cols()) : error;
            Ldlq.round(search.apply(codes.codebook()), team, w, h, settings.beam(), settings.greedyPasses(), codes, e);
            return Outcome.of(
                    weightScale,
                    ProxyLoss.trace(team, e, h),
                    ProxyLoss.trace(team, w, h),
                    ProxyLoss.squaredNorm(e),
                    ProxyLoss.squaredNorm(w));
        }
    }

    private static void divide(Matrix w, double divisor) {
        double factor = 1 / divisor;
        for (int i = 0; i < w.rows(); i++) {
            for (int j = 0; j < w.cols(); j++) {
                w.put(i, j, w.at(i, j) * factor);
            }
        }
    }
}
