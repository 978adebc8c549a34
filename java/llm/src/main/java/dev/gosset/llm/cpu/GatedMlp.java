package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.plan.FeedForwardPlan.Gated;
import java.lang.foreign.MemorySegment;

/**
 * {@code output(activation(gate) * up)}.
 *
 * @param input up and gate
 * @param output of the product
 */
record GatedMlp(Gated plan, Linear input, Linear output) implements FeedForward {
    @Override
    public void forward(FloatMatrix x, FloatMatrix y, boolean many, ActivationTap tap, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix gated = frame.matrix(x.rows(), plan.width());
            try (Workspace.Frame inner = workspace.frame()) {
                FloatMatrix upGate = inner.matrix(x.rows(), input.outputs());
                TransformerBlock.apply(plan.input(), input, x, upGate, many, tap, workspace);
                gate(upGate, gated, workspace);
            }
            TransformerBlock.apply(plan.output(), output, gated, y, many, tap, workspace);
        }
    }

    private void gate(FloatMatrix upGate, FloatMatrix gated, Workspace workspace) {
        TransformerBlock.forRows(gated.rows(), workspace, (from, to) -> {
            int n = gated.cols();
            MemorySegment x = upGate.data();
            for (int t = from; t < to; t++) {
                long row = 8L * t * n;
                switch (plan.activation()) {
                    case SILU -> VectorMath.swiGlu(x, row, x, row + 4L * n, gated.data(), 4L * t * n, n);
                    case GELU_TANH -> VectorMath.geGlu(x, row, x, row + 4L * n, gated.data(), 4L * t * n, n);
                    case GELU, SQUARED_RELU -> {
                        PlainMlp.activate(plan.activation(), x, row + 4L * n, gated.data(), 4L * t * n, n);
                        VectorMath.multiply(gated.data(), 4L * t * n, x, row, gated.data(), 4L * t * n, n);
                    }
                }
            }
        });
    }
}
