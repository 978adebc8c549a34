package dev.gosset.llm.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.Quoted;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.jinja.JinjaException;
import dev.gosset.jinja.JinjaTemplate;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.io.Utf8;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * Turns a conversation into the text that a chat model continues, by the Jinja template that comes with the model:
 * {@code chat_template.jinja} and named ones in {@code additional_chat_templates}, else {@code chat_template} of
 * tokenizer_config.json (one text, or a list of named ones), else of chat_template.json. The result is what
 * {@code apply_chat_template} of Hugging Face transformers gives; encode it without special tokens, for the template writes
 * them itself.
 *
 * <p>Immutable, thread-safe.
 */
public final class ChatTemplate {
    private static final List<String> SPECIAL_TOKENS =
            List.of("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");

    private static final String DEFAULT = "default";
    private static final String TOOL_USE = "tool_use";
    public static final String FOLDER = "additional_chat_templates";

    private static final String SUFFIX = ".jinja";

    private final String where;
    private final Map<String, JinjaTemplate> templates;
    private final Map<String, Object> specialTokens;
    private final Clock clock;

    private ChatTemplate(
            String where, Map<String, JinjaTemplate> templates, Map<String, Object> specialTokens, Clock clock) {
        this.where = where;
        this.templates = templates;
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
        return new ChatTemplate(where, Map.of(DEFAULT, parsed(where, template)), new HashMap<>(specialTokens), clock);
    }

    /**
     * The templates of a model directory, if it has any.
     *
     * @throws FormatException where one is malformed
     */
    public static Optional<ChatTemplate> find(Path directory) {
        Path configuration = directory.resolve("tokenizer_config.json");
        JsonFile json = JsonFile.readIfPresent(configuration);
        Map<String, JinjaTemplate> templates = files(directory);
        String where = directory.toString();
        Map<String, Object> tokens = specialTokens(json);
        Path old = directory.resolve("chat_template.json");
        if (templates.isEmpty()) {
            if (!json.has("chat_template") && ReadableFile.isPresent(old)) {
                json = JsonFile.read(old);
            }
            if (!json.has("chat_template")) {
                return Optional.empty();
            }
            templates = named(json);
            where = json.where() + ": chat_template";
        }
        return Optional.of(new ChatTemplate(where, templates, tokens, Clock.systemDefaultZone()));
    }

    /** The templates that are files of their own: as transformers has it, they replace all of the configuration's. */
    private static Map<String, JinjaTemplate> files(Path directory) {
        Map<String, JinjaTemplate> templates = new TreeMap<>();
        Path file = directory.resolve("chat_template.jinja");
        if (ReadableFile.isPresent(file)) {
            templates.put(DEFAULT, parsed(file.toString(), readText(file)));
        }
        Path folder = directory.resolve(FOLDER);
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> more = Files.newDirectoryStream(folder, "*" + SUFFIX)) {
                for (Path named : more) {
                    String name = named.getFileName().toString();
                    templates.put(
                            name.substring(0, name.length() - SUFFIX.length()),
                            parsed(named.toString(), readText(named)));
                }
            } catch (IOException e) {
                throw ReadableFile.failure(folder, "a directory of chat templates", e);
            }
        }
        return templates;
    }

    /** Copies the named templates of a model directory to another one, where it has any. */
    public static void copyNamed(Path from, Path to) throws IOException {
        if (Files.isDirectory(from.resolve(FOLDER))) {
            Path folder = Files.createDirectories(to.resolve(FOLDER));
            try (DirectoryStream<Path> files = Files.newDirectoryStream(from.resolve(FOLDER), "*" + SUFFIX)) {
                for (Path file : files) {
                    CrashSafeFile.write(folder.resolve(file.getFileName()), Files.readAllBytes(file));
                }
            }
        }
    }

    /** The names of the templates, in order; a single one is called {@code default}. */
    public Set<String> names() {
        return Collections.unmodifiableSet(templates.keySet());
    }

    /**
     * The template of a model directory.
     *
     * @throws FormatException where there is none, or it is malformed
     */
    public static ChatTemplate read(Path directory) {
        return find(directory)
                .orElseThrow(() -> new FormatException(directory
                        + ": has no chat template (chat_template.jinja, additional_chat_templates, or chat_template in"
                        + " tokenizer_config.json):"
                        + " the model can continue text, but not chat"));
    }

    private static JinjaTemplate parsed(String where, String template) {
        try {
            return JinjaTemplate.parse(where, template);
        } catch (JinjaException e) {
            throw new FormatException(e.getMessage(), e);
        }
    }

    private static String readText(Path file) {
        ReadableFile.require(file, "a chat template");
        try {
            return Utf8.decode(file.toString(), Files.readAllBytes(file));
        } catch (IOException e) {
            throw ReadableFile.failure(file, "a chat template", e);
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

    /** The configuration's templates by their names; a single one is the default. */
    private static Map<String, JinjaTemplate> named(JsonFile json) {
        JsonNode node = json.node().get("chat_template");
        String where = json.where() + ": chat_template";
        Map<String, JinjaTemplate> templates = new TreeMap<>();
        if (node.isTextual()) {
            templates.put(DEFAULT, parsed(where, node.textValue()));
        }
        for (JsonNode e : node.isArray() ? node : List.<JsonNode>of()) {
            if (!e.path("name").isTextual() || !e.path("template").isTextual()) {
                throw json.bad("chat_template", "a list of templates, each with a name and a template");
            }
            String name = e.path("name").textValue();
            templates.put(name, parsed(where + " " + name, e.path("template").textValue()));
        }
        if (templates.isEmpty()) {
            throw json.bad("chat_template", "a text, or a list of templates");
        }
        return templates;
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
     * The text of a conversation with whatever the template knows. Of several templates that named {@code tool_use} is
     * taken where there are tools (an empty list of them, too), else that named {@code default}.
     *
     * @param messages maps with {@code role}, {@code content} and more, such as {@code tool_calls}; values are numbers
     *     of any size, texts, booleans, null, lists and maps
     * @param open whether the text ends with the beginning of the assistant's turn
     * @param more more variables, such as {@code tools} and {@code documents} (lists of maps) or {@code enable_thinking}
     * @throws FormatException where the template refuses the conversation, with the template's own words, or where none of
     *     several templates is the default
     */
    public String render(List<? extends Map<String, ?>> messages, boolean open, Map<String, ?> more) {
        boolean tools = more.get("tools") != null && templates.containsKey(TOOL_USE);
        return render(tools ? TOOL_USE : DEFAULT, messages, open, more);
    }

    /**
     * The text of a conversation by the template of a name, whatever variables are given.
     *
     * @param name one of {@link #names}
     * @throws FormatException as above, or where there is no template of that name
     */
    public String render(String name, List<? extends Map<String, ?>> messages, boolean open, Map<String, ?> more) {
        JinjaTemplate template = templates.get(name);
        if (template == null) {
            throw new FormatException(where + ": has no chat template named " + Quoted.of(name) + ", but "
                    + Quoted.of(String.join(", ", templates.keySet())));
        }
        Map<String, Object> variables = new HashMap<>(specialTokens);
        variables.put("tools", null);
        variables.put("documents", null);
        variables.putAll(more);
        variables.put("messages", messages);
        variables.put("add_generation_prompt", open);
        try {
            return template.render(variables, clock);
        } catch (JinjaException e) {
            throw new FormatException(e.getMessage(), e);
        }
    }
}
