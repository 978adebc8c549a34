package dev.gosset.llm.model;

import dev.gosset.core.kernel.VectorAttention;
import dev.gosset.core.memory.Dtype;
import java.lang.foreign.MemorySegment;

/**
 * The keys or the values of one layer: for each key-value head {@code capacity} rows of {@code dim} numbers.
 *
 * @param data the rows
 * @param scales for I8 the rows' scales, in the same order; null otherwise
 * @param dtype F32, F16 or I8
 */
record CachedRows(MemorySegment data, MemorySegment scales, Dtype dtype) {
    /** Stores a row that lies as floats from byte {@code at} of {@code x} on. */
    void store(MemorySegment x, long at, long row, int dim) {
        switch (dtype) {
            case F16 -> VectorAttention.narrow(x, at, data, 2 * row * dim, dim);
            case I8 -> VectorAttention.narrowToBytes(x, at, data, row * dim, scales, 4 * row, dim);
            default -> MemorySegment.copy(x, at, data, 4 * row * dim, 4L * dim);
        }
    }

    /** Copies {@code count} rows as floats. */
    void widen(long first, int count, int dim, MemorySegment out) {
        switch (dtype) {
            case F16 -> VectorAttention.widen(data, 2 * first * dim, out, 0, count * dim);
            case I8 -> VectorAttention.widenBytes(data, first * dim, scales, 4 * first, out, 0, count, dim);
            default -> MemorySegment.copy(data, 4 * first * dim, out, 0, 4L * count * dim);
        }
    }
}
