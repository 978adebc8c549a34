package dev.gosset.llm.jinja;

import java.util.List;
import java.util.Map;

/** What {@code a.b} and {@code a['b']} give. */
final class Members {
    private Members() {}

    /** {@code v.name}: a method or attribute, else the element of that name. */
    static Object attribute(Object v, String name) {
        Object own = own(v, name);
        return own instanceof Undefined && v instanceof Map<?, ?> m && m.containsKey(name) ? m.get(name) : own;
    }

    /** {@code v[key]}: the element, else for a text as key the method or attribute of that name. */
    static Object subscript(Object v, Object key) {
        Object element = Python.item(v, key);
        return element instanceof Undefined && key instanceof String name ? own(v, name) : element;
    }

    /** A method or attribute, or undefined. */
    private static Object own(Object v, String name) {
        if (v instanceof Namespace n && n.attributes().containsKey(name)) {
            return n.attributes().get(name);
        }
        Object found = switch (v) {
            case Undefined u -> throw new TemplateError(u.what() + " is undefined, it has no attribute '" + name + "'");
            case String s -> Text.method(s, name);
            case Map<?, ?> m -> Text.method(m, name);
            case List<?> l -> Text.method(l, name);
            case Loop l -> l.attribute(name);
            case null, default -> null;
        };
        return found == null ? new Undefined("'" + name + "' of " + Python.type(v)) : found;
    }

    /** The attributes and indices of {@code a.b.0} one after the other; undefined as soon as one is. */
    static Object path(Object v, String path) {
        Object at = v;
        for (String step : path.split("\\.")) {
            if (at instanceof Undefined) {
                return at;
            }
            boolean index = at instanceof List && step.matches("\\d{1,9}");
            at = index ? Python.item(at, Long.parseLong(step)) : subscript(at, step);
        }
        return at;
    }
}
