/**
 * Fine-tuning of quantized models: the backward passes of everything a model consists of, Adam, tuning within a block between the
 * roundings of its linears, and of a whole model against the original's distributions. Codes never change; sign vectors become
 * real-valued, and norms, the head and linears that are not rounded yet move. Source: spec/fine-tuning.md.
 */
package dev.gosset.llm.finetune;
