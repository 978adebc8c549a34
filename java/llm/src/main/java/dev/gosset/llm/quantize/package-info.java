/**
 * From an original model to a quantized one, block by block and never with more than one block in memory. {@link
 * dev.gosset.llm.quantize.QuantizationPipeline} is the order of the work; {@link dev.gosset.llm.quantize.WorkDirectory} keeps
 * what is finished, so that a killed run goes on where it was and ends in the same bytes.
 */
package dev.gosset.llm.quantize;
