package dev.gosset.llm.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

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
        Object indent = a.get(1, "indent", null);
        Object separators = a.get(2, "separators", null);
        String item = indent == null ? ", " : ",";
        String key = ": ";
        if (separators instanceof List<?> l && l.size() == 2) {
            item = Python.text(l.get(0), "a separator");
            key = Python.text(l.get(1), "a separator");
        }
        String step = switch (indent) {
            case null -> null;
            case String s -> s;
            default -> " ".repeat((int) Math.clamp(Python.integer(indent, "indent"), 0, 100));
        };
        JsonText json = new JsonText(
                Python.truth(a.get(0, "ensure_ascii", false)),
                step,
                Python.truth(a.get(3, "sort_keys", false)),
                item,
                key);
        json.write(v, 0);
        return json.out.toString();
    }

    private void write(Object v, int depth) {
        if (depth > 200) {
            throw new TemplateError("tojson: a value is nested too deeply");
        }
        Python.requireLength(out.length());
        switch (v) {
            case null -> out.append("null");
            case Boolean b -> out.append(b);
            case Long l -> out.append(l);
            case Double d ->
                out.append(
                        Double.isNaN(d)
                                ? "NaN"
                                : d.isInfinite() ? (d > 0 ? "Infinity" : "-Infinity") : Python.floating(d));
            case String s -> quote(s);
            case List<?> l -> group('[', ']', new ArrayList<>(l), depth);
            case Map<?, ?> m -> {
                Map<String, Object> named = sorted ? new TreeMap<>() : new java.util.LinkedHashMap<>();
                m.forEach((k, e) -> named.put(k instanceof String s ? s : keyText(k), e));
                group('{', '}', new ArrayList<>(named.entrySet()), depth);
            }
            default -> throw new TemplateError("tojson: " + Python.described(v) + " has no JSON form");
        }
    }

    private static String keyText(Object k) {
        return switch (k) {
            case null -> "null";
            case Boolean b -> b.toString();
            default -> Python.str(k);
        };
    }

    private void group(char open, char close, List<Object> items, int depth) {
        out.append(open);
        String separator = "";
        for (Object e : items) {
            out.append(separator);
            separator = itemSeparator;
            newLine(depth + 1);
            if (e instanceof Map.Entry<?, ?> entry && open == '{') {
                quote((String) entry.getKey());
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
            out.append('\n').repeat(indent, depth);
        }
    }

    private void quote(String s) {
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
                        out.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }
}
