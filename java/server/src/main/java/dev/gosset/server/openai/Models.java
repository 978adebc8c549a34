package dev.gosset.server.openai;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.io.Json;
import dev.gosset.server.serving.ServedModel;
import java.net.URI;

/** {@code GET /v1/models}, with the context that each prompt and its continuation have to fit, and whether it has a form for chats. */
public final class Models {
    /** Before the name of a model. */
    public static final String PATH = "/v1/models/";

    private Models() {}

    /** The list, which has one. */
    public static String list(ServedModel model) {
        ObjectNode root = Json.MAPPER.createObjectNode().put("object", "list");
        root.putArray("data").add(one(model));
        return root.toString();
    }

    /**
     * {@code GET /v1/models/NAME}.
     *
     * @param path as it was asked for, escaped
     * @throws dev.gosset.server.serving.ApiException where it names another model
     */
    public static String one(ServedModel model, String path) {
        model.requireName(URI.create(path).getPath().substring(PATH.length()));
        return one(model).toString();
    }

    private static ObjectNode one(ServedModel model) {
        return Json.MAPPER
                .createObjectNode()
                .put("id", model.name())
                .put("object", "model")
                .put("created", model.loaded().getEpochSecond())
                .put("owned_by", "gosset")
                .put("max_model_len", model.context())
                .put("chat", model.chats());
    }
}
