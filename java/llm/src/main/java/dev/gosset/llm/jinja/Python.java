package dev.gosset.llm.jinja;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/** Python's operators and conversions on the values of a template. */
final class Python {
    private Python() {}

    // -------------------------------------------------------------------------------------------------- kinds

    static String type(Object v) {
        return switch (v) {
            case null -> "None";
            case Undefined u -> "undefined";
            case Boolean b -> "bool";
            case Long l -> "int";
            case Double d -> "float";
            case String s -> "str";
            case Tuple t -> "tuple";
            case List<?> l -> "list";
            case Map<?, ?> m -> "dict";
            default -> v.getClass().getSimpleName().toLowerCase(Locale.ROOT);
        };
    }

    static boolean truth(Object v) {
        return switch (v) {
            case null -> false;
            case Undefined u -> false;
            case Boolean b -> b;
            case Long l -> l != 0;
            case Double d -> d != 0;
            case String s -> !s.isEmpty();
            case List<?> l -> !l.isEmpty();
            case Map<?, ?> m -> !m.isEmpty();
            default -> true;
        };
    }

    /** The value of a number, bools included, or null. */
    private static Number number(Object v) {
        return switch (v) {
            case Boolean b -> b ? 1L : 0L;
            case Long l -> l;
            case Double d -> d;
            case null, default -> null;
        };
    }

    static long integer(Object v, String what) {
        if (number(v) instanceof Long l) {
            return l;
        }
        throw new TemplateError(what + " must be an int, found " + described(v));
    }

    static String text(Object v, String what) {
        if (v instanceof String s) {
            return s;
        }
        throw new TemplateError(what + " must be a str, found " + described(v));
    }

    static String described(Object v) {
        return v instanceof Undefined u ? u.what() + ", which is undefined" : type(v);
    }

    /** What a loop goes through: list items, dict keys, characters. */
    static List<Object> items(Object v) {
        return switch (v) {
            case Undefined u -> List.of();
            case String s -> new ArrayList<>(characters(s));
            case List<?> l -> new ArrayList<>(l);
            case Map<?, ?> m -> new ArrayList<>(m.keySet());
            case null, default -> throw new TemplateError(described(v) + " cannot be iterated");
        };
    }

    static List<String> characters(String s) {
        return s.codePoints().mapToObj(Character::toString).toList();
    }

    static long length(Object v) {
        return switch (v) {
            case Undefined u -> 0;
            case String s -> s.codePointCount(0, s.length());
            case List<?> l -> l.size();
            case Map<?, ?> m -> m.size();
            case null, default -> throw new TemplateError(described(v) + " has no length");
        };
    }

    // -------------------------------------------------------------------------------------------------- comparison

    static boolean equal(Object a, Object b) {
        Number x = number(a);
        Number y = number(b);
        if (x != null && y != null) {
            return x instanceof Long p && y instanceof Long q
                    ? p.longValue() == q.longValue()
                    : x.doubleValue() == y.doubleValue();
        }
        if (a instanceof Undefined && b instanceof Undefined) {
            return true;
        }
        if (a instanceof List<?> p && b instanceof List<?> q) {
            if (p.size() != q.size() || p instanceof Tuple != q instanceof Tuple) {
                return false;
            }
            Iterator<?> i = q.iterator();
            for (Object e : p) {
                if (!equal(e, i.next())) {
                    return false;
                }
            }
            return true;
        }
        if (a instanceof Map<?, ?> p && b instanceof Map<?, ?> q) {
            return p.size() == q.size()
                    && p.entrySet().stream()
                            .allMatch(e -> q.containsKey(e.getKey()) && equal(e.getValue(), q.get(e.getKey())));
        }
        return Objects.equals(a, b);
    }

    static int compare(Object a, Object b) {
        Number x = number(a);
        Number y = number(b);
        if (x != null && y != null) {
            return x instanceof Long p && y instanceof Long q
                    ? Long.compare(p, q)
                    : Double.compare(x.doubleValue(), y.doubleValue());
        }
        if (a instanceof String s && b instanceof String t) {
            return Arrays.compare(s.codePoints().toArray(), t.codePoints().toArray());
        }
        if (a instanceof List<?> p && b instanceof List<?> q) {
            for (int i = 0; i < Math.min(p.size(), q.size()); i++) {
                if (!equal(p.get(i), q.get(i))) {
                    return compare(p.get(i), q.get(i));
                }
            }
            return Integer.compare(p.size(), q.size());
        }
        throw new TemplateError(described(a) + " and " + described(b) + " have no order");
    }

    static boolean contains(Object container, Object v) {
        return switch (container) {
            case Undefined u -> false;
            case String s -> s.contains(text(v, "what is looked for in a str"));
            case Map<?, ?> m -> m.containsKey(v);
            case List<?> l -> l.stream().anyMatch(e -> equal(e, v));
            case null, default -> throw new TemplateError(described(container) + " contains nothing");
        };
    }

    // -------------------------------------------------------------------------------------------------- arithmetic

    static Object arithmetic(String operator, Object a, Object b) {
        try {
            return compute(operator, a, b);
        } catch (ArithmeticException e) {
            throw new TemplateError("'" + operator + "' of ints goes beyond 64 bits or divides by zero");
        }
    }

    private static Object compute(String operator, Object a, Object b) {
        Number x = number(a);
        Number y = number(b);
        if (x instanceof Long p && y instanceof Long q) {
            return switch (operator) {
                case "+" -> Math.addExact(p, q);
                case "-" -> Math.subtractExact(p, q);
                case "*" -> Math.multiplyExact(p, q);
                case "//" -> Math.floorDiv(p, q);
                case "%" -> Math.floorMod(p, q);
                case "/" -> divide(p, q);
                default -> {
                    if (q < 0) {
                        yield Math.pow(p, q);
                    }
                    yield power(p, q);
                }
            };
        }
        if (x != null && y != null) {
            double p = x.doubleValue();
            double q = y.doubleValue();
            return switch (operator) {
                case "+" -> p + q;
                case "-" -> p - q;
                case "*" -> p * q;
                case "//" -> Math.floor(divide(p, q));
                case "%" -> {
                    divide(p, q);
                    double r = p % q;
                    yield r != 0 && r < 0 != q < 0 ? r + q : r;
                }
                case "/" -> divide(p, q);
                default -> Math.pow(p, q);
            };
        }
        if (operator.equals("+") && a instanceof String s && b instanceof String t) {
            return concatenation(s, t);
        }
        if (operator.equals("+") && a instanceof List<?> s && b instanceof List<?> t) {
            requireLength(s.size() + (long) t.size());
            List<Object> sum = new ArrayList<>(s);
            sum.addAll(t);
            return a instanceof Tuple ? new Tuple(sum) : sum;
        }
        if (operator.equals("*") && (a instanceof String || a instanceof List<?>) && y instanceof Long n) {
            return repeat(a, n);
        }
        if (operator.equals("*") && (b instanceof String || b instanceof List<?>) && x instanceof Long n) {
            return repeat(b, n);
        }
        if (operator.equals("%") && a instanceof String s) {
            return format(s, b instanceof Tuple t ? t : Arrays.asList(b));
        }
        throw new TemplateError("'" + operator + "' is not defined for " + described(a) + " and " + described(b));
    }

    static String concatenation(String a, String b) {
        requireLength(a.length() + (long) b.length());
        return a + b;
    }

    /** Refuses a text or list that is longer than any template needs. */
    static void requireLength(long length) {
        if (length > Scope.LARGEST_OUTPUT) {
            throw new TemplateError(
                    "a value of length " + length + " is too long, expected at most " + Scope.LARGEST_OUTPUT);
        }
    }

    private static double divide(double a, double b) {
        if (b == 0) {
            throw new TemplateError("division by zero");
        }
        return a / b;
    }

    private static long power(long base, long exponent) {
        if (exponent > 64 && Math.abs(base) > 1) {
            throw new ArithmeticException();
        }
        long result = 1;
        for (long i = 0; i < Math.min(exponent, 64 + exponent % 2); i++) {
            result = Math.multiplyExact(result, base);
        }
        return result;
    }

    private static Object repeat(Object v, long n) {
        long times = Math.max(0, n);
        if (times * Math.max(1, length(v)) > Scope.LARGEST_OUTPUT || times > Scope.LARGEST_OUTPUT) {
            throw new TemplateError("repeating " + type(v) + " " + n + " times is too long");
        }
        if (v instanceof String s) {
            return s.repeat((int) times);
        }
        List<Object> out = new ArrayList<>();
        for (long i = 0; i < times; i++) {
            out.addAll((List<?>) v);
        }
        return out;
    }

    static Object negative(Object v) {
        if (number(v) == null) {
            throw new TemplateError("'-' is not defined for " + described(v));
        }
        return v instanceof Double d ? (Object) (-d) : arithmetic("-", 0L, v);
    }

    // -------------------------------------------------------------------------------------------------- members

    /** {@code v[key]}; undefined where there is none. */
    static Object item(Object v, Object key) {
        if (v instanceof Undefined u) {
            throw new TemplateError(u.what() + " is undefined, it has no element " + repr(key));
        }
        if (v instanceof Map<?, ?> m && m.containsKey(key)) {
            return m.get(key);
        }
        if ((v instanceof List<?> || v instanceof String) && number(key) instanceof Long index) {
            long n = length(v);
            long i = index < 0 ? index + n : index;
            if (i >= 0 && i < n) {
                return v instanceof List<?> l ? l.get((int) i) : character((String) v, (int) i);
            }
        }
        return new Undefined("the element " + repr(key) + " of " + type(v));
    }

    private static String character(String s, int i) {
        int at = s.offsetByCodePoints(0, i);
        return Character.toString(s.codePointAt(at));
    }

    /** {@code v[from:to:step]}, None for what is left out. */
    static Object slice(Object v, Object from, Object to, Object step) {
        if (!(v instanceof String) && !(v instanceof List<?>)) {
            throw new TemplateError(described(v) + " cannot be sliced");
        }
        List<?> all = v instanceof String s ? characters(s) : (List<?>) v;
        long n = all.size();
        long by = step == null ? 1 : Math.clamp(integer(step, "the step of a slice"), -1L << 40, 1L << 40);
        if (by == 0) {
            throw new TemplateError("the step of a slice must not be 0");
        }
        long first = bound(from, n, by > 0 ? 0 : n - 1, by);
        long end = bound(to, n, by > 0 ? n : -1, by);
        List<Object> out = new ArrayList<>();
        for (long i = first; by > 0 ? i < end : i > end; i += by) {
            out.add(all.get((int) i));
        }
        if (v instanceof String) {
            StringBuilder text = new StringBuilder();
            out.forEach(text::append);
            return text.toString();
        }
        return v instanceof Tuple ? new Tuple(out) : out;
    }

    private static long bound(Object v, long n, long absent, long step) {
        if (v == null) {
            return absent;
        }
        long i = integer(v, "the bound of a slice");
        i = i < 0 ? Math.max(i + n, -1) : i;
        return step > 0 ? Math.clamp(i, 0, n) : Math.clamp(i, -1, n - 1);
    }

    // -------------------------------------------------------------------------------------------------- text

    /** {@code str(v)}; undefined is empty. */
    static String str(Object v) {
        return v instanceof String s ? s : v instanceof Undefined ? "" : repr(v);
    }

    /** {@code repr(v)}. */
    static String repr(Object v) {
        StringBuilder out = new StringBuilder();
        repr(v, out, 0);
        return out.toString();
    }

    private static void repr(Object v, StringBuilder out, int depth) {
        if (depth > 500) {
            throw new TemplateError("a value is nested too deeply");
        }
        requireLength(out.length());
        switch (v) {
            case null -> out.append("None");
            case Undefined u -> out.append("Undefined");
            case Boolean b -> out.append(b ? "True" : "False");
            case Double d -> out.append(floating(d));
            case String s -> quote(s, out);
            case List<?> l -> {
                boolean tuple = l instanceof Tuple;
                out.append(tuple ? '(' : '[');
                String separator = "";
                for (Object e : l) {
                    out.append(separator);
                    repr(e, out, depth + 1);
                    separator = ", ";
                }
                out.append(tuple ? l.size() == 1 ? ",)" : ")" : "]");
            }
            case Map<?, ?> m -> {
                out.append('{');
                String separator = "";
                for (Map.Entry<?, ?> e : m.entrySet()) {
                    out.append(separator);
                    repr(e.getKey(), out, depth + 1);
                    out.append(": ");
                    repr(e.getValue(), out, depth + 1);
                    separator = ", ";
                }
                out.append('}');
            }
            case Callable c -> out.append("<function>");
            default -> out.append(v);
        }
    }

    private static void quote(String s, StringBuilder out) {
        char quote = s.indexOf('\'') >= 0 && s.indexOf('"') < 0 ? '"' : '\'';
        out.append(quote);
        s.codePoints().forEach(c -> {
            switch (c) {
                case '\n' -> out.append("\\n");
                case '\t' -> out.append("\\t");
                case '\r' -> out.append("\\r");
                case '\\' -> out.append("\\\\");
                default -> {
                    if (c == quote) {
                        out.append('\\').append(quote);
                    } else if (c < ' ' || c >= 0x7f && c < 0xa1 || c == 0xad) {
                        out.append(String.format(Locale.ROOT, "\\x%02x", c));
                    } else {
                        out.appendCodePoint(c);
                    }
                }
            }
        });
        out.append(quote);
    }

    /** The shortest digits that make the number, as Python writes them. */
    static String floating(double d) {
        if (Double.isNaN(d)) {
            return "nan";
        }
        if (Double.isInfinite(d)) {
            return d > 0 ? "inf" : "-inf";
        }
        if (d == 0) {
            return 1 / d < 0 ? "-0.0" : "0.0";
        }
        BigDecimal exact = new BigDecimal(Double.toString(d)).stripTrailingZeros();
        String digits = exact.unscaledValue().abs().toString();
        int exponent = digits.length() - 1 - exact.scale();
        String sign = d < 0 ? "-" : "";
        if (exponent < -4 || exponent >= 16) {
            String fraction = digits.length() > 1 ? "." + digits.substring(1) : "";
            return sign + digits.charAt(0) + fraction + String.format(Locale.ROOT, "e%+03d", exponent);
        }
        String plain = exact.abs().toPlainString();
        return sign + (plain.contains(".") ? plain : plain + ".0");
    }

    /** Python's {@code format % arguments} for %s, %r, %d, %i, %f and %%. */
    static String format(String format, List<?> arguments) {
        StringBuilder out = new StringBuilder();
        int next = 0;
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%') {
                out.append(c);
                continue;
            }
            int from = i + 1;
            int j = from;
            while (j < format.length() && "0123456789.-+ #".indexOf(format.charAt(j)) >= 0) {
                j++;
            }
            if (j >= format.length()) {
                throw new TemplateError("the format ends after %");
            }
            String flags = format.substring(from, j);
            char kind = format.charAt(j);
            i = j;
            if (kind == '%') {
                out.append('%');
                continue;
            }
            if (next >= arguments.size()) {
                throw new TemplateError("a format has more places than its " + arguments.size() + " arguments");
            }
            Object v = arguments.get(next++);
            if (flags.length() > 6) {
                throw new TemplateError("the format %" + flags + kind + " is too long");
            }
            try {
                out.append(
                        switch (kind) {
                            case 's' -> String.format(Locale.ROOT, "%" + flags + "s", str(v));
                            case 'r' -> String.format(Locale.ROOT, "%" + flags + "s", repr(v));
                            case 'd', 'i' -> String.format(Locale.ROOT, "%" + flags + "d", whole(v));
                            case 'f' -> {
                                Number n = number(v);
                                if (n == null) {
                                    throw new TemplateError("%f needs a number, found " + described(v));
                                }
                                yield String.format(Locale.ROOT, "%" + flags + "f", n.doubleValue());
                            }
                            default -> throw new TemplateError("the format %" + flags + kind + " is not known");
                        });
            } catch (java.util.IllegalFormatException e) {
                throw new TemplateError("the format %" + flags + kind + " is not known");
            }
        }
        return out.toString();
    }

    private static long whole(Object v) {
        return v instanceof Double d ? d.longValue() : integer(v, "the argument of %d");
    }

    /** A value of Java's (from JSON, or a caller's) as the language holds it. */
    static Object of(Object v) {
        return switch (v) {
            case null -> null;
            case Boolean b -> b;
            case Double d -> d;
            case Float f -> (double) f;
            case Number n -> n.longValue();
            case CharSequence s -> s.toString();
            case Map<?, ?> m -> {
                Map<Object, Object> out = new LinkedHashMap<>();
                m.forEach((k, e) -> out.put(of(k), of(e)));
                yield out;
            }
            case Iterable<?> l -> {
                List<Object> out = new ArrayList<>();
                l.forEach(e -> out.add(of(e)));
                yield out;
            }
            default ->
                throw new IllegalArgumentException("a template takes numbers, texts, lists and maps, found "
                        + v.getClass().getName());
        };
    }
}
