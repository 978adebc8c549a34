/**
 * One orthogonal matrix for every length n, which spreads any vector evenly and costs additions only: the Sylvester matrix
 * of the power of two in n, times a Hadamard matrix of the odd part where QuIP# has one, or else the discrete Hartley matrix
 * of it. {@link dev.gosset.core.hadamard.HadamardTransform} chooses, and is the float64 oracle; the float32 kernels are in
 * {@link dev.gosset.core.kernel}. Source: spec/quip-sharp.md, section 1.
 */
package dev.gosset.core.hadamard;
