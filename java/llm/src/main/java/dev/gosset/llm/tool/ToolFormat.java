package dev.gosset.llm.tool;

import dev.gosset.core.FormatException;
import dev.gosset.llm.constraint.Grammar;
import dev.gosset.llm.constraint.UnsupportedSchemaException;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/** How a model writes the call of a function. */
public enum ToolFormat {
    /** {@code <tool_call>}, a line with an object of {@code name} and {@code arguments}, {@code </tool_call>}: Qwen, Hermes and others. */
    TAGS("<tool_call>", "arguments"),
    /** An object of {@code name} and {@code parameters} in the place of an answer: Llama 3. */
    BARE("", "parameters"),
    /** {@code [TOOL_CALLS]} and a list of objects of {@code name} and {@code arguments}: Mistral. */
    LIST("[TOOL_CALLS]", "arguments");

    private static final String PROBE = "probe_function";

    private final String opening;
    private final String arguments;

    ToolFormat(String opening, String arguments) {
        this.opening = opening;
        this.arguments = arguments;
    }

    /** What calls begin with, empty where they have nothing in front. */
    String opening() {
        return opening;
    }

    /** What stands before the arguments in a call's object. */
    String arguments() {
        return arguments;
    }

    /**
     * The format of a chat template, found out by having it write a call.
     *
     * @return empty where it writes none, or one that is not known here
     */
    public static Optional<ToolFormat> of(ChatTemplate template) {
        Map<String, Object> parameters = Map.of("type", "object", "properties", Map.of());
        // Another function: its description is not to be taken for a call.
        Map<String, Object> function = Map.of("name", "other", "description", "", "parameters", parameters);
        Map<String, Object> called = new LinkedHashMap<>();
        called.put("name", PROBE);
        called.put("arguments", Map.of("probe", 1));
        Map<String, Object> call = Map.of("id", "abcdefghi", "type", "function", "function", called);
        List<Map<String, Object>> messages = List.of(
                Map.of("role", "user", "content", "a"),
                Map.of("role", "assistant", "content", "", "tool_calls", List.of(call)));
        String text;
        try {
            List<Object> tools = List.of(Map.of("type", "function", "function", function));
            text = template.render(messages, false, Map.of("tools", tools));
        } catch (FormatException e) {
            return Optional.empty();
        }
        String before = "\\s*\\{\"name\": ?\"" + PROBE + "\", ?\"";
        for (ToolFormat format : values()) {
            String opening = switch (format) {
                case TAGS -> "<tool_call>";
                case BARE -> "";
                case LIST -> "\\[TOOL_CALLS\\]\\s*\\[";
            };
            if (java.util.regex.Pattern.compile(opening + before + format.arguments + "\": ?\\{")
                    .matcher(text)
                    .find()) {
                return Optional.of(format);
            }
        }
        return Optional.empty();
    }

    /** Special tokens that have to be in the text that a {@link ToolCallReader} gets. */
    public Set<Integer> shown(Tokenizer tokenizer) {
        OptionalInt id = tokenizer.specialId(opening);
        return id.isPresent() ? Set.of(id.getAsInt()) : Set.of();
    }

    /**
     * What a model may write: calls of these functions with arguments that fulfil their schemas, or text.
     *
     * @param required whether it must call
     * @param several whether it may call more than once
     * @throws UnsupportedSchemaException where a schema cannot be enforced
     */
    public Grammar grammar(List<Tool> tools, boolean required, boolean several, Tokenizer tokenizer) {
        List<Grammar> each = new ArrayList<>();
        for (Tool tool : tools) {
            each.add(call(tool));
        }
        Grammar call = Grammar.choice(each);
        int more = several ? 31 : 0;
        Grammar calls = switch (this) {
            case TAGS -> {
                Grammar tagged = Grammar.sequence(
                        mark(tokenizer, "<tool_call>"),
                        Grammar.text("\n"),
                        call,
                        Grammar.text("\n"),
                        mark(tokenizer, "</tool_call>"));
                yield Grammar.sequence(tagged, Grammar.repeat(Grammar.sequence(Grammar.text("\n"), tagged), 0, more));
            }
            case BARE -> call;
            case LIST ->
                Grammar.sequence(
                        mark(tokenizer, opening),
                        space(),
                        Grammar.text("["),
                        call,
                        Grammar.repeat(Grammar.sequence(Grammar.text(","), space(), call), 0, more),
                        Grammar.text("]"));
        };
        if (required) {
            return calls;
        }
        return switch (this) {
            case TAGS, LIST -> Grammar.sequence(Grammar.textWithout(opening), Grammar.repeat(calls, 0, 1));
            case BARE -> {
                OptionalInt tag = tokenizer.specialId("<|python_tag|>");
                Grammar tagged = tag.isEmpty()
                        ? calls
                        : Grammar.sequence(Grammar.repeat(Grammar.token(tag.getAsInt()), 0, 1), calls);
                yield Grammar.choice(List.of(tagged, Grammar.textNotBeginningWith('{')));
            }
        };
    }

    private Grammar call(Tool tool) {
        Grammar parameters;
        try {
            parameters = Grammar.jsonSchema(
                    tool.parameters() == null
                            ? Json.MAPPER.createObjectNode().put("type", "object")
                            : tool.parameters());
        } catch (UnsupportedSchemaException e) {
            throw e.of("the parameters of " + tool.name());
        }
        List<Grammar> parts = new ArrayList<>(List.of(
                Grammar.text("{\"name\":"),
                space(),
                Grammar.text("\"" + tool.name() + "\","),
                space(),
                Grammar.text("\"" + arguments + "\":"),
                space(),
                parameters));
        if (this == LIST) {
            Grammar id = Grammar.jsonSchema(
                    Json.MAPPER.createObjectNode().put("type", "string").put("pattern", "^[A-Za-z0-9]{9}$"));
            Grammar with = Grammar.sequence(Grammar.text(","), space(), Grammar.text("\"id\":"), space(), id);
            parts.add(Grammar.repeat(with, 0, 1));
        }
        parts.add(Grammar.text("}"));
        return Grammar.sequence(parts.toArray(Grammar[]::new));
    }

    private static Grammar space() {
        return Grammar.repeat(Grammar.text(" "), 0, 1);
    }

    private static Grammar mark(Tokenizer tokenizer, String text) {
        OptionalInt id = tokenizer.specialId(text);
        return id.isPresent() ? Grammar.token(id.getAsInt()) : Grammar.text(text);
    }
}
