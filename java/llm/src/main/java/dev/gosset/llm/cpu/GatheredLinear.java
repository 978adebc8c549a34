package dev.gosset.llm.cpu;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;

/**
 * Another linear behind a change of its inputs, {@code y = linear(x')} with {@code x'[j] = x[indices[j]] / scale[j]}: the
 * outlier channel split and the rescaling of QuIP# checkpoints of 2023. Source: spec/quip-sharp.md, sections 1.5, 1.6 and
 * 6.
 */
final class GatheredLinear implements Linear {
    private static final int ROWS = 4;

    private final Linear linear;
    private final int inputs;
    private final int[] indices;
    private final float[] scale;

    /**
     * @param inputs the columns of x
     * @param indices for each input of the linear a column of x; null for all in their order
     * @param scale for each input of the linear what it is divided by; null for 1
     */
    GatheredLinear(Linear linear, int inputs, int[] indices, float[] scale) {
        this.linear = linear;
        this.inputs = inputs;
        this.indices = indices;
        this.scale = scale;
    }

    @Override
    public int inputs() {
        return inputs;
    }

    @Override
    public int outputs() {
        return linear.outputs();
    }

    @Override
    public double relativeError() {
        return linear.relativeError();
    }

    @Override
    public void forward(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            linear.forward(gather(x, frame, workspace), y, workspace);
        }
    }

    @Override
    public void forwardMany(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            linear.forwardMany(gather(x, frame, workspace), y, workspace);
        }
    }

    private FloatMatrix gather(FloatMatrix x, Workspace.Frame frame, Workspace workspace) {
        FloatMatrix gathered = frame.matrix(x.rows(), linear.inputs());
        workspace.team().run(Math.ceilDiv(x.rows(), ROWS), i -> {
            for (int t = i * ROWS; t < Math.min(x.rows(), (i + 1) * ROWS); t++) {
                for (int j = 0; j < gathered.cols(); j++) {
                    float value = x.get(t, indices == null ? j : indices[j]);
                    gathered.set(t, j, scale == null ? value : value / scale[j]);
                }
            }
        });
        return gathered;
    }
}
