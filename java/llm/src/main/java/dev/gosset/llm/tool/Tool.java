package dev.gosset.llm.tool;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * A function that a model may call.
 *
 * @param name letters, digits, underscores and dashes
 * @param parameters a JSON schema of its arguments, an object
 */
public record Tool(String name, JsonNode parameters) {
    /**
     * @throws IllegalArgumentException where the name has other characters, or more than 64
     */
    public Tool {
        if (!name.matches("[A-Za-z0-9_-]{1,64}")) {
            throw new IllegalArgumentException(
                    "the name of a function has up to 64 letters, digits, underscores and dashes");
        }
    }
}
