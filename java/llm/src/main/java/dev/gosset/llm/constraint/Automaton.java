package dev.gosset.llm.constraint;

import dev.gosset.core.FormatException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Reads bytes by an {@link Expression}: a pushdown automaton made deterministic while it runs. A state is a set of stacks of what
 * has still to come, with a byte set, a mark or a lexeme on top of each; equal states are one object, and a step that was made
 * before is a look into a table. Thread-safe.
 */
final class Automaton {
    /** Stacks of a state. */
    private static final int MOST_STACKS = 4096;

    /** States that are kept; beyond, all steps are forgotten. */
    private static final int MOST_STATES = 4096;

    private static final Node END = new Node(null, null);

    private final Map<Node, Node> nodes = new HashMap<>();
    private final Map<Set<Node>, State> states = new HashMap<>();
    private final List<State> all = new ArrayList<>();
    private final State start;
    private final State dead = new State(Set.of());

    /** A stack: two are equal where top and rest are the same objects, and those that are kept are the same then. */
    private record Node(Expression head, Node next) {
        @Override
        public boolean equals(Object other) {
            return other instanceof Node n && n.head == head && n.next == next;
        }

        @Override
        public int hashCode() {
            return 31 * System.identityHashCode(head) + System.identityHashCode(next);
        }
    }

    /** What has still to come. Immutable but for what it remembers. */
    final class State {
        private final Node[] stacks;
        private final boolean accepts;
        private final long[] first = new long[4];
        private final boolean marks;
        /** Whether bytes are on top of all stacks. */
        private final boolean isPlain;

        private volatile State[] next;
        private Expression.Lexeme lexeme;

        private State(Set<Node> set) {
            this.accepts = set.contains(END);
            this.stacks = set.stream().filter(n -> !n.equals(END)).toArray(Node[]::new);
            boolean m = false;
            boolean plain = true;
            for (Node stack : stacks) {
                plain &= stack.head instanceof Expression.Bytes;
                switch (stack.head) {
                    case Expression.Bytes b -> b.addTo(first);
                    case Expression.Lexeme l -> {
                        for (int i = 0; i < 4; i++) {
                            first[i] |= l.state.first()[i];
                        }
                    }
                    default -> m = true;
                }
            }
            this.marks = m;
            this.isPlain = plain;
        }

        /** Whether each stack has both bytes on top, or neither. */
        private boolean takesAlike(int b, int c) {
            for (Node stack : stacks) {
                Expression.Bytes bytes = (Expression.Bytes) stack.head;
                if (bytes.has(b) != bytes.has(c)) {
                    return false;
                }
            }
            return true;
        }

        private long[] first() {
            return first;
        }

        /** Whether the text may end here. */
        boolean accepts() {
            return accepts;
        }

        /** Whether it may go on. */
        boolean continues() {
            return stacks.length > 0;
        }

        /** How many bytes may come next. */
        int firstBytes() {
            int count = 0;
            for (long word : first) {
                count += Long.bitCount(word);
            }
            return count;
        }

        /** Whether a mark may come. */
        boolean hasMarks() {
            return marks;
        }

        /** The one byte that has to come; -1 where it may end, or others may come. */
        int only() {
            if (accepts || marks) {
                return -1;
            }
            int found = -1;
            for (int i = 0; i < 4; i++) {
                if (first[i] != 0) {
                    if (found >= 0 || (first[i] & first[i] - 1) != 0) {
                        return -1;
                    }
                    found = 64 * i + Long.numberOfTrailingZeros(first[i]);
                }
            }
            return found;
        }

        /** The state after a byte; null where it must not come. */
        State step(int b) {
            State[] known = next;
            State s = known == null ? null : known[b];
            if (s == null) {
                s = compute(this, b);
            }
            return s == dead ? null : s;
        }

        /** The state after a mark; null where it must not come. */
        State stepMark(int token) {
            return marks ? computeMark(this, token) : null;
        }

        /** The marks that may come. */
        List<Integer> marks() {
            List<Integer> tokens = new ArrayList<>();
            for (Node stack : stacks) {
                if (stack.head instanceof Expression.Mark m) {
                    tokens.add(m.token);
                }
            }
            return tokens;
        }

        /** The states of the lexemes that are being read, or may begin. */
        List<State> lexemes() {
            List<State> found = new ArrayList<>();
            for (Node stack : stacks) {
                if (stack.head instanceof Expression.Lexeme l) {
                    found.add(l.state);
                }
            }
            return found;
        }

        /** The rest of a lexeme from here on. */
        Expression.Lexeme lexeme() {
            synchronized (Automaton.this) {
                if (lexeme == null) {
                    lexeme = new Expression.Lexeme(this);
                    lexeme.settle();
                }
                return lexeme;
            }
        }
    }

    /**
     * @throws FormatException where the expression has no text at all
     */
    Automaton(Expression whole) {
        whole.settle();
        if (!whole.isProductive()) {
            throw new FormatException("no text fulfils what is asked for");
        }
        Set<Node> set = new LinkedHashSet<>();
        close(node(whole, END), set);
        this.start = intern(set);
    }

    State start() {
        return start;
    }

    private Node node(Expression head, Node next) {
        Node node = new Node(head, next);
        Node known = nodes.putIfAbsent(node, node);
        return known == null ? node : known;
    }

    private State intern(Set<Node> set) {
        if (set.isEmpty()) {
            return dead;
        }
        State known = states.get(set);
        if (known == null) {
            if (all.size() >= MOST_STATES) {
                // What others hold goes on to work, and finds its way again.
                all.forEach(s -> s.next = null);
                all.clear();
                states.clear();
                nodes.clear();
            }
            known = new State(set);
            states.put(set, known);
            all.add(known);
        }
        return known;
    }

    private synchronized State compute(State from, int b) {
        Set<Node> set = new LinkedHashSet<>();
        for (Node stack : from.stacks) {
            if (stack.head instanceof Expression.Bytes bytes && bytes.has(b)) {
                close(stack.next, set);
            } else if (stack.head instanceof Expression.Lexeme lexeme) {
                State rest = lexeme.state.step(b);
                if (rest != null && rest.accepts()) {
                    close(stack.next, set);
                }
                if (rest != null && rest.continues()) {
                    set.add(node(rest.lexeme(), stack.next));
                }
            }
        }
        State to = intern(set);
        State[] known = from.next;
        if (known == null) {
            known = new State[256];
        }
        known[b] = to;
        // Most bytes go where others go: a whole vocabulary is soon to be tried.
        for (int c = 0; from.isPlain && c < 256; c++) {
            if (known[c] == null && from.takesAlike(b, c)) {
                known[c] = to;
            }
        }
        from.next = known;
        return to;
    }

    private synchronized State computeMark(State from, int token) {
        Set<Node> set = new LinkedHashSet<>();
        for (Node stack : from.stacks) {
            if (stack.head instanceof Expression.Mark mark && mark.token == token) {
                close(stack.next, set);
            }
        }
        return set.isEmpty() ? null : intern(set);
    }

    /** Adds the stacks that a stack stands for, each with something on top that takes a byte or a token. */
    private void close(Node from, Set<Node> out) {
        ArrayDeque<Node> work = new ArrayDeque<>(List.of(from));
        Set<Node> seen = new HashSet<>(work);
        while (!work.isEmpty()) {
            Node stack = work.pop();
            List<Node> more = new ArrayList<>();
            switch (stack.head) {
                case null -> out.add(END);
                case Expression.Bytes _, Expression.Mark _ -> out.add(stack);
                case Expression.Lexeme lexeme -> {
                    if (lexeme.state.continues()) {
                        out.add(stack);
                    }
                    if (lexeme.state.accepts()) {
                        more.add(stack.next);
                    }
                }
                case Expression.Sequence sequence -> {
                    Node all = stack.next;
                    for (int i = sequence.parts.size() - 1; i >= 0; i--) {
                        all = node(sequence.parts.get(i), all);
                    }
                    more.add(all);
                }
                case Expression.Choice choice ->
                    choice.options.stream()
                            .filter(Expression::isProductive)
                            .forEach(option -> more.add(node(option, stack.next)));
                case Expression.Repeat repeat -> {
                    if (repeat.least == 0) {
                        more.add(stack.next);
                    }
                    if (repeat.most > 0 && repeat.item.isProductive()) {
                        more.add(node(repeat.item, node(repeat.rest(), stack.next)));
                    }
                }
                case Expression.Rule rule -> more.add(node(rule.body, stack.next));
            }
            for (Node next : more) {
                if (seen.add(next)) {
                    work.push(next);
                }
            }
            if (seen.size() > MOST_STACKS) {
                throw new FormatException("the grammar can be read in too many ways at once");
            }
        }
    }
}
