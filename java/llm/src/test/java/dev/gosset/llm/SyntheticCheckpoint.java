package dev.gosset.llm;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.memory.Dtype;
import dev.gosset.llm.io.SafetensorsWriter;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Random Llama checkpoints in the published QuIP# layout, of any size, codebook and generation: what {@code hfize} of the
 * reference implementation would write, with names, types and shapes from spec/quip-sharp.md, section 5. Tensors and
 * configuration can be changed before they are written.
 */
public final class SyntheticCheckpoint {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** The dimensions of a model. */
    public record Shape(int hidden, int intermediate, int layers, int heads, int keyValueHeads, int vocabulary) {
        /** Runs in milliseconds; q, k and v differ in size. */
        public static final Shape SMALL = new Shape(64, 192, 2, 4, 2, 96);

        /** Llama 2 7B. */
        public static final Shape LLAMA_7B = new Shape(4096, 11008, 32, 32, 32, 32000);

        int keyValues() {
            return hidden / heads * keyValueHeads;
        }
    }

    /** The bytes of a tensor, piece by piece from the first to the last. */
    @FunctionalInterface
    public interface Filler {
        void fill(MemorySegment piece);
    }

    /** A tensor to be written. */
    public record Item(Dtype dtype, List<Long> shape, Filler filler) {
        long bytes() {
            return dtype.size(shape).orElseThrow();
        }
    }

    /** The tensors by name; change them at will. */
    public final Map<String, Item> tensors = new LinkedHashMap<>();

    /** config.json; change it at will. */
    public final ObjectNode config = JSON.createObjectNode();

    /** {@code quip_params} in it. */
    public final ObjectNode params;

    private final Shape shape;
    private final SplittableRandom random;
    private final QidxsLayout layout;
    private final Codebook codebook;

    /**
     * A checkpoint of 2024.
     *
     * @param seed of all random numbers
     */
    public SyntheticCheckpoint(Shape shape, int bits, long seed) {
        this(shape, Codebook.ofBits(bits), QidxsLayout.TILES, 1, seed);
    }

    /**
     * A checkpoint of any generation.
     *
     * @param weightScale the mean of Wscale, 1 for checkpoints of 2024
     */
    public SyntheticCheckpoint(Shape shape, Codebook codebook, QidxsLayout layout, double weightScale, long seed) {
        this.shape = shape;
        this.random = new SplittableRandom(seed);
        this.layout = layout;
        this.codebook = codebook;
        writeConfig();
        params = config.putObject("quip_params");
        params.put("lora_rank", 0);
        params.put("rescale_WH", false);
        params.put("codebook", codebook.name().replaceFirst(":.*", ""));
        params.put("codebook_version", layout == QidxsLayout.E8P_VERSION_0 ? 0 : codebook.version());
        params.put("resid_scale_override", codebook.name().contains(":") ? codebook.residualScale() : -1);
        params.put("model_version", layout == QidxsLayout.TILES ? 1 : 0);
        tensors.put("model.embed_tokens.weight", normal(1, shape.vocabulary, shape.hidden));
        for (int l = 0; l < shape.layers; l++) {
            String block = "model.layers." + l + ".";
            tensors.put(block + "input_layernorm.weight", around1(shape.hidden));
            tensors.put(block + "post_attention_layernorm.weight", around1(shape.hidden));
            linear(block + "self_attn.qkv_proj", shape.hidden + 2 * shape.keyValues(), shape.hidden, 3, weightScale);
            linear(block + "self_attn.o_proj", shape.hidden, shape.hidden, 1, weightScale);
            linear(block + "mlp.upgate_proj", 2 * shape.intermediate, shape.hidden, 2, weightScale);
            linear(block + "mlp.down_proj", shape.hidden, shape.intermediate, 1, weightScale);
        }
        tensors.put("model.norm.weight", around1(shape.hidden));
        tensors.put("lm_head.weight", normal(1 / Math.sqrt(shape.hidden), shape.vocabulary, shape.hidden));
    }

    private void writeConfig() {
        config.put("_name_or_path", "somebody/some-model");
        config.putArray("architectures").add("LlamaForCausalLM");
        config.put("model_type", "llama");
        config.put("bos_token_id", 1);
        config.put("eos_token_id", 2);
        config.put("hidden_act", "silu");
        config.put("hidden_size", shape.hidden);
        config.put("intermediate_size", shape.intermediate);
        config.put("max_position_embeddings", 256);
        config.put("num_attention_heads", shape.heads);
        config.put("num_hidden_layers", shape.layers);
        config.put("num_key_value_heads", shape.keyValueHeads);
        config.put("rms_norm_eps", 1e-5);
        config.put("rope_theta", 10000.0);
        config.put("tie_word_embeddings", false);
        config.put("torch_dtype", "float16");
        config.put("vocab_size", shape.vocabulary);
    }

    private void linear(String name, int m, int n, int parts, double weightScale) {
        tensors.put(
                name + ".Qidxs",
                new Item(
                        Dtype.named(layout.dtype()).orElseThrow(),
                        layout.shape(codebook, m, n),
                        layout == QidxsLayout.BYTES ? this::randomNibbles : this::randomBits));
        boolean tuned = layout == QidxsLayout.TILES;
        double rms = (codebook instanceof E8pResidual || codebook.bits() == 2 ? 1.0 : 1 / 3.0) / Math.sqrt(n);
        tensors.put(name + ".SU", tuned ? signs(1, n) : integerSigns(n));
        tensors.put(name + ".SV", weightScale == 1 ? signs(rms, m) : tuned ? signs(1, m) : integerSigns(m));
        float scale = weightScale == 1 ? 1 : (float) (rms * weightScale * (0.9 + 0.2 * random.nextDouble()));
        tensors.put(name + ".Wscale", halves(List.of(), scale));
        tensors.put(name + ".codebook_id", scalar(codebook.id()));
        if (parts == 3) {
            tensors.put(name + ".fuse_scales", halves(List.of(3L), 0.9f, 1.1f, 0.7f));
        } else if (parts == 2) {
            tensors.put(name + ".fuse_scales", halves(List.of(2L), 1.2f, 0.8f));
        }
    }

    private void randomBits(MemorySegment piece) {
        long i = 0;
        for (; i + 8 <= piece.byteSize(); i += 8) {
            piece.set(LONG, i, random.nextLong());
        }
        for (; i < piece.byteSize(); i++) {
            piece.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt());
        }
        if (layout == QidxsLayout.E8P_VERSION_0) {
            // No points of the row 254, which have two codes.
            for (i = 0; i < piece.byteSize(); i += 2) {
                int code = piece.get(SHORT, i) + 32768;
                piece.set(SHORT, i, (short) ((code >>> 8 == 254 ? code ^ 0x0100 : code) - 32768));
            }
        }
    }

    private void randomNibbles(MemorySegment piece) {
        for (long i = 0; i < piece.byteSize(); i++) {
            piece.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt(16));
        }
    }

    private Item normal(double scale, long... shape) {
        return half(() -> (float) (scale * random.nextGaussian()), shape);
    }

    private Item around1(long... shape) {
        return half(() -> (float) (1 + 0.1 * random.nextGaussian()), shape);
    }

    /** Signs as tuning leaves them: real numbers. */
    private Item signs(double scale, long... shape) {
        return half(
                () -> (float) ((random.nextBoolean() ? scale : -scale) * (0.95 + 0.1 * random.nextDouble())), shape);
    }

    private Item integerSigns(long n) {
        return new Item(Dtype.I64, List.of(n), piece -> {
            for (long i = 0; i < piece.byteSize(); i += 8) {
                piece.set(LONG, i, random.nextBoolean() ? 1 : -1);
            }
        });
    }

    @FunctionalInterface
    private interface Numbers {
        float next();
    }

    private static Item half(Numbers numbers, long... shape) {
        return new Item(Dtype.F16, java.util.Arrays.stream(shape).boxed().toList(), piece -> {
            for (long i = 0; i < piece.byteSize(); i += 2) {
                piece.set(SHORT, i, Float.floatToFloat16(numbers.next()));
            }
        });
    }

    /** A float16 tensor of given values. */
    public static Item halves(List<Long> shape, float... values) {
        int[] at = {0};
        return new Item(Dtype.F16, shape, piece -> {
            for (long i = 0; i < piece.byteSize(); i += 2) {
                piece.set(SHORT, i, Float.floatToFloat16(values[at[0]++]));
            }
        });
    }

    /** An int64 scalar. */
    public static Item scalar(long value) {
        return new Item(Dtype.I64, List.of(), piece -> piece.set(LONG, 0, value));
    }

    /** A tensor that is all zero. */
    public static Item zeros(Dtype dtype, long... shape) {
        return new Item(dtype, java.util.Arrays.stream(shape).boxed().toList(), piece -> piece.fill((byte) 0));
    }

    /** Writes config.json, model.safetensors and a tokenizer of the words w3, w4, ... */
    public Path write(Path directory) throws IOException {
        writeWithoutTokenizer(directory);
        TinyModels.writeTokenizer(directory, shape.vocabulary);
        return directory;
    }

    /** Writes config.json and model.safetensors. */
    public Path writeWithoutTokenizer(Path directory) throws IOException {
        Files.createDirectories(directory);
        JSON.writerWithDefaultPrettyPrinter()
                .writeValue(directory.resolve("config.json").toFile(), config);
        writeTensors(directory.resolve("model.safetensors"), tensors);
        return directory;
    }

    /** Writes tensors as one safetensors file. */
    public static void writeTensors(Path file, Map<String, Item> tensors) {
        List<SafetensorsWriter.Declaration> declarations = tensors.entrySet().stream()
                .map(e -> new SafetensorsWriter.Declaration(
                        e.getKey(), e.getValue().dtype(), e.getValue().shape()))
                .toList();
        byte[] piece = new byte[1 << 20];
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, declarations, Map.of("format", "pt"))) {
            tensors.forEach((name, item) -> {
                for (long done = 0; done < item.bytes(); done += piece.length) {
                    MemorySegment part =
                            MemorySegment.ofArray(piece).asSlice(0, Math.min(piece.length, item.bytes() - done));
                    item.filler().fill(part);
                    writer.write(name, part);
                }
            });
            writer.commit();
        }
    }
}
