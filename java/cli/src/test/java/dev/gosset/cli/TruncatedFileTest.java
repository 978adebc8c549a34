package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.llm.TinyModels;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Weights that are truncated while a command runs from them: one line that names the file and exit code 3, no dead process. */
final class TruncatedFileTest {
    /** A conversation whose model loses its end between two turns. */
    private static final String CONVERSATION = """
            coproc gosset chat model --max-tokens 2 2>err
            pid=$COPROC_PID
            exec 8<&"${COPROC[0]}" 9>&"${COPROC[1]}"
            echo w5 >&9
            read -r -n 1 first <&8
            truncate -s 4096 model/weights.arrow
            echo w6 >&9
            exec 9>&-
            eval "exec ${COPROC[1]}>&-"
            cat <&8 >/dev/null
            wait $pid
            code=$?
            cat err >&2
            exit $code
            """;

    @TempDir
    private Path temporary;

    @Test
    void whileTheModelRuns() throws Exception {
        Path original = TinyModels.copy("llama", temporary.resolve("original"));
        Files.writeString(original.resolve("chat_template.jinja"), "{{ messages[0]['content'] }}");
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(1, 3000));
        String quantize =
                "quantize original --calibration " + text + " --sequences 8 --context 64 --greedy-passes 0 --out model";
        assertThat(OwnJvm.run(temporary, "gosset " + quantize).exit()).isZero();
        long size = Files.size(temporary.resolve("model/weights.arrow"));

        Captured run = OwnJvm.run(temporary, CONVERSATION);
        assertThat(run.exit()).as(run.err()).isEqualTo(3);
        assertThat(run.errorLines())
                .contains("> gosset: model/weights.arrow: was truncated while it was read: has 4096 bytes, had " + size
                        + " when it was opened");
        assertThat(run.err()).doesNotContain("SIGBUS").doesNotContain("at dev.gosset");
    }
}
