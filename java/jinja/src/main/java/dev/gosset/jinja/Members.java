package dev.gosset.jinja;

import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What {@code a.b} and {@code a['b']} give, within Jinja's immutable sandbox. */
final class Members {
    /** Stands for an attribute whose value is None: null means that there is no attribute. */
    private static final Object NONE = new Object();

    /** What would change a list or a dict: there, but nothing that can be called. */
    private static final Set<String> CHANGE_LIST =
            Set.of("append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove");

    private static final Set<String> CHANGE_DICT = Set.of("clear", "pop", "popitem", "setdefault", "update");

    private Members() {}

    /** {@code v.name}: a method or attribute, else the element of that name. */
    static Object attribute(Object v, String name) {
        Object own = own(v, name);
        return own != null
                ? value(own)
                : v instanceof Map<?, ?> m && m.containsKey(name) ? m.get(name) : absent(v, name);
    }

    /** {@code v[key]}: the element, else for a text as key the method or attribute of that name. */
    static Object subscript(Object v, Object key) {
        boolean there =
                v instanceof Map<?, ?> m && !(key instanceof List) && !(key instanceof Map) && m.containsKey(key);
        Object element = Python.item(v, key);
        String name = Python.string(key);
        if (there || !(element instanceof Undefined) || name == null) {
            return element;
        }
        Object own = own(v, name);
        return own == null ? element : value(own);
    }

    /** A method or attribute and nothing else. */
    static Object attributeOnly(Object v, String name) {
        Object own = own(v, name);
        return own == null ? absent(v, name) : value(own);
    }

    private static Object absent(Object v, String name) {
        return new Undefined("'" + name + "' of " + Python.type(v));
    }

    /** An attribute's value, to be given where null means that there is none. */
    static Object found(Object v) {
        return v == null ? NONE : v;
    }

    private static Object value(Object own) {
        return own == NONE ? null : own;
    }

    /** A method or attribute, or null. */
    private static Object own(Object v, String name) {
        return switch (v) {
            case Undefined u ->
                throw new JinjaException(u.what() + " is undefined, it has no attribute '" + name + "'");
            case String s -> Strings.method(s, name);
            case Markup m -> markup(m, name);
            case Map<?, ?> m -> CHANGE_DICT.contains(name) ? forbidden(v, name) : method(m, name);
            case List<?> l ->
                CHANGE_LIST.contains(name)
                        ? forbidden(v, name)
                        : name.equals("copy") ? of("", a -> new ArrayList<>(l)) : search(l, name);
            case Tuple t ->
                t.names().contains(name) ? found(t.items().get(t.names().indexOf(name))) : search(t.items(), name);
            case Range r ->
                switch (name) {
                    case "start" -> r.start();
                    case "stop" -> r.stop();
                    case "step" -> r.step();
                    default -> search(r.items(), name);
                };
            case Namespace n ->
                n.attributes().containsKey(name) ? found(n.attributes().get(name)) : null;
            case Loop l -> l.attribute(name);
            case Macro m -> m.attribute(name);
            case Globals.Cycler c -> c.attribute(name);
            case Globals.Joiner j -> j.attribute(name);
            case Blocks b -> b.attribute(name);
            case Bytes b ->
                switch (name) {
                    case "decode" -> of("encoding errors", a -> new String(b.bytes(), charset(a)));
                    case "hex" -> of("", a -> java.util.HexFormat.of().formatHex(b.bytes()));
                    default -> null;
                };
            case Double d -> number(d, name);
            case null, default -> Numbers.of(v) == null ? null : number(Numbers.of(v), name);
        };
    }

    private static Object forbidden(Object v, String name) {
        return new Undefined("'" + name + "' of " + Python.type(v) + " would change it and");
    }

    static Charset charset(Arguments a) {
        String name = Python.text(a.get("encoding", "utf-8"), "an encoding");
        try {
            return Charset.forName(name);
        } catch (IllegalArgumentException e) {
            if (name.replace("_", "-").equalsIgnoreCase("utf-8")) {
                return StandardCharsets.UTF_8;
            }
            throw new JinjaException("the encoding " + name + " is not known");
        }
    }

    private static Callable of(String parameters, Callable body) {
        return Callable.of("a method", parameters, body);
    }

    private static Object method(Map<?, ?> m, String name) {
        return switch (name) {
            case "items" -> of("", a -> new Dict.View(m, Dict.View.Kind.ITEMS));
            case "keys" -> of("", a -> new Dict.View(m, Dict.View.Kind.KEYS));
            case "values" -> of("", a -> new Dict.View(m, Dict.View.Kind.VALUES));
            case "copy" -> of("", a -> new Dict(m));
            case "get" -> of("0 1", a -> m.containsKey(a.get("0")) ? m.get(a.get("0")) : a.get("1", null));
            case "fromkeys" ->
                of("0 1", a -> {
                    Dict dict = new Dict();
                    Python.iterate(a.get("0")).forEachRemaining(k -> dict.put(k, a.get("1", null)));
                    return dict;
                });
            default -> null;
        };
    }

    private static Object search(List<?> l, String name) {
        return switch (name) {
            case "count" ->
                of("0", a -> {
                    Object v = a.get("0");
                    return l.stream().filter(e -> Python.equal(e, v)).count();
                });
            case "index" ->
                of("0 1 2", a -> {
                    long from = Strings.position(a.get("1", 0L), l.size());
                    long to = Strings.position(a.get("2", null), l.size());
                    for (long i = from; i < to; i++) {
                        if (Python.equal(l.get((int) i), a.get("0"))) {
                            return i;
                        }
                    }
                    throw new JinjaException("index: the list does not hold " + Python.repr(a.get("0")));
                });
            default -> null;
        };
    }

    private static Object number(Number n, String name) {
        boolean real = n instanceof Double;
        return switch (name) {
            case "real" -> n;
            case "imag" -> real ? (Object) 0.0 : (Object) 0L;
            case "conjugate" -> of("", a -> n);
            case "numerator" -> real ? null : n;
            case "denominator" -> real ? null : 1L;
            case "is_integer" -> real ? of("", a -> Numbers.isWhole((Double) n)) : null;
            case "bit_length" ->
                real ? null : of("", a -> (long) Numbers.big(n).abs().bitLength());
            case "bit_count" ->
                real ? null : of("", a -> (long) Numbers.big(n).abs().bitCount());
            case "hex" -> real ? of("", a -> hex((Double) n)) : null;
            case "as_integer_ratio" -> real ? null : of("", a -> new Tuple(List.of(n, 1L)));
            default -> null;
        };
    }

    private static String hex(double d) {
        if (!Double.isFinite(d)) {
            return Numbers.floating(d);
        }
        long bits = Double.doubleToRawLongBits(d);
        int exponent = Math.getExponent(d);
        boolean normal = exponent >= Double.MIN_EXPONENT;
        if (d == 0) {
            return (bits < 0 ? "-" : "") + "0x0.0p+0";
        }
        return String.format(
                java.util.Locale.ROOT,
                "%s0x%d.%013xp%+d",
                bits < 0 ? "-" : "",
                normal ? 1 : 0,
                bits & (1L << 52) - 1,
                normal ? exponent : Double.MIN_EXPONENT);
    }

    /** A str's method whose result is HTML again; what replaces, joins or fills is escaped. */
    private static Object markup(Markup m, String name) {
        Callable method = Strings.method(m.text(), name);
        if (method == null) {
            return null;
        }
        boolean escapes =
                Set.of("join", "replace", "format", "ljust", "rjust", "center").contains(name);
        return (Callable) a -> marked(method.call(escapes ? escaped(a) : a));
    }

    private static Arguments escaped(Arguments a) {
        java.util.function.UnaryOperator<Object> escape = v -> switch (v) {
            case String s -> Markup.escaped(s);
            case List<?> l ->
                l.stream()
                        .map(e -> e instanceof String s ? Markup.escaped(s) : e)
                        .toList();
            case null, default -> v;
        };
        Map<String, Object> named = new java.util.LinkedHashMap<>(a.named());
        named.replaceAll((k, v) -> escape.apply(v));
        List<Object> positional = new ArrayList<>(a.positional());
        positional.replaceAll(escape);
        return new Arguments(positional, named);
    }

    private static Object marked(Object v) {
        return switch (v) {
            case String s -> new Markup(s);
            case List<?> l ->
                l.stream().map(Members::marked).collect(java.util.stream.Collectors.toCollection(ArrayList::new));
            case Tuple t -> new Tuple(t.items().stream().map(Members::marked).toList());
            case null, default -> v;
        };
    }

    /**
     * The elements of {@code a.b.0} one after the other, for the filters that take an attribute.
     *
     * @param path names and indices with points between them, or an int; None is the value itself
     * @param absent what stands for an element that is not there, or null for none: then the next step is an error
     */
    static Object path(Object v, Object path, Object absent) {
        if (path == null) {
            return v;
        }
        List<Object> steps = new ArrayList<>();
        String text = Python.string(path);
        if (text == null) {
            steps.add(path);
        } else {
            Budget.spend((long) text.length() * 8);
            for (String step : text.split("\\.", -1)) {
                boolean digits =
                        !step.isEmpty() && step.length() < 10 && step.chars().allMatch(Character::isDigit);
                steps.add(digits ? (Object) Long.parseLong(step) : step);
            }
        }
        Object at = v;
        for (Object step : steps) {
            at = subscript(at, step);
            if (absent != null && at instanceof Undefined) {
                at = absent;
            }
        }
        return at;
    }
}
