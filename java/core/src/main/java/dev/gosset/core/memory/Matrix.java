package dev.gosset.core.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A row-major matrix in native memory, of float32 or float64 numbers: element (i, j) lies at byte {@code precision().bytes()
 * * (i * cols + j)}. What is the same in both precisions is written over this, so that it stands once.
 *
 * <p>A view: whoever allocated the segment closes it. Not synchronized.
 */
public sealed interface Matrix permits FloatMatrix, DoubleMatrix {
    /** Native segment of exactly the elements. */
    MemorySegment data();

    /** Number of rows, at least 0. */
    int rows();

    /** Number of columns, at least 0. */
    int cols();

    Precision precision();

    /** Element (row, col) as a float64, exactly. */
    double at(int row, int col);

    /** Stores an element, rounded to the precision. */
    void put(int row, int col, double value);

    /** Rows {@code from} (inclusive) to {@code to} (exclusive), a view. */
    Matrix rows(int from, int to);

    Matrix copy(Arena arena);

    /** The bytes of one row, a view. */
    default MemorySegment row(int row) {
        long bytes = (long) precision().bytes() * cols();
        return data().asSlice(row * bytes, bytes);
    }
}
