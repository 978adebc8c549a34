package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.llm.DirectoryContent;
import dev.gosset.llm.TinyModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands on a tiny model: what they print, and how they end. */
final class CommandsTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    private Path temporary;

    private Path model;
    private Path text;

    @BeforeEach
    void makeModel() throws Exception {
        model = TinyModels.copy("qwen2", temporary.resolve("model"));
        text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(3, 3000));
    }

    private static JsonNode json(Captured run) throws Exception {
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(run.out().lines().toList())
                .as("one JSON object and nothing else")
                .hasSize(1);
        return JSON.readTree(run.out());
    }

    @Test
    void quantizeInspectEvaluateGenerate() throws Exception {
        Path out = temporary.resolve("out");
        Path report = temporary.resolve("report.json");
        JsonNode quantized = json(Captured.run(
                "quantize",
                model.toString(),
                "--bits",
                "3",
                "--out",
                out.toString(),
                "--calibration",
                text.toString(),
                "--sequences",
                "8",
                "--context",
                "64",
                "--seed",
                "4",
                "--report",
                report.toString(),
                "--threads",
                "2",
                "--json"));
        assertThat(quantized.get("codebook").asText()).isEqualTo("E8P12RVQ3B");
        JsonNode reported = JSON.readTree(report.toFile());
        assertThat(reported.get("linears")).hasSize(8);
        assertThat(reported.get("linears").get(0).get("name").asText()).isEqualTo("model.layers.0.self_attn.qkv_proj");
        assertThat(reported.get("mean_proxy_error").asDouble())
                .isEqualTo(quantized.get("mean_proxy_error").asDouble());

        JsonNode inspected = json(Captured.run("inspect", out.toString(), "--json"));
        assertThat(inspected.get("kind").asText()).isEqualTo("gosset");
        assertThat(inspected.get("linear_bits_per_weight").asDouble())
                .isEqualTo(quantized.get("bits_per_weight").asDouble());
        JsonNode original = json(Captured.run("inspect", model.toString(), "--json"));
        // What was said before is what it then takes.
        assertThat(original.get("quantized").get(1).get("bytes").asLong())
                .isBetween(
                        inspected.get("bytes").asLong(), inspected.get("bytes").asLong() + (1 << 21));
        assertThat(original.get("parameters").asLong())
                .isEqualTo(inspected.get("parameters").asLong());
        assertThat(original.get("kind").asText()).isEqualTo("original");

        for (Path each : List.of(model, out)) {
            JsonNode perplexity = json(Captured.run(
                    "eval", "perplexity", each.toString(), "--text", text.toString(), "--context", "64", "--json"));
            assertThat(perplexity.get("perplexity").asDouble()).isGreaterThan(5).isFinite();
            assertThat(perplexity.get("chunks").asInt()).isEqualTo(46);
            JsonNode one = json(Captured.run(
                    "generate", each.toString(), "--prompt", "w5 w6", "--max-tokens", "9", "--seed", "2", "--json"));
            JsonNode same = json(Captured.run(
                    "generate",
                    each.toString(),
                    "--prompt",
                    "w5 w6",
                    "--max-tokens",
                    "9",
                    "--seed",
                    "2",
                    "--json",
                    "--threads",
                    "1"));
            assertThat(one.get("tokens").asInt()).isPositive();
            assertThat(same.get("text")).isEqualTo(one.get("text"));
        }
    }

    /** One command and nothing else; what the model wrote serves the next run too. */
    @Test
    void quantizeWithoutAText() throws Exception {
        Path results = Files.createDirectory(temporary.resolve("results"));
        Path written = null;
        long time = 0;
        for (String bits : List.of("2", "4")) {
            json(Captured.run(
                    "quantize",
                    model.toString(),
                    "--bits",
                    bits,
                    "--out",
                    results.resolve(bits).toString(),
                    "--sequences",
                    "6",
                    "--context",
                    "32",
                    "--json"));
            try (var files = Files.list(results)) {
                List<Path> kept = files.filter(Files::isRegularFile).toList();
                assertThat(kept).hasSize(1);
                assertThat(written == null || written.equals(kept.getFirst())).isTrue();
                written = kept.getFirst();
            }
            assertThat(time == 0 || time == Files.getLastModifiedTime(written).toMillis())
                    .isTrue();
            time = Files.getLastModifiedTime(written).toMillis();
        }
        Captured again = Captured.run(
                "quantize",
                model.toString(),
                "--bits",
                "2",
                "--out",
                results.resolve("2").toString(),
                "--sequences",
                "6",
                "--context",
                "32",
                "--resume");
        assertThat(again.exit()).as(again.err()).isZero();
    }

    /** Each draw is what a run of its own with its seed is, and nothing but the first stays. */
    @Test
    void drawsAreMeasuredAgainstTheOriginal() throws Exception {
        Path results = Files.createDirectory(temporary.resolve("draws"));
        Path report = temporary.resolve("draws.json");
        JsonNode both = json(Captured.run(quantizing(
                results.resolve("first"), "--seed", "5", "--draws", "2", "--report", report.toString(), "--json")));
        JsonNode second =
                json(Captured.run(quantizing(results.resolve("second"), "--seed", "6", "--draws", "1", "--json")));
        JsonNode measured = json(Captured.run(
                "eval",
                "divergence",
                results.resolve("first").toString(),
                "--teacher",
                model.toString(),
                "--text",
                text.toString(),
                "--context",
                "32",
                "--chunks",
                "5",
                "--json"));
        JsonNode each = both.get("draws").get("each");
        assertThat(each).hasSize(2);
        for (String name : List.of("kl", "kl_error", "top1_agreement", "perplexity", "teacher_perplexity")) {
            assertThat(both.get(name))
                    .as(name)
                    .isEqualTo(measured.get(name))
                    .isEqualTo(each.get(0).get(name));
            assertThat(second.get(name)).as(name).isEqualTo(each.get(1).get(name));
        }
        assertThat(each.get(1).get("seed").asLong()).isEqualTo(6);
        assertThat(second.get("draws")).isNull();
        double first = both.get("kl").asDouble();
        double other = second.get("kl").asDouble();
        assertThat(first).isPositive().isNotEqualTo(other);
        JsonNode kl = both.get("draws").get("kl");
        assertThat(kl.get("mean").asDouble()).isCloseTo((first + other) / 2, within(1e-12));
        assertThat(kl.get("min").asDouble()).isEqualTo(Math.min(first, other));
        assertThat(kl.get("max").asDouble()).isEqualTo(Math.max(first, other));
        JsonNode reported = JSON.readTree(report.toFile());
        assertThat(reported.get("linears")).hasSize(8);
        assertThat(reported.get("evaluation").get("draws")).isEqualTo(both.get("draws"));
        assertThat(DirectoryContent.names(results)).containsExactly("first", "second");
        Captured people = Captured.run(quantizing(results.resolve("third"), "--seed", "5", "--draws", "2"));
        assertThat(people.out()).contains("seed 6: KL ", "2 draws: KL ");
    }

    private String[] quantizing(Path out, String... more) {
        List<String> command = new ArrayList<>(List.of(
                "quantize",
                model.toString(),
                "--out",
                out.toString(),
                "--calibration",
                text.toString(),
                "--sequences",
                "4",
                "--context",
                "32",
                "--eval-text",
                text.toString(),
                "--eval-chunks",
                "5"));
        command.addAll(List.of(more));
        return command.toArray(String[]::new);
    }

    /** Texts to tune on are read as those to calibrate on are. */
    @Test
    void tunesOnManyTextsOfEveryKind() throws Exception {
        Path folder = Files.createDirectories(temporary.resolve("texts"));
        String whole = Files.readString(text);
        int half = whole.indexOf(' ', whole.length() / 2);
        Path plain = Files.writeString(temporary.resolve("a.txt"), whole.substring(0, half));
        Path lines = folder.resolve("b.jsonl.gz");
        try (var out = new GZIPOutputStream(Files.newOutputStream(lines))) {
            out.write(JSON.writeValueAsBytes(Map.of("text", whole.substring(half))));
        }
        Path quantized = temporary.resolve("quantized-to-tune");
        json(Captured.run(
                "quantize",
                model.toString(),
                "--out",
                quantized.toString(),
                "--calibration",
                text.toString(),
                "--sequences",
                "4",
                "--context",
                "32",
                "--json"));
        List<byte[]> results = new ArrayList<>();
        // The halves hold 60 or more sequences together, but not alone.
        for (Path second : List.of(folder, lines)) {
            Path out = temporary.resolve("tuned" + results.size());
            JsonNode tuned = json(Captured.run(
                    "finetune",
                    quantized.toString(),
                    "--teacher",
                    model.toString(),
                    "--text",
                    plain.toString(),
                    "--text",
                    second.toString(),
                    "--skip",
                    "50",
                    "--sequences",
                    "10",
                    "--context",
                    "32",
                    "--epochs",
                    "1",
                    "--out",
                    out.toString(),
                    "--json"));
            assertThat(tuned.get("steps").asInt()).isEqualTo(4);
            results.add(Files.readAllBytes(out.resolve("weights.arrow")));
        }
        assertThat(results.get(0)).isEqualTo(results.get(1));
        Captured alone = Captured.run(
                "finetune",
                quantized.toString(),
                "--teacher",
                model.toString(),
                "--text",
                plain.toString(),
                "--skip",
                "50",
                "--sequences",
                "10",
                "--context",
                "32",
                "--out",
                temporary.resolve("none").toString());
        assertThat(alone.exit()).isEqualTo(3);
        assertThat(alone.err()).contains("text too short");
    }

    @Test
    void divergenceIsOfAModelFromItsTeacher() throws Exception {
        Path student = TinyModels.copy("llama", temporary.resolve("student"));
        String[] command = {
            "eval",
            "divergence",
            student.toString(),
            "--text",
            text.toString(),
            "--context",
            "64",
            "--chunks",
            "3",
            "--json"
        };
        JsonNode self = json(Captured.run(with(command, "--teacher", student.toString())));
        assertThat(self.get("kl").asDouble()).isZero();
        assertThat(self.get("kl_error").asDouble()).isZero();
        assertThat(self.get("top1_agreement").asDouble()).isEqualTo(1);
        assertThat(self.get("perplexity")).isEqualTo(self.get("teacher_perplexity"));
        assertThat(self.get("tokens").asInt()).isEqualTo(3 * 64);

        Path teacher = TinyModels.copy("llama-linear", temporary.resolve("teacher"));
        // A published checkpoint has no tokenizer of its own.
        Files.delete(student.resolve("tokenizer.json"));
        JsonNode other = json(Captured.run(with(command, "--teacher", teacher.toString())));
        assertThat(other.get("kl").asDouble()).isGreaterThan(0);
        assertThat(other.get("kl_error").asDouble()).isGreaterThan(0);
        Path words = teacher.resolve("tokenizer.json");
        Files.copy(words, student.resolve("tokenizer.json"));
        Files.writeString(words, Files.readString(words).replace("\"w7\"", "\"v7\""));
        Captured refused = Captured.run(with(command, "--teacher", teacher.toString()));
        assertThat(refused.exit()).isEqualTo(3);
        assertThat(refused.err()).contains("token 7 is 'v7'");
        refused = Captured.run(with(command, "--teacher", model.toString()));
        assertThat(refused.exit()).isEqualTo(3);
        assertThat(refused.err().lines().filter(l -> l.startsWith("gosset:")))
                .hasSize(1)
                .allMatch(l -> l.contains("vocabulary of 100"));
    }

    @Test
    void choiceCountsRightAnswers() throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int answer : new int[] {0, 1}) {
            lines.append("{\"context\": \"w3 w9\", \"choices\": [\" w4\", \" w5 w6\"], \"answer\": ")
                    .append(answer)
                    .append("}\n");
        }
        Path task = Files.writeString(temporary.resolve("task.jsonl"), lines);
        JsonNode result = json(Captured.run("eval", "choice", model.toString(), "--task", task.toString(), "--json"));
        assertThat(result.get("questions").asInt()).isEqualTo(2);
        assertThat(result.get("accuracy").asDouble())
                .as("the same question, both answers")
                .isEqualTo(0.5);
        assertThat(result.get("normalized_accuracy").asDouble()).isEqualTo(0.5);
    }

    @Test
    void chatAnswersInTheModelsTemplate() throws Exception {
        Files.writeString(
                model.resolve("tokenizer_config.json"),
                "{\"chat_template\": \"{% for m in messages %}{{ m['content'] }} {% endfor %}w7\"}");
        Captured run = Captured.withInput(
                "w10 w11\n/reset\nw12\n/quit\n",
                "chat",
                model.toString(),
                "--max-tokens",
                "5",
                "--temperature",
                "0",
                "--json");
        assertThat(run.exit()).as(run.err()).isZero();
        List<String> answers = run.out().lines().toList();
        assertThat(answers).hasSize(2);
        assertThat(JSON.readTree(answers.get(0)).get("prompt_tokens").asInt()).isEqualTo(3);
        assertThat(JSON.readTree(answers.get(1)).get("prompt_tokens").asInt()).isEqualTo(2);
    }

    @Test
    void generateFulfilsASchema() throws Exception {
        TinyModels.writeCharacters(model, 150, null);
        Path schema = temporary.resolve("schema.json");
        Files.writeString(
                schema,
                "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\", \"minimum\": 5, \"maximum\": 40},"
                        + " \"b\": {\"enum\": [\"x\", null]}}, \"required\": [\"a\", \"b\"]}");
        String[] command = {
            "generate", model.toString(), "--prompt", "hi", "--seed", "7", "--json", "--schema", schema.toString()
        };
        JsonNode answer = json(Captured.run(command));
        assertThat(answer.get("end").textValue()).isEqualTo("stop");
        JsonNode written = JSON.readTree(answer.get("text").textValue());
        assertThat(written.get("a").intValue()).isBetween(5, 40);
        assertThat(written.get("b").asText()).isIn("x", "null");
        Files.writeString(schema, "{\"type\": \"string\", \"format\": \"email\"}");
        Captured refused = Captured.run(command);
        assertThat(refused.exit()).isEqualTo(3);
        assertThat(refused.err()).contains("schema.json").contains("/format").hasLineCount(1);
    }

    @Test
    void generateStopsAtATextAndTellsProbabilities() throws Exception {
        String[] plain = {
            "generate", model.toString(), "--prompt", "w3 w4", "--max-tokens", "9", "--seed", "3", "--json"
        };
        JsonNode free = json(Captured.run(plain));
        assertThat(free.get("sampling").get("temperature").asDouble()).isEqualTo(0.8);
        assertThat(free.has("logprobs")).isFalse();
        String text = free.get("text").asText();
        String stop = text.strip().split(" ")[3];
        JsonNode stopped = json(Captured.run(with(plain, "--stop", "never", "--stop", stop, "--logprobs", "2")));
        assertThat(stopped.get("text").asText()).isEqualTo(text.substring(0, text.indexOf(stop)));
        assertThat(stopped.get("end").asText()).isEqualTo("stop_string");
        JsonNode first = stopped.get("logprobs").get(0);
        assertThat(first.get("top")).hasSize(2);
        assertThat(first.get("logprob").asDouble()).isNegative();
        assertThat(first.get("token").asText()).isEqualTo(text.strip().split(" ")[0]);
    }

    /** What the model's makers recommend counts where no flag says otherwise, and is told. */
    @Test
    void generationConfigGivesWhatFlagsDoNot() throws Exception {
        Path file = model.resolve("generation_config.json");
        String[] command = {"generate", model.toString(), "--prompt", "w3 w4", "--max-tokens", "3", "--json"};
        try {
            Files.writeString(file, "{\"do_sample\": false, \"top_k\": 7, \"repetition_penalty\": 1.5}");
            JsonNode own = json(Captured.run(command)).get("sampling");
            assertThat(own.get("temperature").asDouble()).isZero();
            assertThat(own.get("top_k").asInt()).isEqualTo(7);
            assertThat(own.get("repetition_penalty").asDouble()).isEqualTo(1.5);
            JsonNode said = json(Captured.run(with(
                            command,
                            "--temperature",
                            "0.5",
                            "--repetition-penalty",
                            "1",
                            "--min-p",
                            "0.1",
                            "--presence-penalty",
                            "0.2",
                            "--frequency-penalty",
                            "0.3")))
                    .get("sampling");
            assertThat(said.get("temperature").asDouble()).isEqualTo(0.5);
            assertThat(said.get("repetition_penalty").asDouble()).isEqualTo(1);
            assertThat(said.get("min_p").asDouble()).isEqualTo(0.1);
            assertThat(said.get("presence_penalty").asDouble()).isEqualTo(0.2);
            assertThat(said.get("frequency_penalty").asDouble()).isEqualTo(0.3);
        } finally {
            Files.deleteIfExists(file);
        }
    }

    private static String[] with(String[] command, String... more) {
        String[] all = Arrays.copyOf(command, command.length + more.length);
        System.arraycopy(more, 0, all, command.length, more.length);
        return all;
    }

    @Test
    void doctorKnowsTheJvm() throws Exception {
        JsonNode facts = json(Captured.run("doctor", "--json"));
        assertThat(facts.get("kernels").asText()).contains("chosen");
        assertThat(facts.get("blas").asText()).contains("OpenBLAS");
        assertThat(Captured.run("doctor").out()).contains("simd");
    }

    @Test
    void benchMeasuresKernelsAndAModel(@TempDir Path folder) throws Exception {
        Path chart = folder.resolve("model.svg");
        JsonNode fields = json(Captured.run(
                "bench", "--json", "--milliseconds", "1", "--model", model.toString(), "--chart", chart.toString()));
        assertThat(Files.readString(chart))
                .contains("decode, batch 16", "no CUDA")
                .endsWith("</svg>\n");
        assertThat(fields.get("kernels")).isNotEmpty();
        assertThat(fields.get("figures"))
                .hasSize(5 + 12 + 3)
                .allMatch(f -> f.get("per_second").asDouble() > 0)
                .noneMatch(f -> f.has("gpu_per_second"));
        assertThat(fields.get("gpu").asText()).startsWith("no CUDA");
        JsonNode models = fields.get("model_figures");
        assertThat(models).hasSize(1 + 3 + 1);
        for (int i = 0; i < 4; i++) {
            assertThat(models.get(i).get("device").asText()).isEqualTo("cpu");
            assertThat(models.get(i).get("tokens_per_second").asDouble()).isPositive();
        }
        assertThat(models.get(3).get("batch").asInt()).isEqualTo(16);
        assertThat(models.get(3).get("bytes_per_token").asDouble()).isPositive();
        assertThat(models.get(4).get("not_measured").asText()).startsWith("no CUDA");
        assertThat(Captured.run("bench", "--milliseconds", "1").out())
                .contains("transform", "11008 x 4096 batch 8", "encode", "of reading", "gpu: no CUDA");
    }

    @Test
    void wrongUsageEndsWithTwo() {
        for (String[] args : new String[][] {
            {},
            {"quantise"},
            {"quantize", model.toString()},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--bits", "5"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--bits", "2", "--codebook", "E8P12RVQ4B"
            },
            {"generate", model.toString(), "--prompt", "x", "--temperature", "-1"},
            {"generate", model.toString(), "--prompt", "x", "--min-p", "2"},
            {"generate", model.toString(), "--prompt", "x", "--repetition-penalty", "0"},
            {"generate", model.toString(), "--prompt", "x", "--stop", ""},
            {"generate", model.toString(), "--prompt", "x", "--logprobs", "2"},
            {"chat", model.toString(), "--json", "--logprobs", "-2"},
            {"generate", model.toString(), "--prompt", "x", "--device", "cuda:x"},
            {"generate", model.toString(), "--prompt", "x", "--head", "int4"},
            {"generate", model.toString(), "--prompt", "x", "--cache", "bf16"},
            {"generate", model.toString(), "--prompt", "x", "--threads", "0"},
            {"eval"},
            {"bench", "--milliseconds", "0"},
            {"bench", "--shapes", "64by64"},
            {"bench", "--sizes", "0"},
            {"bench", "--chart", "x.svg"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--devices", "2"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--search", "nearest", "--beam", "4"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--beam", "0"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--draws", "2"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--eval-chunks", "2"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--eval-text", "t", "--draws", "0"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--beam", "65"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--search", "beam", "--device", "cuda"},
            {"quantize", model.toString(), "--out", "x", "--calibration", "t", "--codebook", "D4", "--beam", "4"},
            {"quantize", model.toString(), "--out", "x", "--hessian", "two-sided", "--hessians", "h"},
            {"quantize", model.toString(), "--out", "x", "--hessian", "two-sided", "--rescale"},
            {"quantize", model.toString(), "--out", "x", "--hessian", "two-sided", "--greedy-passes", "1"},
            {"quantize", model.toString(), "--out", "x", "--hessian", "two-sided", "--device", "cuda"},
            {"quantize", model.toString(), "--out", "x", "--hessian", "both"},
        }) {
            Captured run = Captured.run(args);
            assertThat(run.exit()).as(String.join(" ", args) + run.err()).isEqualTo(2);
            assertThat(run.err()).startsWith("gosset: ");
            assertThat(run.out()).isEmpty();
        }
    }

    /** The tests' JVM is not told of a CUDA library, so that there is no device on any machine. */
    @Test
    void aForcedDeviceThatIsNotThereEndsWithFour() throws Exception {
        String reason = json(Captured.run("doctor", "--json")).get("cuda").asText();
        assertThat(reason)
                .startsWith("no CUDA: libgosset_cuda.so was not found")
                .contains("`make native` builds it");
        for (String[] args : new String[][] {
            {"generate", model.toString(), "--prompt", "x", "--device", "cuda"},
            {"chat", model.toString(), "--device", "cuda:1"},
            {"eval", "perplexity", model.toString(), "--text", text.toString(), "--device", "cuda"},
        }) {
            Captured run = Captured.run(args);
            assertThat(run.exit()).as(String.join(" ", args) + run.err()).isEqualTo(4);
            assertThat(run.err()).startsWith("gosset: cuda:").contains(reason);
            assertThat(run.err().strip()).doesNotContain("\n");
            assertThat(run.out()).isEmpty();
        }
        Captured unknown = Captured.run("generate", model.toString(), "--prompt", "x", "--device", "tpu");
        assertThat(unknown.exit()).as(unknown.err()).isEqualTo(4);
        assertThat(unknown.err()).contains("tpu:0: this program has no such backend, only cpu, cuda");
    }

    @Test
    void helpIsCompleteAndEndsWithZero() {
        Captured run = Captured.run("--help");
        assertThat(run.exit()).isZero();
        assertThat(run.out())
                .contains("demo", "quantize", "hessian", "eval", "generate", "chat", "inspect", "bench", "doctor");
        Captured quantize = Captured.run("quantize", "--help");
        assertThat(quantize.exit()).isZero();
        assertThat(quantize.out()).contains("--bits", "--resume", "--report", "--calibration", "--codebook");
    }
}
