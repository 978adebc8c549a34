/**
 * Products by points. A code is two table rows of eight floats that XOR puts together, then eight multiplications by FMA; codes as they are
 * stored, nothing repacked, exact in float32. Every width of vectors. Oracle: ScalarMatvec.
 */
package dev.gosset.core.kernel.points;
