package dev.gosset.llm.model;

import dev.gosset.core.memory.Dtype;
import java.lang.foreign.Arena;

/**
 * The keys and values of one sequence in float16, float32 or bytes: for each layer and key-value head {@code capacity} rows
 * of {@code headDim} numbers, the keys after rotation. Memory is taken page by page as tokens come. One sequence, one
 * caller at a time.
 */
public final class KeyValueCache implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    private final CachedRows[] keys;
    private final CachedRows[] values;
    private final int capacity;
    private final Dtype dtype;
    private int length;
    private int announced;

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
     * @param dtype F16, F32, or I8: bytes with one float32 scale for each row of a head, a little more than half of float16
     *     for an error of up to 1/254 of the row's largest magnitude in each number
     */
    public KeyValueCache(ModelConfig config, int capacity, Dtype dtype) {
        CachedRows.requireKnown(dtype);
        if (capacity < 1) {
            throw new IllegalArgumentException("a cache holds at least 1 token, found " + capacity);
        }
        this.capacity = capacity;
        this.dtype = dtype;
        this.keys = new CachedRows[config.layers()];
        this.values = new CachedRows[config.layers()];
        for (int i = 0; i < keys.length; i++) {
            keys[i] = rows(config);
            values[i] = rows(config);
        }
    }

    private CachedRows rows(ModelConfig config) {
        return CachedRows.allocate(arena, dtype, (long) capacity * config.keyValueHeads(), config.headDim());
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
        this.announced = 0;
    }

    /**
     * Says that the sequence is going to have at least {@code length} tokens, as of a prompt that comes in pieces: a rotary
     * embedding that changes with the length then turns all pieces alike.
     */
    public void announce(int length) {
        announced = length;
    }

    /** Tokens that the sequence is known to have once it has {@code length}. */
    int known(int length) {
        return Math.max(length, announced);
    }

    /** Counts {@code tokens} more, whose keys and values every layer has written. */
    void advance(int tokens) {
        length += tokens;
    }

    CachedRows keys(int layer) {
        return keys[layer];
    }

    CachedRows values(int layer) {
        return values[layer];
    }

    @Override
    public void close() {
        arena.close();
    }
}
