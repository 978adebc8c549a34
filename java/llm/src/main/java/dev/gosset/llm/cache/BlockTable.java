package dev.gosset.llm.cache;

import java.util.Arrays;

/**
 * The tokens of one sequence and the blocks in which its keys and values are. Closing gives the blocks back; it may be done
 * twice. One thread at a time, and one at a time of all tables of a pool.
 */
public final class BlockTable implements AutoCloseable {
    /** Null where the blocks are this sequence's alone. */
    private final BlockPool pool;

    private final int[] blocks;
    private final int[] tokens;
    /** What the last full block holds that others may find. */
    private BlockPool.Content last;

    private boolean shares;
    private int length;
    private int announced;
    private boolean closed;

    BlockTable(BlockPool pool, int[] blocks, int[] first, int length, int capacity, BlockPool.Content last) {
        this.pool = pool;
        this.blocks = blocks;
        this.tokens = Arrays.copyOf(Arrays.copyOf(first, length), capacity);
        this.length = length;
        this.last = last;
        this.shares = pool != null;
        this.announced = first.length;
    }

    /** A table of a sequence that has a memory to itself, its blocks from number 0 on. */
    public static BlockTable alone(int capacity) {
        int[] blocks = new int[BlockPool.blocksFor(capacity)];
        Arrays.setAll(blocks, i -> i);
        return new BlockTable(null, blocks, new int[0], 0, capacity, null);
    }

    /** Tokens that fit. */
    public int capacity() {
        return tokens.length;
    }

    /** Tokens that are there. */
    public int length() {
        return length;
    }

    /** How many blocks there are. */
    public int blocks() {
        return blocks.length;
    }

    /** Number {@code index} of the blocks: that of the positions from {@code index} times {@value BlockPool#BLOCK} on. */
    public int block(int index) {
        return blocks[index];
    }

    /** Forgets all tokens from position {@code length} on; for a sequence that has a memory to itself. */
    public void truncate(int length) {
        if (pool != null) {
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
    public int known(int length) {
        return Math.max(length, announced);
    }

    /** Counts tokens whose keys and values every layer has written. Blocks that they fill may be shared. */
    public void advance(int[] more) {
        int full = length / BlockPool.BLOCK;
        append(more);
        if (!shares || known(length) > pool.sharedLength()) {
            return;
        }
        for (; full < length / BlockPool.BLOCK; full++) {
            int from = full * BlockPool.BLOCK;
            int[] content = Arrays.copyOfRange(tokens, from, from + BlockPool.BLOCK);
            last = pool.full(blocks[full], last, content);
        }
    }

    /**
     * Counts tokens whose keys and values are not what another sequence would compute for them, bit for bit: the blocks that they are in, and
     * those behind, are not shared.
     */
    public void advanceAlone(int... more) {
        shares = false;
        append(more);
    }

    private void append(int[] more) {
        System.arraycopy(more, 0, tokens, length, more.length);
        length += more.length;
    }

    /**
     * @throws IllegalArgumentException where {@code more} tokens do not fit
     * @throws IllegalStateException where the blocks are given back
     */
    public void requireRoom(int more) {
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
        if (!closed) {
            closed = true;
            if (pool != null) {
                pool.release(blocks);
            }
        }
    }
}
