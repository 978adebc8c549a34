package dev.gosset.llm.finetune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.finetune.Parameters.Parameter;
import dev.gosset.llm.finetune.Parameters.Stored;
import dev.gosset.llm.plan.FeedForwardPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.ModelFamily;
import dev.gosset.llm.plan.PositionPlan;
import dev.gosset.llm.plan.RotaryScaling;
import dev.gosset.llm.plan.RotaryTable;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Gradients of blocks and of the head: automatic differentiation in float64 against the golden block and against difference quotients,
 * and the float32 passes against both.
 */
class GradientsTest {
    /** As in the published program, and in the golden steps. */
    private static final Parameters.Adam USUAL = new Parameters.Adam(0.9, 0.999, 1e-8);

    private static final double FLOAT32 = 1e-4;
    private static final double FLOAT64 = 1e-9;

    private final Arena arena = Arena.ofShared();
    private final ThreadTeam team = new ThreadTeam(2);
    private final Workspace workspace = new Workspace(team);

    @AfterEach
    void close() {
        workspace.close();
        team.close();
        arena.close();
    }

    /** A block's numbers in float64, and which linears are quantized. */
    private static final class Numbers {
        final ModelConfig config;
        final Set<BlockLinears> quantized;
        final Map<String, double[]> values = new LinkedHashMap<>();
        final Map<BlockLinears, double[]> matrices = new EnumMap<>(BlockLinears.class);

        Numbers(ModelConfig config, Set<BlockLinears> quantized) {
            this.config = config;
            this.quantized = quantized;
        }

        OracleBlock oracle(Tape tape) {
            OracleBlock block = new OracleBlock(tape, config, 0);
            values.forEach(block::put);
            quantized.forEach(g -> block.matrix(g, matrices.get(g)));
            return block;
        }

        Tuned tuned(Arena arena, RotaryTable rotary) {
            Tuned out = new Tuned();
            Map<LinearGroup, TunableLinear> linears = new HashMap<>();
            for (BlockLinears group : BlockLinears.values()) {
                String name = group.tag();
                int m = group.outputs(config);
                int n = group.inputs(config);
                double[] bias = values.get(name + ".bias");
                FloatMatrix floatBias = bias == null ? null : FloatMatrix.copyOf(arena, 1, m, floats(bias));
                if (quantized.contains(group)) {
                    linears.put(
                            group.of(config),
                            TunableLinear.quantized(
                                    HadamardTransform.of(n),
                                    HadamardTransform.of(m),
                                    FloatMatrix.copyOf(arena, m, n, floats(matrices.get(group))),
                                    out.factors(name + ".SU", values),
                                    out.factors(name + ".SV", values),
                                    floatBias));
                } else {
                    Parameter weight = out.set.weights(
                            name + ".W",
                            FloatMatrix.copyOf(arena, m, n, floats(values.get(name + ".W"))),
                            5e-5,
                            Stored.AS_IT_IS);
                    out.parameters.put(name + ".W", weight);
                    linears.put(group.of(config), TunableLinear.dense(weight, floatBias));
                }
            }
            TunableBlock.Norms norms = new TunableBlock.Norms(
                    out.norm("n1", values), out.norm("qn", values), out.norm("kn", values), out.norm("n2", values));
            out.block = new TunableBlock(config.plan().block(0), norms, linears, rotary);
            return out;
        }
    }

    /** The float32 side. */
    private static final class Tuned implements AutoCloseable {
        final Parameters set = new Parameters();
        final Map<String, Parameter> parameters = new LinkedHashMap<>();
        TunableBlock block;

        Parameter factors(String name, Map<String, double[]> values) {
            // By the absolute change, as the golden steps are.
            Parameter p = set.vector(name, floats(values.get(name)), 5e-4, Stored.AS_IT_IS);
            parameters.put(name, p);
            return p;
        }

        Parameter norm(String name, Map<String, double[]> values) {
            if (values.get(name) == null) {
                return null;
            }
            Parameter p = set.vector(name, floats(values.get(name)), 5e-5, Stored.AS_IT_IS);
            parameters.put(name, p);
            return p;
        }

        @Override
        public void close() {
            set.close();
        }
    }

    private static float[] floats(double[] a) {
        float[] out = new float[a.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = (float) a[i];
        }
        return out;
    }

    private static double[] doubles(FloatMatrix m) {
        float[] f = m.toArray();
        double[] out = new double[f.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = f[i];
        }
        return out;
    }

    /** As parts of the largest element. */
    private static void assertClose(String what, double[] found, double[] expected, double tolerance) {
        assertThat(found).as(what).hasSameSizeAs(expected);
        double largest = 0;
        double off = 0;
        for (int i = 0; i < found.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            off = Math.max(off, Math.abs(found[i] - expected[i]));
        }
        assertThat(largest).as(what + ": the largest").isPositive();
        assertThat(off / largest).as(what).isLessThan(tolerance);
    }

    /** The mean squared error of whole sequences on a tape, with its derivatives there. */
    private static double oracleLoss(
            Tape tape, OracleBlock block, double[] x, double[] target, int tokens, List<int[]> inputs) {
        int width = block.config().hiddenSize();
        int[] squares = new int[x.length];
        for (int s = 0; s < x.length / width / tokens; s++) {
            int[][] rows = new int[tokens][];
            for (int t = 0; t < tokens; t++) {
                int from = (s * tokens + t) * width;
                rows[t] = tape.leaves(java.util.Arrays.copyOfRange(x, from, from + width));
                inputs.add(rows[t]);
            }
            int[][] y = block.forward(rows);
            for (int t = 0; t < tokens; t++) {
                for (int i = 0; i < width; i++) {
                    int at = (s * tokens + t) * width + i;
                    int d = tape.plus(y[t][i], tape.leaf(-target[at]));
                    squares[at] = tape.times(d, d);
                }
            }
        }
        int loss = tape.linear(new int[] {tape.sum(squares)}, 1.0 / x.length);
        tape.back(loss);
        return tape.value(loss);
    }

    private static double[] inputGradient(Tape tape, List<int[]> inputs) {
        return inputs.stream()
                .flatMapToInt(java.util.Arrays::stream)
                .mapToDouble(tape::gradient)
                .toArray();
    }

    /** The same in float32; returns the gradient of the input. */
    private double[] floatLoss(Tuned tuned, Numbers numbers, double[] x, double[] target, int tokens, double[] loss) {
        int width = numbers.config.hiddenSize();
        int rows = x.length / width;
        FloatMatrix hidden = FloatMatrix.copyOf(arena, rows, width, floats(x));
        FloatMatrix goal = FloatMatrix.copyOf(arena, rows, width, floats(target));
        // Room for more rows than there are, as the last batch of an epoch has.
        TunableBlock.Kept kept = new TunableBlock.Kept(numbers.config.plan().block(0), rows + tokens, arena).rows(rows);
        tuned.set.zeroGradients(team);
        tuned.block.forward(hidden, tokens, kept, workspace);
        loss[0] = SquaredLoss.apply(hidden, goal, 1.0 / x.length, workspace) / x.length;
        Map<LinearGroup, FloatMatrix> products = new HashMap<>();
        tuned.block.backward(
                hidden,
                tokens,
                kept,
                (group, input, gradient) -> {
                    FloatMatrix product = FloatMatrix.allocate(arena, gradient.cols(), input.cols());
                    Blas.gemm(1, Operand.of(gradient).transpose(), Operand.of(input), 0, Operand.of(product));
                    products.put(group, product);
                },
                workspace);
        assertThat(products).hasSize(BlockLinears.values().length);
        // What a tap sees of a linear makes up the gradient of its weights.
        for (BlockLinears group : BlockLinears.values()) {
            if (!numbers.quantized.contains(group)) {
                assertClose(
                        group + " seen by a tap",
                        doubles(tuned.parameters.get(group.tag() + ".W").gradient()),
                        doubles(products.get(group.of(numbers.config))),
                        FLOAT32);
            }
        }
        return doubles(hidden);
    }

    // ------------------------------------------------------------------------------------------------ the golden block

    private static ModelConfig config(
            ModelFamily family, int hidden, int inner, int heads, int keys, int dim, int window, boolean bias) {
        return new ModelConfig(
                family,
                hidden,
                inner,
                1,
                heads,
                keys,
                dim,
                96,
                512,
                1e-5f,
                List.of(new PositionPlan.Rotary(dim, 10_000, new RotaryScaling.None())),
                List.of(window),
                false,
                bias,
                false,
                bias,
                0,
                FeedForwardPlan.Activation.SILU,
                ModelConfig.Scales.usual(dim),
                Optional.empty(),
                -1,
                List.of());
    }

    private static RotaryTable table(ModelConfig config) {
        return new RotaryTable((PositionPlan.Rotary) config.positions().getFirst());
    }

    private static Golden golden() {
        return Golden.read(Golden.shared().resolve("spec/golden-finetune/finetune.safetensors"));
    }

    private static Numbers goldenNumbers(Golden golden, String name) {
        Set<BlockLinears> quantized = EnumSet.allOf(BlockLinears.class);
        for (BlockLinears group : BlockLinears.values()) {
            boolean has = switch (name) {
                case "qkv" -> group == BlockLinears.QKV;
                case "qkv_o" -> group.ordinal() < 2;
                case "qkv_o_up" -> group.ordinal() < 3;
                default -> true;
            };
            if (!has) {
                quantized.remove(group);
            }
        }
        Numbers numbers = new Numbers(config(ModelFamily.LLAMA, 64, 192, 2, 1, 32, 0, false), quantized);
        for (BlockLinears group : BlockLinears.values()) {
            String tag = group.tag();
            int m = group.outputs(numbers.config);
            int n = group.inputs(numbers.config);
            if (!quantized.contains(group)) {
                numbers.values.put(tag + ".W", golden.get("p." + tag + ".W").doubles());
                continue;
            }
            // The golden file has the scales of the parts apart: here they are in the matrix.
            double[] matrix = decoded(golden.get("codes." + tag).longs(), m, n);
            double[] scales = golden.get("p." + tag + ".scale").doubles();
            int at = 0;
            for (int p = 0; p < scales.length; p++) {
                for (int i = 0; i < group.of(numbers.config).parts().get(p).rows() * n; i++) {
                    matrix[at++] *= scales[p];
                }
            }
            numbers.matrices.put(group, matrix);
            numbers.values.put(tag + ".SU", golden.get("p." + tag + ".SU").doubles());
            numbers.values.put(tag + ".SV", golden.get("p." + tag + ".SV").doubles());
        }
        numbers.values.put("n1", golden.get("p.n1").doubles());
        numbers.values.put("n2", golden.get("p.n2").doubles());
        return numbers;
    }

    /** U_m Q U_n^T in float64. */
    private static double[] decoded(long[] codes, int m, int n) {
        Codebook codebook = E8p.INSTANCE;
        double[] q = new double[m * n];
        for (int i = 0; i < m * n / 8; i++) {
            codebook.decode((int) codes[i] & 0xffff, q, 8 * i);
        }
        for (int i = 0; i < m; i++) {
            HadamardTransform.of(n).apply(q, i * n, false);
        }
        double[] column = new double[m];
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                column[i] = q[i * n + j];
            }
            HadamardTransform.of(m).apply(column, 0, false);
            for (int i = 0; i < m; i++) {
                q[i * n + j] = column[i] * exactly(m) * exactly(n);
            }
        }
        return q;
    }

    /** Transforms divide by sqrt(n) in float32, the golden file by sqrt(n). */
    private static double exactly(int n) {
        return HadamardTransform.of(n).norm() / Math.sqrt(n);
    }

    @ParameterizedTest
    @ValueSource(strings = {"all", "qkv", "qkv_o", "qkv_o_up"})
    void goldenBlock(String name) {
        Golden golden = golden();
        Numbers numbers = goldenNumbers(golden, name);
        double[] x = golden.get("x").doubles();
        double[] target = golden.get("target").doubles();
        Tape tape = new Tape();
        OracleBlock oracle = numbers.oracle(tape);
        List<int[]> inputs = new ArrayList<>();
        double loss = oracleLoss(tape, oracle, x, target, 12, inputs);
        double expectedLoss = golden.get(name + ".loss").doubles()[0];
        assertThat(loss / expectedLoss).isCloseTo(1, within(FLOAT64));
        double[] dx = golden.get(name + ".grad.x").doubles();
        assertClose("x", inputGradient(tape, inputs), dx, FLOAT64);
        try (Tuned tuned = numbers.tuned(arena, table(numbers.config))) {
            double[] found = new double[1];
            assertClose("x in float32", floatLoss(tuned, numbers, x, target, 12, found), dx, FLOAT32);
            assertThat(found[0] / expectedLoss).isCloseTo(1, within(FLOAT32));
            for (String parameter : numbers.values.keySet()) {
                double[] expected = golden.get(name + ".grad." + parameter).doubles();
                double[] float64 = oracle.gradient(parameter);
                double[] float32 = doubles(tuned.parameters.get(parameter).gradient());
                assertClose(parameter, float64, expected, FLOAT64);
                assertClose(parameter + " in float32", float32, expected, FLOAT32);
            }
        }
    }

    @Test
    void goldenStepsOfAdam() {
        Golden golden = golden();
        Numbers numbers = goldenNumbers(golden, "qkv_o_up");
        double[] losses = golden.get("adam3.losses").doubles();
        try (Tuned tuned = numbers.tuned(arena, table(numbers.config))) {
            double[] found = new double[1];
            for (double loss : losses) {
                floatLoss(
                        tuned,
                        numbers,
                        golden.get("x").doubles(),
                        golden.get("target").doubles(),
                        12,
                        found);
                assertThat(found[0] / loss).isCloseTo(1, within(FLOAT32));
                tuned.set.step(team, 1, USUAL);
            }
            for (String name : List.of("qkv.SU", "qkv.SV", "o.SU", "o.SV", "up.SU", "up.SV", "n1", "n2", "down.W")) {
                assertClose(
                        name,
                        doubles(tuned.parameters.get(name).value()),
                        golden.get("adam3.p." + name).doubles(),
                        FLOAT32);
            }
        }
    }

    @Test
    void goldenHead() {
        Golden golden = golden();
        Numbers numbers = goldenNumbers(golden, "all");
        int rows = 24;
        int vocabulary = 96;
        double[] logits = golden.get("teacher_logits").doubles();
        try (Tuned tuned = numbers.tuned(arena, table(numbers.config))) {
            Parameter norm = tuned.set.vector("norm", golden.get("p.norm").floats(), 1e-4, Stored.AS_IT_IS);
            FloatMatrix headValue = FloatMatrix.copyOf(
                    arena, vocabulary, 64, golden.get("p.head").floats());
            Parameter head = tuned.set.weights("head", headValue, 1e-4, Stored.AS_IT_IS);
            FloatMatrix hidden =
                    FloatMatrix.copyOf(arena, rows, 64, golden.get("x").floats());
            TunableBlock.Kept kept = new TunableBlock.Kept(numbers.config.plan().block(0), rows, arena);
            // Teacher logits of any kind come from a head that is the identity.
            FloatMatrix teacher = FloatMatrix.copyOf(arena, rows, vocabulary, floats(logits));
            FloatMatrix identity = FloatMatrix.allocate(arena, vocabulary, vocabulary);
            for (int i = 0; i < vocabulary; i++) {
                identity.set(i, i, 1);
            }
            tuned.set.zeroGradients(team);
            tuned.block.forward(hidden, 12, kept, workspace);
            double loss =
                    new TeacherLoss(norm, 1e-5f, head, identity).apply(hidden, teacher, 12, 1.0 / 22, true, workspace);
            assertThat(loss / 22 / golden.get("e2e.loss_kl").doubles()[0]).isCloseTo(1, within(FLOAT32));
            tuned.block.backward(hidden, 12, kept, workspace);
            assertClose(
                    "head",
                    doubles(head.gradient()),
                    golden.get("e2e.grad.head").doubles(),
                    FLOAT32);
            assertClose(
                    "norm",
                    doubles(norm.gradient()),
                    golden.get("e2e.grad.norm").doubles(),
                    FLOAT32);
            for (String name :
                    List.of("qkv.SU", "qkv.SV", "o.SU", "o.SV", "up.SU", "up.SV", "down.SU", "down.SV", "n1", "n2")) {
                assertClose(
                        name,
                        doubles(tuned.parameters.get(name).gradient()),
                        golden.get("e2e.grad." + name).doubles(),
                        FLOAT32);
            }
            // The embedding's rows collect the gradients of the tokens that they stand for.
            double[] embedding = new double[vocabulary * 64];
            long[] ids = golden.get("ids").longs();
            for (int t = 0; t < rows; t++) {
                for (int i = 0; i < 64; i++) {
                    embedding[(int) ids[t] * 64 + i] += hidden.get(t, i);
                }
            }
            assertClose("embedding", embedding, golden.get("e2e.grad.emb").doubles(), FLOAT32);
        }
    }

    // ------------------------------------------------------------------------------------------------------ families

    /** What the families' blocks differ in. */
    private enum Form {
        LLAMA(ModelFamily.LLAMA, 0, false),
        MISTRAL_WITH_WINDOW(ModelFamily.MISTRAL, 9, false),
        MISTRAL_WITH_LONG_WINDOW(ModelFamily.MISTRAL, 66, false),
        QWEN2_WITH_BIASES(ModelFamily.QWEN2, 0, true),
        QWEN3_WITH_NORMS_OF_HEADS(ModelFamily.QWEN3, 0, false);

        final ModelFamily family;
        final int window;
        final boolean bias;

        Form(ModelFamily family, int window, boolean bias) {
            this.family = family;
            this.window = window;
            this.bias = bias;
        }
    }

    @ParameterizedTest
    @EnumSource(Form.class)
    void everyFamily(Form form) {
        ModelConfig config = config(form.family, 24, 40, 4, 2, 8, form.window, form.bias);
        Random random = new Random(form.ordinal());
        Numbers numbers = new Numbers(config, EnumSet.of(BlockLinears.QKV, BlockLinears.UP));
        for (BlockLinears group : BlockLinears.values()) {
            String tag = group.tag();
            int m = group.outputs(config);
            int n = group.inputs(config);
            if (numbers.quantized.contains(group)) {
                numbers.matrices.put(group, gaussian(random, m * n, 1 / Math.sqrt(n)));
                numbers.values.put(tag + ".SU", around(random, n, 1));
                numbers.values.put(tag + ".SV", around(random, m, 1.5));
            } else {
                numbers.values.put(tag + ".W", gaussian(random, m * n, 1 / Math.sqrt(n)));
            }
            if (group.of(config).biased()) {
                numbers.values.put(tag + ".bias", gaussian(random, m, 0.5));
            }
        }
        numbers.values.put("n1", around(random, 24, 1));
        numbers.values.put("n2", around(random, 24, 1));
        if (form.family.has(ModelFamily.Trait.QUERY_KEY_NORM)) {
            numbers.values.put("qn", around(random, 8, 1));
            numbers.values.put("kn", around(random, 8, 1));
        }
        // More tokens than a tile of queries has, and two sequences.
        int tokens = 70;
        double[] x = gaussian(random, 2 * tokens * 24, 1);
        double[] target = gaussian(random, 2 * tokens * 24, 1);
        Tape tape = new Tape();
        OracleBlock oracle = numbers.oracle(tape);
        List<int[]> inputs = new ArrayList<>();
        double loss = oracleLoss(tape, oracle, x, target, tokens, inputs);
        differenceQuotients(numbers, oracle, x, target, tokens, random);
        try (Tuned tuned = numbers.tuned(arena, table(config))) {
            double[] found = new double[1];
            double[] dx = floatLoss(tuned, numbers, x, target, tokens, found);
            assertThat(found[0] / loss).isCloseTo(1, within(FLOAT32));
            assertClose("x", dx, inputGradient(tape, inputs), FLOAT32);
            tuned.parameters.forEach((name, parameter) ->
                    assertClose(name, doubles(parameter.gradient()), oracle.gradient(name), FLOAT32));
            assertThat(tuned.set.gradientsAreFinite()).isTrue();
            List<double[]> gradients = tuned.parameters.values().stream()
                    .map(p -> doubles(p.gradient()))
                    .toList();
            // The same bits again, alone.
            try (ThreadTeam one = new ThreadTeam(1);
                    Workspace alone = new Workspace(one)) {
                TunableBlock.Kept kept = new TunableBlock.Kept(config.plan().block(0), 2 * tokens, arena);
                FloatMatrix hidden = FloatMatrix.copyOf(arena, 2 * tokens, 24, floats(x));
                FloatMatrix goal = FloatMatrix.copyOf(arena, 2 * tokens, 24, floats(target));
                tuned.set.zeroGradients(one);
                tuned.block.forward(hidden, tokens, kept, alone);
                SquaredLoss.apply(hidden, goal, 1.0 / x.length, alone);
                tuned.block.backward(hidden, tokens, kept, alone);
                assertThat(doubles(hidden)).containsExactly(dx);
                int i = 0;
                for (Parameter p : tuned.parameters.values()) {
                    assertThat(doubles(p.gradient())).as(p.name()).containsExactly(gradients.get(i++));
                }
            }
        }
    }

    /** The tape itself, along a random direction of each parameter. */
    private static void differenceQuotients(
            Numbers numbers, OracleBlock oracle, double[] x, double[] target, int tokens, Random random) {
        double h = 1e-5;
        for (String name : numbers.values.keySet()) {
            double[] values = numbers.values.get(name);
            double[] was = values.clone();
            double[] direction = gaussian(random, values.length, 1);
            double[] gradient = oracle.gradient(name);
            double expected = 0;
            double size = 0;
            double[] losses = new double[2];
            for (int side = 0; side < 2; side++) {
                for (int i = 0; i < values.length; i++) {
                    values[i] = was[i] + (side == 0 ? h : -h) * direction[i];
                }
                Tape tape = new Tape();
                losses[side] = oracleLoss(tape, numbers.oracle(tape), x, target, tokens, new ArrayList<>());
            }
            System.arraycopy(was, 0, values, 0, was.length);
            for (int i = 0; i < values.length; i++) {
                expected += direction[i] * gradient[i];
                size += direction[i] * direction[i] * gradient[i] * gradient[i];
            }
            assertThat((losses[0] - losses[1]) / (2 * h)).as(name).isCloseTo(expected, within(1e-5 * Math.sqrt(size)));
        }
    }

    private static double[] gaussian(Random random, int count, double scale) {
        return random.doubles(count)
                .map(u -> (float) (scale * random.nextGaussian()))
                .toArray();
    }

    /** Both signs, sizes around {@code scale}. */
    private static double[] around(Random random, int count, double scale) {
        return random.doubles(count)
                .map(u -> (float) ((random.nextBoolean() ? scale : -scale) * (0.8 + 0.4 * u)))
                .toArray();
    }

    @Test
    void roundedAndRelativeSteps() {
        try (Parameters set = new Parameters()) {
            Parameter factors = set.factors("SU", new float[] {2, -2, 0.5f, 0}, 1e-2, Stored.FLOAT16);
            Parameter fixed = set.factors("SV", new float[] {1}, 0, Stored.FLOAT16);
            set.zeroGradients(team);
            assertThat(fixed.isTuned()).isFalse();
            for (int i = 0; i < 4; i++) {
                factors.gradient().set(0, i, 3);
            }
            set.step(team, 1, USUAL);
            // The first step of Adam is its rate, towards the smaller loss, here as a part of the value; a zero stays
            // one.
            float[] expected = {2 * 0.99f, -2 * 1.01f, 0.5f * 0.99f, 0};
            for (int i = 0; i < 4; i++) {
                float half = Float.float16ToFloat(Float.floatToFloat16(expected[i]));
                assertThat(factors.value().get(0, i)).isCloseTo(half, within(1e-6f));
            }
            set.restore(team);
            assertThat(factors.value().toArray()).containsExactly(2, -2, 0.5f, 0);
            factors.gradient().set(0, 2, Float.NaN);
            assertThat(set.gradientsAreFinite()).isFalse();
            assertThat(Collections.singletonList(fixed.value().get(0, 0))).containsExactly(1f);
        }
    }
}
