package dev.gosset.core.kernel.contract;

import dev.gosset.core.codebook.CodeMatrix;
import java.lang.foreign.MemorySegment;

/**
 * The form for kernels that read codes as they are stored: no copy of the matrix; a prepared input is x itself.
 *
 * @param kernel multiplies
 * @param codes the stored codes
 */
record DirectMatrix(MatvecKernel kernel, CodeMatrix codes) implements PreparedMatrix {
    @Override
    public long bytes() {
        return 0;
    }

    @Override
    public int rowStep() {
        return 1;
    }

    @Override
    public int mostInputs() {
        return 4;
    }

    @Override
    public double errorBound(MemorySegment x) {
        return kernel.errorBound(codes, x);
    }

    @Override
    public double relativeError() {
        return kernel.relativeError(codes);
    }

    @Override
    public long inputBytes() {
        return (4L * 8 * codes.groups() + 63) & -64L;
    }

    @Override
    public long scratchBytes(int count, int rows) {
        return 0;
    }

    @Override
    public void prepareInput(MemorySegment x, MemorySegment inputs, long offset) {
        MemorySegment.copy(x, 0, inputs, offset, 4L * 8 * codes.groups());
    }

    @Override
    public void multiply(
            MemorySegment inputs,
            int count,
            MemorySegment y,
            long yStride,
            int firstRow,
            int lastRow,
            MemorySegment scratch) {
        for (int t = 0; t < count; t++) {
            kernel.matvec(
                    codes,
                    inputs.asSlice(inputBytes() * t, inputBytes()),
                    y.asSlice(yStride * t, 4L * codes.rows()),
                    firstRow,
                    lastRow);
        }
    }
}
