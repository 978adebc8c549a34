package dev.gosset.core.methods;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.codebook.E8p;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.ProxyLoss;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Codebooks for comparison against their definitions and against published errors, and LDLQ in blocks against its own. */
class PointSetTest {
    private static final ThreadTeam TEAM = new ThreadTeam(2);
    private static final Arena ARENA = Arena.ofShared();

    @AfterAll
    static void close() {
        TEAM.close();
        ARENA.close();
    }

    private static double distance(double[] x, double[] point) {
        double sum = 0;
        for (int k = 0; k < point.length; k++) {
            sum += (x[k] - point[k]) * (x[k] - point[k]);
        }
        return sum;
    }

    /** Every vector of E8 in a ball, written down by trying all: whole numbers or all halves, with an even sum. */
    private static List<double[]> e8(int squaredRadius) {
        List<double[]> found = new ArrayList<>();
        for (double shift : new double[] {0, 0.5}) {
            int most = (int) Math.ceil(Math.sqrt(squaredRadius));
            int[] digits = new int[8];
            while (true) {
                double[] v =
                        Arrays.stream(digits).mapToDouble(d -> d - most + shift).toArray();
                double sum = Arrays.stream(v).sum();
                if (sum % 2 == 0 && distance(v, new double[8]) <= squaredRadius) {
                    found.add(v);
                }
                int k = 0;
                while (k < 8 && ++digits[k] > 2 * most) {
                    digits[k++] = 0;
                }
                if (k == 8) {
                    break;
                }
            }
        }
        return found;
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4})
    void ballsHoldTheLatticeAndFindTheNearest(int squaredRadius) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        List<double[]> all = e8(squaredRadius);
        PointSet.E8Ball ball = new PointSet.E8Ball(squaredRadius);
        assertThat(ball.count()).isEqualTo(all.size());
        double[] point = new double[8];
        float[] scratch = new float[PointSet.SCRATCH];
        for (int i = 0; i < 300; i++) {
            double scale = 0.2 + i % 5 * 0.4;
            double[] x = random.doubles(8).map(u -> scale * 4 * (u - 0.5)).toArray();
            ball.nearest(x, 0, point, scratch);
            double least = all.stream().mapToDouble(p -> distance(x, p)).min().orElseThrow();
            assertThat(all).as("seed %d", seed).anyMatch(p -> Arrays.equals(p, point));
            assertThat(distance(x, point)).as("seed %d, %d", seed, i).isCloseTo(least, within(1e-5));
        }
    }

    /** The theta series of E8: 240 sigma_3(k) vectors of squared norm 2 k. */
    @ParameterizedTest
    @CsvSource({"2, 241", "4, 2401", "6, 9121", "8, 26641", "10, 56881", "18, 522001"})
    void ballsHaveTheKnownNumbersOfPoints(int squaredRadius, int points) {
        PointSet.E8Ball ball = new PointSet.E8Ball(squaredRadius);
        assertThat(ball.count()).isEqualTo(points);
        assertThat(ball.bits()).isCloseTo(Math.log(points) / Math.log(2) / 8, within(1e-12));
    }

    @ParameterizedTest
    @CsvSource({"1, 3", "4, 700", "8, 1024", "8, 2500"})
    void listsFindTheNearest(int dimension, int count) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        double[] points = random.ints((long) count * dimension, -40, 41)
                .mapToDouble(i -> i / 8.0)
                .toArray();
        PointSet.Listed set = new PointSet.Listed("test", dimension, points);
        double[] point = new double[dimension];
        for (int i = 0; i < 200; i++) {
            double[] x = random.doubles(dimension + 3L, -6, 6).toArray();
            double[] there = Arrays.copyOfRange(x, 3, x.length);
            set.nearest(x, 3, point, new float[PointSet.SCRATCH]);
            double least = Double.POSITIVE_INFINITY;
            for (int j = 0; j < count; j++) {
                least = Math.min(
                        least, distance(there, Arrays.copyOfRange(points, j * dimension, (j + 1) * dimension)));
            }
            assertThat(distance(there, point)).as("seed %d", seed).isCloseTo(least, within(1e-4));
        }
    }

    /** Max (1960): the errors and steps of the best quantizers of normal numbers, evenly spaced or not. */
    @ParameterizedTest
    @CsvSource({
        "half-integer-1, 0.3634, 0.6266",
        "half-integer-2, 0.1188, 1.0043",
        "half-integer-3, 0.03744, 1.7065",
        "half-integer-4, 0.01154, 2.983",
        "kmeans1-2, 0.1175, 1",
        "kmeans1-3, 0.03454, 1"
    })
    void errorsOfScalarsAreMaxs(String name, double error, double scale) {
        PointSets sets = new PointSets(TEAM);
        PointSet set = sets.named(name);
        assertThat(sets.scale(set)).isCloseTo(scale, within(0.06 * scale));
        assertThat(sets.error(set, sets.scale(set), 1 << 19, new Random().nextLong()))
                .isCloseTo(error, within(0.015 * error));
    }

    @Test
    void moreDimensionsErrLessAtOneBit() {
        PointSets sets = new PointSets(TEAM);
        double one = error(sets, "half-integer-1");
        double ball = error(sets, "e8-ball-2");
        double eight = error(sets, "kmeans8-1");
        // 241 points of E8 beat the sign of every weight, free points beat both, and nothing beats the bound.
        assertThat(ball).isLessThan(0.95 * one);
        assertThat(eight).isLessThan(0.95 * one).isGreaterThan(0.25);
        assertThat(error(sets, "e8p12")).isBetween(0.0625, 0.1);
        assertThat(error(sets, "e8p12")).isLessThan(error(sets, "d4"));
        assertThat(error(sets, "d4")).isLessThan(error(sets, "half-integer-2"));
        assertThat(sets.scale(sets.named("e8p12"))).isCloseTo(E8p.INSTANCE.optimalScale(), within(0.04));
    }

    private static double error(PointSets sets, String name) {
        PointSet set = sets.named(name);
        return sets.error(set, sets.scale(set), 1 << 13, 5);
    }

    @Test
    void oneThreadFindsTheSameCentres() {
        try (ThreadTeam alone = new ThreadTeam(1)) {
            PointSets sets = new PointSets(TEAM);
            PointSets others = new PointSets(alone);
            String name = "kmeans4-1";
            assertThat(sets.scale(sets.named(name))).isEqualTo(others.scale(others.named(name)));
            assertThat(error(sets, name)).isEqualTo(error(others, name));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"kmeans8-9", "e8-ball-3", "half-integer-0", "e9"})
    void namesOfNothing(String name) {
        PointSets sets = new PointSets(TEAM);
        assertThatThrownBy(() -> sets.named(name)).isInstanceOf(IllegalArgumentException.class);
    }

    // ---------------------------------------------------------------------------------------------- LDLQ in blocks

    private static DoubleMatrix weights(Random random, int m, int n) {
        DoubleMatrix w = DoubleMatrix.allocate(ARENA, m, n);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                w.set(i, j, random.nextGaussian());
            }
        }
        return w;
    }

    private static DoubleMatrix hessian(Random random, int n) {
        DoubleMatrix x = weights(random, n + 5, n);
        DoubleMatrix h = DoubleMatrix.allocate(ARENA, n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                double sum = i == j ? 0.05 * n : 0;
                for (int k = 0; k < x.rows(); k++) {
                    sum += (x.get(k, i) + x.get(k, 0)) * (x.get(k, j) + x.get(k, 0));
                }
                h.set(i, j, sum / n);
            }
        }
        return h;
    }

    /** Blocks of one weight on half-integers are scalar LDLQ on its grid. */
    @Test
    void blocksOfOneAreScalars() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        DoubleMatrix g = weights(random, 9, 40);
        DoubleMatrix h = hessian(random, 40);
        DoubleMatrix c = DoubleMatrix.allocate(ARENA, 9, 40);
        new PointRounding(TEAM).round(new ScalarMethod.Ldlq(false), g, h, new PointSet.HalfIntegers(2), c);
        DoubleMatrix shifted = DoubleMatrix.allocate(ARENA, 9, 40);
        for (int i = 0; i < 9; i++) {
            for (int j = 0; j < 40; j++) {
                shifted.set(i, j, g.get(i, j) + 1.5);
            }
        }
        DoubleMatrix codes = DoubleMatrix.allocate(ARENA, 9, 40);
        new ScalarRounding(TEAM).round(new ScalarMethod.Ldlq(false), shifted, h, 3, Noise.NEAREST, codes);
        assertThat(c.toArray())
                .as("seed %d", seed)
                .containsExactly(
                        Arrays.stream(codes.toArray()).map(v -> v - 1.5).toArray());
    }

    /** What a block is rounded from is where it would lie if it and those before were real numbers that lose least: no factor anywhere. */
    @ParameterizedTest
    @CsvSource({"d4", "e8-ball-4", "kmeans4-1"})
    void blocksAreTheBestOfTheFreeWeights(String name) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int n = 24;
        DoubleMatrix g = weights(random, 3, n);
        DoubleMatrix h = hessian(random, n);
        DoubleMatrix c = DoubleMatrix.allocate(ARENA, 3, n);
        PointSet set = new PointSets(TEAM).named(name);
        int d = set.dimension();
        new PointRounding(TEAM).round(new ScalarMethod.Ldlq(false), g, h, set, c);
        double[] point = new double[d];
        for (int row = 0; row < 3; row++) {
            for (int i = n - d; i >= 0; i -= d) {
                int free = i + d;
                double[] e = new double[free];
                double[] right = new double[free];
                for (int r = 0; r < free; r++) {
                    for (int k = free; k < n; k++) {
                        right[r] -= h.get(r, k) * (c.get(row, k) - g.get(row, k));
                    }
                }
                // Gauss-Seidel: H is positive definite.
                for (int sweep = 0; sweep < 4000; sweep++) {
                    for (int r = 0; r < free; r++) {
                        double sum = right[r];
                        for (int k = 0; k < free; k++) {
                            sum -= k == r ? 0 : h.get(r, k) * e[k];
                        }
                        e[r] = sum / h.get(r, r);
                    }
                }
                double[] t = new double[d];
                double[] found = new double[d];
                for (int k = 0; k < d; k++) {
                    t[k] = g.get(row, i + k) + e[i + k];
                    found[k] = c.get(row, i + k);
                }
                set.nearest(t, 0, point, new float[PointSet.SCRATCH]);
                assertThat(distance(t, found))
                        .as("%s, seed %d", name, seed)
                        .isCloseTo(distance(t, point), within(1e-5));
            }
        }
    }

    /** Through processing and back, feedback loses less than rounding each group by itself. */
    @Test
    void feedbackHelpsPoints() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        DoubleMatrix w = weights(random, 32, 64);
        DoubleMatrix h = hessian(random, 64);
        PointSets sets = new PointSets(TEAM);
        PointSet set = sets.named("e8p12");
        MethodSettings ldlq = MethodSettings.of(set, 0.9);
        MethodSettings nearest = new MethodSettings(new ScalarMethod.Nearest(), ldlq.processing(), ldlq.grid(), false);
        MethodQuantizer.Result with = new MethodQuantizer(ldlq, TEAM).quantize("test", 1, w, h, ARENA);
        MethodQuantizer.Result without = new MethodQuantizer(nearest, TEAM).quantize("test", 1, w, h, ARENA);
        assertThat(with.proxyError()).as("seed %d", seed).isLessThan(0.8 * without.proxyError());
        assertThat(without.frobeniusError()).as("seed %d", seed).isBetween(0.06, 0.14);
        assertThat(ProxyLoss.squaredNorm(with.weights())).isPositive();
        assertThatThrownBy(() -> new MethodQuantizer(ldlq, TEAM)
                        .quantize("test", 1, weights(random, 8, 12), hessian(random, 12), ARENA))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("12");
    }

    // ---------------------------------------------------------------------------------------------- draws

    /** The incoherence of a draw is that of what is rounded with its seed; and the bound holds in nearly all. */
    @ParameterizedTest
    @ValueSource(strings = {"none", "rescale", "kron", "hadamard", "fourier", "kron-norescale"})
    void drawsAreOfTheirSeeds(String name) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        DoubleMatrix w = weights(random, 32, 48);
        w.set(3, 4, 30);
        DoubleMatrix h = hessian(random, 48);
        Processing processing = Processing.named(name);
        double[][] mu = Spectrum.draws(processing, "linear", 40, TEAM, w, h);
        for (int draw = 0; draw < 3; draw++) {
            Spectrum spectrum = new MethodQuantizer(
                            MethodSettings.of(new ScalarMethod.Nearest(), processing, 2, true), TEAM)
                    .quantize("linear", draw, w, h, ARENA)
                    .spectrum();
            assertThat(mu[0][draw]).as("seed %d", seed).isCloseTo(spectrum.muH(), within(1e-6));
            assertThat(mu[1][draw]).as("seed %d", seed).isCloseTo(spectrum.muW(), within(1e-6));
        }
        if (name.equals("hadamard")) {
            long beyond = Arrays.stream(mu[0])
                    .filter(v -> v > Spectrum.boundH(48, 0.01))
                    .count();
            assertThat(beyond).isLessThanOrEqualTo(4);
            assertThat(Arrays.stream(mu[1]).max().orElseThrow()).isLessThan(Spectrum.boundW(32, 48, 0.01));
        }
    }
}
