package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.GossetException;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.session.Engine;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Loading, stopping, and who may ask. */
@Timeout(60)
class LifeTest {
    private static final String COMPLETIONS = "/v1/completions";
    private static final String LONG =
            "{\"prompt\": \"w5\", \"stream\": true, \"max_tokens\": 3000, \"logit_bias\": {\"2\": -100}}";

    @TempDir
    private Path temporary;

    private static ServerSettings settings() {
        return ServerSettings.of(4096).withParallel(2);
    }

    @Test
    void whileTheModelIsLoadedItSaysSo() throws Exception {
        try (Served served = new Served(temporary, settings())) {
            assertThat(served.get("/health").statusCode()).isEqualTo(503);
            HttpResponse<String> answer = served.post(COMPLETIONS, "{}");
            assertThat(answer.statusCode()).isEqualTo(503);
            assertThat(answer.headers().firstValue("Retry-After")).isPresent();
            assertThat(served.get("/metrics").statusCode()).isEqualTo(200);
            served.server.serve(served.model);
            assertThat(served.get("/health").statusCode()).isEqualTo(200);
        }
    }

    @Test
    void aStopLetsAnswersEnd() throws Exception {
        try (Served served = Served.start(temporary, settings())) {
            CompletableFuture<HttpResponse<String>> answer = CompletableFuture.supplyAsync(() -> {
                try {
                    return served.post(COMPLETIONS, LONG);
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            });
            while (served.server.load().running() == 0) {
                Thread.sleep(1);
            }
            CompletableFuture<Void> stopped = CompletableFuture.runAsync(served.server::close);
            while (served.get("/health").statusCode() == 200) {
                Thread.sleep(1);
            }
            HttpResponse<String> refused = served.post(COMPLETIONS, LONG);
            assertThat(refused.statusCode()).isEqualTo(503);
            assertThat(answer.get(30, TimeUnit.SECONDS).body())
                    .contains("\"finish_reason\":\"length\"")
                    .endsWith("data: [DONE]\n\n");
            stopped.get(30, TimeUnit.SECONDS);
            assertThatThrownBy(() -> served.get("/health")).isInstanceOf(java.io.IOException.class);
        }
    }

    @Test
    void whatDoesNotEndInTimeIsToldSo() throws Exception {
        try (Served served = Served.start(temporary, settings().withGrace(Duration.ofMillis(50)))) {
            try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), served.server.port())) {
                OutputStream out = socket.getOutputStream();
                out.write(("POST " + COMPLETIONS + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + LONG.length()
                                + "\r\n\r\n" + LONG)
                        .getBytes(StandardCharsets.UTF_8));
                while (served.server.load().drawn() == 0) {
                    Thread.sleep(1);
                }
                served.server.close();
                assertThat(new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                        .contains("the server stops");
            }
        }
    }

    /** A batch whose steps may be held. */
    private record Held(Batch batch, Semaphore permits) implements Batch {
        @Override
        public int context() {
            return batch.context();
        }

        @Override
        public Optional<Sequence> admit(int[] prompt, Sampler sampler, int most) {
            return batch.admit(prompt, sampler, most);
        }

        @Override
        public List<Drawn> step() {
            permits.acquireUninterruptibly();
            return batch.step();
        }

        @Override
        public void release(Sequence sequence) {
            batch.release(sequence);
        }

        @Override
        public int inUse() {
            return batch.inUse();
        }

        @Override
        public int capacity() {
            return batch.capacity();
        }

        @Override
        public void close() {
            batch.close();
        }

        /** Lets all steps end: an engine waits for the step in progress when it is closed. */
        AutoCloseable freed() {
            return () -> permits.release(1_000_000);
        }
    }

    /** Whoever waits for a step that does not end hears of it, new requests too, and if it ends all is well again. */
    @Test
    void aStepThatDoesNotEndFailsItsRequests() throws Exception {
        Semaphore permits = new Semaphore(5);
        try (Served served = new Served(temporary, settings().withStepLimit(Duration.ofMillis(500)))) {
            Held batch = new Held(served.model.loaded().batch(1, 4096), permits);
            try (Engine engine = new Engine(batch, served.model.config().vocabularySize());
                    AutoCloseable _ = batch.freed()) {
                served.server.serve(served.model, engine);
                CompletableFuture<HttpResponse<String>> waiting = CompletableFuture.supplyAsync(() -> {
                    while (served.server.load().running() == 0) {
                        Thread.onSpinWait();
                    }
                    try {
                        return served.post(COMPLETIONS, "{\"prompt\": \"w5\"}");
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                });
                String answer = served.post(COMPLETIONS, LONG).body();
                assertThat(answer).contains("a step takes longer").contains("\"text\"");
                assertThat(waiting.get(30, TimeUnit.SECONDS).body()).contains("a step takes longer");
                assertThat(served.get("/health").body()).contains("stuck");
                assertThat(served.refused(503, COMPLETIONS, "{\"prompt\": \"w5\"}")
                                .get("code")
                                .textValue())
                        .isEqualTo("stuck");
                assertThat(served.get("/metrics").body()).contains("gosset_stuck_steps_total 1\n");
                permits.release(1_000_000);
                served.awaitIdle(Duration.ofSeconds(10));
                assertThat(served.ask(COMPLETIONS, "{\"prompt\": \"w5\", \"max_tokens\": 2}")
                                .get("choices"))
                        .hasSize(1);
            }
        }
    }

    @Test
    void theKeyIsNeeded() throws Exception {
        try (Served served = Served.start(temporary, settings().withApiKey("secret"))) {
            assertThat(served.get("/health").statusCode()).isEqualTo(200);
            for (String path : List.of("/v1/models", "/metrics", "/api/tags")) {
                assertThat(served.get(path).statusCode()).isEqualTo(401);
                assertThat(served.get(path, "Authorization", "Bearer secre").statusCode())
                        .isEqualTo(401);
                assertThat(served.get(path, "Authorization", "Bearer secret").statusCode())
                        .isEqualTo(200);
            }
        }
    }

    @Test
    void webPagesOfOthersMayNotAsk() throws Exception {
        ServerSettings open = settings();
        ServerSettings named = new ServerSettings(
                open.host(),
                0,
                256,
                1,
                0,
                null,
                List.of("https://example.org"),
                Duration.ofSeconds(1),
                ServerSettings.STEP_LIMIT);
        try (Served served = Served.start(temporary, named)) {
            String evil = "https://evil.example";
            assertThat(served.get("/v1/models", "Origin", evil).statusCode()).isEqualTo(403);
            HttpResponse<String> answer = served.get("/v1/models", "Origin", "https://example.org");
            assertThat(answer.statusCode()).isEqualTo(200);
            assertThat(answer.headers().firstValue("Access-Control-Allow-Origin"))
                    .contains("https://example.org");
            // A name of another machine that leads here.
            try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), served.server.port())) {
                socket.getOutputStream()
                        .write("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
                                .getBytes(StandardCharsets.UTF_8));
                assertThat(new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                        .startsWith("HTTP/1.1 403");
            }
        }
    }

    @Test
    void memoryAndAddressesAreChecked() throws Exception {
        ServerSettings s = settings();
        ServerSettings little = new ServerSettings(
                s.host(), 0, s.context(), 1, 1000, null, List.of(), Duration.ZERO, ServerSettings.STEP_LIMIT);
        try (Served served = new Served(temporary, little)) {
            assertThatThrownBy(() -> served.server.serve(served.model))
                    .isInstanceOf(GossetException.class)
                    .hasMessageContaining("1000 bytes")
                    .hasMessageContaining("4096 tokens");
            assertThatThrownBy(() -> new GossetServer(s.withPort(served.server.port())))
                    .isInstanceOf(GossetException.class)
                    .hasMessageContaining("cannot listen");
        }
    }
}
