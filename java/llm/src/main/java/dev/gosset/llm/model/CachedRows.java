package dev.gosset.llm.model;

import dev.gosset.core.kernel.VectorAttention;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.LazyMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The keys or the values of one layer: for each key-value head {@code capacity} rows of {@code dim} numbers. Rows are stored
 * and read without synchronization.
 *
 * @param data the rows; for I8 with {@value VectorAttention#BEHIND} bytes behind them
 * @param scales for I8 the rows' scales, in the same order; null otherwise
 * @param dtype F32, F16 or I8
 */
public record CachedRows(MemorySegment data, MemorySegment scales, Dtype dtype) {
    /** Room for {@code rows} rows, of which memory is taken page by page as they are written. */
    public static CachedRows allocate(Arena arena, Dtype dtype, long rows, int dim) {
        requireKnown(dtype);
        boolean bytes = dtype == Dtype.I8;
        return new CachedRows(
                LazyMemory.allocate(arena, dtype.bytes() * rows * dim + (bytes ? VectorAttention.BEHIND : 0)),
                bytes ? LazyMemory.allocate(arena, 4 * rows) : null,
                dtype);
    }

    static void requireKnown(Dtype dtype) {
        if (dtype != Dtype.F16 && dtype != Dtype.F32 && dtype != Dtype.I8) {
            throw new IllegalArgumentException("a cache holds F16, F32 or I8, found " + dtype);
        }
    }

    /** Stores a row that lies as floats from byte {@code at} of {@code x} on. */
    public void store(MemorySegment x, long at, long row, int dim) {
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
