package dev.gosset.jinja;

import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What one rendering may use up. A template that needs more is taken to be malicious. Work is counted in characters that are
 * written, a few nanoseconds each; what takes longer counts as more of them.
 */
final class Budget {
    /** Characters of one text, elements of one list. */
    static final int LARGEST = 1 << 26;

    /** The work of an item that is gone through or compared, or of a character where each is looked at by itself. */
    static final int ITEM = 64;

    private static final int DEEPEST = 200;

    /** The work of an element of a list that is made. */
    private static final int ELEMENT = 8;

    /** As many characters are compared in the time in which one is written. */
    private static final int COMPARED = 4;

    /** Of the rendering that this thread is in. */
    private static final ScopedValue<Budget> CURRENT = ScopedValue.newInstance();

    private final JinjaTemplate.Limits limits;
    private int steps;
    private long work;
    private int depth;

    private Budget(JinjaTemplate.Limits limits) {
        this.limits = limits;
    }

    /** Renders within a budget of its own. */
    static void within(JinjaTemplate.Limits limits, Runnable rendering) {
        ScopedValue.where(CURRENT, new Budget(limits)).run(rendering);
    }

    /** Counts one step. */
    static void step() {
        Budget b = CURRENT.get();
        if (++b.steps > b.limits.steps()) {
            throw new JinjaException("takes more than " + b.limits.steps() + " steps");
        }
    }

    /** Counts a value that was made. */
    static <T> T made(T v) {
        spend(size(v));
        return v;
    }

    /** Counts a text that is compared with another as long. */
    static void compared(long characters) {
        spend(characters / COMPARED);
    }

    /** Counts work. */
    static void spend(long work) {
        Budget b = CURRENT.get();
        b.work += work;
        if (b.work > b.limits.work()) {
            throw new JinjaException("takes more work than the writing of " + b.limits.work() + " characters");
        }
    }

    private static long size(Object v) {
        return switch (v) {
            case null -> 1;
            case String s -> s.length();
            case Markup m -> m.text().length();
            case java.math.BigInteger i -> i.bitLength();
            case List<?> l -> (long) ELEMENT * l.size();
            case Tuple t -> (long) ELEMENT * t.items().size();
            case Map<?, ?> m -> (long) ELEMENT * m.size();
            default -> 1;
        };
    }

    /** What is computed one call deeper. */
    static <T> T deeper(Supplier<T> call) {
        Budget b = CURRENT.get();
        if (b.depth >= DEEPEST) {
            throw new JinjaException("macros and loops call each other more than " + DEEPEST + " deep");
        }
        b.depth++;
        try {
            return call.get();
        } finally {
            b.depth--;
        }
    }
}
