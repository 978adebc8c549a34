package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.dense.ByteProduct;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;

/**
 * A matrix rounded to bytes when the model was opened, without bias: an 8-bit head.
 *
 * @param product the rounded matrix
 */
public record ByteLinear(ByteProduct product) implements Linear {
    @Override
    public int inputs() {
        return product.cols();
    }

    @Override
    public int outputs() {
        return product.rows();
    }

    @Override
    public double relativeError() {
        return product.relativeError();
    }

    @Override
    public void forward(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        product.apply(x, y, workspace);
    }

    @Override
    public void forwardMany(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        product.applyMany(x, y, workspace);
    }
}
