package dev.gosset.server.ollama;

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
import java.util.function.BiConsumer;

/** Answers of {@code /api/chat} and {@code /api/generate}: a JSON object on each line. */
final class OllamaForm implements AnswerForm {
    private final ServedModel model;
    private final BiConsumer<ObjectNode, String> put;

    /**
     * @param put the text into an object
     */
    OllamaForm(ServedModel model, BiConsumer<ObjectNode, String> put) {
        this.model = model;
        this.put = put;
    }

    @Override
    public String streamType() {
        return "application/x-ndjson";
    }

    /** JSON on a line may begin with spaces. */
    @Override
    public String ping() {
        return " ";
    }

    @Override
    public String begin(int choices) {
        return "";
    }

    @Override
    public String prompt(Generation.PromptRead prompt) {
        return "";
    }

    @Override
    public String piece(Generation.Piece piece, Usage usage) {
        return root(piece.text(), false) + "\n";
    }

    @Override
    public String finish(Generation.Finish finish, Usage usage, double seconds) {
        return last("", finish.end(), usage, seconds) + "\n";
    }

    @Override
    public String failure(ApiException why) {
        return error(why) + "\n";
    }

    @Override
    public String error(ApiException why) {
        return OllamaError.text(why);
    }

    @Override
    public String end(Usage usage) {
        return "";
    }

    @Override
    public String whole(List<Whole> choices, Usage usage, double seconds) {
        Whole one = choices.getFirst();
        return last(one.text(), one.end(), usage, seconds).toString();
    }

    private ObjectNode root(String text, boolean done) {
        ObjectNode root = Json.MAPPER
                .createObjectNode()
                .put("model", model.name())
                .put("created_at", Instant.now().toString());
        put.accept(root, text);
        return root.put("done", done);
    }

    private ObjectNode last(String text, TextGenerator.End end, Usage usage, double seconds) {
        boolean length = end == TextGenerator.End.MAX_TOKENS || end == TextGenerator.End.CONTEXT_FULL;
        return root(text, true)
                .put("done_reason", length ? "length" : "stop")
                .put("total_duration", (long) (seconds * 1e9))
                .put("load_duration", 0)
                .put("prompt_eval_count", usage.prompt())
                .put("prompt_eval_duration", 0)
                .put("eval_count", usage.completion())
                .put("eval_duration", (long) (seconds * 1e9));
    }

    /** The answer to a request without a prompt, with which clients have a model loaded. */
    String loaded() {
        return root("", true).put("done_reason", "load").toString();
    }
}
