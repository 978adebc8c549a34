package dev.gosset.llm.model;

import dev.gosset.core.memory.Dtype;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * The keys and values of one sequence, in blocks of a {@link KeyValuePool}. Closing gives the blocks back; it may be done twice.
 * One caller at a time, and one at a time of all caches of a pool.
 */
public final class KeyValueCache implements AutoCloseable {
    private final KeyValuePool pool;
    private final int[] blocks;
    private final int[] tokens;
    private final boolean ownsPool;
    /** What the last full block holds. */
    private KeyValuePool.Content last;

    private int length;
    private int announced;
    private boolean closed;

    /** A cache of a pool of its own, in float16. */
    public KeyValueCache(ModelConfig config, int capacity) {
        this(config, capacity, Dtype.F16);
    }

    /**
     * A cache of a pool of its own.
     *
     * @param capacity the longest sequence that fits, in tokens
     * @param dtype as {@link KeyValuePool} has it
     */
    public KeyValueCache(ModelConfig config, int capacity, Dtype dtype) {
        this(
                new KeyValuePool(config, Math.max(1, KeyValuePool.blocksFor(capacity)), dtype),
                new int[KeyValuePool.blocksFor(capacity)],
                new int[0],
                0,
                capacity,
                null,
                true);
        Arrays.setAll(blocks, i -> i);
    }

    KeyValueCache(KeyValuePool pool, int[] blocks, int[] first, int length, int capacity, KeyValuePool.Content last) {
        this(pool, blocks, first, length, capacity, last, false);
    }

    private KeyValueCache(
            KeyValuePool pool,
            int[] blocks,
            int[] first,
            int length,
            int capacity,
            KeyValuePool.Content last,
            boolean ownsPool) {
        this.pool = pool;
        this.blocks = blocks;
        this.tokens = Arrays.copyOf(Arrays.copyOf(first, length), capacity);
        this.length = length;
        this.last = last;
        this.ownsPool = ownsPool;
    }

    /** How keys and values are stored. */
    public Dtype dtype() {
        return pool.dtype();
    }

    /** Tokens that fit. */
    public int capacity() {
        return tokens.length;
    }

    /** Tokens that are there. */
    public int length() {
        return length;
    }

    /** Forgets all tokens from position {@code length} on; for a cache with a pool of its own. */
    public void truncate(int length) {
        if (!ownsPool) {
            throw new IllegalStateException("a cache whose blocks others may read is not cut");
        }
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

    KeyValuePool pool() {
        return pool;
    }

    /** The block of a position. */
    int block(int position) {
        return blocks[position / KeyValuePool.BLOCK];
    }

    /** Stores the key and the value of one head, which lie as floats from bytes {@code keyAt} and {@code valueAt} on. */
    public void store(
            int layer, int head, int position, MemorySegment key, long keyAt, MemorySegment value, long valueAt) {
        int place = position % KeyValuePool.BLOCK;
        pool.store(key, keyAt, block(position), layer, false, head, place);
        pool.store(value, valueAt, block(position), layer, true, head, place);
    }

    /** Counts tokens whose keys and values every layer has written. */
    void advance(int[] more) {
        System.arraycopy(more, 0, tokens, length, more.length);
        int full = length / KeyValuePool.BLOCK;
        length += more.length;
        if (ownsPool || known(length) > pool.sharedLength()) {
            return;
        }
        for (; full < length / KeyValuePool.BLOCK; full++) {
            int from = full * KeyValuePool.BLOCK;
            int[] content = Arrays.copyOfRange(tokens, from, from + KeyValuePool.BLOCK);
            last = pool.full(blocks[full], last, content);
        }
    }

    void requireRoom(int more) {
        if (closed) {
            throw new IllegalStateException("the cache is closed");
        }
        if (more > capacity() - length) {
            throw new IllegalArgumentException(
                    more + " tokens do not fit a cache of " + capacity() + " that holds " + length);
        }
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        if (ownsPool) {
            pool.close();
        } else {
            pool.release(blocks);
        }
    }
}
