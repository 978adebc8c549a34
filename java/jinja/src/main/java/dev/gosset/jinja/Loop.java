package dev.gosset.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;

/** The variable {@code loop}. It looks one item ahead and no further, as far as nobody asks for the length. */
final class Loop implements Callable {
    /** Runs the loop's body over other items, for {@code loop(items)}. */
    @FunctionalInterface
    interface Recursion {
        Object run(Object items, int depth);
    }

    private final Recursion recursion;
    private final int depth;
    private Iterator<Object> rest;
    private long length;
    private long index = -1;
    private Object previous;
    private Object current;
    private List<Object> changing;

    /**
     * @param length the number of items, -1 where only their end tells
     * @param recursion null where the loop is not marked as recursive
     */
    Loop(Iterator<Object> items, long length, Recursion recursion, int depth) {
        this.rest = items;
        this.length = length;
        this.recursion = recursion;
        this.depth = depth;
    }

    boolean hasNext() {
        return rest.hasNext();
    }

    Object next() {
        previous = current;
        current = rest.next();
        index++;
        return current;
    }

    /** The rounds that are left, each with this variable: who goes through them takes them from the loop. */
    Iterator<Object> rounds() {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return rest.hasNext();
            }

            @Override
            public Object next() {
                return new Tuple(Arrays.asList(Loop.this.next(), Loop.this));
            }
        };
    }

    private List<Object> ahead() {
        List<Object> items = new ArrayList<>();
        rest.forEachRemaining(items::add);
        rest = items.iterator();
        return items;
    }

    private long length() {
        if (length < 0) {
            length = index + 1 + ahead().size();
        }
        return length;
    }

    private Object nextItem() {
        if (!rest.hasNext()) {
            return new Undefined("loop.nextitem");
        }
        Object next = rest.next();
        Iterator<Object> others = rest;
        rest = new Iterator<>() {
            private boolean given;

            @Override
            public boolean hasNext() {
                return !given || others.hasNext();
            }

            @Override
            public Object next() {
                if (!given) {
                    given = true;
                    return next;
                }
                return others.next();
            }
        };
        return next;
    }

    @Override
    public Object call(Arguments a) {
        if (recursion == null) {
            throw new JinjaException("the loop must be marked as recursive to be called");
        }
        return recursion.run(a.bound("loop", "iterable").get("iterable"), depth + 1);
    }

    /** An attribute, or null. */
    Object attribute(String name) {
        return switch (name) {
            case "index" -> index + 1;
            case "index0" -> index;
            case "revindex" -> length() - index;
            case "revindex0" -> length() - index - 1;
            case "first" -> index == 0;
            case "last" -> !rest.hasNext();
            case "length" -> length();
            case "depth" -> depth + 1L;
            case "depth0" -> (long) depth;
            case "previtem" -> index > 0 ? Members.found(previous) : new Undefined("loop.previtem");
            case "nextitem" -> Members.found(nextItem());
            case "cycle" ->
                (Callable) a -> {
                    if (a.positional().isEmpty()) {
                        throw new JinjaException("loop.cycle needs arguments");
                    }
                    return a.positional().get((int) (index % a.positional().size()));
                };
            case "changed" ->
                (Callable) a -> {
                    boolean same = changing != null && Python.equal(changing, a.positional());
                    changing = a.positional();
                    return !same;
                };
            default -> null;
        };
    }

    @Override
    public String toString() {
        return "<LoopContext " + (index + 1) + "/" + length() + ">";
    }
}
