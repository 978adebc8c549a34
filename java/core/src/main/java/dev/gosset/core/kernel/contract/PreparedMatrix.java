package dev.gosset.core.kernel.contract;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;

/**
 * A matrix of codes in the form that a {@link MatvecKernel} multiplies fastest, made by {@link MatvecKernel#prepare}. An
 * input x is prepared once and then multiplied with any ranges of rows, by several threads at a time.
 *
 * <p>Immutable and thread-safe; valid as long as the codes and the arena it was made with. Each y[i] depends on the matrix
 * and on its own x alone: neither on how rows are split among calls nor on how many inputs share one.
 */
public interface PreparedMatrix {
    /** More bytes of codes than caches hold: if one product follows the other, they come from memory each time. */
    long BEYOND_CACHES = 1L << 25;

    /** The matrix this was made from. */
    CodeMatrix codes();

    /** Native memory that this form holds besides the codes it was made from. */
    long bytes();

    /** Ranges of rows begin at multiples of this number, and end at one or at the last row. */
    int rowStep();

    /** With more inputs than this it is faster to decode the matrix and multiply by BLAS. */
    int mostInputs();

    /**
     * How far a y[i] may be from the exact product at most, whatever the codes: the sum of all that is rounded on the way. Errors
     * as large do not occur unless an adversary chooses codes and x; what to expect is {@link #relativeError}.
     *
     * @param x as for {@link #prepareInput}
     */
    double errorBound(MemorySegment x);

    /**
     * The root mean square of {@code y[i] - exact} to expect at most, as a part of that of y[i], where the elements of x are of a normal
     * distribution, as the transform in front of quantized linears makes them, and codes are equally likely. Errors of single y[i]
     * are two or three times as large; they are independent but for those of products of very few columns, where many rows look
     * up the same entries.
     */
    double relativeError();

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

    /**
     * {@link #multiply} with one input, for codes that come from memory, as those of a whole model do, whose matrices follow each other.
     * Codes that lie in a cache are multiplied faster by the other. The results are the same.
     */
    default void multiplyFromMemory(
            MemorySegment input, MemorySegment y, int firstRow, int lastRow, MemorySegment scratch) {
        multiply(input, 1, y, 4L * codes().rows(), firstRow, lastRow, scratch);
    }

    /**
     * {@link #multiply} of all rows with one input, by all threads of a workspace. Each prepares the input for itself: that takes as
     * long as one of them would take, and nobody waits for a tenth of a megabyte from another processor's cache, which costs a
     * third of a product where the two share none.
     *
     * @param x as for {@link #prepareInput}
     * @param y native; y[i] goes to byte {@code 4 * i}
     * @param tile rows of one task, a multiple of {@link #rowStep}
     * @param fromMemory whether by {@link #multiplyFromMemory}
     */
    default void multiplyOne(MemorySegment x, MemorySegment y, int tile, boolean fromMemory, Workspace workspace) {
        int rows = codes().rows();
        long inputBytes = inputBytes();
        long scratchBytes = scratchBytes(1, tile);
        workspace.run(Math.ceilDiv(rows, tile), inputBytes + scratchBytes, own -> prepareInput(x, own, 0), (i, own) -> {
            MemorySegment scratch = own.asSlice(inputBytes, scratchBytes);
            int from = i * tile;
            int to = Math.min(rows, from + tile);
            if (fromMemory) {
                multiplyFromMemory(own, y, from, to, scratch);
            } else {
                multiply(own, 1, y, 4L * rows, from, to, scratch);
            }
        });
    }
}
