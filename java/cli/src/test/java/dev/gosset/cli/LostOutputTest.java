package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.llm.TinyModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** An output that cannot be written is no success: exit code 3 and one line, or 141 and none where a pipe's reader has gone. */
final class LostOutputTest {
    @TempDir
    private static Path temporary;

    @BeforeAll
    static void makeModel() throws IOException {
        TinyModels.copy("llama", temporary.resolve("model"));
        Files.writeString(temporary.resolve("text.txt"), TinyModels.text(1, 3000));
        Files.writeString(
                temporary.resolve("task.jsonl"),
                "{\"context\": \"w3\", \"choices\": [\"w4\", \"w5\"], \"answer\": 1}\n");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--help",
                "--version",
                "help quantize",
                "quantize --help",
                "doctor",
                "doctor --json",
                "inspect model",
                "inspect model --json",
                "generate model --prompt w5 --max-tokens 400",
                "generate model --prompt w5 --max-tokens 3 --json",
                "eval perplexity model --text text.txt --context 64",
                "eval choice model --task task.jsonl --json",
                "bench --sizes 8 --shapes 8x8 --milliseconds 1",
                "quantize model --bits 2 --calibration text.txt --sequences 8 --context 64 --greedy-passes 0 --out out",
                "hessian model --calibration text.txt --sequences 8 --context 64 --out hessians",
            })
    void ofEveryCommand(String command) throws Exception {
        Assumptions.assumeTrue(Files.exists(Path.of("/dev/full")), "this system has no /dev/full");
        Captured full = OwnJvm.run(temporary, "gosset " + command + " >/dev/full");
        assertThat(full.exit()).as(full.err()).isEqualTo(3);
        assertThat(lines(full)).containsExactly("gosset: standard output cannot be written: No space left on device");
    }

    @ParameterizedTest
    @ValueSource(strings = {"help quantize", "inspect model --json", "generate model --prompt w5 --max-tokens 400"})
    void closedOrAPipeWithoutReader(String command) throws Exception {
        Captured closed = OwnJvm.run(temporary, "gosset " + command + " 1</dev/null");
        assertThat(closed.exit()).as(closed.err()).isEqualTo(3);
        assertThat(lines(closed)).containsExactly("gosset: standard output cannot be written: Bad file descriptor");
        Captured pipe = OwnJvm.run(temporary, "gosset " + command + " | :; exit ${PIPESTATUS[0]}");
        assertThat(pipe.exit()).as(pipe.err()).isEqualTo(141);
        assertThat(lines(pipe)).isEmpty();
    }

    private static List<String> lines(Captured run) {
        return run.errorLines().stream()
                .filter(l -> !l.startsWith("gosset: warning"))
                .toList();
    }

    @Test
    void ofAConversation() throws Exception {
        Path chat = TinyModels.copy("llama", temporary.resolve("chat"));
        Files.writeString(chat.resolve("chat_template.jinja"), "{{ messages[0]['content'] }}");
        Captured run = OwnJvm.run(temporary, "printf 'w5\\nw6\\n' | gosset chat chat --max-tokens 2 --json >/dev/full");
        assertThat(run.exit()).isEqualTo(3);
        assertThat(run.errorLines())
                .containsExactly("gosset: standard output cannot be written: No space left on device");
    }

    /** Progress and remarks are no result. */
    @Test
    void ofStandardError() throws Exception {
        Captured run =
                OwnJvm.run(temporary, "gosset eval perplexity model --text text.txt --context 64 --json 2>/dev/full");
        assertThat(run.exit()).isZero();
        assertThat(new ObjectMapper().readTree(run.out()).get("perplexity").isDouble())
                .isTrue();
    }

    private static String quantize(String out, String report) {
        return "gosset quantize model --calibration text.txt --sequences 8 --context 64 --greedy-passes 0 --out " + out
                + " --report " + report;
    }

    @Test
    void ofAReportWhoseDirectoryIsMissing() throws Exception {
        Captured run = OwnJvm.run(temporary, quantize("out-missing", "nowhere/report.json"));
        assertThat(run.exit()).isEqualTo(3);
        assertThat(run.errorLines()).hasSize(1);
        assertThat(run.err()).contains("nowhere");
        assertThat(temporary.resolve("out-missing"))
                .as("said before the work, not after")
                .doesNotExist();
    }

    /** A device is written to; a file in its place would be a disaster where the user is root. */
    @Test
    void ofAReportOnAFullDevice() throws Exception {
        Path link = Files.createSymbolicLink(temporary.resolve("full"), Path.of("/dev/full"));
        Captured run = OwnJvm.run(temporary, quantize("out-full", "full"));
        assertThat(run.exit()).isEqualTo(3);
        assertThat(run.errorLines()).containsExactly("gosset: full: cannot be written: No space left on device");
        assertThat(run.out()).as("the result is there all the same").startsWith("out-full: ");
        assertThat(Files.isRegularFile(link, LinkOption.NOFOLLOW_LINKS)).isFalse();
        Captured pipe = OwnJvm.run(temporary, quantize("out-pipe", "/dev/stdout") + " --json | tail -n 1");
        assertThat(pipe.out()).contains("mean_proxy_error");
    }

    @Test
    void outOfMemory() throws Exception {
        Path big = TinyModels.copy("llama", temporary.resolve("big"));
        Files.writeString(big.resolve("config.json"), "{\"x\": \"" + "y".repeat(40 << 20) + "\"}");
        Files.writeString(temporary.resolve("big.txt"), "w5 w6 ".repeat(6 << 20));
        for (String command : List.of(
                "inspect big",
                "quantize big --calibration text.txt --out out-memory",
                "eval perplexity model --text big.txt",
                "quantize model --calibration big.txt --out out-memory")) {
            Captured run = OwnJvm.run(temporary, "JVM=-Xmx48m gosset " + command);
            assertThat(run.exit()).as(command + run.err()).isEqualTo(3);
            assertThat(run.errorLines()).as(run.err()).hasSize(1);
            assertThat(run.err()).contains("-Xmx").containsAnyOf("heap", "memory");
            assertThat(temporary.resolve("out-memory")).doesNotExist();
            assertThat(temporary.resolve("out-memory.partial")).doesNotExist();
        }
    }
}
