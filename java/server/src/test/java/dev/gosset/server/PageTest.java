package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.ScriptedModel;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The page at {@code /}, over a model that says what is wanted; in a real browser where there is one. */
@Timeout(300)
class PageTest {
    private static final String TEMPLATE =
            "{% for m in messages %}{% if m.content == 'bad' %}{{ raise_exception('not this') }}"
                    + "{% endif %}<|turn|>{{ m.role }}: {{ m.content }}{% endfor %}<|turn|>assistant:";

    private static final String MARKDOWN = """
            ## Heading

            Some **bold** and *stressed* text, a [link](https://example.org/) and `code`.

            1. one
            2. two
               - inner

            ```java
            int x = 1 < 2 ? 3 : 4;
            ```

            | a | b |
            |--:|---|
            | 1 | a long cell that makes this table wider than a phone is, so that it has to scroll |
            | 2 | d |

            > A quote.
            """;

    private static final String HOSTILE = "<img src=x onerror=\"window.harmed=1\"> [x](javascript:window.harmed=1)"
            + " <script>window.harmed=1</script> ![x](https://elsewhere.invalid/x.png)\n";

    @TempDir
    Path temporary;

    private final List<LanguageModel> models = new ArrayList<>();
    private final List<GossetServer> servers = new ArrayList<>();

    @BeforeEach
    void start() throws Exception {
        AtomicInteger count = new AtomicInteger();
        ScriptedModel.answer(prompt -> {
            String last = prompt.replaceFirst("<\\|turn\\|>assistant:$", "");
            last = last.substring(last.lastIndexOf(": ") + 1).strip();
            return switch (last.split("\\s")[0]) {
                case "markdown" -> MARKDOWN;
                case "long" -> "word ".repeat(150);
                case "hostile" -> HOSTILE;
                default -> "answer " + count.incrementAndGet();
            };
        });
        ScriptedModel.pace(Duration.ofMillis(3));
        LanguageModel chats = ScriptedModel.open(temporary.resolve("scripted"), TEMPLATE);
        serve(chats, ServerSettings.of(1024));
        serve(chats, ServerSettings.of(1024).withApiKey("secret"));
        serve(ScriptedModel.open(temporary.resolve("plain"), null), ServerSettings.of(1024));
    }

    private void serve(LanguageModel model, ServerSettings settings) {
        GossetServer server = new GossetServer(settings.withPort(0).withParallel(4));
        server.serve(model);
        servers.add(server);
        models.add(model);
    }

    @AfterEach
    void stop() {
        servers.forEach(GossetServer::close);
        models.forEach(LanguageModel::close);
        ScriptedModel.pace(Duration.ZERO);
    }

    private static String url(GossetServer server) {
        return "http://127.0.0.1:" + server.port() + "/";
    }

    @Test
    void isServedWithAStrictPolicyToWhoeverHasNoKey() throws Exception {
        try (HttpClient client = HttpClient.newHttpClient()) {
            for (String path :
                    new String[] {"", "page/page.js", "page/page.css", "page/icon.svg", "page/marked.esm.js"}) {
                HttpResponse<String> answer = client.send(
                        HttpRequest.newBuilder(URI.create(url(servers.get(1)) + path))
                                .build(),
                        HttpResponse.BodyHandlers.ofString());
                assertThat(answer.statusCode()).as(path).isEqualTo(200);
                assertThat(answer.headers()
                                .firstValue("Content-Security-Policy")
                                .orElseThrow())
                        .startsWith("default-src 'none'; script-src 'self';")
                        .doesNotContain("unsafe");
                assertThat(answer.headers().firstValue("X-Content-Type-Options"))
                        .hasValue("nosniff");
            }
        }
    }

    @Test
    void librariesAreThoseOfTheirPackages() throws Exception {
        Path page = Path.of("src/main/resources/dev/gosset/server/web");
        Map<String, String> files = Map.of(
                "marked.esm.js", "marked/lib/marked.esm.js",
                "marked.LICENSE", "marked/LICENSE",
                "purify.min.js", "dompurify/dist/purify.min.js",
                "purify.LICENSE", "dompurify/LICENSE");
        for (Map.Entry<String, String> e : files.entrySet()) {
            assertThat(page.resolve(e.getKey())).hasSameBinaryContentAs(Node.packageFolder(e.getValue()));
        }
    }

    @Test
    void worksInABrowser() throws Exception {
        Optional<Path> chromium = Stream.of(
                        Optional.ofNullable(System.getenv("CHROMIUM")).orElse(""),
                        "/usr/bin/chromium",
                        "/usr/bin/chromium-browser",
                        "/usr/bin/google-chrome")
                .map(Path::of)
                .filter(Files::isExecutable)
                .filter(Files::isRegularFile)
                .findFirst();
        assumeTrue(
                chromium.isPresent(),
                "needs Chromium: apt-get install chromium, or CHROMIUM in the environment with its path");
        List<String> arguments = new ArrayList<>(List.of(chromium.get().toString()));
        servers.forEach(s -> arguments.add(url(s)));
        Node.script("page.mjs", arguments.toArray(String[]::new));
        for (GossetServer server : servers) {
            assertThat(server.load().running() + server.load().waiting()).isZero();
        }
    }
}
