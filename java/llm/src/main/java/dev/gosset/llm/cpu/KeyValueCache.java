package dev.gosset.llm.cpu;

import dev.gosset.core.memory.Dtype;
import dev.gosset.llm.cache.BlockTable;
import dev.gosset.llm.plan.ModelConfig;
import java.lang.foreign.MemorySegment;

/**
 * The keys and values of one sequence, in blocks of a {@link KeyValuePool}. Closing gives the blocks back; it may be done twice.
 * One caller at a time, and one at a time of all caches of a pool.
 */
public final class KeyValueCache implements AutoCloseable {
    private final KeyValuePool pool;
    private final BlockTable table;
    private final boolean ownsPool;

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
        this.pool = new KeyValuePool(config, Math.max(1, KeyValuePool.blocksFor(capacity)), dtype);
        this.table = BlockTable.alone(capacity);
        this.ownsPool = true;
    }

    KeyValueCache(KeyValuePool pool, BlockTable table) {
        this.pool = pool;
        this.table = table;
        this.ownsPool = false;
    }

    /** How keys and values are stored. */
    public Dtype dtype() {
        return pool.dtype();
    }

    /** Tokens that fit. */
    public int capacity() {
        return table.capacity();
    }

    /** Tokens that are there. */
    public int length() {
        return table.length();
    }

    /** Forgets all tokens from position {@code length} on; for a cache with a pool of its own. */
    public void truncate(int length) {
        table.truncate(length);
    }

    /**
     * Says that the sequence is going to have at least {@code length} tokens, as of a prompt that comes in pieces: a rotary
     * embedding that changes with the length then turns all pieces alike.
     */
    public void announce(int length) {
        table.announce(length);
    }

    /** Tokens that the sequence is known to have once it has {@code length}. */
    int known(int length) {
        return table.known(length);
    }

    KeyValuePool pool() {
        return pool;
    }

    /** The block of a position. */
    int block(int position) {
        return table.block(position / KeyValuePool.BLOCK);
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
        table.advance(more);
    }

    void requireRoom(int more) {
        table.requireRoom(more);
    }

    @Override
    public void close() {
        table.close();
        if (ownsPool) {
            pool.close();
        }
    }
}
