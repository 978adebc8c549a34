package dev.gosset.llm.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class TextDocumentsTest {
    @TempDir
    private Path directory;

    private Path file(String name, String text) throws IOException {
        Path file = directory.resolve(name);
        Files.createDirectories(file.getParent());
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return Files.write(file, name.endsWith(".gz") ? zipped(bytes) : bytes);
    }

    private static byte[] zipped(byte[] bytes) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream zip = new GZIPOutputStream(out)) {
            zip.write(bytes);
        }
        return out.toByteArray();
    }

    private static List<String> read(int most, Path... files) {
        List<String> found = new ArrayList<>();
        TextDocuments.read(List.of(files), text -> {
            found.add(text);
            return found.size() < most;
        });
        return found;
    }

    @Test
    void everyKindOfFile() throws IOException {
        Path plain = file("a.txt", "one\ntwo");
        Path lines = file(
                "b.jsonl",
                "\uFEFF{\"text\": \"dr\\u00fcben\", \"url\": 1}\r\n\n{\"text\": \" \"}\n{\"text\": \"vier\"}");
        Path zip = file("c.jsonl.gz", "{\"text\": \"fünf\"}\n");
        Path unnamed = Files.write(directory.resolve("d"), zipped("sechs".getBytes(StandardCharsets.UTF_8)));
        assertThat(read(9, plain, lines, zip, unnamed)).containsExactly("one\ntwo", "drüben", "vier", "fünf", "sechs");
        assertThat(read(2, plain, lines, directory.resolve("never opened"))).containsExactly("one\ntwo", "drüben");
    }

    @Test
    void directoriesInTheOrderOfNames() throws IOException {
        file("d/z.txt", "last");
        file("d/b/x.txt.gz", "second");
        file("d/a.jsonl", "{\"text\": \"first\"}");
        file("d/README.md", "not text to calibrate on");
        assertThat(read(9, directory.resolve("d"))).containsExactly("first", "second", "last");
        Files.createDirectory(directory.resolve("none"));
        assertThatThrownBy(() -> read(9, directory.resolve("none")))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("holds no text");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            x.jsonl | {"text": "a"}~{"text": 7} | line 2: has a "text" that is NUMBER
            x.jsonl | {"words": "a"} | line 1: has no "text"
            x.jsonl | "text" | line 1: has no "text"
            x.jsonl | ~~{"text": | line 3: is not JSON
            x.jsonl | ~ | is empty
            x.txt | ~ | is empty
            """)
    void whatIsNoTextIsToldInOneLine(String name, String text, String message) throws IOException {
        Path file = file(name, text.replace('~', '\n'));
        assertThatThrownBy(() -> read(9, file))
                .isInstanceOf(FormatException.class)
                .hasMessageStartingWith(file.toString())
                .hasMessageContaining(message)
                .hasMessageNotContaining("\n");
    }

    @Test
    void damagedGzipAndBytes() throws IOException {
        byte[] whole = zipped("some text".repeat(99).getBytes(StandardCharsets.UTF_8));
        Path cut = Files.write(directory.resolve("cut.txt.gz"), Arrays.copyOf(whole, whole.length - 9));
        Path bad =
                Files.write(directory.resolve("bad.txt.gz"), new byte[] {0x1f, (byte) 0x8b, 3, 4, 5, 6, 7, 8, 9, 10});
        Path bytes = Files.write(directory.resolve("x.jsonl"), new byte[] {'{', (byte) 0xff, '}'});
        assertThatThrownBy(() -> read(9, cut))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("damaged gzip");
        assertThatThrownBy(() -> read(9, bad))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("damaged gzip");
        assertThatThrownBy(() -> read(9, bytes))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("line 1")
                .hasMessageContaining("UTF-8");
    }
}
