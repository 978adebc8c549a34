package dev.gosset.llm.device;

import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.llm.sampling.Sampler;
import java.util.List;
import java.util.Optional;

/**
 * Sequences that come and go, and between that grow together: each step gives every one that has run its prompt a token. A
 * sequence gets the same tokens whatever the others are. One thread at a time.
 */
public interface Batch extends AutoCloseable {
    /** A sequence of a batch, from {@link #admit} until {@link #release}. */
    interface Sequence {
        /** Tokens of its prompt that were not computed, since the memory still had them. */
        int cachedTokens();
    }

    /**
     * What a step drew for a sequence, or what comes without being drawn.
     *
     * @param token drawn, -1 where drawing failed
     * @param logProbabilities of the token, null where they were not asked for
     * @param failure why nothing could be drawn, such as logits that are no numbers; null elsewhere. The sequence stands still then
     */
    record Drawn(Sequence sequence, int token, LogProbabilities logProbabilities, RuntimeException failure) {}

    /** The most tokens of a sequence, the prompt and all but the last drawn one. */
    int context();

    /**
     * Takes a sequence in and reserves memory for all of it, so that it never has to stop for another.
     *
     * @param prompt at least one token, all of the vocabulary
     * @param sampler of this sequence alone
     * @param most the most tokens that will be drawn; prompt and all but the last of them are no more than the context
     * @return empty where there is no room now
     * @throws IllegalArgumentException where a token is none of the vocabulary
     */
    Optional<Sequence> admit(int[] prompt, Sampler sampler, int most);

    /**
     * Runs what waits: the last token of each sequence that has run its prompt, and a bounded piece of the prompts of others.
     *
     * @return at most one drawn token of each sequence, each with those behind it that its mask leaves no choice of, in order; more than
     *     were wanted are of no account
     */
    List<Drawn> step();

    /** Takes a sequence out and gives back its memory; one that is out already is left alone. */
    void release(Sequence sequence);

    /** Memory in use for sequences, in units of the batch; 0 where there are none. For tests and reports. */
    int inUse();

    /** All memory for sequences, in the same units. */
    int capacity();

    @Override
    void close();
}
