package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.plan.FeedForwardPlan.Activation;
import dev.gosset.llm.plan.FeedForwardPlan.Plain;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * {@code output(activation(input))}.
 *
 * @param input of the normalized hidden state
 * @param output of what the activation gives
 */
record PlainMlp(Plain plan, Linear input, Linear output) implements FeedForward {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    @Override
    public void forward(FloatMatrix x, FloatMatrix y, boolean many, ActivationTap tap, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix inner = frame.matrix(x.rows(), plan.width());
            TransformerBlock.apply(plan.input(), input, x, inner, many, tap, workspace);
            TransformerBlock.forRows(inner.rows(), workspace, (from, to) -> {
                for (int t = from; t < to; t++) {
                    long row = 4L * t * plan.width();
                    activate(plan.activation(), inner.data(), row, inner.data(), row, plan.width());
                }
            });
            TransformerBlock.apply(plan.output(), output, inner, y, many, tap, workspace);
        }
    }

    /** {@code y = activation(x)}; both may be the same place. */
    static void activate(Activation activation, MemorySegment x, long at, MemorySegment y, long to, int n) {
        for (int i = 0; i < n; i++) {
            y.set(FLOAT, to + 4L * i, of(activation, x.get(FLOAT, at + 4L * i)));
        }
    }

    private static float of(Activation activation, float x) {
        return switch (activation) {
            case SILU -> x / (1 + VectorMath.exp(-x));
            case GELU_TANH -> x / (1 + VectorMath.exp(-1.5957691216f * (x + 0.044715f * x * x * x)));
            case GELU -> 0.5f * x * (1 + erf(x * 0.70710678f));
            case SQUARED_RELU -> x <= 0 ? 0 : x * x;
        };
    }

    /** The error function, wrong by at most 5e-7 (Abramowitz and Stegun, 7.1.26). */
    private static float erf(float x) {
        float t = 1 / (1 + 0.3275911f * Math.abs(x));
        float p = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
        return Math.copySign(1 - p * VectorMath.exp(-x * x), x);
    }
}
