package dev.gosset.llm.plan;

import java.util.List;

/** How vectors are normalized. */
public sealed interface NormPlan {
    /** The name of its weight. */
    String name();

    /** Number of elements that are normalized together. */
    int size();

    /** Its weight. */
    default TensorPlan weight() {
        return new TensorPlan(name(), "norm", List.of((long) size()));
    }

    /** All that it has: its weight, then its bias. */
    default List<TensorPlan> tensors() {
        return List.of(weight());
    }

    /**
     * {@code x / sqrt(mean(x^2) + epsilon) * w}.
     *
     * @param name of the tensor w
     * @param size of x
     */
    record Rms(String name, int size, float epsilon) implements NormPlan {}

    /**
     * {@code x / sqrt(mean(x^2) + epsilon) * (1 + w)}: a weight of zeros changes nothing.
     *
     * @param name of the tensor w
     * @param size of x
     */
    record ShiftedRms(String name, int size, float epsilon) implements NormPlan {}

    /**
     * {@code (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * (shift + w) + b}.
     *
     * @param name of the tensor w
     * @param size of x
     * @param biased whether there is a b
     */
    record Layer(String name, int size, float epsilon, float shift, boolean biased) implements NormPlan {
        @Override
        public List<TensorPlan> tensors() {
            TensorPlan bias = new TensorPlan(name.replaceAll("weight$", "bias"), "bias", List.of((long) size));
            return biased ? List.of(weight(), bias) : List.of(weight());
        }
    }
}
