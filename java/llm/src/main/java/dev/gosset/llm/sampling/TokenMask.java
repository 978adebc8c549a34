package dev.gosset.llm.sampling;

/** Decides which tokens may come next, for instance by a grammar. Of one sequence; one thread at a time. */
public interface TokenMask {
    /**
     * Forbids tokens.
     *
     * @param logits of the whole vocabulary; those of tokens that must not come next are set to minus infinity, at least one
     *     is left
     */
    void mask(float[] logits);

    /** Takes the token that was drawn. */
    default void accept(int token) {}
}
