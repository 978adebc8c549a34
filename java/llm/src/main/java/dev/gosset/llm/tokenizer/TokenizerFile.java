package dev.gosset.llm.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.io.Json;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * Checks of tokenizer.json before the native library reads it: whatever makes that library panic ends the whole process, as
 * a panic cannot pass through its native methods. What it refuses by itself, with an exception, is left to it.
 */
final class TokenizerFile {
    /** Levels of nesting; the library's parser has 128. */
    private static final int DEEPEST = 100;

    /** What may have hundreds of thousands of entries, and is only looked through. */
    private static final Set<String> LARGE = Set.of("vocab", "merges");

    private TokenizerFile() {}

    /**
     * Checks a file.
     *
     * @throws FormatException where it is malformed
     * @throws UnsupportedModelException where the library could not bear it
     */
    static void check(Path file) {
        // Malformed text inside a component is a panic.
        Json.requirePlainObject(file, DEEPEST);
        components(file, Json.readObject(file, LARGE));
    }

    private static void components(Path file, JsonNode root) {
        for (String step : List.of("normalizer", "pre_tokenizer")) {
            requirePatterns(file, root.path(step));
        }
        int byteLevels = 0;
        for (JsonNode type : root.path("pre_tokenizer").findValues("type")) {
            byteLevels += type.asText().equals("ByteLevel") ? 1 : 0;
        }
        if (byteLevels > 2) {
            // Each makes up to two bytes of one.
            throw unsupported(file, byteLevels + " ByteLevel pre-tokenizers after one another", "one");
        }
        for (JsonNode template : root.path("post_processor").findParents("special_tokens")) {
            for (JsonNode piece : template.findValues("SpecialToken")) {
                String id = piece.path("id").asText();
                if (!template.path("special_tokens").has(id)) {
                    throw new FormatException(file + ": post_processor uses the special token " + Quoted.of(id)
                            + ", expected one that its special_tokens hold");
                }
            }
        }
    }

    /** Replacing or splitting at the empty text runs beyond the end. */
    private static void requirePatterns(Path file, JsonNode step) {
        for (JsonNode pattern : step.findValues("pattern")) {
            for (JsonNode text : pattern) {
                if (text.asText().isEmpty()) {
                    throw unsupported(file, "an empty pattern", "one that matches something");
                }
            }
        }
    }

    private static UnsupportedModelException unsupported(Path file, String found, String expected) {
        return new UnsupportedModelException(
                file + ": has " + found + ", which ends the tokenizer library; expected " + expected);
    }
}
