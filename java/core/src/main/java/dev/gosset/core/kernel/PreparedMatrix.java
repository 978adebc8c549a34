package dev.gosset.core.kernel;

import dev.gosset.core.codebook.CodeMatrix;
import java.lang.foreign.MemorySegment;

/**
 * A matrix of codes in the form that a {@link MatvecKernel} multiplies fastest, made by {@link MatvecKernel#prepare}. An
 * input x is prepared once and then multiplied with any ranges of rows, by several threads at a time.
 *
 * <p>Immutable and thread-safe; valid as long as the codes and the arena it was made with. Each y[i] depends on the matrix
 * and on its own x alone: neither on how rows are split among calls nor on how many inputs share one.
 */
public interface PreparedMatrix {
    /** The matrix this was made from. */
    CodeMatrix codes();

    /** Native memory that this form holds besides the codes it was made from. */
    long bytes();

    /** Ranges of rows begin at multiples of this number, and end at one or at the last row. */
    int rowStep();

    /** With more inputs than this it is faster to decode the matrix and multiply by BLAS. */
    int mostInputs();

    /** Bytes of one prepared input, a multiple of 64. */
    long inputBytes();

    /** Scratch that one call of {@link #multiply} needs for {@code count} inputs and {@code rows} rows. */
    long scratchBytes(int count, int rows);

    /**
     * Prepares one input.
     *
     * @param x native, {@code 4 * 8 * codes.groups()} bytes: n floats and zeros up to a multiple of 8
     * @param inputs native; the prepared input goes to {@link #inputBytes} bytes from {@code offset} on
     */
    void prepareInput(MemorySegment x, MemorySegment inputs, long offset);

    /**
     * Brings the codes of rows {@code firstRow <= i < lastRow} near the processor in one run, where that pays before they are
     * multiplied with one input: where they come from memory, as those of a whole model do, whose matrices follow each other.
     * Codes that lie in the cache already are multiplied faster without.
     *
     * @param scratch that of the {@link #multiply} to come
     */
    default void fetch(int firstRow, int lastRow, MemorySegment scratch) {}

    /**
     * {@code y_t[i] = sum_j value(i, j) * x_t[j]} for {@code firstRow <= i < lastRow} and each of {@code count} inputs,
     * which share the decoding of each code.
     *
     * @param inputs the prepared inputs, one behind the other
     * @param y native; y_t[i] goes to byte {@code yStride * t + 4 * i}
     * @param scratch native, at least {@link #scratchBytes}, not shared with another running call
     */
    void multiply(
            MemorySegment inputs,
            int count,
            MemorySegment y,
            long yStride,
            int firstRow,
            int lastRow,
            MemorySegment scratch);
}
