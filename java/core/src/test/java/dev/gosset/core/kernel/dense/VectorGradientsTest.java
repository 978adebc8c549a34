package dev.gosset.core.kernel.dense;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.kernel.VectorMethods;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Gradients against difference quotients of the formulas in float64, over sizes around the vector width and odd addresses. */
@Tag("width")
class VectorGradientsTest {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final long OFFSET = 6;
    private static final double H = 1e-5;

    private final Arena arena = Arena.ofConfined();
    private final Random random = new Random(5);

    @AfterEach
    void close() {
        arena.close();
    }

    private MemorySegment row(double... values) {
        MemorySegment s = arena.allocate(OFFSET + 4L * values.length);
        for (int i = 0; i < values.length; i++) {
            s.set(FLOAT, OFFSET + 4L * i, (float) values[i]);
        }
        return s;
    }

    private double[] random(int n, double scale) {
        // float32 numbers, so that both sides see the same.
        return random.doubles(n).map(x -> (float) (scale * (2 * x - 1))).toArray();
    }

    private static double at(MemorySegment s, int i) {
        return s.get(FLOAT, OFFSET + 4L * i);
    }

    private static MemorySegment from(MemorySegment s, int n) {
        return s.asSlice(OFFSET, 4L * n);
    }

    /** The derivative of f by element i. */
    private static double slope(double[] x, int i, DoubleUnaryOperator f) {
        double was = x[i];
        x[i] = was + H;
        double up = f.applyAsDouble(0);
        x[i] = was - H;
        double down = f.applyAsDouble(0);
        x[i] = was;
        return (up - down) / (2 * H);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 16, 17, 64, 67, 300})
    void columnProducts(int n) {
        int rows = 9;
        double[] a = random(rows * (n + 3), 1);
        double[] b = random(rows * (n + 5), 1);
        double[] f = random(rows, 2);
        double[] sums = random(n, 1);
        MemorySegment out = row(sums);
        VectorGradients.addColumnProducts(
                row(a), OFFSET, 4L * (n + 3), row(b), OFFSET, 4L * (n + 5), row(f), OFFSET, rows, out, OFFSET, n);
        VectorGradients.addColumnProducts(
                row(a), OFFSET, 4L * (n + 3), row(b), OFFSET, 4L * (n + 5), null, 0, rows, out, OFFSET, n);
        for (int j = 0; j < n; j++) {
            double sum = sums[j];
            for (int t = 0; t < rows; t++) {
                sum += (f[t] + 1) * a[t * (n + 3) + j] * b[t * (n + 5) + j];
            }
            assertThat(at(out, j)).isCloseTo(sum, within(1e-5));
        }
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> VectorGradients.addColumnProducts(
                        row(a), OFFSET, 4L * (n + 4), row(b), OFFSET, 4L * n, null, 0, rows, out, OFFSET, n));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 16, 17, 64, 67, 300})
    void rmsNorm(int n) {
        double[] x = random(n, 2);
        double[] w = random(n, 1);
        double[] dy = random(n, 1);
        double[] dx = random(n, 1);
        double epsilon = 1e-3;
        DoubleUnaryOperator loss = ignored -> {
            double squares = 0;
            for (double v : x) {
                squares += v * v;
            }
            double r = 1 / Math.sqrt(squares / n + (float) epsilon);
            double sum = 0;
            for (int i = 0; i < n; i++) {
                sum += dy[i] * x[i] * r * w[i];
            }
            return sum;
        };
        MemorySegment added = row(dx);
        MemorySegment written = row(dy);
        MemorySegment weight = from(row(w), n);
        float r = VectorGradients.rmsNormGradient(
                row(x), OFFSET, weight, (float) epsilon, row(dy), OFFSET, 1, added, OFFSET, n);
        VectorGradients.rmsNormGradient(
                row(x), OFFSET, weight, (float) epsilon, written, OFFSET, 0, written, OFFSET, n);
        for (int i = 0; i < n; i++) {
            double gradient = slope(x, i, loss);
            assertThat(at(added, i)).isCloseTo(dx[i] + gradient, within(2e-5));
            assertThat(at(written, i)).isCloseTo(gradient, within(2e-5));
            assertThat(dy[i] * x[i] * r).isCloseTo(slope(w, i, loss), within(2e-5));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 16, 17, 64, 67, 300})
    void swiGlu(int n) {
        double[] u = random(n, 3);
        double[] g = random(n, 6);
        double[] df = random(n, 1);
        MemorySegment du = row(u);
        MemorySegment dg = row(g);
        VectorGradients.swiGluGradient(du, OFFSET, dg, OFFSET, row(df), OFFSET, du, OFFSET, dg, OFFSET, n);
        for (int i = 0; i < n; i++) {
            int at = i;
            DoubleUnaryOperator loss = ignored -> df[at] * u[at] * g[at] / (1 + Math.exp(-g[at]));
            assertThat(at(du, i)).isCloseTo(slope(u, i, loss), within(2e-5));
            assertThat(at(dg, i)).isCloseTo(slope(g, i, loss), within(2e-5));
        }
    }

    @Test
    void farGatesAreFlat() {
        int n = 34;
        double[] far = new double[n];
        for (int i = 0; i < n; i++) {
            far[i] = i % 2 == 0 ? 300 : -300;
        }
        MemorySegment ones = row(far).fill((byte) 0);
        for (int i = 0; i < n; i++) {
            ones.set(FLOAT, OFFSET + 4L * i, 1);
        }
        MemorySegment du = row(far);
        MemorySegment dg = row(far);
        VectorGradients.swiGluGradient(ones, OFFSET, row(far), OFFSET, ones, OFFSET, du, OFFSET, dg, OFFSET, n);
        for (int i = 0; i < n; i++) {
            assertThat(at(du, i)).isCloseTo(i % 2 == 0 ? 300 : 0, within(1e-5));
            assertThat(at(dg, i)).isCloseTo(i % 2 == 0 ? 1 : 0, within(1e-5));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 16, 17, 64, 67, 300})
    void divergenceAndSoftmax(int n) {
        double[] t = random(n, 4);
        double[] l = random(n, 4);
        DoubleUnaryOperator divergence = ignored -> {
            double sum = 0;
            for (int i = 0; i < n; i++) {
                sum += Math.exp(t[i] - log(t)) * (t[i] - log(t) - l[i] + log(l));
            }
            return sum;
        };
        MemorySegment out = row(l);
        double found = VectorGradients.divergence(row(t), OFFSET, (float) log(t), 3, out, OFFSET, (float) log(l), n);
        assertThat(found).isCloseTo(divergence.applyAsDouble(0), within(2e-5));
        double[] dp = random(n, 1);
        double[] p = new double[n];
        double delta = 0;
        for (int i = 0; i < n; i++) {
            assertThat(at(out, i)).isCloseTo(3 * slope(l, i, divergence), within(2e-5));
            p[i] = (float) Math.exp(t[i] - log(t));
            delta += p[i] * dp[i];
        }
        MemorySegment back = row(dp);
        VectorGradients.softmaxGradient(row(p), OFFSET, (float) delta, back, OFFSET, n);
        DoubleUnaryOperator loss = ignored -> {
            double sum = 0;
            for (int i = 0; i < n; i++) {
                sum += dp[i] * Math.exp(t[i] - log(t));
            }
            return sum;
        };
        for (int i = 0; i < n; i++) {
            assertThat(at(back, i)).isCloseTo(slope(t, i, loss), within(2e-5));
        }
    }

    private static double log(double[] x) {
        double sum = 0;
        for (double v : x) {
            sum += Math.exp(v);
        }
        return Math.log(sum);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 16, 17, 64, 67, 300})
    void squaredErrorAndAdam(int n) {
        double[] y = random(n, 1);
        double[] target = random(n, 1);
        MemorySegment out = row(y);
        double sum = 0;
        double found = VectorGradients.squaredError(row(target), OFFSET, 0.5f, out, OFFSET, n);
        for (int i = 0; i < n; i++) {
            sum += (y[i] - target[i]) * (y[i] - target[i]);
            assertThat(at(out, i)).isCloseTo(0.5 * (y[i] - target[i]), within(1e-6));
        }
        assertThat(found).isCloseTo(sum, within(1e-6 * n));

        double[] m = new double[n];
        double[] v = new double[n];
        double[] x = random(n, 1);
        MemorySegment fm = row(m);
        MemorySegment fv = row(v);
        MemorySegment fx = row(x);
        for (int step = 1; step <= 4; step++) {
            double[] g = random(n, 1);
            double[] scale = random(n, 2);
            double c1 = 1 - Math.pow(0.9, step);
            double c2 = 1 - Math.pow(0.95, step);
            VectorGradients.adam(
                    row(g),
                    step < 3 ? null : row(scale),
                    fm,
                    fv,
                    fx,
                    OFFSET,
                    n,
                    new VectorGradients.AdamStep(0.9f, 0.95f, (float) (0.01 / c1), (float) Math.sqrt(1 / c2), 1e-8f));
            for (int i = 0; i < n; i++) {
                double gradient = g[i] * (step < 3 ? 1 : scale[i]);
                m[i] = 0.9 * m[i] + 0.1 * gradient;
                v[i] = 0.95 * v[i] + 0.05 * gradient * gradient;
                x[i] -= 0.01 * (m[i] / c1) / (Math.sqrt(v[i] / c2) + 1e-8);
                assertThat(at(fx, i)).isCloseTo(x[i], within(1e-6));
            }
        }
    }

    @Test
    void methodsAreCompiledOnTheirOwn() throws Exception {
        assertThat(VectorMethods.shorterThanTheInliningLimit(VectorGradients.class))
                .isEmpty();
    }
}
