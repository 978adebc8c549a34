package dev.gosset.llm.jinja;

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

    /** The argument at a position or by its name, or {@code absent}. */
    Object get(int index, String name, Object absent) {
        if (index >= 0 && index < positional.size()) {
            return positional.get(index);
        }
        return named.containsKey(name) ? named.get(name) : absent;
    }

    /** The argument at a position or by its name; an error where there is none. */
    Object get(int index, String name) {
        if (index < positional.size() || named.containsKey(name)) {
            return get(index, name, null);
        }
        throw new TemplateError("the argument " + name + " is missing");
    }

    /** Those after the first {@code count}, and all named ones. */
    Arguments after(int count) {
        return new Arguments(positional.subList(Math.min(count, positional.size()), positional.size()), named);
    }
}
