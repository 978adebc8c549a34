package dev.gosset.llm.plan;

import java.util.Optional;

/** How attention knows where a token stands. */
public sealed interface PositionPlan {
    /** By what queries and keys are turned, if they are. */
    default Optional<Rotary> turning() {
        return Optional.empty();
    }

    /** What a query is multiplied by, besides. */
    default float queryFactor(int position) {
        return 1;
    }

    /**
     * Queries and keys are turned, pair by pair, by angles that grow with the position.
     *
     * @param dim how many of the first elements of a head are turned; even
     * @param theta base of the frequencies
     * @param scaling what becomes of them
     * @param interleaved whether pair i is of the elements 2 i and 2 i + 1, not of i and i + dim / 2
     */
    record Rotary(int dim, double theta, RotaryScaling scaling, boolean interleaved) implements PositionPlan {
        /** Of pairs that are half of what is turned apart. */
        public Rotary(int dim, double theta, RotaryScaling scaling) {
            this(dim, theta, scaling, false);
        }

        @Override
        public Optional<Rotary> turning() {
            return Optional.of(this);
        }
    }

    /**
     * They are turned, and queries multiplied by {@code 1 + beta log(1 + floor(position / period))}.
     *
     * @param period the trained context
     */
    record ScaledRotary(Rotary rotary, double beta, int period) implements PositionPlan {
        @Override
        public Optional<Rotary> turning() {
            return Optional.of(rotary);
        }

        @Override
        public float queryFactor(int position) {
            int periods = position / period;
            return (float) (1 + beta * Math.log1p(periods));
        }
    }

    /** It does not, but for what the mask of causal attention shows. */
    record None() implements PositionPlan {}
}
