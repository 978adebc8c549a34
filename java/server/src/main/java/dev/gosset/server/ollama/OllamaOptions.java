package dev.gosset.server.ollama;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.server.serving.ApiException;
import dev.gosset.server.serving.RequestFields;
import dev.gosset.server.serving.ServedModel;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/** The fields that both of Ollama's requests have. */
final class OllamaOptions {
    private static final int MOST_STOPS = 64;

    private OllamaOptions() {}

    /** What {@code format} asks for: any JSON object, or one of a schema. */
    static Constraint format(RequestFields fields, ServedModel model) {
        JsonNode format = fields.node("format");
        if (format == null || format.isTextual() && format.textValue().isEmpty()) {
            return null;
        }
        if (!format.isObject() && !"json".equals(format.textValue())) {
            throw ApiException.invalid("format", "unsupported_value", "format must be \"json\" or a JSON schema");
        }
        return model.constraint("format", format.isObject() ? format : null);
    }

    static GenerationOptions read(RequestFields fields, ServedModel model) {
        fields.ignore("keep_alive");
        fields.only("think", n -> n.isBoolean() && !n.booleanValue(), "false: it is not supported");
        fields.only("tools", n -> n.isArray() && n.isEmpty(), "absent: tools are not supported");
        fields.refuse("logprobs", "top_logprobs");
        RequestFields o = fields.object("options");
        o.ignore(
                "num_keep",
                "num_batch",
                "num_gpu",
                "main_gpu",
                "num_thread",
                "use_mmap",
                "use_mlock",
                "numa",
                "low_vram");
        // A longer context would have to be there.
        o.integer("num_ctx", 1, model.context(), 1);
        o.only("repeat_last_n", n -> n.asInt() == -1, "-1: penalties count the whole text");
        o.only("mirostat", n -> n.asInt(1) == 0, "0: it is not supported");
        o.only("typical_p", n -> n.asDouble() == 1, "1: it is not supported");
        o.only("tfs_z", n -> n.asDouble() == 1, "1: it is not supported");
        Sampling m = model.sampling();
        Sampling sampling = new Sampling(
                o.number("temperature", 0, 100, m.temperature()),
                (int) Math.max(0, o.integer("top_k", -1, Integer.MAX_VALUE, m.topK())),
                Math.max(Double.MIN_NORMAL, o.number("top_p", 0, 1, m.topP())),
                o.number("min_p", 0, 1, m.minP()),
                o.number("repeat_penalty", 0.01, 100, m.repetitionPenalty()),
                o.number("presence_penalty", -100, 100, m.presencePenalty()),
                o.number("frequency_penalty", -100, 100, m.frequencyPenalty()),
                Map.of(),
                o.integer(
                        "seed",
                        Long.MIN_VALUE,
                        Long.MAX_VALUE,
                        ThreadLocalRandom.current().nextLong()));
        long most = o.integer("num_predict", -2, Integer.MAX_VALUE, -1);
        GenerationOptions options = new GenerationOptions(most < 1 ? model.context() : (int) most, sampling)
                .withStop(o.texts("stop", MOST_STOPS));
        o.requireAllKnown();
        return options;
    }
}
