package dev.gosset.jinja;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The arguments of a call, of a filter or of a test.
 *
 * @param positional in their order
 * @param named by their names
 */
record Arguments(List<Object> positional, Map<String, Object> named) {
    static final Arguments NONE = new Arguments(List.of(), Map.of());

    /**
     * The arguments by the names of a function's parameters, as Python binds them.
     *
     * @param function for messages
     * @param parameters names with blanks between them; {@code *} alone takes anything, and one that is a digit can only be
     *     given by position
     * @throws JinjaException where there are too many, or one of an unknown name
     */
    Arguments bound(String function, String parameters) {
        if (parameters.equals("*")) {
            return this;
        }
        String[] names = parameters.isEmpty() ? new String[0] : parameters.split(" ");
        if (positional.size() > names.length) {
            throw new JinjaException(
                    function + " takes at most " + names.length + " arguments, found " + positional.size());
        }
        Map<String, Object> bound = new HashMap<>();
        for (int i = 0; i < positional.size(); i++) {
            bound.put(names[i], positional.get(i));
        }
        named.forEach((name, v) -> {
            if (bound.containsKey(name)
                    || Character.isDigit(name.charAt(0))
                    || !List.of(names).contains(name)) {
                throw new JinjaException(function + " takes no argument " + name + "=, or has it twice");
            }
            bound.put(name, v);
        });
        return new Arguments(List.of(), bound);
    }

    /** A bound argument, or {@code absent}. */
    Object get(String name, Object absent) {
        Object v = named.get(name);
        return v != null || named.containsKey(name) ? v : absent;
    }

    /** A bound argument; an error where there is none. */
    Object get(String name) {
        if (!named.containsKey(name)) {
            throw new JinjaException("an argument is missing: " + name);
        }
        return named.get(name);
    }

    boolean has(String name) {
        return named.containsKey(name);
    }

    /** Whether a bound argument is true. */
    boolean is(String name, boolean absent) {
        return Python.truth(get(name, absent));
    }

    /** Those after the first {@code count}, and all named ones. */
    Arguments after(int count) {
        return new Arguments(positional.subList(Math.min(count, positional.size()), positional.size()), named);
    }
}
