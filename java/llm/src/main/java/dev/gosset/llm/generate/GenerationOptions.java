package dev.gosset.llm.generate;

import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.sampling.TokenMask;
import java.util.List;

/**
 * How text is generated.
 *
 * @param maxTokens the most tokens to generate, at least 1
 * @param sampling how each token is drawn
 * @param stop texts that end the generation where one of them appears; it is not given itself
 * @param logProbabilities how many of the most likely tokens are told with each token, beside itself; -1 for none of it
 * @param mask forbids tokens at each step; null where all may come. It is of one generation
 */
public record GenerationOptions(
        int maxTokens, Sampling sampling, List<String> stop, int logProbabilities, TokenMask mask) {
    /** Log-probabilities are not told. */
    public static final int NO_LOG_PROBABILITIES = -1;

    /**
     * @throws IllegalArgumentException where a value is out of its bounds
     */
    public GenerationOptions {
        if (maxTokens < 1) {
            throw new IllegalArgumentException("max tokens must be at least 1, found " + maxTokens);
        }
        stop = List.copyOf(stop);
        if (stop.contains("")) {
            throw new IllegalArgumentException("a stop string must not be empty");
        }
        if (logProbabilities < NO_LOG_PROBABILITIES) {
            throw new IllegalArgumentException(
                    "log-probabilities must be told of 0 or more tokens beside the drawn one," + " found "
                            + logProbabilities);
        }
    }

    public GenerationOptions(int maxTokens, Sampling sampling) {
        this(maxTokens, sampling, List.of(), NO_LOG_PROBABILITIES, null);
    }

    /** 256 tokens, temperature 0.8, top-p 0.95, seed 0. */
    public static GenerationOptions defaults() {
        return new GenerationOptions(256, Sampling.defaults());
    }

    /** The most likely token at every step. */
    public static GenerationOptions greedy(int maxTokens) {
        return new GenerationOptions(maxTokens, Sampling.greedy());
    }

    public GenerationOptions withMaxTokens(int n) {
        return new GenerationOptions(n, sampling, stop, logProbabilities, mask);
    }

    public GenerationOptions withSampling(Sampling s) {
        return new GenerationOptions(maxTokens, s, stop, logProbabilities, mask);
    }

    public GenerationOptions withStop(List<String> texts) {
        return new GenerationOptions(maxTokens, sampling, texts, logProbabilities, mask);
    }

    public GenerationOptions withLogProbabilities(int n) {
        return new GenerationOptions(maxTokens, sampling, stop, n, mask);
    }

    public GenerationOptions withMask(TokenMask m) {
        return new GenerationOptions(maxTokens, sampling, stop, logProbabilities, m);
    }

    public GenerationOptions withTemperature(double t) {
        return withSampling(sampling.withTemperature(t));
    }

    public GenerationOptions withTopK(int k) {
        return withSampling(sampling.withTopK(k));
    }

    public GenerationOptions withTopP(double p) {
        return withSampling(sampling.withTopP(p));
    }

    public GenerationOptions withSeed(long s) {
        return withSampling(sampling.withSeed(s));
    }
}
