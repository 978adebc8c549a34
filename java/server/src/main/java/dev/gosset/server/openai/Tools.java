package dev.gosset.server.openai;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.tool.Tool;
import dev.gosset.llm.tool.ToolFormat;
import dev.gosset.server.serving.ApiException;
import dev.gosset.server.serving.RequestFields;
import dev.gosset.server.serving.ServedModel;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The functions of a request.
 *
 * @param format how the model calls them
 * @param described as templates take them
 * @param constraint what answers are held to
 */
record Tools(ToolFormat format, List<Object> described, Constraint constraint) {
    private static final int MOST = 128;
    private static final String LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

    /** Null where the request has none, or wants none called. */
    static Tools read(RequestFields fields, ServedModel model) {
        JsonNode node = fields.node("tools");
        JsonNode choice = fields.node("tool_choice");
        boolean several = fields.flag("parallel_tool_calls", true);
        List<Tool> tools = new ArrayList<>();
        List<Object> described = new ArrayList<>();
        if (node != null && (!node.isArray() || node.size() > MOST)) {
            throw ApiException.invalid("tools", "tools must be a list of at most " + MOST + " functions");
        }
        for (JsonNode each : node == null ? List.<JsonNode>of() : node) {
            tools.add(tool("tools[" + tools.size() + "]", each));
            described.add(Json.MAPPER.convertValue(each, Object.class));
        }
        Set<String> names = new HashSet<>();
        for (Tool tool : tools) {
            if (!names.add(tool.name())) {
                throw ApiException.invalid(
                        "tools", "tools must have different names, found '" + tool.name() + "' twice");
            }
        }
        String only = choice != null && choice.isObject() ? named(choice) : null;
        String mode = choice == null ? "auto" : only == null ? choice.asText() : "required";
        if (!List.of("auto", "none", "required").contains(mode)) {
            throw ApiException.invalid("tool_choice", "tool_choice must be auto, none, required or a function");
        }
        if (mode.equals("required") && tools.isEmpty()) {
            throw ApiException.invalid("tool_choice", "tool_choice needs tools");
        }
        if (tools.isEmpty() || mode.equals("none")) {
            return null;
        }
        if (only != null && !names.contains(only)) {
            throw ApiException.invalid("tool_choice", "tool_choice names '" + only + "', which is none of the tools");
        }
        ToolFormat format = model.toolFormat("tools");
        List<Tool> callable = only == null
                ? tools
                : tools.stream().filter(t -> t.name().equals(only)).toList();
        boolean required = mode.equals("required");
        Constraint constraint = model.constraint(
                "tools",
                "tools " + required + several + callable,
                () -> format.grammar(callable, required, several && only == null, model.tokenizer()));
        return new Tools(format, described, constraint);
    }

    private static Tool tool(String path, JsonNode node) {
        RequestFields fields = RequestFields.of(path, node);
        requireFunction(path, fields);
        RequestFields function = fields.object("function");
        String name = function.text("name", "");
        JsonNode parameters = function.node("parameters");
        function.text("description", null);
        // Always strict.
        function.flag("strict", true);
        function.requireAllKnown();
        fields.requireAllKnown();
        if (parameters != null && !parameters.isObject()) {
            throw ApiException.invalid(
                    path + ".function.parameters", path + ".function.parameters must be a JSON schema");
        }
        try {
            return new Tool(name, parameters);
        } catch (IllegalArgumentException e) {
            throw ApiException.invalid(path + ".function.name", path + ".function.name: " + e.getMessage());
        }
    }

    private static void requireFunction(String path, RequestFields fields) {
        String type = fields.text("type", "function");
        if (!type.equals("function")) {
            throw ApiException.invalid(
                    path + ".type", "unsupported_value", path + ".type must be function, found '" + type + "'");
        }
    }

    private static String named(JsonNode choice) {
        RequestFields fields = RequestFields.of("tool_choice", choice);
        requireFunction("tool_choice", fields);
        RequestFields function = fields.object("function");
        String name = function.text("name", "");
        function.requireAllKnown();
        fields.requireAllKnown();
        return name;
    }

    /** A new name for a call: letters and digits, as many as templates insist on. */
    static String newId() {
        StringBuilder id = new StringBuilder();
        for (int i = 0; i < 9; i++) {
            id.append(LETTERS.charAt(ThreadLocalRandom.current().nextInt(LETTERS.length())));
        }
        return id.toString();
    }

    /** The calls of a message of before, as templates take them: arguments are objects there. */
    static List<Map<String, Object>> calls(String path, JsonNode node) {
        if (!node.isArray()) {
            throw ApiException.invalid(path, path + " must be a list of calls");
        }
        List<Map<String, Object>> calls = new ArrayList<>();
        for (JsonNode each : node) {
            String own = path + "[" + calls.size() + "]";
            RequestFields fields = RequestFields.of(own, each);
            requireFunction(own, fields);
            fields.ignore("index");
            RequestFields function = fields.object("function");
            Map<String, Object> call = new LinkedHashMap<>();
            call.put("id", fields.text("id", newId()));
            call.put("type", "function");
            Map<String, Object> called = new LinkedHashMap<>();
            called.put("name", function.text("name", ""));
            called.put("arguments", arguments(own + ".function.arguments", function.node("arguments")));
            call.put("function", called);
            function.requireAllKnown();
            fields.requireAllKnown();
            calls.add(call);
        }
        return calls;
    }

    private static Object arguments(String path, JsonNode node) {
        JsonNode arguments = node;
        if (node != null && node.isTextual()) {
            try {
                arguments = Json.MAPPER.readTree(node.textValue().isBlank() ? "{}" : node.textValue());
            } catch (JsonProcessingException e) {
                arguments = null;
            }
        }
        if (arguments == null || !arguments.isObject()) {
            throw ApiException.invalid(path, path + " must be a JSON object, as a text");
        }
        return Json.MAPPER.convertValue(arguments, Object.class);
    }
}
