package dev.gosset.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.llm.tool.ToolCallReader;
import dev.gosset.server.http.Exchange;
import dev.gosset.server.serving.ApiException;
import dev.gosset.server.serving.Choice;
import dev.gosset.server.serving.Delivery;
import dev.gosset.server.serving.Generation;
import dev.gosset.server.serving.RequestFields;
import dev.gosset.server.serving.ServedModel;
import dev.gosset.server.serving.Usage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** {@code POST /v1/chat/completions}. */
public final class ChatCompletions {
    private static final int MOST_LOG_PROBABILITIES = 20;

    private ChatCompletions() {}

    /**
     * Answers a request.
     *
     * @param owner who asked, for fairness
     */
    public static void handle(Exchange exchange, ServedModel model, Object owner)
            throws IOException, InterruptedException {
        RequestFields fields = RequestFields.parse(exchange.body());
        model.requireName(fields.text("model", null));
        boolean likely = fields.flag("logprobs", false);
        int top = (int) fields.integer("top_logprobs", 0, MOST_LOG_PROBABILITIES, 0);
        if (top > 0 && !likely) {
            throw ApiException.invalid("top_logprobs", "top_logprobs needs logprobs");
        }
        int old = (int) fields.integer("max_tokens", 1, Integer.MAX_VALUE, model.context());
        int most = (int) fields.integer("max_completion_tokens", 1, Integer.MAX_VALUE, old);
        OptionFields options = OptionFields.read(fields, model, most, likely ? top : -1);
        Constraint constraint = responseFormat(fields, model);
        Tools tools = Tools.read(fields, model);
        if (tools != null && (constraint != null || likely)) {
            String other = likely ? "logprobs" : "response_format";
            throw ApiException.invalid(other, "unsupported_value", other + " together with tools is not supported");
        }
        fields.only("modalities", n -> n.toString().equals("[\"text\"]"), "[\"text\"]");
        fields.refuse(
                "functions",
                "function_call",
                "audio",
                "prediction",
                "reasoning_effort",
                "verbosity",
                "web_search_options");
        List<Map<String, Object>> messages = messages("messages", fields.node("messages"));
        Map<String, Object> variables = variables(fields.node("chat_template_kwargs"));
        if (tools != null) {
            variables.put("tools", tools.described());
        }
        fields.requireAllKnown();
        int[] prompt = model.tokens(messages, variables);
        Choice choice = tools == null
                ? new Choice(prompt, options.count(), options.options(), constraint)
                : new Choice(
                        prompt,
                        options.count(),
                        options.options(),
                        tools.constraint(),
                        tools.format().shown(model.tokenizer()),
                        false);
        Generation generation = model.start(List.of(choice), "messages", owner);
        Delivery.send(exchange, generation, new Form(model, options, tools), options.stream());
    }

    private static Constraint responseFormat(RequestFields fields, ServedModel model) {
        if (!fields.has("response_format")) {
            return null;
        }
        RequestFields format = fields.object("response_format");
        String type = format.text("type", "");
        Constraint constraint = null;
        switch (type) {
            case "text" -> {}
            case "json_object" -> constraint = model.constraint("response_format", null);
            case "json_schema" -> {
                RequestFields named = format.object("json_schema");
                String path = "response_format.json_schema.schema";
                if (!named.has("schema")) {
                    throw ApiException.invalid(path, path + " must be a JSON schema");
                }
                constraint = model.constraint(path, named.node("schema"));
                // Always strict.
                named.ignore("name", "description", "strict");
                named.requireAllKnown();
            }
            default ->
                throw ApiException.invalid(
                        "response_format.type",
                        "unsupported_value",
                        "response_format.type must be text, json_object or json_schema, found '" + type + "'");
        }
        format.requireAllKnown();
        return constraint;
    }

    /** Messages with texts, as templates take them. */
    public static List<Map<String, Object>> messages(String field, JsonNode node) {
        if (node == null || !node.isArray() || node.isEmpty()) {
            throw ApiException.invalid(field, field + " must be a list of at least one message");
        }
        List<Map<String, Object>> messages = new ArrayList<>();
        for (JsonNode each : node) {
            String path = field + "[" + messages.size() + "]";
            RequestFields fields = RequestFields.of(path, each);
            Map<String, Object> message = new LinkedHashMap<>();
            String role = fields.text("role", "");
            if (!List.of("system", "developer", "user", "assistant", "tool").contains(role)) {
                throw ApiException.invalid(
                        path + ".role",
                        path + ".role must be system, developer, user, assistant or tool, found '" + role + "'");
            }
            message.put("role", role.equals("developer") ? "system" : role);
            List<Map<String, Object>> calls = role.equals("assistant") && fields.has("tool_calls")
                    ? Tools.calls(path + ".tool_calls", fields.node("tool_calls"))
                    : List.of();
            boolean empty = !calls.isEmpty() && !fields.has("content");
            message.put("content", empty ? "" : content(path + ".content", fields.node("content")));
            if (!calls.isEmpty()) {
                message.put("tool_calls", calls);
            }
            if (role.equals("tool")) {
                if (!fields.has("tool_call_id")) {
                    throw ApiException.invalid(path + ".tool_call_id", path + ".tool_call_id must name a call");
                }
                message.put("tool_call_id", fields.text("tool_call_id", null));
            }
            if (fields.has("name")) {
                message.put("name", fields.text("name", null));
            }
            fields.only("images", n -> n.isArray() && n.isEmpty(), "absent: pictures are not supported");
            fields.refuse("function_call", "audio", "refusal");
            fields.requireAllKnown();
            messages.add(message);
        }
        return messages;
    }

    private static String content(String path, JsonNode node) {
        if (node != null && node.isTextual()) {
            return node.textValue();
        }
        if (node == null || !node.isArray()) {
            throw ApiException.invalid(path, path + " must be a text or a list of parts of type text");
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < node.size(); i++) {
            String part = path + "[" + i + "]";
            RequestFields fields = RequestFields.of(part, node.get(i));
            String type = fields.text("type", "");
            if (!type.equals("text")) {
                throw ApiException.invalid(
                        part + ".type", "unsupported_value", part + ".type must be text, found '" + type + "'");
            }
            text.append(fields.text("text", ""));
            fields.requireAllKnown();
        }
        return text.toString();
    }

    /** What the template knows beside the messages, such as {@code enable_thinking}. */
    private static Map<String, Object> variables(JsonNode node) {
        Map<String, Object> variables = new LinkedHashMap<>();
        if (node != null) {
            for (Map.Entry<String, JsonNode> e :
                    RequestFields.of("chat_template_kwargs", node).entries()) {
                variables.put(e.getKey(), Json.MAPPER.convertValue(e.getValue(), Object.class));
            }
        }
        return variables;
    }

    private static final class Form extends OpenAiForm {
        private final Tools tools;
        /** One for each choice. */
        private final Map<Integer, ToolCallReader> readers = new HashMap<>();

        Form(ServedModel model, OptionFields fields, Tools tools) {
            super(model, fields, "chatcmpl-", "chat.completion", "chat.completion.chunk");
            this.tools = tools;
        }

        private ToolCallReader reader(int choice) {
            return readers.computeIfAbsent(choice, i -> new ToolCallReader(tools.format()));
        }

        @Override
        public String piece(Generation.Piece piece, Usage usage) {
            if (tools == null) {
                return super.piece(piece, usage);
            }
            return parts(piece.choice(), reader(piece.choice()).accept(piece.text()), usage);
        }

        @Override
        public String finish(Generation.Finish finish, Usage usage, double seconds) {
            String rest = tools == null
                    ? ""
                    : parts(finish.choice(), reader(finish.choice()).end(), usage);
            return rest + super.finish(finish, usage, seconds);
        }

        private String parts(int number, List<ToolCallReader.Part> parts, Usage usage) {
            StringBuilder out = new StringBuilder();
            for (ToolCallReader.Part part : parts) {
                ObjectNode choice = open(number);
                ObjectNode delta = choice.putObject("delta");
                switch (part) {
                    case ToolCallReader.Content(String text) -> delta.put("content", text);
                    case ToolCallReader.Call(int index, String name) ->
                        delta.putArray("tool_calls")
                                .addObject()
                                .put("index", index)
                                .put("id", Tools.newId())
                                .put("type", "function")
                                .putObject("function")
                                .put("name", name)
                                .put("arguments", "");
                    case ToolCallReader.Arguments(int index, String json) ->
                        delta.putArray("tool_calls")
                                .addObject()
                                .put("index", index)
                                .putObject("function")
                                .put("arguments", json);
                }
                choice.putNull("finish_reason");
                out.append(event(choice, usage));
            }
            return out.toString();
        }

        /** Calls are what ended it, where there are any and all are whole. */
        private static String reason(TextGenerator.End end, int calls) {
            return end == TextGenerator.End.STOP && calls > 0 ? "tool_calls" : reason(end);
        }

        @Override
        public String begin(int choices) {
            StringBuilder out = new StringBuilder();
            for (int i = 0; i < choices; i++) {
                ObjectNode choice = open(i);
                choice.putObject("delta").put("role", "assistant").put("content", "");
                choice.putNull("finish_reason");
                out.append(event(choice, new Usage(0, 0, 0)));
            }
            return out.toString();
        }

        private static ObjectNode open(int number) {
            return Json.MAPPER.createObjectNode().put("index", number);
        }

        @Override
        ObjectNode delta(Generation.Piece piece) {
            ObjectNode choice = open(piece.choice());
            choice.putObject("delta").put("content", piece.text());
            likely(choice, piece.likely());
            choice.putNull("finish_reason");
            return choice;
        }

        @Override
        ObjectNode last(Generation.Finish finish) {
            ObjectNode choice = open(finish.choice());
            choice.putObject("delta");
            int calls = tools == null ? 0 : reader(finish.choice()).calls();
            return choice.put("finish_reason", reason(finish.end(), calls));
        }

        @Override
        ObjectNode choice(Whole whole) {
            ObjectNode choice = open(whole.choice());
            ObjectNode message = choice.putObject("message").put("role", "assistant");
            int calls = 0;
            if (tools == null) {
                message.put("content", whole.text());
            } else {
                calls = message(message, whole.text());
            }
            message.putNull("refusal");
            likely(choice, whole.likely());
            return choice.put("finish_reason", reason(whole.end(), calls));
        }

        private int message(ObjectNode message, String text) {
            ToolCallReader reader = new ToolCallReader(tools.format());
            List<ToolCallReader.Part> parts = new ArrayList<>(reader.accept(text));
            parts.addAll(reader.end());
            StringBuilder content = new StringBuilder();
            List<ObjectNode> functions = new ArrayList<>();
            for (ToolCallReader.Part part : parts) {
                switch (part) {
                    case ToolCallReader.Content(String more) -> content.append(more);
                    case ToolCallReader.Call call ->
                        functions.add(Json.MAPPER
                                .createObjectNode()
                                .put("name", call.name())
                                .put("arguments", ""));
                    case ToolCallReader.Arguments(int index, String json) ->
                        functions
                                .get(index)
                                .put(
                                        "arguments",
                                        functions.get(index).get("arguments").textValue() + json);
                }
            }
            if (functions.isEmpty()) {
                message.put("content", content.toString());
                return 0;
            }
            message.put("content", content.isEmpty() ? null : content.toString());
            ArrayNode calls = message.putArray("tool_calls");
            functions.forEach(f -> calls.addObject()
                    .put("id", Tools.newId())
                    .put("type", "function")
                    .set("function", f));
            return functions.size();
        }

        private void likely(ObjectNode choice, List<LogProbabilities> likely) {
            if (likely.isEmpty()) {
                choice.putNull("logprobs");
                return;
            }
            ObjectNode logprobs = choice.putObject("logprobs");
            ArrayNode content = logprobs.putArray("content");
            for (LogProbabilities l : likely) {
                ObjectNode token = content.addObject();
                put(token, l.token(), l.logProbability());
                ArrayNode top = token.putArray("top_logprobs");
                l.top().forEach(a -> put(top.addObject(), a.token(), a.logProbability()));
            }
            logprobs.putNull("refusal");
        }

        private void put(ObjectNode node, int token, double logProbability) {
            String text = names.of(token);
            node.put("token", text).put("logprob", finite(logProbability));
            byte[] own = model.tokenizer().bytesOf(token);
            if (own == null && text.indexOf('\uFFFD') >= 0) {
                node.putNull("bytes");
                return;
            }
            ArrayNode bytes = node.putArray("bytes");
            for (byte b : own == null ? text.getBytes(StandardCharsets.UTF_8) : own) {
                bytes.add(b & 0xff);
            }
        }
    }

    /** JSON has no infinity; OpenAI writes this for what is as good as impossible. */
    static double finite(double logProbability) {
        return Math.max(logProbability, -9999);
    }
}
