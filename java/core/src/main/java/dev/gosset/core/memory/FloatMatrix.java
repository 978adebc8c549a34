package dev.gosset.core.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A row-major float32 matrix in native memory: element (i, j) lies at byte {@code 4 * (i * cols + j)}.
 *
 * <p>A view: whoever allocated the segment closes it. Not synchronized.
 *
 * @param data native segment of exactly {@code 4 * rows * cols} bytes
 * @param rows number of rows, at least 0
 * @param cols number of columns, at least 0
 */
public record FloatMatrix(MemorySegment data, int rows, int cols) implements Matrix {
    public FloatMatrix {
        if (rows < 0 || cols < 0 || data.byteSize() != 4L * rows * cols || !data.isNative()) {
            throw new IllegalArgumentException("a " + rows + " x " + cols + " float matrix needs a native segment of "
                    + 4L * rows * cols + " bytes, found " + data.byteSize());
        }
    }

    /** A zeroed matrix, 64-byte aligned. */
    public static FloatMatrix allocate(Arena arena, int rows, int cols) {
        return new FloatMatrix(arena.allocate(4L * rows * cols, 64), rows, cols);
    }

    /** A copy of {@code values}, row-major. */
    public static FloatMatrix copyOf(Arena arena, int rows, int cols, float[] values) {
        FloatMatrix m = allocate(arena, rows, cols);
        if (values.length != rows * (long) cols) {
            throw new IllegalArgumentException(
                    values.length + " values do not fill a " + rows + " x " + cols + " matrix");
        }
        MemorySegment.copy(values, 0, m.data, ValueLayout.JAVA_FLOAT, 0, values.length);
        return m;
    }

    @Override
    public Precision precision() {
        return Precision.FLOAT32;
    }

    @Override
    public double at(int row, int col) {
        return get(row, col);
    }

    @Override
    public void put(int row, int col, double value) {
        set(row, col, (float) value);
    }

    public float get(int row, int col) {
        return data.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) row * cols + col);
    }

    public void set(int row, int col, float value) {
        data.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) row * cols + col, value);
    }

    @Override
    public FloatMatrix rows(int from, int to) {
        return new FloatMatrix(data.asSlice(4L * from * cols, 4L * (to - from) * cols), to - from, cols);
    }

    /** A copy on the heap, row-major. */
    public float[] toArray() {
        return data.toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
    }

    @Override
    public FloatMatrix copy(Arena arena) {
        FloatMatrix m = allocate(arena, rows, cols);
        m.data.copyFrom(data);
        return m;
    }
}
