package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.memory.Dtype;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.TinyModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands on published checkpoints: every command takes one, and what is wrong with one is one line and exit code 3. */
final class PublishedCheckpointTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final SyntheticCheckpoint.Shape SMALL = SyntheticCheckpoint.Shape.SMALL;
    private static final String QKV = "model.layers.1.self_attn.qkv_proj";

    @TempDir
    private Path temporary;

    private Path text;

    @BeforeEach
    void writeText() throws IOException {
        text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(1, 1000));
    }

    private static JsonNode json(Captured run) throws IOException {
        assertThat(run.exit()).as(run.err()).isZero();
        return JSON.readTree(run.out());
    }

    private Captured perplexity(Path model, String... more) {
        String[] args = {
            "eval",
            "perplexity",
            model.toString(),
            "--text",
            text.toString(),
            "--context",
            "64",
            "--chunks",
            "2",
            "--json"
        };
        String[] all = Arrays.copyOf(args, args.length + more.length);
        System.arraycopy(more, 0, all, args.length, more.length);
        return Captured.run(all);
    }

    private Captured convert(Path model, String to, String out) {
        return Captured.run(
                "convert",
                model.toString(),
                "--to",
                to,
                "--out",
                temporary.resolve(out).toString(),
                "--json");
    }

    @Test
    void everyCommandTakesOne() throws IOException {
        Path model = new SyntheticCheckpoint(SMALL, 3, 1).write(temporary.resolve("m"));
        JsonNode inspected = json(Captured.run("inspect", model.toString(), "--json"));
        assertThat(inspected.get("kind").asText()).isEqualTo("quip_sharp");
        assertThat(inspected.get("linear_bits_per_weight").asDouble()).isBetween(3.0, 3.8);
        double perplexity = json(perplexity(model)).get("perplexity").asDouble();
        assertThat(perplexity).isGreaterThan(1);
        JsonNode generated = json(Captured.run(
                "generate", model.toString(), "--prompt", "w3 w4", "--max-tokens", "5", "--seed", "1", "--json"));
        assertThat(generated.get("prompt_tokens").asInt()).isEqualTo(2);

        JsonNode converted = json(convert(model, "gosset", "own"));
        assertThat(converted.get("linears").asInt()).isEqualTo(8);
        assertThat(json(perplexity(temporary.resolve("own"))).get("perplexity").asDouble())
                .isEqualTo(perplexity);
        assertThat(convert(temporary.resolve("own"), "quip-sharp", "back").exit())
                .isZero();
        assertThat(Files.mismatch(
                        model.resolve("model.safetensors"),
                        temporary.resolve("back").resolve("model.safetensors")))
                .isEqualTo(-1);
    }

    @Test
    void aTokenizerFromElsewhere() throws IOException {
        Path words = new SyntheticCheckpoint(SMALL, 2, 2).write(temporary.resolve("words"));
        Path model = new SyntheticCheckpoint(SMALL, 2, 2).writeWithoutTokenizer(temporary.resolve("m"));
        Captured without = perplexity(model);
        assertThat(without.exit()).isEqualTo(3);
        assertThat(without.errorLines()).hasSize(1);
        assertThat(without.errorLines().getFirst())
                .contains("tokenizer.json: no such file", "another directory for the tokenizer", "somebody/some-model");
        Captured with = perplexity(model, "--tokenizer", words.toString());
        assertThat(json(with).get("perplexity").asDouble())
                .isEqualTo(json(perplexity(words)).get("perplexity").asDouble());
        assertThat(with.err()).contains("tokenizer: " + words.resolve("tokenizer.json"));
        Captured wrong =
                perplexity(model, "--tokenizer", temporary.resolve("nowhere").toString());
        assertThat(wrong.exit()).isEqualTo(3);
    }

    @Test
    void quantizesWithATokenizerFromElsewhere() throws IOException {
        Path words = TinyModels.copy("llama", temporary.resolve("words"));
        Path model = TinyModels.copy("llama", temporary.resolve("m"));
        Files.delete(model.resolve("tokenizer.json"));
        Path out = temporary.resolve("q");
        String[] args = {
            "quantize",
            model.toString(),
            "--out",
            out.toString(),
            "--calibration",
            text.toString(),
            "--sequences",
            "4",
            "--context",
            "64",
            "--greedy-passes",
            "0"
        };
        assertThat(Captured.run(args).exit()).isEqualTo(3);
        String[] with = Arrays.copyOf(args, args.length + 2);
        with[args.length] = "--tokenizer";
        with[args.length + 1] = words.toString();
        assertThat(Captured.run(with).exit()).isZero();
        assertThat(Files.mismatch(out.resolve("tokenizer.json"), words.resolve("tokenizer.json")))
                .isEqualTo(-1);
    }

    private void refused(Consumer<SyntheticCheckpoint> damage, String... words) throws IOException {
        SyntheticCheckpoint c = new SyntheticCheckpoint(SMALL, 2, 3);
        damage.accept(c);
        Path model = c.write(temporary.resolve("bad"));
        refused(model, words);
    }

    private void refused(Path model, String... words) throws IOException {
        List<Path> before = files();
        for (Captured run : List.of(
                perplexity(model),
                convert(model, "gosset", "out"),
                Captured.run("inspect", model.toString()),
                Captured.run("generate", model.toString(), "--prompt", "w3"))) {
            assertThat(run.exit()).as(run.err()).isEqualTo(3);
            assertThat(run.out()).isEmpty();
            assertThat(run.errorLines()).as(run.err()).hasSize(1);
            assertThat(run.errorLines().getFirst()).startsWith("gosset: ").contains(words);
        }
        assertThat(files()).isEqualTo(before);
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> all = Files.walk(temporary)) {
            return all.sorted().toList();
        }
    }

    @Test
    void damagedCheckpoints() throws IOException {
        refused(c -> c.tensors.put(QKV + ".codebook_id", SyntheticCheckpoint.scalar(5)), QKV, "is 5, expected 7");
        refused(
                c -> c.tensors.put(QKV + ".Qidxs", SyntheticCheckpoint.zeros(Dtype.I64, 128, 4)),
                QKV + ".Qidxs",
                "[128, 4], expected [128, 2]");
        refused(c -> c.params.put("codebook_version", 3), "codebook_version: found 3, expected 1 or 0");
        refused(c -> c.tensors.remove(QKV + ".SV"), "has no tensor " + QKV + ".SV");
        refused(
                new SyntheticCheckpoint(new SyntheticCheckpoint.Shape(64, 192, 1, 16, 1, 96), 2, 4)
                        .write(temporary.resolve("m16")),
                "is 72 x 64, expected rows a multiple of 16");
        refused(
                new SyntheticCheckpoint(new SyntheticCheckpoint.Shape(64, 96, 1, 4, 2, 96), 2, 4)
                        .write(temporary.resolve("n64")),
                "is 64 x 96, expected rows a multiple of 16 and columns of 64");
        Path cut = new SyntheticCheckpoint(SMALL, 2, 5).write(temporary.resolve("cut"));
        byte[] all = Files.readAllBytes(cut.resolve("model.safetensors"));
        Files.write(cut.resolve("model.safetensors"), Arrays.copyOf(all, all.length / 2));
        refused(cut, "model.safetensors", "truncated");
    }

    @Test
    void historicOnesRun() throws IOException {
        Path model = new SyntheticCheckpoint(SMALL, E8p.INSTANCE, QidxsLayout.E8P_VERSION_0, 1.2, 6)
                .write(temporary.resolve("old"));
        assertThat(json(perplexity(model)).get("perplexity").asDouble()).isGreaterThan(1);
    }

    @Test
    void wrongUsageOfConvert() throws IOException {
        Path model = new SyntheticCheckpoint(SMALL, 2, 7).write(temporary.resolve("m"));
        assertThat(convert(model, "gguf", "x").exit()).isEqualTo(2);
        assertThat(convert(model, "quip-sharp", "x").exit()).isEqualTo(3);
        assertThat(convert(TinyModels.copy("llama", temporary.resolve("llama")), "gosset", "x")
                        .errorLines())
                .singleElement()
                .asString()
                .contains("is an original model with full weights");
        assertThat(temporary.resolve("x")).doesNotExist();
    }
}
