package dev.gosset.core.rounding;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.EncodeKernel;
import dev.gosset.core.kernel.TransformKernel;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;

/** {@link StackRounding} on the processor, everything in place. */
final class CpuStackRounding implements StackRounding {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final EncodeKernel encode;
    private final TransformKernel transform;
    private final ThreadTeam team;

    CpuStackRounding(EncodeKernel encode, TransformKernel transform, ThreadTeam team) {
        this.encode = encode;
        this.transform = transform;
        this.team = team;
    }

    @Override
    public Outcome round(
            RoundingSettings settings,
            Incoherence incoherence,
            FloatMatrix w,
            FloatMatrix h,
            CodeMatrix codes,
            FloatMatrix error) {
        try (Arena work = Arena.ofShared()) {
            incoherence.hessian(transform, team, h);
            incoherence.weights(transform, team, w);
            double weightScale =
                    Math.sqrt(ProxyLoss.squaredNorm(w) / ((double) w.rows() * w.cols())) / settings.scale();
            divide(w, weightScale > 0 ? weightScale : 1);
            FloatMatrix e = error == null ? FloatMatrix.allocate(work, w.rows(), w.cols()) : error;
            Ldlq.round(encode, team, w, h, settings.greedyPasses(), codes, e);
            return Outcome.of(
                    weightScale,
                    ProxyLoss.trace(team, e, h),
                    ProxyLoss.trace(team, w, h),
                    ProxyLoss.squaredNorm(e),
                    ProxyLoss.squaredNorm(w));
        }
    }

    private static void divide(FloatMatrix w, double divisor) {
        double factor = 1 / divisor;
        long count = (long) w.rows() * w.cols();
        for (long i = 0; i < count; i++) {
            w.data().setAtIndex(FLOAT, i, (float) (w.data().getAtIndex(FLOAT, i) * factor));
        }
    }
}
