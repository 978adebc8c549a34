package dev.gosset.llm.finetune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.LossHessian;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelPlan;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Hessians of both sides from sampled losses. That gradients are right is what {@link GradientsTest} says. */
class LossSketchTest {
    @TempDir
    private Path temporary;

    private final long seed = System.nanoTime();
    private final Random random = new Random(seed);

    private List<int[]> sequences(int count, int vocabulary) {
        List<int[]> all = new ArrayList<>();
        for (int s = 0; s < count; s++) {
            all.add(random.ints(20 + 3 * s, 0, vocabulary).toArray());
        }
        return all;
    }

    private Map<String, LossHessian> sketch(Model model, List<int[]> sequences, int used, int threads, Arena arena) {
        Map<String, LossHessian> all = new HashMap<>();
        int[] steps = new int[1];
        try (ThreadTeam team = new ThreadTeam(threads);
                Workspace workspace = new Workspace(team)) {
            LossSketch.run(
                    model,
                    sequences,
                    used,
                    temporary,
                    workspace,
                    (layer, found) -> found.forEach((group, sides) -> all.put(group.name(), copy(sides, arena))),
                    () -> steps[0]++);
        }
        assertThat(steps[0]).isEqualTo(LossSketch.steps(model.config().layers(), sequences.size()));
        return all;
    }

    private static LossHessian copy(LossHessian sides, Arena arena) {
        return new LossHessian(
                copy(sides.inputs(), arena),
                copy(sides.outputs(), arena),
                sides.heldInputs().copy(arena),
                sides.heldGradients().copy(arena));
    }

    private static Hessian copy(Hessian h, Arena arena) {
        MemorySegment lower = arena.allocate(h.lowerTriangle().byteSize(), 64).copyFrom(h.lowerTriangle());
        return new Hessian(h.n(), lower, arena.allocate(h.mu().byteSize(), 64).copyFrom(h.mu()), h.tokens());
    }

    private static double moment(Hessian h, int i, int j) {
        return h.cov(i, j)
                + (double) h.mu().getAtIndex(ValueLayout.JAVA_FLOAT, i) * h.mu().getAtIndex(ValueLayout.JAVA_FLOAT, j);
    }

    private static double trace(Hessian h) {
        double sum = 0;
        for (int i = 0; i < h.n(); i++) {
            sum += moment(h, i, i);
        }
        return sum;
    }

    /** Both traces are {@code sum |x|^2 |g|^2}; and the bits are the same whatever the threads. */
    @ParameterizedTest
    @ValueSource(strings = {"llama3", "qwen3"})
    void bothSidesHaveOneTrace(String name) {
        try (Model model = Model.open(TinyModels.directory(name));
                Arena arena = Arena.ofShared()) {
            List<int[]> sequences = sequences(5, model.config().vocabularySize());
            Map<String, LossHessian> one = sketch(model, sequences, 3, 1, arena);
            Map<String, LossHessian> three = sketch(model, sequences, 3, 3, arena);
            assertThat(one).hasSize(model.plan().groups().size());
            for (LinearGroup group : model.plan().groups()) {
                LossHessian sides = one.get(group.name());
                LossHessian same = three.get(group.name());
                double trace = trace(sides.inputs());
                assertThat(trace).as(group.name()).isPositive();
                assertThat(trace(sides.outputs())).as(group.name()).isCloseTo(trace, within(1e-5 * trace));
                assertThat(sides.inputs().tokens()).isEqualTo(20 + 23 + 26);
                assertThat(sides.heldInputs().rows()).isEqualTo(29 + 32);
                assertThat(same.inputs().lowerTriangle().mismatch(sides.inputs().lowerTriangle()))
                        .isEqualTo(-1);
                assertThat(same.outputs()
                                .lowerTriangle()
                                .mismatch(sides.outputs().lowerTriangle()))
                        .isEqualTo(-1);
                assertThat(same.heldGradients()
                                .data()
                                .mismatch(sides.heldGradients().data()))
                        .isEqualTo(-1);
            }
        }
    }

    /** The last stack of all, whose gradients come through the final norm and the head alone, by the formulas in float64. */
    @Test
    void theLastStackEqualsItsDefinition() {
        try (Model model = Model.open(TinyModels.directory("llama"));
                Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team)) {
            List<int[]> sequences = sequences(2, model.config().vocabularySize());
            LinearGroup down = model.plan().groups().getLast();
            LossHessian found = sketch(model, sequences, 1, 2, arena).get(down.name());
            int m = down.outputs();
            double[][] outputs = new double[m][m];
            double[][] inputs = new double[down.inputs()][down.inputs()];
            for (int s = 0; s < 2; s++) {
                List<FloatMatrix> taps = new ArrayList<>();
                Transformer transformer = model.transformer();
                FloatMatrix hidden = FloatMatrix.allocate(arena, sequences.get(s).length, m);
                transformer.embed(sequences.get(s), hidden);
                for (int layer = 0; layer < model.config().layers(); layer++) {
                    transformer
                            .block(layer)
                            .forward(
                                    hidden,
                                    (group, input) -> {
                                        if (group.name().equals(down.name())) {
                                            taps.add(input.copy(arena));
                                        }
                                    },
                                    workspace);
                }
                double[][] g = gradients(model, hidden, s);
                FloatMatrix x = taps.getFirst();
                for (int t = 0; t < g.length; t++) {
                    double xs = 0;
                    double gs = 0;
                    for (int j = 0; j < x.cols(); j++) {
                        xs += x.at(t, j) * x.at(t, j);
                    }
                    for (double v : g[t]) {
                        gs += v * v;
                    }
                    if (s == 1) {
                        for (int i = 0; i < m; i++) {
                            assertThat(found.heldGradients().at(t, i))
                                    .as("seed " + seed)
                                    .isCloseTo(g[t][i], within(1e-4 * Math.sqrt(gs)));
                        }
                        continue;
                    }
                    for (int i = 0; i < m; i++) {
                        for (int j = 0; j < m; j++) {
                            outputs[i][j] += xs * g[t][i] * g[t][j];
                        }
                    }
                    for (int i = 0; i < x.cols(); i++) {
                        for (int j = 0; j < x.cols(); j++) {
                            inputs[i][j] += gs * x.at(t, i) * x.at(t, j);
                        }
                    }
                }
            }
            requireEqual(found.outputs(), outputs);
            requireEqual(found.inputs(), inputs);
        }
    }

    private void requireEqual(Hessian found, double[][] sums) {
        double largest = 0;
        for (double[] row : sums) {
            for (double v : row) {
                largest = Math.max(largest, Math.abs(v) / found.tokens());
            }
        }
        for (int i = 0; i < sums.length; i++) {
            for (int j = 0; j <= i; j++) {
                assertThat(moment(found, i, j))
                        .as(i + ", " + j + ", seed " + seed)
                        .isCloseTo(sums[i][j] / found.tokens(), within(1e-4 * largest));
            }
        }
    }

    /** The gradient of the negative log-probability of the drawn tokens by the last hidden states. */
    private static double[][] gradients(Model model, FloatMatrix hidden, int sequence) {
        int width = hidden.cols();
        int vocabulary = model.config().vocabularySize();
        float[] head = model.weights()
                .tensor(model.plan().head().orElse(model.plan().embedding()))
                .toFloatArray();
        float[] norm = model.transformer().finalNorm().toArray();
        SplittableRandom draws = new SplittableRandom(LossSketch.SEED + sequence);
        double[][] out = new double[hidden.rows()][width];
        for (int t = 0; t < out.length; t++) {
            double squares = 0;
            for (int j = 0; j < width; j++) {
                squares += hidden.at(t, j) * hidden.at(t, j);
            }
            double r = 1 / Math.sqrt(squares / width + model.config().normEpsilon());
            double[] p = new double[vocabulary];
            double all = 0;
            for (int v = 0; v < vocabulary; v++) {
                for (int j = 0; j < width; j++) {
                    p[v] += head[v * width + j] * norm[j] * hidden.at(t, j) * r;
                }
                p[v] = Math.exp(p[v]);
                all += p[v];
            }
            double left = draws.nextDouble();
            int token = 0;
            while (token < vocabulary - 1 && (left -= p[token] / all) >= 0) {
                token++;
            }
            double[] w = new double[width];
            double along = 0;
            for (int j = 0; j < width; j++) {
                for (int v = 0; v < vocabulary; v++) {
                    w[j] += norm[j] * head[v * width + j] * (p[v] / all - (v == token ? 1 : 0));
                }
                along += w[j] * hidden.at(t, j) * r / width;
            }
            for (int j = 0; j < width; j++) {
                out[t][j] = r * (w[j] - hidden.at(t, j) * r * along);
            }
        }
        return out;
    }

    @ParameterizedTest
    @CsvSource({"qwen2-moe, mixtures of experts", "gemma2, norms behind the attention"})
    void whatHasNoWayBackIsRefusedByName(String name, String what) {
        try (Model model = Model.open(TinyModels.directory(name))) {
            ModelPlan plan = model.plan();
            assertThatThrownBy(() -> LossSketch.requireKnown(plan))
                    .isInstanceOf(UnsupportedModelException.class)
                    .hasMessage("two-sided Hessians need fine-tuning's way back, but fine-tuning does not know " + what
                            + "; one-sided ones do not");
        }
    }
}
