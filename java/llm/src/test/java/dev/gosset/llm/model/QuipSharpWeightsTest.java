package dev.gosset.llm.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.Golden;
import dev.gosset.core.GossetException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.D4;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.codebook.HalfInteger;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.cpu.Linear;
import dev.gosset.llm.cpu.TransformerBlock;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.weights.QuipParams;
import dev.gosset.llm.weights.QuipSharpWeights;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Checkpoints of every generation against the formulas of the specification, and damaged ones against their messages. */
@Tag("width")
class QuipSharpWeightsTest {
    private static final SyntheticCheckpoint.Shape SMALL = SyntheticCheckpoint.Shape.SMALL;

    @TempDir
    private Path temporary;

    static Stream<Arguments> generations() {
        return Stream.of(
                Arguments.of(E8p.INSTANCE, QidxsLayout.TILES, 1),
                Arguments.of(E8pResidual.RVQ3B, QidxsLayout.TILES, 1),
                Arguments.of(E8pResidual.RVQ4B, QidxsLayout.TILES, 1),
                Arguments.of(E8p.INSTANCE, QidxsLayout.TILES, 1.3),
                Arguments.of(E8pResidual.RVQ3B, QidxsLayout.TILES, 1.3),
                Arguments.of(E8pResidual.RVQ4B, QidxsLayout.TILES, 1.3),
                Arguments.of(E8pResidual.RVQ3B.withResidualScale(2.5), QidxsLayout.TILES, 1),
                Arguments.of(E8pResidual.RVQ4B.withResidualScale(3), QidxsLayout.TILES, 1),
                Arguments.of(E8p.INSTANCE, QidxsLayout.E8P_VERSION_0, 1.3),
                Arguments.of(D4.INSTANCE, QidxsLayout.D4_STRIPS, 1.3),
                Arguments.of(HalfInteger.INSTANCE, QidxsLayout.NIBBLES, 1.3),
                Arguments.of(HalfInteger.INSTANCE, QidxsLayout.BYTES, 1.3));
    }

    /** Every linear of every generation is what the specification says, evaluated straight from the stored tensors. */
    @ParameterizedTest
    @MethodSource("generations")
    void linears(Codebook codebook, QidxsLayout layout, double weightScale) throws IOException {
        Path directory = new SyntheticCheckpoint(SMALL, codebook, layout, weightScale, 7).write(temporary.resolve("m"));
        compareAll(directory);
    }

    @Test
    void oddInputs() throws IOException {
        SyntheticCheckpoint c = new SyntheticCheckpoint(SMALL, 2, 8);
        SplittableRandom random = new SplittableRandom(3);
        c.params.put("rescale_WH", true);
        c.params.put("outlier_channel_split", true);
        for (int layer = 0; layer < SMALL.layers(); layer++) {
            String block = "model.layers." + layer + ".";
            for (String part : List.of("self_attn.qkv_proj", "self_attn.o_proj", "mlp.upgate_proj", "mlp.down_proj")) {
                String name = block + part;
                int n = part.equals("mlp.down_proj") ? SMALL.intermediate() : SMALL.hidden();
                float[] scale = new float[n];
                for (int j = 0; j < n; j++) {
                    scale[j] = 0.5f + random.nextFloat();
                }
                c.tensors.put(name + ".scaleWH", SyntheticCheckpoint.halves(List.of((long) n), scale));
            }
            String down = block + "mlp.down_proj";
            c.tensors.put(
                    down + ".ocs_dupe_inds",
                    new SyntheticCheckpoint.Item(Dtype.I64, List.of((long) SMALL.intermediate()), piece -> {
                        for (long i = 0; i < piece.byteSize(); i += 8) {
                            piece.set(ValueLayout.JAVA_LONG_UNALIGNED, i, random.nextInt(SMALL.intermediate()));
                        }
                    }));
            String upGate = block + "mlp.upgate_proj";
            float[] bias = new float[2 * SMALL.intermediate()];
            for (int i = 0; i < bias.length; i++) {
                bias[i] = random.nextFloat();
            }
            c.tensors.put(upGate + ".bias", SyntheticCheckpoint.halves(List.of((long) bias.length), bias));
        }
        compareAll(c.write(temporary.resolve("m")));
    }

    private static void compareAll(Path directory) {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2);
                Workspace workspace = new Workspace(team);
                Model model = Model.open(directory)) {
            Safetensors stored = Safetensors.open(directory, arena);
            SplittableRandom random = new SplittableRandom(1);
            QuipParams params =
                    ((QuipSharpWeights) model.weights()).checkpoint().params();
            for (TransformerBlock block : model.transformer().blocks()) {
                for (LinearGroup group : block.plan().groups()) {
                    Linear linear = block.linear(group);
                    for (int rows : new int[] {1, 6}) {
                        FloatMatrix x = FloatMatrix.allocate(arena, rows, linear.inputs());
                        for (int i = 0; i < rows * linear.inputs(); i++) {
                            x.set(i / linear.inputs(), i % linear.inputs(), (float) random.nextGaussian());
                        }
                        FloatMatrix y = FloatMatrix.allocate(arena, rows, linear.outputs());
                        linear.forward(x, y, workspace);
                        double error = 0;
                        double size = 0;
                        for (int t = 0; t < rows; t++) {
                            double[] in = new double[x.cols()];
                            for (int j = 0; j < in.length; j++) {
                                in[j] = x.get(t, j);
                            }
                            double[] expected = bySpecification(stored, params, group, in);
                            for (int i = 0; i < expected.length; i++) {
                                error += Math.pow(expected[i] - y.get(t, i), 2);
                                size += expected[i] * expected[i];
                            }
                        }
                        assertThat(Math.sqrt(size / y.cols())).isBetween(0.05, 50.0);
                        // Twice, since these have few columns.
                        assertThat(Math.sqrt(error / size)).as(group.name()).isLessThan(2 * linear.relativeError());
                    }
                }
            }
        }
    }

    private static double[] values(Safetensors stored, String name) {
        Tensor t = stored.get(name);
        double[] out = new double[(int) t.elements()];
        if (t.dtype().isFloating()) {
            float[] f = t.toFloatArray();
            for (int i = 0; i < out.length; i++) {
                out[i] = f[i];
            }
        } else {
            for (int i = 0; i < out.length; i++) {
                out[i] = t.data().getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i);
            }
        }
        return out;
    }

    /** Spec sections 4 to 6, one input vector, from the packed tensors, one code at a time. */
    private static double[] bySpecification(Safetensors stored, QuipParams params, LinearGroup group, double[] x) {
        String name = group.name();
        double[] su = values(stored, name + ".SU");
        double[] sv = values(stored, name + ".SV");
        int n = su.length;
        int m = sv.length;
        double[] in = x.clone();
        if (stored.has(name + ".ocs_dupe_inds")) {
            double[] indices = values(stored, name + ".ocs_dupe_inds");
            for (int j = 0; j < n; j++) {
                in[j] = x[(int) indices[j]];
            }
        }
        double[] rescale = stored.has(name + ".scaleWH") ? values(stored, name + ".scaleWH") : null;
        for (int j = 0; j < n; j++) {
            in[j] = in[j] / (rescale == null ? 1 : rescale[j]) * su[j];
        }
        HadamardTransform.of(n).apply(in, 0, true);
        MemorySegment q = stored.get(name + ".Qidxs").data();
        String type = stored.get(name + ".Qidxs").dtype().name();
        double[] y = new double[m];
        for (int r = 0; r < m; r++) {
            for (int j = 0; j < n; j++) {
                y[r] += weight(params, q, type, m, n, r, j) * in[j];
            }
        }
        HadamardTransform.of(m).apply(y, 0, false);
        double weightScale = stored.get(name + ".Wscale").scalar();
        double[] bias = stored.has(name + ".bias") ? values(stored, name + ".bias") : null;
        double[] fuse = stored.has(name + ".fuse_scales") ? values(stored, name + ".fuse_scales") : new double[] {1};
        int row = 0;
        for (int p = 0; p < fuse.length; p++) {
            for (int end = row + group.parts().get(p).rows(); row < end; row++) {
                y[row] = fuse[p] * (y[row] * sv[row] * weightScale + (bias == null ? 0 : bias[row]));
            }
        }
        return y;
    }

    private static double weight(QuipParams params, MemorySegment q, String type, int m, int n, int r, int j) {
        double[] v = new double[8];
        switch (type) {
            case "I16" -> {
                int stored = q.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, (long) r * n / 8 + j / 8);
                return GRID_0[8 * (stored + 32768) + j % 8] / 4;
            }
            case "I32" -> {
                int word = q.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, (long) r * n / 8 + j / 8);
                int[] place = {0, 4, 1, 5, 2, 6, 3, 7};
                return (word >>> (28 - 4 * place[j % 8]) & 15) - 7.5;
            }
            case "U8" -> {
                if (params.codebook() instanceof HalfInteger) {
                    return q.get(ValueLayout.JAVA_BYTE, (long) r * n + j) - 7.5;
                }
                int column = j / 4;
                int code = q.get(ValueLayout.JAVA_BYTE, ((long) column / 4 * m + r) * 4 + column % 4) & 0xff;
                D4.INSTANCE.decode(code, v, 0);
                return v[4 + j % 4];
            }
            default -> {
                int perRow = n / 64 * params.codebook().bits();
                E8p.INSTANCE.decode(tileCode(q, perRow, 0, n, r, j / 8), v, 0);
                double value = v[j % 8];
                if (params.codebook().bits() == 4) {
                    E8p.INSTANCE.decode(tileCode(q, perRow, n / 32, n, r, j / 8), v, 0);
                    value += v[j % 8] / params.codebook().residualScale();
                } else if (params.codebook().bits() == 3) {
                    int code = q.get(ValueLayout.JAVA_BYTE, 8L * ((long) r * perRow + n / 32) + j / 8) & 0xff;
                    dev.gosset.core.codebook.E81b.decode(code, v, 0);
                    value += v[j % 8] / params.codebook().residualScale();
                }
                return value;
            }
        }
    }

    private static int tileCode(MemorySegment q, int perRow, int first, int n, int r, int c) {
        int tile = r / 16 * (n / 64) + c / 8;
        int lane = r % 16 / 2 * 4 + c % 8 / 2;
        int flat = tile * 32 + lane;
        long at = (long) (flat / (n / 32)) * perRow + first + flat % (n / 32);
        long word = q.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, at);
        int i = r % 2 + 2 * (c % 2);
        int code = (int) (word >>> (8 * i) & 0xff) << 8;
        for (int bit = 0; bit < 8; bit++) {
            code |= (int) (word >>> (32 + 4 * bit + i) & 1) << bit;
        }
        return code;
    }

    /** Four times the points of E8P version 0, from the rules of section 4.7. */
    private static final double[] GRID_0 = new double[65536 * 8];

    static {
        byte[] magnitudes = E8p.doubledMagnitudes();
        System.arraycopy(magnitudes, 248 * 8, magnitudes, 254 * 8, 8);
        for (int code = 0; code < 65536; code++) {
            int sum = 0;
            int flips = 0;
            for (int c = 0; c < 8; c++) {
                sum += magnitudes[(code >>> 8) * 8 + c];
            }
            for (int c = 7; c >= 0; c--) {
                boolean negative = c > 0 ? (code >>> (8 - c) & 1) == 1 : (flips % 2 == 0) != (sum / 2 % 2 == 0);
                flips += negative ? 1 : 0;
                double v = 2.0 * magnitudes[(code >>> 8) * 8 + c];
                GRID_0[8 * code + c] = (negative ? -v : v) + ((code & 1) == 1 ? 1 : -1);
            }
        }
    }

    @Test
    void theRulesOfVersion0GiveTheGoldenTable() {
        assertThat(GRID_0)
                .isEqualTo(Golden.open("codebooks.safetensors")
                        .get("e8p_v0_grid_x4_by_uint16")
                        .doubles());
    }

    /** A set of shards that the index does not name lies beside the current one, as in some published repositories. */
    @Test
    void staleShardsAreIgnored() throws IOException {
        SyntheticCheckpoint c = new SyntheticCheckpoint(SMALL, 2, 9);
        Path whole = c.write(temporary.resolve("whole"));
        SyntheticCheckpoint stale = new SyntheticCheckpoint(SMALL, 2, 10);
        Path sharded = new SyntheticCheckpoint(SMALL, 2, 9).write(temporary.resolve("sharded"));
        Files.delete(sharded.resolve("model.safetensors"));
        for (boolean old : new boolean[] {true, false}) {
            int count = old ? 2 : 3;
            Map<String, String> map = new LinkedHashMap<>();
            Map<String, SyntheticCheckpoint.Item> all = (old ? stale : new SyntheticCheckpoint(SMALL, 2, 9)).tensors;
            Map<Integer, Map<String, SyntheticCheckpoint.Item>> shards = new LinkedHashMap<>();
            int i = 0;
            for (Map.Entry<String, SyntheticCheckpoint.Item> e : all.entrySet()) {
                int shard = i++ * count / all.size();
                shards.computeIfAbsent(shard, k -> new LinkedHashMap<>()).put(e.getKey(), e.getValue());
                map.put(e.getKey(), String.format("model-%05d-of-%05d.safetensors", shard + 1, count));
            }
            shards.forEach((shard, items) -> SyntheticCheckpoint.writeTensors(
                    sharded.resolve(String.format("model-%05d-of-%05d.safetensors", shard + 1, count)), items));
            if (!old) {
                new ObjectMapper()
                        .writeValue(
                                sharded.resolve("model.safetensors.index.json").toFile(), Map.of("weight_map", map));
            }
        }
        assertThat(logits(sharded)).isEqualTo(logits(whole));
    }

    static float[] logits(Path directory) {
        int[] tokens = {1, 5, 90, 17, 3, 44, 45, 46, 2, 60};
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team);
                Model model = Model.open(directory)) {
            FloatMatrix logits =
                    FloatMatrix.allocate(arena, tokens.length, model.config().vocabularySize());
            model.transformer().forward(tokens, logits, workspace);
            return logits.data().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    private void refused(Consumer<SyntheticCheckpoint> damage, String... words) throws IOException {
        refused(SMALL, damage, words);
    }

    private void refused(SyntheticCheckpoint.Shape shape, Consumer<SyntheticCheckpoint> damage, String... words)
            throws IOException {
        SyntheticCheckpoint c = new SyntheticCheckpoint(shape, 2, 11);
        damage.accept(c);
        Path directory = c.write(temporary.resolve("bad"));
        assertThatThrownBy(() -> Model.open(directory))
                .isInstanceOf(GossetException.class)
                .hasMessageContainingAll(words)
                .hasMessageNotContaining("\n");
    }

    private static final String QKV = "model.layers.1.self_attn.qkv_proj";

    @Test
    void badCodebookId() throws IOException {
        refused(c -> c.tensors.put(QKV + ".codebook_id", SyntheticCheckpoint.scalar(17)), QKV, "is 17, expected 7");
        refused(c -> c.tensors.put(QKV + ".codebook_id", SyntheticCheckpoint.scalar(99)), "is 99, expected 7");
    }

    /** Once -1 stood for every integer that no int holds. */
    @Test
    void signsThatFloat16DoesNotHold() throws IOException {
        refused(
                c -> c.tensors.put(
                        QKV + ".SU",
                        new SyntheticCheckpoint.Item(
                                Dtype.I64,
                                List.of(64L),
                                piece ->
                                        piece.fill((byte) 0).setAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, 3, 1L << 40))),
                QKV + ".SU",
                "at 3, expected a number that float16 holds");
    }

    @Test
    void badShapes() throws IOException {
        refused(
                c -> c.tensors.put(QKV + ".Qidxs", SyntheticCheckpoint.zeros(Dtype.I64, 128, 3)),
                QKV + ".Qidxs",
                "[128, 3], expected [128, 2]");
        refused(
                c -> c.tensors.put(QKV + ".Qidxs", SyntheticCheckpoint.zeros(Dtype.I32, 128, 4)),
                "is I32, expected I64 of E8P12 version 1");
        refused(c -> c.tensors.put(QKV + ".SV", SyntheticCheckpoint.zeros(Dtype.F16, 64)), "[64], expected [128]");
        refused(c -> c.tensors.put(QKV + ".fuse_scales", SyntheticCheckpoint.zeros(Dtype.F16, 2)), "[2], expected [3]");
        refused(
                c -> c.tensors.put("model.norm.weight", SyntheticCheckpoint.zeros(Dtype.F16, 32)),
                "model.norm.weight",
                "[32], expected [64]");
    }

    @Test
    void missingTensors() throws IOException {
        for (String suffix : List.of(".Qidxs", ".SU", ".SV", ".fuse_scales")) {
            refused(c -> c.tensors.remove(QKV + suffix), "has no tensor", QKV + suffix);
        }
        refused(c -> c.tensors.remove("lm_head.weight"), "lm_head.weight");
    }

    @Test
    void badNumbers() throws IOException {
        float[] su = new float[64];
        su[3] = Float.NaN;
        refused(c -> c.tensors.put(QKV + ".SU", SyntheticCheckpoint.halves(List.of(64L), su)), "NaN at [3]");
        refused(
                c -> c.tensors.put(QKV + ".Wscale", SyntheticCheckpoint.halves(List.of(), Float.POSITIVE_INFINITY)),
                QKV + ".Wscale",
                "Infinity");
    }

    @Test
    void badVersions() throws IOException {
        refused(c -> c.params.put("codebook_version", 2), "codebook_version: found 2, expected 1 or 0 for E8P12");
        refused(c -> c.params.remove("codebook_version"), "is I64, expected I16 of E8P12 version 0");
        refused(
                c -> c.params.put("codebook", "E8P12RVQ4B").put("codebook_version", 0),
                "codebook_version: found 0, expected 1 for E8P12RVQ4B");
        refused(c -> c.params.put("codebook", "E8P12RVQ4B").remove("codebook_version"), "found none, which means 0");
        refused(c -> c.params.put("codebook", "E8P13"), "found 'E8P13', known are E8P12, E8P12RVQ3B");
        refused(c -> c.params.put("model_version", 2), "model_version: found 2");
        refused(c -> c.params.put("lora_rank", 8), "lora_rank: found 8, expected 0");
        refused(c -> c.params.put("fused", false), "fused: found false");
        refused(
                c -> c.params
                        .put("resid_scale_override", "x")
                        .put("codebook", "E8P12RVQ3B")
                        .put("codebook_version", 0),
                "resid_scale_override");
        refused(c -> c.tensors.put(QKV + ".A", SyntheticCheckpoint.zeros(Dtype.F16, 128, 4)), QKV + ".A", "low-rank");
    }

    @Test
    void badDimensions() throws IOException {
        refused(
                new SyntheticCheckpoint.Shape(64, 96, 1, 4, 2, 96),
                c -> {},
                "mlp.down_proj is 64 x 96, expected rows a multiple of 16 and columns of 64");
        refused(
                new SyntheticCheckpoint.Shape(64, 192, 1, 16, 1, 96),
                c -> {},
                "self_attn.qkv_proj is 72 x 64, expected rows a multiple of 16 and columns of 64");
        refused(
                new SyntheticCheckpoint.Shape(96, 192, 1, 4, 2, 96),
                c -> {},
                "192 x 96, expected rows a multiple of 16 and columns of 64");
        refused(
                new SyntheticCheckpoint.Shape(64, 704, 1, 4, 2, 96),
                c -> {},
                "1408 x 64, but QuIP# checkpoints have no Hadamard transform of length 1408");
        refused(new SyntheticCheckpoint.Shape(64, 192, 1, 32, 3, 96), c -> {}, "num_key_value_heads");
    }

    @Test
    void truncatedFile() throws IOException {
        Path directory = new SyntheticCheckpoint(SMALL, 2, 12).write(temporary.resolve("cut"));
        Path file = directory.resolve("model.safetensors");
        byte[] all = Files.readAllBytes(file);
        for (int length : new int[] {all.length - 1, all.length / 2, 100, 5, 0}) {
            Files.write(file, java.util.Arrays.copyOf(all, length));
            assertThatThrownBy(() -> Model.open(directory))
                    .isInstanceOf(GossetException.class)
                    .hasMessageContaining("model.safetensors");
        }
    }

    @Test
    void configWithoutParametersIsNoCheckpoint() throws IOException {
        Path directory = new SyntheticCheckpoint(SMALL, 2, 13).write(temporary.resolve("m"));
        ObjectMapper json = new ObjectMapper();
        ObjectNode config =
                (ObjectNode) json.readTree(directory.resolve("config.json").toFile());
        config.remove("quip_params");
        json.writeValue(directory.resolve("config.json").toFile(), config);
        assertThatThrownBy(() -> Model.open(directory)).hasMessageContaining("self_attn.q_proj.weight");
    }
}
