package dev.gosset.llm.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.evaluate.MultipleChoice;
import dev.gosset.llm.io.TextFile;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.gosset.llm.weights.GossetWeights;
import dev.gosset.llm.weights.ModelDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Each file of a model in turn cannot be read: one line says which and why, and no optional one is left out in silence. */
class UnreadableFilesTest {
    @TempDir
    Path temporary;

    private Path model() throws IOException {
        Path directory = TinyModels.copy("qwen2", temporary.resolve("model"));
        Files.writeString(directory.resolve("tokenizer_config.json"), "{}");
        Files.writeString(directory.resolve("generation_config.json"), "{}");
        Files.writeString(directory.resolve("chat_template.jinja"), "{{ 1 }}");
        return directory;
    }

    private static void open(Path directory) {
        try (ThreadTeam team = new ThreadTeam(1);
                LanguageModel model = LanguageModel.open(directory, team)) {
            ChatTemplate.find(directory);
        }
    }

    private static void assertSays(Path file, String reason, Runnable read) {
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(read::run)
                .withMessageContaining(file.toString())
                .withMessageContaining(reason)
                .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "config.json",
                "generation_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "chat_template.jinja",
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors"
            })
    void everyFileOfAModel(String name) throws IOException {
        Path directory = model();
        open(directory);
        Path file = directory.resolve(name);
        Path away = temporary.resolve("away");
        Files.move(file, away);
        Files.createDirectory(file);
        assertSays(file, ": is a directory, expected ", () -> open(directory));
        Files.delete(file);
        Files.createSymbolicLink(file, temporary.resolve("nowhere"));
        assertSays(file, ": is a link to a file that is not there, expected ", () -> open(directory));
        Files.delete(file);
        Files.createSymbolicLink(file, file.getFileName());
        assertSays(file, "oo many levels of symbolic links", () -> open(directory));
        Files.delete(file);
        Files.createSymbolicLink(file, away);
        open(directory);
        Files.setPosixFilePermissions(away, PosixFilePermissions.fromString("---------"));
        assumeTrue(!Files.isReadable(away), "root may read every file: permissions are tested by other users");
        assertSays(file, ": permission denied, expected ", () -> open(directory));
    }

    @Test
    void filesThatPeopleName() throws IOException {
        Path missing = temporary.resolve("missing");
        Path below = Files.writeString(temporary.resolve("file"), "x").resolve("below");
        assertSays(missing, ": no such file, expected a text file", () -> TextFile.read(missing));
        assertSays(below, ": no such file, expected a text file", () -> TextFile.read(below));
        assertSays(temporary, ": is a directory, expected a text file", () -> TextFile.read(temporary));
        assertSays(missing, ": no such file, expected questions", () -> MultipleChoice.read(missing));
        assertSays(temporary, ": is a directory, expected questions", () -> MultipleChoice.read(temporary));
        assertSays(missing, ": no such file, expected the directory of a model", () -> ModelDirectory.open(missing));
        assertSays(
                below.getParent(),
                ": is a file, expected the directory of a model",
                () -> ModelDirectory.open(below.getParent()));
        Path weights = temporary.resolve("quantized").resolve(GossetWeights.FILE);
        TinyModels.copy("llama", weights.getParent());
        Files.writeString(
                weights.resolveSibling("config.json"),
                Files.readString(weights.resolveSibling("config.json"))
                        .replaceFirst("\\{", "{\"quantization_config\": {\"quant_method\": \"gosset\"},"));
        assertSays(weights, ": no such file, expected ", () -> ModelDirectory.open(weights.getParent()));
        Files.createDirectory(weights);
        assertSays(weights, ": is a directory, expected ", () -> ModelDirectory.open(weights.getParent()));
        assertThat(Files.exists(weights, LinkOption.NOFOLLOW_LINKS)).isTrue();
    }
}
