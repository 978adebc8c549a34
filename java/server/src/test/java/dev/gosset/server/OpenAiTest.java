package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** OpenAI's endpoints, beside what the library generates for the same prompts. */
@Timeout(120)
class OpenAiTest {
    private static final String CHAT = "/v1/chat/completions";
    private static final String COMPLETIONS = "/v1/completions";
    private static final String MESSAGES = "\"messages\": [{\"role\": \"user\", \"content\": \"w5 w6 w7\"}]";

    @TempDir
    static Path temporary;

    private static Served served;

    @BeforeAll
    static void start() throws Exception {
        served = Served.start(temporary);
    }

    @AfterAll
    static void stop() {
        served.close();
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
        served.awaitIdle(Duration.ofSeconds(5));
    }

    private static TextGenerator.Result library(String prompt, int tokens) {
        return served.model.generate(prompt, GenerationOptions.greedy(tokens), piece -> {});
    }

    @Test
    void completionsAreWhatTheLibraryGenerates() throws Exception {
        JsonNode answer = served.ask(COMPLETIONS, "{\"prompt\": \"w5 w6 w7\", \"max_tokens\": 12, \"temperature\": 0}");
        TextGenerator.Result expected = library("w5 w6 w7", 12);
        JsonNode choice = answer.get("choices").get(0);
        assertThat(choice.get("text").textValue()).isEqualTo(expected.text());
        assertThat(choice.get("finish_reason").textValue()).isEqualTo("length");
        assertThat(answer.at("/usage/prompt_tokens").intValue()).isEqualTo(3);
        assertThat(answer.at("/usage/completion_tokens").intValue()).isEqualTo(expected.tokens());
        assertThat(answer.get("object").textValue()).isEqualTo("text_completion");
    }

    @Test
    void chatsAreWhatTheTemplateSays() throws Exception {
        JsonNode answer = served.ask(CHAT, "{" + MESSAGES + ", \"max_completion_tokens\": 9, \"temperature\": 0}");
        JsonNode choice = answer.get("choices").get(0);
        assertThat(choice.at("/message/role").textValue()).isEqualTo("assistant");
        assertThat(choice.at("/message/content").textValue())
                .isEqualTo(library("user w5 w6 w7 ", 9).text());
        // Parts of type text are as good as a text.
        String parts = "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"w5 w6\"},"
                + "{\"type\": \"text\", \"text\": \" w7\"}]}], \"max_tokens\": 9, \"temperature\": 0}";
        assertThat(served.ask(CHAT, parts).get("choices")).isEqualTo(answer.get("choices"));
    }

    @Test
    void streamsAddUpToTheWholeAnswer() throws Exception {
        String body = MESSAGES + ", \"max_tokens\": 20, \"seed\": 7, \"n\": 3, \"logprobs\": true, \"top_logprobs\": 2";
        JsonNode whole = served.ask(CHAT, "{" + body + "}");
        List<JsonNode> events =
                served.events(CHAT, "{" + body + ", \"stream\": true, \"stream_options\": {\"include_usage\": true}}");
        for (int i = 0; i < 3; i++) {
            StringBuilder text = new StringBuilder();
            List<JsonNode> likely = new ArrayList<>();
            List<String> reasons = new ArrayList<>();
            for (JsonNode event : events) {
                JsonNode choice = event.get("choices").path(0);
                if (choice.path("index").asInt(-1) == i) {
                    text.append(choice.at("/delta/content").asText(""));
                    choice.at("/logprobs/content").forEach(likely::add);
                    if (choice.get("finish_reason").isTextual()) {
                        reasons.add(choice.get("finish_reason").textValue());
                    }
                }
            }
            JsonNode expected = whole.get("choices").get(i);
            assertThat(text).hasToString(expected.at("/message/content").textValue());
            assertThat(reasons).containsExactly(expected.get("finish_reason").textValue());
            List<JsonNode> all = new ArrayList<>();
            expected.at("/logprobs/content").forEach(all::add);
            assertThat(likely).isEqualTo(all).hasSizeBetween(1, 20);
        }
        assertThat(whole.at("/choices/0/message/content")).isNotEqualTo(whole.at("/choices/1/message/content"));
        JsonNode last = events.getLast();
        assertThat(last.get("choices")).isEmpty();
        assertThat(last.at("/usage/completion_tokens")).isEqualTo(whole.at("/usage/completion_tokens"));
        assertThat(events.getFirst().get("usage").isNull()).isTrue();
        assertThat(events)
                .extracting(e -> e.get("id").textValue())
                .containsOnly(last.get("id").textValue());
    }

    @Test
    void stopStringsEndATextAndAreNotTold() throws Exception {
        String text = library("w5 w6 w7", 12).text();
        String stop = text.strip().split(" ")[4];
        String before = text.substring(0, text.indexOf(stop));
        for (String stream : List.of("false", "true")) {
            String body =
                    "{\"prompt\": \"w5 w6 w7\", \"max_tokens\": 12, \"temperature\": 0, \"logprobs\": 0, \"stop\": \""
                            + stop + "\", \"stream\": " + stream + "}";
            List<JsonNode> events =
                    stream.equals("true") ? served.events(COMPLETIONS, body) : List.of(served.ask(COMPLETIONS, body));
            StringBuilder found = new StringBuilder();
            events.forEach(e -> found.append(e.at("/choices/0/text").textValue()));
            assertThat(found).hasToString(before);
            assertThat(events.getLast().at("/choices/0/finish_reason").textValue())
                    .isEqualTo("stop");
        }
    }

    /** What evaluation harnesses ask for, beside the logits themselves. */
    @Test
    void echoTellsHowLikelyThePromptWas() throws Exception {
        int[] prompt = served.model.tokenizer().encode(TinyModels.text(3, 150), true);
        StringBuilder ids = new StringBuilder();
        for (int id : prompt) {
            ids.append(ids.isEmpty() ? "" : ",").append(id);
        }
        double[] expected = new double[prompt.length];
        double[] best = new double[prompt.length];
        served.model.loaded().logits(prompt, 0, prompt.length - 1, (first, logits) -> {
            for (int i = 0; i < logits.rows(); i++) {
                expected[first + i + 1] = logProbability(logits, i, prompt[first + i + 1]);
                for (int t = 0; t < logits.cols(); t++) {
                    double p = logProbability(logits, i, t);
                    best[first + i + 1] = t == 0 ? p : Math.max(best[first + i + 1], p);
                }
            }
        });
        for (int most : new int[] {0, 1}) {
            // Twice: what the prefix cache holds must not be left out.
            for (int round = 0; round < 2; round++) {
                JsonNode choice = served.ask(
                                COMPLETIONS,
                                "{\"prompt\": [[" + ids + "]], \"max_tokens\": " + most
                                        + ", \"logprobs\": 1, \"echo\": true, \"temperature\": 0}")
                        .at("/choices/0");
                JsonNode likely = choice.at("/logprobs/token_logprobs");
                assertThat(likely).hasSize(prompt.length + most);
                assertThat(likely.get(0).isNull()).isTrue();
                for (int i = 1; i < prompt.length; i++) {
                    assertThat(likely.get(i).doubleValue()).isCloseTo(expected[i], within(2e-2));
                    double top = 0;
                    for (JsonNode p : choice.at("/logprobs/top_logprobs").get(i)) {
                        top = top == 0 ? p.doubleValue() : Math.max(top, p.doubleValue());
                    }
                    assertThat(top).isCloseTo(best[i], within(2e-2));
                }
                assertThat(choice.get("text").textValue()).startsWith("w");
            }
        }
    }

    private static double logProbability(FloatMatrix logits, int row, int token) {
        double sum = 0;
        for (int t = 0; t < logits.cols(); t++) {
            sum += Math.exp(logits.get(row, t));
        }
        return logits.get(row, token) - Math.log(sum);
    }

    @Test
    void severalPromptsHaveSeveralContinuationsEach() throws Exception {
        JsonNode answer = served.ask(
                COMPLETIONS,
                "{\"prompt\": [\"w5 w6\", \"w9 w10 w11\"], \"n\": 2, \"max_tokens\": 8, \"temperature\": 0,"
                        + " \"echo\": true}");
        List<String> texts = new ArrayList<>();
        answer.get("choices").forEach(c -> texts.add(c.get("text").textValue()));
        String one = "w5 w6" + library("w5 w6", 8).text();
        String other = "w9 w10 w11" + library("w9 w10 w11", 8).text();
        assertThat(texts).containsExactly(one, one, other, other);
        assertThat(answer.at("/usage/prompt_tokens").intValue()).isEqualTo(5);
    }

    @Test
    void aPromptThatIsKnownIsNotComputedAgain() throws Exception {
        String prompt = TinyModels.text(9, 140).strip().replace("\n", " ");
        String body = "{\"prompt\": \"" + prompt + "\", \"max_tokens\": 2, \"temperature\": 0}";
        served.ask(COMPLETIONS, body);
        JsonNode again = served.ask(COMPLETIONS, body);
        assertThat(again.at("/usage/prompt_tokens_details/cached_tokens").intValue())
                .isEqualTo(128);
        // Continuations of one prompt compute it once.
        double before = metric("gosset_cached_prompt_tokens_total");
        served.ask(
                COMPLETIONS, "{\"prompt\": \"w80 " + prompt + "\", \"n\": 3, \"max_tokens\": 2, \"temperature\": 1}");
        assertThat(metric("gosset_cached_prompt_tokens_total") - before).isEqualTo(256);
    }

    private static double metric(String name) throws Exception {
        return served.get("/metrics")
                .body()
                .lines()
                .filter(l -> l.startsWith(name + " "))
                .mapToDouble(l -> Double.parseDouble(l.substring(name.length() + 1)))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void biasesAndSettingsCount() throws Exception {
        JsonNode answer = served.ask(
                COMPLETIONS,
                "{\"prompt\": \"w5 w6\", \"max_tokens\": 3, \"temperature\": 0, \"logit_bias\": {\"42\": 100}}");
        assertThat(answer.at("/choices/0/text").textValue().strip()).isEqualTo("w42 w42 w42");
        String seeded =
                "{\"prompt\": \"w5 w6\", \"max_tokens\": 9, \"temperature\": 1.5, \"seed\": 3, \"top_p\": null}";
        assertThat(served.ask(COMPLETIONS, seeded).get("choices"))
                .isEqualTo(served.ask(COMPLETIONS, seeded).get("choices"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "frobnicate | \"frobnicate\": 1",
                "tools | \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\"}}]",
                "response_format.type | \"response_format\": {\"type\": \"xml\"}",
                "temperature | \"temperature\": \"hot\"",
                "temperature | \"temperature\": -1",
                "n | \"n\": 0",
                "max_tokens | \"max_tokens\": 1.5",
                "stop | \"stop\": [\"\"]",
                "stream | \"stream\": 1",
                "logit_bias | \"logit_bias\": {\"w5\": 1}",
                "logit_bias | \"logit_bias\": {\"100000\": 1}",
                "top_logprobs | \"top_logprobs\": 3",
                "stream_options.x | \"stream_options\": {\"x\": true}",
                "store | \"store\": true",
                "reasoning_effort | \"reasoning_effort\": \"high\"",
            })
    void whatIsNotSupportedIsRefusedByName(String field, String json) throws Exception {
        JsonNode error = served.refused(400, CHAT, "{" + MESSAGES + ", " + json + "}");
        assertThat(error.get("param").textValue()).isEqualTo(field);
        assertThat(error.get("message").textValue()).contains(field);
        assertThat(error.get("type").textValue()).isEqualTo("invalid_request_error");
        // The same as null is as if it were not there.
        served.ask(
                CHAT, "{" + MESSAGES + ", \"max_completion_tokens\": 1, " + json.replaceFirst(":.*", ": null") + "}");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[]",
                "{",
                "{}",
                "{\"messages\": []}",
                "{\"messages\": [{\"role\": \"user\"}]}",
                "{\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}]}",
                "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}",
                "{\"messages\": [{\"role\": \"user\", \"content\": \"bad\"}]}",
                "{\"messages\": [{\"role\": \"user\", \"content\": \"w5\"}]} x",
            })
    void whatIsNoConversationIsRefused(String body) throws Exception {
        HttpResponse<String> answer = served.post(CHAT, body);
        assertThat(answer.statusCode()).isEqualTo(400);
        assertThat(answer.body())
                .doesNotContain(temporary.toString())
                .doesNotContain("Exception")
                .contains("\"message\"");
    }

    @Test
    void promptsAreNeverCut() throws Exception {
        String prompt = TinyModels.text(1, 300).strip().replace("\n", " ");
        JsonNode error = served.refused(400, COMPLETIONS, "{\"prompt\": \"" + prompt + "\"}");
        assertThat(error.get("code").textValue()).isEqualTo("context_length_exceeded");
        assertThat(error.get("message").textValue()).contains("300 tokens").contains("256");
        // A text that fills the context ends there.
        JsonNode full = served.ask(
                COMPLETIONS,
                "{\"prompt\": \"" + prompt.substring(0, prompt.indexOf(' ', 950)) + "\", \"max_tokens\": 5000}");
        assertThat(full.at("/choices/0/finish_reason").textValue()).isIn("length", "stop");
    }

    @Test
    void pathsAndModels() throws Exception {
        assertThat(served.get("/v1/models").body()).contains("\"id\":\"tiny\"").contains("\"created\":");
        assertThat(served.get("/v1/models/%74iny").body())
                .contains("\"id\":\"tiny\"")
                .contains("\"max_model_len\":256");
        assertThat(served.get("/v1/models/other").statusCode()).isEqualTo(404);
        assertThat(served.get("/v1//models").statusCode()).isEqualTo(404);
        assertThat(served.get("/nothing").statusCode()).isEqualTo(404);
        assertThat(served.get(CHAT).statusCode()).isEqualTo(405);
        assertThat(served.get("/health").body()).contains("ok");
        JsonNode error = served.refused(404, CHAT, "{\"model\": \"other\", " + MESSAGES + "}");
        assertThat(error.get("code").textValue()).isEqualTo("model_not_found");
    }
}
