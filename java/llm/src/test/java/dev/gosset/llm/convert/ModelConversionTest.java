package dev.gosset.llm.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.core.FormatException;
import dev.gosset.core.Golden;
import dev.gosset.core.GossetException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.D4;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.codebook.HalfInteger;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.Progress;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.quantize.Finetuning;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationSettings;
import dev.gosset.llm.weights.ModelDirectory.Kind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Models there and back, both ways, and what is refused. */
class ModelConversionTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final SyntheticCheckpoint.Shape SMALL = SyntheticCheckpoint.Shape.SMALL;

    @TempDir
    private Path temporary;

    private static ModelConversion convert(Path model, Path out, Kind to) {
        try (ThreadTeam team = new ThreadTeam(2)) {
            return ModelConversion.run(model, out, to, team, Progress.NONE);
        }
    }

    /** Every tensor: dtype, shape and bytes. */
    private static Map<String, String> tensors(Path directory) {
        Map<String, String> all = new TreeMap<>();
        try (Arena arena = Arena.ofConfined()) {
            for (Tensor t : Safetensors.open(directory, arena).tensors()) {
                all.put(t.name(), describe(t));
            }
        }
        return all;
    }

    private static Map<String, String> rows(Path directory) {
        Map<String, String> all = new TreeMap<>();
        try (Arena arena = Arena.ofConfined()) {
            for (WeightFile.Weight w :
                    WeightFile.open(directory.resolve("weights.arrow"), arena).weights()) {
                all.put(w.name(), w.role() + " " + w.codebook().map(Codebook::name) + describe(w.tensor()));
            }
        }
        return all;
    }

    private static String describe(Tensor t) {
        return t.dtype() + " " + t.shape() + " "
                + HexFormat.of().formatHex(t.data().toArray(ValueLayout.JAVA_BYTE));
    }

    private static float[] logits(Path directory) {
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

    private List<String> everything() throws IOException {
        try (Stream<Path> all = Files.walk(temporary)) {
            return all.map(p -> temporary.relativize(p).toString()).sorted().toList();
        }
    }

    static Stream<Arguments> generations() {
        return Stream.of(
                Arguments.of(E8p.INSTANCE, QidxsLayout.TILES, 1),
                Arguments.of(E8pResidual.RVQ3B, QidxsLayout.TILES, 1),
                Arguments.of(E8pResidual.RVQ4B, QidxsLayout.TILES, 1),
                Arguments.of(E8p.INSTANCE, QidxsLayout.TILES, 1.3),
                Arguments.of(E8pResidual.RVQ4B, QidxsLayout.TILES, 1.3),
                Arguments.of(E8pResidual.RVQ3B.withResidualScale(2.5), QidxsLayout.TILES, 1),
                Arguments.of(E8p.INSTANCE, QidxsLayout.E8P_VERSION_0, 1.3),
                Arguments.of(D4.INSTANCE, QidxsLayout.D4_STRIPS, 1.3),
                Arguments.of(HalfInteger.INSTANCE, QidxsLayout.NIBBLES, 1.3),
                Arguments.of(HalfInteger.INSTANCE, QidxsLayout.BYTES, 1.3));
    }

    /** Every generation: the same tensors, configuration and logits after the way to Gosset and back. */
    @ParameterizedTest
    @MethodSource("generations")
    void publishedThereAndBack(Codebook codebook, QidxsLayout layout, double weightScale) throws IOException {
        Path published =
                new SyntheticCheckpoint(SMALL, codebook, layout, weightScale, 20).write(temporary.resolve("p"));
        Path own = temporary.resolve("g");
        Path back = temporary.resolve("back");
        Path named = Path.of("additional_chat_templates", "tool_use.jinja");
        Files.createDirectory(published.resolve(named).getParent());
        Files.writeString(published.resolve(named), "{{ tools | length }}");
        ModelConversion there = convert(published, own, Kind.GOSSET);
        assertThat(own.resolve(named)).hasSameTextualContentAs(published.resolve(named));
        assertThat(there.linears()).isEqualTo(8);
        assertThat(there.tensors()).isEqualTo(7);
        assertThat(there.rounded()).isZero();
        convert(own, back, Kind.QUIP_SHARP);
        assertThat(tensors(back)).isEqualTo(tensors(published));
        assertThat(config(back)).isEqualTo(config(published));
        assertThat(Files.mismatch(published.resolve("model.safetensors"), back.resolve("model.safetensors")))
                .isEqualTo(-1);
        assertThat(Files.mismatch(published.resolve("tokenizer.json"), own.resolve("tokenizer.json")))
                .isEqualTo(-1);
        assertThat(logits(own)).isEqualTo(logits(published));
        assertThat(config(own).at("/quantization_config/codebook").asText()).isEqualTo(codebook.name());
        assertThat(config(own).has("quip_params")).isFalse();
        assertThat(everything()).noneMatch(name -> name.contains(".tmp"));
    }

    /** What Gosset has no place for is kept beside the linears: odd types and shapes, codes with a twin, absent scalars. */
    @Test
    void oddTensorsThereAndBack() throws IOException {
        String o = "model.layers.0.self_attn.o_proj";
        SyntheticCheckpoint c = new SyntheticCheckpoint(SMALL, E8p.INSTANCE, QidxsLayout.E8P_VERSION_0, 1.3, 21);
        c.tensors.put(o + ".Qidxs", SyntheticCheckpoint.zeros(Dtype.I16, 64, 8));
        c.tensors.put(
                "model.layers.1.self_attn.o_proj.Qidxs",
                new SyntheticCheckpoint.Item(Dtype.I16, List.of(64L, 8L), piece -> {
                    for (long i = 0; i < piece.byteSize(); i += 2) {
                        piece.set(ValueLayout.JAVA_SHORT_UNALIGNED, i, (short) ((254 << 8 | i % 200) - 32768));
                    }
                }));
        c.tensors.put(
                o + ".codebook_id",
                new SyntheticCheckpoint.Item(
                        Dtype.I32, List.of(1L), piece -> piece.set(ValueLayout.JAVA_INT_UNALIGNED, 0, 7)));
        c.tensors.remove("model.layers.1.mlp.down_proj.codebook_id");
        c.tensors.put("model.layers.1.mlp.down_proj.A", SyntheticCheckpoint.zeros(Dtype.F16, 64, 0));
        c.tensors.put("model.layers.0.self_attn.rotary_emb.inv_freq", SyntheticCheckpoint.zeros(Dtype.F32, 8));
        Path published = c.write(temporary.resolve("p"));
        Path own = temporary.resolve("g");
        Path back = temporary.resolve("back");
        convert(published, own, Kind.GOSSET);
        convert(own, back, Kind.QUIP_SHARP);
        assertThat(tensors(back)).isEqualTo(tensors(published));
        assertThat(logits(own)).isEqualTo(logits(published));
    }

    private static JsonNode config(Path directory) throws IOException {
        return JSON.readTree(directory.resolve("config.json").toFile());
    }

    /** A model with full weights, which the published layout can hold. */
    private Path original(Dtype dtype) throws IOException {
        SyntheticCheckpoint c = new SyntheticCheckpoint(SMALL, 2, 30);
        c.config.remove("quip_params");
        for (int layer = 0; layer < SMALL.layers(); layer++) {
            String block = "model.layers." + layer + ".";
            c.tensors.keySet().removeIf(name -> name.contains("_proj."));
            for (Object[] linear : new Object[][] {
                {"self_attn.q_proj", 64, 64},
                {"self_attn.k_proj", 32, 64},
                {"self_attn.v_proj", 32, 64},
                {"self_attn.o_proj", 64, 64},
                {"mlp.up_proj", 192, 64},
                {"mlp.gate_proj", 192, 64},
                {"mlp.down_proj", 64, 192}
            }) {
                dense.add(new Object[] {block + linear[0] + ".weight", linear[1], linear[2]});
            }
        }
        java.util.SplittableRandom random = new java.util.SplittableRandom(31);
        for (Object[] d : dense) {
            c.tensors.put((String) d[0], floats(dtype, random, (Integer) d[1], (Integer) d[2]));
        }
        c.tensors.put("model.norm.weight", floats(dtype, random, 64));
        c.tensors.put("lm_head.weight", floats(dtype, random, 96, 64));
        return c.write(temporary.resolve("original"));
    }

    private final List<Object[]> dense = new ArrayList<>();

    private static SyntheticCheckpoint.Item floats(Dtype dtype, java.util.SplittableRandom random, long... shape) {
        return new SyntheticCheckpoint.Item(
                dtype, java.util.Arrays.stream(shape).boxed().toList(), piece -> {
                    for (long i = 0; i < piece.byteSize(); i += dtype.bytes()) {
                        float v = (float) (0.2 * random.nextGaussian());
                        // Some that float16 holds as subnormal numbers only.
                        v *= dtype == Dtype.BF16 && i % 100 == 0 ? 1e-5f : 1;
                        if (dtype == Dtype.F32) {
                            piece.set(ValueLayout.JAVA_FLOAT_UNALIGNED, i, v);
                        } else {
                            piece.set(ValueLayout.JAVA_SHORT_UNALIGNED, i, (short) (Float.floatToRawIntBits(v) >>> 16));
                        }
                    }
                });
    }

    private Path quantized(Path model, int bits) throws IOException {
        return quantized(model, bits, null);
    }

    private Path quantized(Path model, int bits, Finetuning finetuning) throws IOException {
        Path text = Files.writeString(temporary.resolve("text"), TinyModels.text(1, 1500));
        QuantizationSettings settings = new QuantizationSettings(
                RoundingSettings.of(Codebook.ofBits(bits)).withGreedyPasses(0),
                5,
                new CalibrationText(text, 8, 64),
                null,
                finetuning);
        try (ThreadTeam team = new ThreadTeam(2)) {
            QuantizationPipeline.run(model, temporary.resolve("q"), settings, false, team, Progress.NONE);
        }
        return temporary.resolve("q");
    }

    /** What Gosset quantizes exports with the names, types, shapes and parameters of the format, and comes back. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void ownThereAndBack(int bits) throws IOException {
        Path own = quantized(original(Dtype.F32), bits);
        Path published = temporary.resolve("p");
        Path back = temporary.resolve("back");
        ModelConversion result = convert(own, published, Kind.QUIP_SHARP);
        assertThat(result.rounded()).isZero();
        convert(published, back, Kind.GOSSET);
        assertThat(rows(back)).isEqualTo(rows(own));
        assertThat(logits(published)).isEqualTo(logits(own));
        assertThat(logits(back)).isEqualTo(logits(own));

        Map<String, String> expected = new TreeMap<>();
        SyntheticCheckpoint reference = new SyntheticCheckpoint(SMALL, bits, 1);
        reference.tensors.forEach((name, item) -> expected.put(name, item.dtype() + " " + item.shape()));
        Map<String, String> found = new TreeMap<>();
        tensors(published).forEach((name, text) -> found.put(name, text.substring(0, text.indexOf(']') + 1)));
        assertThat(found).isEqualTo(expected);

        JsonNode params = config(published).get("quip_params");
        String packsz = bits == 2 ? "4" : bits == 3 ? "2.6666666666666665" : "2";
        assertThat(params.toString())
                .isEqualTo("{\"lora_rank\":0,\"rescale_WH\":false,\"codebook\":\""
                        + Codebook.ofBits(bits).name() + "\",\"codebook_version\":" + (bits == 3 ? 0 : 1)
                        + ",\"codesz\":8,\"idx_dtype\":\"torch.int64\",\"packsz\":" + packsz
                        + ",\"resid_scale_override\":-1,\"model_version\":1}");
        assertThat(config(published).has("quantization_config")).isFalse();
        assertThat(config(published).get("torch_dtype").asText()).isEqualTo("float16");
        assertThat(config(published).get("hidden_size").asInt()).isEqualTo(64);
        assertThat(published.resolve("tokenizer.json")).exists();
    }

    /** Tuned sign vectors are numbers of any size; the format holds them, and tuned norms and head, as they are. */
    @Test
    void tunedThereAndBack() throws IOException {
        TuningSettings settings = new TuningSettings(2, 2, 5e-3, 5e-3, 0);
        Path own = quantized(original(Dtype.F32), 2, new Finetuning(null, 4, settings, settings));
        Path published = temporary.resolve("p");
        Path back = temporary.resolve("back");
        try (Model model = Model.open(own)) {
            for (LinearGroup group : model.plan().groups()) {
                MemorySegment su =
                        model.weights().quantizedLinear(group).orElseThrow().su();
                assertThat(su.toArray(ValueLayout.JAVA_SHORT))
                        .as(group.name())
                        .satisfies(halves -> assertThat(IntStream.range(0, halves.length)
                                        .mapToObj(i -> Math.abs(Float.float16ToFloat(halves[i])))
                                        .distinct())
                                .hasSizeGreaterThan(8));
            }
        }
        assertThat(convert(own, published, Kind.QUIP_SHARP).rounded()).isZero();
        convert(published, back, Kind.GOSSET);
        assertThat(rows(back)).isEqualTo(rows(own));
        assertThat(logits(published)).isEqualTo(logits(own));
        assertThat(logits(back)).isEqualTo(logits(own));
    }

    /** The format has float16 only: wider tensors are rounded, and the result says how many numbers changed. */
    @Test
    void bfloat16IsRounded() throws IOException {
        Path own = quantized(original(Dtype.BF16), 2);
        ModelConversion result = convert(own, temporary.resolve("p"), Kind.QUIP_SHARP);
        assertThat(result.rounded()).isBetween(50L, 200L);
        assertThat(tensors(temporary.resolve("p")).get("lm_head.weight")).startsWith("F16 [96, 64]");
    }

    @Test
    void shardsAndTheirIndex() throws IOException {
        Path own = quantized(original(Dtype.F32), 2);
        Path out = Files.createDirectory(temporary.resolve("sharded"));
        Path whole = temporary.resolve("whole");
        convert(own, whole, Kind.QUIP_SHARP);
        try (ThreadTeam team = new ThreadTeam(1)) {
            QuipSharpExport.write(dev.gosset.llm.weights.ModelDirectory.open(own), out, team, Progress.NONE, 20_000);
        }
        assertThat(out.resolve("model.safetensors")).doesNotExist();
        JsonNode index =
                JSON.readTree(out.resolve("model.safetensors.index.json").toFile());
        assertThat(index.at("/metadata/total_size").asLong()).isGreaterThan(40_000);
        assertThat(index.get("weight_map").size()).isEqualTo(tensors(whole).size());
        assertThat(tensors(out)).isEqualTo(tensors(whole));
        List<String> shards = new ArrayList<>();
        index.get("weight_map").forEach(v -> shards.add(v.asText()));
        assertThat(shards.stream().distinct().count()).isGreaterThan(2);
        assertThat(shards).allMatch(shard -> Files.exists(out.resolve(shard)));
    }

    private void refused(Path model, Kind to, Class<? extends GossetException> type, String... words)
            throws IOException {
        List<String> before = everything();
        assertThatThrownBy(() -> convert(model, temporary.resolve("deep/er/out"), to))
                .isInstanceOf(type)
                .hasMessageContainingAll(words)
                .hasMessageNotContaining("\n");
        assertThat(everything()).isEqualTo(before);
    }

    @Test
    void modelsOfTheWrongKind() throws IOException {
        Path original = TinyModels.copy("llama", temporary.resolve("llama"));
        refused(original, Kind.GOSSET, FormatException.class, "is an original model with full weights");
        refused(original, Kind.QUIP_SHARP, FormatException.class, "is an original model with full weights");
        Path published = new SyntheticCheckpoint(SMALL, 2, 22).write(temporary.resolve("p"));
        refused(published, Kind.QUIP_SHARP, FormatException.class, "is already a published QuIP# checkpoint");
        convert(published, temporary.resolve("g"), Kind.GOSSET);
        refused(temporary.resolve("g"), Kind.GOSSET, FormatException.class, "is already a Gosset model");
        assertThatThrownBy(() -> convert(published, temporary.resolve("g"), Kind.GOSSET))
                .hasMessageContaining("not empty");
    }

    /** Sizes without a Hadamard matrix, sizes that tiles cannot hold, biases. */
    @Test
    void modelsThatThePublishedFormatCannotHold() throws IOException {
        Path small = quantized(TinyModels.copy("llama", temporary.resolve("llama")), 2);
        refused(
                small,
                Kind.QUIP_SHARP,
                UnsupportedModelException.class,
                "is 96 x 32, expected rows a multiple of 16 and columns of 64");
    }

    @Test
    void expertsAreRefused() throws IOException {
        Path mixtral = quantized(TinyModels.copy("mixtral", temporary.resolve("mixtral")), 2);
        refused(
                mixtral,
                Kind.QUIP_SHARP,
                UnsupportedModelException.class,
                "model.layers.0.block_sparse_moe.experts.0.upgate_proj is an expert's");
    }

    @Test
    void biasesAreRefused() throws IOException {
        Path qwen = quantized(TinyModels.copy("qwen2", temporary.resolve("qwen")), 3);
        refused(qwen, Kind.QUIP_SHARP, UnsupportedModelException.class, "self_attn.qkv_proj has a bias");
        SyntheticCheckpoint c = new SyntheticCheckpoint(SMALL, 2, 23);
        c.tensors.put("model.layers.0.self_attn.o_proj.bias", SyntheticCheckpoint.zeros(Dtype.F16, 64));
        refused(
                c.write(temporary.resolve("p")),
                Kind.GOSSET,
                UnsupportedModelException.class,
                "o_proj.bias",
                "no place in a Gosset model");
    }

    @Test
    void damagedModelsLeaveNothingBehind() throws IOException {
        SyntheticCheckpoint c = new SyntheticCheckpoint(SMALL, 2, 24);
        c.tensors.remove("model.layers.1.mlp.down_proj.SV");
        refused(c.write(temporary.resolve("a")), Kind.GOSSET, FormatException.class, "down_proj.SV");
        SyntheticCheckpoint d = new SyntheticCheckpoint(SMALL, 2, 24);
        d.tensors.remove("model.norm.weight");
        refused(d.write(temporary.resolve("b")), Kind.GOSSET, FormatException.class, "model.norm.weight");
    }

    /** The checkpoint of the reference implementation, there and back: the same file, byte for byte. */
    @Test
    void theReferenceCheckpoint() throws IOException {
        Path reference = Golden.shared().resolve("models/small-llama-reference/e8p-2bit");
        Path own = temporary.resolve("g");
        Path back = temporary.resolve("back");
        convert(reference, own, Kind.GOSSET);
        convert(own, back, Kind.QUIP_SHARP);
        assertThat(Files.mismatch(reference.resolve("model.safetensors"), back.resolve("model.safetensors")))
                .isEqualTo(-1);
        assertThat(config(back)).isEqualTo(config(reference));
        assertThat(logits(own)).isEqualTo(logits(reference));
        try (Arena arena = Arena.ofConfined()) {
            WeightFile file = WeightFile.open(own.resolve("weights.arrow"), arena);
            assertThat(QuantizedLinears.names(file)).hasSize(24);
            assertThat(file.weights()).noneMatch(w -> w.role().equals("published"));
        }
    }
}
