package dev.gosset.llm.plan;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** What a block computes of each token alone. */
public sealed interface FeedForwardPlan {
    /** Its linears, in the order in which they run. */
    List<LinearGroup> groups();

    /** The tensors that it has besides them. */
    default List<TensorPlan> tensors() {
        return List.of();
    }

    /** What the gate goes through, or what a plain MLP has between its linears. */
    enum Activation {
        /** {@code x / (1 + exp(-x))}. */
        SILU,
        /** {@code x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2}. */
        GELU_TANH,
        /** {@code x (1 + erf(x / sqrt(2))) / 2}. */
        GELU,
        /** {@code max(x, 0)^2}. */
        SQUARED_RELU
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

    /**
     * {@code output(activation(input))}.
     *
     * @param input of the normalized hidden state
     * @param output of what the activation gives
     * @param width number of elements of that
     */
    record Plain(LinearGroup input, LinearGroup output, int width, Activation activation) implements FeedForwardPlan {
        @Override
        public List<LinearGroup> groups() {
            return List.of(input, output);
        }
    }

    /**
     * A mixture: {@code sum_e p_e expert_e(x)} over the {@code chosen} experts e for which {@code p = softmax(router x)} is
     * greatest, and what a shared expert gives.
     *
     * @param router experts x hidden size, never quantized
     * @param experts at least {@code chosen}
     * @param chosen how many of them a token goes through
     * @param normalized whether the p of those are divided by their sum
     * @param shared an expert for every token
     */
    record Experts(TensorPlan router, List<Gated> experts, int chosen, boolean normalized, Optional<Shared> shared)
            implements FeedForwardPlan {
        public Experts {
            experts = List.copyOf(experts);
        }

        @Override
        public List<LinearGroup> groups() {
            return Stream.concat(experts.stream(), shared.map(Shared::expert).stream())
                    .flatMap(e -> e.groups().stream())
                    .toList();
        }

        @Override
        public List<TensorPlan> tensors() {
            return Stream.concat(Stream.of(router), shared.map(Shared::gate).stream())
                    .toList();
        }
    }

    /**
     * {@code expert(x) / (1 + exp(-gate x))}.
     *
     * @param gate 1 x hidden size, never quantized
     */
    record Shared(Gated expert, TensorPlan gate) {}
}
