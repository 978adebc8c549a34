package dev.gosset.llm.device;

/**
 * How the next token is drawn from logits.
 *
 * @param temperature divides the logits; 0 always takes the most likely token
 * @param topK keeps the k most likely tokens; 0 keeps all
 * @param topP keeps the smallest set of most likely tokens whose probabilities add up to p, in (0, 1]
 * @param seed of the random choices
 */
public record Sampling(double temperature, int topK, double topP, long seed) {
    /** The most likely token at every step. */
    public static Sampling greedy() {
        return new Sampling(0, 0, 1, 0);
    }
}
