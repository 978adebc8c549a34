package dev.gosset.llm.finetune;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.finetune.Parameters.Parameter;

/**
 * A linear with its way back: {@code y = D(sv)^T (M D(su) x) + bias} with the decoded matrix M of a quantized one, or {@code y = W x +
 * bias}. Whole matrices are multiplied by BLAS. D(v) multiplies by v, of a Fourier transform pair by pair as complex numbers.
 *
 * @param matrix M or W, m x n
 * @param weight W where it is dense, whose value is {@code matrix}; else null
 * @param su n factors of the input; null where it is dense
 * @param sv m factors of the output, the scales of the parts among them; null where it is dense
 * @param bias 1 x m, never tuned; or null
 * @param inputPairs whether su holds complex numbers
 * @param outputPairs whether sv does
 */
record TunableLinear(
        FloatMatrix matrix,
        Parameter weight,
        Parameter su,
        Parameter sv,
        FloatMatrix bias,
        boolean inputPairs,
        boolean outputPairs) {
    static TunableLinear dense(Parameter weight, FloatMatrix bias) {
        return new TunableLinear(weight.value(), weight, null, null, bias, false, false);
    }

    static TunableLinear quantized(
            HadamardTransform inputs,
            HadamardTransform outputs,
            FloatMatrix matrix,
            Parameter su,
            Parameter sv,
            FloatMatrix bias) {
        return new TunableLinear(
                matrix,
                null,
                su,
                sv,
                bias,
                inputs.kind() == HadamardTransform.Kind.FOURIER,
                outputs.kind() == HadamardTransform.Kind.FOURIER);
    }

    boolean isDense() {
        return weight != null;
    }

    /**
     * @param x t x n, left alone
     * @param z t x m: what the matrix gives, for the way back
     */
    void multiply(FloatMatrix x, FloatMatrix z, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix scaled = x;
            if (!isDense()) {
                scaled = frame.matrix(x.rows(), x.cols());
                Rows.multiply(x, su.value(), inputPairs, false, scaled, workspace);
            }
            Blas.gemm(
                    workspace.team(), 1, Operand.of(scaled), Operand.of(matrix).transpose(), 0, Operand.of(z));
        }
    }

    /** {@code y = D(sv)^T z + bias}; y may be z. */
    void finish(FloatMatrix z, FloatMatrix y, Workspace workspace) {
        int m = z.cols();
        if (!isDense()) {
            Rows.multiply(z, sv.value(), outputPairs, true, y, workspace);
        }
        Rows.run(z.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                long at = 4L * t * m;
                if (isDense()) {
                    VectorMath.scale(1, z.data(), at, y.data(), at, m);
                }
                if (bias != null) {
                    VectorMath.add(bias.data(), 0, y.data(), at, m);
                }
            }
        });
    }

    /**
     * Adds the gradients of the parameters and writes that of the input.
     *
     * @param x what {@link #multiply} had
     * @param z what it wrote
     * @param dy the gradient of the output; overwritten
     * @param dx written
     */
    void backward(FloatMatrix x, FloatMatrix z, FloatMatrix dy, FloatMatrix dx, Workspace workspace) {
        if (isDense()) {
            if (weight.isTuned()) {
                Blas.gemm(
                        workspace.team(),
                        1,
                        Operand.of(dy).transpose(),
                        Operand.of(x),
                        1,
                        Operand.of(weight.gradient()));
            }
            Blas.gemm(workspace.team(), 1, Operand.of(dy), Operand.of(matrix), 0, Operand.of(dx));
            return;
        }
        if (sv.isTuned()) {
            Rows.addFactorGradient(dy, z, outputPairs, sv.gradient(), workspace);
        }
        Rows.multiply(dy, sv.value(), outputPairs, false, dy, workspace);
        Blas.gemm(workspace.team(), 1, Operand.of(dy), Operand.of(matrix), 0, Operand.of(dx));
        if (su.isTuned()) {
            Rows.addFactorGradient(x, dx, inputPairs, su.gradient(), workspace);
        }
        Rows.multiply(dx, su.value(), inputPairs, true, dx, workspace);
    }
}
