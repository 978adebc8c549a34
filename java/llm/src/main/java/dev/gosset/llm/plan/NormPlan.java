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
}
