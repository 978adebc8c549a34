package dev.gosset.llm.sampling;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How the next token is drawn from logits. Immutable.
 *
 * @param temperature divides the logits; 0 always takes the most likely token
 * @param topK keeps the k most likely tokens; 0 keeps all
 * @param topP keeps the smallest set of most likely tokens whose probabilities add up to p, in (0, 1]
 * @param minP keeps the tokens that are at least p times as likely as the most likely one, in [0, 1]; 0 keeps all
 * @param repetitionPenalty divides the logits above 0, and multiplies those below, of tokens that the prompt or the text
 *     has; above 0, 1 changes nothing
 * @param presencePenalty is taken from the logits of tokens that the generated text has
 * @param frequencyPenalty is taken from the logit of a token for each time that the generated text has it
 * @param logitBias is added to the logits of these tokens; minus infinity forbids one
 * @param seed of the random choices; the same seed, model and prompt give the same text
 */
public record Sampling(
        double temperature,
        int topK,
        double topP,
        double minP,
        double repetitionPenalty,
        double presencePenalty,
        double frequencyPenalty,
        Map<Integer, Double> logitBias,
        long seed) {
    /**
     * @throws IllegalArgumentException where a value is out of its bounds
     */
    public Sampling {
        if (!(temperature >= 0) || temperature == Double.POSITIVE_INFINITY) {
            throw new IllegalArgumentException("temperature must be a number from 0 up, found " + temperature);
        }
        if (topK < 0) {
            throw new IllegalArgumentException("top-k must be 0 (all) or more, found " + topK);
        }
        if (!(topP > 0 && topP <= 1)) {
            throw new IllegalArgumentException("top-p must be in (0, 1], found " + topP);
        }
        if (!(minP >= 0 && minP <= 1)) {
            throw new IllegalArgumentException("min-p must be in [0, 1], found " + minP);
        }
        if (!(repetitionPenalty > 0) || repetitionPenalty == Double.POSITIVE_INFINITY) {
            throw new IllegalArgumentException(
                    "repetition penalty must be a number above 0, found " + repetitionPenalty);
        }
        if (!Double.isFinite(presencePenalty)) {
            throw new IllegalArgumentException("presence penalty must be a number, found " + presencePenalty);
        }
        if (!Double.isFinite(frequencyPenalty)) {
            throw new IllegalArgumentException("frequency penalty must be a number, found " + frequencyPenalty);
        }
        logitBias = Map.copyOf(logitBias);
        logitBias.forEach((token, bias) -> {
            if (token < 0 || bias.isNaN() || bias == Double.POSITIVE_INFINITY) {
                throw new IllegalArgumentException("logit bias must be a number for a token of the vocabulary, found "
                        + bias + " for token " + token);
            }
        });
    }

    /** Temperature, top-k and top-p alone. */
    public static Sampling of(double temperature, int topK, double topP, long seed) {
        return new Sampling(temperature, topK, topP, 0, 1, 0, 0, Map.of(), seed);
    }

    /** The most likely token at every step. */
    public static Sampling greedy() {
        return of(0, 0, 1, 0);
    }

    /** Temperature 0.8, top-p 0.95, seed 0. */
    public static Sampling defaults() {
        return of(0.8, 0, 0.95, 0);
    }

    /** Whether temperature, top-k and top-p are all there is: what every backend draws by itself. */
    public boolean isPlain() {
        return minP == 0 && !changesLogits();
    }

    /** Whether there are penalties or biases. */
    boolean changesLogits() {
        return repetitionPenalty != 1 || presencePenalty != 0 || frequencyPenalty != 0 || !logitBias.isEmpty();
    }

    /** The settings by their usual names, for a report. */
    public Map<String, Object> fields() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("temperature", temperature);
        fields.put("top_k", topK);
        fields.put("top_p", topP);
        fields.put("min_p", minP);
        fields.put("repetition_penalty", repetitionPenalty);
        fields.put("presence_penalty", presencePenalty);
        fields.put("frequency_penalty", frequencyPenalty);
        fields.put("seed", seed);
        return fields;
    }

    public Sampling withTemperature(double t) {
        return new Sampling(t, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, seed);
    }

    public Sampling withTopK(int k) {
        return new Sampling(
                temperature, k, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, seed);
    }

    public Sampling withTopP(double p) {
        return new Sampling(
                temperature, topK, p, minP, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, seed);
    }

    public Sampling withMinP(double p) {
        return new Sampling(
                temperature, topK, topP, p, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, seed);
    }

    public Sampling withRepetitionPenalty(double p) {
        return new Sampling(temperature, topK, topP, minP, p, presencePenalty, frequencyPenalty, logitBias, seed);
    }

    public Sampling withPresencePenalty(double p) {
        return new Sampling(temperature, topK, topP, minP, repetitionPenalty, p, frequencyPenalty, logitBias, seed);
    }

    public Sampling withFrequencyPenalty(double p) {
        return new Sampling(temperature, topK, topP, minP, repetitionPenalty, presencePenalty, p, logitBias, seed);
    }

    public Sampling withLogitBias(Map<Integer, Double> bias) {
        return new Sampling(
                temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, bias, seed);
    }

    public Sampling withSeed(long s) {
        return new Sampling(
                temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, s);
    }
}
