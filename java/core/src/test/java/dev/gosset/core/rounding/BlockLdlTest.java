package dev.gosset.core.rounding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import java.lang.foreign.Arena;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class BlockLdlTest {
    private final long seed = System.nanoTime();
    private final SplittableRandom random = new SplittableRandom(seed);

    @Test
    void equalsTheReference() {
        try (Arena arena = Arena.ofConfined()) {
            Golden small = Golden.open("ldlq_64x96_f64.safetensors");
            DoubleMatrix l = RoundingFixtures.doubles(arena, small, "Hr");
            DoubleMatrix d = (DoubleMatrix) BlockLdl.factor(l, arena);
            assertThat(RoundingFixtures.largestDifference(l, small.get("L").doubles()))
                    .isLessThan(1e-12);
            assertThat(RoundingFixtures.largestDifference(d, small.get("D").doubles()))
                    .isLessThan(1e-12);

            Golden large = Golden.open("ldlq_128x384_f32.safetensors");
            FloatMatrix l32 = RoundingFixtures.floats(arena, large, "Hr");
            FloatMatrix d32 = (FloatMatrix) BlockLdl.factor(l32, arena);
            assertThat(RoundingFixtures.largestDifference(l32, large.get("L").floats()))
                    .isLessThan(1e-4);
            assertThat(RoundingFixtures.largestDifference(d32, large.get("D").floats()))
                    .isLessThan(1e-4);
        }
    }

    @Test
    void multipliesBackToTheMatrix() {
        for (int n : new int[] {8, 16, 72, 136}) {
            try (Arena arena = Arena.ofConfined()) {
                FloatMatrix h = RoundingFixtures.hessian(arena, random, n);
                DoubleMatrix l = RoundingFixtures.widen(arena, h);
                DoubleMatrix d = (DoubleMatrix) BlockLdl.factor(l, arena);
                FloatMatrix lf = h.copy(arena);
                FloatMatrix df = (FloatMatrix) BlockLdl.factor(lf, arena);
                for (int i = 0; i < n; i++) {
                    for (int j = 0; j < n; j++) {
                        if (j / 8 >= i / 8) {
                            assertThat(l.get(i, j)).isEqualTo(i == j ? 1 : 0);
                            assertThat(lf.get(i, j)).isEqualTo(i == j ? 1 : 0);
                        }
                        double sum = 0;
                        double sumF = 0;
                        for (int k = 0; k < n; k++) {
                            int block = k / 8 * 8;
                            for (int q = 0; q < 8; q++) {
                                sum += l.get(i, k) * d.get(k, q) * l.get(j, block + q);
                                sumF += (double) lf.get(i, k) * df.get(k, q) * lf.get(j, block + q);
                            }
                        }
                        assertThat(sum).as("seed " + seed).isCloseTo(h.get(i, j), within(1e-12));
                        assertThat(sumF).as("seed " + seed).isCloseTo(h.get(i, j), within(2e-5));
                    }
                }
            }
        }
    }

    @Test
    void saysWhereAMatrixIsNotPositiveDefinite() {
        try (Arena arena = Arena.ofConfined()) {
            FloatMatrix h = RoundingFixtures.hessian(arena, random, 16);
            h.set(9, 9, -1);
            FloatMatrix copy = h.copy(arena);
            DoubleMatrix wide = RoundingFixtures.widen(arena, h);
            assertThatThrownBy(() -> BlockLdl.factor(copy, arena))
                    .isInstanceOf(NotPositiveDefiniteException.class)
                    .hasMessageContaining("float32 stopped at row 9");
            assertThatThrownBy(() -> BlockLdl.factor(wide, arena))
                    .isInstanceOf(NotPositiveDefiniteException.class)
                    .hasMessageContaining("float64 stopped at row 9");
            for (int at : new int[] {0, 100, 255}) {
                FloatMatrix nan = RoundingFixtures.hessian(arena, random, 16);
                nan.set(at / 16, at % 16, Float.NaN);
                nan.set(at % 16, at / 16, Float.NaN);
                assertThatThrownBy(() -> BlockLdl.factor(nan, arena)).isInstanceOf(NotPositiveDefiniteException.class);
            }
            assertThatThrownBy(() -> BlockLdl.factor(FloatMatrix.allocate(arena, 12, 12), arena))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("12 x 12");
        }
    }
}
