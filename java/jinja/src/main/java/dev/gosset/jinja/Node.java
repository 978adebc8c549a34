package dev.gosset.jinja;

/** A parsed template is made of closures of these two kinds. */
final class Node {
    private Node() {}

    /** Something with a value. */
    @FunctionalInterface
    interface Expression {
        Object value(Scope scope);
    }

    /** Something that writes. */
    @FunctionalInterface
    interface Statement {
        Flow run(Scope scope, Output out);
    }

    /** How a statement ended. */
    enum Flow {
        NORMAL,
        BREAK,
        CONTINUE
    }

    /** What a template has written, up to a bound. */
    static final class Output {
        private final StringBuilder text = new StringBuilder();

        void append(String s) {
            Python.requireLength(text.length() + (long) s.length());
            Budget.spend(s.length());
            text.append(s);
        }

        /** A value that is printed. */
        void print(Object v, Scope scope) {
            append(scope.escaping() ? Markup.of(v).text() : Python.str(v));
        }

        @Override
        public String toString() {
            return text.toString();
        }
    }
}
