package dev.gosset.llm.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.llm.io.Json;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The same text as apply_chat_template of transformers; the cases come from src/test/python/make_chat_cases.py. */
class ChatTemplateTest {
    private static final Clock CLOCK =
            Clock.fixed(LocalDateTime.of(2024, 7, 26, 9, 5, 3).toInstant(ZoneOffset.UTC), ZoneOffset.UTC);
    private static final Map<String, String> TOKENS = Map.of("bos_token", "<s>", "eos_token", "</s>");

    private static String resource(String name) throws IOException {
        try (InputStream in = ChatTemplateTest.class.getResourceAsStream("/chat/" + name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    static Stream<Arguments> cases() throws IOException {
        JsonNode all = Json.MAPPER.readTree(resource("cases.json"));
        List<Arguments> out = new ArrayList<>();
        for (JsonNode c : all.get("cases")) {
            String conversation = c.get("conversation").textValue();
            out.add(Arguments.of(
                    c.get("template").textValue(),
                    conversation,
                    all.get("conversations").get(conversation),
                    c));
        }
        return out.stream();
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("cases")
    void rendersAsTransformersDoes(String template, String conversation, JsonNode given, JsonNode expected)
            throws IOException {
        ChatTemplate chat = ChatTemplate.of(template + ".jinja", resource(template + ".jinja"), TOKENS, CLOCK);
        Map<String, Object> more = Json.MAPPER.convertValue(given, new TypeReference<>() {});
        boolean open = Boolean.TRUE.equals(more.remove("add_generation_prompt"));
        List<Map<String, Object>> messages =
                Json.MAPPER.convertValue(more.remove("messages"), new TypeReference<>() {});
        if (expected.has("expected")) {
            assertThat(chat.render(messages, open, more))
                    .isEqualTo(expected.get("expected").textValue());
        } else {
            assertThatExceptionOfType(FormatException.class)
                    .isThrownBy(() -> chat.render(messages, open, more))
                    .withMessageStartingWith(template + ".jinja:")
                    .withMessageContaining(expected.get("error").textValue());
        }
    }

    @Test
    void findsTheTemplateWhereverItLies(@TempDir Path directory) throws IOException {
        List<ChatTemplate.Message> hello = List.of(new ChatTemplate.Message("user", "hi"));
        assertThat(ChatTemplate.find(directory)).isEmpty();
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> ChatTemplate.read(directory))
                .withMessageContaining("has no chat template");
        Files.writeString(directory.resolve("tokenizer_config.json"), """
                {"bos_token": {"content": "<b>"}, "chat_template": "{{ bos_token }}{{ messages[0].content }}"}""");
        assertThat(ChatTemplate.read(directory).render(hello, false)).isEqualTo("<b>hi");
        Files.writeString(directory.resolve("tokenizer_config.json"), """
                {"chat_template": [{"name": "tool_use", "template": "T{{ tools | length }}"},
                                   {"name": "default", "template": "D{{ add_generation_prompt }}"}]}""");
        assertThat(ChatTemplate.read(directory).render(hello, true)).isEqualTo("DTrue");
        assertThat(ChatTemplate.read(directory)
                        .render(List.of(Map.of()), true, Map.of("tools", List.of(Map.of("x", 1)))))
                .isEqualTo("T1");
        Files.writeString(directory.resolve("chat_template.jinja"), "from the file\n");
        assertThat(ChatTemplate.read(directory).render(hello, true)).isEqualTo("from the file");
    }

    /** As get_chat_template of transformers 5.18 chooses. */
    @Test
    void takesTheNamedTemplateWhereToolsAreGiven(@TempDir Path directory) throws IOException {
        List<Map<String, Object>> hello = List.of(Map.of("role", "user", "content", "hi"));
        Map<String, Object> tools =
                Map.of("tools", List.of(Map.of("x", new BigInteger("123456789012345678901234567890"))));
        Path folder = Files.createDirectory(directory.resolve("additional_chat_templates"));
        Files.writeString(directory.resolve("tokenizer_config.json"), """
                {"bos_token": "<b>", "chat_template": [{"name": "old", "template": "old"}]}""");
        Files.writeString(folder.resolve("tool_use.jinja"), "T{{ bos_token }}{{ tools | tojson }}\n");
        Files.writeString(folder.resolve("rag.jinja"), "R{{ documents | length }}");
        Files.writeString(folder.resolve("notes.txt"), "{{ none of this");
        ChatTemplate alone = ChatTemplate.read(directory);
        assertThat(alone.names()).containsExactly("rag", "tool_use");
        assertThat(alone.render(hello, true, tools)).isEqualTo("T<b>[{\"x\": 123456789012345678901234567890}]");
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> alone.render(hello, true, Map.of()))
                .withMessage(directory + ": has no chat template named 'default', but 'rag, tool_use'");
        Files.writeString(directory.resolve("chat_template.jinja"), "D{{ tools is none }}");
        ChatTemplate chat = ChatTemplate.read(directory);
        assertThat(chat.names()).containsExactly("default", "rag", "tool_use");
        assertThat(chat.render(hello, true, Map.of())).isEqualTo("DTrue");
        assertThat(chat.render(hello, true, Map.of("tools", List.of()))).isEqualTo("T<b>[]");
        Map<String, Object> none = new HashMap<>();
        none.put("tools", null);
        assertThat(chat.render(hello, true, none)).isEqualTo("DTrue");
        assertThat(chat.render("default", hello, true, tools)).isEqualTo("DFalse");
        assertThat(chat.render("rag", hello, true, Map.of("documents", List.of(Map.of("title", "t")))))
                .isEqualTo("R1");
        Files.delete(folder.resolve("tool_use.jinja"));
        assertThat(ChatTemplate.read(directory).render(hello, true, tools)).isEqualTo("DFalse");
        Files.writeString(folder.resolve("bad.jinja"), "\n{% if %}");
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> ChatTemplate.read(directory))
                .withMessageStartingWith(folder.resolve("bad.jinja") + ":2: ");
    }

    @Test
    void keepsTheDigitsOfToolArguments() throws IOException {
        Map<String, Object> arguments = Json.MAPPER.readValue(
                "{\"a\": 123456789012345678901234567890, \"b\": -9223372036854775809, \"c\": 1e22, \"d\": 18446744073709551615}",
                new TypeReference<>() {});
        ChatTemplate chat = ChatTemplate.of("t", "{{ messages[0].arguments | tojson }}", TOKENS, CLOCK);
        assertThat(chat.render(List.of(Map.of("arguments", arguments)), false, Map.of()))
                .isEqualTo("{\"a\": 123456789012345678901234567890, \"b\": -9223372036854775809, \"c\": 1e+22,"
                        + " \"d\": 18446744073709551615}");
    }

    @Test
    void namesWhatIsWrongWithAConfiguration(@TempDir Path directory) throws IOException {
        Files.writeString(directory.resolve("tokenizer_config.json"), "{\"chat_template\": 7}");
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> ChatTemplate.read(directory))
                .withMessageContaining("chat_template: found 7, expected a text");
    }
}
