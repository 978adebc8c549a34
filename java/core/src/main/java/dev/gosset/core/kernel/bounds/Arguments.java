package dev.gosset.core.kernel.bounds;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import java.lang.foreign.MemorySegment;

/**
 * Checks that the kernels for codes share. Apart from the vector kernels, so that the scalar ones run in a JVM without the
 * module jdk.incubator.vector.
 */
public final class Arguments {
    private static final int ROW = 4 * Codebook.DIMENSION;

    private Arguments() {}

    public static void check(MemorySegment x, int count, MemorySegment values, MemorySegment codes) {
        if (count < 0
                || x.byteSize() < (long) ROW * count
                || values.byteSize() < (long) ROW * count
                || codes.byteSize() < 4L * count) {
            throw new IllegalArgumentException(count + " vectors need x and values of " + (long) ROW * count
                    + " bytes and codes of " + 4L * count + ", found " + x.byteSize() + ", " + values.byteSize()
                    + " and "
                    + codes.byteSize());
        }
    }

    public static void check(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow) {
        checkRows(codes, firstRow, lastRow);
        if (x.byteSize() < (long) ROW * codes.groups() || y.byteSize() < 4L * codes.rows()) {
            throw new IllegalArgumentException("a product with " + codes.rows() + " x " + codes.cols()
                    + " codes needs x of " + (long) ROW * codes.groups() + " bytes and y of " + 4L * codes.rows()
                    + ", found " + x.byteSize() + " and " + y.byteSize());
        }
    }

    public static void check(CodeMatrix codes, int firstRow, int lastRow, MemorySegment out) {
        checkRows(codes, firstRow, lastRow);
        long bytes = (long) ROW * codes.groups() * (lastRow - firstRow);
        if (out.byteSize() < bytes) {
            throw new IllegalArgumentException("decoding rows " + firstRow + " to " + lastRow + " of " + codes.cols()
                    + " columns needs " + bytes + " bytes, found " + out.byteSize());
        }
    }

    /** What {@link PreparedMatrix#prepareInput} of a matrix that repacked its codes asks for. */
    public static void checkInput(PreparedMatrix matrix, MemorySegment x, MemorySegment inputs, long offset) {
        long bytes = (long) ROW * matrix.codes().groups();
        if (x.byteSize() < bytes || inputs.byteSize() - offset < matrix.inputBytes()) {
            throw new IllegalArgumentException("an input of " + matrix.codes().cols() + " columns needs x of " + bytes
                    + " bytes and room for " + matrix.inputBytes() + ", found " + x.byteSize() + " and "
                    + (inputs.byteSize() - offset));
        }
    }

    /** What {@link PreparedMatrix#multiply} of such a matrix asks for. */
    public static void checkProducts(
            PreparedMatrix matrix,
            MemorySegment inputs,
            int count,
            MemorySegment y,
            long yStride,
            int firstRow,
            int lastRow,
            MemorySegment scratch) {
        CodeMatrix codes = matrix.codes();
        int step = matrix.rowStep();
        if (count < 1
                || firstRow < 0
                || firstRow % step != 0
                || lastRow < firstRow
                || lastRow > codes.rows()
                || (lastRow % step != 0 && lastRow != codes.rows())) {
            throw new IllegalArgumentException(count + " products with rows " + firstRow + " to " + lastRow + " of "
                    + codes.rows() + ": ranges begin and end at multiples of " + step);
        }
        long inputBytes = matrix.inputBytes() * count;
        long outBytes = yStride * (count - 1) + 4L * lastRow;
        long scratchBytes = matrix.scratchBytes(count, lastRow - firstRow);
        if (inputs.byteSize() < inputBytes || y.byteSize() < outBytes || scratch.byteSize() < scratchBytes) {
            throw new IllegalArgumentException(count + " products with " + codes.rows() + " x " + codes.cols()
                    + " codes need inputs of " + inputBytes + " bytes, y of " + outBytes + " and scratch of "
                    + scratchBytes + ", found " + inputs.byteSize() + ", " + y.byteSize() + " and "
                    + scratch.byteSize());
        }
    }

    private static void checkRows(CodeMatrix codes, int firstRow, int lastRow) {
        if (firstRow < 0 || lastRow < firstRow || lastRow > codes.rows()) {
            throw new IllegalArgumentException(
                    "rows " + firstRow + " to " + lastRow + " of a matrix of " + codes.rows() + " rows");
        }
    }
}
