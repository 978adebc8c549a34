package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.server.http.HttpLimits;
import dev.gosset.server.http.HttpServer;
import dev.gosset.server.http.JdkHttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Clients that go, stall or send what they must not: after each, nothing is left and the next request is right. */
@Timeout(120)
class FaultsTest {
    /** No end token may come, and on a fast machine too it takes longer than a test. */
    private static final String ENDLESS = "\"max_tokens\": 60000, \"logit_bias\": {\"2\": -100}, \"temperature\": 1";

    private static final String COMPLETIONS = "/v1/completions";

    @TempDir
    private Path temporary;

    private Served served;

    @BeforeEach
    void start() throws IOException {
        served = Served.start(temporary, ServerSettings.of(1 << 16).withParallel(2));
    }

    @AfterEach
    void theNextRequestIsRight() throws Exception {
        try (Served last = served) {
            last.awaitIdle(Duration.ofSeconds(10));
            assertThat(last.ask(COMPLETIONS, "{\"prompt\": \"w5 w6\", \"max_tokens\": 2}")
                            .at("/usage/prompt_tokens")
                            .intValue())
                    .isEqualTo(2);
        }
    }

    private Socket connect() throws IOException {
        return new Socket(InetAddress.getLoopbackAddress(), served.server.port());
    }

    private Socket send(String path, String body) throws IOException {
        Socket socket = connect();
        OutputStream out = socket.getOutputStream();
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        out.write(("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + bytes.length + "\r\n\r\n")
                .getBytes(StandardCharsets.UTF_8));
        out.write(bytes);
        out.flush();
        return socket;
    }

    private static void leave(Socket socket, boolean reset) throws IOException {
        if (reset) {
            socket.setSoLinger(true, 0);
        }
        socket.close();
    }

    private void await(java.util.function.BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + 20_000_000_000L;
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime())
                    .as("waiting, %s", served.server.load())
                    .isLessThan(end);
            Thread.sleep(2);
        }
    }

    /** Streamed or not, by FIN and RST: running ones end within a second and a step. */
    @ParameterizedTest
    @CsvSource({"true, true", "true, false", "false, true", "false, false"})
    void whoLeavesIsCancelled(boolean stream, boolean reset) throws Exception {
        long drawn = served.server.load().drawn();
        Socket client = send(COMPLETIONS, "{\"prompt\": \"w5\", \"stream\": " + stream + ", " + ENDLESS + "}");
        await(() -> served.server.load().drawn() > drawn + 3);
        leave(client, reset);
        long left = System.nanoTime();
        await(() -> served.server.load().running() == 0);
        double seconds = (System.nanoTime() - left) / 1e9;
        assertThat(served.server.load().drawn() - drawn).isLessThan(60000);
        assertThat(seconds).isLessThan(5);
    }

    /** Those that wait are dropped, and those that run are not touched. */
    @ParameterizedTest
    @CsvSource({"true, true", "true, false", "false, true", "false, false"})
    void whoLeavesTheQueueIsDropped(boolean stream, boolean reset) throws Exception {
        List<Socket> running = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            running.add(send(COMPLETIONS, "{\"prompt\": \"w5\", \"stream\": true, " + ENDLESS + "}"));
        }
        await(() -> served.server.load().running() == 2);
        Socket waiting = send(COMPLETIONS, "{\"prompt\": \"w6\", \"stream\": " + stream + ", " + ENDLESS + "}");
        await(() -> served.server.load().waiting() == 1);
        leave(waiting, reset);
        await(() -> served.server.load().waiting() == 0 || served.server.load().running() < 2);
        assertThat(served.server.load().running()).isEqualTo(2);
        for (Socket socket : running) {
            leave(socket, reset);
        }
    }

    @Test
    void whoLeavesWhileThePromptIsReadIsCancelled() throws Exception {
        String prompt = "w9 ".repeat(4000).strip();
        Socket client = send(COMPLETIONS, "{\"prompt\": \"" + prompt + "\", \"stream\": true, \"max_tokens\": 50}");
        await(() -> served.server.load().running() == 1);
        long drawn = served.server.load().drawn();
        leave(client, true);
        await(() -> served.server.load().running() == 0);
        assertThat(served.server.load().drawn() - drawn).isLessThan(50);
    }

    @Test
    void halfAHeaderIsClosed() throws Exception {
        try (Socket socket = connect()) {
            socket.getOutputStream().write("POST /v1/comple".getBytes(StandardCharsets.UTF_8));
            socket.setSoTimeout(20_000);
            assertThat(socket.getInputStream().read()).isEqualTo(-1);
        }
    }

    @Test
    void aBodyThatIsTooLargeIsRefused() throws Exception {
        byte[] piece = new byte[1 << 20];
        try (Socket socket = connect()) {
            OutputStream out = socket.getOutputStream();
            out.write(("POST " + COMPLETIONS + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + (20 << 20)
                            + "\r\n\r\n")
                    .getBytes(StandardCharsets.UTF_8));
            for (int i = 0; i < 20; i++) {
                out.write(piece);
            }
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(answer).startsWith("HTTP/1.1 413").contains("body_too_large");
        }
    }

    @Test
    void halfABodyIsClosed() throws Exception {
        try (Socket socket = connect()) {
            socket.getOutputStream()
                    .write(("POST " + COMPLETIONS + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
                            .getBytes(StandardCharsets.UTF_8));
            socket.setSoTimeout(20_000);
            assertThat(read(socket.getInputStream())).isEqualTo(-1);
        }
    }

    private static int read(InputStream in) throws IOException {
        try {
            return in.read();
        } catch (SocketException e) {
            // A reset is an end as well.
            return -1;
        }
    }

    @Test
    void silentConnectionsDisturbNobody() throws Exception {
        List<Socket> silent = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            silent.add(connect());
        }
        assertThat(served.ask(COMPLETIONS, "{\"prompt\": \"w5\", \"max_tokens\": 2}")
                        .get("choices"))
                .hasSize(1);
        for (Socket socket : silent) {
            socket.close();
        }
    }

    /** A stream that nobody reads ends, and so does its handler. */
    @Test
    void aStalledReaderIsClosed() throws Exception {
        CountDownLatch ended = new CountDownLatch(1);
        byte[] piece = new byte[1 << 16];
        try (HttpServer http = new JdkHttpServer(
                new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), new HttpLimits(1000, 1), exchange -> {
                    try (var out = exchange.stream(200, "text/plain")) {
                        while (true) {
                            out.write(piece);
                        }
                    } finally {
                        ended.countDown();
                    }
                })) {
            try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), http.port())) {
                socket.getOutputStream()
                        .write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".getBytes(StandardCharsets.UTF_8));
                assertThat(ended.await(20, TimeUnit.SECONDS)).isTrue();
            }
        }
    }
}
