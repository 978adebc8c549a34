package dev.gosset.jinja;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** The tests of Jinja: what may follow {@code is}. */
final class Tests {
    /**
     * A test.
     *
     * @param other whether it takes one argument
     */
    record Test(String name, boolean other, Body body) {
        boolean holds(Object value, Arguments arguments) {
            Budget.made(value);
            Arguments bound = arguments.bound("the test " + name, other ? "0" : "");
            return body.holds(value, other ? bound.get("0") : null);
        }
    }

    /** Holds for a value, and perhaps another, or not. */
    @FunctionalInterface
    private interface Body {
        boolean holds(Object value, Object other);
    }

    private static final Map<String, Test> ALL = new LinkedHashMap<>();

    static {
        put("defined", false, (v, o) -> !(v instanceof Undefined));
        put("undefined", false, (v, o) -> v instanceof Undefined);
        put("none", false, (v, o) -> v == null);
        put("boolean", false, (v, o) -> v instanceof Boolean);
        put("true", false, (v, o) -> Boolean.TRUE.equals(v));
        put("false", false, (v, o) -> Boolean.FALSE.equals(v));
        put("integer", false, (v, o) -> Numbers.isInt(v));
        put("float", false, (v, o) -> v instanceof Double);
        put("number", false, (v, o) -> Numbers.of(v) != null);
        put("string", false, (v, o) -> Python.string(v) != null);
        put("mapping", false, (v, o) -> v instanceof Map);
        put("iterable", false, (v, o) -> Python.lengthOf(v) >= 0 || v instanceof Iterator);
        put("sequence", false, (v, o) -> Python.lengthOf(v) >= 0 && !(v instanceof Dict.View) && !(v instanceof Loop));
        put("callable", false, (v, o) -> v instanceof Callable || v instanceof Undefined);
        put("escaped", false, (v, o) -> v instanceof Markup);
        put("upper", false, (v, o) -> Strings.isUpper(Python.str(v)));
        put("lower", false, (v, o) -> Strings.isLower(Python.str(v)));
        put("even", false, (v, o) -> Python.equal(Python.arithmetic("%", v, 2L), 0L));
        put("odd", false, (v, o) -> Python.equal(Python.arithmetic("%", v, 2L), 1L));
        put("divisibleby", true, (v, o) -> Python.equal(Python.arithmetic("%", v, o), 0L));
        put("sameas", true, Tests::same);
        put("eq,equalto,==", true, Python::equal);
        put("ne,!=", true, (v, o) -> !Python.equal(v, o));
        put("lt,lessthan,<", true, (v, o) -> Python.ordered("<", v, o));
        put("le,<=", true, (v, o) -> Python.ordered("<=", v, o));
        put("gt,greaterthan,>", true, (v, o) -> Python.ordered(">", v, o));
        put("ge,>=", true, (v, o) -> Python.ordered(">=", v, o));
        put("in", true, (v, o) -> Python.contains(o, v));
        put("filter", false, (v, o) -> Dict.hashed(v) instanceof String s && Filters.has(s));
        put("test", false, (v, o) -> Dict.hashed(v) instanceof String s && ALL.containsKey(s));
    }

    private Tests() {}

    private static void put(String names, boolean other, Body body) {
        for (String name : names.split(",")) {
            ALL.put(name, new Test(name, other, body));
        }
    }

    static Test named(String name) {
        Test test = ALL.get(name);
        if (test == null) {
            throw new JinjaException("no test named '" + name + "', known are " + String.join(", ", ALL.keySet()));
        }
        return test;
    }

    @SuppressWarnings("ReferenceEquality")
    private static boolean same(Object a, Object b) {
        boolean value = a instanceof String || Numbers.of(a) != null;
        return a == b || value && Objects.equals(a, b);
    }
}
