package dev.gosset.llm.finetune;

import dev.gosset.core.kernel.dense.VectorGradients;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;

/** The squared error of hidden states with its gradient. */
final class SquaredLoss {
    private SquaredLoss() {}

    /**
     * @param y replaced by the gradient of the mean
     * @param share of one number in the mean that the gradient is of
     * @return the sum of all squared errors
     */
    static double apply(FloatMatrix y, FloatMatrix target, double share, Workspace workspace) {
        int n = y.cols();
        double[] sums = new double[y.rows()];
        Rows.run(y.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                sums[t] = VectorGradients.squaredError(
                        target.data(), 4L * t * n, (float) (2 * share), y.data(), 4L * t * n, n);
            }
        });
        double sum = 0;
        for (double s : sums) {
            sum += s;
        }
        return sum;
    }
}
