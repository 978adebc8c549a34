package dev.gosset.llm.plan;

import java.util.List;

/** What a block computes of each token alone. */
public sealed interface FeedForwardPlan {
    /** Its linears, in the order in which they run. */
    List<LinearGroup> groups();

    /** What the gate goes through. */
    enum Activation {
        /** {@code x / (1 + exp(-x))}. */
        SILU,
        /** {@code x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2}. */
        GELU_TANH
    }

    /**
     * {@code output(activation(gate) * up)}.
     *
     * @param input up and gate in this order, of the normalized hidden state
     * @param output of the product
     * @param width number of elements of the product
     */
    record Gated(LinearGroup input, LinearGroup output, int width, Activation activation) implements FeedForwardPlan {
        @Override
        public List<LinearGroup> groups() {
            return List.of(input, output);
        }
    }
}
