package dev.gosset.server.openai;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.io.Json;
import dev.gosset.server.serving.ApiException;

/** An error as OpenAI writes it. */
public final class OpenAiError {
    private OpenAiError() {}

    public static String text(ApiException e) {
        ObjectNode root = Json.MAPPER.createObjectNode();
        root.putObject("error")
                .put("message", e.getMessage())
                .put("type", e.type())
                .put("param", e.field())
                .put("code", e.code());
        return root.toString();
    }
}
