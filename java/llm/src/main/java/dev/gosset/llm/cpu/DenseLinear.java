package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.dense.DenseProduct;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.Workspace;
import java.util.List;

/** Linears with stored matrices (F32, F16 or BF16), stacked from the top down, without bias. */
public final class DenseLinear implements Linear {
    private final List<DenseProduct> parts;
    private final int inputs;
    private final int outputs;

    /**
     * @param weights at least one matrix, all with the same number of columns
     */
    public DenseLinear(List<Tensor> weights) {
        this.parts = weights.stream().map(DenseProduct::new).toList();
        this.inputs = parts.getFirst().cols();
        this.outputs = parts.stream().mapToInt(DenseProduct::rows).sum();
        for (DenseProduct part : parts) {
            if (part.cols() != inputs) {
                throw new IllegalArgumentException(part.weight() + " has " + part.cols() + " columns, "
                        + parts.getFirst().weight() + " has " + inputs);
            }
        }
    }

    /** The stacked matrices from the top down, as stored. */
    public List<Tensor> weights() {
        return parts.stream().map(DenseProduct::weight).toList();
    }

    @Override
    public int inputs() {
        return inputs;
    }

    @Override
    public int outputs() {
        return outputs;
    }

    @Override
    public double relativeError() {
        return DenseProduct.RELATIVE_ERROR;
    }

    @Override
    public void forward(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        int column = 0;
        for (DenseProduct part : parts) {
            part.apply(x, y, column, workspace);
            column += part.rows();
        }
    }

    @Override
    public void forwardMany(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        int column = 0;
        for (DenseProduct part : parts) {
            part.applyMany(x, y, column, workspace);
            column += part.rows();
        }
    }
}
