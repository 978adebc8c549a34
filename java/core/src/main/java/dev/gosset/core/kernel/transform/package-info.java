/**
 * Orthogonal transforms. A power of two by Sylvester stages in registers (VectorSylvester, RadixPasses); what is left of n by the
 * construction that its matrix comes from, Paley's or Williamson's, or as a small dense product. Oracle: ScalarTransform.
 */
package dev.gosset.core.kernel.transform;
