package dev.gosset.server.ollama;

import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.server.http.Exchange;
import dev.gosset.server.serving.Choice;
import dev.gosset.server.serving.Delivery;
import dev.gosset.server.serving.RequestFields;
import dev.gosset.server.serving.ServedModel;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** {@code POST /api/generate}: a prompt in the model's own form for conversations, or with {@code raw} as it is. */
public final class OllamaGenerate {
    private OllamaGenerate() {}

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
        // A model that knows no conversations can only continue.
        boolean raw = fields.flag("raw", false) || !model.chats();
        String prompt = fields.text("prompt", "");
        String system = fields.text("system", "");
        fields.only("suffix", n -> n.isTextual() && n.textValue().isEmpty(), "absent: it is not supported");
        fields.only("images", n -> n.isArray() && n.isEmpty(), "absent: pictures are not supported");
        fields.refuse("template", "context");
        if (raw) {
            fields.only("system", n -> system.isEmpty(), "absent: the prompt is taken as it is");
        }
        fields.requireAllKnown();
        OllamaForm form = new OllamaForm(model, (root, text) -> root.put("response", text));
        if (prompt.isEmpty()) {
            exchange.answer(200, "application/json", form.loaded().getBytes(StandardCharsets.UTF_8));
            return;
        }
        int[] tokens = raw ? model.tokenizer().encode(prompt, true) : model.tokens(messages(system, prompt), Map.of());
        Choice choice = new Choice(tokens, 1, options, constraint);
        Delivery.send(exchange, model.start(List.of(choice), "prompt", owner), form, stream);
    }

    private static List<Map<String, Object>> messages(String system, String prompt) {
        List<Map<String, Object>> messages = new ArrayList<>();
        if (!system.isEmpty()) {
            messages.add(Map.of("role", "system", "content", system));
        }
        messages.add(Map.of("role", "user", "content", prompt));
        return messages;
    }
}
