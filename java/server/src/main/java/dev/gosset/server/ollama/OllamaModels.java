package dev.gosset.server.ollama;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.model.ModelSummary;
import dev.gosset.server.serving.RequestFields;
import dev.gosset.server.serving.ServedModel;
import java.util.Locale;

/** {@code /api/tags}, {@code /api/show} and {@code /api/version}: which model there is. */
public final class OllamaModels {
    private OllamaModels() {}

    public static String version() {
        String version = OllamaModels.class.getPackage().getImplementationVersion();
        return Json.MAPPER
                .createObjectNode()
                .put("version", version == null ? "0.1.0" : version)
                .toString();
    }

    /** The list, which has one. */
    public static String tags(ServedModel model) {
        ModelSummary summary = model.summary();
        ObjectNode root = Json.MAPPER.createObjectNode();
        ObjectNode one = root.putArray("models").addObject();
        one.put("name", model.name() + ":latest")
                .put("model", model.name() + ":latest")
                .put("modified_at", model.loaded().toString())
                .put("size", summary.bytes())
                .put("digest", "");
        one.set("details", details(summary));
        return root.toString();
    }

    public static String show(byte[] body, ServedModel model) {
        RequestFields fields = RequestFields.parse(body);
        model.requireName(fields.text("model", fields.text("name", null)));
        fields.ignore("verbose");
        fields.requireAllKnown();
        ModelSummary summary = model.summary();
        ObjectNode root = Json.MAPPER.createObjectNode();
        root.put("modelfile", "").put("parameters", "").put("template", "");
        root.set("details", details(summary));
        String family = family(summary);
        root.putObject("model_info")
                .put("general.architecture", family)
                .put("general.parameter_count", summary.parameters())
                .put(family + ".context_length", model.context())
                .put(family + ".embedding_length", summary.config().hiddenSize())
                .put(family + ".block_count", summary.config().layers());
        root.putArray("capabilities").add("completion");
        return root.toString();
    }

    private static String family(ModelSummary summary) {
        return summary.config().family().name().toLowerCase(Locale.ROOT);
    }

    private static ObjectNode details(ModelSummary summary) {
        ObjectNode details = Json.MAPPER.createObjectNode();
        details.put("parent_model", "").put("format", "gosset").put("family", family(summary));
        details.putArray("families").add(family(summary));
        return details.put("parameter_size", String.format(Locale.ROOT, "%.1fM", summary.parameters() / 1e6))
                .put("quantization_level", String.format(Locale.ROOT, "%.3f bits", summary.linearBitsPerWeight()));
    }
}
