package dev.gosset.server.serving;

import dev.gosset.llm.generate.GenerationOptions;

/**
 * A prompt, and how often and how it is continued.
 *
 * @param count continuations; their seeds follow each other
 * @param promptLogProbabilities whether they are told of the prompt's own tokens
 */
public record Choice(int[] prompt, int count, GenerationOptions options, boolean promptLogProbabilities) {}
