package dev.gosset.core.kernel.dense;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.kernel.VectorMethods;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Products with stored matrices against sums in float64. */
@Tag("kernel")
class DenseProductTest {
    private static Tensor tensor(Arena arena, Dtype dtype, float[][] w) {
        int cols = w[0].length;
        long size = dtype == Dtype.F32 ? 4 : 2;
        // not aligned to anything
        MemorySegment data = arena.allocate(size * w.length * cols + 2, 4).asSlice(2, size * w.length * cols);
        for (int i = 0; i < w.length * cols; i++) {
            float v = w[i / cols][i % cols];
            switch (dtype) {
                case F32 -> data.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i, v);
                case F16 -> data.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * i, Float.floatToFloat16(v));
                default ->
                    data.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * i, (short) (Float.floatToRawIntBits(v) >>> 16));
            }
        }
        return new Tensor("w", dtype, List.of((long) w.length, (long) cols), data, Path.of("none"));
    }

    private static float stored(Tensor w, int i) {
        return switch (w.dtype()) {
            case F32 -> w.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
            case F16 -> Float.float16ToFloat(w.data().get(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * i));
            default -> Float.intBitsToFloat(w.data().get(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * i) << 16);
        };
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "F16", "BF16"})
    void productsOfManyShapes(Dtype dtype) {
        long seed = System.nanoTime();
        System.out.println("DenseProductTest.productsOfManyShapes seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        for (int rows : new int[] {1, 2, 3, 4, 5, 9, 70}) {
            for (int cols : new int[] {1, 3, 15, 16, 17, 32, 40, 100, 2048}) {
                float[][] w = new float[rows][cols];
                for (float[] row : w) {
                    for (int j = 0; j < cols; j++) {
                        // subnormal halves too
                        row[j] = (float) (random.nextGaussian() * (j % 5 == 0 ? 1e-6 : 1));
                    }
                }
                for (int threads = 1; threads <= 2; threads++) {
                    try (Arena arena = Arena.ofShared();
                            ThreadTeam team = new ThreadTeam(threads);
                            Workspace workspace = new Workspace(team)) {
                        Tensor tensor = tensor(arena, dtype, w);
                        DenseProduct product = new DenseProduct(tensor);
                        for (int tokens : new int[] {1, 2, 5, 16, 17}) {
                            FloatMatrix x = FloatMatrix.allocate(arena, tokens, cols);
                            FloatMatrix y = FloatMatrix.allocate(arena, tokens, rows + 3);
                            for (int t = 0; t < tokens; t++) {
                                for (int j = 0; j < cols; j++) {
                                    x.set(t, j, (float) random.nextGaussian());
                                }
                            }
                            product.apply(x, y, 2, workspace);
                            for (int t = 0; t < tokens; t++) {
                                assertRow(tensor, x, t, y);
                            }
                        }
                    }
                }
            }
        }
    }

    private static void assertRow(Tensor w, FloatMatrix x, int t, FloatMatrix y) {
        int cols = x.cols();
        for (int i = 0; i < w.dim(0); i++) {
            double sum = 0;
            double size = 0;
            for (int j = 0; j < cols; j++) {
                double term = (double) stored(w, i * cols + j) * x.get(t, j);
                sum += term;
                size += Math.abs(term);
            }
            assertThat((double) y.get(t, 2 + i))
                    .as("%d x %d, token %d of %d, row %d", w.dim(0), cols, t, x.rows(), i)
                    .isCloseTo(sum, within(1e-6 * size + 1e-30));
        }
        assertThat(y.get(t, 1)).isZero();
        assertThat(y.get(t, w.dim(0) + 2)).isZero();
    }

    @Test
    void infiniteAndNanHalvesStayWhatTheyAre() {
        for (float bad : new float[] {Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN}) {
            for (int row = 0; row < 4; row++) {
                float[][] w = new float[4][64];
                w[row][37] = bad;
                try (Arena arena = Arena.ofShared();
                        ThreadTeam team = new ThreadTeam(1);
                        Workspace workspace = new Workspace(team)) {
                    for (int tokens = 1; tokens <= 3; tokens++) {
                        FloatMatrix x = FloatMatrix.allocate(arena, tokens, 64);
                        FloatMatrix y = FloatMatrix.allocate(arena, tokens, 4);
                        for (int t = 0; t < tokens; t++) {
                            x.set(t, 37, 2);
                        }
                        new DenseProduct(tensor(arena, Dtype.F16, w)).apply(x, y, 0, workspace);
                        for (int i = 0; i < 4 * tokens; i++) {
                            assertThat(Float.valueOf(y.get(i / 4, i % 4)))
                                    .isEqualTo(Float.valueOf(i % 4 == row ? bad : 0f));
                        }
                    }
                }
            }
        }
    }

    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(DenseProduct.class))
                .isEmpty();
    }
}
