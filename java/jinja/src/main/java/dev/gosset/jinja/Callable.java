package dev.gosset.jinja;

/** Something that a template can call. */
@FunctionalInterface
interface Callable {
    Object call(Arguments arguments);

    /** A function whose arguments are bound to its parameters, see {@link Arguments#bound}. */
    static Callable of(String name, String parameters, Callable body) {
        return a -> body.call(a.bound(name, parameters));
    }

    /** A function that Python prints by its own name. */
    static Callable named(String printed, Callable body) {
        return new Callable() {
            @Override
            public Object call(Arguments arguments) {
                return body.call(arguments);
            }

            @Override
            public String toString() {
                return printed;
            }
        };
    }
}
