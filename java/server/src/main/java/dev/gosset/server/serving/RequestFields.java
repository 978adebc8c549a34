package dev.gosset.server.serving;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.io.Json;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * The fields of a request. Each is asked for by name; what nobody has asked for is refused at the end, so that nothing a client
 * wants is ignored. A field that is null counts as absent. One thread at a time.
 */
public final class RequestFields {
    private final String path;
    private final JsonNode node;
    private final Set<String> asked = new HashSet<>();

    private RequestFields(String path, JsonNode node) {
        this.path = path;
        this.node = node;
    }

    /**
     * @throws ApiException where the body is not one JSON object
     */
    public static RequestFields parse(byte[] body) {
        try {
            JsonNode node = Json.MAPPER.readTree(body);
            if (node == null || !node.isObject()) {
                throw ApiException.invalid(null, "the body is not a JSON object");
            }
            return new RequestFields("", node);
        } catch (JsonProcessingException e) {
            throw ApiException.invalid(null, "the body is not a JSON object: " + e.getOriginalMessage());
        } catch (IOException e) {
            throw ApiException.invalid(null, "the body is not a JSON object in UTF-8");
        }
    }

    /** The fields of an object somewhere in the request. */
    public static RequestFields of(String path, JsonNode node) {
        if (!node.isObject()) {
            throw ApiException.invalid(path, path + " must be an object, found " + node.getNodeType());
        }
        return new RequestFields(path + ".", node);
    }

    private ApiException bad(String name, String expected) {
        String found = node.get(name).toString();
        return ApiException.invalid(
                path + name,
                path + name + " must be " + expected + ", found "
                        + (found.length() > 80 ? found.substring(0, 80) + "..." : found));
    }

    /** The field as it is, null where it is absent or null. */
    public JsonNode node(String name) {
        asked.add(name);
        JsonNode value = node.get(name);
        return value == null || value.isNull() ? null : value;
    }

    public boolean has(String name) {
        return node(name) != null;
    }

    public double number(String name, double least, double most, double otherwise) {
        JsonNode value = node(name);
        if (value == null) {
            return otherwise;
        }
        if (!value.isNumber() || !(value.doubleValue() >= least && value.doubleValue() <= most)) {
            throw bad(name, "a number from " + least + " to " + most);
        }
        return value.doubleValue();
    }

    public long integer(String name, long least, long most, long otherwise) {
        JsonNode value = node(name);
        if (value == null) {
            return otherwise;
        }
        // Some write 5.0.
        boolean whole = value.canConvertToExactIntegral() && value.canConvertToLong();
        if (!value.isNumber() || !whole || value.longValue() < least || value.longValue() > most) {
            throw bad(name, "an integer from " + least + " to " + most);
        }
        return value.longValue();
    }

    public boolean flag(String name, boolean otherwise) {
        JsonNode value = node(name);
        if (value != null && !value.isBoolean()) {
            throw bad(name, "true or false");
        }
        return value == null ? otherwise : value.booleanValue();
    }

    public String text(String name, String otherwise) {
        JsonNode value = node(name);
        if (value != null && !value.isTextual()) {
            throw bad(name, "a text");
        }
        return value == null ? otherwise : value.textValue();
    }

    /** A text or a list of them. */
    public List<String> texts(String name, int most) {
        JsonNode value = node(name);
        List<String> texts = new ArrayList<>();
        for (JsonNode e : value == null ? List.<JsonNode>of() : value.isArray() ? value : List.of(value)) {
            if (!e.isTextual() || e.textValue().isEmpty() || texts.size() == most) {
                throw bad(name, "a text or a list of at most " + most + " texts, none empty");
            }
            texts.add(e.textValue());
        }
        return texts;
    }

    /** An object in this one; one without fields where it is absent. */
    public RequestFields object(String name) {
        JsonNode value = node(name);
        ObjectNode none = Json.MAPPER.createObjectNode();
        return of(path + name, value == null ? none : value);
    }

    /** All fields, where their names are the client's. */
    public Set<Map.Entry<String, JsonNode>> entries() {
        return node.properties();
    }

    /** Fields that do not change the answer. */
    public void ignore(String... names) {
        asked.addAll(List.of(names));
    }

    /** A field of which we know only what asks for nothing. */
    public void only(String name, Predicate<JsonNode> allowed, String expected) {
        JsonNode value = node(name);
        if (value != null && !allowed.test(value)) {
            throw ApiException.invalid(
                    path + name, "unsupported_value", bad(name, expected).getMessage());
        }
    }

    /** Fields that ask for what is not supported. */
    public void refuse(String... names) {
        for (String name : names) {
            only(name, value -> false, "absent: it is not supported");
        }
    }

    /**
     * @throws ApiException that names a field that nobody asked for
     */
    public void requireAllKnown() {
        node.fieldNames().forEachRemaining(name -> {
            if (!asked.contains(name) && !node.get(name).isNull()) {
                throw ApiException.invalid(path + name, "unknown_field", path + name + " is not a field that is known");
            }
        });
    }
}
