package dev.gosset.server.ollama;

import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.server.http.Exchange;
import dev.gosset.server.openai.ChatCompletions;
import dev.gosset.server.serving.Choice;
import dev.gosset.server.serving.Delivery;
import dev.gosset.server.serving.RequestFields;
import dev.gosset.server.serving.ServedModel;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** {@code POST /api/chat}. */
public final class OllamaChat {
    private OllamaChat() {}

    /**
     * Answers a request.
     *
     * @param owner who asked, for fairness
     */
    public static void handle(Exchange exchange, ServedModel model, Object owner)
            throws IOException, InterruptedException {
        RequestFields fields = RequestFields.parse(exchange.body());
        model.requireName(fields.text("model", null));
        GenerationOptions options = OllamaOptions.read(fields, model);
        Constraint constraint = OllamaOptions.format(fields, model);
        boolean stream = fields.flag("stream", true);
        OllamaForm form = new OllamaForm(
                model,
                (root, text) ->
                        root.putObject("message").put("role", "assistant").put("content", text));
        boolean empty = !fields.has("messages") || fields.node("messages").isEmpty();
        List<Map<String, Object>> messages =
                empty ? List.of() : ChatCompletions.messages("messages", fields.node("messages"));
        fields.requireAllKnown();
        if (empty) {
            exchange.answer(200, "application/json", form.loaded().getBytes(StandardCharsets.UTF_8));
            return;
        }
        Choice choice = new Choice(model.tokens(messages, Map.of()), 1, options, constraint);
        Delivery.send(exchange, model.start(List.of(choice), "messages", owner), form, stream);
    }
}
