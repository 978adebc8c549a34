/**
 * A transformer on the processor: its configuration ({@link dev.gosset.llm.model.ModelConfig}, by {@link
 * dev.gosset.llm.model.ModelFamily}), where its weights come from ({@link dev.gosset.llm.model.WeightSource}: an original
 * model, ours, or a published checkpoint), and the forward pass ({@link dev.gosset.llm.model.Transformer}, a row of {@link
 * dev.gosset.llm.model.TransformerBlock}s made of {@link dev.gosset.llm.model.Linear}s and {@link
 * dev.gosset.llm.model.Attention}).
 */
package dev.gosset.llm.model;
