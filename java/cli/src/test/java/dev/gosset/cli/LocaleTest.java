package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.cli.demo.DemoModel;
import dev.gosset.core.FormatException;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** UTF-8 in and out whatever the locale; where that cannot be, a message and never another prompt. */
final class LocaleTest {
    private static final String PROMPT = "Où est l'été 😀";
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    private static Path temporary;

    private static Path model() throws IOException {
        Path model = temporary.resolve("model");
        return Files.exists(model) ? model : DemoModel.copyTo(model);
    }

    private static String generate(String prompt) {
        return "generate model --max-tokens 4 --temperature 0 --prompt " + prompt;
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "LC_ALL=C",
                "LC_ALL=POSIX",
                "LC_ALL= LC_CTYPE= LANG=",
                "LC_ALL= LANG=de_DE.ISO-8859-1",
                "LC_ALL=C.UTF-8",
                "LC_ALL=C JVM='-Duser.language=tr -Duser.country=TR'",
                "LC_ALL=C JVM='-Duser.language=ar -Duser.country=EG -Duser.extensions=u-nu-arab'",
                "LC_ALL=C JVM=-Duser.language=de",
            })
    void aPromptIsTheSameEverywhere(String environment) throws Exception {
        JsonNode expected = JSON.readTree(Captured.run(
                        "generate",
                        model().toString(),
                        "--max-tokens",
                        "4",
                        "--temperature",
                        "0",
                        "--prompt",
                        PROMPT,
                        "--json")
                .out());
        assertThat(expected.get("prompt_tokens").intValue()).isEqualTo(18);
        Captured json = OwnJvm.run(temporary, environment + " " + "gosset " + generate("\"" + PROMPT + "\" --json"));
        assertThat(json.exit()).as(json.err()).isZero();
        JsonNode found = JSON.readTree(json.out());
        assertThat(found.get("prompt_tokens")).isEqualTo(expected.get("prompt_tokens"));
        assertThat(found.get("text")).isEqualTo(expected.get("text"));
        assertThat(found.get("prefill_seconds").isDouble()).isTrue();
        Captured streamed = OwnJvm.run(temporary, environment + " gosset " + generate("\"" + PROMPT + "\""));
        assertThat(streamed.out()).isEqualTo(PROMPT + expected.get("text").textValue() + System.lineSeparator());
    }

    @Test
    void aPromptThatIsNotUtf8() throws Exception {
        model();
        Captured run = OwnJvm.run(temporary, "LC_ALL=C.UTF-8 gosset " + generate("$'caf\\xE9'"));
        assertThat(run.exit()).isEqualTo(2);
        assertThat(run.errorLines())
                .containsExactly("gosset: --prompt: is not UTF-8 text: found byte 0xE9 at offset 3, in line 1");
        assertThat(run.out()).isEmpty();
    }

    @Test
    void aNameThatTheJvmCannotSpell() throws Exception {
        Captured run = OwnJvm.run(temporary, "LC_ALL=C gosset inspect modèle");
        assertThat(run.exit()).isEqualTo(2);
        assertThat(run.err()).contains("modèle", "US-ASCII", "LC_ALL=C.UTF-8");
    }

    @Test
    void aMessageWithAccents() throws Exception {
        Captured run = OwnJvm.run(temporary, "LC_ALL=C gosset bench --chart x --shapes 4×4");
        assertThat(run.exit()).isEqualTo(2);
        assertThat(run.err()).contains("4×4");
    }

    @Test
    void aPromptThatBeginsWithAnAt() throws Exception {
        model();
        Files.writeString(temporary.resolve("note"), "another prompt");
        Captured run = OwnJvm.run(temporary, "LC_ALL=C gosset " + generate("@note"));
        assertThat(run.out()).startsWith("@note");
    }

    @Test
    void chatReadsUtf8() throws Exception {
        Path chat = temporary.resolve("chat");
        DemoModel.copyTo(chat);
        Files.writeString(chat.resolve("chat_template.jinja"), "{% for m in messages %}{{ m['content'] }}{% endfor %}");
        String command = " | LC_ALL=C gosset chat chat --max-tokens 1 --json";
        Captured good =
                OwnJvm.run(temporary, "printf '\\xEF\\xBB\\xBF" + PROMPT.replace("'", "\\x27") + "\\r\\n'" + command);
        assertThat(good.exit()).as(good.err()).isZero();
        assertThat(JSON.readTree(good.out()).get("prompt_tokens").intValue()).isEqualTo(17);
        Captured latin = OwnJvm.run(temporary, "printf 'one\\ncaf\\xE9\\n'" + command);
        assertThat(latin.exit()).isEqualTo(3);
        assertThat(latin.err()).contains("standard input: message 2", "0xE9 at offset 3");
        Captured utf16 = OwnJvm.run(temporary, "printf 'h\\0e\\0l\\0l\\0o\\0\\n\\0'" + command);
        assertThat(utf16.exit()).isEqualTo(3);
        assertThat(utf16.err()).contains("UTF-16");
    }

    @Test
    void argumentsOfAnArgumentFileAreNotInTheCommandLine() {
        byte[] raw = PROMPT.getBytes(StandardCharsets.UTF_8);
        for (Charset system : List.of(StandardCharsets.US_ASCII, StandardCharsets.ISO_8859_1, StandardCharsets.UTF_8)) {
            String[] args = {"generate", "--prompt", new String(raw, system)};
            List<byte[]> line =
                    List.of("java".getBytes(system), "generate".getBytes(system), "--prompt".getBytes(system), raw);
            assertThat(Arguments.decode(args, line, system)).containsExactly("generate", "--prompt", PROMPT);
            if (system.equals(StandardCharsets.UTF_8)) {
                assertThat(Arguments.decode(args, List.of(), system)).isEqualTo(args);
                args[2] = "caf\uFFFD";
            }
            assertThatThrownBy(() -> Arguments.decode(args, List.of("java".getBytes(system)), system))
                    .isInstanceOf(FormatException.class)
                    .hasMessageStartingWith("--prompt: ")
                    .hasMessageContaining(system.name());
        }
    }
}
