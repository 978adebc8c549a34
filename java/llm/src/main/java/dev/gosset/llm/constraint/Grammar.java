package dev.gosset.llm.constraint;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A set of texts that a model may be held to. Immutable, thread-safe. */
public final class Grammar {
    private final Expression expression;

    private Grammar(Expression expression) {
        this.expression = expression;
    }

    Expression expression() {
        return expression;
    }

    /** Any JSON object. */
    public static Grammar jsonObject() {
        return new Grammar(JsonText.OBJECT);
    }

    /**
     * The JSON texts that fulfil a schema, draft 2020-12: properties in its order, those it does not name only where
     * {@code additionalProperties} says so, no white space but one space behind colons and commas.
     *
     * <p>Keywords: type, enum, const, properties, required, additionalProperties, items, prefixItems, minItems, maxItems, minLength, maxLength,
     * pattern, format (date, time, date-time, uuid, ipv4), minimum, maximum and the exclusive ones, anyOf, allOf, oneOf where no two can
     * both be fulfilled, $ref into the schema itself.
     *
     * @throws UnsupportedSchemaException where it is no schema or has what cannot be enforced
     */
    public static Grammar jsonSchema(JsonNode schema) {
        return new Grammar(JsonSchema.grammar(schema));
    }

    /** Exactly this text. */
    public static Grammar text(String text) {
        return new Grammar(Expression.lexeme(Expression.text(text)));
    }

    /** Any text, also one that is not finished, in which {@code stop} does not stand; ASCII. */
    public static Grammar textWithout(String stop) {
        // As Knuth, Morris and Pratt search: how much of it stands at the end of what has come.
        List<Expression.Rule> rules = new ArrayList<>();
        for (int i = 0; i < stop.length(); i++) {
            rules.add(new Expression.Rule());
        }
        for (int at = 0; at < stop.length(); at++) {
            Map<Integer, Expression.Bytes> to = new TreeMap<>();
            for (int b = 0; b < 256; b++) {
                String end = stop.substring(0, at) + (char) b;
                int next = end.length();
                while (!end.endsWith(stop.substring(0, next))) {
                    next--;
                }
                if (next < stop.length()) {
                    to.merge(next, Expression.bytes(b, b), Expression::either);
                }
            }
            List<Expression> options = new ArrayList<>(List.of(Expression.sequence()));
            to.forEach((next, bytes) -> options.add(Expression.sequence(bytes, rules.get(next))));
            rules.get(at).body = Expression.choice(options);
        }
        return new Grammar(Expression.lexeme(rules.getFirst()));
    }

    /** Any text that does not begin with a character, an ASCII one. */
    public static Grammar textNotBeginningWith(char first) {
        Expression any = Expression.repeat(Expression.bytes(0, 255), 0, Expression.UNBOUNDED);
        Expression other = Expression.either(Expression.bytes(0, first - 1), Expression.bytes(first + 1, 255));
        return new Grammar(Expression.lexeme(Expression.optional(Expression.sequence(other, any))));
    }

    /** A special token. */
    public static Grammar token(int id) {
        return new Grammar(Expression.mark(id));
    }

    /** One after the other. */
    public static Grammar sequence(Grammar... parts) {
        return new Grammar(Expression.sequence(
                List.of(parts).stream().map(Grammar::expression).toList()));
    }

    /** One of several, at least one. */
    public static Grammar choice(List<Grammar> options) {
        return new Grammar(
                Expression.choice(options.stream().map(Grammar::expression).toList()));
    }

    /** One from {@code least} to {@code most} times. */
    public static Grammar repeat(Grammar item, int least, int most) {
        return new Grammar(Expression.repeat(item.expression, least, most));
    }
}
