package dev.gosset.llm.constraint;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;

/**
 * A set of texts over bytes: of a lexeme, or of a grammar over lexemes. Compared by identity; immutable once an {@link Automaton}
 * has it.
 */
abstract sealed class Expression {
    /** Whether any text is in the set, as far as {@link #settle} has found out. */
    private boolean productive;

    /** One byte of a set. */
    static final class Bytes extends Expression {
        private final long[] set = new long[4];

        boolean has(int b) {
            return (set[b >> 6] >>> b & 1) != 0;
        }

        void addTo(long[] first) {
            for (int i = 0; i < 4; i++) {
                first[i] |= set[i];
            }
        }

        private Bytes with(int from, int to) {
            for (int b = from; b <= to; b++) {
                set[b >> 6] |= 1L << b;
            }
            return this;
        }
    }

    /** One token that has no bytes, such as a mark that only the model writes. */
    static final class Mark extends Expression {
        final int token;

        private Mark(int token) {
            this.token = token;
        }
    }

    /** What is left of a lexeme from a state of its automaton on. */
    static final class Lexeme extends Expression {
        final Automaton.State state;

        Lexeme(Automaton.State state) {
            this.state = state;
        }
    }

    /** One after the other. */
    static final class Sequence extends Expression {
        final List<Expression> parts;

        private Sequence(List<Expression> parts) {
            this.parts = List.copyOf(parts);
        }
    }

    /** One of several. */
    static final class Choice extends Expression {
        final List<Expression> options;

        private Choice(List<Expression> options) {
            this.options = List.copyOf(options);
        }
    }

    /** The same from {@code least} to {@code most} times. */
    static final class Repeat extends Expression {
        final Expression item;
        final int least;
        final int most;
        private Repeat rest;

        private Repeat(Expression item, int least, int most) {
            this.item = item;
            this.least = least;
            this.most = most;
        }

        /** What is left after one; one object, so that equal stacks are found to be equal. */
        synchronized Repeat rest() {
            if (most == UNBOUNDED && least == 0) {
                return this;
            }
            if (rest == null) {
                rest = new Repeat(item, Math.max(0, least - 1), most == UNBOUNDED ? most : most - 1);
                ((Expression) rest).productive = true;
            }
            return rest;
        }
    }

    /** An expression that may hold itself. */
    static final class Rule extends Expression {
        Expression body;
    }

    static final int UNBOUNDED = Integer.MAX_VALUE;

    static Bytes bytes(int from, int to) {
        return new Bytes().with(from, to);
    }

    static Bytes either(String ascii) {
        Bytes bytes = new Bytes();
        ascii.chars().forEach(c -> bytes.with(c, c));
        return bytes;
    }

    static Bytes either(Bytes a, Bytes b) {
        Bytes both = new Bytes();
        a.addTo(both.set);
        b.addTo(both.set);
        return both;
    }

    static Mark mark(int token) {
        return new Mark(token);
    }

    /** Exactly this text, in UTF-8. */
    static Expression text(String text) {
        List<Expression> bytes = new ArrayList<>();
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            bytes.add(bytes(b & 0xff, b & 0xff));
        }
        return sequence(bytes);
    }

    static Expression sequence(Expression... parts) {
        return sequence(List.of(parts));
    }

    static Expression sequence(List<Expression> parts) {
        return parts.size() == 1 ? parts.getFirst() : new Sequence(parts);
    }

    static Expression choice(Expression... options) {
        return choice(List.of(options));
    }

    static Expression choice(List<Expression> options) {
        return options.size() == 1 ? options.getFirst() : new Choice(options);
    }

    static Expression optional(Expression item) {
        return new Repeat(item, 0, 1);
    }

    static Expression repeat(Expression item, int least, int most) {
        return new Repeat(item, least, most);
    }

    /** A lexeme of a regular expression, made by an automaton of its own. */
    static Lexeme lexeme(Expression regular) {
        return new Automaton(regular).start().lexeme();
    }

    boolean isProductive() {
        return productive;
    }

    /** Finds out which expressions in this one have any text: rules may go round in circles. */
    void settle() {
        Set<Expression> all = Collections.newSetFromMap(new IdentityHashMap<>());
        List<Expression> order = new ArrayList<>(List.of(this));
        all.add(this);
        for (int i = 0; i < order.size(); i++) {
            for (Expression part : order.get(i).parts()) {
                if (all.add(part)) {
                    order.add(part);
                }
            }
        }
        boolean more = true;
        while (more) {
            more = false;
            // Parts come behind what holds them.
            for (int i = order.size() - 1; i >= 0; i--) {
                Expression e = order.get(i);
                if (!e.productive && e.hasText()) {
                    e.productive = true;
                    more = true;
                }
            }
        }
    }

    private List<Expression> parts() {
        return switch (this) {
            case Sequence s -> s.parts;
            case Choice c -> c.options;
            case Repeat r -> List.of(r.item);
            case Rule r -> List.of(r.body);
            case Bytes _, Mark _, Lexeme _ -> List.of();
        };
    }

    private boolean hasText() {
        return switch (this) {
            case Sequence s -> s.parts.stream().allMatch(Expression::isProductive);
            case Choice c -> c.options.stream().anyMatch(Expression::isProductive);
            case Repeat r -> r.least == 0 || r.item.isProductive();
            case Rule r -> r.body.isProductive();
            case Bytes b -> (b.set[0] | b.set[1] | b.set[2] | b.set[3]) != 0;
            case Mark _, Lexeme _ -> true;
        };
    }
}
