package dev.gosset.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/** Python's operators and conversions on the values of a template. */
final class Python {
    private static final int UNORDERED = 2;

    /** The work of a character that may be escaped. */
    private static final int ESCAPED = 8;

    private Python() {}

    // -------------------------------------------------------------------------------------------------- kinds

    static String type(Object v) {
        return switch (v) {
            case null -> "None";
            case Undefined u -> "undefined";
            case Boolean b -> "bool";
            case Long l -> "int";
            case BigInteger i -> "int";
            case Double d -> "float";
            case String s -> "str";
            case List<?> l -> "list";
            case Map<?, ?> m -> "dict";
            case Iterator<?> i -> "generator";
            case Callable c -> "function";
            default -> v.getClass().getSimpleName().toLowerCase(Locale.ROOT);
        };
    }

    static String described(Object v) {
        return v instanceof Undefined u ? u.what() + ", which is undefined" : type(v);
    }

    static boolean truth(Object v) {
        return switch (v) {
            case null -> false;
            case Undefined u -> false;
            case Boolean b -> b;
            case Long l -> l != 0;
            case Double d -> d != 0;
            case Bytes b -> b.bytes().length > 0;
            default -> {
                String s = string(v);
                List<?> l = s == null ? sequence(v) : null;
                yield s != null ? !s.isEmpty() : l != null ? !l.isEmpty() : !(v instanceof Map<?, ?> m) || !m.isEmpty();
            }
        };
    }

    static long integer(Object v, String what) {
        if (Numbers.of(v) instanceof Long l) {
            return l;
        }
        throw new JinjaException(
                what + " must be an int" + (v instanceof BigInteger ? " of 64 bits" : ", found " + described(v)));
    }

    /** The text of a str, be it marked as HTML, or null. */
    static String string(Object v) {
        return v instanceof String s ? s : v instanceof Markup m ? m.text() : null;
    }

    static String text(Object v, String what) {
        String s = string(v);
        if (s == null) {
            throw new JinjaException(what + " must be a str, found " + described(v));
        }
        return s;
    }

    /** The items of a list, tuple, range or view of a dict, or null. */
    static List<?> sequence(Object v) {
        return switch (v) {
            case List<?> l -> l;
            case Tuple t -> t.items();
            case Range r -> r.items();
            case Dict.View view -> view.items();
            case null, default -> null;
        };
    }

    /** What a loop goes through: items, a dict's keys, characters. Each counts as work. */
    static Iterator<Object> iterate(Object v) {
        Iterator<Object> items = items(v);
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return items.hasNext();
            }

            @Override
            public Object next() {
                Budget.spend(Budget.ITEM);
                return items.next();
            }
        };
    }

    @SuppressWarnings("unchecked")
    private static Iterator<Object> items(Object v) {
        String s = string(v);
        if (s != null) {
            return s.codePoints().mapToObj(c -> (Object) Character.toString(c)).iterator();
        }
        List<?> items = sequence(v);
        if (items != null) {
            return ((List<Object>) items).iterator();
        }
        return switch (v) {
            case Undefined u -> List.of().iterator();
            case Map<?, ?> m -> ((Map<Object, Object>) m).keySet().iterator();
            case Iterator<?> i -> (Iterator<Object>) i;
            case Loop l -> l.rounds();
            case Bytes b -> {
                List<Object> codes = new ArrayList<>();
                for (byte e : b.bytes()) {
                    codes.add((long) (e & 0xff));
                }
                yield codes.iterator();
            }
            case null, default -> throw new JinjaException(described(v) + " cannot be iterated");
        };
    }

    /** A new list of what a loop would go through. */
    static List<Object> list(Object v) {
        List<Object> out = new ArrayList<>();
        iterate(v).forEachRemaining(out::add);
        return out;
    }

    /** The length, or -1 where there is none. */
    static long lengthOf(Object v) {
        String s = string(v);
        if (s != null) {
            return s.codePointCount(0, s.length());
        }
        List<?> items = sequence(v);
        return items != null
                ? items.size()
                : switch (v) {
                    case Undefined u -> 0;
                    case Map<?, ?> m -> m.size();
                    case Bytes b -> b.bytes().length;
                    case Loop l -> (Long) l.attribute("length");
                    case null, default -> -1;
                };
    }

    static long length(Object v) {
        long length = lengthOf(v);
        if (length < 0) {
            throw new JinjaException(described(v) + " has no length");
        }
        return length;
    }

    /** Refuses a text or list that is longer than any template needs. */
    static void requireLength(long length) {
        if (length > Budget.LARGEST) {
            throw new JinjaException(
                    "a value of length " + length + " is too long, expected at most " + Budget.LARGEST);
        }
    }

    // -------------------------------------------------------------------------------------------------- comparison

    @SuppressWarnings("ReferenceEquality")
    static boolean equal(Object a, Object b) {
        // Two values that share their parts are compared in a time that grows as 2 to their depth.
        Budget.spend(Budget.ITEM);
        Number x = Numbers.of(a);
        Number y = Numbers.of(b);
        if (x != null && y != null) {
            return Numbers.compare(x, y) == 0;
        }
        String s = string(a);
        if (s != null) {
            String t = string(b);
            if (t == null || s.length() != t.length()) {
                return false;
            }
            Budget.compared(s.length());
            return s.equals(t);
        }
        if (a instanceof Undefined && b instanceof Undefined) {
            return true;
        }
        boolean keys = isSet(a) && isSet(b);
        if (keys) {
            return length(a) == length(b) && sequence(a).stream().allMatch(e -> contains(b, e));
        }
        boolean alike = a instanceof List && b instanceof List
                || a instanceof Tuple && b instanceof Tuple
                || a instanceof Range && b instanceof Range;
        if (alike) {
            List<?> p = sequence(a);
            List<?> q = sequence(b);
            if (p.size() != q.size()) {
                return false;
            }
            for (int i = 0; i < p.size(); i++) {
                if (p.get(i) != q.get(i) && !equal(p.get(i), q.get(i))) {
                    return false;
                }
            }
            return true;
        }
        if (a instanceof Map<?, ?> p && b instanceof Map<?, ?> q) {
            if (p.size() != q.size()) {
                return false;
            }
            for (Map.Entry<?, ?> e : p.entrySet()) {
                Object other = q.get(e.getKey());
                if (!q.containsKey(e.getKey()) || other != e.getValue() && !equal(e.getValue(), other)) {
                    return false;
                }
            }
            return true;
        }
        if (a instanceof Bytes p && b instanceof Bytes q) {
            return Arrays.equals(p.bytes(), q.bytes());
        }
        return a instanceof Iterator || a instanceof Map || a instanceof Dict.View ? a == b : Objects.equals(a, b);
    }

    private static boolean isSet(Object v) {
        return v instanceof Dict.View view && view.kind() != Dict.View.Kind.VALUES;
    }

    /** The sign of a - b, 2 where neither is before the other (not a number). */
    private static int compare(Object a, Object b, int depth) {
        Budget.spend(Budget.ITEM);
        Number x = Numbers.of(a);
        Number y = Numbers.of(b);
        if (x != null && y != null) {
            return Numbers.compare(x, y);
        }
        String s = string(a);
        String t = string(b);
        if (s != null && t != null) {
            return Integer.signum(compareText(s, t));
        }
        if (a instanceof List && b instanceof List || a instanceof Tuple && b instanceof Tuple) {
            List<?> p = sequence(a);
            List<?> q = sequence(b);
            for (int i = 0; i < Math.min(p.size(), q.size()); i++) {
                if (!equal(p.get(i), q.get(i))) {
                    return compare(p.get(i), q.get(i), depth + 1);
                }
            }
            return Integer.compare(p.size(), q.size());
        }
        if (a instanceof Undefined u) {
            throw u.refused();
        }
        throw new JinjaException(described(a) + " and " + described(b) + " have no order");
    }

    /** By code points: Java's own order puts characters beyond U+FFFF before U+E000. */
    private static int compareText(String s, String t) {
        int n = Math.min(s.length(), t.length());
        for (int i = 0; i < n; i++) {
            char c = s.charAt(i);
            char d = t.charAt(i);
            if (c != d) {
                Budget.spend(i);
                boolean pairs = Character.isSurrogate(c) != Character.isSurrogate(d);
                return pairs ? (Character.isSurrogate(c) ? 1 : -1) : c - d;
            }
        }
        Budget.spend(n);
        return s.length() - t.length();
    }

    /** Whether {@code a < b}, {@code <=}, {@code >} or {@code >=}. */
    static boolean ordered(String operator, Object a, Object b) {
        int sign = compare(a, b, 0);
        return switch (operator) {
            case "<" -> sign == -1;
            case "<=" -> sign == -1 || sign == 0;
            case ">" -> sign == 1;
            default -> sign == 1 || sign == 0;
        };
    }

    /** For sorting: what has no order counts as equal. */
    static int order(Object a, Object b) {
        int sign = compare(a, b, 0);
        return sign == UNORDERED ? 0 : sign;
    }

    @SuppressWarnings("ReferenceEquality")
    static boolean contains(Object container, Object v) {
        String s = string(container);
        if (s != null) {
            return Strings.find(s, text(v, "what is looked for in a str"), 0) >= 0;
        }
        if (container instanceof Map<?, ?> m) {
            return m.containsKey(v);
        }
        if (container instanceof Range && !(v instanceof Double) && Numbers.of(v) == null) {
            return false;
        }
        for (Iterator<Object> i = iterate(container); i.hasNext(); ) {
            Object e = i.next();
            if (e == v || equal(e, v)) {
                return true;
            }
        }
        return false;
    }

    // -------------------------------------------------------------------------------------------------- arithmetic

    static Object arithmetic(String operator, Object a, Object b) {
        if (a instanceof Undefined u) {
            throw u.refused();
        }
        Number x = Numbers.of(a);
        Number y = Numbers.of(b);
        if (x != null && y != null) {
            return Numbers.compute(operator, x, y);
        }
        String s = string(a);
        String t = string(b);
        if (operator.equals("+") && s != null && t != null) {
            return a instanceof Markup || b instanceof Markup
                    ? new Markup(concatenation(Markup.of(a).text(), Markup.of(b).text()))
                    : concatenation(s, t);
        }
        boolean alike = a instanceof List && b instanceof List || a instanceof Tuple && b instanceof Tuple;
        if (operator.equals("+") && alike) {
            requireLength(length(a) + length(b));
            List<Object> sum = list(a);
            sum.addAll(sequence(b));
            return a instanceof Tuple ? new Tuple(sum) : sum;
        }
        if (operator.equals("*")
                && (y != null
                        ? isRepeatable(a) && !(y instanceof Double)
                        : x != null && !(x instanceof Double) && isRepeatable(b))) {
            return y != null ? repeat(a, y) : repeat(b, x);
        }
        if (operator.equals("%") && s != null) {
            String text = PercentFormat.of(s, b, a instanceof Markup);
            return a instanceof Markup ? new Markup(text) : text;
        }
        if (b instanceof Undefined u) {
            throw u.refused();
        }
        throw new JinjaException("'" + operator + "' is not defined for " + described(a) + " and " + described(b));
    }

    private static boolean isRepeatable(Object v) {
        return string(v) != null || v instanceof List || v instanceof Tuple;
    }

    static String concatenation(String a, String b) {
        requireLength(a.length() + (long) b.length());
        return a + b;
    }

    private static Object repeat(Object v, Number n) {
        String s = string(v);
        List<?> items = sequence(v);
        int length = s != null ? s.length() : items.size();
        long times = n instanceof Long l ? length == 0 ? 0 : Math.max(0, l) : Long.MAX_VALUE;
        if (times > Budget.LARGEST || times * length > Budget.LARGEST) {
            throw new JinjaException("repeating " + type(v) + " " + n + " times is too long");
        }
        if (s != null) {
            return v instanceof Markup ? new Markup(s.repeat((int) times)) : s.repeat((int) times);
        }
        List<Object> out = new ArrayList<>((int) times * length);
        for (long i = 0; i < times; i++) {
            out.addAll(items);
        }
        return v instanceof Tuple ? new Tuple(out) : out;
    }

    /** {@code +v} or {@code -v}. */
    static Object signed(String sign, Object v) {
        Number n = Numbers.of(v);
        if (v instanceof Undefined u) {
            throw u.refused();
        }
        if (n == null) {
            throw new JinjaException("'" + sign + "' is not defined for " + described(v));
        }
        return sign.equals("-") ? Numbers.negative(n) : n;
    }

    // -------------------------------------------------------------------------------------------------- elements

    /** {@code v[key]}; undefined where there is none. */
    static Object item(Object v, Object key) {
        if (v instanceof Undefined u) {
            throw u.refused();
        }
        Object absent = new Undefined("the element " + repr(key) + " of " + type(v));
        if (v instanceof Map<?, ?> m) {
            boolean hashable = !(key instanceof List) && !(key instanceof Map);
            return hashable && m.containsKey(key) ? m.get(key) : absent;
        }
        String s = string(v);
        List<?> items = v instanceof Dict.View ? null : sequence(v);
        if ((s != null || items != null || v instanceof Bytes) && Numbers.of(key) instanceof Long index) {
            long n = length(v);
            long i = index < 0 ? index + n : index;
            if (i >= 0 && i < n) {
                if (v instanceof Bytes b) {
                    return (long) (b.bytes()[(int) i] & 0xff);
                }
                return s != null ? marked(v, character(s, (int) i)) : items.get((int) i);
            }
        }
        return absent;
    }

    private static String character(String s, int i) {
        Budget.spend(s.length());
        int at = s.offsetByCodePoints(0, i);
        return Character.toString(s.codePointAt(at));
    }

    /** The text, marked as HTML where {@code like} is. */
    static Object marked(Object like, String text) {
        return like instanceof Markup ? new Markup(text) : text;
    }

    /** {@code v[from:to:step]}, None for what is left out. */
    static Object slice(Object v, Object from, Object to, Object step) {
        if (v instanceof Undefined u) {
            throw u.refused();
        }
        String s = string(v);
        List<?> items = v instanceof Dict.View ? null : sequence(v);
        if (s == null && items == null) {
            throw new JinjaException(described(v) + " cannot be sliced");
        }
        Budget.spend(s == null ? 0 : s.length());
        int[] characters = s == null ? null : s.codePoints().toArray();
        long n = s == null ? items.size() : characters.length;
        long by = step == null ? 1 : sliceBound(step);
        if (by == 0) {
            throw new JinjaException("the step of a slice must not be 0");
        }
        long first = bound(from, n, by > 0 ? 0 : n - 1, by);
        long end = bound(to, n, by > 0 ? n : -1, by);
        if (v instanceof Range r) {
            long next = r.start() + end * r.step();
            return new Range(r.start() + first * r.step(), next, r.step() * by);
        }
        StringBuilder text = new StringBuilder();
        List<Object> out = new ArrayList<>();
        for (long i = first; by > 0 ? i < end : i > end; i += by) {
            if (s == null) {
                out.add(items.get((int) i));
            } else {
                text.appendCodePoint(characters[(int) i]);
            }
        }
        return s != null ? marked(v, text.toString()) : v instanceof Tuple ? new Tuple(out) : out;
    }

    private static long sliceBound(Object v) {
        if (v instanceof BigInteger i) {
            return i.signum() * (1L << 40);
        }
        return Math.clamp(integer(v, "a bound of a slice"), -1L << 40, 1L << 40);
    }

    private static long bound(Object v, long n, long absent, long step) {
        if (v == null) {
            return absent;
        }
        long i = sliceBound(v);
        i = i < 0 ? Math.max(i + n, -1) : i;
        return step > 0 ? Math.clamp(i, 0, n) : Math.clamp(i, -1, n - 1);
    }

    // -------------------------------------------------------------------------------------------------- text

    /** {@code str(v)}; undefined is empty. */
    static String str(Object v) {
        String s = string(v);
        return s != null ? s : v instanceof Undefined ? "" : repr(v);
    }

    /** {@code repr(v)}. */
    static String repr(Object v) {
        StringBuilder out = new StringBuilder();
        repr(v, out, 0);
        return out.toString();
    }

    private static void repr(Object v, StringBuilder out, int depth) {
        if (depth > 500) {
            throw new JinjaException("a value is nested too deeply");
        }
        requireLength(out.length());
        Budget.spend(Budget.ITEM);
        switch (v) {
            case null -> out.append("None");
            case Undefined u -> out.append("Undefined");
            case Boolean b -> out.append(b ? "True" : "False");
            case Double d -> out.append(Numbers.floating(d));
            case BigInteger i -> out.append(Numbers.digits(i));
            case String s -> quote(s, out);
            case Markup m -> {
                quote(m.text(), out.append("Markup("));
                out.append(')');
            }
            case List<?> l -> group("[", l, "]", out, depth);
            case Tuple t -> group("(", t.items(), t.items().size() == 1 ? ",)" : ")", out, depth);
            case Dict.View view ->
                group("dict_" + view.kind().name().toLowerCase(Locale.ROOT) + "([", view.items(), "])", out, depth);
            case Map<?, ?> m -> map(m, out, depth);
            case Namespace n -> {
                map(n.attributes(), out.append("<Namespace "), depth);
                out.append('>');
            }
            case Iterator<?> i -> out.append("<generator object>");
            default -> {
                String own = v.toString();
                out.append(own.contains("$$Lambda") ? "<function>" : own);
            }
        }
    }

    private static void group(String open, List<?> items, String close, StringBuilder out, int depth) {
        out.append(open);
        String separator = "";
        for (Object e : items) {
            out.append(separator);
            repr(e, out, depth + 1);
            separator = ", ";
        }
        out.append(close);
    }

    private static void map(Map<?, ?> m, StringBuilder out, int depth) {
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

    private static void quote(String s, StringBuilder out) {
        Budget.spend((long) s.length() * ESCAPED);
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
                    } else if (Strings.isPrintable(c)) {
                        out.appendCodePoint(c);
                    } else {
                        out.append(escaped(c));
                    }
                }
            }
        });
        out.append(quote);
    }

    /** A character as Python's escape of it. */
    static String escaped(int c) {
        HexFormat hex = HexFormat.of();
        return c < 0x100
                ? "\\x" + hex.toHexDigits((byte) c)
                : c < 0x10000 ? "\\u" + hex.toHexDigits((char) c) : "\\U" + hex.toHexDigits(c);
    }

    /** {@code ascii(v)}. */
    static String ascii(Object v) {
        StringBuilder out = new StringBuilder();
        repr(v).codePoints().forEach(c -> out.append(c < 0x80 ? Character.toString(c) : escaped(c)));
        return out.toString();
    }

    /** A value of Java's (from JSON, or a caller's) as the language holds it. */
    static Object of(Object v) {
        return switch (v) {
            case null -> null;
            case Boolean b -> b;
            case Double d -> d;
            case Float f -> (double) f;
            case BigInteger i -> Numbers.normal(i);
            case BigDecimal d -> d.doubleValue();
            case Number n -> n.longValue();
            case CharSequence s -> s.toString();
            case Character c -> c.toString();
            case Map<?, ?> m -> {
                Dict out = new Dict();
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
