package dev.gosset.llm.constraint;

import static dev.gosset.llm.constraint.Expression.UNBOUNDED;
import static dev.gosset.llm.constraint.Expression.choice;
import static dev.gosset.llm.constraint.Expression.lexeme;
import static dev.gosset.llm.constraint.Expression.repeat;
import static dev.gosset.llm.constraint.Expression.sequence;
import static dev.gosset.llm.constraint.Expression.text;

import com.fasterxml.jackson.core.JsonPointer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.io.Json;
import java.math.BigDecimal;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Makes a grammar of a JSON schema (draft 2020-12). What is written by it is valid; a schema that says what cannot be enforced is refused.
 * Of the valid texts those are left out that have properties in another order than the schema, properties that it does not name unless
 * {@code additionalProperties} lets them in, or white space beyond what {@link JsonText} has.
 */
final class JsonSchema {
    private static final int MOST_SCHEMAS = 10_000;
    private static final int DEEPEST = 100;
    private static final int MOST_TIMES = 10_000;

    /** They say nothing about what is valid. */
    private static final Set<String> ANNOTATIONS = Set.of(
            "$schema",
            "$id",
            "$comment",
            "$defs",
            "definitions",
            "title",
            "description",
            "default",
            "examples",
            "deprecated",
            "readOnly",
            "writeOnly");

    private static final Map<String, Set<String>> OF_TYPES = Map.of(
            "object",
            Set.of("properties", "required", "additionalProperties"),
            "array",
            Set.of("items", "prefixItems", "minItems", "maxItems"),
            "string",
            Set.of("minLength", "maxLength", "pattern", "format"),
            "number",
            Set.of("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"));

    private static final Set<String> OTHERS = Set.of("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref");

    private static final List<String> TYPES =
            List.of("null", "boolean", "object", "array", "number", "integer", "string");

    private static final String DATE = "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])"
            + "|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))"
            + "|(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
    private static final String TIME =
            "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:0\\d|1[0-7]):[0-5]\\d)";
    private static final String BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";

    private static final Map<String, String> FORMATS = Map.of(
            "date",
            DATE,
            "time",
            TIME,
            "date-time",
            DATE + "T" + TIME,
            "uuid",
            "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
            "ipv4",
            "(?:" + BYTE + "\\.){3}" + BYTE);

    private final JsonNode root;
    private final Map<String, Expression.Rule> references = new HashMap<>();
    private int schemas;
    private int depth;

    private JsonSchema(JsonNode root) {
        this.root = root;
    }

    /**
     * The texts that fulfil a schema.
     *
     * @throws UnsupportedSchemaException where it is none, or cannot be enforced
     */
    static Expression grammar(JsonNode schema) {
        JsonSchema reader = new JsonSchema(schema);
        Expression whole = reader.schema(schema, "");
        whole.settle();
        if (!whole.isProductive()) {
            throw new UnsupportedSchemaException("", "nothing fulfils it");
        }
        return whole;
    }

    private static UnsupportedSchemaException bad(String at, String message) {
        return new UnsupportedSchemaException(at, message);
    }

    private static String under(String at, String name) {
        return at + "/" + name.replace("~", "~0").replace("/", "~1");
    }

    private Expression schema(JsonNode s, String at) {
        if (++schemas > MOST_SCHEMAS || depth > DEEPEST) {
            throw bad(at, "it is larger than " + MOST_SCHEMAS + " schemas or deeper than " + DEEPEST);
        }
        if (s.isBoolean()) {
            if (!s.booleanValue()) {
                throw bad(at, "false allows nothing");
            }
            return JsonText.ANY;
        }
        if (!s.isObject()) {
            throw bad(at, "a schema is an object, true or false");
        }
        depth++;
        try {
            requireKnown(s, at);
            return known(s, at);
        } finally {
            depth--;
        }
    }

    private static void requireKnown(JsonNode s, String at) {
        s.fieldNames().forEachRemaining(name -> {
            boolean known = ANNOTATIONS.contains(name)
                    || OTHERS.contains(name)
                    || OF_TYPES.values().stream().anyMatch(names -> names.contains(name))
                    || name.equals("uniqueItems")
                            && s.get(name).isBoolean()
                            && !s.get(name).booleanValue();
            if (!known) {
                throw bad(under(at, name), "the keyword " + Quoted.of(name) + " is not supported");
            }
        });
    }

    /** The schema without some keywords; null where nothing is left that matters. */
    private static ObjectNode without(JsonNode s, String... names) {
        ObjectNode rest = ((ObjectNode) s).deepCopy();
        rest.remove(List.of(names));
        rest.remove(ANNOTATIONS);
        return rest.isEmpty() ? null : rest;
    }

    private Expression known(JsonNode s, String at) {
        if (s.has("$ref")) {
            JsonNode rest = without(s, "$ref");
            return rest == null ? reference(s, at) : schema(merged(target(s, at), rest, at), at);
        }
        if (s.has("allOf")) {
            JsonNode all = without(s, "allOf");
            all = all == null ? Json.MAPPER.createObjectNode() : all;
            for (JsonNode part : list(s, "allOf", at)) {
                all = merged(all, part, under(at, "allOf"));
            }
            return schema(all, at);
        }
        for (String name : List.of("anyOf", "oneOf")) {
            if (s.has(name)) {
                return alternatives(s, name, at);
            }
        }
        if (s.has("const") || s.has("enum")) {
            return values(s, at);
        }
        return typed(s, at);
    }

    private static List<JsonNode> list(JsonNode s, String name, String at) {
        JsonNode node = s.get(name);
        if (!node.isArray() || node.isEmpty()) {
            throw bad(under(at, name), "expected a list that is not empty");
        }
        List<JsonNode> all = new ArrayList<>();
        node.forEach(all::add);
        return all;
    }

    private Expression alternatives(JsonNode s, String name, String at) {
        JsonNode base = without(s, name);
        List<JsonNode> parts = list(s, name, at);
        List<Expression> options = new ArrayList<>();
        List<JsonNode> whole = new ArrayList<>();
        for (int i = 0; i < parts.size(); i++) {
            String own = under(under(at, name), String.valueOf(i));
            JsonNode part = base == null ? parts.get(i) : merged(base, parts.get(i), own);
            options.add(schema(part, own));
            for (int k = 0; name.equals("oneOf") && k < i; k++) {
                if (!new Disjoint().test(whole.get(k), part)) {
                    throw bad(
                            under(at, name),
                            "its schemas " + k + " and " + i + " may both be fulfilled, and that only one is cannot be"
                                    + " enforced; anyOf can");
                }
            }
            whole.add(part);
        }
        return choice(options);
    }

    private JsonNode target(JsonNode s, String at) {
        String reference = s.get("$ref").isTextual() ? s.get("$ref").textValue() : "";
        JsonNode target = null;
        if (reference.equals("#") || reference.startsWith("#/")) {
            target = root.at(JsonPointer.compile(
                    URLDecoder.decode(reference.substring(1).replace("+", "%2B"), StandardCharsets.UTF_8)));
        }
        if (target == null || target.isMissingNode()) {
            throw bad(
                    under(at, "$ref"),
                    "expected a pointer into the schema itself, such as #/$defs/name, found "
                            + Quoted.of(s.get("$ref").toString()));
        }
        return target;
    }

    private Expression reference(JsonNode s, String at) {
        JsonNode target = target(s, at);
        String reference = s.get("$ref").textValue();
        Expression.Rule rule = references.get(reference);
        if (rule == null) {
            rule = new Expression.Rule();
            references.put(reference, rule);
            rule.body = schema(target, reference.substring(1));
        }
        return rule;
    }

    /** What fulfils both. */
    private JsonNode merged(JsonNode a, JsonNode b, String at) {
        if (++schemas > MOST_SCHEMAS) {
            throw bad(at, "it is larger than " + MOST_SCHEMAS + " schemas");
        }
        JsonNode first = resolved(a, at);
        JsonNode second = resolved(b, at);
        if (!first.isObject() || !second.isObject()) {
            throw bad(at, "expected schemas that are objects");
        }
        ObjectNode all = ((ObjectNode) first).deepCopy();
        all.remove(ANNOTATIONS);
        for (Map.Entry<String, JsonNode> e : second.properties()) {
            String name = e.getKey();
            if (!ANNOTATIONS.contains(name)) {
                JsonNode old = all.get(name);
                all.set(
                        name,
                        old == null || old.equals(e.getValue()) ? e.getValue() : both(name, old, e.getValue(), at));
            }
        }
        requireClosed(first, second, at);
        requireClosed(second, first, at);
        return all;
    }

    private JsonNode resolved(JsonNode s, String at) {
        JsonNode now = s.isBoolean() && s.booleanValue() ? Json.MAPPER.createObjectNode() : s;
        for (int i = 0; i < DEEPEST && now.isObject() && now.has("$ref"); i++) {
            JsonNode rest = without(now, "$ref");
            now = rest == null ? target(now, at) : merged(target(now, at), rest, at);
        }
        if (now.isObject() && now.has("allOf")) {
            JsonNode all = without(now, "allOf");
            all = all == null ? Json.MAPPER.createObjectNode() : all;
            for (JsonNode part : list(now, "allOf", at)) {
                all = merged(all, part, at);
            }
            return all;
        }
        return now;
    }

    /** What one schema says of all properties that it does not name holds for those that the other one names. */
    private static void requireClosed(JsonNode a, JsonNode b, String at) {
        JsonNode more = a.get("additionalProperties");
        if (more == null || more.isBoolean() && more.booleanValue()) {
            return;
        }
        b.path("properties").fieldNames().forEachRemaining(name -> {
            if (!a.path("properties").has(name)) {
                throw bad(at, "additionalProperties together with another schema's properties is not supported");
            }
        });
    }

    private static JsonNode both(String name, JsonNode a, JsonNode b, String at) {
        switch (name) {
            case "properties" -> {
                ObjectNode all = ((ObjectNode) a).deepCopy();
                b.properties().forEach(e -> {
                    JsonNode old = all.get(e.getKey());
                    if (old == null || old.equals(e.getValue())) {
                        all.set(e.getKey(), e.getValue());
                    } else {
                        all.putObject(e.getKey()).putArray("allOf").add(old).add(e.getValue());
                    }
                });
                return all;
            }
            case "required" -> {
                Set<String> names = new LinkedHashSet<>();
                a.forEach(n -> names.add(n.asText()));
                b.forEach(n -> names.add(n.asText()));
                return Json.MAPPER.valueToTree(names);
            }
            case "enum" -> {
                List<JsonNode> values = new ArrayList<>();
                a.forEach(v -> b.forEach(w -> {
                    if (v.equals(w)) {
                        values.add(v);
                    }
                }));
                if (!values.isEmpty()) {
                    return Json.MAPPER.valueToTree(values);
                }
            }
            case "type" -> {
                List<String> types = new ArrayList<>();
                for (String type : types(a, at)) {
                    for (String other : types(b, at)) {
                        boolean less = type.equals("integer") && other.equals("number");
                        boolean more = type.equals("number") && other.equals("integer");
                        if (type.equals(other) || less || more) {
                            types.add(more ? other : type);
                        }
                    }
                }
                if (!types.isEmpty()) {
                    return Json.MAPPER.valueToTree(types);
                }
            }
            case "minimum", "exclusiveMinimum", "minLength", "minItems" -> {
                if (a.isNumber() && b.isNumber()) {
                    return a.decimalValue().compareTo(b.decimalValue()) >= 0 ? a : b;
                }
            }
            case "maximum", "exclusiveMaximum", "maxLength", "maxItems" -> {
                if (a.isNumber() && b.isNumber()) {
                    return a.decimalValue().compareTo(b.decimalValue()) <= 0 ? a : b;
                }
            }
            default -> {}
        }
        throw bad(at, "two schemas that both say " + Quoted.of(name) + " cannot be put together");
    }

    private static List<String> types(JsonNode node, String at) {
        List<String> types = new ArrayList<>();
        for (JsonNode type : node.isArray() ? node : List.of(node)) {
            if (!TYPES.contains(type.asText())) {
                throw bad(under(at, "type"), "expected types such as object, found " + Quoted.of(node.toString()));
            }
            types.add(type.asText());
        }
        if (types.isEmpty()) {
            throw bad(under(at, "type"), "expected a type");
        }
        return types;
    }

    /** Whether a value is of a type. */
    private static boolean is(JsonNode value, String type) {
        return switch (type) {
            case "null" -> value.isNull();
            case "boolean" -> value.isBoolean();
            case "object" -> value.isObject();
            case "array" -> value.isArray();
            case "string" -> value.isTextual();
            case "number" -> value.isNumber();
            default ->
                value.isNumber() && value.decimalValue().stripTrailingZeros().scale() <= 0;
        };
    }

    private static Expression values(JsonNode s, String at) {
        List<JsonNode> values = new ArrayList<>();
        if (s.has("enum")) {
            values.addAll(list(s, "enum", at));
        }
        if (s.has("const")) {
            JsonNode only = s.get("const");
            if (s.has("enum") && !values.contains(only)) {
                throw bad(under(at, "const"), "it is none of the values of enum");
            }
            values = List.of(only);
        }
        JsonNode rest = without(s, "enum", "const", "type");
        if (rest != null) {
            String name = rest.fieldNames().next();
            throw bad(under(at, name), Quoted.of(name) + " beside values is not supported");
        }
        List<Expression> options = new ArrayList<>();
        for (JsonNode value : values) {
            if (!s.has("type") || types(s.get("type"), at).stream().anyMatch(t -> is(value, t))) {
                options.add(JsonText.value(value));
            }
        }
        if (options.isEmpty()) {
            throw bad(under(at, "type"), "none of the values is of this type");
        }
        return lexeme(choice(options));
    }

    private Expression typed(JsonNode s, String at) {
        List<String> types = new ArrayList<>();
        if (s.has("type")) {
            types.addAll(types(s.get("type"), at));
        } else {
            // Who says how an object is means an object.
            OF_TYPES.forEach((type, names) -> {
                if (names.stream().anyMatch(s::has)) {
                    types.add(type);
                }
            });
        }
        if (types.isEmpty()) {
            return JsonText.ANY;
        }
        if (types.contains("number")) {
            types.remove("integer");
        }
        List<Expression> options = new ArrayList<>();
        for (String type : new LinkedHashSet<>(types)) {
            options.add(
                    switch (type) {
                        case "null" -> JsonText.NULL;
                        case "boolean" -> JsonText.BOOLEAN;
                        case "string" -> string(s, at);
                        case "array" -> array(s, at);
                        case "object" -> object(s, at);
                        default -> number(s, at, type.equals("integer"));
                    });
        }
        return choice(options);
    }

    private static int count(JsonNode s, String name, int otherwise, String at) {
        JsonNode node = s.get(name);
        if (node == null) {
            return otherwise;
        }
        if (!node.canConvertToExactIntegral()
                || !node.canConvertToInt()
                || node.intValue() < 0
                || node.intValue() > MOST_TIMES) {
            throw bad(
                    under(at, name),
                    "expected an integer from 0 to " + MOST_TIMES + ", found " + Quoted.of(node.toString()));
        }
        return node.intValue();
    }

    private static void requireOrder(int least, int most, String name, String at) {
        if (least > most) {
            throw bad(under(at, name), "the least is more than the most");
        }
    }

    private static Expression string(JsonNode s, String at) {
        int least = count(s, "minLength", 0, at);
        int most = count(s, "maxLength", UNBOUNDED, at);
        requireOrder(least, most, "minLength", at);
        boolean bounded = least > 0 || most < UNBOUNDED;
        List<String> kinds = new ArrayList<>();
        List.of("pattern", "format").stream().filter(s::has).forEach(kinds::add);
        if (kinds.size() + (bounded ? 1 : 0) > 1) {
            throw bad(under(at, kinds.getFirst()), "of pattern, format and a length only one is supported");
        }
        if (s.has("pattern")) {
            try {
                return lexeme(
                        JsonText.quoted(RegularExpression.parse(s.get("pattern").asText())));
            } catch (RegularExpression.UnsupportedPatternException e) {
                throw bad(under(at, "pattern"), e.getMessage());
            }
        }
        if (s.has("format")) {
            String pattern = FORMATS.get(s.get("format").asText());
            if (pattern == null) {
                throw bad(
                        under(at, "format"),
                        "the format " + Quoted.of(s.get("format").asText()) + " is not supported, but date, time,"
                                + " date-time, uuid and ipv4 are");
            }
            return lexeme(JsonText.quoted(RegularExpression.whole(pattern)));
        }
        return bounded ? lexeme(JsonText.quoted(repeat(JsonText.CHARACTER, least, most))) : JsonText.STRING;
    }

    private static BigDecimal bound(JsonNode s, String name, String at) {
        JsonNode node = s.get(name);
        if (node == null) {
            return null;
        }
        if (!node.isNumber() || !NumberRange.isExact(node.decimalValue())) {
            throw bad(
                    under(at, name),
                    "expected a number with at most " + JsonText.MOST_DECIMALS + " digits behind the point, found "
                            + Quoted.of(node.toString()));
        }
        return node.decimalValue();
    }

    private static Expression number(JsonNode s, String at, boolean whole) {
        BigDecimal least = bound(s, "minimum", at);
        BigDecimal above = bound(s, "exclusiveMinimum", at);
        BigDecimal most = bound(s, "maximum", at);
        BigDecimal below = bound(s, "exclusiveMaximum", at);
        if (least == null && above == null && most == null && below == null) {
            return whole ? JsonText.INTEGER : JsonText.NUMBER;
        }
        boolean strictlyAbove = above != null && (least == null || above.compareTo(least) >= 0);
        boolean strictlyBelow = below != null && (most == null || below.compareTo(most) <= 0);
        Expression range = NumberRange.of(
                strictlyAbove ? above : least, strictlyAbove, strictlyBelow ? below : most, strictlyBelow, whole);
        if (range == null) {
            throw bad(at, "no number is within its bounds");
        }
        return lexeme(range);
    }

    private Expression array(JsonNode s, String at) {
        int least = count(s, "minItems", 0, at);
        int most = count(s, "maxItems", UNBOUNDED, at);
        requireOrder(least, most, "minItems", at);
        List<Expression> first = new ArrayList<>();
        if (s.has("prefixItems")) {
            List<JsonNode> items = list(s, "prefixItems", at);
            for (int i = 0; i < items.size(); i++) {
                first.add(schema(items.get(i), under(under(at, "prefixItems"), String.valueOf(i))));
            }
        }
        JsonNode items = s.get("items");
        boolean none = items != null && items.isBoolean() && !items.booleanValue();
        if (items != null && items.isArray()) {
            throw bad(under(at, "items"), "a list of schemas is written as prefixItems");
        }
        if (none && least > first.size()) {
            throw bad(under(at, "minItems"), "there are not as many items");
        }
        Expression more = items == null || none ? JsonText.ANY : schema(items, under(at, "items"));
        int last = none ? Math.min(most, first.size()) : most;
        Expression content = items(first, more, 0, least, last);
        return sequence(lexeme(text("[")), content, lexeme(text("]")));
    }

    /** Items from number {@code at} on, of which there are {@code least} to {@code most} in all. */
    private static Expression items(List<Expression> first, Expression more, int at, int least, int most) {
        if (at >= most) {
            return sequence();
        }
        Expression rest;
        if (at < first.size()) {
            Expression item = first.get(at);
            rest = sequence(at == 0 ? item : sequence(JsonText.COMMA, item), items(first, more, at + 1, least, most));
            return at >= least ? Expression.optional(rest) : rest;
        }
        if (at == 0) {
            return JsonText.list(more, least, most);
        }
        return repeat(sequence(JsonText.COMMA, more), Math.max(0, least - at), most == UNBOUNDED ? most : most - at);
    }

    private Expression object(JsonNode s, String at) {
        Map<String, Expression> properties = new LinkedHashMap<>();
        JsonNode named = s.path("properties");
        if (s.has("properties") && !named.isObject()) {
            throw bad(under(at, "properties"), "expected an object");
        }
        Set<String> required = new LinkedHashSet<>();
        for (JsonNode name : s.path("required")) {
            required.add(name.asText());
        }
        for (Map.Entry<String, JsonNode> e : named.properties()) {
            if (e.getValue().isBoolean() && !e.getValue().booleanValue() && !required.contains(e.getKey())) {
                // It must not come.
                continue;
            }
            properties.put(e.getKey(), schema(e.getValue(), under(under(at, "properties"), e.getKey())));
        }
        JsonNode additional = s.get("additionalProperties");
        boolean open = additional == null ? !s.has("properties") : !additional.isBoolean() || additional.booleanValue();
        Expression value =
                !open || additional == null ? JsonText.ANY : schema(additional, under(at, "additionalProperties"));
        for (String name : required) {
            if (!properties.containsKey(name)) {
                if (!open && additional != null) {
                    throw bad(under(at, "required"), "additionalProperties forbids " + Quoted.of(name));
                }
                properties.put(name, value);
            }
        }
        Set<String> names = new LinkedHashSet<>(properties.keySet());
        named.fieldNames().forEachRemaining(names::add);
        Expression none = sequence();
        Expression behind = none;
        Expression alone = none;
        if (open) {
            Expression key = names.isEmpty()
                    ? JsonText.STRING
                    : lexeme(JsonText.quoted(NameTree.of(names).others()));
            Expression pair = sequence(key, lexeme(text(":")), JsonText.SPACE, value);
            behind = repeat(sequence(JsonText.COMMA, pair), 0, UNBOUNDED);
            alone = JsonText.list(pair, 0, UNBOUNDED);
        }
        List<String> order = new ArrayList<>(properties.keySet());
        for (String name : order.reversed()) {
            Expression pair = sequence(
                    lexeme(sequence(JsonText.quoted(JsonText.content(name)), text(":"))),
                    JsonText.SPACE,
                    properties.get(name));
            Expression first = sequence(pair, behind);
            Expression further = sequence(JsonText.COMMA, pair, behind);
            boolean needed = required.contains(name);
            alone = needed ? first : choice(first, alone);
            behind = needed ? further : choice(further, behind);
        }
        return sequence(lexeme(text("{")), alone, lexeme(text("}")));
    }

    /** Whether two schemas can surely not both be fulfilled. */
    private final class Disjoint {
        private int steps;

        boolean test(JsonNode first, JsonNode second) {
            if (++steps > 1000) {
                return false;
            }
            JsonNode a = resolved(first, "");
            JsonNode b = resolved(second, "");
            List<JsonNode> valuesA = valuesOf(a);
            List<JsonNode> valuesB = valuesOf(b);
            if (valuesA != null && valuesB != null) {
                return valuesA.stream().noneMatch(v -> valuesB.stream().anyMatch(w -> same(v, w)));
            }
            List<String> typesA = typesOf(a, valuesA);
            List<String> typesB = typesOf(b, valuesB);
            if (typesA == null || typesB == null) {
                return false;
            }
            List<String> common =
                    typesA.stream().filter(t -> typesB.contains(t)).toList();
            if (common.isEmpty()) {
                return true;
            }
            if (!common.equals(List.of("object"))) {
                return false;
            }
            for (JsonNode name : a.path("required")) {
                boolean both = false;
                for (JsonNode other : b.path("required")) {
                    both |= other.equals(name);
                }
                JsonNode pa = a.path("properties").get(name.asText());
                JsonNode pb = b.path("properties").get(name.asText());
                if (both && pa != null && pb != null && test(pa, pb)) {
                    return true;
                }
            }
            return false;
        }

        private static boolean same(JsonNode a, JsonNode b) {
            return a.isNumber() && b.isNumber() ? a.decimalValue().compareTo(b.decimalValue()) == 0 : a.equals(b);
        }

        private static List<JsonNode> valuesOf(JsonNode s) {
            if (s.has("const")) {
                return List.of(s.get("const"));
            }
            List<JsonNode> values = new ArrayList<>();
            s.path("enum").forEach(values::add);
            return s.has("enum") ? values : null;
        }

        /** With integers as numbers; null where it may be any. */
        private static List<String> typesOf(JsonNode s, List<JsonNode> values) {
            List<String> types = new ArrayList<>();
            if (values != null) {
                TYPES.stream()
                        .filter(t -> !t.equals("integer") && values.stream().anyMatch(v -> is(v, t)))
                        .forEach(types::add);
                return types;
            }
            if (s.has("type")) {
                types(s.get("type"), "").forEach(t -> types.add(t.equals("integer") ? "number" : t));
                return types;
            }
            return null;
        }
    }
}
