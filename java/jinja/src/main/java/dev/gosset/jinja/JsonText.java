package dev.gosset.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** Python's {@code json.dumps}. */
final class JsonText {
    private final boolean ascii;
    private final String indent;
    private final boolean sorted;
    private final String itemSeparator;
    private final String keySeparator;
    private final StringBuilder out = new StringBuilder();

    private JsonText(boolean ascii, String indent, boolean sorted, String itemSeparator, String keySeparator) {
        this.ascii = ascii;
        this.indent = indent;
        this.sorted = sorted;
        this.itemSeparator = itemSeparator;
        this.keySeparator = keySeparator;
    }

    /** With the arguments of the filter {@code tojson}: ensure_ascii, indent, separators, sort_keys. */
    static String of(Object v, Arguments a) {
        Object indent = a.get("indent", null);
        List<Object> separators = a.get("separators", null) == null
                ? List.of(indent == null ? ", " : ",", ": ")
                : Python.list(a.get("separators"));
        if (separators.size() != 2) {
            throw new JinjaException("separators are two, found " + separators.size());
        }
        String own = Python.string(indent);
        String step =
                indent == null || own != null ? own : Strings.fill(" ", Math.max(0, Python.integer(indent, "indent")));
        JsonText json = new JsonText(
                a.is("ensure_ascii", false),
                step,
                a.is("sort_keys", false),
                Python.text(separators.get(0), "a separator"),
                Python.text(separators.get(1), "a separator"));
        json.write(v, 0);
        return json.out.toString();
    }

    private void write(Object v, int depth) {
        if (depth > 200) {
            throw new JinjaException("tojson: a value is nested too deeply");
        }
        Python.requireLength(out.length());
        Budget.spend(Budget.ITEM);
        switch (v) {
            case null -> out.append("null");
            case Boolean b -> out.append(b);
            case Long l -> out.append(l);
            case BigInteger i -> out.append(Numbers.digits(i));
            case Double d -> out.append(floating(d));
            case String s -> quote(s);
            case Markup m -> quote(m.text());
            case List<?> l -> group('[', l, ']', depth);
            case Tuple t -> group('[', t.items(), ']', depth);
            case Map<?, ?> m -> {
                List<Map.Entry<?, ?>> entries = new ArrayList<>(m.entrySet());
                if (sorted) {
                    entries.sort((p, q) -> Python.order(p.getKey(), q.getKey()));
                }
                group('{', entries, '}', depth);
            }
            default -> throw new JinjaException("tojson: " + Python.described(v) + " has no JSON form");
        }
    }

    private static String floating(double d) {
        return Double.isFinite(d) ? Numbers.floating(d) : Double.isNaN(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity";
    }

    private static String keyText(Object k) {
        return switch (k) {
            case null -> "null";
            case Boolean b -> b.toString();
            case Double d -> floating(d);
            case String s -> s;
            case Markup m -> m.text();
            default -> {
                if (!Numbers.isInt(k)) {
                    throw new JinjaException(
                            "tojson: a key must be a str, a number, a bool or None, found " + Python.described(k));
                }
                yield Numbers.digits(k);
            }
        };
    }

    private void group(char open, List<?> items, char close, int depth) {
        out.append(open);
        String separator = "";
        for (Object e : items) {
            out.append(separator);
            separator = itemSeparator;
            newLine(depth + 1);
            if (e instanceof Map.Entry<?, ?> entry && open == '{') {
                quote(keyText(entry.getKey()));
                out.append(keySeparator);
                write(entry.getValue(), depth + 1);
            } else {
                write(e, depth + 1);
            }
        }
        if (!items.isEmpty()) {
            newLine(depth);
        }
        out.append(close);
    }

    private void newLine(int depth) {
        if (indent != null) {
            Python.requireLength(out.length() + (long) depth * indent.length());
            out.append('\n').repeat(indent, depth);
        }
    }

    private void quote(String s) {
        Budget.spend(s.length());
        out.append('"');
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                default -> {
                    if (c < ' ' || ascii && c > '~') {
                        out.append("\\u").append(HexFormat.of().toHexDigits(c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }
}
