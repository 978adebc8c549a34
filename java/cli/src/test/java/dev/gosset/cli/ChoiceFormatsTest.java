package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Small sets in the forms of published ones, on the demo's model: each question as lm-evaluation-harness scores it by transformers in
 * float32. What it says was written by src/test/python/make_choice_cases.py.
 */
final class ChoiceFormatsTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Path SETS = Path.of("src/test/resources/choice");
    private static final Path MODEL = Path.of("src/main/resources/dev/gosset/cli/demo/model");

    @TempDir
    private Path temporary;

    @ParameterizedTest
    @ValueSource(strings = {"arc", "boolq", "piqa", "winogrande", "hellaswag", "lambada"})
    void equalsTheHarness(String form) throws Exception {
        JsonNode expected =
                JSON.readTree(SETS.resolve("expected.json").toFile()).get(form);
        Path answers = temporary.resolve("answers.jsonl");
        Captured run = Captured.run(
                "eval",
                "choice",
                MODEL.toString(),
                "--task",
                SETS.resolve(form + ".jsonl").toString(),
                "--format",
                form,
                "--answers",
                answers.toString(),
                "--json");
        assertThat(run.exit()).as(run.err()).isZero();
        JsonNode result = JSON.readTree(run.out());
        List<String> lines = Files.readAllLines(answers);
        assertThat(lines).hasSize(expected.get("questions").size());
        for (int i = 0; i < lines.size(); i++) {
            JsonNode ours = JSON.readTree(lines.get(i));
            JsonNode theirs = expected.get("questions").get(i);
            assertThat(ours.get("log_likelihoods")).hasSameSizeAs(theirs.get("log_likelihoods"));
            for (int j = 0; j < theirs.get("log_likelihoods").size(); j++) {
                assertThat(ours.get("log_likelihoods").get(j).asDouble())
                        .as("%s, question %d, choice %d", form, i, j)
                        .isCloseTo(theirs.get("log_likelihoods").get(j).asDouble(), within(2e-3));
            }
            for (String score : List.of("right", "right_normalized")) {
                if (theirs.has(score)) {
                    assertThat(ours.get(score)).as("%s, question %d", form, i).isEqualTo(theirs.get(score));
                }
            }
        }
        assertThat(result.get("questions").asInt()).isEqualTo(lines.size());
        for (String share : List.of("accuracy", "accuracy_error", "normalized_accuracy", "normalized_accuracy_error")) {
            if (expected.has(share)) {
                assertThat(result.get(share).asDouble())
                        .as(share)
                        .isCloseTo(expected.get(share).asDouble(), within(1e-9));
            }
        }
    }
}
