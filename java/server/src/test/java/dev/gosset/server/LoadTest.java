package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryUsage;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Many requests at once. */
@Timeout(180)
class LoadTest {
    private static final String COMPLETIONS = "/v1/completions";

    @TempDir
    private Path temporary;

    private static String body(int i, boolean stream) {
        StringBuilder prompt = new StringBuilder();
        for (int w = 0; w < 1 + i * 7 % 90; w++) {
            // Some begin alike, so that blocks are shared.
            prompt.append(w == 0 ? "" : " ").append('w').append(3 + (w < 70 ? w % 80 : (w * i) % 80));
        }
        return "{\"prompt\": \"" + prompt + "\", \"max_tokens\": " + (1 + i % 40) + ", \"seed\": " + i
                + ", \"temperature\": " + (i % 3 == 0 ? 0 : 1.2) + (i % 4 == 1 ? ", \"frequency_penalty\": 0.5" : "")
                + ", \"stream\": " + stream + "}";
    }

    private static String text(List<JsonNode> events) {
        StringBuilder text = new StringBuilder();
        events.forEach(e -> text.append(e.at("/choices/0/text").asText("")));
        return text.toString();
    }

    /** Each has the text that it has alone, and afterwards nothing is left. */
    @Test
    void manyStreamsAreEachAsAlone() throws Exception {
        int count = 256;
        try (Served served = Served.start(temporary, ServerSettings.of(256).withParallel(8));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<String> alone = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                alone.add(served.ask(COMPLETIONS, body(i, false))
                        .at("/choices/0/text")
                        .textValue());
            }
            List<Future<String>> together = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                int number = i;
                boolean stream = i % 5 > 0;
                together.add(threads.submit(() -> stream
                        ? text(served.events(COMPLETIONS, body(number, true)))
                        : served.ask(COMPLETIONS, body(number, false))
                                .at("/choices/0/text")
                                .textValue()));
            }
            for (int i = 0; i < count; i++) {
                assertThat(together.get(i).get()).as("request %d", i).isEqualTo(alone.get(i));
            }
            served.awaitIdle(Duration.ofSeconds(5));
        }
    }

    /** What happened to the streams of {@link #streamsForAWhile}. */
    private static final class Tally {
        final AtomicLong whole = new AtomicLong();
        final AtomicLong left = new AtomicLong();
        final AtomicLong tokens = new AtomicLong();
        final ConcurrentSkipListMap<Long, LongAdder> firstMillis = new ConcurrentSkipListMap<>();
        final ConcurrentSkipListMap<Long, LongAdder> gapMillis = new ConcurrentSkipListMap<>();

        static void count(ConcurrentSkipListMap<Long, LongAdder> times, long since, long now) {
            times.computeIfAbsent((now - since) / 1_000_000, k -> new LongAdder())
                    .increment();
        }

        /** The time that a part of all is not above. */
        static long millis(ConcurrentSkipListMap<Long, LongAdder> times, double part) {
            long all = times.values().stream().mapToLong(LongAdder::sum).sum();
            long sum = 0;
            for (Map.Entry<Long, LongAdder> e : times.entrySet()) {
                sum += e.getValue().sum();
                if (sum >= part * all) {
                    return e.getKey();
                }
            }
            return -1;
        }
    }

    /**
     * Clients that ask again and again, some of which leave in the middle: each stream is what its request is alone, memory stays as it is, and nothing is left. For
     * longer and with another model: {@code make load-test}.
     */
    @Test
    @Timeout(900)
    void streamsForAWhile() throws Exception {
        int streams = Integer.getInteger("gosset.load.streams", 48);
        int seconds = Integer.getInteger("gosset.load.seconds", 4);
        String name = System.getProperty("gosset.load.model", "");
        Path link = temporary.resolve("tiny");
        if (!name.isEmpty()) {
            Files.createSymbolicLink(link, Path.of(name).toAbsolutePath());
        }
        try (Served served = Served.start(temporary, ServerSettings.of(256).withParallel(16));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            int kinds = 96;
            List<String> bodies = new ArrayList<>();
            List<String> alone = new ArrayList<>();
            SplittableRandom random = new SplittableRandom(7);
            for (int i = 0; i < kinds; i++) {
                int[] prompt = new int[1 + random.nextInt(100)];
                for (int k = 0; k < prompt.length; k++) {
                    // Some begin alike, so that blocks are shared.
                    prompt[k] = 3
                            + (k < 64 ? 7 * k : random.nextInt(1000))
                                    % (served.model.config().vocabularySize() - 3);
                }
                bodies.add("{\"prompt\": " + Arrays.toString(prompt) + ", \"max_tokens\": " + (1 + i % 60)
                        + ", \"seed\": " + i + ", \"temperature\": " + (i % 3 == 0 ? 0 : 1.1)
                        + (i % 4 == 1 ? ", \"min_p\": 0.02" : ""));
                alone.add(served.ask(COMPLETIONS, bodies.get(i) + "}")
                        .at("/choices/0/text")
                        .textValue());
            }
            Tally tally = new Tally();
            long end = System.nanoTime() + seconds * 1_000_000_000L;
            List<Future<?>> clients = new ArrayList<>();
            for (int c = 0; c < streams; c++) {
                SplittableRandom own = random.split();
                clients.add(threads.submit(() -> {
                    while (System.nanoTime() < end) {
                        int kind = own.nextInt(kinds);
                        boolean leaves = own.nextInt(12) == 0;
                        stream(served, bodies.get(kind), alone.get(kind), leaves ? own.nextInt(8) : -1, tally);
                    }
                    return null;
                }));
            }
            long half = 0;
            for (int part = 1; part <= 4; part++) {
                Thread.sleep(Duration.ofMillis(seconds * 250L));
                System.gc();
                MemoryUsage heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage();
                half = part == 2 ? heap.getUsed() : half;
                System.out.printf(
                        "%d of 4: %d whole, %d left, heap %d MiB, resident %s%n",
                        part, tally.whole.get(), tally.left.get(), heap.getUsed() >> 20, resident());
            }
            for (Future<?> client : clients) {
                client.get();
            }
            served.awaitIdle(Duration.ofSeconds(10));
            System.gc();
            long used = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
            System.out.printf(
                    "%d streams for %d s: %d whole, %d left, %d tokens; first token %d ms (99 %%: %d), gap %d ms (99 %%: %d); heap %d"
                            + " MiB, resident %s%n",
                    streams,
                    seconds,
                    tally.whole.get(),
                    tally.left.get(),
                    tally.tokens.get(),
                    Tally.millis(tally.firstMillis, 0.5),
                    Tally.millis(tally.firstMillis, 0.99),
                    Tally.millis(tally.gapMillis, 0.5),
                    Tally.millis(tally.gapMillis, 0.99),
                    used >> 20,
                    resident());
            assertThat(tally.whole.get()).isGreaterThan(streams);
            assertThat(used - half).isLessThan(32L << 20);
            assertThat(served.get("/metrics").body()).contains("gosset_cache_blocks_in_use 0\n");
        }
    }

    private static String resident() throws Exception {
        Path status = Path.of("/proc/self/status");
        if (!Files.exists(status)) {
            return "unknown";
        }
        try (Stream<String> lines = Files.lines(status)) {
            return lines.filter(l -> l.startsWith("VmRSS"))
                            .findFirst()
                            .orElse("")
                            .replaceAll("\\D+", "") + " kB";
        }
    }

    /**
     * Reads one stream.
     *
     * @param leaves after so many events, -1 for never
     */
    private static void stream(Served served, String body, String expected, int leaves, Tally tally) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(served.uri(COMPLETIONS))
                .POST(HttpRequest.BodyPublishers.ofString(body + ", \"stream\": true}"))
                .build();
        long last = System.nanoTime();
        HttpResponse<InputStream> answer = served.client.send(request, HttpResponse.BodyHandlers.ofInputStream());
        assertThat(answer.statusCode()).isEqualTo(200);
        StringBuilder text = new StringBuilder();
        boolean done = false;
        int events = 0;
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(answer.body(), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                assertThat(done && !line.isEmpty())
                        .as("after the end: %s", line)
                        .isFalse();
                done |= line.equals("data: [DONE]");
                if (!done && line.startsWith("data: ")) {
                    JsonNode event = Served.JSON.readTree(line.substring(6));
                    assertThat(event.has("error")).as(line).isFalse();
                    text.append(event.at("/choices/0/text").asText(""));
                    long now = System.nanoTime();
                    Tally.count(events == 0 ? tally.firstMillis : tally.gapMillis, last, now);
                    last = now;
                    if (events++ == leaves) {
                        tally.left.incrementAndGet();
                        return;
                    }
                }
            }
        }
        assertThat(done).isTrue();
        assertThat(text).hasToString(expected);
        tally.tokens.addAndGet(events);
        tally.whole.incrementAndGet();
    }

    /** It would wait for ever for a queue that is empty enough. */
    @Test
    void whatNoQueueHoldsIsRefusedForGood() throws Exception {
        try (Served served = Served.start(temporary, ServerSettings.of(256).withParallel(1))) {
            String body = "{\"prompt\": \"w5\", \"max_tokens\": 250, \"n\": ";
            assertThat(served.refused(400, COMPLETIONS, body + "17}")
                            .get("message")
                            .textValue())
                    .contains(String.valueOf(17 * 251))
                    .contains("4096");
            assertThat(served.ask(COMPLETIONS, body + "16}").get("choices")).hasSize(16);
        }
    }

    @Test
    void whatDoesNotFitTheQueueIsRefusedAndComesAgain() throws Exception {
        // One runs and 16 contexts wait.
        try (Served served = Served.start(temporary, ServerSettings.of(256).withParallel(1));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            String body =
                    "{\"prompt\": \"w5\", \"max_tokens\": 250, \"temperature\": 1, \"logit_bias\": {\"2\": -100}}";
            List<Future<HttpResponse<String>>> answers = new ArrayList<>();
            for (int i = 0; i < 60; i++) {
                answers.add(threads.submit(() -> served.post(COMPLETIONS, body)));
            }
            int refused = 0;
            for (Future<HttpResponse<String>> answer : answers) {
                if (answer.get().statusCode() == 429) {
                    refused++;
                    assertThat(answer.get().headers().firstValue("Retry-After").orElseThrow())
                            .matches("[1-9]\\d?");
                    assertThat(answer.get().body()).contains("rate_limit_error");
                } else {
                    assertThat(answer.get().statusCode()).isEqualTo(200);
                }
            }
            assertThat(refused).isBetween(1, 43);
            served.awaitIdle(Duration.ofSeconds(5));
            assertThat(served.post(COMPLETIONS, body).statusCode()).isEqualTo(200);
            assertThat(served.get("/metrics").body())
                    .contains("gosset_requests_total{endpoint=\"/v1/completions\",status=\"429\"} " + refused + "\n")
                    .contains("gosset_cache_blocks_in_use 0\n");
        }
    }
}
