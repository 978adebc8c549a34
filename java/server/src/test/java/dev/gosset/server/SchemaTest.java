package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.constraint.Grammar;
import dev.gosset.llm.generate.GenerationOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Answers that have to fulfil a schema, of a model that knows nothing and would write anything. */
@Timeout(120)
class SchemaTest {
    private static final String CHAT = "/v1/chat/completions";
    private static final String MESSAGES = "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]";
    private static final String SCHEMA = "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\","
            + " \"maxLength\": 6}, \"count\": {\"type\": \"integer\", \"minimum\": 3, \"maximum\": 77}, \"kind\":"
            + " {\"enum\": [\"alpha\", \"beta\"]}}, \"required\": [\"name\", \"count\", \"kind\"],"
            + " \"additionalProperties\": false}";
    private static final String FORMAT =
            "\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"x\","
                    + " \"strict\": true, \"schema\": " + SCHEMA + "}}";

    @TempDir
    static Path temporary;

    private static Served served;

    @BeforeAll
    static void start() throws Exception {
        Path directory = temporary.resolve("tiny");
        TinyModels.copy("llama", directory);
        TinyModels.writeCharacters(directory, 100, null);
        Files.writeString(
                directory.resolve("tokenizer_config.json"),
                "{\"chat_template\": \"{% for m in messages %}{{ m.content }}: {% endfor %}\"}");
        served = Served.start(temporary, ServerSettings.of(256).withParallel(4));
    }

    @AfterAll
    static void stop() {
        served.close();
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
        served.awaitIdle(Duration.ofSeconds(5));
    }

    private static void requireValid(String text) throws Exception {
        JsonNode node = Served.JSON.readTree(text);
        assertThat(node.properties()).as(text).hasSize(3);
        assertThat(node.get("name")
                        .textValue()
                        .codePointCount(0, node.get("name").textValue().length()))
                .isLessThanOrEqualTo(6);
        assertThat(node.get("count").intValue()).isBetween(3, 77);
        assertThat(node.get("kind").textValue()).isIn("alpha", "beta");
    }

    @Test
    void answersFulfilTheSchema() throws Exception {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<JsonNode>> answers = new ArrayList<>();
            List<String> bodies = new ArrayList<>();
            for (int i = 0; i < 12; i++) {
                String how = switch (i % 4) {
                    case 0 -> "\"temperature\": 0";
                    case 1 -> "\"temperature\": 2, \"n\": 2";
                    case 2 -> "\"top_p\": 0.5, \"presence_penalty\": 1";
                    default -> "\"logprobs\": true, \"top_logprobs\": 1";
                };
                bodies.add("{" + MESSAGES + ", " + FORMAT + ", " + how + ", \"seed\": " + i + "}");
            }
            for (String body : bodies) {
                answers.add(threads.submit(() -> served.ask(CHAT, body)));
            }
            for (int i = 0; i < answers.size(); i++) {
                JsonNode answer = answers.get(i).get();
                for (JsonNode choice : answer.get("choices")) {
                    requireValid(choice.at("/message/content").textValue());
                    assertThat(choice.get("finish_reason").textValue()).isEqualTo("stop");
                }
                // The same alone.
                assertThat(served.ask(CHAT, bodies.get(i)).get("choices")).isEqualTo(answer.get("choices"));
            }
            JsonNode likely = answers.get(3).get();
            assertThat(likely.at("/choices/0/logprobs/content"))
                    .hasSize(likely.at("/usage/completion_tokens").intValue());
        }
    }

    @Test
    void streamsFulfilItToo() throws Exception {
        String body = "{" + MESSAGES + ", " + FORMAT + ", \"seed\": 4";
        StringBuilder text = new StringBuilder();
        for (JsonNode event : served.events(CHAT, body + ", \"stream\": true}")) {
            text.append(event.at("/choices/0/delta/content").asText(""));
        }
        requireValid(text.toString());
        assertThat(text)
                .hasToString(served.ask(CHAT, body + "}")
                        .at("/choices/0/message/content")
                        .textValue());
    }

    @Test
    void anyObjectIsAnObject() throws Exception {
        JsonNode answer = served.ask(
                CHAT,
                "{" + MESSAGES
                        + ", \"response_format\": {\"type\": \"json_object\"}, \"max_tokens\": 40, \"seed\": 5}");
        assertThat(answer.at("/choices/0/message/content").textValue()).startsWith("{");
        JsonNode chat = served.ask(
                "/api/chat",
                "{" + MESSAGES + ", \"stream\": false, \"format\": " + SCHEMA + ", \"options\": {\"seed\": 3}}");
        requireValid(chat.at("/message/content").textValue());
        JsonNode text =
                served.ask("/api/generate", "{\"prompt\": \"x\", \"stream\": false, \"format\": " + SCHEMA + "}");
        requireValid(text.get("response").textValue());
    }

    @Test
    void whatCannotBeEnforcedIsRefused() throws Exception {
        String bad = FORMAT.replace("\"maxLength\": 6", "\"contentEncoding\": \"base64\"");
        JsonNode error = served.refused(400, CHAT, "{" + MESSAGES + ", " + bad + "}");
        assertThat(error.get("code").textValue()).isEqualTo("unsupported_schema");
        assertThat(error.get("param").textValue()).isEqualTo("response_format.json_schema.schema");
        assertThat(error.get("message").textValue()).contains("/properties/name/contentEncoding");
        error = served.refused(
                400, CHAT, "{" + MESSAGES + ", \"response_format\": {\"type\": \"json_schema\", \"json_schema\": {}}}");
        assertThat(error.get("param").textValue()).isEqualTo("response_format.json_schema.schema");
    }

    @Test
    void theLibraryDoesItAsWell() throws Exception {
        LanguageModel model = served.model;
        Constraint constraint = model.constraint(Grammar.jsonSchema(Served.JSON.readTree(SCHEMA)));
        for (int i = 0; i < 3; i++) {
            GenerationOptions options =
                    GenerationOptions.defaults().withSeed(i).withTemperature(i).withMask(constraint.newMask());
            requireValid(model.generate("hello", options, piece -> {}).text());
        }
    }
}
