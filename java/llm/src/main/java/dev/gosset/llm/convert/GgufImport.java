package dev.gosset.llm.convert;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.Progress;
import dev.gosset.llm.io.Gguf;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.io.SafetensorsWriter;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.plan.ModelFamily;
import dev.gosset.llm.weights.ModelDirectory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A GGUF file made the directory of an original model: config.json, tokenizer.json and tokenizer_config.json with the chat
 * template, and the tensors under their names on the Hub. Tensors in F32, F16 and BF16 keep their bits; Q8_0 becomes F32,
 * which holds its products exactly.
 *
 * <p>Source of the names and of what is turned around: convert_hf_to_gguf.py of llama.cpp says what it does on the way in.
 */
public final class GgufImport {
    /** Bytes of a piece of a tensor that is widened at once. */
    private static final int PIECE = 1 << 20;

    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** What is done to the families on their way into a file. */
    private static final Map<String, ModelFamily> FAMILIES =
            Map.of("llama", ModelFamily.LLAMA, "qwen2", ModelFamily.QWEN2, "qwen3", ModelFamily.QWEN3);

    /** Names of tensors outside of layers. */
    private static final Map<String, String> OUTER =
            Map.of("token_embd", "model.embed_tokens", "output_norm", "model.norm", "output", "lm_head");

    /** Names of tensors within layers. */
    private static final Map<String, String> INNER = Map.ofEntries(
            Map.entry("attn_norm", "input_layernorm"),
            Map.entry("attn_q", "self_attn.q_proj"),
            Map.entry("attn_k", "self_attn.k_proj"),
            Map.entry("attn_v", "self_attn.v_proj"),
            Map.entry("attn_output", "self_attn.o_proj"),
            Map.entry("attn_q_norm", "self_attn.q_norm"),
            Map.entry("attn_k_norm", "self_attn.k_norm"),
            Map.entry("ffn_norm", "post_attention_layernorm"),
            Map.entry("ffn_gate", "mlp.gate_proj"),
            Map.entry("ffn_up", "mlp.up_proj"),
            Map.entry("ffn_down", "mlp.down_proj"));

    private static final String ROPE = "rope_freqs.weight";

    private final Gguf file;
    private final String architecture;

    private GgufImport(Gguf file) {
        this.file = file;
        this.architecture = file.get("general.architecture", String.class);
        if (!FAMILIES.containsKey(architecture)) {
            throw new UnsupportedModelException(
                    file.source() + ": found the architecture " + Quoted.of(architecture) + ", known in GGUF files are "
                            + FAMILIES.keySet().stream().sorted().toList());
        }
        if (find("expert_count").orElse(0L) > 0) {
            throw new UnsupportedModelException(
                    file.source() + ": holds mixtures of experts, which are not read from GGUF");
        }
    }

    /**
     * What was written.
     *
     * @param bytes of the weights
     */
    public record Result(int tensors, long bytes, double seconds) {}

    /**
     * Converts a file.
     *
     * @param out absent or an empty directory; it appears whole or not at all
     * @throws FormatException where the file is damaged or lacks something
     * @throws UnsupportedModelException where its architecture, its tokenizer or a type of its tensors is not known
     */
    public static Result run(Path gguf, Path out, Progress progress) {
        long started = System.nanoTime();
        try (Arena arena = Arena.ofConfined()) {
            Gguf file = Gguf.open(gguf, arena);
            GgufImport source = new GgufImport(file);
            ObjectNode config = source.config();
            GgufTokenizer tokenizer = GgufTokenizer.of(file);
            try (StagedDirectory staged = StagedDirectory.create(out)) {
                ModelConversion.write(staged.path().resolve("config.json"), config);
                ModelConversion.write(staged.path().resolve("tokenizer.json"), tokenizer.tokenizer());
                ModelConversion.write(staged.path().resolve("tokenizer_config.json"), tokenizer.config());
                int tensors = source.writeTensors(staged.path().resolve(Safetensors.SINGLE_FILE), progress);
                // Says what does not fit, before the directory appears.
                ModelDirectory.open(staged.path());
                long bytes = Files.size(staged.path().resolve(Safetensors.SINGLE_FILE));
                staged.commit();
                return new Result(tensors, bytes, (System.nanoTime() - started) / 1e9);
            } catch (IOException e) {
                throw new GossetException(out + ": cannot be written: " + CrashSafeFile.reason(e), e);
            }
        }
    }

    private Optional<Long> find(String key) {
        return file.find(architecture + "." + key, Long.class);
    }

    private long number(String key) {
        long number = file.get(architecture + "." + key, Long.class);
        if (number < 1) {
            throw new FormatException(file.source() + ": " + architecture + "." + key + " is "
                    + Long.toUnsignedString(number) + ", expected at least 1 and fewer than 2^63");
        }
        return number;
    }

    private ObjectNode config() {
        ObjectNode config = Json.MAPPER.createObjectNode();
        config.putArray("architectures").add(FAMILIES.get(architecture).architecture());
        config.put("model_type", FAMILIES.get(architecture).modelType());
        long heads = number("attention.head_count");
        config.put("hidden_size", number("embedding_length"));
        config.put("intermediate_size", number("feed_forward_length"));
        config.put("num_hidden_layers", number("block_count"));
        config.put("num_attention_heads", heads);
        config.put("num_key_value_heads", find("attention.head_count_kv").orElse(heads));
        config.put("max_position_embeddings", number("context_length"));
        find("attention.key_length").ifPresent(dim -> config.put("head_dim", dim));
        config.put(
                "rms_norm_eps",
                file.get(architecture + ".attention.layer_norm_rms_epsilon", Double.class)
                        .floatValue());
        config.put(
                "rope_theta",
                file.find(architecture + ".rope.freq_base", Double.class).orElse(10_000.0));
        rope(config);
        Gguf.Entry embedding = tensor("token_embd.weight");
        config.put("vocab_size", embedding.shape().getFirst());
        config.put("tie_word_embeddings", !file.tensors().containsKey("output.weight"));
        config.put("attention_bias", file.tensors().containsKey("blk.0.attn_q.bias"));
        file.find("tokenizer.ggml.bos_token_id", Long.class).ifPresent(id -> config.put("bos_token_id", id));
        file.find("tokenizer.ggml.eos_token_id", Long.class).ifPresent(id -> config.put("eos_token_id", id));
        config.put(
                "torch_dtype",
                switch (embedding.type()) {
                    case F16 -> "float16";
                    case BF16 -> "bfloat16";
                    case F32, Q8_0 -> "float32";
                });
        return config;
    }

    private void rope(ObjectNode config) {
        String scaling =
                file.find(architecture + ".rope.scaling.type", String.class).orElse("none");
        Gguf.Entry factors = file.tensors().get(ROPE);
        long turned = find("rope.dimension_count").orElse(-1L);
        long dim = find("attention.key_length").orElse(number("embedding_length") / number("attention.head_count"));
        if (turned != -1 && turned != dim) {
            throw new FormatException(
                    file.source() + ": rope.dimension_count is " + turned + ", expected that of whole heads, " + dim);
        }
        if (factors != null) {
            // A factor for each frequency, whatever the length: as longrope has them.
            ObjectNode rope = config.putObject("rope_scaling").put("rope_type", "longrope");
            List<Float> list = new ArrayList<>();
            for (long i = 0; i < factors.elements() && factors.type() == Gguf.Type.F32; i++) {
                list.add(factors.data().get(FLOAT, 4 * i));
            }
            for (String key : List.of("short_factor", "long_factor")) {
                list.forEach(rope.putArray(key)::add);
            }
            rope.put("factor", 1.0);
            rope.put("original_max_position_embeddings", number("context_length"));
            return;
        }
        switch (scaling) {
            case "none" -> {}
            case "linear", "yarn" -> {
                ObjectNode rope = config.putObject("rope_scaling").put("rope_type", scaling);
                rope.put("factor", file.get(architecture + ".rope.scaling.factor", Double.class));
                find("rope.scaling.original_context_length")
                        .ifPresent(length -> rope.put("original_max_position_embeddings", length));
            }
            default ->
                throw new UnsupportedModelException(file.source() + ": found the rope scaling " + Quoted.of(scaling)
                        + ", known in GGUF files are none, linear and yarn");
        }
    }

    private Gguf.Entry tensor(String name) {
        Gguf.Entry entry = file.tensors().get(name);
        if (entry == null || entry.shape().size() != 2) {
            throw new FormatException(file.source() + ": "
                    + (entry == null ? "has no tensor " + name : name + " has the shape " + entry.shape())
                    + ", expected a matrix");
        }
        return entry;
    }

    /** The name of a tensor on the Hub. */
    private String name(String gguf) {
        String[] parts = gguf.split("\\.");
        String inner = parts.length == 4 && parts[0].equals("blk") && parts[1].matches("[0-9]{1,4}")
                ? INNER.get(parts[2])
                : null;
        String outer = parts.length == 2 ? OUTER.get(parts[0]) : null;
        String end = parts[parts.length - 1];
        if (inner == null && outer == null || !end.equals("weight") && !end.equals("bias")) {
            throw new UnsupportedModelException(file.source() + ": has the tensor " + Quoted.of(gguf)
                    + ", which no model of the architecture " + architecture + " is known to have");
        }
        return (inner == null ? outer : "model.layers." + parts[1] + "." + inner) + "." + end;
    }

    private int writeTensors(Path target, Progress progress) {
        Map<String, Gguf.Entry> named = new LinkedHashMap<>();
        file.tensors().values().stream().filter(t -> !t.name().equals(ROPE)).forEach(t -> named.put(name(t.name()), t));
        List<SafetensorsWriter.Declaration> declarations = new ArrayList<>();
        named.forEach(
                (name, t) -> declarations.add(new SafetensorsWriter.Declaration(name, dtype(t.type()), t.shape())));
        progress.start("converting", named.size());
        try (SafetensorsWriter writer = SafetensorsWriter.create(target, declarations, Map.of("format", "pt"))) {
            named.forEach((name, t) -> {
                write(writer, name, t);
                progress.step(name);
            });
            writer.commit();
        }
        progress.end();
        return named.size();
    }

    private static Dtype dtype(Gguf.Type type) {
        return switch (type) {
            case F16 -> Dtype.F16;
            case BF16 -> Dtype.BF16;
            case F32, Q8_0 -> Dtype.F32;
        };
    }

    private void write(SafetensorsWriter writer, String name, Gguf.Entry t) {
        boolean queries = name.contains(".q_proj.");
        if (!architecture.equals("llama") || !queries && !name.contains(".k_proj.")) {
            writeRows(writer, name, t, 0, t.data().byteSize());
            return;
        }
        // The elements of a pair that is turned stand side by side in these files, and half a head apart on the Hub.
        long heads = queries
                ? number("attention.head_count")
                : find("attention.head_count_kv").orElse(number("attention.head_count"));
        long rows = t.shape().getFirst();
        boolean whole = rows > 0 && t.data().byteSize() % (rows * t.type().bytes()) == 0;
        if (heads < 1 || heads > rows || rows % (2 * heads) != 0 || !whole) {
            throw new FormatException(file.source() + ": tensor " + Quoted.of(t.name()) + " has " + rows
                    + " rows, expected those of " + heads + " heads of an even dimension");
        }
        long row = t.data().byteSize() / rows;
        long half = rows / heads / 2;
        for (long head = 0; head < heads; head++) {
            for (long i = 0; i < 2 * half; i++) {
                long from = 2 * half * head + 2 * (i % half) + i / half;
                writeRows(writer, name, t, from * row, row);
            }
        }
    }

    /** Writes bytes of whole blocks, in order. */
    private static void writeRows(SafetensorsWriter writer, String name, Gguf.Entry t, long from, long count) {
        if (t.type() != Gguf.Type.Q8_0) {
            writer.write(name, t.data().asSlice(from, count));
            return;
        }
        int block = Gguf.Type.Q8_0.bytes();
        int most = (int) Math.min(count / block, PIECE / block);
        MemorySegment bytes = MemorySegment.ofArray(new byte[128 * most]);
        for (long at = from; at < from + count; ) {
            int blocks = (int) Math.min(most, (from + count - at) / block);
            for (int b = 0; b < blocks; b++, at += block) {
                float scale = Float.float16ToFloat(t.data().get(SHORT, at));
                for (int i = 0; i < 32; i++) {
                    float value = scale * t.data().get(ValueLayout.JAVA_BYTE, at + 2 + i);
                    bytes.set(FLOAT, 4L * (32 * b + i), value);
                }
            }
            writer.write(name, bytes.asSlice(0, 128L * blocks));
        }
    }
}
