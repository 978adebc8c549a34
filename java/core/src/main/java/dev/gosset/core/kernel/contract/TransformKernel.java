package dev.gosset.core.kernel.contract;

import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.MemorySegment;

/** Batched orthogonal transforms in float32. Implementations are stateless and thread-safe. */
public interface TransformKernel {
    /** Bytes of scratch that {@link #apply} needs for one call, whatever the number of rows. */
    long scratchBytes(HadamardTransform transform);

    /**
     * r, the roundings that count in an element of {@code U x}: it is off by at most {@code r 2^-24 sum |x_i| / sqrt(n)}, to first
     * order, overflow aside.
     */
    double roundings(HadamardTransform transform);

    /** The root mean square of the errors of {@code U x} to expect at most for random x, as a part of that of x. */
    default double relativeError(HadamardTransform transform) {
        return 0x1p-24 * Math.sqrt(roundings(transform));
    }

    /**
     * In place, for each of {@code rows} consecutive rows of n floats: {@code x <- U x}, or {@code U^T x} where
     * {@code transpose}.
     *
     * @param x native, at least {@code 4 * n * rows} bytes, any alignment
     * @param scratch native, at least {@link #scratchBytes}, not shared with another running call
     */
    void apply(HadamardTransform transform, boolean transpose, MemorySegment x, int rows, MemorySegment scratch);

    /**
     * For each of {@code rows} consecutive rows {@code y <- U (f x)}, or {@code U^T (f x)} where {@code transpose}, f taken
     * element by element, or for a Fourier transform pair by pair as complex numbers: with a sign vector as f the way of an activation into a quantized linear.
     *
     * @param x native, at least {@code 4 * n * rows} bytes
     * @param f native, at least {@code 4 * n} bytes
     * @param y as x; either the same place as x or apart from it
     * @param scratch as for {@link #apply}
     */
    void applyToProduct(
            HadamardTransform transform,
            boolean transpose,
            MemorySegment x,
            MemorySegment f,
            MemorySegment y,
            int rows,
            MemorySegment scratch);

    /**
     * In place, for each of {@code rows} consecutive rows {@code x <- f (U x)}, or {@code f (U^T x)} where {@code transpose}, f
     * taken element by element, or for a Fourier transform the conjugates of its pairs: the way out of a quantized linear. Segments as for {@link #applyToProduct}.
     */
    void applyThenMultiply(
            HadamardTransform transform,
            boolean transpose,
            MemorySegment x,
            MemorySegment f,
            int rows,
            MemorySegment scratch);
}
