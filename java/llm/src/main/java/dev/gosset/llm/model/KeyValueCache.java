package dev.gosset.llm.model;

import dev.gosset.core.memory.LazyMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The keys and values of one sequence in float32: for each layer and key-value head {@code capacity} rows of
 * {@code headDim} floats, the keys after rotation. Memory is taken page by page as
 * tokens come. One sequence, one caller at a time.
 */
public final class KeyValueCache implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    private final MemorySegment[] keys;
    private final MemorySegment[] values;
    private final int capacity;
    private int length;

    /**
     * @param capacity the longest sequence that fits, in tokens
     */
    public KeyValueCache(ModelConfig config, int capacity) {
        if (capacity < 1) {
            throw new IllegalArgumentException("a cache holds at least 1 token, found " + capacity);
        }
        this.capacity = capacity;
        this.keys = new MemorySegment[config.layers()];
        this.values = new MemorySegment[config.layers()];
        for (int i = 0; i < keys.length; i++) {
            keys[i] = LazyMemory.allocate(arena, 4L * capacity * config.keyValueSize());
            values[i] = LazyMemory.allocate(arena, 4L * capacity * config.keyValueSize());
        }
    }

    /** Bytes that a cache of this capacity takes when it is full. */
    public static long bytes(ModelConfig config, int capacity) {
        return 8L * config.layers() * capacity * config.keyValueSize();
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
