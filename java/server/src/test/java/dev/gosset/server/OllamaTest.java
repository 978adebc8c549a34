package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.generate.GenerationOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Ollama's endpoints, beside what the library generates. */
@Timeout(60)
class OllamaTest {
    private static final String CHAT =
            "{\"model\": \"tiny:latest\", \"messages\": [{\"role\": \"user\", \"content\": \"w5 w6\"}], ";

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

    private static List<JsonNode> lines(String path, String body) throws Exception {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : served.post(path, body).body().split("\n")) {
            lines.add(Served.JSON.readTree(line));
        }
        return lines;
    }

    private static String library(String prompt) {
        return served.model
                .generate(prompt, GenerationOptions.greedy(7), piece -> {})
                .text();
    }

    @Test
    void chats() throws Exception {
        String options = "\"options\": {\"num_predict\": 7, \"temperature\": 0}";
        JsonNode whole = served.ask("/api/chat", CHAT + "\"stream\": false, " + options + "}");
        assertThat(whole.at("/message/content").textValue()).isEqualTo(library("user w5 w6 "));
        assertThat(whole.get("done_reason").textValue()).isEqualTo("length");
        assertThat(whole.get("eval_count").intValue()).isEqualTo(7);
        List<JsonNode> lines = lines("/api/chat", CHAT + options + "}");
        StringBuilder text = new StringBuilder();
        lines.forEach(l -> text.append(l.at("/message/content").textValue()));
        assertThat(text).hasToString(whole.at("/message/content").textValue());
        assertThat(lines)
                .extracting(l -> l.get("done").booleanValue())
                .endsWith(true)
                .containsOnlyOnce(true);
    }

    @Test
    void generatesInTheModelsFormOrRaw() throws Exception {
        String options = ", \"stream\": false, \"options\": {\"num_predict\": 7, \"temperature\": 0}}";
        assertThat(served.ask("/api/generate", "{\"prompt\": \"w5 w6\", \"raw\": true" + options)
                        .get("response")
                        .textValue())
                .isEqualTo(library("w5 w6"));
        assertThat(served.ask("/api/generate", "{\"prompt\": \"w5 w6\", \"system\": \"w8\"" + options)
                        .get("response")
                        .textValue())
                .isEqualTo(library("system w8 user w5 w6 "));
        assertThat(served.ask("/api/generate", "{\"model\": \"tiny\"}")
                        .get("done_reason")
                        .textValue())
                .isEqualTo("load");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "options.num_ctx | \"options\": {\"num_ctx\": 100000}",
                "options.mirostat | \"options\": {\"mirostat\": 1}",
                "options.repeat_last_n | \"options\": {\"repeat_last_n\": 64}",
                "options.warp | \"options\": {\"warp\": 1}",
                "format | \"format\": \"xml\"",
                "tools | \"tools\": [{}]",
                "think | \"think\": true",
            })
    void whatIsNotSupportedIsRefusedByName(String field, String json) throws Exception {
        assertThat(served.refused(400, "/api/chat", CHAT + json + "}").textValue())
                .contains(field);
    }

    @Test
    void tellsWhichModelThereIs() throws Exception {
        assertThat(Served.JSON
                        .readTree(served.get("/api/tags").body())
                        .at("/models/0/name")
                        .textValue())
                .isEqualTo("tiny:latest");
        assertThat(served.ask("/api/show", "{\"model\": \"tiny\"}")
                        .at("/model_info/llama.context_length")
                        .intValue())
                .isEqualTo(256);
        assertThat(served.refused(404, "/api/show", "{\"model\": \"other\"}").textValue())
                .contains("'tiny'");
        assertThat(served.get("/api/version").body()).contains("version");
    }
}
