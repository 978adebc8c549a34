package dev.gosset.server.serving;

import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.generate.GenerationOptions;
import java.util.Set;

/**
 * A prompt, and how often and how it is continued.
 *
 * @param count continuations; their seeds follow each other
 * @param constraint what each continuation is held to, or null
 * @param shown special tokens that are told as text
 * @param promptLogProbabilities whether they are told of the prompt's own tokens
 */
public record Choice(
        int[] prompt,
        int count,
        GenerationOptions options,
        Constraint constraint,
        Set<Integer> shown,
        boolean promptLogProbabilities) {
    public Choice(int[] prompt, int count, GenerationOptions options, Constraint constraint) {
        this(prompt, count, options, constraint, Set.of(), false);
    }
}
