package dev.gosset.server.openai;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.io.Json;
import dev.gosset.server.serving.AnswerForm;
import dev.gosset.server.serving.ApiException;
import dev.gosset.server.serving.Generation;
import dev.gosset.server.serving.ServedModel;
import dev.gosset.server.serving.Usage;
import java.time.Instant;
import java.util.List;
import java.util.UUID;

/** What answers of both kinds of completions have in common: the frame, server-sent events, usage. */
abstract class OpenAiForm implements AnswerForm {
    final ServedModel model;
    final TokenNames names;
    private final String id;
    private final String object;
    private final String chunk;
    private final OptionFields fields;
    private final long created = Instant.now().getEpochSecond();

    OpenAiForm(ServedModel model, OptionFields fields, String prefix, String object, String chunk) {
        this.model = model;
        this.names = new TokenNames(model.tokenizer());
        this.fields = fields;
        this.id = prefix + UUID.randomUUID().toString().replace("-", "");
        this.object = object;
        this.chunk = chunk;
    }

    /** A choice of a chunk. */
    abstract ObjectNode delta(Generation.Piece piece);

    /** The last choice of a continuation. */
    abstract ObjectNode last(Generation.Finish finish);

    /** A choice of a whole answer. */
    abstract ObjectNode choice(Whole whole);

    @Override
    public String streamType() {
        return "text/event-stream";
    }

    @Override
    public String ping() {
        return ": ping\n\n";
    }

    @Override
    public String prompt(Generation.PromptRead prompt) {
        return "";
    }

    @Override
    public String piece(Generation.Piece piece, Usage usage) {
        return event(delta(piece), usage);
    }

    @Override
    public String finish(Generation.Finish finish, Usage usage, double seconds) {
        return event(last(finish), usage);
    }

    @Override
    public String failure(ApiException why) {
        return "data: " + error(why) + "\n\n";
    }

    @Override
    public String error(ApiException why) {
        return OpenAiError.text(why);
    }

    @Override
    public String end(Usage usage) {
        String last = "data: [DONE]\n\n";
        if (!fields.usage()) {
            return last;
        }
        ObjectNode root = root(chunk);
        root.putArray("choices");
        root.set("usage", node(usage));
        return "data: " + root + "\n\n" + last;
    }

    @Override
    public String whole(List<Whole> choices, Usage usage, double seconds) {
        ObjectNode root = root(object);
        var array = root.putArray("choices");
        choices.forEach(c -> array.add(choice(c)));
        root.set("usage", node(usage));
        return root.toString();
    }

    final String event(ObjectNode choice, Usage usage) {
        ObjectNode root = root(chunk);
        root.putArray("choices").add(choice);
        if (fields.usage()) {
            root.set("usage", fields.usageAlways() ? node(usage) : null);
        }
        return "data: " + root + "\n\n";
    }

    private ObjectNode root(String kind) {
        return Json.MAPPER
                .createObjectNode()
                .put("id", id)
                .put("object", kind)
                .put("created", created)
                .put("model", model.name());
    }

    private static ObjectNode node(Usage usage) {
        ObjectNode node = Json.MAPPER.createObjectNode();
        node.put("prompt_tokens", usage.prompt())
                .put("completion_tokens", usage.completion())
                .put("total_tokens", usage.prompt() + usage.completion());
        node.putObject("prompt_tokens_details").put("cached_tokens", usage.cached());
        return node;
    }

    static String reason(TextGenerator.End end) {
        return switch (end) {
            case STOP, STOP_STRING -> "stop";
            case MAX_TOKENS, CONTEXT_FULL -> "length";
        };
    }
}
