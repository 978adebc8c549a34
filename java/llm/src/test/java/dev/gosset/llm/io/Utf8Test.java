package dev.gosset.llm.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class Utf8Test {
    @TempDir
    private Path temporary;

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void refused(byte[] bytes, String... words) {
        assertThatThrownBy(() -> Utf8.decode("x.txt", bytes))
                .isInstanceOf(FormatException.class)
                .hasMessageStartingWith("x.txt: ")
                .hasMessageContainingAll(words);
    }

    @Test
    void keepsText() {
        for (String text :
                List.of("", "a", "Où 😀\r\n", "\uFFFD is a character too", "a\0b in much text", "\n\uFEFF")) {
            assertThat(Utf8.decode("x", utf8(text))).isEqualTo(text);
        }
        assertThat(Utf8.decode("x", utf8("\uFEFF{}"))).isEqualTo("{}");
        assertThat(Utf8.decode("x", utf8("\uFEFF\uFEFFa"))).isEqualTo("\uFEFFa");
    }

    @Test
    void saysWhereBytesAreBad() {
        refused(new byte[] {'a', '\n', 'c', (byte) 0xE9, 'z'}, "0xE9", "offset 3", "line 2");
        // A surrogate, an overlong form, a character cut off at the end.
        refused(new byte[] {(byte) 0xED, (byte) 0xA0, (byte) 0x80, 'z'}, "0xED", "offset 0");
        refused(new byte[] {'a', (byte) 0xC0, (byte) 0x80}, "0xC0", "offset 1");
        refused(Arrays.copyOf(utf8("ab😀"), 5), "0xF0", "offset 2");
        byte[] far = utf8("é\n".repeat(50_000) + "?");
        far[far.length - 1] = (byte) 0x80;
        refused(far, "offset 150000", "line 50001");
    }

    @Test
    void namesUtf16() {
        for (Charset charset : List.of(
                StandardCharsets.UTF_16,
                StandardCharsets.UTF_16LE,
                StandardCharsets.UTF_16BE,
                Charset.forName("UTF-32LE"),
                Charset.forName("UTF-32BE"))) {
            refused("Once upon a time".getBytes(charset), "UTF-16");
        }
    }

    /** Against the decoder of the JDK, which reports and does not replace. */
    @Test
    void agreesWithTheStrictDecoderOnRandomBytes() {
        SplittableRandom random = new SplittableRandom(7);
        int good = 0;
        for (int round = 0; round < 20_000; round++) {
            byte[] bytes = utf8("aé€😀\uFFFD".repeat(1 + random.nextInt(3)));
            for (int i = random.nextInt(3); i > 0; i--) {
                bytes[random.nextInt(bytes.length)] = (byte) (1 + random.nextInt(255));
            }
            String expected = null;
            try {
                expected = StandardCharsets.UTF_8
                        .newDecoder()
                        .decode(java.nio.ByteBuffer.wrap(bytes))
                        .toString();
            } catch (java.nio.charset.CharacterCodingException e) {
                refused(bytes, "offset");
            }
            if (expected != null) {
                good++;
                assertThat(Utf8.decode("x", bytes)).isEqualTo(expected);
            }
        }
        assertThat(good).isBetween(5_000, 15_000);
    }

    @Test
    void filesOfWindows() throws IOException {
        Path json = temporary.resolve("config.json");
        Files.writeString(json, "\uFEFF{\"a\": 1}");
        assertThat(JsonFile.read(json).integer("a", 0, 9)).isEqualTo(1);
        Files.write(json, "{\"a\": 1}".getBytes(StandardCharsets.UTF_16));
        assertThatThrownBy(() -> JsonFile.read(json)).hasMessageContainingAll("config.json", "UTF-16");
        Files.write(json, new byte[] {'{', '"', (byte) 0xE9, '"', ':', '1', '}'});
        assertThatThrownBy(() -> JsonFile.read(json)).hasMessageContainingAll("config.json", "0xE9", "offset 2");
        Path text = Files.writeString(temporary.resolve("a.txt"), "\uFEFFa");
        assertThat(TextFile.read(text)).isEqualTo("a");
        Files.writeString(text, "\uFEFF\n");
        assertThatThrownBy(() -> TextFile.read(text)).hasMessageContaining("is empty");
    }
}
