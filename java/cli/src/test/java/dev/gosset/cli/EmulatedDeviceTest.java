package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.cli.demo.DemoModel;
import dev.gosset.cli.demo.SmallWorld;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.Emulation;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.device.ExactModel;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands with {@code --device cuda} on the bundled model, on the emulation: not yet run on a device. */
class EmulatedDeviceTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long MEMORY = 4L << 30;

    @TempDir
    private static Path temporary;

    private static List<String> quantizing;
    private static String original;
    private static String model;
    private static String text;
    private static String questions;

    @BeforeAll
    static void quantize() throws Exception {
        original = DemoModel.copyTo(temporary.resolve("original")).toString();
        Path calibration = Files.writeString(temporary.resolve("calibration.txt"), SmallWorld.text(5, 60));
        model = temporary.resolve("2bit").toString();
        text = Files.writeString(temporary.resolve("text.txt"), SmallWorld.text(SmallWorld.FIRST_HELD_OUT_SEED, 12))
                .toString();
        questions = Files.writeString(temporary.resolve("questions.jsonl"), """
                        {"context": "The fox is", "choices": [" red.", " in the barn."], "answer": 0}
                        """).toString();
        quantizing = List.of(
                "quantize",
                original,
                "--calibration",
                calibration.toString(),
                "--sequences",
                "8",
                "--context",
                "128",
                "--search",
                "nearest",
                "--greedy-passes",
                "0",
                "--json");
        Captured run = onCpu(with(quantizing, "--out", model));
        assertThat(run.exit()).as(run.err()).isZero();
    }

    private static JsonNode json(Captured run) throws Exception {
        assertThat(run.exit()).as(run.err()).isZero();
        return JSON.readTree(run.out());
    }

    private static List<String> with(List<String> command, String... more) {
        List<String> all = new ArrayList<>(command);
        all.addAll(List.of(more));
        return all;
    }

    private static Captured onCpu(List<String> command) {
        return Captured.run(command.toArray(String[]::new));
    }

    /** One {@code generate}. */
    private record Generation(String model, String prompt, Sampling sampling, int tokens) {
        List<String> command() {
            return List.of(
                    "generate",
                    model,
                    "--prompt",
                    prompt,
                    "--max-tokens",
                    Integer.toString(tokens),
                    "--temperature",
                    Double.toString(sampling.temperature()),
                    "--top-k",
                    Integer.toString(sampling.topK()),
                    "--top-p",
                    Double.toString(sampling.topP()),
                    "--seed",
                    Long.toString(sampling.seed()),
                    "--json");
        }

        /**
         * The texts of the processor and of the device begin with the words that rounding leaves no choice about.
         *
         * @return the number of their tokens
         */
        int compare(JsonNode processor, JsonNode device) {
            try (ThreadTeam team = new ThreadTeam(2);
                    LanguageModel opened = LanguageModel.open(Path.of(model), team)) {
                int own = decided(processor, opened, ExactModel.relativeError(opened.model()), team);
                return Math.min(own, decided(device, opened, Emulation.RELATIVE_ERROR, team));
            }
        }

        private int decided(JsonNode found, LanguageModel opened, double relativeError, ThreadTeam team) {
            int[] tokens = opened.tokenizer().encode(prompt, true);
            try (ExactModel exact = new ExactModel(Path.of(model), team, relativeError, true)) {
                List<Integer> decided = exact.decided(tokens, sampling, this.tokens, Set.of());
                Tokenizer.Stream stream = opened.tokenizer().streamAfter(tokens);
                StringBuilder text = new StringBuilder();
                decided.forEach(token -> text.append(stream.next(token)));
                assertThat(found.get("text").asText()).as(prompt).startsWith(text.toString());
                assertThat(found.get("prompt_tokens").asInt()).isEqualTo(tokens.length);
                return decided.size();
            }
        }
    }

    @Test
    @Tag("width")
    void theSameTextAndFiguresAsTheProcessor() throws Exception {
        List<Generation> generations = List.of(
                new Generation(model, "User: Hello", Sampling.greedy(), 12),
                new Generation(model, "What is 2 + 2?", Sampling.of(0.8, 0, 1, 5), 12),
                new Generation(original, "User: Hello", Sampling.of(0.8, 9, 1, 0), 6));
        List<List<String>> figures = List.of(
                List.of("eval", "perplexity", model, "--text", text, "--context", "64", "--chunks", "1", "--json"),
                List.of("eval", "perplexity", original, "--text", text, "--context", "32", "--chunks", "1", "--json"),
                List.of("eval", "choice", model, "--task", questions, "--json"));
        List<List<String>> commands = new ArrayList<>();
        generations.forEach(g -> commands.add(with(g.command(), "--device", "cuda")));
        figures.forEach(c -> commands.add(with(c, "--device", "cuda:0")));
        commands.add(List.of("doctor", "--json"));
        EmulatedGosset.Outcome outcome = EmulatedGosset.run(MEMORY, commands);
        assertThat(outcome.live()).as("objects of the runtime that are alive").isZero();
        int decided = 0;
        for (int i = 0; i < generations.size(); i++) {
            Generation generation = generations.get(i);
            decided += generation.compare(
                    json(onCpu(generation.command())), json(outcome.runs().get(i)));
        }
        assertThat(decided)
                .as("tokens of 30 that rounding leaves no choice about")
                .isGreaterThan(14);
        for (int i = 0; i < figures.size(); i++) {
            JsonNode expected = json(onCpu(figures.get(i)));
            JsonNode found = json(outcome.runs().get(generations.size() + i));
            if (expected.has("accuracy")) {
                assertThat(found.get("accuracy")).isEqualTo(expected.get("accuracy"));
                assertThat(found.get("normalized_accuracy")).isEqualTo(expected.get("normalized_accuracy"));
            } else {
                double expectedPerplexity = expected.get("perplexity").asDouble();
                assertThat(found.get("perplexity").asDouble() / expectedPerplexity)
                        .as(figures.get(i).toString())
                        .isBetween(0.999, 1.001);
            }
        }
        assertThat(json(outcome.runs().getLast()).get("cuda").asText()).startsWith("cuda:0 ");
    }

    @Test
    void benchShowsProcessorAndDeviceSideBySide() throws Exception {
        List<String> command =
                List.of("bench", "--milliseconds", "1", "--sizes", "64,344", "--shapes", "64x256", "--json");
        EmulatedGosset.Outcome outcome =
                EmulatedGosset.run(MEMORY, List.of(command, with(command, "--device", "cuda")));
        assertThat(outcome.live()).isZero();
        for (Captured run : outcome.runs()) {
            JsonNode fields = json(run);
            assertThat(fields.get("gpu").asText()).startsWith("cuda:0 ");
            assertThat(fields.get("figures")).hasSize(2 + 6 + 3);
            for (JsonNode f : fields.get("figures")) {
                assertThat(f.get("per_second").asDouble()).isPositive();
                assertThat(f.get("gpu_per_second").asDouble()).as(f.toString()).isPositive();
                assertThat(f.get("gpu_of_limit").asDouble()).as(f.toString()).isPositive();
            }
        }
    }

    @Test
    void modelsAreQuantizedOnTheDevice() throws Exception {
        Path out = temporary.resolve("on-device");
        EmulatedGosset.Outcome outcome =
                EmulatedGosset.run(MEMORY, List.of(with(quantizing, "--out", out.toString(), "--device", "cuda")));
        assertThat(outcome.live()).isZero();
        JsonNode device = json(outcome.runs().getFirst()).get("devices").get(0);
        assertThat(device.get("name").asText()).startsWith("cuda:0 ");
        assertThat(device.get("peak_bytes").asLong()).isPositive();
        JsonNode report =
                JSON.readTree(temporary.resolve("on-device/quantization.json").toFile());
        assertThat(report.get("settings").get("device").asText()).isEqualTo("cuda");
        assertThat(report.get("devices").get(0).get("peak_bytes").asLong())
                .isEqualTo(device.get("peak_bytes").asLong());
        double[] perplexity = new double[2];
        for (int i = 0; i < 2; i++) {
            perplexity[i] = json(onCpu(List.of(
                            "eval",
                            "perplexity",
                            i == 0 ? model : out.toString(),
                            "--text",
                            text,
                            "--context",
                            "128",
                            "--json")))
                    .get("perplexity")
                    .asDouble();
        }
        assertThat(perplexity[1] / perplexity[0]).isBetween(0.999, 1.001);
    }

    @Test
    void whatDoesNotFitEndsWithFour() throws Exception {
        EmulatedGosset.Outcome outcome = EmulatedGosset.run(
                6L << 20,
                List.of(
                        List.of(
                                "generate",
                                model,
                                "--prompt",
                                "Once",
                                "--max-tokens",
                                "1",
                                "--device",
                                "cuda",
                                "--context",
                                "256"),
                        List.of("generate", model, "--prompt", "Once", "--device", "cuda:3")));
        assertThat(outcome.live()).isZero();
        assertThat(outcome.runs()).allMatch(r -> r.exit() == 4);
        assertThat(outcome.runs().getFirst().err()).contains("the key-value cache of a sequence of 256 tokens needs");
        assertThat(outcome.runs().getLast().err()).contains("cuda:3: there is no such device");
    }
}
