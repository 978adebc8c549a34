/**
 * What quantization learns from a text: sequences of tokens, their activations, carried from block to block, and the Hessian
 * files that keep what was summed.
 */
package dev.gosset.llm.calibration;
