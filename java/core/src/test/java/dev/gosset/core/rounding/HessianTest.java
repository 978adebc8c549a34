package dev.gosset.core.rounding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import dev.gosset.core.Golden;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class HessianTest {
    private final long seed = System.nanoTime();
    private final SplittableRandom random = new SplittableRandom(seed);

    @Test
    void accumulatesTheReferenceMoments() {
        Golden golden = Golden.open("hessian.safetensors");
        long[] shape = golden.get("n_ct").longs();
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2)) {
            FloatMatrix x = RoundingFixtures.floats(arena, golden, "X_f16");
            HessianAccumulator sums = new HessianAccumulator((int) shape[0], arena);
            // as batches of a calibration would arrive
            sums.add(team, x.rows(0, 200));
            sums.add(team, x.rows(200, 512));
            Hessian h = sums.hessian(arena);
            assertThat(h.tokens()).isEqualTo(shape[1]);
            float[] flat = golden.get("flatH").floats();
            float[] mu = golden.get("mu").floats();
            for (int i = 0; i < flat.length; i++) {
                assertThat(h.lowerTriangle().getAtIndex(ValueLayout.JAVA_FLOAT, i))
                        .isCloseTo(flat[i], within(2e-6f * Math.max(1, Math.abs(flat[i]))));
            }
            for (int i = 0; i < mu.length; i++) {
                assertThat(h.mu().getAtIndex(ValueLayout.JAVA_FLOAT, i)).isCloseTo(mu[i], within(1e-6f));
            }
            float[] expected = golden.get("H_regularized").floats();
            assertThat(RoundingFixtures.largestDifference(
                            (FloatMatrix) h.regularized(0.01, Precision.FLOAT32, arena), expected))
                    .isLessThan(2e-6);
            DoubleMatrix wide = (DoubleMatrix) h.regularized(0.01, Precision.FLOAT64, arena);
            assertThat(wide.get(5, 3)).isEqualTo(wide.get(3, 5)).isCloseTo(expected[5 * 384 + 3], within(1e-6));
        }
    }

    @Test
    void equalsNaiveSumsWhateverTheShape() {
        for (int[] shape : new int[][] {{1, 1}, {3, 7}, {300, 257}, {1500, 40}, {1025, 513}}) {
            int tokens = shape[0];
            int n = shape[1];
            try (Arena arena = Arena.ofShared();
                    ThreadTeam team = new ThreadTeam(2)) {
                FloatMatrix x = RoundingFixtures.gaussian(arena, random, tokens, n);
                for (int t = 0; t < tokens; t++) {
                    x.set(t, 0, x.get(t, 0) * 1000 + 500); // an outlier channel, as language models have
                }
                HessianAccumulator sums = new HessianAccumulator(n, arena);
                sums.add(team, x);
                Hessian h = sums.hessian(arena);
                for (int i = 0; i < n; i += 1 + n / 11) {
                    for (int j = 0; j < n; j += 1 + n / 13) {
                        double s = 0;
                        double a = 0;
                        double b = 0;
                        for (int t = 0; t < tokens; t++) {
                            s += (double) x.get(t, i) * x.get(t, j);
                            a += x.get(t, i);
                            b += x.get(t, j);
                        }
                        double cov = s / tokens - a / tokens * (b / tokens);
                        assertThat((double) h.cov(i, j))
                                .as(tokens + " x " + n + " at " + i + "," + j + " seed " + seed)
                                .isCloseTo(cov, within(1e-7 * Math.abs(cov) + 1e-9 * (1 + Math.abs(s) / tokens)));
                    }
                }
            }
        }
    }

    @Test
    void hasTheSameBitsWithAnyNumberOfThreads() {
        try (Arena arena = Arena.ofShared()) {
            FloatMatrix x = RoundingFixtures.gaussian(arena, random, 1100, 530);
            Hessian first = null;
            for (int threads = 1; threads <= 3; threads++) {
                try (ThreadTeam team = new ThreadTeam(threads)) {
                    HessianAccumulator sums = new HessianAccumulator(530, arena);
                    sums.add(team, x);
                    Hessian h = sums.hessian(arena);
                    first = first == null ? h : first;
                    assertThat(RoundingFixtures.sameBits(h.lowerTriangle(), first.lowerTriangle()))
                            .isTrue();
                    assertThat(RoundingFixtures.sameBits(h.mu(), first.mu())).isTrue();
                }
            }
        }
    }

    @Test
    void inputsThatNeverVaryOrAreZeroStillRegularize() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            FloatMatrix x = FloatMatrix.allocate(arena, 50, 3);
            for (int t = 0; t < 50; t++) {
                x.set(t, 0, 0.1f);
                x.set(t, 1, t % 2);
            }
            HessianAccumulator sums = new HessianAccumulator(3, arena);
            assertThatThrownBy(() -> sums.hessian(arena)).isInstanceOf(IllegalStateException.class);
            sums.add(team, x);
            FloatMatrix h = (FloatMatrix) sums.hessian(arena).regularized(0.01, Precision.FLOAT32, arena);
            double mean = (0.01 + 0.5) / 3;
            assertThat(h.get(0, 0)).isCloseTo((float) (0.01 / mean + 0.01), within(1e-5f));
            assertThat(h.get(2, 2)).isCloseTo(0.01f, within(1e-7f));

            HessianAccumulator zeros = new HessianAccumulator(2, arena);
            zeros.add(team, FloatMatrix.allocate(arena, 4, 2));
            FloatMatrix identity = (FloatMatrix) zeros.hessian(arena).regularized(0.01, Precision.FLOAT32, arena);
            assertThat(identity.toArray()).containsExactly(1, 0, 0, 1);
        }
    }

    /** What several have seen together, and what one would have seen had the others' vectors come to it. */
    @Test
    void pooledAndFilledUpMomentsAreThoseOfAllVectors() {
        int n = 13;
        int[] tokens = {5, 1, 30};
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            FloatMatrix all = RoundingFixtures.gaussian(arena, random, 36, n);
            List<Hessian> parts = new ArrayList<>();
            int from = 0;
            for (int count : tokens) {
                HessianAccumulator sums = new HessianAccumulator(n, arena);
                sums.add(team, all.rows(from, from + count));
                parts.add(sums.hessian(arena));
                from += count;
            }
            HessianAccumulator together = new HessianAccumulator(n, arena);
            together.add(team, all);
            assertClose(Hessian.pooled(parts, arena), together.hessian(arena));
            // Five of its own and twice the thirty of another.
            HessianAccumulator filled = new HessianAccumulator(n, arena);
            filled.add(team, all.rows(0, 5));
            filled.add(team, all.rows(6, 36));
            filled.add(team, all.rows(6, 36));
            Hessian found = Hessian.filledUp(parts.get(0), parts.get(2), 65, arena);
            assertClose(found, filled.hessian(arena));
            assertThat(found.tokens()).isEqualTo(5);
            Hessian none = Hessian.filledUp(null, parts.get(2), 65, arena);
            assertClose(none, parts.get(2));
            assertThat(none.tokens()).isZero();
            Hessian isotropic = parts.get(2).isotropic(arena);
            double trace = 0;
            for (int i = 0; i < n; i++) {
                trace += parts.get(2).cov(i, i) + Math.pow(parts.get(2).mu().getAtIndex(ValueLayout.JAVA_FLOAT, i), 2);
            }
            for (int i = 0; i < n; i++) {
                for (int j = 0; j <= i; j++) {
                    assertThat((double) isotropic.cov(i, j)).isCloseTo(i == j ? trace / n : 0, within(1e-6));
                }
            }
        }
    }

    private static void assertClose(Hessian found, Hessian expected) {
        for (int i = 0; i < expected.n(); i++) {
            assertThat(found.mu().getAtIndex(ValueLayout.JAVA_FLOAT, i))
                    .isCloseTo(expected.mu().getAtIndex(ValueLayout.JAVA_FLOAT, i), within(1e-6f));
            for (int j = 0; j <= i; j++) {
                assertThat(found.cov(i, j)).isCloseTo(expected.cov(i, j), within(2e-6f));
            }
        }
    }

    @Test
    void activationsThatAreNotFiniteAreNamed() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            FloatMatrix x = FloatMatrix.allocate(arena, 5, 4);
            x.set(3, 2, Float.NaN);
            HessianAccumulator sums = new HessianAccumulator(4, arena);
            sums.add(team, x);
            assertThatThrownBy(() -> sums.hessian(arena))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("input 2 of 4");
            assertThatThrownBy(() -> sums.add(team, FloatMatrix.allocate(arena, 5, 3)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("3 columns");
            assertThatThrownBy(() -> new Hessian(3, arena.allocate(20), arena.allocate(12), 1))
                    .hasMessageContaining("needs 24 bytes");
            Hessian bad = new Hessian(1, arena.allocateFrom(ValueLayout.JAVA_FLOAT, -1f), arena.allocate(4), 1);
            assertThatThrownBy(() -> bad.regularized(0.01, Precision.FLOAT32, arena))
                    .isInstanceOf(FormatException.class);
        }
    }
}
