package dev.gosset.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.server.serving.ApiException;
import dev.gosset.server.serving.RequestFields;
import dev.gosset.server.serving.ServedModel;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/** The fields that both kinds of completions have: how tokens are drawn, where they end, how they are sent. */
record OptionFields(GenerationOptions options, int count, boolean stream, boolean usage, boolean usageAlways) {
    private static final int MOST_CHOICES = 128;
    private static final int MOST_STOPS = 64;

    /**
     * @param maxTokens where the request says nothing
     * @param logProbabilities as {@link GenerationOptions} has them
     */
    static OptionFields read(RequestFields fields, ServedModel model, int maxTokens, int logProbabilities) {
        Sampling m = model.sampling();
        Sampling sampling = new Sampling(
                fields.number("temperature", 0, 100, m.temperature()),
                (int) Math.max(0, fields.integer("top_k", -1, Integer.MAX_VALUE, m.topK())),
                Math.max(Double.MIN_NORMAL, fields.number("top_p", 0, 1, m.topP())),
                fields.number("min_p", 0, 1, m.minP()),
                fields.number("repetition_penalty", 0.01, 100, m.repetitionPenalty()),
                fields.number("presence_penalty", -100, 100, m.presencePenalty()),
                fields.number("frequency_penalty", -100, 100, m.frequencyPenalty()),
                bias(fields, model),
                fields.integer(
                        "seed",
                        Long.MIN_VALUE,
                        Long.MAX_VALUE,
                        ThreadLocalRandom.current().nextLong()));
        GenerationOptions options = new GenerationOptions(maxTokens, sampling)
                .withStop(fields.texts("stop", MOST_STOPS))
                .withLogProbabilities(logProbabilities);
        RequestFields stream = fields.object("stream_options");
        boolean usage = stream.flag("include_usage", false);
        boolean always = stream.flag("continuous_usage_stats", false);
        stream.ignore("include_obfuscation");
        stream.requireAllKnown();
        fields.ignore(
                "user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention");
        fields.only("store", n -> n.isBoolean() && !n.booleanValue(), "false: nothing is stored");
        return new OptionFields(
                options,
                (int) fields.integer("n", 1, MOST_CHOICES, 1),
                fields.flag("stream", false),
                usage,
                usage && always);
    }

    private static Map<Integer, Double> bias(RequestFields fields, ServedModel model) {
        JsonNode node = fields.node("logit_bias");
        Map<Integer, Double> bias = new HashMap<>();
        if (node == null) {
            return bias;
        }
        for (Map.Entry<String, JsonNode> e :
                RequestFields.of("logit_bias", node).entries()) {
            boolean token =
                    e.getKey().matches("\\d{1,9}") && model.tokenizer().textOf(Integer.parseInt(e.getKey())) != null;
            double value = e.getValue().isNumber() ? e.getValue().doubleValue() : Double.NaN;
            if (!token || !(Math.abs(value) <= 100)) {
                throw ApiException.invalid(
                        "logit_bias",
                        "logit_bias must have numbers from -100 to 100 for ids of tokens, found " + e.getValue()
                                + " for '" + e.getKey() + "'");
            }
            bias.put(Integer.parseInt(e.getKey()), value);
        }
        return bias;
    }
}
