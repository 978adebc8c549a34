package dev.gosset.llm.quantize;

import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.methods.Grid;
import dev.gosset.core.methods.MethodQuantizer;
import dev.gosset.core.methods.MethodSettings;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.llm.plan.LinearGroup;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.function.BiConsumer;

/**
 * Rounds a model's linears by a method of QuIP, each linear of a group by itself as the published program does, to dense float32
 * weights: no kernel multiplies with these codes. One call at a time.
 *
 * @param seed of all that is random, with the name of each linear
 */
public record MethodRounding(MethodSettings settings, long seed, ThreadTeam team) {
    /**
     * Rounds one linear.
     *
     * @param weight of the original, rows x inputs
     * @param hessian of its inputs
     * @param look gets the whole result while it lasts, and the linear
     * @param arena owns the returned tensor
     */
    public Tensor round(
            LinearGroup.Part part,
            Tensor weight,
            Hessian hessian,
            BiConsumer<LinearGroup.Part, MethodQuantizer.Result> look,
            Arena arena) {
        try (Arena work = Arena.ofShared()) {
            DoubleMatrix h = (DoubleMatrix) hessian.regularized(0, Precision.FLOAT64, work);
            MethodQuantizer.Result result =
                    new MethodQuantizer(settings, team).quantize(part.name(), seed, widened(weight, work), h, work);
            look.accept(part, result);
            FloatMatrix rounded = FloatMatrix.allocate(arena, weight.dim(0), weight.dim(1));
            for (int i = 0; i < rounded.rows(); i++) {
                for (int j = 0; j < rounded.cols(); j++) {
                    rounded.set(i, j, (float) result.weights().get(i, j));
                }
            }
            return new Tensor(
                    weight.name(),
                    Dtype.F32,
                    List.of((long) rounded.rows(), (long) rounded.cols()),
                    rounded.data(),
                    weight.source());
        }
    }

    /** A matrix in float64. */
    public static DoubleMatrix widened(Tensor weight, Arena arena) {
        FloatMatrix floats = weight.toFloatMatrix(arena);
        DoubleMatrix w = DoubleMatrix.allocate(arena, floats.rows(), floats.cols());
        for (int i = 0; i < w.rows(); i++) {
            for (int j = 0; j < w.cols(); j++) {
                w.set(i, j, floats.get(i, j));
            }
        }
        return w;
    }

    /** Bits of each weight of a linear if its codes were stored: with the numbers of the grid and of rescaling in float16. */
    public double bitsPerWeight(int rows, int inputs) {
        double grid = settings.grid() instanceof Grid.PerRow ? 32.0 / inputs : 0;
        return settings.grid().rate() + grid + (settings.processing().rescale() ? 16.0 / rows : 0);
    }
}
