package dev.gosset.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.sampling.LogProbabilities;
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
        fields.only("response_format", n -> "text".equals(n.path("type").textValue()), "{\"type\": \"text\"}");
        fields.only("tools", n -> n.isArray() && n.isEmpty(), "absent: tools are not supported");
        fields.only("tool_choice", n -> "none".equals(n.textValue()), "\"none\": tools are not supported");
        fields.only("modalities", n -> n.toString().equals("[\"text\"]"), "[\"text\"]");
        fields.ignore("parallel_tool_calls");
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
        fields.requireAllKnown();
        int[] prompt = model.tokens(messages, variables);
        Choice choice = new Choice(prompt, options.count(), options.options(), false);
        Generation generation = model.start(List.of(choice), "messages", owner);
        Delivery.send(exchange, generation, new Form(model, options), options.stream());
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
            if (!List.of("system", "developer", "user", "assistant").contains(role)) {
                throw ApiException.invalid(
                        path + ".role",
                        path + ".role must be system, developer, user or assistant, found '" + role + "'");
            }
            message.put("role", role.equals("developer") ? "system" : role);
            message.put("content", content(path + ".content", fields.node("content")));
            if (fields.has("name")) {
                message.put("name", fields.text("name", null));
            }
            fields.only("tool_calls", n -> n.isArray() && n.isEmpty(), "absent: tools are not supported");
            fields.only("images", n -> n.isArray() && n.isEmpty(), "absent: pictures are not supported");
            fields.refuse("function_call", "audio", "refusal", "tool_call_id");
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
        Form(ServedModel model, OptionFields fields) {
            super(model, fields, "chatcmpl-", "chat.completion", "chat.completion.chunk");
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
            return choice.put("finish_reason", reason(finish.end()));
        }

        @Override
        ObjectNode choice(Whole whole) {
            ObjectNode choice = open(whole.choice());
            choice.putObject("message")
                    .put("role", "assistant")
                    .put("content", whole.text())
                    .putNull("refusal");
            likely(choice, whole.likely());
            return choice.put("finish_reason", reason(whole.end()));
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
            if (text.indexOf('\uFFFD') >= 0) {
                node.putNull("bytes");
                return;
            }
            ArrayNode bytes = node.putArray("bytes");
            for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
                bytes.add(b & 0xff);
            }
        }
    }

    /** JSON has no infinity; OpenAI writes this for what is as good as impossible. */
    static double finite(double logProbability) {
        return Math.max(logProbability, -9999);
    }
}
