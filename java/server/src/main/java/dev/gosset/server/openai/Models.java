package dev.gosset.server.openai;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.io.Json;
import dev.gosset.server.serving.ServedModel;

/** {@code GET /v1/models}, with the context that each prompt and its continuation have to fit. */
public final class Models {
    private Models() {}

    /** The list, which has one. */
    public static String list(ServedModel model) {
        ObjectNode root = Json.MAPPER.createObjectNode().put("object", "list");
        root.putArray("data").add(one(model));
        return root.toString();
    }

    private static ObjectNode one(ServedModel model) {
        return Json.MAPPER
                .createObjectNode()
                .put("id", model.name())
                .put("object", "model")
                .put("created", model.loaded().getEpochSecond())
                .put("owned_by", "gosset")
                .put("max_model_len", model.context());
    }
}
