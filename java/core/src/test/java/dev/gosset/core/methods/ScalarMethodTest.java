package dev.gosset.core.methods;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import dev.gosset.core.hadamard.FourierTransform;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.ProxyLoss;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** QuIP's methods against their definitions, written down once more without any speed, and against the golden layers. */
class ScalarMethodTest {
    private static final ThreadTeam TEAM = new ThreadTeam(2);
    private static final Arena ARENA = Arena.ofShared();

    /** The golden data's names of the methods. */
    private static final Map<String, String> GOLDEN = Map.of(
            "near", "nearest",
            "stoch", "stochastic",
            "ldlq", "ldlq",
            "ldlq_stoch", "ldlq-stochastic",
            "optq", "optq",
            "greedy", "greedy",
            "ldlq_rg", "ldlq-rg");

    @AfterAll
    static void close() {
        TEAM.close();
        ARENA.close();
    }

    // ---------------------------------------------------------------------------------------------- golden layers

    private static Golden golden() {
        return Golden.read(Golden.shared().resolve("spec/golden-quip/quip.safetensors"));
    }

    private static DoubleMatrix matrix(Golden.Tensor t) {
        return DoubleMatrix.copyOf(ARENA, t.shape()[0], t.shape()[1], t.doubles());
    }

    private static DoubleMatrix hessian(Golden golden, String layer, int n) {
        double[] lower = golden.get(layer + ".H_lower").doubles();
        DoubleMatrix h = DoubleMatrix.allocate(ARENA, n, n);
        int at = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++, at++) {
                h.set(i, j, lower[at]);
                h.set(j, i, lower[at]);
            }
        }
        return h;
    }

    private static KroneckerTransform side(Golden golden, String name) {
        Golden.Tensor b0 = golden.get(name + ".B0");
        Golden.Tensor b1 = golden.get(name + ".B1");
        return new KroneckerTransform(
                b0.shape()[0],
                b1.shape()[0],
                new double[][] {b0.doubles()},
                new double[][] {b1.doubles()},
                permutation(golden, name + ".p_in"),
                permutation(golden, name + ".p_out"));
    }

    private static int[] permutation(Golden golden, String name) {
        return Arrays.stream(golden.get(name).longs()).mapToInt(v -> (int) v).toArray();
    }

    /** The golden data's uniform numbers. */
    private static double hash(long index) {
        long h = (2654435761L * index + 12345) & 0xffffffffL;
        h ^= h >>> 16;
        h = h * 0x45d9f3bL & 0xffffffffL;
        h ^= h >>> 16;
        return h / 4294967296.0;
    }

    @ParameterizedTest
    @CsvSource({"A, base", "A, inc", "B, base", "B, inc"})
    void goldenLayers(String layer, String processed) {
        Golden golden = golden();
        DoubleMatrix w = matrix(golden.get(layer + ".W"));
        DoubleMatrix h = hessian(golden, layer, w.cols());
        boolean incoherent = processed.equals("inc");
        for (int bits = 2; bits <= 4; bits++) {
            String prefix = layer + "." + processed + "." + bits + ".";
            for (Map.Entry<String, String> entry : GOLDEN.entrySet()) {
                MethodSettings settings = MethodSettings.of(
                        ScalarMethod.named(entry.getValue()),
                        Processing.named(incoherent ? "kron" : "none"),
                        bits,
                        true);
                MethodQuantizer.Result result = new MethodQuantizer(settings, TEAM)
                        .quantize(
                                incoherent ? side(golden, layer + ".V") : null,
                                incoherent ? side(golden, layer + ".U") : null,
                                ScalarMethodTest::hash,
                                w,
                                h,
                                ARENA);
                String name = prefix + entry.getKey();
                double[] errors = golden.get(name + ".errors").doubles();
                assertThat(result.processedProxy(TEAM)).as(name).isCloseTo(errors[0], within(1e-3 * errors[0]));
                assertThat(result.proxyError()).as(name).isCloseTo(errors[2], within(1e-3 * errors[2]));
                if (golden.has(name + ".codes")) {
                    assertThat(result.codes().toArray())
                            .as(name)
                            .isEqualTo(golden.get(name + ".codes").doubles());
                }
                if (golden.has(name + ".What")) {
                    assertThat(result.weights().toArray())
                            .usingComparatorWithPrecision(1e-12)
                            .containsExactly(golden.get(name + ".What").doubles());
                }
                if (bits == 2 && entry.getKey().equals("near")) {
                    goldenStatistics(golden, layer + "." + processed, result);
                }
            }
        }
    }

    private static void goldenStatistics(Golden golden, String name, MethodQuantizer.Result result) {
        double[] stats = golden.get(name + ".stats").doubles();
        Spectrum s = result.spectrum();
        assertThat(new double[] {s.traceH(), s.traceD(), s.traceDFirst(), s.traceRoot(), s.muH(), s.muW()})
                .as(name)
                .usingComparatorWithPrecision(1e-9 * stats[0])
                .containsExactly(stats);
        double[] grid = golden.get(name + ".2.grid").doubles();
        Grid.Levels levels = result.levels();
        if (grid.length == 1) {
            assertThat(levels.step()[0] * levels.q() / 2).isCloseTo(grid[0], within(1e-12));
        } else {
            int m = levels.step().length;
            assertThat(levels.step()).usingComparatorWithPrecision(1e-12).containsExactly(Arrays.copyOf(grid, m));
            assertThat(levels.zero()).containsExactly(Arrays.copyOfRange(grid, m, 2 * m));
        }
    }

    @Test
    void goldenBlockedTransform() {
        Golden golden = golden();
        double[] f0 = golden.get("blocked128.F0").doubles();
        double[] f1 = golden.get("blocked128.F1").doubles();
        double[][] first = new double[8][];
        double[][] second = new double[16][];
        Arrays.setAll(first, i -> Arrays.copyOfRange(f0, 256 * i, 256 * (i + 1)));
        Arrays.setAll(second, i -> Arrays.copyOfRange(f1, 64 * i, 64 * (i + 1)));
        double[] x = golden.get("blocked128.x").doubles();
        new KroneckerTransform(
                        16,
                        8,
                        first,
                        second,
                        permutation(golden, "blocked128.p_in"),
                        permutation(golden, "blocked128.p_out"))
                .apply(x, true);
        assertThat(x)
                .usingComparatorWithPrecision(1e-12)
                .containsExactly(golden.get("blocked128.y").doubles());
    }

    @Test
    void goldenBoundedFeedback() {
        Golden golden = golden();
        DoubleMatrix h = hessian(golden, "A", 128);
        Processing.addToDiagonal(h, Processing.DAMPING * Processing.trace(h) / 128);
        double largest = 0;
        for (int i = 0; i < 128; i++) {
            largest = Math.max(largest, h.get(i, i));
        }
        for (int i = 0; i < 128; i++) {
            for (int j = 0; j < 128; j++) {
                h.set(i, j, h.get(i, j) / largest);
            }
        }
        double[] expected = golden.get("A.alg5.objective").doubles();
        ScalarRounding rounding = new ScalarRounding(TEAM);
        DoubleMatrix z = rounding.bounded(h, 1, ARENA);
        assertThat(rounding.objective(z, h, DoubleMatrix.allocate(ARENA, 128, 128)))
                .isCloseTo(expected[0], within(1e-5 * expected[0]));
    }

    @Test
    void goldenFourierOfMatrices() {
        Golden golden = Golden.read(Golden.shared().resolve("spec/golden-quip/rfft.safetensors"));
        OrthogonalTransform inputs =
                new OrthogonalTransform.Fourier(golden.get("n22.theta").doubles(), new FourierTransform(22));
        OrthogonalTransform outputs =
                new OrthogonalTransform.Fourier(golden.get("n106.theta").doubles(), new FourierTransform(106));
        DoubleMatrix w = matrix(golden.get("mat.W"));
        inputs.rows(TEAM, w, true);
        outputs.columns(TEAM, w, true);
        DoubleMatrix h = matrix(golden.get("mat.H"));
        inputs.rows(TEAM, h, true);
        inputs.columns(TEAM, h, true);
        assertThat(w.toArray())
                .usingComparatorWithPrecision(1e-12)
                .containsExactly(golden.get("mat.Wr").doubles());
        assertThat(h.toArray())
                .usingComparatorWithPrecision(1e-12)
                .containsExactly(golden.get("mat.Hr").doubles());
    }

    // ---------------------------------------------------------------------------------------------- definitions

    /** Weights in grid coordinates with some beyond the ends, and a Hessian of inputs that have much in common. */
    private record Problem(DoubleMatrix g, DoubleMatrix h, int q) {
        static Problem random(Random random, int m, int n, int bits) {
            int q = (1 << bits) - 1;
            DoubleMatrix g = DoubleMatrix.allocate(ARENA, m, n);
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < n; j++) {
                    g.set(i, j, q / 2.0 + 0.35 * q * random.nextGaussian());
                }
            }
            double[][] x = new double[n][2 * n];
            double[][] common = new double[4][2 * n];
            for (double[] row : common) {
                Arrays.setAll(row, t -> random.nextGaussian());
            }
            for (double[] row : x) {
                int k = random.nextInt(4);
                double own = 0.2 + random.nextDouble();
                Arrays.setAll(row, t -> common[k][t] + own * random.nextGaussian());
            }
            DoubleMatrix h = DoubleMatrix.allocate(ARENA, n, n);
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    double sum = i == j ? 0.1 : 0;
                    for (int t = 0; t < 2 * n; t++) {
                        sum += x[i][t] * x[j][t] / (2 * n);
                    }
                    h.set(i, j, sum);
                }
            }
            return new Problem(g, h, q);
        }

        DoubleMatrix rounded(String method, Noise noise) {
            DoubleMatrix c = DoubleMatrix.allocate(ARENA, g.rows(), g.cols());
            new ScalarRounding(TEAM).round(ScalarMethod.named(method), g, h, q, noise, c);
            return c;
        }

        double loss(DoubleMatrix c) {
            DoubleMatrix e = DoubleMatrix.allocate(ARENA, g.rows(), g.cols());
            for (int i = 0; i < g.rows(); i++) {
                for (int j = 0; j < g.cols(); j++) {
                    e.set(i, j, c.get(i, j) - g.get(i, j));
                }
            }
            return ProxyLoss.trace(TEAM, e, h);
        }
    }

    /** Solves A x = b, A symmetric positive definite, by elimination. */
    private static double[] solve(double[][] a, double[] b) {
        int n = b.length;
        for (int k = 0; k < n; k++) {
            for (int i = k + 1; i < n; i++) {
                double f = a[i][k] / a[k][k];
                for (int j = k; j < n; j++) {
                    a[i][j] -= f * a[k][j];
                }
                b[i] -= f * b[k];
            }
        }
        for (int i = n - 1; i >= 0; i--) {
            for (int j = i + 1; j < n; j++) {
                b[i] -= a[i][j] * b[j];
            }
            b[i] /= a[i][i];
        }
        return b;
    }

    /** The value that weight i would take if it and those still free were real numbers that minimize the loss. */
    private static double conditional(Problem p, double[] errors, boolean[] done, int row, int i) {
        int n = errors.length;
        int[] free =
                java.util.stream.IntStream.range(0, n).filter(k -> !done[k]).toArray();
        double[][] a = new double[free.length][free.length];
        double[] b = new double[free.length];
        for (int r = 0; r < free.length; r++) {
            for (int s = 0; s < free.length; s++) {
                a[r][s] = p.h.get(free[r], free[s]);
            }
            for (int k = 0; k < n; k++) {
                b[r] -= done[k] ? p.h.get(free[r], k) * errors[k] : 0;
            }
        }
        return p.g.get(row, i) + solve(a, b)[Arrays.binarySearch(free, i)];
    }

    /** LDLQ and OPTQ are one idea in two orders, and the idea is this: no factorization anywhere. */
    @ParameterizedTest
    @CsvSource({"ldlq, 2", "optq, 2", "ldlq-stochastic, 3", "optq, 4"})
    void feedbackIsTheBestOfTheFreeWeights(String method, int bits) {
        long seed = System.nanoTime();
        Problem p = Problem.random(new Random(seed), 5, 23, bits);
        Noise noise = Noise.of(seed);
        DoubleMatrix c = p.rounded(method, noise);
        int n = p.g.cols();
        for (int row = 0; row < p.g.rows(); row++) {
            double[] errors = new double[n];
            boolean[] done = new boolean[n];
            for (int k = 0; k < n; k++) {
                int i = method.equals("optq") ? k : n - 1 - k;
                double eta = method.endsWith("stochastic") ? noise.at((long) row * n + i) : 0.5;
                double t = conditional(p, errors, done, row, i);
                assertThat(c.get(row, i))
                        .as("row %d, column %d, seed %d", row, i, seed)
                        .isEqualTo(Math.clamp(Math.floor(t + eta), 0, p.q));
                errors[i] = c.get(row, i) - p.g.get(row, i);
                done[i] = true;
            }
        }
    }

    /** OPTQ as it was published, by the factor of the inverse: the same codes as LDLQ's on reversed columns. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void optqIsLdlqOnReversedColumns(int bits) {
        long seed = System.nanoTime();
        int m = 7;
        int n = 61;
        Problem p = Problem.random(new Random(seed), m, n, bits);
        double[][] inverse = new double[n][];
        for (int i = 0; i < n; i++) {
            double[][] a = new double[n][n];
            for (int r = 0; r < n; r++) {
                for (int s = 0; s < n; s++) {
                    a[r][s] = p.h.get(r, s);
                }
            }
            double[] unit = new double[n];
            unit[i] = 1;
            inverse[i] = solve(a, unit);
        }
        // R upper triangular with H^-1 = R^T R.
        double[][] r = new double[n][n];
        for (int i = 0; i < n; i++) {
            for (int j = i; j < n; j++) {
                double sum = inverse[i][j];
                for (int k = 0; k < i; k++) {
                    sum -= r[k][i] * r[k][j];
                }
                r[i][j] = j == i ? Math.sqrt(sum) : sum / r[i][i];
            }
        }
        DoubleMatrix expected = DoubleMatrix.allocate(ARENA, m, n);
        for (int row = 0; row < m; row++) {
            double[] w = new double[n];
            for (int j = 0; j < n; j++) {
                w[j] = p.g.get(row, j);
            }
            for (int i = 0; i < n; i++) {
                expected.set(row, i, Math.clamp(Math.floor(w[i] + 0.5), 0, p.q));
                double e = (w[i] - expected.get(row, i)) / r[i][i];
                for (int k = i; k < n; k++) {
                    w[k] -= e * r[i][k];
                }
            }
        }
        assertThat(p.rounded("optq", Noise.NEAREST).toArray())
                .as("seed %d", seed)
                .containsExactly(expected.toArray());
        Problem reversed = new Problem(reversed(p.g, false), reversed(p.h, true), p.q);
        assertThat(reversed(reversed.rounded("ldlq", Noise.NEAREST), false).toArray())
                .as("seed %d", seed)
                .containsExactly(expected.toArray());
    }

    private static DoubleMatrix reversed(DoubleMatrix a, boolean bothSides) {
        DoubleMatrix r = DoubleMatrix.allocate(ARENA, a.rows(), a.cols());
        for (int i = 0; i < a.rows(); i++) {
            for (int j = 0; j < a.cols(); j++) {
                r.set(bothSides ? a.rows() - 1 - i : i, a.cols() - 1 - j, a.get(i, j));
            }
        }
        return r;
    }

    /** Where greedy passes end, no single code can be exchanged for a better one. */
    @ParameterizedTest
    @ValueSource(strings = {"greedy", "ldlq-rg"})
    void greedyEndsWhereNoCodeCanBeExchanged(String method) {
        long seed = System.nanoTime();
        Problem p = Problem.random(new Random(seed), 3, 20, 2);
        DoubleMatrix c = DoubleMatrix.allocate(ARENA, 3, 20);
        new ScalarRounding(TEAM)
                .round(
                        method.equals("greedy") ? new ScalarMethod.Greedy(200) : new ScalarMethod.LdlqRg(200),
                        p.g,
                        p.h,
                        p.q,
                        Noise.NEAREST,
                        c);
        double loss = p.loss(c);
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 20; j++) {
                double code = c.get(i, j);
                for (int other = 0; other <= p.q; other++) {
                    c.set(i, j, other);
                    assertThat(p.loss(c)).as("seed %d", seed).isGreaterThanOrEqualTo(loss - 1e-9);
                }
                c.set(i, j, code);
            }
        }
        if (method.equals("ldlq-rg")) {
            DoubleMatrix without = DoubleMatrix.allocate(ARENA, 3, 20);
            new ScalarRounding(TEAM).round(new ScalarMethod.LdlqRg(0), p.g, p.h, p.q, Noise.NEAREST, without);
            assertThat(loss).as("seed %d", seed).isLessThanOrEqualTo(p.loss(without) + 1e-9);
        }
    }

    /** Feedback with bounds that bind nowhere is LDLQ's, whose objective is tr D. */
    @Test
    void boundedFeedbackWithoutBoundsIsLdlq() {
        long seed = System.nanoTime();
        Problem p = Problem.random(new Random(seed), 1, 12, 2);
        try (ThreadTeam alone = new ThreadTeam(1)) {
            ScalarRounding rounding = new ScalarRounding(alone);
            DoubleMatrix z = rounding.bounded(p.h, 1e9, ARENA);
            double traceD = Spectrum.of(p.g, p.h).traceD();
            assertThat(rounding.objective(z, p.h, DoubleMatrix.allocate(ARENA, 12, 12)))
                    .as("seed %d", seed)
                    .isCloseTo(traceD, within(1e-6 * traceD));
        }
    }

    /** Rounding up or down at random has the weight as its mean, within the grid. */
    @Test
    void stochasticRoundingIsUnbiased() {
        long seed = System.nanoTime();
        int draws = 20_000;
        DoubleMatrix g = DoubleMatrix.allocate(ARENA, draws, 1);
        for (int i = 0; i < draws; i++) {
            g.set(i, 0, 1.3);
        }
        DoubleMatrix h = DoubleMatrix.copyOf(ARENA, 1, 1, new double[] {1});
        DoubleMatrix c = new Problem(g, h, 3).rounded("stochastic", Noise.of(seed));
        double mean = Arrays.stream(c.toArray()).average().orElseThrow();
        // Five standard errors.
        assertThat(mean).as("seed %d", seed).isCloseTo(1.3, within(5 * Math.sqrt(0.3 * 0.7 / draws)));
    }

    // ---------------------------------------------------------------------------------------------- theory

    /** Without ends of the grid the loss is m tr(D) / 12 in the mean, and with stochastic rounding m tr(D) / 6. */
    @ParameterizedTest
    @CsvSource({"ldlq, 12", "ldlq-stochastic, 6"})
    void lossIsWhatTheoryPredicts(String method, int part) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int m = 600;
        int n = 40;
        Problem p = Problem.random(random, m, n, 2);
        DoubleMatrix g = DoubleMatrix.allocate(ARENA, m, n);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                g.set(i, j, 1e6 * random.nextDouble());
            }
        }
        Problem wide = new Problem(g, p.h, 1 << 24);
        double predicted = m * Spectrum.of(g, p.h).traceD() / part;
        assertThat(wide.loss(wide.rounded(method, Noise.of(seed))))
                .as("seed %d", seed)
                .isCloseTo(predicted, within(0.05 * predicted));
    }

    /** Random weights made incoherent, 2 bits: few leave the grid, so the loss is that of one without ends, nearly. */
    @Test
    void lossOfIncoherentWeightsIsPredicted() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        DoubleMatrix h = Problem.random(random, 1, 192, 2).h;
        DoubleMatrix w = DoubleMatrix.allocate(ARENA, 96, 192);
        for (int i = 0; i < 96; i++) {
            for (int j = 0; j < 192; j++) {
                w.set(i, j, random.nextGaussian() * (random.nextInt(200) == 0 ? 6 : 1));
            }
        }
        MethodQuantizer.Result result = new MethodQuantizer(
                        MethodSettings.of(new ScalarMethod.Ldlq(false), Processing.named("kron"), 2, true), TEAM)
                .quantize("test", seed, w, h, ARENA);
        double whole = ProxyLoss.trace(TEAM, result.processedWeights(), result.processedHessian());
        double predicted = result.spectrum().predictedLdlq(result.levels(), 96) / whole;
        assertThat(result.processedProxy(TEAM)).as("seed %d", seed).isCloseTo(predicted, within(0.2 * predicted));
    }

    /** The published counterexample: the end of the grid turns feedback into a loss that grows with n^2; nearest's grows with n. */
    @Test
    void feedbackLosesToNearestAtTheEndOfTheGrid() {
        double[] optq = new double[3];
        double[] nearest = new double[3];
        for (int s = 0; s < 3; s++) {
            Problem p = counterexample(64 << 2 * s, 0.01);
            optq[s] = p.loss(p.rounded("optq", Noise.NEAREST));
            nearest[s] = p.loss(p.rounded("nearest", Noise.NEAREST));
        }
        for (int s = 1; s < 3; s++) {
            // Four times n: sixteen times the loss, and four times.
            assertThat(optq[s] / optq[s - 1]).isBetween(15.0, 19.0);
            assertThat(nearest[s] / nearest[s - 1]).isBetween(3.9, 4.2);
        }
        assertThat(optq[0]).isCloseTo(1.46e4, within(0.01e4));
        assertThat(nearest[0]).isCloseTo(251, within(1.0));
    }

    private static Problem counterexample(int n, double c) {
        DoubleMatrix h = DoubleMatrix.allocate(ARENA, n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                h.set(i, j, i == j ? 2 : 1);
            }
        }
        h.set(n - 1, n - 1, 1);
        for (int k = 1; k < n; k++) {
            double more = k < n - 1 ? 2 * c : c;
            h.set(0, k, h.get(0, k) + more);
            h.set(k, 0, h.get(k, 0) + more);
        }
        h.set(0, 0, h.get(0, 0) + 4 * c + n * c * c);
        DoubleMatrix g = DoubleMatrix.allocate(ARENA, 16, n);
        for (int i = 0; i < 16; i++) {
            for (int j = 0; j < n; j++) {
                g.set(i, j, 0.499 + 0.002 * (j % 2));
            }
        }
        return new Problem(g, h, 3);
    }

    // ---------------------------------------------------------------------------------------------- transforms

    @ParameterizedTest
    @EnumSource(names = "NONE", mode = EnumSource.Mode.EXCLUDE)
    void transformsAreOrthogonalAndKeepTheLoss(OrthogonalTransform.Kind kind) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        for (int n : new int[] {2, 6, 22, 64, 90, 106, 896}) {
            OrthogonalTransform v = kind.draw(seed, "test", n);
            double[] x = random.doubles(n, -1, 1).toArray();
            double[] z = random.doubles(n, -1, 1).toArray();
            double[] y = x.clone();
            v.apply(y, true);
            double[] back = z.clone();
            v.apply(back, false);
            // (V x) . z = x . (V^T z)
            assertThat(dot(y, z)).as("%s, n %d, seed %d", kind, n, seed).isCloseTo(dot(x, back), within(1e-5));
            v.apply(y, false);
            // A Hadamard transform is divided by the float32 root of n, as the reference's is.
            assertThat(y)
                    .as("%s, n %d, seed %d", kind, n, seed)
                    .usingComparatorWithPrecision(1e-6)
                    .containsExactly(x);
            assertThat(kind.draw(seed, "test", n).n()).isEqualTo(n);
        }
    }

    private static double dot(double[] x, double[] y) {
        double sum = 0;
        for (int i = 0; i < x.length; i++) {
            sum += x[i] * y[i];
        }
        return sum;
    }

    /** The factors that the specification lists. */
    @ParameterizedTest
    @CsvSource({
        "64, 8, 8",
        "128, 16, 8",
        "256, 16, 16",
        "384, 16, 24",
        "768, 48, 16",
        "896, 16, 56",
        "4096, 64, 64",
        "11008, 688, 16",
        "101, 101, 1"
    })
    void kroneckerFactors(int n, int a, int b) {
        assertThat(KroneckerTransform.factor(n)).containsExactly(a, b);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 16, 43})
    void rotationsHaveDeterminantOne(int p) {
        long seed = System.nanoTime();
        java.util.SplittableRandom random = new java.util.SplittableRandom(seed);
        for (int draw = 0; draw < 4; draw++) {
            double[] m = KroneckerTransform.rotation(random, p);
            for (int i = 0; i < p; i++) {
                for (int j = 0; j < p; j++) {
                    double dot = 0;
                    for (int k = 0; k < p; k++) {
                        dot += m[i * p + k] * m[j * p + k];
                    }
                    assertThat(dot).as("seed %d", seed).isCloseTo(i == j ? 1 : 0, within(1e-12));
                }
            }
            if (p == 2) {
                assertThat(m[0] * m[3] - m[1] * m[2]).as("seed %d", seed).isCloseTo(1, within(1e-12));
            }
            if (p == 3) {
                double det = m[0] * (m[4] * m[8] - m[5] * m[7])
                        - m[1] * (m[3] * m[8] - m[5] * m[6])
                        + m[2] * (m[3] * m[7] - m[4] * m[6]);
                assertThat(det).as("seed %d", seed).isCloseTo(1, within(1e-12));
            }
        }
    }

    /** Every method under every processing gives whole weights, and LDLQ under each loses less than nearest rounding without any. */
    @Test
    void everyMethodUnderEveryProcessing() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        DoubleMatrix h = Problem.random(random, 1, 48, 2).h;
        DoubleMatrix w = DoubleMatrix.allocate(ARENA, 30, 48);
        for (int i = 0; i < 30; i++) {
            for (int j = 0; j < 48; j++) {
                w.set(i, j, random.nextGaussian() * (random.nextInt(50) == 0 ? 8 : 1));
            }
        }
        double plain = new MethodQuantizer(
                        MethodSettings.of(new ScalarMethod.Nearest(), Processing.NONE, 2, false), TEAM)
                .quantize("x", seed, w, h, ARENA)
                .proxyError();
        try (ThreadTeam alone = new ThreadTeam(1)) {
            ScalarMethod.all()
                    .forEach((method, m) -> Processing.all().forEach((processing, p) -> {
                        if (method.equals("ldlq-bounded") && p.isIncoherent()) {
                            return;
                        }
                        MethodSettings settings = MethodSettings.of(m, p, 3, method.equals("optq"));
                        MethodQuantizer.Result r =
                                new MethodQuantizer(settings, alone).quantize("x", seed, w, h, ARENA);
                        assertThat(r.frobeniusError())
                                .as("%s, %s, seed %d", method, processing, seed)
                                .isBetween(1e-4, 0.6);
                        if (method.equals("ldlq")) {
                            MethodQuantizer.Result again =
                                    new MethodQuantizer(settings, TEAM).quantize("x", seed, w, h, ARENA);
                            assertThat(again.weights().toArray())
                                    .isEqualTo(r.weights().toArray());
                            assertThat(r.proxyError())
                                    .as("%s, seed %d", processing, seed)
                                    .isLessThan(plain);
                        }
                    }));
        }
    }
}
