package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.plan.LinearGroup;

/**
 * A linear map of rows, {@code y = x W^T + b}, in float32: a stack of the linears of one {@link LinearGroup}, or the head
 * of a model. What W is stored as is the implementation's affair. Implementations are immutable and thread-safe as long
 * as the memory behind them is open; x and y must be open to all threads of the workspace's team. Their results do not depend on the number of threads.
 */
public interface Linear {
    /** n, the number of columns of x. */
    int inputs();

    /** m, the number of columns of y. */
    int outputs();

    /**
     * The root mean square of the errors of y to expect at most, as a part of that of y, for x as activations are; see {@link
     * QuantizedProduct#relativeError}.
     */
    double relativeError();

    /**
     * Writes every element of y. Each row of y has the same bits whatever the other rows are, and however many: what a model
     * says to one sequence does not depend on those that run beside it.
     *
     * @param x t x n, left alone
     * @param y t x m
     */
    void forward(FloatMatrix x, FloatMatrix y, Workspace workspace);

    /**
     * {@link #forward} the quickest way for so many rows, which may change the last bits: for calibration and evaluation, where the
     * rows are always those of one whole sequence.
     */
    default void forwardMany(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        forward(x, y, workspace);
    }
}
