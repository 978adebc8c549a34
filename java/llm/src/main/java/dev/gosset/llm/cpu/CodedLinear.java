package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;

/**
 * A quantized linear, without bias.
 *
 * @param product the linear with the kernels that run it
 */
public record CodedLinear(QuantizedProduct product) implements Linear {
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
