package dev.gosset.jinja;

import java.util.HashMap;
import java.util.Map;

/** The variables of one level: of the template, of a round of a loop, of a macro's call. */
final class Scope {
    private final Scope parent;
    private final Map<String, Object> variables;
    private final boolean escaping;
    /** What a set block or filter block has just written. */
    Object captured;

    Scope(Map<String, Object> variables) {
        this.parent = null;
        this.variables = new HashMap<>(variables);
        this.escaping = false;
    }

    private Scope(Scope parent, boolean escaping) {
        this.parent = parent;
        this.variables = new HashMap<>();
        this.escaping = escaping;
    }

    /** A level below this one. */
    Scope inner() {
        return new Scope(this, escaping);
    }

    /** A level below this one where what is printed is escaped or is not. */
    Scope inner(boolean escapes) {
        return new Scope(this, escapes);
    }

    /** The level of the whole template. */
    Scope root() {
        Scope s = this;
        while (s.parent != null) {
            s = s.parent;
        }
        return s;
    }

    /** Whether what is printed is escaped. */
    boolean escaping() {
        return escaping;
    }

    Object get(String name) {
        for (Scope s = this; s != null; s = s.parent) {
            Object v = s.variables.get(name);
            if (v != null || s.variables.containsKey(name)) {
                return v;
            }
        }
        return new Undefined("'" + name + "'");
    }

    void set(String name, Object value) {
        variables.put(name, value);
    }
}
