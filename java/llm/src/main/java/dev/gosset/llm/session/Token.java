package dev.gosset.llm.session;

import dev.gosset.llm.sampling.LogProbabilities;

/**
 * A token that was drawn.
 *
 * @param id its number in the vocabulary
 * @param logProbabilities null where they were not asked for
 */
public record Token(int id, LogProbabilities logProbabilities) {}
