package dev.gosset.llm.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.device.ExactModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class WrittenTextTest {
    private static final int COUNT = 12;
    private static final int LENGTH = 32;

    @TempDir
    private Path directory;

    private List<int[]> write(LanguageModel model, Path kept, ThreadTeam team) {
        return new WrittenText(model.transformer(), "00112233", model.tokenizer(), COUNT, LENGTH)
                .sequences(kept, team, Progress.NONE);
    }

    private Path onlyFile(Path kept) throws IOException {
        try (Stream<Path> files = Files.list(kept)) {
            List<Path> all = files.toList();
            assertThat(all).hasSize(1);
            return all.getFirst();
        }
    }

    @Test
    void isDrawnFromTheModel() throws Exception {
        Path at = TinyModels.copy("llama", directory.resolve("model"));
        try (ThreadTeam team = new ThreadTeam(2);
                ThreadTeam one = new ThreadTeam(1);
                LanguageModel model = LanguageModel.open(at, team)) {
            List<int[]> sequences = write(model, directory.resolve("a"), team);
            assertThat(sequences).hasSize(COUNT).allMatch(s -> s.length == LENGTH);
            Set<Integer> words = new HashSet<>();
            sequences.forEach(s -> words.add(s[2]));
            assertThat(words.size()).as("openings").isGreaterThan(COUNT / 2);
            assertThat(write(model, directory.resolve("b"), one).toArray(int[][]::new))
                    .as("whatever the threads")
                    .isDeepEqualTo(sequences.toArray(int[][]::new));
        }
    }

    /** What is drawn from a distribution has its entropy as the mean of -log p. Without end tokens a sequence is one document. */
    @Test
    void isAsSurprisingAsTheModelsEntropySays() throws Exception {
        Path at = TinyModels.copy("llama", directory.resolve("model"));
        Path config = at.resolve("config.json");
        Files.writeString(config, Files.readString(config).replace("\"eos_token_id\": 2", "\"eos_token_id\": -1"));
        try (ThreadTeam team = new ThreadTeam(2);
                LanguageModel model = LanguageModel.open(at, team)) {
            assertThat(model.tokenizer().bosId()).isEqualTo(1);
            double difference = 0;
            int count = 0;
            for (int[] sequence : write(model, directory, team)) {
                int[] tokens = new int[sequence.length + 1];
                tokens[0] = 1;
                System.arraycopy(sequence, 0, tokens, 1, sequence.length);
                float[][] logits = ExactModel.logits(model.loaded(), tokens, 0, sequence.length);
                for (int t = 0; t < sequence.length; t++) {
                    double sum = 0;
                    double weighted = 0;
                    for (float l : logits[t]) {
                        sum += Math.exp(l);
                        weighted += Math.exp(l) * l;
                    }
                    difference += weighted / sum - logits[t][tokens[t + 1]];
                    count++;
                }
            }
            assertThat(difference / count).isCloseTo(0, within(0.3));
        }
    }

    @Test
    void isReadAgain() throws Exception {
        Path at = TinyModels.copy("qwen2", directory.resolve("model"));
        Path kept = directory.resolve("kept");
        try (ThreadTeam team = new ThreadTeam(2);
                LanguageModel model = LanguageModel.open(at, team)) {
            List<int[]> sequences = write(model, kept, team);
            Path file = onlyFile(kept);
            String text = Files.readString(file);
            // Another token than the one that was written: it is the file that is read.
            int at0 = text.indexOf("[[") + 2;
            Files.writeString(file, text.substring(0, at0) + "9" + text.substring(text.indexOf(',', at0)));
            List<int[]> again = write(model, kept, team);
            assertThat(again.getFirst()[0]).isEqualTo(9);
            assertThat(again.getLast()).isEqualTo(sequences.getLast());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"{", "{\"model_crc32c\": \"other\"}", "-1", "1000", "1.5"})
    void aDamagedFileIsRefused(String damage) throws Exception {
        Path at = TinyModels.copy("llama", directory.resolve("model"));
        Path kept = directory.resolve("kept");
        try (ThreadTeam team = new ThreadTeam(2);
                LanguageModel model = LanguageModel.open(at, team)) {
            write(model, kept, team);
            Path file = onlyFile(kept);
            String text = Files.readString(file);
            Files.writeString(
                    file, damage.startsWith("{") ? damage : text.substring(0, text.indexOf("[[") + 2) + damage + "]]}");
            assertThatThrownBy(() -> write(model, kept, team))
                    .isInstanceOf(FormatException.class)
                    .hasMessageStartingWith(file.toString());
        }
    }
}
