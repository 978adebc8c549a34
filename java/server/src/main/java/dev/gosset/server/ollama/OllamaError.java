package dev.gosset.server.ollama;

import dev.gosset.llm.io.Json;
import dev.gosset.server.serving.ApiException;

/** An error as Ollama writes it. */
public final class OllamaError {
    private OllamaError() {}

    public static String text(ApiException e) {
        return Json.MAPPER.createObjectNode().put("error", e.getMessage()).toString();
    }
}
