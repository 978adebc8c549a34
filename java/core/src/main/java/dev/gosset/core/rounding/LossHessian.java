package dev.gosset.core.rounding;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;

/**
 * What the whole model's loss says about a stack of linears, seen from both sides. With x the input of a token and g the gradient of
 * the loss by the output, where the token behind is drawn from the model's own distribution, the loss grows by about {@code 1/2 sum (g^T
 * dW x)^2}, the quadratic form of {@code sum (x x^T) (x) (g g^T)}. Rounding takes {@code H_I = sum |g|^2 x x^T} and {@code H_O = sum
 * |x|^2 g g^T} for its two factors: {@code tr(H_O dW H_I dW^T)}. Source: notes/beyond-e8p.md, section 4, after YAQA (Tseng et al. 2025).
 *
 * <p>Factors from few tokens fit these and no others. So there are tokens that they have not seen: {@link #expected} compares what
 * rounding by them and rounding by the inputs alone would cost there. An immutable view of native memory.
 *
 * @param inputs H_I, n x n
 * @param outputs H_O, m x m
 * @param heldInputs x of held-out tokens, t x n
 * @param heldGradients g of the same tokens, t x m
 */
public record LossHessian(Hessian inputs, Hessian outputs, FloatMatrix heldInputs, FloatMatrix heldGradients) {
    /** What is added to the diagonal of H_O, relative to its mean. */
    static final double SIGMA = 0.05;

    private static final int ROWS = 64;

    public LossHessian {
        if (heldInputs.rows() != heldGradients.rows()
                || heldInputs.cols() != inputs.n()
                || heldGradients.cols() != outputs.n()) {
            throw new IllegalArgumentException("held-out inputs are " + heldInputs.rows() + " x " + heldInputs.cols()
                    + " and gradients " + heldGradients.rows() + " x " + heldGradients.cols() + ", the Hessians have "
                    + inputs.n() + " inputs and " + outputs.n() + " outputs");
        }
    }

    /**
     * H_O of outputs that were divided by numbers, regularized: {@code S H_O S} over its mean diagonal, plus {@link #SIGMA}.
     *
     * @param scale S, m
     */
    Matrix outputs(double[] scale, Precision precision, Arena arena) {
        int m = outputs.n();
        Matrix h = outputs.regularized(0, precision, arena);
        double trace = 0;
        for (int i = 0; i < m; i++) {
            trace += h.at(i, i) * scale[i] * scale[i];
        }
        double factor = trace > 0 ? m / trace : 0;
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < m; j++) {
                h.put(i, j, h.at(i, j) * scale[i] * scale[j] * factor + (i == j ? factor > 0 ? SIGMA : 1 : 0));
            }
        }
        return h;
    }

    /**
     * What rounding leaves of the loss of held-out tokens. Rounding by LDL factors leaves {@code dW = L_O^-T N L_I^-1} with N white, so
     * {@code E (g^T dW x)^2} is in proportion to {@code |L_O^-1 g|^2 |L_I^-1 x|^2}: their sum.
     *
     * @param outputs L_O; null for none
     * @param inputs L_I
     * @param x t x n
     * @param g t x m
     */
    static double expected(ThreadTeam team, Matrix outputs, Matrix inputs, Matrix x, Matrix g) {
        try (Arena arena = Arena.ofShared()) {
            double[] left = norms(team, outputs, g, arena);
            double[] right = norms(team, inputs, x, arena);
            double sum = 0;
            for (int t = 0; t < left.length; t++) {
                sum += left[t] * right[t];
            }
            return sum;
        }
    }

    /** {@code |L^-1 v|^2} of every row v. */
    private static double[] norms(ThreadTeam team, Matrix factor, Matrix rows, Arena arena) {
        int cols = factor == null ? rows.cols() : factor.cols();
        Matrix solved = rows.precision().allocate(arena, rows.rows(), cols);
        double[] norms = new double[rows.rows()];
        team.run(Math.ceilDiv(rows.rows(), ROWS), task -> {
            int from = task * ROWS;
            int to = Math.min(rows.rows(), from + ROWS);
            for (int t = from; t < to; t++) {
                solved.row(t).asSlice(0, rows.row(t).byteSize()).copyFrom(rows.row(t));
            }
            Matrix part = solved.rows(from, to);
            if (factor != null) {
                Blas.solveRight(Operand.of(factor).transpose(), Operand.of(part));
            }
            for (int t = from; t < to; t++) {
                norms[t] = ProxyLoss.squaredNorm(solved.rows(t, t + 1));
            }
        });
        return norms;
    }
}
