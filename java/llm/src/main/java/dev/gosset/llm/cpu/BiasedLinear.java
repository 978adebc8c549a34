package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;

/**
 * Another linear and a bias: {@code y = linear(x) + bias}.
 *
 * @param linear the map without bias
 * @param bias 1 x m
 */
public record BiasedLinear(Linear linear, FloatMatrix bias) implements Linear {
    public BiasedLinear {
        if (bias.rows() != 1 || bias.cols() != linear.outputs()) {
            throw new IllegalArgumentException("a linear with " + linear.outputs() + " outputs needs a bias of 1 x "
                    + linear.outputs() + ", found " + bias.rows() + " x " + bias.cols());
        }
    }

    @Override
    public int inputs() {
        return linear.inputs();
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
        linear.forward(x, y, workspace);
        addBias(y);
    }

    @Override
    public void forwardMany(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        linear.forwardMany(x, y, workspace);
        addBias(y);
    }

    private void addBias(FloatMatrix y) {
        for (int t = 0; t < y.rows(); t++) {
            VectorMath.add(bias.data(), 0, y.data(), 4L * t * y.cols(), y.cols());
        }
    }
}
