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
}
