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
        return roundAny(settings, incoherence, w, h, null, codes, error).outcome;
    }

    /** Copies of what a {@link LossHessian} has, in the precision of the weights and of the scale that their stack has. */
    record Sides(Matrix inputs, Matrix outputs, Matrix heldInputs, Matrix heldGradients) {}

    /**
     * What rounding by both sides found.
     *
     * @param expected what both sides leave of the held-out loss, as a part of what one side leaves; below 1 where both were taken
     */
    record OfSides(Outcome outcome, double expected) {}

    /**
     * {@link #round} of matrices in the precision that this is for.
     *
     * @param sides null for one side; their memory may be written over. Taken where they promise less loss of held-out tokens
     */
    OfSides roundAny(
            RoundingSettings settings,
            Incoherence incoherence,
            Matrix w,
            Matrix oneSided,
            Sides sides,
            CodeMatrix codes,
            Matrix error) {
        try (Arena work = Arena.ofShared()) {
            incoherence.hessian(transform, team, oneSided);
            Matrix h = oneSided;
            Matrix outputs = null;
            double expected = Double.NaN;
            if (sides != null) {
                outputs = turn(incoherence, sides, work);
                expected = expected(oneSided, outputs, sides);
                h = expected < 1 ? sides.inputs : oneSided;
                outputs = expected < 1 ? outputs : null;
            }
            incoherence.weights(transform, team, w);
            double weightScale =
                    Math.sqrt(ProxyLoss.squaredNorm(w) / ((double) w.rows() * w.cols())) / settings.scale();
            divide(w, weightScale > 0 ? weightScale : 1);
            Matrix e = error == null ? w.precision().allocate(work, w.rows(), w.cols()) : error;
            Ldlq.round(
                    search.apply(codes.codebook()),
                    team,
                    w,
                    h,
                    outputs,
                    settings.beam(),
                    settings.greedyPasses(),
                    codes,
                    e);
            return new OfSides(
                    Outcome.of(
                            weightScale,
                            ProxyLoss.trace(team, e, oneSided),
                            ProxyLoss.trace(team, w, oneSided),
                            ProxyLoss.squaredNorm(e),
                            ProxyLoss.squaredNorm(w)),
                    expected);
        }
    }

    /** Makes the sides incoherent; L of the outputs. */
    private Matrix turn(Incoherence incoherence, Sides sides, Arena work) {
        incoherence.hessian(transform, team, sides.inputs);
        incoherence.outputHessian(transform, team, sides.outputs);
        incoherence.inputs(transform, team, sides.heldInputs);
        incoherence.outputs(transform, team, sides.heldGradients);
        return Ldlq.factor(sides.outputs, work);
    }

    private double expected(Matrix oneSided, Matrix outputs, Sides sides) {
        try (Arena arena = Arena.ofShared()) {
            Matrix x = sides.heldInputs;
            Matrix g = sides.heldGradients;
            double part = LossHessian.expected(team, outputs, Ldlq.factor(sides.inputs, arena), x, g)
                    / LossHessian.expected(team, null, Ldlq.factor(oneSided, arena), x, g);
            // Nothing is gained where nothing reaches the loss.
            return Double.isFinite(part) ? part : 1;
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
