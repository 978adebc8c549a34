package dev.gosset.llm.constraint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.function.Supplier;

/** Random schemas of all supported keywords, each with random documents that fulfil it. */
final class RandomSchema {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String CHARACTERS = "abc XYZ019_-.,:;\"\\/{}[]\n\té€漢😀";

    private final SplittableRandom random;
    private final ObjectNode definitions = JSON.createObjectNode();

    /**
     * @param schema of one place
     * @param document a new one each time
     */
    record Kind(JsonNode schema, Supplier<JsonNode> document) {}

    RandomSchema(long seed) {
        this.random = new SplittableRandom(seed);
    }

    /** A schema that is whole, with its definitions. */
    Kind next() {
        Kind kind = kind(3);
        ObjectNode root = kind.schema().isObject() ? ((ObjectNode) kind.schema()).deepCopy() : JSON.createObjectNode();
        if (!definitions.isEmpty()) {
            root.set("$defs", definitions);
        }
        root.put("$schema", "https://json-schema.org/draft/2020-12/schema").put("title", "random");
        return new Kind(root, kind.document());
    }

    private int below(int n) {
        return random.nextInt(n);
    }

    private ObjectNode of(String type) {
        return JSON.createObjectNode().put("type", type);
    }

    private String word() {
        int[] all = CHARACTERS.codePoints().toArray();
        StringBuilder text = new StringBuilder();
        for (int i = below(6); i > 0; i--) {
            text.appendCodePoint(all[below(all.length)]);
        }
        return text.toString();
    }

    private static JsonNode text(String text) {
        return JsonNodeFactory.instance.textNode(text);
    }

    private Kind kind(int depth) {
        return switch (below(depth > 0 ? 13 : 8)) {
            case 0 -> new Kind(of("null"), JSON::nullNode);
            case 1 -> new Kind(of("boolean"), () -> JsonNodeFactory.instance.booleanNode(below(2) == 0));
            case 2 -> integers();
            case 3 -> numbers();
            case 4 -> strings();
            case 5 -> formatted();
            case 6 -> values();
            case 7 -> new Kind(JSON.createObjectNode(), () -> any(2));
            case 8 -> arrays(depth);
            case 9 -> anyOf(depth);
            case 10 -> reference(depth);
            default -> objects(depth);
        };
    }

    private JsonNode any(int depth) {
        switch (below(depth > 0 ? 6 : 4)) {
            case 0 -> {
                return text(word());
            }
            case 1 -> {
                return JsonNodeFactory.instance.numberNode(
                        BigDecimal.valueOf(random.nextLong(-1_000_000, 1_000_000), below(5)));
            }
            case 2 -> {
                return JsonNodeFactory.instance.numberNode(random.nextDouble() * Math.pow(10, below(30) - 15));
            }
            case 3 -> {
                return JSON.nullNode();
            }
            case 4 -> {
                ObjectNode object = JSON.createObjectNode();
                for (int i = below(3); i > 0; i--) {
                    object.set(word(), any(depth - 1));
                }
                return object;
            }
            default -> {
                ArrayNode array = JSON.createArrayNode();
                for (int i = below(3); i > 0; i--) {
                    array.add(any(depth - 1));
                }
                return array;
            }
        }
    }

    private Kind integers() {
        long least = random.nextLong(-2000, 2000) / (1 + below(30));
        long most = least + random.nextLong(0, 1500) / (1 + below(30));
        ObjectNode schema = of("integer");
        int bounds = below(4);
        boolean strict = below(2) == 0;
        if ((bounds & 1) > 0) {
            schema.put(strict ? "exclusiveMinimum" : "minimum", strict ? least - 1 : least);
        }
        if ((bounds & 2) > 0) {
            schema.put(strict ? "exclusiveMaximum" : "maximum", strict ? most + 1 : most);
        }
        return new Kind(schema, () -> JsonNodeFactory.instance.numberNode(random.nextLong(least, most + 1)));
    }

    private Kind numbers() {
        if (below(3) == 0) {
            return new Kind(
                    of("number"),
                    () -> JsonNodeFactory.instance.numberNode(
                            (random.nextDouble() - 0.5) * Math.pow(10, below(40) - 20)));
        }
        BigDecimal least = BigDecimal.valueOf(random.nextLong(-30_000, 30_000), below(5));
        BigDecimal most = least.add(BigDecimal.valueOf(random.nextLong(2, 30_000), below(5)));
        boolean strict = below(2) == 0;
        ObjectNode schema = of("number")
                .put(strict ? "exclusiveMinimum" : "minimum", least)
                .put(strict ? "exclusiveMaximum" : "maximum", most);
        return new Kind(schema, () -> {
            BigDecimal part = BigDecimal.valueOf(random.nextInt(1, 100_000), 5);
            BigDecimal value = least.add(most.subtract(least).multiply(part));
            return JsonNodeFactory.instance.numberNode(value.scale() < 0 ? value.setScale(0) : value);
        });
    }

    private Kind strings() {
        ObjectNode schema = of("string");
        int least = below(4);
        int most = least + below(6);
        if (below(2) == 0) {
            return new Kind(schema, () -> text(word()));
        }
        schema.put("minLength", least).put("maxLength", most);
        return new Kind(schema, () -> {
            String word = word();
            int[] characters = (word + "abcdefghi")
                    .codePoints()
                    .limit(least + below(most - least + 1))
                    .toArray();
            return text(new String(characters, 0, characters.length));
        });
    }

    private Kind formatted() {
        return switch (below(7)) {
            case 0 -> new Kind(of("string").put("format", "date"), () -> text(date()));
            case 1 -> new Kind(of("string").put("format", "date-time"), () -> text(date() + "T" + time()));
            case 2 -> new Kind(of("string").put("format", "time"), () -> text(time()));
            case 3 ->
                new Kind(
                        of("string").put("format", "uuid"),
                        () -> text(new UUID(random.nextLong(), random.nextLong()).toString()));
            case 4 ->
                new Kind(
                        of("string").put("format", "ipv4"),
                        () -> text(below(256) + "." + below(256) + "." + below(256) + "." + below(256)));
            case 5 ->
                new Kind(
                        of("string").put("pattern", "^[A-Z]{2,4}-\\d+(é|\\.)?$"),
                        () -> text("AB" + (below(2) == 0 ? "Q" : "") + "-" + below(1000) + (below(2) == 0 ? "é" : "")));
            default -> new Kind(of("string").put("pattern", "x[^a-z\"]y"), () -> text(word() + "x0y" + word()));
        };
    }

    private String date() {
        return LocalDate.of(2000 + below(60), 1, 1).plusDays(below(366)).toString();
    }

    private String time() {
        String fraction = below(2) == 0 ? "" : "." + below(1000);
        String zone = below(2) == 0 ? "Z" : String.format("+%02d:%02d", below(18), below(60));
        return String.format("%02d:%02d:%02d", below(24), below(60), below(60)) + fraction + zone;
    }

    private Kind values() {
        List<JsonNode> values = new ArrayList<>();
        for (int i = below(3); i >= 0; i--) {
            JsonNode value = any(1);
            values.removeIf(value::equals);
            values.add(value);
        }
        ObjectNode schema = JSON.createObjectNode();
        if (values.size() == 1 && below(2) == 0) {
            schema.set("const", values.getFirst());
        } else {
            schema.putArray("enum").addAll(values);
        }
        return new Kind(schema, () -> values.get(below(values.size())));
    }

    private Kind arrays(int depth) {
        ObjectNode schema = of("array");
        List<Kind> first = new ArrayList<>();
        if (below(2) == 0) {
            ArrayNode prefix = schema.putArray("prefixItems");
            for (int i = below(3); i >= 0; i--) {
                first.add(kind(depth - 1));
                prefix.add(first.getLast().schema());
            }
        }
        boolean closed = below(4) == 0 && !first.isEmpty();
        Kind more = closed ? null : kind(depth - 1);
        int least = below(3);
        int most = least + below(4);
        if (closed) {
            schema.put("items", false);
            least = Math.min(least, first.size());
            most = Math.max(least, Math.min(most, first.size()));
        } else {
            schema.set("items", more.schema());
        }
        schema.put("minItems", least).put("maxItems", most);
        int from = least;
        int to = most;
        return new Kind(schema, () -> {
            ArrayNode array = JSON.createArrayNode();
            for (int i = 0, n = from + below(to - from + 1); i < n; i++) {
                array.add((i < first.size() ? first.get(i) : more).document().get());
            }
            return array;
        });
    }

    private Kind anyOf(int depth) {
        List<Kind> kinds = new ArrayList<>();
        ObjectNode schema = JSON.createObjectNode();
        ArrayNode options = schema.putArray("anyOf");
        for (int i = below(3); i >= 0; i--) {
            kinds.add(kind(depth - 1));
            options.add(kinds.getLast().schema());
        }
        return new Kind(schema, () -> kinds.get(below(kinds.size())).document().get());
    }

    /** A list that holds itself, or something twice. */
    private Kind reference(int depth) {
        String name = "d/" + definitions.size();
        ObjectNode reference = JSON.createObjectNode().put("$ref", "#/$defs/" + name.replace("/", "~1"));
        ObjectNode own = definitions.putObject(name);
        Kind item = kind(depth - 1);
        own.put("type", "object");
        own.putObject("properties").<ObjectNode>set("value", item.schema()).set("next", reference);
        own.putArray("required").add("value");
        own.put("additionalProperties", false);
        return new Kind(reference, () -> {
            ObjectNode last = null;
            for (int i = below(3); i >= 0; i--) {
                ObjectNode now = JSON.createObjectNode();
                now.set("value", item.document().get());
                if (last != null) {
                    now.set("next", last);
                }
                last = now;
            }
            return last;
        });
    }

    private Kind objects(int depth) {
        ObjectNode schema = of("object");
        ObjectNode properties = schema.putObject("properties");
        List<String> names = new ArrayList<>();
        List<Kind> kinds = new ArrayList<>();
        List<Boolean> needed = new ArrayList<>();
        ArrayNode required = schema.putArray("required");
        for (int i = below(4); i >= 0; i--) {
            String name = below(3) == 0 ? word() : "name" + below(20);
            if (!names.contains(name)) {
                names.add(name);
                kinds.add(kind(depth - 1));
                properties.set(name, kinds.getLast().schema());
                needed.add(below(2) == 0);
                if (needed.getLast()) {
                    required.add(name);
                }
            }
        }
        int more = below(3);
        Kind others = more == 2 ? kind(0) : null;
        if (more == 1) {
            schema.put("additionalProperties", false);
        } else if (more == 2) {
            schema.set("additionalProperties", others.schema());
        }
        if (below(4) == 0) {
            // The same in two parts.
            ObjectNode whole = JSON.createObjectNode();
            ObjectNode rest = JSON.createObjectNode();
            rest.set("required", schema.remove("required"));
            whole.putArray("allOf").add(schema).add(rest);
            return new Kind(whole, () -> object(names, kinds, needed, others));
        }
        return new Kind(schema, () -> object(names, kinds, needed, others));
    }

    private JsonNode object(List<String> names, List<Kind> kinds, List<Boolean> needed, Kind others) {
        ObjectNode object = JSON.createObjectNode();
        for (int i = 0; i < names.size(); i++) {
            if (needed.get(i) || below(2) == 0) {
                object.set(names.get(i), kinds.get(i).document().get());
            }
        }
        for (int i = others == null ? 0 : below(3); i > 0; i--) {
            String name = (names.isEmpty() || below(2) == 0 ? "" : names.getFirst()) + word();
            if (!names.contains(name)) {
                object.set(name, others.document().get());
            }
        }
        return object;
    }
}
