package dev.gosset.core.kernel;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import java.lang.foreign.MemorySegment;

/** Stands where the codebook kernels will, until they are merged. */
final class PendingKernels implements EncodeKernel, MatvecKernel {
    @Override
    public void nearest(Codebook codebook, MemorySegment x, int count, MemorySegment values, MemorySegment codes) {
        throw pending();
    }

    @Override
    public void matvec(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow) {
        throw pending();
    }

    @Override
    public void decode(CodeMatrix codes, int firstRow, int lastRow, MemorySegment out) {
        throw pending();
    }

    private static UnsupportedOperationException pending() {
        return new UnsupportedOperationException("the codebook kernels are being written");
    }
}
