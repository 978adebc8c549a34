/**
 * How the next token is drawn from logits. {@link dev.gosset.llm.sampling.Sampling} holds the settings and
 * {@link dev.gosset.llm.sampling.Sampler} draws by them, for one sequence. The order is that of Hugging Face transformers:
 * bias, repetition penalty, frequency and presence penalty, mask (where the token drawn without it must not come); then
 * temperature, top-k, top-p, min-p. Nothing here knows
 * where logits come from.
 */
package dev.gosset.llm.sampling;
