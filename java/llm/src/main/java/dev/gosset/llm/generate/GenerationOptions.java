package dev.gosset.llm.generate;

import dev.gosset.llm.device.Sampling;

/**
 * How text is generated.
 *
 * @param maxTokens the most tokens to generate, at least 1
 * @param temperature divides the logits; 0 always takes the most likely token
 * @param topK keeps the k most likely tokens; 0 keeps all
 * @param topP keeps the smallest set of most likely tokens whose probabilities add up to p, in (0, 1]
 * @param seed of the random choices; the same seed, model and prompt give the same text
 */
public record GenerationOptions(int maxTokens, double temperature, int topK, double topP, long seed) {
    public GenerationOptions {
        if (maxTokens < 1) {
            throw new IllegalArgumentException("max tokens must be at least 1, found " + maxTokens);
        }
        if (!(temperature >= 0) || temperature == Double.POSITIVE_INFINITY) {
            throw new IllegalArgumentException("temperature must be a number from 0 up, found " + temperature);
        }
        if (topK < 0) {
            throw new IllegalArgumentException("top-k must be 0 (all) or more, found " + topK);
        }
        if (!(topP > 0 && topP <= 1)) {
            throw new IllegalArgumentException("top-p must be in (0, 1], found " + topP);
        }
    }

    /** 256 tokens, temperature 0.8, top-p 0.95, seed 0. */
    public static GenerationOptions defaults() {
        return new GenerationOptions(256, 0.8, 0, 0.95, 0);
    }

    /** The most likely token at every step. */
    public static GenerationOptions greedy(int maxTokens) {
        return new GenerationOptions(maxTokens, 0, 0, 1, 0);
    }

    /** How each token is drawn. */
    public Sampling sampling() {
        return new Sampling(temperature, topK, topP, seed);
    }

    public GenerationOptions withMaxTokens(int n) {
        return new GenerationOptions(n, temperature, topK, topP, seed);
    }

    public GenerationOptions withTemperature(double t) {
        return new GenerationOptions(maxTokens, t, topK, topP, seed);
    }

    public GenerationOptions withTopK(int k) {
        return new GenerationOptions(maxTokens, temperature, k, topP, seed);
    }

    public GenerationOptions withTopP(double p) {
        return new GenerationOptions(maxTokens, temperature, topK, p, seed);
    }

    public GenerationOptions withSeed(long s) {
        return new GenerationOptions(maxTokens, temperature, topK, topP, s);
    }
}
