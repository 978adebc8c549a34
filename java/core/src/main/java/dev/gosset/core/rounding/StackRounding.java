package dev.gosset.core.rounding;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.contract.EncodeKernel;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;

/**
 * The float32 part of quantizing a stack, where almost all the time goes: incoherence of weights and Hessian, {@code Wr /
 * Wscale}, block LDLQ and its errors. {@link CpuStackRounding} is the one of the processor; a device brings its own. One
 * call at a time.
 */
public interface StackRounding {
    /**
     * What was found.
     *
     * @param weightScale {@code RMS(Wr) / scale}
     * @param proxyError {@code tr(E H E^T) / tr(W H W^T)}, 0 for weights that are all zero
     * @param frobeniusError {@code |E|^2 / |W|^2} after the transforms, which are orthogonal
     */
    record Outcome(double weightScale, double proxyError, double frobeniusError) {
        /** From sums of squares; an error of nothing is 0. */
        public static Outcome of(
                double weightScale, double proxy, double wholeProxy, double squaredError, double squares) {
            return new Outcome(
                    weightScale, wholeProxy == 0 ? 0 : proxy / wholeProxy, squares == 0 ? 0 : squaredError / squares);
        }
    }

    /** On the processor. */
    static StackRounding onProcessor(EncodeKernel encode, TransformKernel transform, ThreadTeam team) {
        return new CpuStackRounding(encode, transform, team);
    }

    /**
     * Rounds.
     *
     * @param incoherence the sign vectors; m x n
     * @param w m x n weights; their memory may be written over
     * @param h n x n, symmetric positive definite; its memory may be written over
     * @param codes receives the codes; m x n
     * @param error receives {@code Wr / Wscale - Q}, m x n; null where it is not wanted
     * @throws NotPositiveDefiniteException where H has no Cholesky factor in float32
     */
    Outcome round(
            RoundingSettings settings,
            Incoherence incoherence,
            FloatMatrix w,
            FloatMatrix h,
            CodeMatrix codes,
            FloatMatrix error);
}
