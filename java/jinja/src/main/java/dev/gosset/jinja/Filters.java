package dev.gosset.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Function;
import java.util.function.Predicate;

/** The filters of Jinja. */
final class Filters {
    /**
     * A filter.
     *
     * @param parameters as {@link Arguments#bound} takes them
     */
    record Filter(String name, String parameters, Body body) {
        Object apply(Object value, Arguments arguments) {
            Budget.made(value);
            return Budget.made(body.apply(value, arguments.bound("the filter " + name, parameters)));
        }
    }

    /** What a filter computes. */
    @FunctionalInterface
    private interface Body {
        Object apply(Object value, Arguments arguments);
    }

    private static final Map<String, Filter> ALL = new LinkedHashMap<>();

    static {
        put("abs", "", (v, a) -> absolute(v));
        put("attr", "name", (v, a) -> Members.attributeOnly(v, Python.text(a.get("name"), "the attribute")));
        put("batch", "linecount fill_with", Filters::batch);
        put("capitalize", "", (v, a) -> Python.marked(v, Strings.capitalize(Python.str(v))));
        put("center", "width", (v, a) -> method(soft(v), "center", a.get("width", 80L)));
        put("default,d", "default_value boolean", Filters::orDefault);
        put("dictsort", "case_sensitive by reverse", Filters::sortedPairs);
        put("escape,e", "", (v, a) -> Markup.of(v));
        put("filesizeformat", "binary", (v, a) -> Prose.fileSize(toFloat(v), a.is("binary", false)));
        put("first", "", (v, a) -> next(Python.iterate(v), "the first"));
        put("float", "default", (v, a) -> {
            Object d = floating(v);
            return d == null ? a.get("default", 0.0) : d;
        });
        put("forceescape", "", (v, a) -> new Markup(Markup.escaped(Python.str(v))));
        put("format", "*", Filters::format);
        put("groupby", "attribute default case_sensitive", Filters::groupBy);
        put("indent", "width first blank", Filters::indent);
        put("int", "default base", Filters::toInt);
        put("items", "", (v, a) -> v instanceof Undefined ? List.of().iterator() : lazily(() -> mapping(v, "items")));
        put("join", "d attribute", Filters::join);
        put("last", "", Filters::last);
        put("length,count", "", (v, a) -> Python.length(v));
        put("list", "", (v, a) -> Python.list(v));
        put("lower", "", (v, a) -> Python.marked(v, Python.str(v).toLowerCase(Locale.ROOT)));
        put("map", "*", Filters::map);
        put("max", "case_sensitive attribute", (v, a) -> extreme(v, a, 1));
        put("min", "case_sensitive attribute", (v, a) -> extreme(v, a, -1));
        put("pprint", "", (v, a) -> Prose.pretty(v));
        put("random", "", (v, a) -> {
            long n = Python.length(v);
            return n == 0
                    ? new Undefined("a random element of nothing")
                    : Python.item(v, ThreadLocalRandom.current().nextLong(n));
        });
        put("reject", "*", (v, a) -> select(v, a, false, false));
        put("rejectattr", "*", (v, a) -> select(v, a, true, false));
        put(
                "replace",
                "old new count",
                (v, a) -> Strings.replace(
                        Python.str(v),
                        Python.str(a.get("old")),
                        Python.str(a.get("new")),
                        a.get("count", null) == null ? -1 : Strings.count(a, "count")));
        put("reverse", "", Filters::reverse);
        put("round", "precision method", Filters::round);
        put("safe", "", (v, a) -> v instanceof Markup ? v : new Markup(Python.str(v)));
        put("select", "*", (v, a) -> select(v, a, false, true));
        put("selectattr", "*", (v, a) -> select(v, a, true, true));
        put("slice", "slices fill_with", Filters::slice);
        put("sort", "reverse case_sensitive attribute", Filters::sort);
        put("string", "", (v, a) -> soft(v));
        put("striptags", "", (v, a) -> Prose.withoutTags(Python.str(v)));
        put("sum", "attribute start", Filters::sum);
        put("title", "", (v, a) -> Prose.title(Python.str(v)));
        put("tojson", "ensure_ascii indent separators sort_keys", JsonText::of);
        put(
                "trim",
                "chars",
                (v, a) -> Python.marked(v, Strings.strip(Python.str(v), a.get("chars", null), true, true)));
        put("truncate", "length killwords end leeway", Prose::truncated);
        put("unique", "case_sensitive attribute", Filters::unique);
        put("upper", "", (v, a) -> Python.marked(v, Python.str(v).toUpperCase(Locale.ROOT)));
        put("urlencode", "", (v, a) -> Prose.urlEncoded(v));
        put("wordcount", "", (v, a) -> Prose.wordCount(Python.str(v)));
        put(
                "wordwrap",
                "width break_long_words wrapstring break_on_hyphens",
                (v, a) -> Prose.wrapped(Python.text(v, "what is wrapped"), a));
        put("xmlattr", "autospace", (v, a) -> Prose.attributes(mapping(v), a.is("autospace", true)));
    }

    private Filters() {}

    private static void put(String names, String parameters, Body body) {
        for (String name : names.split(",")) {
            ALL.put(name, new Filter(name, parameters, body));
        }
    }

    static boolean has(String name) {
        return ALL.containsKey(name);
    }

    static Filter named(String name) {
        Filter filter = ALL.get(name);
        if (filter == null) {
            throw new JinjaException("no filter named '" + name + "', known are " + String.join(", ", ALL.keySet()));
        }
        return filter;
    }

    // -------------------------------------------------------------------------------------------------- kinds

    private static Object soft(Object v) {
        return v instanceof Markup ? v : Python.str(v);
    }

    private static Object method(Object v, String name, Object argument) {
        return ((Callable) Members.attribute(v, name)).call(new Arguments(Arrays.asList(argument), Map.of()));
    }

    private static Map<?, ?> mapping(Object v) {
        if (v instanceof Map<?, ?> m) {
            return m;
        }
        throw new JinjaException("expected a dict, found " + Python.described(v));
    }

    private static Iterator<Object> mapping(Object v, String filter) {
        if (v instanceof Map<?, ?> m) {
            return new Dict.View(m, Dict.View.Kind.ITEMS).items().iterator();
        }
        throw new JinjaException("the filter " + filter + " takes a dict, found " + Python.described(v));
    }

    /** An iterator that is made when it is first asked: a generator of Python's does nothing before. */
    private static Iterator<Object> lazily(java.util.function.Supplier<Iterator<Object>> source) {
        return new Iterator<>() {
            private Iterator<Object> items;

            private Iterator<Object> items() {
                if (items == null) {
                    items = source.get();
                }
                return items;
            }

            @Override
            public boolean hasNext() {
                return items().hasNext();
            }

            @Override
            public Object next() {
                return items().next();
            }
        };
    }

    private static Iterator<Object> mapped(Iterator<Object> items, Function<Object, Object> f) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return items.hasNext();
            }

            @Override
            public Object next() {
                return f.apply(items.next());
            }
        };
    }

    /** Those items that are kept, found when they are asked for. */
    static Iterator<Object> filtered(Iterator<Object> items, Predicate<Object> keep) {
        return new Iterator<>() {
            private boolean ready;
            private Object next;

            @Override
            public boolean hasNext() {
                while (!ready && items.hasNext()) {
                    next = items.next();
                    ready = keep.test(next);
                }
                return ready;
            }

            @Override
            public Object next() {
                if (!hasNext()) {
                    throw new NoSuchElementException();
                }
                ready = false;
                return next;
            }
        };
    }

    private static Object orDefault(Object v, Arguments a) {
        return v instanceof Undefined || a.is("boolean", false) && !Python.truth(v) ? a.get("default_value", "") : v;
    }

    // -------------------------------------------------------------------------------------------------- numbers

    private static Object absolute(Object v) {
        Number n = Numbers.of(v);
        if (n == null) {
            throw new JinjaException("abs takes a number, found " + Python.described(v));
        }
        return n instanceof Double d
                ? (Object) Math.abs(d)
                : Numbers.normal(Numbers.big(n).abs());
    }

    private static Object toInt(Object v, Arguments a) {
        Object absent = a.get("default", 0L);
        String s = Python.string(v);
        if (s != null) {
            // Digits are read in a time that grows as the square of their number, up to a few thousand.
            Budget.spend((long) s.length() * Math.min(s.length(), 4000) / 16);
            Object i = Numbers.parseInt(s, Math.clamp(Python.integer(a.get("base", 10L), "base"), 0, 36));
            Double d = i == null ? Numbers.parseFloat(s) : null;
            return i != null ? i : d == null || !Double.isFinite(d) ? absent : Numbers.toInt(d);
        }
        if (v instanceof Undefined u) {
            throw u.refused();
        }
        if (v instanceof Double d && Double.isNaN(d)) {
            return absent;
        }
        Number n = Numbers.of(v);
        return n == null ? absent : n instanceof Double d ? Numbers.toInt(d) : n;
    }

    private static Object floating(Object v) {
        if (v instanceof Undefined u) {
            throw u.refused();
        }
        String s = Python.string(v);
        Number n = Numbers.of(v);
        return s != null ? Numbers.parseFloat(s) : n == null ? null : (Object) Numbers.toDouble(n);
    }

    private static double toFloat(Object v) {
        if (floating(v) instanceof Double d) {
            return d;
        }
        throw new JinjaException("expected a number, found " + Python.described(v));
    }

    private static Object round(Object v, Arguments a) {
        int precision = Math.clamp(Python.integer(a.get("precision", 0L), "precision"), -5000, 5000);
        String method = Python.str(a.get("method", "common"));
        Number n = Numbers.of(v);
        if (!Set.of("common", "ceil", "floor").contains(method) || n == null) {
            throw new JinjaException("round takes a number and a method (common, ceil, floor), found "
                    + Python.described(v) + " and " + method);
        }
        if (method.equals("common")) {
            return Numbers.round(n, precision);
        }
        Number power = (Number) Numbers.compute("**", 10L, (long) precision);
        Object scaled = Numbers.compute("*", n, power);
        Object whole = scaled instanceof Double d
                ? Numbers.toInt(method.equals("ceil") ? Math.ceil(d) : Math.floor(d))
                : scaled;
        return Numbers.compute("/", (Number) whole, power);
    }

    private static Object sum(Object v, Arguments a) {
        Object sum = a.get("start", 0L);
        if (Python.string(sum) != null) {
            throw new JinjaException("sum adds no str, use join");
        }
        Iterator<Object> items = Python.iterate(v);
        while (items.hasNext()) {
            sum = Python.arithmetic("+", sum, Members.path(items.next(), a.get("attribute", null), null));
        }
        return sum;
    }

    // -------------------------------------------------------------------------------------------------- text

    private static Object format(Object v, Arguments a) {
        if (!a.positional().isEmpty() && !a.named().isEmpty()) {
            throw new JinjaException("format takes arguments by position or by name, not both");
        }
        Object arguments = a.named().isEmpty() ? new Tuple(a.positional()) : new Dict(a.named());
        return Python.arithmetic("%", soft(v), arguments);
    }

    private static Object join(Object v, Arguments a) {
        List<Object> texts = new ArrayList<>();
        Python.iterate(v).forEachRemaining(e -> texts.add(Python.str(Members.path(e, a.get("attribute", null), null))));
        return Strings.join(Python.str(a.get("d", "")), texts);
    }

    private static Object indent(Object v, Arguments a) {
        Object width = a.get("width", 4L);
        String own = Python.string(width);
        String step = own != null ? own : Strings.fill(" ", Math.max(0, Python.integer(width, "width")));
        boolean blank = a.is("blank", false);
        StringBuilder out = new StringBuilder(a.is("first", false) ? step : "");
        String newline = "";
        for (Object line : Strings.lines(Python.text(v, "what is indented") + "\n", false)) {
            boolean indented = !newline.isEmpty() && (blank || !line.equals(""));
            Python.requireLength(out.length() + (long) step.length());
            out.append(newline).append(indented ? step : "").append(line);
            newline = "\n";
        }
        return Python.marked(v, out.toString());
    }

    // -------------------------------------------------------------------------------------------------- sequences

    private static Object next(Iterator<Object> items, String what) {
        return items.hasNext() ? items.next() : new Undefined(what + " of nothing");
    }

    private static Object last(Object v, Arguments a) {
        return next(reversed(v), "the last");
    }

    private static Iterator<Object> reversed(Object v) {
        if (v instanceof Iterator) {
            throw new JinjaException("a generator cannot be read backwards");
        }
        return Python.list(v).reversed().iterator();
    }

    private static Object reverse(Object v, Arguments a) {
        return Python.string(v) != null
                ? Python.marked(v, (String) Python.slice(Python.string(v), null, null, -1L))
                : v instanceof Iterator ? Python.list(v).reversed() : reversed(v);
    }

    /** Texts in lower case unless case counts. */
    private static Object folded(Object key, boolean caseSensitive) {
        String s = caseSensitive ? null : Python.string(key);
        return s == null ? key : Budget.made(s.toLowerCase(Locale.ROOT));
    }

    private static Object key(Object v, Arguments a) {
        return folded(Members.path(v, a.get("attribute", null), null), a.is("case_sensitive", false));
    }

    /** Sorts as Python does: each key is computed once, equal keys keep their order also in reverse. */
    private static List<Object> sorted(List<Object> items, Function<Object, Object> key, boolean reverse) {
        record Keyed(Object key, Object item) {}
        Comparator<Keyed> order = (p, q) -> Python.order(p.key(), q.key());
        List<Keyed> keyed = new ArrayList<>();
        items.forEach(e -> keyed.add(new Keyed(key.apply(e), e)));
        try {
            keyed.sort(reverse ? order.reversed() : order);
        } catch (IllegalArgumentException e) {
            throw new JinjaException("the values have no order");
        }
        List<Object> out = new ArrayList<>();
        keyed.forEach(k -> out.add(k.item()));
        return out;
    }

    private static Object sort(Object v, Arguments a) {
        Object attribute = a.get("attribute", null);
        boolean caseSensitive = a.is("case_sensitive", false);
        String paths = Python.string(attribute);
        Function<Object, Object> key = e -> {
            if (paths == null) {
                return folded(Members.path(e, attribute, null), caseSensitive);
            }
            List<Object> keys = new ArrayList<>();
            for (String path : paths.split(",", -1)) {
                keys.add(folded(Members.path(e, path, null), caseSensitive));
            }
            return keys;
        };
        return sorted(Python.list(v), key, isReversed(a));
    }

    private static Object sortedPairs(Object v, Arguments a) {
        int by = switch (Python.str(a.get("by", "key"))) {
            case "key" -> 0;
            case "value" -> 1;
            default -> throw new JinjaException("dictsort sorts by key or by value");
        };
        if (v instanceof Undefined u) {
            throw u.refused();
        }
        List<Object> pairs = new Dict.View(mapping(v), Dict.View.Kind.ITEMS).items();
        return sorted(pairs, p -> folded(((Tuple) p).items().get(by), a.is("case_sensitive", false)), isReversed(a));
    }

    private static boolean isReversed(Arguments a) {
        return Python.integer(a.get("reverse", false), "reverse") != 0;
    }

    private static Object groupBy(Object v, Arguments a) {
        Object attribute = a.get("attribute");
        Object absent = a.get("default", null);
        Function<Object, Object> key = e -> folded(Members.path(e, attribute, absent), a.is("case_sensitive", false));
        List<Object> groups = new ArrayList<>();
        Object last = null;
        List<Object> group = null;
        for (Object e : sorted(Python.list(v), key, false)) {
            Object k = key.apply(e);
            if (group == null || !Python.equal(k, last)) {
                group = new ArrayList<>();
                // The group is named by its first element, whose case is kept.
                groups.add(new Tuple(
                        Arrays.asList(Members.path(e, attribute, absent), group), List.of("grouper", "list")));
                last = k;
            }
            group.add(e);
        }
        return groups;
    }

    private static Object unique(Object v, Arguments a) {
        Set<Object> keys = new HashSet<>();
        return filtered(lazily(() -> Python.iterate(v)), e -> keys.add(Dict.hashed(key(e, a))));
    }

    private static Object extreme(Object v, Arguments a, int sign) {
        Iterator<Object> items = Python.iterate(v);
        if (!items.hasNext()) {
            return new Undefined("the extreme of nothing");
        }
        Object best = items.next();
        while (items.hasNext()) {
            Object e = items.next();
            if (Python.ordered(sign > 0 ? ">" : "<", key(e, a), key(best, a))) {
                best = e;
            }
        }
        return best;
    }

    private static Object batch(Object v, Arguments a) {
        a.get("linecount");
        Object fill = a.get("fill_with", null);
        return lazily(() -> {
            long count = Python.integer(a.get("linecount"), "linecount");
            List<Object> batches = new ArrayList<>();
            List<Object> batch = new ArrayList<>();
            Iterator<Object> items = Python.iterate(v);
            while (items.hasNext()) {
                if (batch.size() == count) {
                    batches.add(batch);
                    batch = new ArrayList<>();
                }
                batch.add(items.next());
            }
            if (!batch.isEmpty()) {
                if (fill != null) {
                    Python.requireLength(count);
                    Budget.spend(count);
                    while (batch.size() < count) {
                        batch.add(fill);
                    }
                }
                batches.add(batch);
            }
            return batches.iterator();
        });
    }

    private static Object slice(Object v, Arguments a) {
        a.get("slices");
        Object fill = a.get("fill_with", null);
        return lazily(() -> {
            long slices = Python.integer(a.get("slices"), "slices");
            List<Object> items = Python.list(v);
            if (slices == 0) {
                throw new JinjaException("slice makes at least one slice");
            }
            Python.requireLength(slices);
            Budget.spend(slices * Budget.ITEM);
            long each = Math.floorDiv(items.size(), slices);
            long longer = Math.floorMod(items.size(), slices);
            List<Object> out = new ArrayList<>();
            int at = 0;
            for (long i = 0; i < slices; i++) {
                int end = (int) (at + each + (i < longer ? 1 : 0));
                List<Object> slice = new ArrayList<>(items.subList(at, end));
                if (fill != null && i >= longer) {
                    slice.add(fill);
                }
                out.add(slice);
                at = end;
            }
            return out.iterator();
        });
    }

    private static Object map(Object v, Arguments a) {
        return lazily(() -> {
            if (!Python.truth(v)) {
                return List.of().iterator();
            }
            if (a.positional().isEmpty() && a.named().containsKey("attribute")) {
                Arguments named = a.bound("map", "attribute default");
                return mapped(Python.iterate(v), e -> Members.path(e, a.get("attribute"), named.get("default", null)));
            }
            if (a.positional().isEmpty()) {
                throw new JinjaException("map takes the name of a filter, or attribute=");
            }
            Filter filter = named(Python.text(a.positional().getFirst(), "the filter of map"));
            return mapped(Python.iterate(v), e -> filter.apply(e, a.after(1)));
        });
    }

    private static Object select(Object v, Arguments a, boolean byAttribute, boolean keep) {
        return lazily(() -> {
            if (!Python.truth(v)) {
                return List.of().iterator();
            }
            int first = byAttribute ? 1 : 0;
            if (a.positional().size() < first) {
                throw new JinjaException("the name of an attribute is missing");
            }
            Object attribute = byAttribute ? a.positional().getFirst() : null;
            Predicate<Object> test = Python::truth;
            if (a.positional().size() > first) {
                Tests.Test named = Tests.named(Python.text(a.positional().get(first), "the name of a test"));
                Arguments rest = a.after(first + 1);
                test = e -> named.holds(e, rest);
            }
            Predicate<Object> holds = test;
            return filtered(Python.iterate(v), e -> holds.test(Members.path(e, attribute, null)) == keep);
        });
    }
}
