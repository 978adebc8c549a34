package dev.gosset.core.rounding;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.Precision;

/**
 * How a linear is rounded. Source: spec/quip-sharp.md, sections 1.5, 2 and 3.
 *
 * @param codebook what the weights are rounded to
 * @param scale the ratio of the transformed weights' RMS to one unit of the codebook: {@code Wscale = RMS / scale}; above 0
 * @param greedyPasses passes of coordinate descent after the feedback pass, at least 0. Ten lower the proxy error by a few
 *     per cent and raise the Frobenius error
 * @param sigma added to the diagonal of the Hessian, relative to its mean; at least 0
 * @param rescale whether input channels are first scaled so that weights and Hessian share their range (section 1.5)
 * @param precision of the transform and of LDLQ: float32 by kernels and BLAS, which falls back to float64 where the Hessian
 *     has no Cholesky factor in it; or float64 by the scalar oracles and BLAS, exactly reproducible, some ten times slower
 */
public record RoundingSettings(
        Codebook codebook, double scale, int greedyPasses, double sigma, boolean rescale, Precision precision) {
    /** Passes unless told otherwise. */
    public static final int DEFAULT_GREEDY_PASSES = 10;

    public RoundingSettings {
        if (!(scale > 0 && scale < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("the scale must be a number above 0, found " + scale);
        }
        if (greedyPasses < 0) {
            throw new IllegalArgumentException("greedy passes must be at least 0, found " + greedyPasses);
        }
        if (!(sigma >= 0 && sigma < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("sigma must be a number of at least 0, found " + sigma);
        }
    }

    /** The defaults for a codebook: its default scale, 10 greedy passes, sigma 0.01, no rescaling, float32. */
    public static RoundingSettings of(Codebook codebook) {
        return new RoundingSettings(
                codebook,
                codebook.defaultScale(),
                DEFAULT_GREEDY_PASSES,
                Hessian.DEFAULT_SIGMA,
                false,
                Precision.FLOAT32);
    }

    public RoundingSettings withScale(double value) {
        return new RoundingSettings(codebook, value, greedyPasses, sigma, rescale, precision);
    }

    public RoundingSettings withGreedyPasses(int value) {
        return new RoundingSettings(codebook, scale, value, sigma, rescale, precision);
    }

    public RoundingSettings withSigma(double value) {
        return new RoundingSettings(codebook, scale, greedyPasses, value, rescale, precision);
    }

    public RoundingSettings withRescale(boolean value) {
        return new RoundingSettings(codebook, scale, greedyPasses, sigma, value, precision);
    }

    public RoundingSettings withPrecision(Precision value) {
        return new RoundingSettings(codebook, scale, greedyPasses, sigma, rescale, value);
    }
}
