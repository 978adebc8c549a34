package dev.gosset.core.kernel;

import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.MemorySegment;

/** Batched orthogonal transforms in float32. Implementations are stateless and thread-safe. */
public interface TransformKernel {
    /** Bytes of scratch that {@link #apply} needs for one call, whatever the number of rows. */
    long scratchBytes(HadamardTransform transform);

    /**
     * In place, for each of {@code rows} consecutive rows of n floats: {@code x <- U x}, or {@code U^T x} where
     * {@code transpose}.
     *
     * @param x native, at least {@code 4 * n * rows} bytes, any alignment
     * @param scratch native, at least {@link #scratchBytes}, not shared with another running call
     */
    void apply(HadamardTransform transform, boolean transpose, MemorySegment x, int rows, MemorySegment scratch);
}
