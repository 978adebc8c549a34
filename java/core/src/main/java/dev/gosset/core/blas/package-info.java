/**
 * Dense linear algebra is OpenBLAS, called through the foreign function API with one thread a call: {@link
 * dev.gosset.core.blas.Blas} multiplies, solves and factors matrices given as {@link dev.gosset.core.blas.Operand}s, in
 * float32 or float64 as these are.
 */
package dev.gosset.core.blas;
