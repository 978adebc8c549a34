package dev.gosset.core.kernel.dense;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
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

/** Products with matrices of bytes against sums in float64 over weights rounded here. */
@Tag("kernel")
class ByteProductTest {
    private static Tensor tensor(Arena arena, float[][] w) {
        MemorySegment data = arena.allocate(4L * w.length * w[0].length);
        for (int i = 0; i < w.length * w[0].length; i++) {
            data.setAtIndex(ValueLayout.JAVA_FLOAT, i, w[i / w[0].length][i % w[0].length]);
        }
        return new Tensor("w", Dtype.F32, List.of((long) w.length, (long) w[0].length), data, Path.of("none"));
    }

    @Test
    void productsOfManyShapes() {
        long seed = System.nanoTime();
        System.out.println("ByteProductTest.productsOfManyShapes seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        for (int rows : new int[] {1, 2, 3, 4, 5, 9, 70, 200}) {
            for (int cols : new int[] {1, 3, 4, 15, 16, 17, 32, 40, 48, 100, 2048}) {
                float[][] w = new float[rows][cols];
                for (int i = 0; i < rows; i++) {
                    for (int j = 0; j < cols; j++) {
                        w[i][j] = (float) (random.nextGaussian() * Math.pow(10, i % 9 - 4));
                    }
                }
                for (int tokens : new int[] {1, 2, 5, 17}) {
                    product(w, tokens, 1, random);
                    product(w, tokens, 2, random);
                }
            }
        }
    }

    private static void product(float[][] w, int tokens, int threads, SplittableRandom random) {
        int rows = w.length;
        int cols = w[0].length;
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(threads);
                Workspace workspace = new Workspace(team)) {
            ByteProduct product = new ByteProduct(tensor(arena, w), arena, team);
            assertThat(product.rows()).isEqualTo(rows);
            assertThat(product.cols()).isEqualTo(cols);
            FloatMatrix x = FloatMatrix.allocate(arena, tokens, cols);
            FloatMatrix y = FloatMatrix.allocate(arena, tokens, rows);
            for (int i = 0; i < tokens * cols; i++) {
                x.set(i / cols, i % cols, (float) random.nextGaussian());
            }
            product.apply(x, y, workspace);
            for (int t = 0; t < tokens; t++) {
                for (int i = 0; i < rows; i++) {
                    float max = 0;
                    for (float v : w[i]) {
                        max = Math.max(max, Math.abs(v));
                    }
                    double sum = 0;
                    double size = 0;
                    double slack = 0;
                    for (int j = 0; j < cols; j++) {
                        double steps = 127.0 * w[i][j] / max;
                        double term = Math.rint(steps) * max / 127 * x.get(t, j);
                        sum += term;
                        size += Math.abs(term);
                        // what lies in the middle of two steps may go either way
                        if (Math.abs(Math.abs(steps - Math.rint(steps)) - 0.5) < 1e-4) {
                            slack += max / 127 * Math.abs(x.get(t, j));
                        }
                    }
                    assertThat((double) y.get(t, i))
                            .as("%d x %d, token %d of %d, row %d", rows, cols, t, tokens, i)
                            .isCloseTo(sum, within(2e-6 * size + slack + 1e-30));
                }
            }
        }
    }

    @Test
    void refusesWhatItCannotRound() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team)) {
            float[][] w = new float[3][16];
            w[2][5] = Float.NaN;
            assertThatExceptionOfType(FormatException.class)
                    .isThrownBy(() -> new ByteProduct(tensor(arena, w), arena, team))
                    .withMessageContaining("NaN at [2, 5], expected a finite number");
            ByteProduct product = new ByteProduct(tensor(arena, new float[3][16]), arena, team);
            FloatMatrix x = FloatMatrix.allocate(arena, 1, 15);
            FloatMatrix y = FloatMatrix.allocate(arena, 1, 3);
            assertThatIllegalArgumentException().isThrownBy(() -> product.apply(x, y, workspace));
        }
    }

    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(ByteProduct.class)).isEmpty();
    }
}
