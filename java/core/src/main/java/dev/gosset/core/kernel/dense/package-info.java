/**
 * The arithmetic of a transformer that has no codes: norms, rotary positions, attention, softmax, their gradients, and products with weights of 8, 16 or 32
 * bits. Vectors only, without a scalar twin; tested against loops in float64 in their tests.
 */
package dev.gosset.core.kernel.dense;
