package dev.gosset.llm.constraint;

import static dev.gosset.llm.constraint.Expression.bytes;
import static dev.gosset.llm.constraint.Expression.choice;
import static dev.gosset.llm.constraint.Expression.either;
import static dev.gosset.llm.constraint.Expression.lexeme;
import static dev.gosset.llm.constraint.Expression.optional;
import static dev.gosset.llm.constraint.Expression.repeat;
import static dev.gosset.llm.constraint.Expression.sequence;
import static dev.gosset.llm.constraint.Expression.text;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;

/**
 * The parts of JSON as it may be written: between its tokens there is nothing, or one space behind a colon or a comma, so that no model fills
 * its context with lines. Numbers have at most 18 digits before the point and 24 behind it, and exponents up to 299.
 */
final class JsonText {
    static final int MOST_DIGITS = 18;
    /** Behind the point, as many as doubles are written with where they have no exponent. */
    static final int MOST_DECIMALS = 24;

    private static final Expression DIGIT = bytes('0', '9');
    private static final Expression HEX = either("0123456789abcdefABCDEF");

    /** A character of a string, of any Unicode. */
    static final Expression CHARACTER = character();

    static final Expression SPACE = lexeme(optional(text(" ")));
    static final Expression COMMA = lexeme(sequence(text(","), optional(text(" "))));
    static final Expression STRING = lexeme(quoted(repeat(CHARACTER, 0, Expression.UNBOUNDED)));
    static final Expression INTEGER = lexeme(integer());
    static final Expression NUMBER = lexeme(sequence(integer(), optional(fraction()), optional(exponent())));
    static final Expression BOOLEAN = lexeme(choice(text("true"), text("false")));
    static final Expression NULL = lexeme(text("null"));

    /** Any value, any object and any array. */
    static final Expression ANY;

    static final Expression OBJECT;
    static final Expression ARRAY;

    static {
        Expression.Rule any = new Expression.Rule();
        Expression pair = sequence(STRING, lexeme(text(":")), SPACE, any);
        OBJECT = sequence(lexeme(text("{")), list(pair, 0, Expression.UNBOUNDED), lexeme(text("}")));
        ARRAY = sequence(lexeme(text("[")), list(any, 0, Expression.UNBOUNDED), lexeme(text("]")));
        any.body = choice(STRING, NUMBER, BOOLEAN, NULL, OBJECT, ARRAY);
        any.settle();
        ANY = any;
    }

    private JsonText() {}

    private static Expression integer() {
        Expression more = repeat(DIGIT, 0, MOST_DIGITS - 1);
        return sequence(optional(text("-")), choice(text("0"), sequence(bytes('1', '9'), more)));
    }

    private static Expression fraction() {
        return sequence(text("."), repeat(DIGIT, 1, MOST_DECIMALS));
    }

    private static Expression exponent() {
        return sequence(
                either("eE"),
                optional(either("+-")),
                choice(repeat(DIGIT, 1, 2), sequence(either("012"), repeat(DIGIT, 2, 2))));
    }

    /** Between quotation marks. */
    static Expression quoted(Expression content) {
        return sequence(text("\""), content, text("\""));
    }

    private static Expression character() {
        Expression high = sequence(either("dD"), either("89abAB"), HEX, HEX);
        Expression low = sequence(either("dD"), either("cdefCDEF"), HEX, HEX);
        Expression plain = choice(
                sequence(either("0123456789abcefABCEF"), repeat(HEX, 3, 3)),
                sequence(either("dD"), bytes('0', '7'), HEX, HEX));
        return choice(
                codePoints(0x20, 0x10FFFF, false),
                sequence(
                        text("\\"),
                        choice(
                                either("\"\\/bfnrt"),
                                sequence(text("u"), choice(plain, sequence(high, text("\\u"), low))))));
    }

    /**
     * Characters as a string has them: themselves, or the escapes that JSON asks for.
     *
     * @param from the first code point
     * @param to the last one
     * @param escaped whether quotation marks, backslashes and control characters are among them, as escapes
     */
    static Expression codePoints(int from, int to, boolean escaped) {
        List<Expression> options = new ArrayList<>();
        for (int c = from; escaped && c <= Math.min(to, '\\'); c++) {
            if (c < 0x20 || c == '"' || c == '\\') {
                options.add(escape(c));
            }
        }
        int[] borders = {0x20, '"', '"' + 1, '\\', '\\' + 1, 0x80, 0x800, 0xD800, 0xE000, 0x10000, 0x110000};
        for (int i = 0; i + 1 < borders.length; i++) {
            int first = Math.max(from, borders[i]);
            int last = Math.min(to, borders[i + 1] - 1);
            boolean out = borders[i] == '"' || borders[i] == '\\' || borders[i] == 0xD800;
            if (first <= last && !out) {
                utf8(first, last, options);
            }
        }
        return choice(options);
    }

    private static Expression escape(int c) {
        Expression code = sequence(text("\\u00"), text(String.valueOf(c >> 4)), hex(c & 15));
        int named = "\b\f\n\r\t\"\\".indexOf(c);
        return named < 0 ? code : choice(text("\\" + "bfnrt\"\\".charAt(named)), code);
    }

    private static Expression hex(int digit) {
        String d = Integer.toHexString(digit);
        return either(d + d.toUpperCase(java.util.Locale.ROOT));
    }

    /** A range whose code points have equally many bytes. */
    private static void utf8(int from, int to, List<Expression> options) {
        if (to < 0x80) {
            options.add(bytes(from, to));
            return;
        }
        int length = from < 0x800 ? 2 : from < 0x10000 ? 3 : 4;
        int lead = length == 2 ? 0xC0 : length == 3 ? 0xE0 : 0xF0;
        continued(from, to, length - 1, lead, List.of(), options);
    }

    /** Ranges of code points, of which {@code left} bytes follow the one that {@code lead} is a part of. */
    private static void continued(
            int from, int to, int left, int lead, List<Expression> before, List<Expression> options) {
        int shift = 6 * left;
        int first = from >> shift;
        int last = to >> shift;
        if (left == 0) {
            options.add(sequence(with(before, bytes(lead | first, lead | last))));
            return;
        }
        int mask = (1 << shift) - 1;
        if (first < last && ((from & mask) != 0 || (to & mask) != mask)) {
            // The first and the last leading byte may have fewer.
            int a = (from & mask) == 0 ? first : first + 1;
            int b = (to & mask) == mask ? last : last - 1;
            if (a > first) {
                continued(from, (first << shift) | mask, left, lead, before, options);
            }
            if (a <= b) {
                continued(a << shift, (b << shift) | mask, left, lead, before, options);
            }
            if (b < last) {
                continued(last << shift, to, left, lead, before, options);
            }
            return;
        }
        List<Expression> own = with(before, bytes(lead | first, lead | last));
        if (first < last) {
            List<Expression> rest = new ArrayList<>(own);
            for (int i = 0; i < left; i++) {
                rest.add(bytes(0x80, 0xBF));
            }
            options.add(sequence(rest));
        } else {
            continued(from & mask, to & mask, left - 1, 0x80, own, options);
        }
    }

    private static List<Expression> with(List<Expression> before, Expression one) {
        List<Expression> all = new ArrayList<>(before);
        all.add(one);
        return all;
    }

    /** Items with commas between, as a grammar. */
    static Expression list(Expression item, int least, int most) {
        if (most == 0) {
            return sequence();
        }
        int rest = most == Expression.UNBOUNDED ? most : most - 1;
        Expression some = sequence(item, repeat(sequence(COMMA, item), Math.max(0, least - 1), rest));
        return least == 0 ? optional(some) : some;
    }

    /** The text inside a string that stands for exactly this one. */
    static Expression content(String text) {
        return sequence(text.codePoints()
                .mapToObj(c -> codePoints(c, c, true))
                .map(Expression.class::cast)
                .toList());
    }

    /** A value as it is, regular. */
    static Expression value(JsonNode value) {
        if (value.isTextual()) {
            return quoted(content(value.textValue()));
        }
        if (!value.isContainerNode()) {
            return text(value.toString());
        }
        List<Expression> parts = new ArrayList<>();
        parts.add(text(value.isObject() ? "{" : "["));
        boolean first = true;
        if (value.isObject()) {
            for (var e : value.properties()) {
                separate(parts, first);
                first = false;
                parts.add(quoted(content(e.getKey())));
                parts.add(text(":"));
                parts.add(optional(text(" ")));
                parts.add(value(e.getValue()));
            }
        } else {
            for (JsonNode e : value) {
                separate(parts, first);
                first = false;
                parts.add(value(e));
            }
        }
        parts.add(text(value.isObject() ? "}" : "]"));
        return sequence(parts);
    }

    private static void separate(List<Expression> parts, boolean first) {
        if (!first) {
            parts.add(text(","));
            parts.add(optional(text(" ")));
        }
    }
}
