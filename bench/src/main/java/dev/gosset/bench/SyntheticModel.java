package dev.gosset.bench;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.llm.io.Json;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Llama models with random weights, enough for measuring speed, in three formats: Gosset's own directory, GGUF for
 * llama.cpp, and Jlama's Q4 safetensors. Embedding and head are float16 for Gosset and llama.cpp; Jlama quantizes them
 * too, as its own command does.
 *
 * @param hidden width of the residual stream, a multiple of 256
 * @param intermediate width of the MLP, a multiple of 256
 */
record SyntheticModel(int hidden, int intermediate, int layers, int heads, int keyValueHeads, int vocabulary) {
    /** The shape of a Llama of 1.1 B parameters, TinyLlama's. */
    static final SyntheticModel LLAMA_1B = new SyntheticModel(2048, 5632, 22, 32, 4, 32000);

    /** The shape of Llama 2 7B. */
    static final SyntheticModel LLAMA_7B = new SyntheticModel(4096, 11008, 32, 32, 32, 32000);

    private static final int BLOCK = 256;

    /** One matrix or vector of the model. */
    private record Weight(String name, int rows, int cols, Kind kind) {}

    private enum Kind {
        LINEAR,
        TABLE,
        NORM
    }

    /** {@code 1B}, {@code 7B}, or a small model of hidden x intermediate x layers. */
    static SyntheticModel named(String shape) {
        return switch (shape) {
            case "1B" -> LLAMA_1B;
            case "7B" -> LLAMA_7B;
            default -> {
                String[] sizes = shape.split("x");
                yield new SyntheticModel(
                        Integer.parseInt(sizes[0]), Integer.parseInt(sizes[1]), Integer.parseInt(sizes[2]), 4, 2, 300);
            }
        };
    }

    private int keyValueSize() {
        return hidden / heads * keyValueHeads;
    }

    /** Weights in quantized linears. */
    long linearWeights() {
        return layers * (2L * hidden * hidden + 2L * hidden * keyValueSize() + 3L * hidden * intermediate);
    }

    /** Bytes that one token reads of a model of 2 bits with a head of float16. */
    long bytesPerToken() {
        return linearWeights() / 4 + 2L * vocabulary * hidden;
    }

    private Map<String, Object> config() {
        Map<String, Object> c = new LinkedHashMap<>();
        c.put("architectures", List.of("LlamaForCausalLM"));
        c.put("model_type", "llama");
        c.put("hidden_size", hidden);
        c.put("intermediate_size", intermediate);
        c.put("num_hidden_layers", layers);
        c.put("num_attention_heads", heads);
        c.put("num_key_value_heads", keyValueHeads);
        c.put("vocab_size", vocabulary);
        c.put("max_position_embeddings", 2048);
        c.put("rms_norm_eps", 1e-5);
        c.put("rope_theta", 10000.0);
        c.put("hidden_act", "silu");
        c.put("tie_word_embeddings", false);
        c.put("bos_token_id", 1);
        c.put("eos_token_id", 2);
        return c;
    }

    // ------------------------------------------------------------------------------------------------------ Gosset

    /** A Gosset model directory without a tokenizer, unless it is there already. */
    Path gosset(Path directory, int bits) throws IOException {
        if (Files.isRegularFile(directory.resolve("config.json"))) {
            return directory;
        }
        Files.createDirectories(directory);
        Codebook codebook = Codebook.ofBits(bits);
        Optional<Codebook> none = Optional.empty();
        try (WeightFileWriter writer = WeightFileWriter.create(directory.resolve("weights.arrow"), Map.of())) {
            for (String name : List.of("model.embed_tokens.weight", "lm_head.weight")) {
                try (Arena arena = Arena.ofConfined()) {
                    String role = name.startsWith("lm") ? "head" : "embedding";
                    MemorySegment halves = halves(arena, (long) vocabulary * hidden, 0.02, name.hashCode());
                    writer.add(name, role, Dtype.F16, List.of((long) vocabulary, (long) hidden), none, halves);
                }
            }
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment ones = arena.allocate(2L * hidden, 64);
                for (int i = 0; i < hidden; i++) {
                    ones.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i, Float.floatToFloat16(1));
                }
                writer.add("model.norm.weight", "norm", Dtype.F16, List.of((long) hidden), none, ones);
                for (int layer = 0; layer < layers; layer++) {
                    String prefix = "model.layers." + layer + ".";
                    for (String norm : List.of("input_layernorm.weight", "post_attention_layernorm.weight")) {
                        writer.add(prefix + norm, "norm", Dtype.F16, List.of((long) hidden), none, ones);
                    }
                    int kv = keyValueSize();
                    stack(
                            writer,
                            prefix + "self_attn.qkv_proj",
                            codebook,
                            hidden,
                            "q_proj",
                            hidden,
                            "k_proj",
                            kv,
                            "v_proj",
                            kv);
                    stack(writer, prefix + "self_attn.o_proj", codebook, hidden, "o_proj", hidden);
                    stack(
                            writer,
                            prefix + "mlp.upgate_proj",
                            codebook,
                            hidden,
                            "up_proj",
                            intermediate,
                            "gate_proj",
                            intermediate);
                    stack(writer, prefix + "mlp.down_proj", codebook, intermediate, "down_proj", hidden);
                }
            }
            writer.commit();
        }
        Map<String, Object> config = config();
        config.put(
                "quantization_config",
                Map.of("quant_method", "gosset", "format_version", 1, "bits", bits, "codebook", codebook.name()));
        Json.MAPPER.writeValue(directory.resolve("config.json").toFile(), config);
        return directory;
    }

    private static void stack(WeightFileWriter writer, String name, Codebook codebook, int cols, Object... parts) {
        List<QuantizedLinear.Part> stacked = new ArrayList<>();
        int rows = 0;
        for (int i = 0; i < parts.length; i += 2) {
            stacked.add(new QuantizedLinear.Part((String) parts[i], (Integer) parts[i + 1], 1));
            rows += (Integer) parts[i + 1];
        }
        try (Arena arena = Arena.ofConfined()) {
            QuantizedLinears.write(
                    writer,
                    name,
                    new QuantizedLinear(
                            Fixtures.codes(arena, codebook.bits(), rows, cols, name.hashCode()),
                            Fixtures.signs(arena, cols, 1, 1),
                            Fixtures.signs(arena, rows, 0.5 / Math.sqrt(cols), 2),
                            stacked));
        }
    }

    private static MemorySegment halves(Arena arena, long count, double deviation, long seed) {
        MemorySegment halves = arena.allocate(2 * count, 64);
        MemorySegment floats = Fixtures.normal(arena, count, deviation, seed);
        for (long i = 0; i < count; i++) {
            halves.setAtIndex(
                    ValueLayout.JAVA_SHORT_UNALIGNED,
                    i,
                    Float.floatToFloat16(floats.getAtIndex(ValueLayout.JAVA_FLOAT, i)));
        }
        return halves;
    }

    // -------------------------------------------------------------------------------------------------------- GGUF

    private List<Weight> weights(boolean gguf) {
        List<Weight> all = new ArrayList<>();
        all.add(new Weight(gguf ? "token_embd.weight" : "model.embed_tokens.weight", vocabulary, hidden, Kind.TABLE));
        for (int layer = 0; layer < layers; layer++) {
            String p = gguf ? "blk." + layer + "." : "model.layers." + layer + ".";
            all.add(new Weight(p + (gguf ? "attn_norm" : "input_layernorm") + ".weight", 1, hidden, Kind.NORM));
            all.add(new Weight(p + (gguf ? "attn_q" : "self_attn.q_proj") + ".weight", hidden, hidden, Kind.LINEAR));
            all.add(new Weight(
                    p + (gguf ? "attn_k" : "self_attn.k_proj") + ".weight", keyValueSize(), hidden, Kind.LINEAR));
            all.add(new Weight(
                    p + (gguf ? "attn_v" : "self_attn.v_proj") + ".weight", keyValueSize(), hidden, Kind.LINEAR));
            all.add(new Weight(
                    p + (gguf ? "attn_output" : "self_attn.o_proj") + ".weight", hidden, hidden, Kind.LINEAR));
            all.add(new Weight(p + (gguf ? "ffn_norm" : "post_attention_layernorm") + ".weight", 1, hidden, Kind.NORM));
            all.add(new Weight(
                    p + (gguf ? "ffn_gate" : "mlp.gate_proj") + ".weight", intermediate, hidden, Kind.LINEAR));
            all.add(new Weight(p + (gguf ? "ffn_up" : "mlp.up_proj") + ".weight", intermediate, hidden, Kind.LINEAR));
            all.add(new Weight(
                    p + (gguf ? "ffn_down" : "mlp.down_proj") + ".weight", hidden, intermediate, Kind.LINEAR));
        }
        all.add(new Weight(gguf ? "output_norm.weight" : "model.norm.weight", 1, hidden, Kind.NORM));
        all.add(new Weight(gguf ? "output.weight" : "lm_head.weight", vocabulary, hidden, Kind.TABLE));
        return all;
    }

    /** A GGUF file whose linears all have the given ggml type, unless it is there already. */
    Path gguf(Path file, int type) throws IOException {
        if (Files.isRegularFile(file)) {
            return file;
        }
        int blockBytes = type == Ggml.IQ2_XXS ? 66 : 74;
        List<Weight> weights = weights(true);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        LittleEndian out = new LittleEndian(bytes);
        out.ascii("GGUF");
        out.int32(3);
        out.int64(weights.size());
        ByteArrayOutputStream pairs = new ByteArrayOutputStream();
        int count = metadata(new LittleEndian(pairs));
        out.int64(count);
        out.raw(pairs.toByteArray());
        long offset = 0;
        for (Weight w : weights) {
            out.text(w.name());
            out.int32(w.kind() == Kind.NORM ? 1 : 2);
            out.int64(w.cols());
            if (w.kind() != Kind.NORM) {
                out.int64(w.rows());
            }
            out.int32(w.kind() == Kind.LINEAR ? type : w.kind() == Kind.TABLE ? 1 : 0);
            out.int64(offset);
            offset += size(w, blockBytes) + 31 & -32L;
        }
        out.pad(32);
        Path temporary = Files.createTempFile(Files.createDirectories(file.getParent()), "gguf", ".part");
        try (OutputStream stream = new BufferedOutputStream(Files.newOutputStream(temporary), 1 << 20)) {
            stream.write(bytes.toByteArray());
            for (Weight w : weights) {
                try (Arena arena = Arena.ofConfined()) {
                    long size = size(w, blockBytes);
                    MemorySegment data = arena.allocate(size + 31 & -32L, 64);
                    switch (w.kind()) {
                        case LINEAR ->
                            Ggml.randomBlocks(
                                    data.asSlice(0, size), blockBytes, w.name().hashCode());
                        case TABLE ->
                            data.copyFrom(halves(
                                    arena,
                                    (long) w.rows() * w.cols(),
                                    0.02,
                                    w.name().hashCode()));
                        case NORM -> ones(data, w.cols());
                    }
                    copy(data, stream);
                }
            }
        }
        return Files.move(temporary, file);
    }

    private static void ones(MemorySegment data, int count) {
        for (int i = 0; i < count; i++) {
            data.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
        }
    }

    private static long size(Weight w, int blockBytes) {
        long elements = (long) w.rows() * w.cols();
        return switch (w.kind()) {
            case LINEAR -> elements / BLOCK * blockBytes;
            case TABLE -> 2 * elements;
            case NORM -> 4 * elements;
        };
    }

    private static void copy(MemorySegment data, OutputStream stream) throws IOException {
        byte[] buffer = new byte[1 << 20];
        for (long at = 0; at < data.byteSize(); at += buffer.length) {
            int n = (int) Math.min(buffer.length, data.byteSize() - at);
            MemorySegment.copy(data, ValueLayout.JAVA_BYTE, at, buffer, 0, n);
            stream.write(buffer, 0, n);
        }
    }

    /** Writes the key-value pairs of a Llama with a made-up vocabulary; returns how many. */
    private int metadata(LittleEndian out) throws IOException {
        int count = 0;
        Map<String, Object> pairs = new LinkedHashMap<>();
        pairs.put("general.architecture", "llama");
        pairs.put("general.name", "random");
        pairs.put("llama.context_length", 2048);
        pairs.put("llama.embedding_length", hidden);
        pairs.put("llama.block_count", layers);
        pairs.put("llama.feed_forward_length", intermediate);
        pairs.put("llama.attention.head_count", heads);
        pairs.put("llama.attention.head_count_kv", keyValueHeads);
        pairs.put("llama.rope.dimension_count", hidden / heads);
        pairs.put("llama.attention.layer_norm_rms_epsilon", 1e-5f);
        pairs.put("llama.rope.freq_base", 10000f);
        pairs.put("tokenizer.ggml.model", "llama");
        pairs.put("tokenizer.ggml.bos_token_id", 1);
        pairs.put("tokenizer.ggml.eos_token_id", 2);
        for (Map.Entry<String, Object> pair : pairs.entrySet()) {
            out.text(pair.getKey());
            switch (pair.getValue()) {
                case Integer i -> {
                    out.int32(4);
                    out.int32(i);
                }
                case Float f -> {
                    out.int32(6);
                    out.int32(Float.floatToIntBits(f));
                }
                case Object text -> {
                    out.int32(8);
                    out.text(text.toString());
                }
            }
            count++;
        }
        out.text("tokenizer.ggml.tokens");
        out.int32(9);
        out.int32(8);
        out.int64(vocabulary);
        for (int i = 0; i < vocabulary; i++) {
            out.text(token(i));
        }
        out.text("tokenizer.ggml.scores");
        out.int32(9);
        out.int32(6);
        out.int64(vocabulary);
        for (int i = 0; i < vocabulary; i++) {
            out.int32(Float.floatToIntBits(-i));
        }
        out.text("tokenizer.ggml.token_type");
        out.int32(9);
        out.int32(5);
        out.int64(vocabulary);
        for (int i = 0; i < vocabulary; i++) {
            out.int32(i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
        }
        return count + 3;
    }

    private static String token(int i) {
        return switch (i) {
            case 0 -> "<unk>";
            case 1 -> "<s>";
            case 2 -> "</s>";
            default -> i < 259 ? String.format(java.util.Locale.ROOT, "<0x%02X>", i - 3) : "t" + i;
        };
    }

    /** GGUF's primitives. */
    private static final class LittleEndian {
        private final DataOutputStream out;
        private long written;

        LittleEndian(OutputStream out) {
            this.out = new DataOutputStream(out);
        }

        void raw(byte[] bytes) throws IOException {
            out.write(bytes);
            written += bytes.length;
        }

        void ascii(String text) throws IOException {
            raw(text.getBytes(StandardCharsets.US_ASCII));
        }

        void int32(int v) throws IOException {
            raw(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(v).array());
        }

        void int64(long v) throws IOException {
            raw(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(v).array());
        }

        void text(String text) throws IOException {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            int64(bytes.length);
            raw(bytes);
        }

        void pad(int alignment) throws IOException {
            raw(new byte[(int) (-written & (alignment - 1))]);
        }
    }

    // ------------------------------------------------------------------------------------------------------- Jlama

    /** A directory of Jlama's Q4: 32 weights in 16 bytes and a float scale; unless it is there already. */
    Path jlama(Path directory) throws IOException {
        if (Files.isRegularFile(directory.resolve("config.json"))) {
            return directory;
        }
        Files.createDirectories(directory);
        Map<String, Object> header = new LinkedHashMap<>();
        long offset = 0;
        List<Weight> weights = weights(false);
        for (Weight w : weights) {
            long elements = (long) w.rows() * w.cols();
            if (w.kind() == Kind.NORM) {
                header.put(w.name(), tensor("F32", offset, 4 * elements, w.cols()));
                offset += 4 * elements;
            } else {
                header.put(w.name(), tensor("Q4", offset, elements / 2, w.rows(), w.cols()));
                offset += elements / 2;
                header.put(w.name() + ".qb", tensor("F32", offset, elements / 8, w.rows(), w.cols() / 32));
                offset += elements / 8;
            }
        }
        byte[] json = Json.MAPPER.writeValueAsBytes(header);
        try (OutputStream stream =
                new BufferedOutputStream(Files.newOutputStream(directory.resolve("model.safetensors")), 1 << 20)) {
            byte[] padded = java.util.Arrays.copyOf(json, json.length + 7 & -8);
            java.util.Arrays.fill(padded, json.length, padded.length, (byte) ' ');
            stream.write(ByteBuffer.allocate(8)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(padded.length)
                    .array());
            stream.write(padded);
            for (Weight w : weights) {
                try (Arena arena = Arena.ofConfined()) {
                    long elements = (long) w.rows() * w.cols();
                    if (w.kind() == Kind.NORM) {
                        MemorySegment norm = arena.allocate(4 * elements);
                        ones(norm, w.cols());
                        copy(norm, stream);
                    } else {
                        MemorySegment nibbles = arena.allocate(elements / 2);
                        Fixtures.randomBytes(nibbles, w.name().hashCode());
                        copy(nibbles, stream);
                        MemorySegment scales = arena.allocate(elements / 8, 4);
                        for (long i = 0; i < elements / 32; i++) {
                            scales.setAtIndex(ValueLayout.JAVA_FLOAT, i, 0.003f + 1e-6f * (i % 100));
                        }
                        copy(scales, stream);
                    }
                }
            }
        }
        Map<String, Integer> vocabularyOf = new LinkedHashMap<>();
        for (int i = 0; i < vocabulary; i++) {
            vocabularyOf.put(token(i), i);
        }
        Map<String, Object> model = new LinkedHashMap<>();
        model.put("type", "BPE");
        model.put("unk_token", "<unk>");
        model.put("byte_fallback", true);
        model.put("vocab", vocabularyOf);
        model.put("merges", List.of());
        Json.MAPPER.writeValue(directory.resolve("tokenizer.json").toFile(), Map.of("model", model));
        Json.MAPPER.writeValue(directory.resolve("config.json").toFile(), config());
        return directory;
    }

    private static Map<String, Object> tensor(String dtype, long offset, long bytes, int... shape) {
        Map<String, Object> tensor = new LinkedHashMap<>();
        tensor.put("dtype", dtype);
        tensor.put("shape", shape);
        tensor.put("data_offsets", new long[] {offset, offset + bytes});
        return tensor;
    }
}
