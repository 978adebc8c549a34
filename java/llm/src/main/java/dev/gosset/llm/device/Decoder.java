package dev.gosset.llm.device;

import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.util.List;
import java.util.Set;

/**
 * A fixed number of sequences with their key-value caches, extended by given tokens and by sampled ones. One thread at a
 * time.
 */
public interface Decoder extends AutoCloseable {
    /** How many sequences there are. */
    int sequences();

    /** The most tokens of a sequence. */
    int context();

    /** Tokens of a sequence. */
    int length(int sequence);

    /** Forgets all tokens of a sequence from position {@code length} on. */
    void truncate(int sequence, int length);

    /**
     * Adds given tokens to a sequence: a prompt, or a piece of one.
     *
     * @throws IllegalArgumentException where they do not fit, or one is no token of the vocabulary
     */
    void append(int sequence, int[] tokens);

    /**
     * What one sequence is to do.
     *
     * @param sequence its number
     * @param sampler draws its tokens; where it needs no logits a backend may draw by its settings alone, the same tokens
     * @param maxTokens the most tokens to sample, at least 1
     */
    record Continuation(int sequence, Sampler sampler, int maxTokens) {
        public Continuation(int sequence, Sampling sampling, int maxTokens) {
            this(sequence, new Sampler(sampling), maxTokens);
        }
    }

    /** Takes tokens as they are sampled. */
    @FunctionalInterface
    interface TokenReader {
        /**
         * @param token just sampled, an end token included
         * @return whether the sequence goes on
         */
        boolean read(int sequence, int token);
    }

    /**
     * Samples side by side until each sequence has met an end token, sampled its most tokens, or is full. The tokens of
     * one step come in the order of the continuations. Every sequence must have grown by {@link #append} since it was last
     * decoded or cut. Afterwards each holds what it held and all sampled tokens but the last.
     *
     * @param continuations of different sequences; the others rest
     */
    void decode(List<Continuation> continuations, Set<Integer> endTokens, TokenReader reader);

    @Override
    void close();
}
