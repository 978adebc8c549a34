package dev.gosset.core.kernel.bounds;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What goes into the errors that kernels declare: {@link PreparedMatrix#errorBound} and {@link PreparedMatrix#relativeError}. */
public final class ErrorBounds {
    /** What a float32 is off by after one rounding at most, as a part of itself. */
    static final double FLOAT = 0x1p-24;

    /** The root mean square of the same: of a uniform distribution, averaged over a binade. */
    public static final double FLOAT_RMS = 0.42 * FLOAT;

    /** The same of an entry that is rounded to an integer; what its factors in float32 are off by is included. */
    public static final double ENTRY = 0.51;

    static final double ENTRY_RMS = ENTRY / Math.sqrt(3);

    /** The largest norm of a point of E8P. */
    public static final double POINT_NORM = Math.sqrt(17);

    /** The largest norm of a point of E81B. */
    public static final double RESIDUAL_NORM = 2;

    /** The root mean square of a coordinate over all points of E8P. */
    static final double POINT_RMS = 1.09375;

    /**
     * How much larger the largest norm of a group of eight is than the root mean square of all, for a normal x: about 1.5 for 16 groups, 2
     * for 2048, and at times a tenth more.
     */
    static final double LARGEST_GROUP = 2.2;

    private ErrorBounds() {}

    /** What one rounding of y to float32 can be off by at most. */
    public static double rounding(CodeMatrix codes, MemorySegment x) {
        double norms = 0;
        for (int g = 0; g < codes.groups(); g++) {
            norms += norm(x, g);
        }
        return FLOAT * codes.codebook().largestNorm() * norms + Float.MIN_VALUE;
    }

    /** The largest Euclidean norm of a group of eight. */
    public static double largestNorm(MemorySegment x, int groups) {
        double max = 0;
        for (int g = 0; g < groups; g++) {
            max = Math.max(max, norm(x, g));
        }
        return max;
    }

    private static double norm(MemorySegment x, int group) {
        double sum = 0;
        for (long p = 32L * group; p < 32L * group + 32; p += 4) {
            double v = x.get(ValueLayout.JAVA_FLOAT_UNALIGNED, p);
            sum += v * v;
        }
        return Math.sqrt(sum);
    }

    /**
     * The relative error of products by tables of integers.
     *
     * @param entries that a point adds up
     * @param unit of the tables, as a part of the largest norm of a group
     * @param residualEntries the same for a residual point; 0 where there is none
     * @param residualUnit the same, divided by the residual scale
     */
    public static double ofTables(int entries, double unit, int residualEntries, double residualUnit) {
        double error = Math.hypot(unit * Math.sqrt(entries), residualUnit * Math.sqrt(residualEntries));
        // A group of x, of eight coordinates, has the norm sqrt(8) and its product the root mean square sqrt(8)
        // POINT_RMS.
        return ENTRY_RMS * LARGEST_GROUP / POINT_RMS * error;
    }
}
