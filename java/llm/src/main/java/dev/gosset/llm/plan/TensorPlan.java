package dev.gosset.llm.plan;

import java.util.List;

/**
 * A tensor that a model has besides its linears.
 *
 * @param name its name in the original model
 * @param role what it is for: {@code embedding}, {@code norm}, {@code bias}, {@code router} or {@code head}
 * @param shape its dimensions
 */
public record TensorPlan(String name, String role, List<Long> shape) {
    public TensorPlan {
        shape = List.copyOf(shape);
    }
}
