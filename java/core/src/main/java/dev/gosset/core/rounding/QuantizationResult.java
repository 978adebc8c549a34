package dev.gosset.core.rounding;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.FloatMatrix;
import java.util.Optional;

/**
 * A quantized linear and how well it stands for the original. Both errors are of the RMS-normalized stack W against its
 * rounding hatW, before scales and sign vectors are rounded to float16, with the regularized H, in float64. Source:
 * spec/quip-sharp.md, section 3.
 *
 * @param linear the stored form; lives in the arena that {@link LinearQuantizer} was given
 * @param proxyError {@code tr((hatW - W) H (hatW - W)^T) / tr(W H W^T)}; 0 where W is all zero
 * @param frobeniusError {@code |hatW - W|_F^2 / |W|_F^2}; 0 where W is all zero
 * @param weightScale Wscale: the transformed weights per unit of the codebook
 * @param float64Retried whether float32 was asked for and failed
 * @param expectedLoss where both sides' Hessians were given: what they were expected to leave of held-out tokens' loss, as a part of what
 *     the inputs' alone was; both were taken where that is below 1. Else, or where nothing reaches the loss, NaN
 * @param columnScale scaleWH, 1 x n, where rescaling was on: the columns of W were multiplied by it before rounding
 */
public record QuantizationResult(
        QuantizedLinear linear,
        double proxyError,
        double frobeniusError,
        double weightScale,
        boolean float64Retried,
        double expectedLoss,
        Optional<FloatMatrix> columnScale) {}
