package dev.gosset.llm.jinja;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/** The tests of Jinja: what may follow {@code is}. */
final class Tests {
    /** Holds for a value or not. */
    @FunctionalInterface
    interface Test {
        boolean holds(Object value, Arguments arguments);
    }

    private static final Map<String, Test> ALL = new LinkedHashMap<>();

    static {
        put((v, a) -> !(v instanceof Undefined), "defined");
        put((v, a) -> v instanceof Undefined, "undefined");
        put((v, a) -> v == null, "none");
        put((v, a) -> v instanceof Boolean, "boolean");
        put((v, a) -> Boolean.TRUE.equals(v), "true");
        put((v, a) -> Boolean.FALSE.equals(v), "false");
        put((v, a) -> v instanceof Long, "integer");
        put((v, a) -> v instanceof Double, "float");
        put((v, a) -> v instanceof Long || v instanceof Double || v instanceof Boolean, "number");
        put((v, a) -> v instanceof String, "string");
        put((v, a) -> v instanceof Map, "mapping");
        put((v, a) -> sized(v) || v instanceof Undefined, "iterable", "sequence");
        put((v, a) -> v instanceof Callable, "callable");
        put((v, a) -> same(v, other(a)), "sameas");
        put((v, a) -> Python.equal(v, other(a)), "eq", "equalto", "==");
        put((v, a) -> !Python.equal(v, other(a)), "ne", "!=");
        put((v, a) -> Python.compare(v, other(a)) < 0, "lt", "lessthan", "<");
        put((v, a) -> Python.compare(v, other(a)) <= 0, "le", "<=");
        put((v, a) -> Python.compare(v, other(a)) > 0, "gt", "greaterthan", ">");
        put((v, a) -> Python.compare(v, other(a)) >= 0, "ge", ">=");
        put((v, a) -> Python.contains(other(a), v), "in");
        put((v, a) -> Math.floorMod(Python.integer(v, "an even number"), 2L) == 0, "even");
        put((v, a) -> Math.floorMod(Python.integer(v, "an odd number"), 2L) == 1, "odd");
        put((v, a) -> Python.equal(Python.arithmetic("%", v, other(a)), 0L), "divisibleby");
        put((v, a) -> Text.isCased(Python.str(v), Python.str(v).toUpperCase(Locale.ROOT)), "upper");
        put((v, a) -> Text.isCased(Python.str(v), Python.str(v).toLowerCase(Locale.ROOT)), "lower");
    }

    private Tests() {}

    private static void put(Test test, String... names) {
        for (String name : names) {
            ALL.put(name, test);
        }
    }

    static Test named(String name) {
        Test test = ALL.get(name);
        if (test == null) {
            throw new TemplateError("no test named '" + name + "', known are " + String.join(", ", ALL.keySet()));
        }
        return test;
    }

    private static Object other(Arguments a) {
        return a.get(0, "other");
    }

    private static boolean sized(Object v) {
        return v instanceof String || v instanceof List || v instanceof Map;
    }

    @SuppressWarnings("ReferenceEquality")
    private static boolean same(Object a, Object b) {
        return a == b || !sized(a) && Objects.equals(a, b);
    }
}
