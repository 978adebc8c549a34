package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
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
