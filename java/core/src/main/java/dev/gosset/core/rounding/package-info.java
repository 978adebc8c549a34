/**
 * From weights W and a Hessian H of their inputs to codes, so that {@code tr((W - Q) H (W - Q)^T)} is small. In the order of
 * the data: {@link dev.gosset.core.rounding.HessianAccumulator} sums activations to a {@link
 * dev.gosset.core.rounding.Hessian}; {@link dev.gosset.core.rounding.Incoherence} turns W and H by random orthogonal
 * matrices; {@link dev.gosset.core.rounding.BlockLdl} factors H; {@link dev.gosset.core.rounding.Ldlq} rounds block after
 * block with feedback; {@link dev.gosset.core.rounding.ProxyLoss} says how large the error is. {@link
 * dev.gosset.core.rounding.LinearQuantizer} is all of it for one stack of linears, {@link
 * dev.gosset.core.rounding.StackRounding} the seam where a device takes over. Source: spec/quip-sharp.md, sections 1 to 3.
 */
package dev.gosset.core.rounding;
