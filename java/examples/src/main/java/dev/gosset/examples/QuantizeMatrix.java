package dev.gosset.examples;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.HessianAccumulator;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.QuantizationResult;
import dev.gosset.core.rounding.RoundingSettings;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.SplittableRandom;

/** The kernels without a model: quantizes one matrix to 2 bits for inputs it has seen, and multiplies with it. */
public final class QuantizeMatrix {
    private QuantizeMatrix() {}

    /** Relative error of the quantized product on inputs like those that made the Hessian. */
    public static double relativeError(int outputs, int inputs, int bits, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        Kernels kernels = Kernels.selected();
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = ThreadTeam.ofProcessors();
                Workspace workspace = new Workspace(team)) {
            FloatMatrix weights = normal(arena, outputs, inputs, random);
            FloatMatrix seen = normal(arena, 4 * inputs, inputs, random);

            HessianAccumulator hessian = new HessianAccumulator(inputs, arena);
            hessian.add(team, seen);
            QuantizationResult quantized = new LinearQuantizer(
                            RoundingSettings.of(Codebook.ofBits(bits)), kernels.encode(), kernels.transform(), team)
                    .quantize(
                            "example",
                            List.of(new LinearQuantizer.Part("w", weights)),
                            hessian.hessian(arena),
                            seed,
                            arena);

            FloatMatrix x = normal(arena, 1, inputs, random);
            FloatMatrix y = FloatMatrix.allocate(arena, 1, outputs);
            new QuantizedProduct(quantized.linear(), kernels.transform(), kernels.matvec(), arena)
                    .apply(x, y, workspace);

            double error = 0;
            double norm = 0;
            for (int i = 0; i < outputs; i++) {
                double exact = 0;
                for (int j = 0; j < inputs; j++) {
                    exact += (double) weights.get(i, j) * x.get(0, j);
                }
                error += (y.get(0, i) - exact) * (y.get(0, i) - exact);
                norm += exact * exact;
            }
            return Math.sqrt(error / norm);
        }
    }

    private static FloatMatrix normal(Arena arena, int rows, int cols, SplittableRandom random) {
        FloatMatrix m = FloatMatrix.allocate(arena, rows, cols);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                m.set(i, j, (float) random.nextGaussian());
            }
        }
        return m;
    }

    public static void main(String[] args) {
        for (int bits : new int[] {2, 3, 4}) {
            System.out.printf("%d bits: relative error %.3f%n", bits, relativeError(256, 512, bits, 1));
        }
    }
}
