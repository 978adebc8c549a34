/**
 * The processor's interpreter of plans: a {@link dev.gosset.llm.cpu.Transformer} is a row of {@link
 * dev.gosset.llm.cpu.TransformerBlock}s made of {@link dev.gosset.llm.cpu.Linear}s and {@link dev.gosset.llm.cpu.Attention}
 * over the keys and values of a {@link dev.gosset.llm.cpu.KeyValuePool}.
 */
package dev.gosset.llm.cpu;
