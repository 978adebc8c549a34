package dev.gosset.llm.plan;

import java.util.List;

/** How vectors are normalized. */
public sealed interface NormPlan {
    /** Its weight. */
    TensorPlan weight();

    /**
     * {@code x / sqrt(mean(x^2) + epsilon) * w}.
     *
     * @param name of the tensor w
     * @param size of x
     */
    record Rms(String name, int size, float epsilon) implements NormPlan {
        @Override
        public TensorPlan weight() {
            return new TensorPlan(name, "norm", List.of((long) size));
        }
    }
}
