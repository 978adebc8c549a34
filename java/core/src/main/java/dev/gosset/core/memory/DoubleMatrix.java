package dev.gosset.core.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A row-major float64 matrix in native memory: element (i, j) lies at byte {@code 8 * (i * cols + j)}.
 *
 * <p>A view: whoever allocated the segment closes it. Not synchronized.
 *
 * @param data native segment of exactly {@code 8 * rows * cols} bytes
 * @param rows number of rows, at least 0
 * @param cols number of columns, at least 0
 */
public record DoubleMatrix(MemorySegment data, int rows, int cols) implements Matrix {
    public DoubleMatrix {
        if (rows < 0 || cols < 0 || data.byteSize() != 8L * rows * cols || !data.isNative()) {
            throw new IllegalArgumentException("a " + rows + " x " + cols + " double matrix needs a native segment of "
                    + 8L * rows * cols + " bytes, found " + data.byteSize());
        }
    }

    /** A zeroed matrix, 64-byte aligned. */
    public static DoubleMatrix allocate(Arena arena, int rows, int cols) {
        return new DoubleMatrix(arena.allocate(8L * rows * cols, 64), rows, cols);
    }

    /** A copy of {@code values}, row-major. */
    public static DoubleMatrix copyOf(Arena arena, int rows, int cols, double[] values) {
        DoubleMatrix m = allocate(arena, rows, cols);
        if (values.length != rows * (long) cols) {
            throw new IllegalArgumentException(
                    values.length + " values do not fill a " + rows + " x " + cols + " matrix");
        }
        MemorySegment.copy(values, 0, m.data, ValueLayout.JAVA_DOUBLE, 0, values.length);
        return m;
    }

    @Override
    public Precision precision() {
        return Precision.FLOAT64;
    }

    @Override
    public double at(int row, int col) {
        return get(row, col);
    }

    @Override
    public void put(int row, int col, double value) {
        set(row, col, value);
    }

    public double get(int row, int col) {
        return data.getAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, (long) row * cols + col);
    }

    public void set(int row, int col, double value) {
        data.setAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, (long) row * cols + col, value);
    }

    @Override
    public DoubleMatrix rows(int from, int to) {
        return new DoubleMatrix(data.asSlice(8L * from * cols, 8L * (to - from) * cols), to - from, cols);
    }

    /** A copy on the heap, row-major. */
    public double[] toArray() {
        return data.toArray(ValueLayout.JAVA_DOUBLE_UNALIGNED);
    }

    @Override
    public DoubleMatrix copy(Arena arena) {
        DoubleMatrix m = allocate(arena, rows, cols);
        m.data.copyFrom(data);
        return m;
    }
}
