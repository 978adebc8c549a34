package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.llm.TinyModels;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every kind of bad input: exit code 3, one line that says what is wrong where, and nothing left behind. */
final class BadInputTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    private Path temporary;

    private Path model;
    private Path text;

    @BeforeEach
    void makeModel() throws IOException {
        model = TinyModels.copy("llama", temporary.resolve("model"));
        text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(1, 3000));
    }

    /** Quantizes, expecting bad input; {@code words} must stand in the one line of the error. */
    private void refused(String... words) throws IOException {
        Map<String, Long> before = files();
        Captured result = quantize();
        assertThat(result.exit()).as(result.err()).isEqualTo(3);
        assertThat(result.errorLines()).as(result.err()).hasSize(1);
        assertThat(result.errorLines().getFirst()).startsWith("gosset: ").contains(words);
        assertThat(files()).isEqualTo(before);
    }

    private Captured quantize(String... more) {
        String[] args = {
            "quantize",
            model.toString(),
            "--out",
            temporary.resolve("out").toString(),
            "--calibration",
            text.toString(),
            "--sequences",
            "8",
            "--context",
            "64",
            "--greedy-passes",
            "0"
        };
        String[] all = Arrays.copyOf(args, args.length + more.length);
        System.arraycopy(more, 0, all, args.length, more.length);
        return Captured.run(all);
    }

    private Map<String, Long> files() throws IOException {
        Map<String, Long> sizes = new TreeMap<>();
        try (Stream<Path> all = Files.walk(temporary)) {
            for (Path file : all.toList()) {
                sizes.put(temporary.relativize(file).toString(), Files.isDirectory(file) ? -1 : Files.size(file));
            }
        }
        return sizes;
    }

    private Path weights() {
        return model.resolve("model.safetensors");
    }

    /** Rewrites the header of the weights; the tensors' bytes stay. */
    private void editHeader(Consumer<ObjectNode> edit) throws IOException {
        ByteBuffer all = ByteBuffer.wrap(Files.readAllBytes(weights())).order(ByteOrder.LITTLE_ENDIAN);
        int length = (int) all.getLong(0);
        ObjectNode header = (ObjectNode) JSON.readTree(new String(all.array(), 8, length, StandardCharsets.UTF_8));
        edit.accept(header);
        byte[] json = JSON.writeValueAsBytes(header);
        ByteBuffer out = ByteBuffer.allocate(8 + json.length + all.capacity() - 8 - length)
                .order(ByteOrder.LITTLE_ENDIAN);
        out.putLong(json.length).put(json).put(all.array(), 8 + length, all.capacity() - 8 - length);
        Files.write(weights(), out.array());
    }

    private void editConfig(Consumer<ObjectNode> edit) throws IOException {
        Path file = model.resolve("config.json");
        ObjectNode config = (ObjectNode) JSON.readTree(file.toFile());
        edit.accept(config);
        JSON.writeValue(file.toFile(), config);
    }

    private static final String Q = "model.layers.1.self_attn.q_proj.weight";

    @Test
    void theModelItselfIsFine() {
        assertThat(quantize().exit()).isZero();
    }

    @Test
    void aMissingShard() throws IOException {
        model = TinyModels.copy("qwen2", temporary.resolve("sharded"));
        Files.delete(model.resolve("model-00002-of-00002.safetensors"));
        refused("model-00002-of-00002.safetensors");
    }

    @Test
    void aTruncatedShard() throws IOException {
        byte[] all = Files.readAllBytes(weights());
        Files.write(weights(), Arrays.copyOf(all, all.length - 100));
        refused("model.safetensors", "truncated");
    }

    @Test
    void aHeaderLongerThanTheFile() throws IOException {
        byte[] all = Files.readAllBytes(weights());
        ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).putLong(0, 1L << 50);
        Files.write(weights(), all);
        refused("model.safetensors", "header", String.valueOf(1L << 50));
    }

    @Test
    void aHeaderThatIsNoJson() throws IOException {
        byte[] all = Files.readAllBytes(weights());
        all[8] = '[';
        Files.write(weights(), all);
        refused("model.safetensors", "header");
    }

    @Test
    void overlappingOffsets() throws IOException {
        editHeader(h -> {
            ArrayNode offsets = (ArrayNode) h.get(Q).get("data_offsets");
            offsets.set(0, offsets.get(0).asLong() - 4096);
            offsets.set(1, offsets.get(1).asLong() - 4096);
        });
        refused("model.safetensors", "overlap");
    }

    @Test
    void offsetsOutOfTheFile() throws IOException {
        editHeader(h -> {
            ObjectNode last = (ObjectNode) h.get("model.norm.weight");
            last.putArray("shape").add(1_000_000_000L);
            ArrayNode offsets = (ArrayNode) last.get("data_offsets");
            offsets.set(1, offsets.get(0).asLong() + 4_000_000_000L);
        });
        refused("model.safetensors", "model.norm.weight");
    }

    @Test
    void anIntegerDtypeWhereWeightsAreExpected() throws IOException {
        editHeader(h -> ((ObjectNode) h.get(Q)).put("dtype", "I32"));
        refused(Q, "I32");
    }

    @Test
    void aDtypeNobodyKnows() throws IOException {
        editHeader(h -> ((ObjectNode) h.get(Q)).put("dtype", "F8_E9"));
        refused(Q, "F8_E9");
    }

    @Test
    void anotherShape() throws IOException {
        editHeader(h -> {
            ArrayNode shape = (ArrayNode) h.get(Q).get("shape");
            shape.set(0, 16);
            shape.set(1, 64);
        });
        refused(Q, "[16, 64]", "[32, 32]");
    }

    @Test
    void aTensorThatIsNotThere() throws IOException {
        editHeader(h -> h.set("some.other.name", h.remove(Q)));
        refused(Q);
    }

    @Test
    void notANumberAmongTheWeights() throws IOException {
        overwrite(Q, Float.NaN);
        refused(Q, "NaN");
    }

    @Test
    void infinityAmongTheWeights() throws IOException {
        overwrite("lm_head.weight", Float.NEGATIVE_INFINITY);
        refused("lm_head.weight", "Infinity");
    }

    private void overwrite(String tensor, float value) throws IOException {
        ByteBuffer all = ByteBuffer.wrap(Files.readAllBytes(weights())).order(ByteOrder.LITTLE_ENDIAN);
        int length = (int) all.getLong(0);
        int begin = JSON.readTree(new String(all.array(), 8, length, StandardCharsets.UTF_8))
                .get(tensor)
                .get("data_offsets")
                .get(0)
                .intValue();
        all.putFloat(8 + length + begin + 44, value);
        Files.write(weights(), all.array());
    }

    @Test
    void noTokenizer() throws IOException {
        Files.delete(model.resolve("tokenizer.json"));
        refused("tokenizer.json");
    }

    @Test
    void aTokenizerThatIsNone() throws IOException {
        Files.writeString(model.resolve("tokenizer.json"), "{\"model\": 5}");
        refused("tokenizer.json");
    }

    @Test
    void anUnknownArchitecture() throws IOException {
        editConfig(c -> {
            c.putArray("architectures").add("MambaForCausalLM");
            c.put("model_type", "mamba");
        });
        refused("Mamba", "Llama");
    }

    @Test
    void aConfigThatContradictsTheTensors() throws IOException {
        editConfig(c -> c.put("intermediate_size", 80));
        refused("80", "72");
    }

    @Test
    void aConfigThatContradictsItself() throws IOException {
        editConfig(c -> c.put("num_key_value_heads", 3));
        refused("config.json", "num_key_value_heads", "3");
    }

    @Test
    void aConfigThatIsNoJson() throws IOException {
        Files.writeString(model.resolve("config.json"), "hidden_size: 32");
        refused("config.json");
    }

    @Test
    void noConfig() throws IOException {
        Files.delete(model.resolve("config.json"));
        refused("config.json");
    }

    @Test
    void noModel() throws IOException {
        model = temporary.resolve("nowhere");
        refused("nowhere");
    }

    @Test
    void aCalibrationTextThatIsTooShort() throws IOException {
        Files.writeString(text, TinyModels.text(1, 300));
        refused("text.txt", "too short", "300 tokens");
    }

    @Test
    void aCalibrationTextThatIsNoText() throws IOException {
        Files.write(text, new byte[] {(byte) 0xff, (byte) 0xfe, 0, 1});
        refused("text.txt", "UTF-8");
    }

    @Test
    void noCalibrationText() throws IOException {
        text = temporary.resolve("absent.txt");
        refused("absent.txt");
    }

    @Test
    void anOutputDirectoryThatHoldsSomething() throws IOException {
        Files.createDirectory(temporary.resolve("out"));
        Files.writeString(temporary.resolve("out/precious"), "data");
        refused("out", "not empty");
    }

    @Test
    void aModelThatIsQuantizedAlready() throws IOException {
        assertThat(quantize().exit()).isZero();
        model = Files.move(temporary.resolve("out"), temporary.resolve("quantized"));
        refused("quantized", "original");
    }

    @Test
    void aDamagedWeightFile() throws IOException {
        assertThat(quantize().exit()).isZero();
        Path file = temporary.resolve("out/weights.arrow");
        byte[] all = Files.readAllBytes(file);
        Files.write(file, Arrays.copyOf(all, all.length / 2));
        Captured result =
                Captured.run("eval", "perplexity", temporary.resolve("out").toString(), "--text", text.toString());
        assertThat(result.exit()).isEqualTo(3);
        assertThat(result.errorLines()).hasSize(1);
        assertThat(result.errorLines().getFirst()).contains("weights.arrow");
    }

    @Test
    void aTextTooShortToMeasure() throws IOException {
        Files.writeString(text, "w3 w4");
        Captured result =
                Captured.run("eval", "perplexity", model.toString(), "--text", text.toString(), "--context", "64");
        assertThat(result.exit()).isEqualTo(3);
        assertThat(result.errorLines()).hasSize(1);
        assertThat(result.errorLines().getFirst()).contains("text.txt", "too short");
    }

    @Test
    void questionsThatAreNone() throws IOException {
        Path task = Files.writeString(
                temporary.resolve("task.jsonl"),
                "{\"context\": \"w3\", \"choices\": [\"w4\", \"w5\"], \"answer\": 1}\n{\"context\": \"w3\"}\n");
        Captured result = Captured.run("eval", "choice", model.toString(), "--task", task.toString());
        assertThat(result.exit()).isEqualTo(3);
        assertThat(result.errorLines()).hasSize(1);
        assertThat(result.errorLines().getFirst()).contains("task.jsonl", "line 2");
    }

    @Test
    void chatWithoutATemplate() {
        Captured result = Captured.run("chat", model.toString());
        assertThat(result.exit()).isEqualTo(3);
        assertThat(result.errorLines()).hasSize(1);
        assertThat(result.errorLines().getFirst()).contains("template");
    }

    /** A file system with too little room, where one can be had. */
    @Test
    void aDiskThatIsFull() throws IOException, InterruptedException {
        Path small = Files.createDirectory(temporary.resolve("small"));
        org.junit.jupiter.api.Assumptions.assumeTrue(
                mount(small), "no right to mount a small tmpfs: the full disk is tested in core with a failing writer");
        try {
            Captured result = Captured.run(
                    "quantize",
                    model.toString(),
                    "--out",
                    small.resolve("out").toString(),
                    "--calibration",
                    text.toString(),
                    "--sequences",
                    "8",
                    "--context",
                    "64");
            assertThat(result.exit()).as(result.err()).isEqualTo(3);
            assertThat(result.errorLines()).as(result.err()).hasSize(1);
            assertThat(result.errorLines().getFirst()).contains("free", "bytes");
            assertThat(small.toFile().list()).isEmpty();
        } finally {
            new ProcessBuilder("umount", small.toString()).start().waitFor();
        }
    }

    private static boolean mount(Path directory) throws InterruptedException {
        try {
            return new ProcessBuilder("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory.toString())
                            .redirectErrorStream(true)
                            .start()
                            .waitFor()
                    == 0;
        } catch (IOException e) {
            return false;
        }
    }

    /** Changes one byte of a tensor of a Gosset model. */
    private static void damage(Path gosset, String tensor) throws IOException {
        Path file = gosset.resolve("weights.arrow");
        long at;
        try (Arena arena = Arena.ofConfined()) {
            WeightFile weights = WeightFile.open(file, arena);
            at = weights.get(tensor).tensor().data().address() - weights.map().address();
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            channel.read(one, at);
            channel.write(ByteBuffer.wrap(new byte[] {(byte) (one.get(0) ^ 4)}), at);
        }
    }

    private static void badInput(Captured result, String... words) {
        assertThat(result.exit()).as(result.err()).isEqualTo(3);
        assertThat(result.errorLines()).as(result.err()).hasSize(1);
        assertThat(result.errorLines().getFirst()).startsWith("gosset: ").contains(words);
    }

    @Test
    void tensorsWhoseBytesChangedAfterTheyWereWritten() throws IOException {
        quantize();
        String out = temporary.resolve("out").toString();
        Captured whole = Captured.run("inspect", out, "--verify", "--brief");
        assertThat(whole.exit()).as(whole.err()).isZero();
        assertThat(whole.out()).contains("all 55 tensors of the file have their checksums");
        badInput(Captured.run("inspect", model.toString(), "--verify"), "--verify", "no checksums");

        damage(Path.of(out), "model.embed_tokens.weight");
        badInput(Captured.run("inspect", out, "--verify"), "1 of 55", "'model.embed_tokens.weight'");
        damage(Path.of(out), "model.layers.1.mlp.down_proj.codes");
        badInput(Captured.run("generate", out, "--prompt", "w5", "--max-tokens", "2"), "is damaged");
        badInput(
                Captured.run("inspect", out, "--verify", "--json"),
                "2 of 55",
                "'model.embed_tokens.weight', 'model.layers.1.mlp.down_proj.codes'");
    }
}
