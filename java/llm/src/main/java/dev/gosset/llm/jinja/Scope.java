package dev.gosset.llm.jinja;

import java.util.HashMap;
import java.util.Map;

/** The variables of one level: of the template, of a round of a loop, of a macro's call. */
final class Scope {
    /** Beyond these a template is taken to be malicious. */
    private static final int MOST_STEPS = 20_000_000;

    private static final int DEEPEST = 200;
    static final int LARGEST_OUTPUT = 1 << 26;

    private final Scope parent;
    private final Map<String, Object> variables;
    private final int[] steps;
    private final int depth;

    Scope(Map<String, Object> variables) {
        this.parent = null;
        this.variables = new HashMap<>(variables);
        this.steps = new int[1];
        this.depth = 0;
    }

    private Scope(Scope parent, int[] steps, int depth) {
        this.parent = parent;
        this.variables = new HashMap<>();
        this.steps = steps;
        this.depth = depth;
    }

    /** A level below this one. */
    Scope inner() {
        return new Scope(this, steps, depth);
    }

    /** The level of a macro that was defined at this one and is called from another. */
    Scope call(Scope caller) {
        if (caller.depth >= DEEPEST) {
            throw new TemplateError("macros call each other more than " + DEEPEST + " deep");
        }
        return new Scope(this, steps, caller.depth + 1);
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

    /** Counts one step. */
    void step() {
        if (++steps[0] > MOST_STEPS) {
            throw new TemplateError("takes more than " + MOST_STEPS + " steps");
        }
    }
}
