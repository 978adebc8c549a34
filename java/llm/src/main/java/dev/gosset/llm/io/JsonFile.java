package dev.gosset.llm.io;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.ReadableFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A JSON object read from a file, whose values are asked for with their bounds: what is missing or out of bounds becomes
 * a {@link FormatException} that names the file, the key, what was found and what was expected. Immutable.
 *
 * <p>A key whose value is {@code null} counts as absent, as it does in the configuration files of Hugging Face models.
 */
public final class JsonFile {
    private final String where;
    private final String prefix;
    private final JsonNode node;

    private JsonFile(String where, String prefix, JsonNode node) {
        this.where = where;
        this.prefix = prefix;
        this.node = node;
    }

    /** Reads a file that must hold one JSON object. */
    public static JsonFile read(Path path) {
        return new JsonFile(path.toString(), "", Json.readObject(path));
    }

    /** Reads a file that may be missing: an empty object then. One that is there and cannot be read is an error. */
    public static JsonFile readIfPresent(Path path) {
        return ReadableFile.isPresent(path) ? read(path) : parse(path.toString(), "{}");
    }

    /**
     * Parses a text that must hold one JSON object.
     *
     * @param where the file's name in messages
     */
    public static JsonFile parse(String where, String text) {
        JsonNode root;
        try {
            root = Json.MAPPER.readTree(text);
        } catch (JsonProcessingException e) {
            throw new FormatException(where + ": not JSON: " + e.getOriginalMessage(), e);
        }
        if (root == null || !root.isObject()) {
            throw new FormatException(where + ": found " + describe(root) + ", expected a JSON object");
        }
        return new JsonFile(where, "", root);
    }

    /** The file's name in messages. */
    public String where() {
        return where;
    }

    /** The parsed object itself. */
    public JsonNode node() {
        return node;
    }

    /** Whether the key is there with a value other than null. */
    public boolean has(String key) {
        return node.hasNonNull(key);
    }

    /** Whether the key is there, be it with the value null. */
    public boolean mentions(String key) {
        return node.has(key);
    }

    /** A required whole number between {@code min} and {@code max}, both included. */
    public int integer(String key, int min, int max) {
        JsonNode v = required(key, "a whole number");
        if (!v.isIntegralNumber() || !v.canConvertToInt() || v.intValue() < min || v.intValue() > max) {
            throw bad(key, v, "a whole number from " + min + " to " + max);
        }
        return v.intValue();
    }

    /** A whole number between {@code min} and {@code max}, or {@code absent} where the key is missing. */
    public int integer(String key, int min, int max, int absent) {
        return has(key) ? integer(key, min, max) : absent;
    }

    /** A required finite number greater than {@code above} and at most {@code max}. */
    public double number(String key, double above, double max) {
        JsonNode v = required(key, "a number");
        if (!v.isNumber() || !(v.doubleValue() > above) || !(v.doubleValue() <= max)) {
            throw bad(key, v, "a number above " + above + " and at most " + max);
        }
        return v.doubleValue();
    }

    /** A number, or {@code absent} where the key is missing. */
    public double number(String key, double above, double max, double absent) {
        return has(key) ? number(key, above, max) : absent;
    }

    /** True or false, or {@code absent} where the key is missing. */
    public boolean flag(String key, boolean absent) {
        if (!has(key)) {
            return absent;
        }
        JsonNode v = node.get(key);
        if (!v.isBoolean()) {
            throw bad(key, v, "true or false");
        }
        return v.booleanValue();
    }

    /** A required text. */
    public String text(String key) {
        JsonNode v = required(key, "a text");
        if (!v.isTextual()) {
            throw bad(key, v, "a text");
        }
        return v.textValue();
    }

    /** A text, or {@code absent} where the key is missing. */
    public String text(String key, String absent) {
        return has(key) ? text(key) : absent;
    }

    /** A list of texts, empty where the key is missing. */
    public List<String> texts(String key) {
        List<String> out = new ArrayList<>();
        if (has(key)) {
            JsonNode v = node.get(key);
            if (!v.isArray()) {
                throw bad(key, v, "a list of texts");
            }
            for (JsonNode e : v) {
                if (!e.isTextual()) {
                    throw bad(key, e, "a list of texts");
                }
                out.add(e.textValue());
            }
        }
        return List.copyOf(out);
    }

    /** A required list of {@code count} finite numbers above 0. */
    public List<Double> numbers(String key, int count) {
        JsonNode v = required(key, "a list of " + count + " numbers");
        List<Double> out = new ArrayList<>();
        if (v.isArray() && v.size() == count) {
            v.forEach(e -> out.add(e.isNumber() ? e.doubleValue() : Double.NaN));
        }
        if (out.isEmpty() || !out.stream().allMatch(x -> x > 0 && x <= Double.MAX_VALUE)) {
            throw bad(key, v, "a list of " + count + " numbers above 0");
        }
        return out;
    }

    /**
     * The ids of tokens: a whole number or a list of them, empty where the key is missing. Those that no token of the
     * vocabulary has are left out: -1 and the like mean none, and one that never comes does no harm.
     */
    public List<Integer> tokenIds(String key, int vocabulary) {
        List<Integer> out = new ArrayList<>();
        if (has(key)) {
            JsonNode v = node.get(key);
            for (JsonNode e : v.isArray() ? v : List.of(v)) {
                if (!e.isIntegralNumber() && !e.isNull()) {
                    throw bad(key, e, "whole numbers");
                }
                if (e.canConvertToInt() && e.intValue() >= 0 && e.intValue() < vocabulary && !e.isNull()) {
                    out.add(e.intValue());
                }
            }
        }
        return List.copyOf(out);
    }

    /** A required object under a key. */
    public JsonFile object(String key) {
        JsonNode v = required(key, "an object");
        if (!v.isObject()) {
            throw bad(key, v, "an object");
        }
        return new JsonFile(where, prefix + key + ".", v);
    }

    /** A required object under a key, in which those of the keys {@code inherited} that it lacks have the values of this one. */
    public JsonFile object(String key, List<String> inherited) {
        ObjectNode inner = object(key).node.deepCopy();
        inherited.stream().filter(k -> !inner.has(k) && node.has(k)).forEach(k -> inner.set(k, node.get(k)));
        return new JsonFile(where, prefix + key + ".", inner);
    }

    /** The exception for a value that is there but wrong. */
    public FormatException bad(String key, String expected) {
        return bad(key, node.get(key), expected);
    }

    private FormatException bad(String key, JsonNode found, String expected) {
        return new FormatException(
                where + ": " + prefix + key + ": found " + describe(found) + ", expected " + expected);
    }

    private JsonNode required(String key, String expected) {
        JsonNode v = node.get(key);
        if (v == null || v.isNull()) {
            throw new FormatException(where + ": " + prefix + key + " is missing, expected " + expected);
        }
        return v;
    }

    private static String describe(JsonNode v) {
        if (v == null || v.isMissingNode()) {
            return "nothing";
        }
        String s = v.toString();
        return s.length() <= 80 ? s : s.substring(0, 77) + "...";
    }
}
