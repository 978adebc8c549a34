package dev.gosset.llm.finetune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.finetune.Parameters.Parameter;
import dev.gosset.llm.finetune.Parameters.Stored;
import java.lang.foreign.Arena;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The way back through the factors of a linear, against differences of a float64 sum. */
final class TunableLinearTest {
    private static final int TOKENS = 5;
    private static final int M = 12;
    private static final int N = 20;

    private final long seed = System.nanoTime();
    private final Random random = new Random(seed);

    private float[] normal(int count) {
        float[] x = new float[count];
        for (int i = 0; i < count; i++) {
            x[i] = (float) random.nextGaussian();
        }
        return x;
    }

    /** D(f) x, or D(f)^T x. */
    private static double[] times(HadamardTransform.Kind kind, double[] f, double[] x, boolean transpose) {
        double[] y = new double[x.length];
        for (int j = 0; j < x.length; j++) {
            if (kind != HadamardTransform.Kind.FOURIER) {
                y[j] = f[j] * x[j];
            } else if (j % 2 == 0) {
                y[j] = f[j] * x[j] + (transpose ? 1 : -1) * f[j + 1] * x[j + 1];
            } else {
                y[j] = f[j - 1] * x[j] + (transpose ? -1 : 1) * f[j] * x[j - 1];
            }
        }
        return y;
    }

    @ParameterizedTest
    @EnumSource(HadamardTransform.Kind.class)
    void gradientsAreThoseOfTheSum(HadamardTransform.Kind kind) {
        HadamardTransform.Kind known = kind == HadamardTransform.Kind.HADAMARD ? HadamardTransform.Kind.HARTLEY : kind;
        float[] matrix = normal(M * N);
        float[] x = normal(TOKENS * N);
        float[] weights = normal(TOKENS * M);
        float[] su = normal(N);
        float[] sv = normal(M);
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2);
                Workspace workspace = new Workspace(team);
                Parameters parameters = new Parameters()) {
            Parameter pu = parameters.vector("su", su, 1e-3, Stored.AS_IT_IS);
            Parameter pv = parameters.vector("sv", sv, 1e-3, Stored.AS_IT_IS);
            TunableLinear linear = TunableLinear.quantized(
                    HadamardTransform.of(N, known),
                    HadamardTransform.of(M, known),
                    FloatMatrix.copyOf(arena, M, N, matrix),
                    pu,
                    pv,
                    null);
            FloatMatrix in = FloatMatrix.copyOf(arena, TOKENS, N, x);
            FloatMatrix z = FloatMatrix.allocate(arena, TOKENS, M);
            FloatMatrix y = FloatMatrix.allocate(arena, TOKENS, M);
            FloatMatrix dx = FloatMatrix.allocate(arena, TOKENS, N);
            linear.multiply(in, z, workspace);
            linear.finish(z, y, workspace);
            double found = 0;
            for (int t = 0; t < TOKENS; t++) {
                for (int i = 0; i < M; i++) {
                    found += (double) y.get(t, i) * weights[t * M + i];
                }
            }
            double[] u = widen(su);
            double[] v = widen(sv);
            double[] w = widen(x);
            assertThat(found).isCloseTo(loss(known, matrix, weights, u, v, w), within(1e-3));
            linear.backward(in, z, FloatMatrix.copyOf(arena, TOKENS, M, weights), dx, workspace);
            for (int j = 0; j < N; j++) {
                int at = j;
                check("su " + j, pu.gradient().get(0, j), u, at, known, matrix, weights, u, v, w);
                check("x " + j, dx.get(1, j), w, N + at, known, matrix, weights, u, v, w);
            }
            for (int i = 0; i < M; i++) {
                check("sv " + i, pv.gradient().get(0, i), v, i, known, matrix, weights, u, v, w);
            }
        }
    }

    private void check(
            String what,
            double gradient,
            double[] of,
            int at,
            HadamardTransform.Kind kind,
            float[] matrix,
            float[] weights,
            double[] u,
            double[] v,
            double[] x) {
        double value = of[at];
        DoubleUnaryOperator loss = shift -> {
            of[at] = value + shift;
            double sum = loss(kind, matrix, weights, u, v, x);
            of[at] = value;
            return sum;
        };
        double difference = (loss.applyAsDouble(1e-3) - loss.applyAsDouble(-1e-3)) / 2e-3;
        assertThat(gradient).as("%s, seed %d", what, seed).isCloseTo(difference, within(1e-3));
    }

    private static double loss(
            HadamardTransform.Kind kind, float[] matrix, float[] weights, double[] su, double[] sv, double[] x) {
        double sum = 0;
        for (int t = 0; t < TOKENS; t++) {
            double[] in = times(kind, su, java.util.Arrays.copyOfRange(x, t * N, (t + 1) * N), false);
            double[] z = new double[M];
            for (int i = 0; i < M; i++) {
                for (int j = 0; j < N; j++) {
                    z[i] += matrix[i * N + j] * in[j];
                }
            }
            double[] y = times(kind, sv, z, true);
            for (int i = 0; i < M; i++) {
                sum += y[i] * weights[t * M + i];
            }
        }
        return sum;
    }

    private static double[] widen(float[] x) {
        double[] wide = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            wide[i] = x[i];
        }
        return wide;
    }
}
