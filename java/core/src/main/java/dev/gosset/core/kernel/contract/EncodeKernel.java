package dev.gosset.core.kernel.contract;

import dev.gosset.core.codebook.Codebook;
import java.lang.foreign.MemorySegment;

/** Nearest codebook points in bulk, float32: the inner loop of LDLQ. Implementations are stateless and thread-safe. */
public interface EncodeKernel {
    /**
     * For each of {@code count} vectors of 8 floats the nearest point and its code.
     *
     * @param x native, {@code 32 * count} bytes: vector i is the floats 8 i .. 8 i + 7
     * @param values native, {@code 32 * count} bytes: receives the points, same layout; may be {@code x} itself
     * @param codes native, {@code 4 * count} bytes: receives the codes as int32 (see {@link Codebook})
     */
    void nearest(Codebook codebook, MemorySegment x, int count, MemorySegment values, MemorySegment codes);
}
