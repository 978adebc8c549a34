package dev.gosset.core.kernel;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.MemorySegment;

/**
 * The oracle of the transform kernels: each row is widened to float64, transformed by {@link HadamardTransform} and rounded
 * once. Stateless, thread-safe, allocates nothing.
 */
public final class ScalarTransform implements TransformKernel {
    @Override
    public long scratchBytes(HadamardTransform transform) {
        return transform.workBytes();
    }

    @Override
    public void apply(
            HadamardTransform transform, boolean transpose, MemorySegment x, int rows, MemorySegment scratch) {
        check(transform, x, rows, scratch, scratchBytes(transform));
        int n = transform.n();
        for (int row = 0; row < rows; row++) {
            long at = 4L * n * row;
            for (int i = 0; i < n; i++) {
                scratch.set(JAVA_DOUBLE_UNALIGNED, 8L * i, x.get(JAVA_FLOAT_UNALIGNED, at + 4L * i));
            }
            transform.apply(scratch, transpose);
            for (int i = 0; i < n; i++) {
                x.set(JAVA_FLOAT_UNALIGNED, at + 4L * i, (float) scratch.get(JAVA_DOUBLE_UNALIGNED, 8L * i));
            }
        }
    }

    /** Refuses segments that are too short, or not native. */
    static void check(
            HadamardTransform transform, MemorySegment x, int rows, MemorySegment scratch, long scratchBytes) {
        long bytes = 4L * transform.n() * rows;
        if (rows < 0 || x.byteSize() < bytes || scratch.byteSize() < scratchBytes) {
            throw new IllegalArgumentException(rows + " rows of " + transform.n() + " floats need " + bytes
                    + " bytes and " + scratchBytes + " of scratch, found " + x.byteSize() + " and "
                    + scratch.byteSize());
        }
        if (!x.isNative() || !scratch.isNative()) {
            throw new IllegalArgumentException("a kernel works on native segments, found one on the heap");
        }
    }
}
