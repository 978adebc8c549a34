package dev.gosset.core.kernel;

import dev.gosset.core.codebook.CodeMatrix;
import java.lang.foreign.MemorySegment;

/**
 * Checks that the kernels for codes share. Apart from the vector kernels, so that the scalar ones run in a JVM without the
 * module jdk.incubator.vector.
 */
final class Arguments {
    private static final int ROW = PointTables.ROW;

    private Arguments() {}

    static void check(MemorySegment x, int count, MemorySegment values, MemorySegment codes) {
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

    static void check(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow) {
        checkRows(codes, firstRow, lastRow);
        if (x.byteSize() < (long) ROW * codes.groups() || y.byteSize() < 4L * codes.rows()) {
            throw new IllegalArgumentException("a product with " + codes.rows() + " x " + codes.cols()
                    + " codes needs x of " + (long) ROW * codes.groups() + " bytes and y of " + 4L * codes.rows()
                    + ", found " + x.byteSize() + " and " + y.byteSize());
        }
    }

    static void check(CodeMatrix codes, int firstRow, int lastRow, MemorySegment out) {
        checkRows(codes, firstRow, lastRow);
        long bytes = (long) ROW * codes.groups() * (lastRow - firstRow);
        if (out.byteSize() < bytes) {
            throw new IllegalArgumentException("decoding rows " + firstRow + " to " + lastRow + " of " + codes.cols()
                    + " columns needs " + bytes + " bytes, found " + out.byteSize());
        }
    }

    private static void checkRows(CodeMatrix codes, int firstRow, int lastRow) {
        if (firstRow < 0 || lastRow < firstRow || lastRow > codes.rows()) {
            throw new IllegalArgumentException(
                    "rows " + firstRow + " to " + lastRow + " of a matrix of " + codes.rows() + " rows");
        }
    }
}
