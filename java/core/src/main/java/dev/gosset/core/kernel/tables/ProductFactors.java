package dev.gosset.core.kernel.tables;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What the entries of {@link ProductTables} multiply x by: a pair of coordinates and, in the first pair, the shift. The order
 * of the entries is free, so each layout of codes chooses the one whose indices it forms with the fewest operations. Filled
 * once, by static initializers; immutable after that.
 */
final class ProductFactors {
    /** Where the factors of the second, third and fourth pair of the points begin, {@value #PAIR} bytes each. */
    static final int POINTS = 768;

    /** Where those of the four pairs of the residual begin, {@value #PAIR} bytes each. */
    static final int RESIDUALS = POINTS + 3 * 256;

    /** Bytes of the factors of 32 entries: of the first x in the entries 0, 2, .. 30, then in 1, 3, .. 31, then of the second. */
    static final int PAIR = 256;

    /** The first pair has twice 32 entries, and behind those of the two x the factors of the shift. */
    private static final int HALF = PAIR + PAIR / 2;

    /** Floats, in vectors of 16. */
    final MemorySegment data = Arena.global().allocate(RESIDUALS + 4 * PAIR, 64);

    /**
     * Entry 0 to 63 of the first pair.
     *
     * @param doubled the doubled magnitudes
     * @param sign1 1 where the first is negative, as {@code sign2} for the second
     * @param shift 1 where the shift is -1/4
     */
    void first(int entry, int[] doubled, int sign1, int sign2, int shift) {
        long at = (long) HALF * (entry >> 5);
        set(at, entry & 31, (1 - 2 * sign1) * doubled[0], (1 - 2 * sign2) * doubled[1]);
        setFloat(at + PAIR, entry & 31, 1 - 2 * shift);
    }

    /** Entry 0 to 31 of pair 1, 2 or 3. */
    void point(int pair, int entry, int[] doubled, int sign1, int sign2) {
        long at = POINTS + (long) PAIR * (pair - 1);
        set(at, entry, (1 - 2 * sign1) * doubled[0], (1 - 2 * sign2) * doubled[1]);
    }

    /** Entry 0 to 31 of pair 0, 1, 2 or 3 of the residual: its doubled coordinates. */
    void residual(int pair, int entry, int first, int second) {
        set(RESIDUALS + (long) PAIR * pair, entry, first, second);
    }

    private void set(long at, int entry, int first, int second) {
        setFloat(at, entry, 0.5f * first);
        setFloat(at + PAIR / 2, entry, 0.5f * second);
    }

    private void setFloat(long at, int entry, float value) {
        data.set(ValueLayout.JAVA_FLOAT, at + 64L * (entry & 1) + 4L * (entry >> 1), value);
    }
}
