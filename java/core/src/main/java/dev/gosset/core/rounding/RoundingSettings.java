package dev.gosset.core.rounding;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.memory.Precision;

/**
 * How a linear is rounded. Source: spec/quip-sharp.md, sections 1.5, 2 and 3.
 *
 * @param codebook what the weights are rounded to
 * @param scale the ratio of the transformed weights' RMS to one unit of the codebook: {@code Wscale = RMS / scale}; above 0
 * @param beam how points are searched. 0: each block's nearest point by the Euclidean norm, as the reference does; above that by the
 *     metric of the block, with so many histories for each row (a beam), 64 at most
 * @param greedyPasses passes of coordinate descent after the feedback pass, at least 0. By the metric of blocks none raises the proxy
 *     error; by the Euclidean norm they may
 * @param sigma added to the diagonal of the Hessian, relative to its mean; at least 0
 * @param rescale whether input channels are first scaled so that weights and Hessian share their range (section 1.5)
 * @param precision of the transform and of LDLQ: float32 by kernels and BLAS, which falls back to float64 where the Hessian
 *     has no Cholesky factor in it; or float64 by the scalar oracles and BLAS, exactly reproducible, some ten times slower
 * @param transform what makes weights and Hessian incoherent
 */
public record RoundingSettings(
        Codebook codebook,
        double scale,
        int beam,
        int greedyPasses,
        double sigma,
        boolean rescale,
        Precision precision,
        TransformChoice transform) {
    /** Greedy passes of the reference implementation, and of a search for nearest points unless told otherwise. */
    public static final int REFERENCE_PASSES = 10;

    /** States of a beam unless told otherwise. */
    public static final int DEFAULT_BEAM = 4;

    /** The widest beam. */
    public static final int MOST_STATES = 64;

    public RoundingSettings {
        if (!(scale > 0 && scale < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("the scale must be a number above 0, found " + scale);
        }
        if (beam < 0 || beam > MOST_STATES) {
            throw new IllegalArgumentException("a beam has 0 to " + MOST_STATES + " states, found " + beam);
        }
        if (beam > 0 && !isSearchedByMetric(codebook)) {
            throw new IllegalArgumentException(
                    "codebook " + codebook.name() + " is searched for nearest points only, found a beam of " + beam);
        }
        if (greedyPasses < 0) {
            throw new IllegalArgumentException("greedy passes must be at least 0, found " + greedyPasses);
        }
        if (!(sigma >= 0 && sigma < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("sigma must be a number of at least 0, found " + sigma);
        }
        if (rescale && transform == TransformChoice.FOURIER) {
            throw new IllegalArgumentException(
                    "rescaling has a factor for each input, a Fourier transform one for each pair: use another transform");
        }
    }

    /** With the transforms that every length has by default. */
    public RoundingSettings(
            Codebook codebook,
            double scale,
            int beam,
            int greedyPasses,
            double sigma,
            boolean rescale,
            Precision precision) {
        this(codebook, scale, beam, greedyPasses, sigma, rescale, precision, TransformChoice.AUTO);
    }

    /**
     * The defaults for a codebook: its default scale, a beam of 4 without greedy passes, sigma 0.01, no rescaling, float32. Codebooks not
     * made of E8P are searched as {@link #reference} does.
     */
    public static RoundingSettings of(Codebook codebook) {
        return new RoundingSettings(
                codebook,
                codebook.defaultScale(),
                isSearchedByMetric(codebook) ? DEFAULT_BEAM : 0,
                isSearchedByMetric(codebook) ? 0 : REFERENCE_PASSES,
                Hessian.DEFAULT_SIGMA,
                false,
                Precision.FLOAT32,
                TransformChoice.AUTO);
    }

    /** As the reference implementation: nearest points, ten greedy passes; else {@link #of}. Devices know no other search. */
    public static RoundingSettings reference(Codebook codebook) {
        return of(codebook).withBeam(0).withGreedyPasses(REFERENCE_PASSES);
    }

    /** Whether a codebook's points can be searched by the metric of blocks. */
    public static boolean isSearchedByMetric(Codebook codebook) {
        return codebook instanceof E8p || codebook instanceof E8pResidual;
    }

    public RoundingSettings withScale(double value) {
        return new RoundingSettings(codebook, value, beam, greedyPasses, sigma, rescale, precision, transform);
    }

    public RoundingSettings withBeam(int value) {
        return new RoundingSettings(codebook, scale, value, greedyPasses, sigma, rescale, precision, transform);
    }

    public RoundingSettings withGreedyPasses(int value) {
        return new RoundingSettings(codebook, scale, beam, value, sigma, rescale, precision, transform);
    }

    public RoundingSettings withSigma(double value) {
        return new RoundingSettings(codebook, scale, beam, greedyPasses, value, rescale, precision, transform);
    }

    public RoundingSettings withRescale(boolean value) {
        return new RoundingSettings(codebook, scale, beam, greedyPasses, sigma, value, precision, transform);
    }

    public RoundingSettings withPrecision(Precision value) {
        return new RoundingSettings(codebook, scale, beam, greedyPasses, sigma, rescale, value, transform);
    }

    public RoundingSettings withTransform(TransformChoice value) {
        return new RoundingSettings(codebook, scale, beam, greedyPasses, sigma, rescale, precision, value);
    }
}
