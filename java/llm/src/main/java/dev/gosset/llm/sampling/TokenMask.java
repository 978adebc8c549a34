package dev.gosset.llm.sampling;

/** Decides which tokens may come next, for instance by a grammar. Of one sequence; one thread at a time. */
public interface TokenMask {
    /**
     * Forbids tokens: all that must not come next, or, where that is much work, the one that {@link #allows} refused last. So what is drawn then has to be
     * looked at as well.
     *
     * @param logits of the whole vocabulary; those of forbidden tokens are set to minus infinity, at least one is left
     */
    void mask(float[] logits);

    /** Whether a token may come next: what {@link #mask} leaves in the end. */
    boolean allows(int token);

    /** Takes the token that comes next. */
    default void accept(int token) {}

    /**
     * What has to come without any choice behind a token that was drawn and is allowed, before that is taken.
     *
     * @param token -1 where none was drawn yet
     * @return the tokens that come next, at least the drawn one, or others in its place that begin with its text
     */
    default int[] forced(int token) {
        return token < 0 ? new int[0] : new int[] {token};
    }
}
