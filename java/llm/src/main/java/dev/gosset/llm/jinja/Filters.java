package dev.gosset.llm.jinja;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;

/** The filters of Jinja that chat templates use. */
final class Filters {
    /** Applies itself to a value. */
    @FunctionalInterface
    interface Filter {
        Object apply(Object value, Arguments arguments);
    }

    private static final Map<String, Filter> ALL = new LinkedHashMap<>();

    static {
        put((v, a) -> Text.strip(Python.str(v), a.get(0, "chars", null), true, true), "trim");
        put((v, a) -> Python.length(v), "length", "count");
        put((v, a) -> Python.str(v).toUpperCase(Locale.ROOT), "upper");
        put((v, a) -> Python.str(v).toLowerCase(Locale.ROOT), "lower");
        put((v, a) -> Text.capitalize(Python.str(v)), "capitalize");
        put((v, a) -> Text.title(Python.str(v), false), "title");
        put((v, a) -> Python.str(v), "string", "safe");
        put((v, a) -> Python.items(v), "list");
        put(Filters::orDefault, "default", "d");
        put((v, a) -> edge(v, true), "first");
        put((v, a) -> edge(v, false), "last");
        put(Filters::join, "join");
        put(Filters::toInt, "int");
        put(Filters::toFloat, "float");
        put((v, a) -> Python.compare(v, 0L) < 0 ? Python.negative(v) : v, "abs");
        put(Filters::round, "round");
        put(Filters::replace, "replace");
        put(Filters::reverse, "reverse");
        put(Filters::sort, "sort");
        put(Filters::unique, "unique");
        put(Filters::map, "map");
        put((v, a) -> select(v, a, false, true), "select");
        put((v, a) -> select(v, a, false, false), "reject");
        put((v, a) -> select(v, a, true, true), "selectattr");
        put((v, a) -> select(v, a, true, false), "rejectattr");
        put(JsonText::of, "tojson");
        put((v, a) -> v instanceof Undefined ? new ArrayList<>() : Text.pairs(mapping(v, "items")), "items");
        put(Filters::sortedPairs, "dictsort");
        put((v, a) -> extreme(v, a, 1), "max");
        put((v, a) -> extreme(v, a, -1), "min");
        put(Filters::sum, "sum");
        put((v, a) -> escape(Python.str(v)), "escape", "e");
        put((v, a) -> Python.format(Python.str(v), a.positional()), "format");
        put(Filters::indent, "indent");
        put((v, a) -> (long) Text.split(Python.str(v), null, -1).size(), "wordcount");
    }

    private Filters() {}

    private static void put(Filter filter, String... names) {
        for (String name : names) {
            ALL.put(name, filter);
        }
    }

    static Filter named(String name) {
        Filter filter = ALL.get(name);
        if (filter == null) {
            throw new TemplateError("no filter named '" + name + "', known are " + String.join(", ", ALL.keySet()));
        }
        return filter;
    }

    private static Map<?, ?> mapping(Object v, String filter) {
        if (v instanceof Map<?, ?> m) {
            return m;
        }
        throw new TemplateError("the filter " + filter + " takes a dict, found " + Python.described(v));
    }

    private static Object orDefault(Object v, Arguments a) {
        boolean falseToo = Python.truth(a.get(1, "boolean", false));
        return v instanceof Undefined || falseToo && !Python.truth(v) ? a.get(0, "default_value", "") : v;
    }

    private static Object edge(Object v, boolean first) {
        List<Object> items = Python.items(v);
        if (items.isEmpty()) {
            return new Undefined("the " + (first ? "first" : "last") + " of nothing");
        }
        return first ? items.getFirst() : items.getLast();
    }

    private static Object join(Object v, Arguments a) {
        String attribute = (String) a.get(1, "attribute", null);
        List<String> texts = new ArrayList<>();
        for (Object e : Python.items(v)) {
            texts.add(Python.str(attribute == null ? e : Members.path(e, attribute)));
        }
        return Text.join(Python.str(a.get(0, "d", "")), texts);
    }

    private static Object toInt(Object v, Arguments a) {
        Object absent = a.get(0, "default", 0L);
        try {
            return switch (v) {
                case Boolean b -> b ? 1L : 0L;
                case Long l -> l;
                case Double d -> d.longValue();
                case String s -> {
                    String t = s.strip();
                    yield t.matches("[+-]?\\d+") ? Long.parseLong(t) : (long) Double.parseDouble(t);
                }
                case null, default -> absent;
            };
        } catch (NumberFormatException e) {
            return absent;
        }
    }

    private static Object toFloat(Object v, Arguments a) {
        Object absent = a.get(0, "default", 0.0);
        try {
            return switch (v) {
                case Boolean b -> b ? 1.0 : 0.0;
                case Long l -> (double) l;
                case Double d -> d;
                case String s -> Double.parseDouble(s.strip());
                case null, default -> absent;
            };
        } catch (NumberFormatException e) {
            return absent;
        }
    }

    private static Object round(Object v, Arguments a) {
        int precision = (int) Math.clamp(Python.integer(a.get(0, "precision", 0L), "precision"), -300, 300);
        RoundingMode mode = switch (Python.str(a.get(1, "method", "common"))) {
            case "common" -> RoundingMode.HALF_EVEN;
            case "ceil" -> RoundingMode.CEILING;
            case "floor" -> RoundingMode.FLOOR;
            default -> throw new TemplateError("round knows the methods common, ceil and floor");
        };
        double d = (Double) toFloat(v, new Arguments(List.of(Double.NaN), Map.of()));
        if (!Double.isFinite(d)) {
            throw new TemplateError("round takes a number, found " + Python.described(v));
        }
        return new BigDecimal(d).setScale(precision, mode).doubleValue();
    }

    private static Object replace(Object v, Arguments a) {
        return Text.replace(
                Python.str(v),
                Python.str(a.get(0, "old")),
                Python.str(a.get(1, "new")),
                a.get(2, "count", null) == null ? -1 : Python.integer(a.get(2, "count"), "count"));
    }

    private static Object reverse(Object v, Arguments a) {
        if (v instanceof String s) {
            return Python.slice(s, null, null, -1L);
        }
        List<Object> items = Python.items(v);
        Collections.reverse(items);
        return items;
    }

    /** Texts in lower case unless case counts. */
    private static Object sortKey(Object v, String attribute, boolean caseSensitive) {
        Object key = attribute == null ? v : Members.path(v, attribute);
        return !caseSensitive && key instanceof String s ? s.toLowerCase(Locale.ROOT) : key;
    }

    private static Object sort(Object v, Arguments a) {
        boolean caseSensitive = Python.truth(a.get(1, "case_sensitive", false));
        String attribute = (String) a.get(2, "attribute", null);
        Comparator<Object> order =
                (p, q) -> Python.compare(sortKey(p, attribute, caseSensitive), sortKey(q, attribute, caseSensitive));
        List<Object> items = new ArrayList<>(Python.items(v));
        items.sort(Python.truth(a.get(0, "reverse", false)) ? order.reversed() : order);
        return items;
    }

    private static Object unique(Object v, Arguments a) {
        boolean caseSensitive = Python.truth(a.get(0, "case_sensitive", false));
        String attribute = (String) a.get(1, "attribute", null);
        List<Object> keys = new ArrayList<>();
        List<Object> out = new ArrayList<>();
        for (Object e : Python.items(v)) {
            Object key = sortKey(e, attribute, caseSensitive);
            if (!Python.contains(keys, key)) {
                keys.add(key);
                out.add(e);
            }
        }
        return out;
    }

    private static Object map(Object v, Arguments a) {
        List<Object> out = new ArrayList<>();
        if (a.positional().isEmpty()) {
            String attribute = Python.text(a.get(-1, "attribute", null), "the attribute of map");
            Object absent = a.get(-1, "default", Undefined.NAMELESS);
            for (Object e : Python.items(v)) {
                Object value = Members.path(e, attribute);
                out.add(value instanceof Undefined ? absent : value);
            }
        } else {
            Filter filter = named(Python.text(a.positional().getFirst(), "the filter of map"));
            for (Object e : Python.items(v)) {
                out.add(filter.apply(e, a.after(1)));
            }
        }
        return out;
    }

    private static Object select(Object v, Arguments a, boolean byAttribute, boolean keep) {
        int first = byAttribute ? 1 : 0;
        String attribute = byAttribute ? Python.text(a.get(0, "attribute"), "the attribute") : null;
        Predicate<Object> test = Python::truth;
        if (a.positional().size() > first) {
            Tests.Test named = Tests.named(Python.text(a.positional().get(first), "the name of a test"));
            Arguments rest = a.after(first + 1);
            test = e -> named.holds(e, rest);
        }
        List<Object> out = new ArrayList<>();
        for (Object e : Python.items(v)) {
            if (test.test(byAttribute ? Members.path(e, attribute) : e) == keep) {
                out.add(e);
            }
        }
        return out;
    }

    private static Object sortedPairs(Object v, Arguments a) {
        boolean caseSensitive = Python.truth(a.get(0, "case_sensitive", false));
        int by = Python.str(a.get(1, "by", "key")).equals("value") ? 1 : 0;
        Comparator<Object> order = (p, q) -> Python.compare(
                sortKey(((List<?>) p).get(by), null, caseSensitive),
                sortKey(((List<?>) q).get(by), null, caseSensitive));
        List<Object> pairs = Text.pairs(mapping(v, "dictsort"));
        pairs.sort(Python.truth(a.get(2, "reverse", false)) ? order.reversed() : order);
        return pairs;
    }

    private static Object extreme(Object v, Arguments a, int sign) {
        boolean caseSensitive = Python.truth(a.get(0, "case_sensitive", false));
        String attribute = (String) a.get(1, "attribute", null);
        Object best = new Undefined("the extreme of nothing");
        for (Object e : Python.items(v)) {
            if (best instanceof Undefined
                    || sign
                                    * Python.compare(
                                            sortKey(e, attribute, caseSensitive),
                                            sortKey(best, attribute, caseSensitive))
                            > 0) {
                best = e;
            }
        }
        return best;
    }

    private static Object sum(Object v, Arguments a) {
        String attribute = (String) a.get(0, "attribute", null);
        Object sum = a.get(1, "start", 0L);
        for (Object e : Python.items(v)) {
            sum = Python.arithmetic("+", sum, attribute == null ? e : Members.path(e, attribute));
        }
        return sum;
    }

    private static Object escape(String s) {
        return s.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("'", "&#39;")
                .replace("\"", "&#34;");
    }

    private static Object indent(Object v, Arguments a) {
        Object width = a.get(0, "width", 4L);
        String step =
                width instanceof String s ? s : " ".repeat((int) Math.clamp(Python.integer(width, "width"), 0, 1000));
        boolean first = Python.truth(a.get(1, "first", false));
        boolean blank = Python.truth(a.get(2, "blank", false));
        StringBuilder out = new StringBuilder();
        String[] lines = Python.str(v).split("\n", -1);
        for (int i = 0; i < lines.length; i++) {
            out.append(i > 0 ? "\n" : "");
            Python.requireLength(out.length() + (long) step.length());
            boolean indented = i == 0 ? first : blank || !lines[i].isEmpty();
            out.append(indented ? step : "");
            out.append(lines[i]);
        }
        return out.toString();
    }
}
