package dev.gosset.jinja;

import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** What one rendering may use up. A template that needs more is taken to be malicious. */
final class Budget {
    /** Characters of one text, elements of one list. */
    static final int LARGEST = 1 << 26;

    private static final int MOST_STEPS = 20_000_000;
    private static final long MOST_CHARACTERS = 1L << 30;
    private static final int DEEPEST = 200;

    /** A list's element counts as this many characters. */
    private static final int ELEMENT = 8;
    /** To read a character counts as this fraction of writing it. */
    private static final int READING = 16;

    private int steps;
    private long characters;
    private int depth;

    /** Counts one step. */
    void step() {
        if (++steps > MOST_STEPS) {
            throw new JinjaException("takes more than " + MOST_STEPS + " steps");
        }
    }

    /** Counts a value that was made. */
    <T> T made(T v) {
        spend(size(v));
        return v;
    }

    /** Counts a value that is gone through. */
    <T> T read(T v) {
        spend(size(v) / READING);
        return v;
    }

    private void spend(long n) {
        characters += n;
        if (characters > MOST_CHARACTERS) {
            throw new JinjaException("makes more than " + MOST_CHARACTERS + " characters of values");
        }
    }

    private static long size(Object v) {
        return switch (v) {
            case null -> 1;
            case String s -> s.length();
            case Markup m -> m.text().length();
            case java.math.BigInteger i -> i.bitLength() / Byte.SIZE;
            case List<?> l -> (long) ELEMENT * l.size();
            case Tuple t -> (long) ELEMENT * t.items().size();
            case Map<?, ?> m -> (long) ELEMENT * m.size();
            case Dict.View view -> (long) ELEMENT * view.dict().size();
            case Range r -> (long) ELEMENT * r.items().size();
            default -> 1;
        };
    }

    /** What is computed one call deeper. */
    <T> T deeper(Supplier<T> call) {
        if (depth >= DEEPEST) {
            throw new JinjaException("macros and loops call each other more than " + DEEPEST + " deep");
        }
        depth++;
        try {
            return call.get();
        } finally {
            depth--;
        }
    }
}
