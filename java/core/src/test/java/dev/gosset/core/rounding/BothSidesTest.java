package dev.gosset.core.rounding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.oracle.LinearOracle;
import dev.gosset.core.kernel.oracle.ScalarEncode;
import dev.gosset.core.kernel.oracle.ScalarTransform;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Rounding with feedback across columns and rows, and the choice between one side and both. */
class BothSidesTest {
    private final long seed = System.nanoTime();
    private final SplittableRandom random = new SplittableRandom(seed);
    private final Arena arena = Arena.ofShared();
    private final ThreadTeam team = new ThreadTeam(2);

    @AfterEach
    void close() {
        team.close();
        arena.close();
    }

    private DoubleMatrix hessian(int n) {
        return RoundingFixtures.widen(arena, RoundingFixtures.hessian(arena, random, n));
    }

    /** {@code tr(Ho E Hi E^T)} by the definition. */
    private static double loss(DoubleMatrix outputs, DoubleMatrix inputs, DoubleMatrix e) {
        int m = e.rows();
        int n = e.cols();
        double sum = 0;
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                double left = 0;
                double right = 0;
                for (int a = 0; a < m; a++) {
                    left += outputs.get(i, a) * e.get(a, j);
                }
                for (int b = 0; b < n; b++) {
                    right += e.get(i, b) * inputs.get(b, j);
                }
                sum += left * right;
            }
        }
        return sum;
    }

    private DoubleMatrix round(DoubleMatrix x, DoubleMatrix inputs, DoubleMatrix outputs, int beam, CodeMatrix codes) {
        DoubleMatrix e = DoubleMatrix.allocate(arena, x.rows(), x.cols());
        Matrix factor = outputs == null ? null : Ldlq.factor(outputs, arena);
        Ldlq.round(Ldlq.PointSearch.oracle(codes.codebook()), team, x, inputs, factor, beam, 0, codes, e);
        return e;
    }

    /** Plain loops, row after row, each by the definition of one side; any shape. */
    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void equalsTheDefinition(int beam) {
        for (int[] shape : new int[][] {{1, 8}, {9, 24}, {70, 20}, {131, 140}}) {
            int m = shape[0];
            int n = shape[1];
            DoubleMatrix x = RoundingFixtures.widen(arena, RoundingFixtures.gaussian(arena, random, m, n));
            DoubleMatrix inputs = hessian(n);
            DoubleMatrix outputs = hessian(m);
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(2), m, n);
            DoubleMatrix e = round(x, inputs, outputs, beam, codes);
            DoubleMatrix l = LdlqTest.padded(arena, inputs);
            Matrix d = BlockLdl.factor(l, arena);
            DoubleMatrix lo = LdlqTest.padded(arena, outputs);
            BlockLdl.factor(lo, arena);
            int padded = 8 * codes.groups();
            DoubleMatrix turned = DoubleMatrix.allocate(arena, m, padded);
            double[][] error = new double[m][padded];
            double[] point = new double[8];
            for (int i = m - 1; i >= 0; i--) {
                for (int j = 0; j < n; j++) {
                    turned.set(i, j, x.get(i, j));
                }
                for (int a = (i / 8 + 1) * 8; a < m; a++) {
                    for (int j = 0; j < padded; j++) {
                        turned.set(i, j, turned.get(i, j) + lo.get(a, i) * error[a][j]);
                    }
                }
                int[] expected = beam == 0 ? nearest(turned, i, l) : LdlqTest.beam(turned, i, l, d, beam);
                for (int g = 0; g < codes.groups(); g++) {
                    String what = m + " x " + n + ", row " + i + ", block " + g + ", seed " + seed;
                    assertThat(codes.code(i, g)).as(what).isEqualTo(expected[g]);
                    codes.codebook().decode(expected[g], point, 0);
                    for (int j = 8 * g; j < 8 * g + 8; j++) {
                        error[i][j] = (j < n ? x.get(i, j) : 0) - point[j % 8];
                        if (j < n) {
                            assertThat(e.get(i, j)).as(what).isCloseTo(error[i][j], within(1e-9));
                        }
                    }
                }
            }
        }
    }

    private static int[] nearest(DoubleMatrix x, int row, DoubleMatrix l) {
        int p = l.rows();
        double[] error = new double[p];
        int[] codes = new int[p / 8];
        double[] target = new double[8];
        Codebook codebook = Codebook.ofBits(2);
        for (int k = p - 8; k >= 0; k -= 8) {
            for (int c = 0; c < 8; c++) {
                target[c] = x.get(row, k + c);
                for (int j = k + 8; j < p; j++) {
                    target[c] += error[j] * l.get(j, k + c);
                }
            }
            codes[k / 8] = codebook.nearest(target, 0);
            codebook.decode(codes[k / 8], target, 0);
            for (int c = 0; c < 8; c++) {
                error[k + c] = x.get(row, k + c) - target[c];
            }
        }
        return codes;
    }

    /** All 65536 points for a row that another one feeds back to: none makes the objective smaller. */
    @Test
    void bruteForceFindsNoBetterPoint() {
        int m = 9;
        DoubleMatrix x = RoundingFixtures.widen(arena, RoundingFixtures.gaussian(arena, random, m, 8));
        DoubleMatrix inputs = DoubleMatrix.allocate(arena, 8, 8);
        DoubleMatrix outputs = DoubleMatrix.allocate(arena, m, m);
        for (int i = 0; i < m; i++) {
            outputs.set(i, i, 1 + random.nextDouble());
            if (i < 8) {
                inputs.set(i, i, 1);
                double coupling = 0.3 * random.nextDouble();
                outputs.set(i, 8, coupling);
                outputs.set(8, i, coupling);
            }
        }
        CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(2), m, 8);
        DoubleMatrix e = round(x, inputs, outputs, 0, codes);
        double least = loss(outputs, inputs, e);
        double[] point = new double[8];
        int row = random.nextInt(8);
        DoubleMatrix changed = e.copy(arena);
        for (int code = 0; code < 1 << 16; code++) {
            codes.codebook().decode(code, point, 0);
            for (int c = 0; c < 8; c++) {
                changed.set(row, c, x.get(row, c) - point[c]);
            }
            assertThat(loss(outputs, inputs, changed))
                    .as("row " + row + ", code " + code + ", seed " + seed)
                    .isGreaterThanOrEqualTo(least * (1 - 1e-12));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void bothSidesLowerTheObjective(int bits) {
        int m = 96;
        int n = 128;
        DoubleMatrix x = RoundingFixtures.widen(arena, RoundingFixtures.gaussian(arena, random, m, n));
        DoubleMatrix inputs = hessian(n);
        DoubleMatrix outputs = hessian(m);
        Incoherence incoherence = Incoherence.draw(seed, "x", m, n);
        incoherence.hessian(team, inputs);
        incoherence.outputHessian(new Incoherence.DoubleRows(), team, outputs);
        CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), m, n);
        double one = loss(outputs, inputs, round(x, inputs, null, 4, codes));
        double both = loss(outputs, inputs, round(x, inputs, outputs, 4, codes));
        System.out.printf("%d bits: both sides leave %.3f of what one leaves%n", bits, both / one);
        assertThat(both).as("seed " + seed).isLessThan(0.8 * one);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 4})
    void codesHaveTheSameBitsWithAnyNumberOfThreads(int beam) {
        int m = 140;
        int n = 268;
        FloatMatrix x = RoundingFixtures.gaussian(arena, random, m, n);
        FloatMatrix inputs = RoundingFixtures.hessian(arena, random, n);
        Matrix outputs = Ldlq.factor(RoundingFixtures.hessian(arena, random, m), arena);
        CodeMatrix first = null;
        for (int threads = 1; threads <= 3; threads++) {
            try (ThreadTeam some = new ThreadTeam(threads)) {
                CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(3), m, n);
                FloatMatrix e = FloatMatrix.allocate(arena, m, n);
                Ldlq.PointSearch search = Ldlq.PointSearch.of(new ScalarEncode(), codes.codebook());
                Ldlq.round(search, some, x, inputs, outputs, beam, 0, codes, e);
                first = first == null ? codes : first;
                assertThat(RoundingFixtures.sameBits(codes.data(), first.data()))
                        .as(threads + " threads, seed " + seed)
                        .isTrue();
            }
        }
    }

    // -------------------------------------------------------------------------------------------- the choice

    /** Tokens of a made-up loss: correlated inputs and gradients. */
    private record Tokens(FloatMatrix x, FloatMatrix g) {}

    private Tokens tokens(FloatMatrix mixX, FloatMatrix mixG, int count) {
        return new Tokens(mixed(mixX, count), mixed(mixG, count));
    }

    private FloatMatrix mixed(FloatMatrix mix, int count) {
        FloatMatrix out = FloatMatrix.allocate(arena, count, mix.cols());
        for (int t = 0; t < count; t++) {
            for (int k = 0; k < mix.rows(); k++) {
                float v = (float) (random.nextGaussian() / Math.sqrt(1 + k));
                for (int j = 0; j < mix.cols(); j++) {
                    out.set(t, j, out.get(t, j) + v * mix.get(k, j));
                }
            }
        }
        return out;
    }

    private Hessian weighed(FloatMatrix a, FloatMatrix b) {
        HessianAccumulator sums = new HessianAccumulator(a.cols(), arena);
        FloatMatrix out = FloatMatrix.allocate(arena, a.rows(), a.cols());
        for (int t = 0; t < a.rows(); t++) {
            double norm = b == null ? 1 : Math.sqrt(ProxyLoss.squaredNorm(b.rows(t, t + 1)));
            for (int j = 0; j < a.cols(); j++) {
                out.set(t, j, (float) (norm * a.get(t, j)));
            }
        }
        sums.add(team, out);
        return sums.hessian(arena);
    }

    private static double lossOf(Tokens tokens, FloatMatrix w, QuantizationResult result) {
        double sum = 0;
        double[] x = new double[w.cols()];
        for (int t = 0; t < tokens.x.rows(); t++) {
            for (int j = 0; j < x.length; j++) {
                x[j] = tokens.x.get(t, j);
            }
            double[] y = LinearOracle.apply(result.linear(), x);
            double change = 0;
            for (int i = 0; i < w.rows(); i++) {
                for (int j = 0; j < x.length; j++) {
                    y[i] -= w.get(i, j) * x[j];
                }
                change += tokens.g.get(t, i) * y[i];
            }
            sum += change * change;
        }
        return sum;
    }

    /** What held-out tokens lose by both ways is about what was expected; in either precision, for stacks of unequal scale. */
    @ParameterizedTest
    @ValueSource(strings = {"FLOAT32", "FLOAT64"})
    void takesBothSidesWhereTheyLoseLess(String precision) {
        int n = 64;
        int[] rows = {40, 33};
        int m = 73;
        FloatMatrix mixX = RoundingFixtures.gaussian(arena, random, n, n);
        FloatMatrix mixG = RoundingFixtures.gaussian(arena, random, m, m);
        Tokens seen = tokens(mixX, mixG, 1000);
        Tokens held = tokens(mixX, mixG, 300);
        LossHessian sides = new LossHessian(weighed(seen.x, seen.g), weighed(seen.g, seen.x), held.x, held.g);
        FloatMatrix w = RoundingFixtures.gaussian(arena, random, m, n);
        for (int i = rows[0]; i < m; i++) {
            for (int j = 0; j < n; j++) {
                w.set(i, j, 0.1f * w.get(i, j));
            }
        }
        List<LinearQuantizer.Part> parts = List.of(
                new LinearQuantizer.Part("a", w.rows(0, rows[0])), new LinearQuantizer.Part("b", w.rows(rows[0], m)));
        LinearQuantizer quantizer = new LinearQuantizer(
                RoundingSettings.of(Codebook.ofBits(2)).withPrecision(Precision.valueOf(precision)),
                new ScalarEncode(),
                new ScalarTransform(),
                team);
        Hessian hessian = weighed(seen.x, null);
        QuantizationResult one = quantizer.quantize("w", parts, hessian, 1, arena);
        QuantizationResult both = quantizer.quantize("w", parts, hessian, sides, 1, arena);
        double found = lossOf(held, w, both) / lossOf(held, w, one);
        System.out.printf("%s: expected %.3f, found %.3f%n", precision, both.expectedLoss(), found);
        assertThat(one.expectedLoss()).isNaN();
        assertThat(both.expectedLoss()).as("seed " + seed).isLessThan(0.8);
        assertThat(found).as("seed " + seed).isBetween(both.expectedLoss() / 2, both.expectedLoss() * 2);
    }

    /** A Hessian of the outputs that held-out gradients do not have. */
    @Test
    void takesOneSideWhereBothDoHarm() {
        int n = 48;
        int m = 40;
        FloatMatrix mixX = RoundingFixtures.gaussian(arena, random, n, n);
        Tokens seen = tokens(mixX, RoundingFixtures.gaussian(arena, random, m, m), 600);
        Tokens held = tokens(mixX, RoundingFixtures.gaussian(arena, random, m, m), 200);
        LossHessian sides = new LossHessian(weighed(seen.x, seen.g), weighed(seen.g, seen.x), held.x, held.g);
        List<LinearQuantizer.Part> parts =
                List.of(new LinearQuantizer.Part("w", RoundingFixtures.gaussian(arena, random, m, n)));
        LinearQuantizer quantizer = new LinearQuantizer(
                RoundingSettings.of(Codebook.ofBits(2)), new ScalarEncode(), new ScalarTransform(), team);
        Hessian hessian = weighed(seen.x, null);
        QuantizationResult one = quantizer.quantize("w", parts, hessian, 1, arena);
        QuantizationResult both = quantizer.quantize("w", parts, hessian, sides, 1, arena);
        assertThat(both.expectedLoss()).as("seed " + seed).isGreaterThanOrEqualTo(1);
        assertThat(RoundingFixtures.sameBits(
                        one.linear().codes().data(), both.linear().codes().data()))
                .isTrue();
        assertThat(both.proxyError()).isEqualTo(one.proxyError());

        // Nothing reaches the loss: no reason to leave one side.
        LossHessian silent = new LossHessian(
                weighed(seen.x, FloatMatrix.allocate(arena, 600, m)),
                weighed(FloatMatrix.allocate(arena, 600, m), seen.x),
                held.x,
                FloatMatrix.allocate(arena, 200, m));
        QuantizationResult none = quantizer.quantize("w", parts, hessian, silent, 1, arena);
        assertThat(none.expectedLoss()).isEqualTo(1);
        assertThat(none.proxyError()).isEqualTo(one.proxyError());

        LinearQuantizer greedy = new LinearQuantizer(
                RoundingSettings.reference(Codebook.ofBits(2)), new ScalarEncode(), new ScalarTransform(), team);
        assertThatThrownBy(() -> greedy.quantize("w", parts, hessian, sides, 1, arena))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("one side only");
    }

    /** {@code sum |L_O^-1 g|^2 |L_I^-1 x|^2} by substitution. */
    @Test
    void theExpectedLossEqualsItsDefinition() {
        int n = 19;
        int m = 27;
        DoubleMatrix inputs = hessian(n);
        DoubleMatrix outputs = hessian(m);
        DoubleMatrix x = RoundingFixtures.widen(arena, RoundingFixtures.gaussian(arena, random, 70, n));
        DoubleMatrix g = RoundingFixtures.widen(arena, RoundingFixtures.gaussian(arena, random, 70, m));
        Matrix li = Ldlq.factor(inputs, arena);
        Matrix lo = Ldlq.factor(outputs, arena);
        double both = 0;
        double one = 0;
        for (int t = 0; t < 70; t++) {
            both += solved(lo, g, t) * solved(li, x, t);
            one += ProxyLoss.squaredNorm(g.rows(t, t + 1)) * solved(li, x, t);
        }
        assertThat(LossHessian.expected(team, lo, li, x, g)).isCloseTo(both, within(1e-9 * both));
        assertThat(LossHessian.expected(team, null, li, x, g)).isCloseTo(one, within(1e-9 * one));
    }

    private static double solved(Matrix l, DoubleMatrix rows, int row) {
        double[] v = new double[l.rows()];
        double sum = 0;
        for (int i = 0; i < v.length; i++) {
            v[i] = i < rows.cols() ? rows.get(row, i) : 0;
            for (int j = 0; j < i; j++) {
                v[i] -= l.at(i, j) * v[j];
            }
            sum += v[i] * v[i];
        }
        return sum;
    }
}
