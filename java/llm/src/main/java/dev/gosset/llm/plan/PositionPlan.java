package dev.gosset.llm.plan;

/** How attention knows where a token stands. */
public sealed interface PositionPlan {
    /**
     * Queries and keys are turned, pair by pair, by angles that grow with the position.
     *
     * @param dim how many of the first elements of a head are turned; even
     * @param theta base of the frequencies
     * @param scaling what becomes of them
     */
    record Rotary(int dim, double theta, RotaryScaling scaling) implements PositionPlan {}

    /** It does not, but for what the mask of causal attention shows. */
    record None() implements PositionPlan {}
}
