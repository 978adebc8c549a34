package dev.gosset.jinja;

import java.util.AbstractList;
import java.util.List;

/** A Python range: its numbers are computed where they are asked for. */
record Range(long start, long stop, long step) {
    /** The longest range of the sandbox. */
    private static final int LONGEST = 100_000;

    static Range of(Arguments a) {
        List<Object> p = a.positional();
        if (p.isEmpty() || p.size() > 3 || !a.named().isEmpty()) {
            throw new JinjaException(
                    "range takes 1 to 3 ints, found " + (p.size() + a.named().size()) + " arguments");
        }
        long from = p.size() == 1 ? 0 : bound(p.get(0));
        Range range = new Range(from, bound(p.get(p.size() == 1 ? 0 : 1)), p.size() < 3 ? 1 : bound(p.get(2)));
        if (range.step == 0) {
            throw new JinjaException("the step of range must not be 0");
        }
        if (range.size() > LONGEST) {
            throw new JinjaException("range is longer than " + LONGEST);
        }
        return range;
    }

    // Beyond 2^60 a range of at most LONGEST numbers is of no use, and sums stay below 64 bits.
    private static long bound(Object v) {
        return Math.clamp(Python.integer(v, "a bound of range"), -1L << 60, 1L << 60);
    }

    private long size() {
        return step > 0
                ? Math.max(0, Math.ceilDiv(stop - start, step))
                : Math.max(0, Math.ceilDiv(start - stop, -step));
    }

    List<Object> items() {
        int size = (int) size();
        return new AbstractList<>() {
            @Override
            public Object get(int index) {
                return start + index * step;
            }

            @Override
            public int size() {
                return size;
            }
        };
    }

    @Override
    public String toString() {
        return "range(" + start + ", " + stop + (step == 1 ? ")" : ", " + step + ")");
    }
}
