package dev.gosset.llm.model;

import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.LazyMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The keys and values of one sequence in float16 or float32: for each layer and key-value head {@code capacity} rows of
 * {@code headDim} numbers, the keys after rotation. Memory is taken page by page as tokens come. One sequence, one caller
 * at a time.
 */
public final class KeyValueCache implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    private final MemorySegment[] keys;
    private final MemorySegment[] values;
    private final int capacity;
    private final Dtype dtype;
    private int length;

    /**
     * In float16: half the memory, and half the time of long contexts, for a relative error of up to 2^-11 in each key and
     * value.
     *
     * @param capacity the longest sequence that fits, in tokens
     */
    public KeyValueCache(ModelConfig config, int capacity) {
        this(config, capacity, Dtype.F16);
    }

    /**
     * @param capacity the longest sequence that fits, in tokens
     * @param dtype F16 or F32
     */
    public KeyValueCache(ModelConfig config, int capacity, Dtype dtype) {
        if (dtype != Dtype.F16 && dtype != Dtype.F32) {
            throw new IllegalArgumentException("a cache holds F16 or F32, found " + dtype);
        }
        if (capacity < 1) {
            throw new IllegalArgumentException("a cache holds at least 1 token, found " + capacity);
        }
        this.capacity = capacity;
        this.dtype = dtype;
        this.keys = new MemorySegment[config.layers()];
        this.values = new MemorySegment[config.layers()];
        for (int i = 0; i < keys.length; i++) {
            keys[i] = LazyMemory.allocate(arena, (long) dtype.bytes() * capacity * config.keyValueSize());
            values[i] = LazyMemory.allocate(arena, (long) dtype.bytes() * capacity * config.keyValueSize());
        }
    }

    /** Bytes that a float16 cache of this capacity takes when it is full. */
    public static long bytes(ModelConfig config, int capacity) {
        return 4L * config.layers() * capacity * config.keyValueSize();
    }

    /** How keys and values are stored. */
    public Dtype dtype() {
        return dtype;
    }

    /** Tokens that fit. */
    public int capacity() {
        return capacity;
    }

    /** Tokens that are there. */
    public int length() {
        return length;
    }

    /** Forgets all tokens from position {@code length} on. */
    public void truncate(int length) {
        if (length < 0 || length > this.length) {
            throw new IllegalArgumentException("a cache of " + this.length + " tokens cannot be cut to " + length);
        }
        this.length = length;
    }

    /** Counts {@code tokens} more, whose keys and values every layer has written. */
    void advance(int tokens) {
        length += tokens;
    }

    MemorySegment keys(int layer) {
        return keys[layer];
    }

    MemorySegment values(int layer) {
        return values[layer];
    }

    @Override
    public void close() {
        arena.close();
    }
}
