package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.llm.TinyModels;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code gosset serve} from the command line to its end. */
class ServeTest {
    @TempDir
    private Path temporary;

    private Path model;

    @BeforeEach
    void makeModel() throws Exception {
        model = TinyModels.copy("llama", temporary.resolve("model"));
    }

    @ParameterizedTest
    @CsvSource({
        "--port, 70000, 70000",
        "--parallel, 0, 0",
        "--context, 1, --context",
        "--cache-memory, 12 apples, --cache-memory",
    })
    void wrongValuesAreWrongUsage(String flag, String value, String words) throws Exception {
        Captured c = Captured.run("serve", model.toString(), flag, value);
        assertThat(c.exit()).isEqualTo(2);
        assertThat(c.err()).contains(words);
    }

    @Test
    void whatCannotBeServedIsBadInput() throws Exception {
        Captured c = Captured.run("serve", model.toString(), "--port", "0", "--cache-memory", "1K");
        assertThat(c.exit()).isEqualTo(3);
        assertThat(c.err()).contains("1024 bytes");
        assertThat(Captured.run("serve", temporary.resolve("none").toString()).exit())
                .isEqualTo(3);
    }

    /** SIGTERM lets the answer in progress end. */
    @Test
    void servesUntilItIsStopped() throws Exception {
        Captured c = OwnJvm.run(temporary, """
                gosset serve model --port 0 --json >url 2>warnings &
                for i in $(seq 600); do [ -s url ] && break; sleep 0.1; done
                url=$(sed 's/.*"url":"\\([^"]*\\)".*/\\1/' url)
                ask() {
                  exec 3<>"/dev/tcp/127.0.0.1/${url##*:}"
                  printf 'POST /v1/completions HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s' \\
                    ${#1} "$1" >&3
                }
                ask '{"prompt": "w5 w6", "max_tokens": 2}'
                cat <&3
                ask '{"prompt": "w5 w6", "max_tokens": 100, "stream": true, "logit_bias": {"2": -100}}'
                read -r line <&3; echo "$line"
                pid=$(pgrep -P $!); kill -TERM ${pid:-$!}
                cat <&3 | tail -n 8
                wait $!; echo "exit $?"
                """);
        assertThat(c.err()).isEmpty();
        assertThat(c.out())
                .contains("\"prompt_tokens\":2")
                .contains("HTTP/1.1 200 OK")
                .contains("data: [DONE]")
                .contains("exit 143");
    }
}
