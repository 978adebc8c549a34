package dev.gosset.llm.plan;

/** What becomes of the head's products before they are logits. */
public sealed interface LogitPlan {
    /** Nothing. */
    record Products() implements LogitPlan {}

    /** They are multiplied by a factor. */
    record Scaled(float factor) implements LogitPlan {}

    /** {@code cap tanh(x / cap)}. */
    record SoftCapped(float cap) implements LogitPlan {}
}
