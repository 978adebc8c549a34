package dev.gosset.llm.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.io.Utf8;
import dev.gosset.llm.jinja.JinjaTemplate;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Turns a conversation into the text that a chat model continues, by the Jinja template that comes with the model:
 * {@code chat_template.jinja}, else {@code chat_template} of tokenizer_config.json (one text, or a list of named ones), else
 * of chat_template.json. The result is what {@code apply_chat_template} of Hugging Face transformers gives; encode it
 * without special tokens, for the template writes them itself.
 *
 * <p>Immutable, thread-safe.
 */
public final class ChatTemplate {
    private static final List<String> SPECIAL_TOKENS =
            List.of("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");

    private final JinjaTemplate plain;
    private final JinjaTemplate withTools;
    private final Map<String, Object> specialTokens;
    private final Clock clock;

    private ChatTemplate(JinjaTemplate plain, JinjaTemplate withTools, Map<String, Object> specialTokens, Clock clock) {
        this.plain = plain;
        this.withTools = withTools;
        this.specialTokens = specialTokens;
        this.clock = clock;
    }

    /**
     * A template by itself.
     *
     * @param where its origin, for messages
     * @param specialTokens {@code bos_token} and the like, for the template to write
     * @param clock what the template's {@code strftime_now} tells
     */
    public static ChatTemplate of(String where, String template, Map<String, String> specialTokens, Clock clock) {
        JinjaTemplate parsed = JinjaTemplate.parse(where, template);
        return new ChatTemplate(parsed, parsed, new HashMap<>(specialTokens), clock);
    }

    /**
     * The template of a model directory, if it has one.
     *
     * @throws FormatException where it is malformed
     */
    public static Optional<ChatTemplate> find(Path directory) {
        Path configuration = directory.resolve("tokenizer_config.json");
        JsonFile json = Files.isRegularFile(configuration)
                ? JsonFile.read(configuration)
                : JsonFile.parse(configuration.toString(), "{}");
        Map<String, Object> tokens = specialTokens(json);
        Clock clock = Clock.systemDefaultZone();
        Path file = directory.resolve("chat_template.jinja");
        if (Files.isRegularFile(file)) {
            JinjaTemplate template = JinjaTemplate.parse(file.toString(), readText(file));
            return Optional.of(new ChatTemplate(template, template, tokens, clock));
        }
        Path old = directory.resolve("chat_template.json");
        if (!json.has("chat_template") && Files.isRegularFile(old)) {
            json = JsonFile.read(old);
        }
        if (!json.has("chat_template")) {
            return Optional.empty();
        }
        Map<String, String> named = named(json);
        String where = json.where() + ": chat_template";
        JinjaTemplate plain = JinjaTemplate.parse(where, named.get("default"));
        JinjaTemplate withTools =
                named.containsKey("tool_use") ? JinjaTemplate.parse(where + " tool_use", named.get("tool_use")) : plain;
        return Optional.of(new ChatTemplate(plain, withTools, tokens, clock));
    }

    /**
     * The template of a model directory.
     *
     * @throws FormatException where there is none, or it is malformed
     */
    public static ChatTemplate read(Path directory) {
        return find(directory)
                .orElseThrow(() -> new FormatException(directory
                        + ": has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json):"
                        + " the model can continue text, but not chat"));
    }

    private static String readText(Path file) {
        try {
            return Utf8.decode(file.toString(), Files.readAllBytes(file));
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + e.getMessage(), e);
        }
    }

    private static Map<String, Object> specialTokens(JsonFile json) {
        Map<String, Object> tokens = new HashMap<>();
        for (String name : SPECIAL_TOKENS) {
            JsonNode node = json.node().path(name);
            JsonNode text = node.isObject() ? node.path("content") : node;
            if (text.isTextual()) {
                tokens.put(name, text.textValue());
            }
        }
        return tokens;
    }

    /** The templates by their names; a single one is the default. */
    private static Map<String, String> named(JsonFile json) {
        JsonNode node = json.node().get("chat_template");
        Map<String, String> named = new LinkedHashMap<>();
        if (node.isTextual()) {
            named.put("default", node.textValue());
        } else {
            for (JsonNode e : node.isArray() ? node : List.<JsonNode>of()) {
                if (e.path("name").isTextual() && e.path("template").isTextual()) {
                    named.put(e.path("name").textValue(), e.path("template").textValue());
                }
            }
        }
        if (!named.containsKey("default")) {
            throw json.bad("chat_template", "a text, or a list of templates one of which is named default");
        }
        return named;
    }

    /**
     * A message of a conversation.
     *
     * @param role {@code system}, {@code user} or {@code assistant}
     */
    public record Message(String role, String content) {
        Map<String, Object> variables() {
            Map<String, Object> variables = new LinkedHashMap<>();
            variables.put("role", role);
            variables.put("content", content);
            return variables;
        }
    }

    /**
     * The text of a conversation.
     *
     * @param open whether the text ends with the beginning of the assistant's turn
     * @throws FormatException where the template refuses the conversation, with the template's own words
     */
    public String render(List<Message> messages, boolean open) {
        return render(messages.stream().map(Message::variables).toList(), open, Map.of());
    }

    /**
     * The text of a conversation with whatever the template knows.
     *
     * @param messages maps with {@code role}, {@code content} and more, such as {@code tool_calls}; values are numbers,
     *     texts, booleans, null, lists and maps
     * @param open whether the text ends with the beginning of the assistant's turn
     * @param more more variables, such as {@code tools} (a list of function descriptions) or {@code enable_thinking}
     * @throws FormatException where the template refuses the conversation, with the template's own words
     */
    public String render(List<? extends Map<String, ?>> messages, boolean open, Map<String, ?> more) {
        Map<String, Object> variables = new HashMap<>(specialTokens);
        variables.put("tools", null);
        variables.put("documents", null);
        variables.putAll(more);
        variables.put("messages", messages);
        variables.put("add_generation_prompt", open);
        return (variables.get("tools") == null ? plain : withTools).render(variables, clock);
    }
}
