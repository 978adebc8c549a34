package dev.gosset.jinja;

import java.util.List;
import java.util.Map;

/** Python's {@code format % arguments}. */
final class PercentFormat {
    private final String format;
    private final List<?> arguments;
    private final Map<?, ?> named;
    private final boolean escaping;
    private int at;
    private int next;

    private PercentFormat(String format, List<?> arguments, Map<?, ?> named, boolean escaping) {
        this.format = format;
        this.arguments = arguments;
        this.named = named;
        this.escaping = escaping;
    }

    /** @param escaping whether texts are escaped as HTML */
    static String of(String format, Object arguments, boolean escaping) {
        List<?> all = arguments instanceof Tuple t ? t.items() : java.util.Arrays.asList(arguments);
        PercentFormat f = new PercentFormat(format, all, arguments instanceof Map<?, ?> m ? m : null, escaping);
        String out = f.run();
        // Python leaves unused what could be indexed by name.
        boolean indexed = arguments instanceof Map
                || arguments instanceof List
                || arguments instanceof Undefined
                || arguments instanceof Range;
        if (f.next < all.size() && !indexed) {
            throw new JinjaException("a format has fewer places than its " + all.size() + " arguments");
        }
        return out;
    }

    private String run() {
        Budget.spend((long) format.length() * Budget.ITEM);
        StringBuilder out = new StringBuilder();
        while (at < format.length()) {
            int place = format.indexOf('%', at);
            out.append(format, at, place < 0 ? format.length() : place);
            if (place < 0) {
                break;
            }
            at = place + 1;
            out.append(place());
            Python.requireLength(out.length());
        }
        return out.toString();
    }

    private char peek() {
        if (at >= format.length()) {
            throw new JinjaException("the format ends after %");
        }
        return format.charAt(at);
    }

    private Object argument() {
        if (next >= arguments.size()) {
            throw new JinjaException("a format has more places than its " + arguments.size() + " arguments");
        }
        return arguments.get(next++);
    }

    private int number() {
        if (peek() == '*') {
            at++;
            long n = Python.integer(argument(), "a width");
            return FormatSpec.number(Long.toString(Math.abs(n))) * (n < 0 ? -1 : 1);
        }
        int from = at;
        while (peek() >= '0' && peek() <= '9') {
            at++;
        }
        return at == from ? 0 : FormatSpec.number(format.substring(from, at));
    }

    private String place() {
        Object value = null;
        boolean given = false;
        int begun = at;
        if (peek() == '(') {
            int close = at;
            for (int depth = 0; ; close++) {
                if (close >= format.length()) {
                    throw new JinjaException("a name in the format is not closed");
                }
                depth += format.charAt(close) == '(' ? 1 : format.charAt(close) == ')' ? -1 : 0;
                if (depth == 0) {
                    break;
                }
            }
            String name = format.substring(at + 1, close);
            if (named == null || !named.containsKey(name)) {
                throw new JinjaException("the format needs a dict with " + Python.repr(name));
            }
            value = named.get(name);
            given = true;
            at = close + 1;
        }
        boolean left = false;
        boolean zero = false;
        boolean alternate = false;
        char sign = '-';
        for (; "#0- +".indexOf(peek()) >= 0; at++) {
            switch (peek()) {
                case '#' -> alternate = true;
                case '0' -> zero = true;
                case '-' -> left = true;
                case '+' -> sign = '+';
                default -> sign = sign == '+' ? '+' : ' ';
            }
        }
        int width = number();
        left |= width < 0;
        int precision = -1;
        if (peek() == '.') {
            at++;
            precision = Math.max(0, number());
        }
        if ("hlL".indexOf(peek()) >= 0) {
            at++;
        }
        char kind = peek();
        at++;
        if (kind == '%' && at - begun == 1) {
            return "%";
        }
        value = given ? value : argument();
        char align = left ? '<' : zero ? '=' : '>';
        FormatSpec f = new FormatSpec(
                zero && !left ? "0" : " ", align, sign, alternate, Math.abs(width), (char) 0, precision, kind);
        return switch (kind) {
            case 's', 'r', 'a' -> {
                String s = kind == 's' ? Python.str(value) : kind == 'r' ? Python.repr(value) : Python.ascii(value);
                boolean safe = !escaping || kind == 's' && value instanceof Markup;
                yield textual(f).text(safe ? s : Markup.escaped(s));
            }
            case 'c' -> {
                String s = Python.string(value);
                boolean code = Numbers.of(value) instanceof Long l && l >= 0 && l <= Character.MAX_CODE_POINT;
                if (s != null ? Python.length(s) != 1 : !code) {
                    throw new JinjaException("%c takes one character or its code");
                }
                yield textual(f).text(s != null ? s : Character.toString((int) Python.integer(value, "%c")));
            }
            case 'd', 'i', 'u', 'x', 'X', 'o' -> integer(f, value);
            case 'e', 'E', 'f', 'F', 'g', 'G' -> {
                Number n = Numbers.of(value);
                if (n == null) {
                    throw new JinjaException("%" + kind + " takes a number, found " + Python.described(value));
                }
                yield f.number(n);
            }
            default -> throw new JinjaException("the format %" + kind + " is not known");
        };
    }

    private static FormatSpec textual(FormatSpec f) {
        char align = f.align() == '<' ? '<' : '>';
        return new FormatSpec(" ", align, '-', false, f.width(), (char) 0, f.kind() == 'c' ? -1 : f.precision(), 's');
    }

    private static String integer(FormatSpec f, Object value) {
        Number n = Numbers.of(value);
        boolean decimal = "diu".indexOf(f.kind()) >= 0;
        if (n == null || n instanceof Double && !decimal) {
            throw new JinjaException("%" + f.kind() + " takes a number, found " + Python.described(value));
        }
        Number whole = n instanceof Double d ? (Number) Numbers.toInt(d) : n;
        FormatSpec plain =
                new FormatSpec(f.fill(), f.align(), f.sign(), f.alternate(), 0, (char) 0, -1, decimal ? 'd' : f.kind());
        String s = plain.number(whole);
        int from = s.startsWith("-") || s.startsWith("+") || s.startsWith(" ") ? 1 : 0;
        from += f.alternate() && !decimal ? 2 : 0;
        String digits = s.substring(from);
        digits = "0".repeat(Math.max(0, f.precision() - digits.length())) + digits;
        return f.placed(s.substring(0, from), digits, '>');
    }
}
