package dev.gosset.core.blas;

import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
import java.lang.foreign.MemorySegment;

/**
 * A matrix as BLAS takes it: rows x cols numbers somewhere in native memory. Element (i, j) is number {@code i * ld + j} of
 * the segment, or {@code j * ld + i} where the matrix is used transposed. A view, checked once, when it is made; immutable.
 *
 * @param data native, from the first element on
 * @param rows of the matrix as it is used, at least 0
 * @param cols of the matrix as it is used, at least 0
 * @param ld leading dimension: numbers from one stored row to the next, at least 1 and at least the stored row's length
 * @param transposed whether it is stored as cols x rows
 */
public record Operand(Precision precision, MemorySegment data, int rows, int cols, int ld, boolean transposed) {
    /**
     * @throws IllegalArgumentException with the numbers, where the segment lies on the heap or does not hold the matrix
     */
    public Operand {
        int storedRows = transposed ? cols : rows;
        int storedCols = transposed ? rows : cols;
        if (rows < 0 || cols < 0 || ld < Math.max(1, storedCols)) {
            throw new IllegalArgumentException("a stored matrix of " + storedRows + " x " + storedCols
                    + " has leading dimension " + ld + ", which must be at least " + Math.max(1, storedCols));
        }
        long needed = rows == 0 || cols == 0 ? 0 : ((storedRows - 1L) * ld + storedCols) * precision.bytes();
        if (data.byteSize() < needed) {
            throw new IllegalArgumentException("a stored matrix of " + storedRows + " x " + storedCols
                    + " with leading dimension " + ld + " needs " + needed + " bytes, found " + data.byteSize());
        }
        if (!data.isNative()) {
            throw new IllegalArgumentException("a matrix for BLAS lies on the heap, native memory is needed");
        }
    }

    /** A whole matrix. */
    public static Operand of(Matrix m) {
        return new Operand(m.precision(), m.data(), m.rows(), m.cols(), Math.max(1, m.cols()), false);
    }

    /** float32 numbers, row by row without gaps. */
    public static Operand floats(MemorySegment data, int rows, int cols) {
        return floats(data, rows, cols, Math.max(1, cols));
    }

    /** float32 numbers, row by row. */
    public static Operand floats(MemorySegment data, int rows, int cols, int ld) {
        return new Operand(Precision.FLOAT32, data, rows, cols, ld, false);
    }

    /** The same memory as the transposed matrix. */
    public Operand transpose() {
        return new Operand(precision, data, cols, rows, ld, !transposed);
    }

    /** A part, whose first element is (row, col) of this. */
    public Operand block(int row, int col, int blockRows, int blockCols) {
        if (row < 0 || col < 0 || blockRows > rows - row || blockCols > cols - col) {
            throw new IllegalArgumentException("a block of " + blockRows + " x " + blockCols + " at (" + row + ", "
                    + col + ") of a matrix of " + rows + " x " + cols);
        }
        long at = precision.bytes() * (transposed ? (long) col * ld + row : (long) row * ld + col);
        // A block without elements may begin behind the end.
        MemorySegment from = data.asSlice(Math.min(at, data.byteSize()));
        return new Operand(precision, from, blockRows, blockCols, ld, transposed);
    }
}
