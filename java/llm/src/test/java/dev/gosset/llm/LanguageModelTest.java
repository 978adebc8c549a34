package dev.gosset.llm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.model.ModelSummary;
import dev.gosset.llm.sampling.Sampling;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class LanguageModelTest {
    @TempDir
    private Path temporary;

    private Path directory;

    @BeforeEach
    void makeModel() throws IOException {
        directory = TinyModels.copy("llama3", temporary.resolve("model"));
    }

    @Test
    void streamsExactlyTheTextItReturns() {
        try (LanguageModel model = LanguageModel.open(directory)) {
            StringBuilder streamed = new StringBuilder();
            TextGenerator.Result result =
                    model.generate("w3 w4 w5", GenerationOptions.defaults().withMaxTokens(20), streamed::append);
            assertThat(streamed).hasToString(result.text());
            assertThat(result.promptTokens()).isEqualTo(3);
            assertThat(result.tokens()).isBetween(0, 20);
        }
    }

    /** A prompt that shares its beginning with the text before is not computed again, and nothing changes by that. */
    @Test
    void aSharedBeginningChangesNothing() {
        GenerationOptions options = GenerationOptions.greedy(12);
        try (LanguageModel model = LanguageModel.open(directory);
                LanguageModel fresh = LanguageModel.open(directory)) {
            model.generate("w3 w4 w5 w6 w7", options, piece -> {});
            String again =
                    model.generate("w3 w4 w5 w60 w8", options, piece -> {}).text();
            assertThat(again)
                    .isEqualTo(fresh.generate("w3 w4 w5 w60 w8", options, piece -> {})
                            .text());
            String shorter = model.generate("w3 w4", options, piece -> {}).text();
            try (LanguageModel other = LanguageModel.open(directory)) {
                assertThat(shorter)
                        .isEqualTo(other.generate("w3 w4", options, piece -> {}).text());
            }
        }
    }

    @Test
    void theThreadsDoNotChangeTheText() {
        GenerationOptions options =
                GenerationOptions.defaults().withMaxTokens(30).withSeed(11);
        String expected = null;
        for (int threads : new int[] {1, 2, 5}) {
            try (ThreadTeam team = new ThreadTeam(threads);
                    LanguageModel model = LanguageModel.open(directory, team)) {
                String text = model.generate("w9 w8 w7", options, piece -> {}).text();
                expected = expected == null ? text : expected;
                assertThat(text).isEqualTo(expected);
            }
        }
    }

    @Test
    void aFullContextEndsTheText() {
        try (ThreadTeam team = new ThreadTeam(1);
                LanguageModel model = LanguageModel.open(directory, team);
                TextGenerator generator = model.newGenerator(8)) {
            int[] prompt = model.tokenizer().encode("w3 w4 w5 w6 w7", true);
            TextGenerator.Result result =
                    generator.generate(prompt, new GenerationOptions(100, Sampling.of(5, 0, 1, 3)), piece -> {});
            assertThat(result.end()).isNotEqualTo(TextGenerator.End.MAX_TOKENS);
            assertThat(result.tokens()).isLessThanOrEqualTo(4);
            int[] tooLong = model.tokenizer().encode("w3 w4 w5 w6 w7 w8 w9 w10", true);
            assertThatThrownBy(() -> generator.generate(tooLong, GenerationOptions.greedy(1), piece -> {}))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("8 tokens");
        }
    }

    /** The configuration knows no end, the tokenizer does; and the first word is apart from the prompt. */
    @Test
    void theTokenizersEndTokenEndsTheText() throws IOException {
        GenerationOptions options = GenerationOptions.greedy(12).withSampling(Sampling.of(1, 0, 1, 4));
        List<String> words;
        try (LanguageModel model = LanguageModel.open(directory)) {
            String text = model.generate("w3 w4 w5", options, piece -> {}).text();
            assertThat(text).startsWith(" w");
            words = List.of(text.strip().split(" "));
        }
        String end = words.get(4);
        Path tokenizer = directory.resolve("tokenizer.json");
        String added =
                "\"added_tokens\":[{\"id\":" + end.substring(1) + ",\"content\":\"<|im_end|>\",\"single_word\":false,"
                        + "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}]";
        Files.writeString(
                tokenizer,
                Files.readString(tokenizer)
                        .replace("\"" + end + "\"", "\"<|im_end|>\"")
                        .replace("\"added_tokens\":[]", added));
        try (LanguageModel model = LanguageModel.open(directory)) {
            assertThat(model.endTokens()).contains(Integer.parseInt(end.substring(1)));
            TextGenerator.Result result = model.generate("w3 w4 w5", options, piece -> {});
            assertThat(result.end()).isEqualTo(TextGenerator.End.STOP);
            assertThat(result.text()).isEqualTo(" " + String.join(" ", words.subList(0, words.indexOf(end))));
        }
    }

    @Test
    void aSlowReaderIsNoPartOfTheRate() {
        try (LanguageModel model = LanguageModel.open(directory)) {
            List<String> pieces = new ArrayList<>();
            TextGenerator.Result result = model.generate("w3 w4 w5", GenerationOptions.greedy(20), piece -> {
                if (pieces.isEmpty()) {
                    LockSupport.parkNanos(2_000_000_000L);
                }
                pieces.add(piece);
            });
            assertThat(result.decodeSeconds()).isPositive().isLessThan(1.9);
            assertThat(result.tokensPerSecond()).isEqualTo(19 / result.decodeSeconds());
        }
    }

    @Test
    void stopStringsEndTheTextBeforeThem() {
        GenerationOptions options = GenerationOptions.greedy(20).withSampling(Sampling.of(1, 0, 1, 4));
        try (LanguageModel model = LanguageModel.open(directory)) {
            TextGenerator.Result free = model.generate("w3 w4 w5", options, piece -> {});
            String[] words = free.text().strip().split(" ");
            assertThat(words.length).isGreaterThan(8);
            // Across the border of two tokens; what begins like it is given.
            String stop = words[5].substring(1) + " " + words[6].substring(0, 1);
            StringBuilder streamed = new StringBuilder();
            TextGenerator.Result stopped =
                    model.generate("w3 w4 w5", options.withStop(List.of("zzz", stop)), streamed::append);
            assertThat(stopped.end()).isEqualTo(TextGenerator.End.STOP_STRING);
            assertThat(stopped.text())
                    .isEqualTo(free.text().substring(0, free.text().indexOf(stop)));
            assertThat(streamed).hasToString(stopped.text());
            // What was drawn beyond the stop string is no part of the next text.
            assertThat(model.generate("w3 w4 w5", options, piece -> {}).text()).isEqualTo(free.text());
        }
    }

    @Test
    void logProbabilitiesComeWithEachToken() {
        try (LanguageModel model = LanguageModel.open(directory)) {
            TextGenerator.Result result =
                    model.generate("w3 w4 w5", GenerationOptions.greedy(6).withLogProbabilities(3), piece -> {});
            assertThat(result.logProbabilities()).hasSize(6);
            result.logProbabilities().forEach(l -> {
                assertThat(l.top()).hasSize(3);
                assertThat(l.top().getFirst().token()).isEqualTo(l.token());
                assertThat(l.logProbability()).isNegative();
            });
            assertThat(model.generate("w3", GenerationOptions.greedy(2), piece -> {})
                            .logProbabilities())
                    .isEmpty();
        }
    }

    /** A model that computes no numbers is named, with the token where it happened. */
    @Test
    void aModelWhoseLogitsAreNoNumbersIsAnError() throws IOException {
        TinyModels.copyWithoutNumbers("llama3", temporary.resolve("broken"));
        directory = temporary.resolve("broken");
        try (LanguageModel model = LanguageModel.open(directory)) {
            for (GenerationOptions options : List.of(GenerationOptions.greedy(3), GenerationOptions.defaults())) {
                assertThatThrownBy(() -> model.generate("w3 w4", options, piece -> {}))
                        .isInstanceOf(FormatException.class)
                        .hasMessageContaining(directory.toString())
                        .hasMessageContaining("token 1 of the text");
            }
        }
    }

    @Test
    void generationConfigGivesTheDefaults() throws IOException {
        Path file = directory.resolve("generation_config.json");
        Files.deleteIfExists(file);
        try (LanguageModel model = LanguageModel.open(directory)) {
            assertThat(model.sampling()).isEqualTo(Sampling.defaults());
            Files.writeString(file, """
                    {"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.9, "min_p": 0.05,
                     "repetition_penalty": 1.05}""");
            assertThat(model.sampling())
                    .isEqualTo(Sampling.of(0.6, 20, 0.9, 0).withMinP(0.05).withRepetitionPenalty(1.05));
            Files.writeString(file, "{\"do_sample\": false, \"top_k\": -1, \"temperature\": null}");
            assertThat(model.sampling()).isEqualTo(Sampling.defaults().withTemperature(0));
            Files.writeString(file, "{\"temperature\": -0.5}");
            assertThatThrownBy(model::sampling)
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("generation_config.json")
                    .hasMessageContaining("-0.5");
        }
    }

    /** Without the flag, or with scalar kernels forced, a program hears in words why no model runs. */
    @ParameterizedTest
    @CsvSource({"-Dx=y, --add-modules jdk.incubator.vector", "-Dgosset.kernels=scalar, gosset.kernels=scalar"})
    void aJvmThatMayNotUseVectorsSaysWhy(String flag, String reason) throws Exception {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        flag,
                        flag.contains("scalar") ? "--add-modules=jdk.incubator.vector" : "-Dz=z",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Opens.class.getName(),
                        directory.toString())
                .redirectErrorStream(true)
                .redirectOutput(temporary.resolve("out").toFile())
                .start();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        List<String> lines = Files.readAllLines(temporary.resolve("out"), StandardCharsets.UTF_8);
        assertThat(lines.getLast()).startsWith("running a model").contains(reason);
        // Looking at a model needs no vectors.
        assertThat(lines).contains(ModelSummary.of(directory).parameters() + " parameters");
        assertThat(process.exitValue()).isEqualTo(5);
    }

    /** Run in a child JVM. */
    public static final class Opens {
        private Opens() {}

        public static void main(String[] args) {
            System.out.println(ModelSummary.of(Path.of(args[0])).parameters() + " parameters");
            try (LanguageModel model = LanguageModel.open(Path.of(args[0]))) {
                System.out.println("opened " + model.config());
            } catch (dev.gosset.core.GossetException e) {
                System.out.println(e.getMessage());
                System.exit(5);
            }
        }
    }
}
