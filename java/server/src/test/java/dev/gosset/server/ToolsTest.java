package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.TinyModels;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Functions that a model calls which knows nothing, but has to write calls as its chat template does. */
@Timeout(120)
class ToolsTest {
    private static final String CHAT = "/v1/chat/completions";
    private static final String MESSAGES = "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]";
    private static final String WEATHER =
            "{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\":"
                    + " \"d\", \"strict\": true, \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\":"
                    + " \"string\", \"maxLength\": 5}, \"days\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 9}},"
                    + " \"required\": [\"city\", \"days\"], \"additionalProperties\": false}}}";
    private static final String TIME = "{\"type\": \"function\", \"function\": {\"name\": \"time\", \"parameters\":"
            + " {\"type\": \"object\", \"properties\": {}}}}";
    private static final String TOOLS = "\"tools\": [" + WEATHER + ", " + TIME + "]";

    @TempDir
    private Path temporary;

    private Served start(String template, String special) throws Exception {
        Path directory = temporary.resolve("tiny");
        TinyModels.copy("llama", directory);
        TinyModels.writeCharacters(directory, 100, special);
        Files.writeString(
                directory.resolve("tokenizer_config.json"), "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}");
        try (InputStream in = TinyModels.class.getResourceAsStream("/chat/" + template + ".jinja")) {
            Files.write(directory.resolve("chat_template.jinja"), in.readAllBytes());
        }
        return Served.start(temporary, ServerSettings.of(2048).withParallel(4));
    }

    private static void requireValid(JsonNode call) throws Exception {
        assertThat(call.get("id").textValue()).matches("[A-Za-z0-9]{9}");
        assertThat(call.get("type").textValue()).isEqualTo("function");
        JsonNode arguments = Served.JSON.readTree(call.at("/function/arguments").textValue());
        if (call.at("/function/name").textValue().equals("weather")) {
            assertThat(arguments.get("city").textValue()).hasSizeLessThanOrEqualTo(5);
            assertThat(arguments.get("days").intValue()).isBetween(1, 9);
            assertThat(arguments).hasSize(2);
        } else {
            assertThat(call.at("/function/name").textValue()).isEqualTo("time");
            assertThat(arguments).isEmpty();
        }
    }

    /** What a stream's deltas add up to. */
    private static JsonNode joined(List<JsonNode> events) {
        StringBuilder content = new StringBuilder();
        Map<Integer, ObjectNode> calls = new TreeMap<>();
        String reason = null;
        for (JsonNode event : events) {
            JsonNode choice = event.at("/choices/0");
            content.append(choice.at("/delta/content").asText(""));
            for (JsonNode call : choice.at("/delta/tool_calls")) {
                ObjectNode all = calls.computeIfAbsent(call.get("index").intValue(), i -> {
                    assertThat(call.has("id")).isTrue();
                    return Served.JSON.createObjectNode();
                });
                if (call.has("id")) {
                    all.set("id", call.get("id"));
                    all.set("type", call.get("type"));
                    all.putObject("function").set("name", call.at("/function/name"));
                }
                ObjectNode function = (ObjectNode) all.get("function");
                function.put(
                        "arguments",
                        function.path("arguments").asText("")
                                + call.at("/function/arguments").textValue());
            }
            reason = choice.path("finish_reason").asText(reason);
        }
        ObjectNode all = Served.JSON
                .createObjectNode()
                .put("content", content.toString())
                .put("reason", reason);
        all.putArray("calls").addAll(calls.values());
        return all;
    }

    @ParameterizedTest
    @CsvSource({"qwen2,", "qwen2, <tool_call>", "llama3,", "mistral,", "mistral, [TOOL_CALLS]"})
    void callsAreWhatTheSchemasSay(String template, String special) throws Exception {
        try (Served served = start(template, special)) {
            for (int i = 0; i < 4; i++) {
                // Llama 3 calls one function at a time.
                String body =
                        "{" + MESSAGES + ", " + TOOLS + ", \"tool_choice\": \"required\", \"parallel_tool_calls\": "
                                + (i > 1) + ", \"temperature\": " + i * 0.7 + ", \"seed\": " + i;
                JsonNode choice = served.ask(CHAT, body + "}").at("/choices/0");
                JsonNode calls = choice.at("/message/tool_calls");
                assertThat(choice.at("/message/content").isNull()).isTrue();
                boolean whole = choice.get("finish_reason").textValue().equals("tool_calls");
                // Only where it went on to call until the context was full.
                assertThat(whole || i > 1).isTrue();
                if (i < 2) {
                    assertThat(calls).hasSize(1);
                }
                List<JsonNode> finished = new ArrayList<>();
                calls.forEach(finished::add);
                if (!whole) {
                    finished.removeLast();
                }
                for (JsonNode call : finished) {
                    requireValid(call);
                }
                JsonNode streamed = joined(served.events(CHAT, body + ", \"stream\": true}"));
                assertThat(streamed.get("reason")).isEqualTo(choice.get("finish_reason"));
                assertThat(streamed.get("content").textValue()).isEmpty();
                List<JsonNode> functions = new ArrayList<>();
                streamed.get("calls").forEach(c -> functions.add(c.get("function")));
                List<JsonNode> expected = new ArrayList<>();
                calls.forEach(c -> expected.add(c.get("function")));
                assertThat(functions).isEqualTo(expected);
            }
            JsonNode named = served.ask(
                    CHAT,
                    "{" + MESSAGES + ", " + TOOLS
                            + ", \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\":" + " \"time\"}}}");
            assertThat(named.at("/choices/0/message/tool_calls")).hasSize(1);
            assertThat(named.at("/choices/0/message/tool_calls/0/function/name").textValue())
                    .isEqualTo("time");
            // Nobody has to call, and such a model does not.
            JsonNode free = served.ask(CHAT, "{" + MESSAGES + ", " + TOOLS + ", \"max_tokens\": 30, \"seed\": 1}");
            assertThat(free.at("/choices/0/message/content").isTextual()).isTrue();
            // What was called and what came of it.
            String call = named.at("/choices/0/message").toString();
            String id = named.at("/choices/0/message/tool_calls/0/id").textValue();
            String more = "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}, "
                    + call.replace(",\"refusal\":null", "") + ", {\"role\": \"tool\", \"tool_call_id\": \"" + id
                    + "\", \"content\": \"12:30\"}], " + TOOLS + ", \"max_tokens\": 2}";
            assertThat(served.ask(CHAT, more).at("/usage/prompt_tokens").intValue())
                    .isGreaterThan(named.at("/usage/prompt_tokens").intValue());
            served.awaitIdle(Duration.ofSeconds(5));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama2", "phi"})
    void templatesWithoutCallsRefuseTools(String template) throws Exception {
        try (Served served = start(template, null)) {
            JsonNode error = served.refused(400, CHAT, "{" + MESSAGES + ", " + TOOLS + "}");
            assertThat(error.get("param").textValue()).isEqualTo("tools");
            served.ask(CHAT, "{" + MESSAGES + ", " + TOOLS + ", \"tool_choice\": \"none\", \"max_tokens\": 1}");
        }
    }

    @Test
    void whatIsWrongWithToolsIsNamed() throws Exception {
        try (Served served = start("qwen2", null)) {
            Map<String, String> wrong = Map.of(
                    "\"tools\": [" + TIME.replace("\"time\"", "\"no name\"") + "]",
                    "tools[0].function.name",
                    "\"tools\": [" + TIME + ", " + TIME + "]",
                    "tools",
                    "\"tools\": [" + TIME.replace("\"type\": \"function\"", "\"type\": \"web\"") + "]",
                    "tools[0].type",
                    TOOLS + ", \"tool_choice\": \"maybe\"",
                    "tool_choice",
                    TOOLS + ", \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"none\"}}",
                    "tool_choice",
                    TOOLS + ", \"logprobs\": true",
                    "logprobs",
                    TOOLS + ", \"response_format\": {\"type\": \"json_object\"}",
                    "response_format",
                    TOOLS.replace("maxLength", "contentMediaType"),
                    "tools",
                    "\"tool_choice\": \"required\"",
                    "tool_choice");
            Set<String> names = Set.of("contentMediaType");
            for (Map.Entry<String, String> e : wrong.entrySet()) {
                JsonNode error = served.refused(400, CHAT, "{" + MESSAGES + ", " + e.getKey() + "}");
                assertThat(error.get("param").textValue()).as(e.getKey()).isEqualTo(e.getValue());
                for (String name : names) {
                    if (e.getKey().contains(name)) {
                        assertThat(error.get("message").textValue())
                                .contains("weather")
                                .contains("/properties/city/" + name);
                    }
                }
            }
        }
    }
}
