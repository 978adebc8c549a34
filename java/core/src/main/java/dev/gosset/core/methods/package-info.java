/**
 * QuIP's methods, which QuIP# is measured against: {@link dev.gosset.core.methods.MethodQuantizer} is the whole for one matrix, a {@link
 * dev.gosset.core.methods.ScalarMethod} on a {@link dev.gosset.core.methods.Grid} behind a {@link dev.gosset.core.methods.Processing}, any
 * with any; {@link dev.gosset.core.methods.Spectrum} is what theory says beforehand. Plain loops in float64: nothing here runs models, and no
 * kernel multiplies with these codes. Source: spec/quip-methods.md.
 */
package dev.gosset.core.methods;
