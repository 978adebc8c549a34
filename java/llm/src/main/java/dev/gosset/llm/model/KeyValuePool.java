package dev.gosset.llm.model;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.VectorAttention;
import dev.gosset.core.kernel.VectorMath;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.LazyMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;

/**
 * Memory for the keys and values of many sequences: a fixed number of blocks, each with room for {@value #BLOCK} positions of
 * one sequence in all layers. A {@link KeyValueCache} takes the blocks that it will need when it is made and gives them back when it is
 * closed.
 *
 * <p>Full blocks are shared: sequences that begin with the same {@value #BLOCK} tokens, or go on with the same ones behind a shared block,
 * read the same block. A block that nobody uses keeps what it holds until its memory is needed, the least recently used first.
 *
 * <p>A block holds, layer after layer, the keys of each head ({@value #BLOCK} rows of {@code dim} numbers) and then the values; where
 * they are bytes, the float32 scales of the rows follow in the same order. Memory is taken page by page as rows are written.
 * One thread at a time; tasks of one thread's job may store and read different rows.
 */
public final class KeyValuePool implements AutoCloseable {
    /** Positions of a block. */
    public static final int BLOCK = 64;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final int heads;
    private final int dim;
    private final Dtype dtype;
    private final long dataBytes;
    private final long blockBytes;

    /** Sequences that use a block. */
    private final int[] users;

    /** What a block holds, where another sequence may find it by that. */
    private final Content[] contents;

    private final Map<Content, Integer> known = new HashMap<>();
    /** Blocks that nobody uses, those first whose content is the least worth keeping. */
    private final LinkedHashSet<Integer> free = new LinkedHashSet<>();

    private int sharedLength = Integer.MAX_VALUE;
    private boolean closed;

    /**
     * The tokens of a full block behind those of the blocks before it. Two are equal where all tokens are: a chain is compared
     * by the object of its last block, of which there is one.
     */
    static final class Content {
        private final Content before;
        private final int[] tokens;
        private final int hash;

        Content(Content before, int[] tokens) {
            this.before = before;
            this.tokens = tokens;
            this.hash = 31 * System.identityHashCode(before) + Arrays.hashCode(tokens);
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Content c && c.before == before && Arrays.equals(c.tokens, tokens);
        }

        @Override
        public int hashCode() {
            return hash;
        }
    }

    /**
     * @param blocks how many, at least 1
     * @param dtype F16, F32, or I8: bytes with one float32 scale for each row of a head, a little more than half of float16
     *     for an error of up to 1/254 of the row's largest magnitude in each number
     */
    public KeyValuePool(ModelConfig config, int blocks, Dtype dtype) {
        this(config.layers(), config.keyValueHeads(), config.headDim(), blocks, dtype);
    }

    /** A pool for {@code layers} layers with {@code heads} heads of keys and values of dimension {@code dim}. */
    public KeyValuePool(int layers, int heads, int dim, int blocks, Dtype dtype) {
        requireKnown(dtype);
        if (blocks < 1) {
            throw new IllegalArgumentException("a pool has at least 1 block, found " + blocks);
        }
        this.heads = heads;
        this.dim = dim;
        this.dtype = dtype;
        this.dataBytes = rows(layers, heads) * dim * dtype.bytes();
        this.blockBytes = blockBytes(layers, heads, dim, dtype);
        this.users = new int[blocks];
        this.contents = new Content[blocks];
        this.memory = LazyMemory.allocate(arena, Math.multiplyExact(blockBytes, blocks));
        for (int i = 0; i < blocks; i++) {
            free.add(i);
        }
    }

    /**
     * Has blocks be shared only among sequences that are known to be no longer than this: beyond it, the keys of some models depend on
     * how long the sequence was when they came.
     */
    KeyValuePool withSharedLength(int length) {
        sharedLength = length;
        return this;
    }

    int sharedLength() {
        return sharedLength;
    }

    static void requireKnown(Dtype dtype) {
        if (dtype != Dtype.F16 && dtype != Dtype.F32 && dtype != Dtype.I8) {
            throw new IllegalArgumentException("a cache holds F16, F32 or I8, found " + dtype);
        }
    }

    private static long rows(int layers, int heads) {
        return 2L * layers * heads * BLOCK;
    }

    /** The scales of bytes stand behind them, so that narrow vectors may read over the last row's end. */
    private static long blockBytes(int layers, int heads, int dim, Dtype dtype) {
        long bytes = rows(layers, heads) * (dim * dtype.bytes() + (dtype == Dtype.I8 ? 4 : 0));
        return (bytes + 63) & -64L;
    }

    /** Bytes of a block of a model. */
    public static long blockBytes(ModelConfig config, Dtype dtype) {
        return blockBytes(config.layers(), config.keyValueHeads(), config.headDim(), dtype);
    }

    /** Blocks that hold {@code tokens} positions. */
    public static int blocksFor(int tokens) {
        return Math.ceilDiv(tokens, BLOCK);
    }

    /** How keys and values are stored. */
    public Dtype dtype() {
        return dtype;
    }

    /** All blocks. */
    public int blocks() {
        return users.length;
    }

    /** Blocks that sequences use or have reserved. */
    public int blocksInUse() {
        return users.length - free.size();
    }

    /**
     * Takes the blocks of a new sequence. What the pool still knows of its first tokens is there already, and
     * {@link KeyValueCache#length} says how many those are: whole blocks, and never the last token, so that there is something to run.
     *
     * @param tokens the first tokens of the sequence
     * @param capacity the longest that it gets, in tokens, at least 1
     * @return empty where too few blocks are free now
     */
    public Optional<KeyValueCache> reserve(int[] tokens, int capacity) {
        if (capacity < 1) {
            throw new IllegalArgumentException("a cache holds at least 1 token, found " + capacity);
        }
        int[] blocks = new int[blocksFor(capacity)];
        int shared = 0;
        int unused = 0;
        Content last = null;
        int most = tokens.length > sharedLength ? 0 : Math.min(tokens.length - 1, capacity) / BLOCK;
        while (shared < most) {
            Content content = new Content(last, Arrays.copyOfRange(tokens, shared * BLOCK, (shared + 1) * BLOCK));
            Integer block = known.get(content);
            if (block == null) {
                break;
            }
            last = contents[block];
            unused += users[block] == 0 ? 1 : 0;
            blocks[shared++] = block;
        }
        if (blocks.length - shared > free.size() - unused) {
            return Optional.empty();
        }
        for (int i = 0; i < shared; i++) {
            use(blocks[i]);
        }
        for (int i = shared; i < blocks.length; i++) {
            blocks[i] = free.getFirst();
            forget(blocks[i]);
            use(blocks[i]);
        }
        KeyValueCache cache = new KeyValueCache(this, blocks, tokens, shared * BLOCK, capacity, last);
        cache.announce(tokens.length);
        return Optional.of(cache);
    }

    private void use(int block) {
        users[block]++;
        free.remove(block);
    }

    private void forget(int block) {
        if (contents[block] != null) {
            known.remove(contents[block]);
            contents[block] = null;
        }
    }

    /** Gives the blocks of a sequence back. */
    void release(int[] blocks) {
        // The last ones first: without those before it a block cannot be found.
        for (int i = blocks.length - 1; i >= 0; i--) {
            int block = blocks[i];
            if (--users[block] > 0) {
                continue;
            }
            if (contents[block] == null) {
                free.addFirst(block);
            } else {
                free.addLast(block);
            }
        }
    }

    /**
     * Says what a block that has become full holds.
     *
     * @return the content as others know it
     */
    Content full(int block, Content before, int[] tokens) {
        Content content = new Content(before, tokens);
        Integer same = known.get(content);
        if (same != null) {
            return contents[same];
        }
        known.put(content, block);
        contents[block] = content;
        return content;
    }

    /** The number of the first row of a head's keys or values in its block. */
    private long row(int layer, boolean values, int head) {
        return ((2L * layer + (values ? 1 : 0)) * heads + head) * BLOCK;
    }

    private long dataAt(int block, long row) {
        return block * blockBytes + row * dim * dtype.bytes();
    }

    private long scaleAt(int block, long row) {
        return block * blockBytes + dataBytes + 4 * row;
    }

    /** Stores a key or a value that lies as floats from byte {@code at} of {@code x} on. */
    void store(MemorySegment x, long at, int block, int layer, boolean values, int head, int place) {
        long row = row(layer, values, head) + place;
        long to = dataAt(block, row);
        switch (dtype) {
            case F16 -> VectorAttention.narrow(x, at, memory, to, dim);
            case I8 -> VectorAttention.narrowToBytes(x, at, memory, to, memory, scaleAt(block, row), dim);
            default -> MemorySegment.copy(x, at, memory, to, 4L * dim);
        }
    }

    /**
     * The products of queries with {@code count} keys of a block from {@code place} on.
     *
     * @param scores in the same segment as the queries: those of a query {@code stride} bytes before those of the next
     */
    void scores(
            MemorySegment scratch,
            long queries,
            int queryCount,
            int block,
            int layer,
            int head,
            int place,
            int count,
            long scores,
            long stride) {
        long row = row(layer, false, head) + place;
        long at = dataAt(block, row);
        switch (dtype) {
            case F16 ->
                VectorAttention.scores(scratch, queries, queryCount, memory, at, count, dim, scratch, scores, stride);
            case I8 ->
                VectorAttention.scoresOfBytes(
                        scratch,
                        queries,
                        queryCount,
                        memory,
                        at,
                        memory,
                        scaleAt(block, row),
                        count,
                        dim,
                        scratch,
                        scores,
                        stride);
            default -> {
                Operand keys = Operand.floats(memory.asSlice(at, 4L * count * dim), count, dim);
                for (int i = 0; i < queryCount; i++) {
                    MemorySegment query = scratch.asSlice(queries + 4L * i * dim, 4L * dim);
                    Blas.gemv(keys, query, scratch.asSlice(scores + stride * i, 4L * count));
                }
            }
        }
    }

    /**
     * Adds {@code count} values of a block from {@code place} on, each times its weight, to the outputs of queries.
     *
     * @param weights as the scores
     * @param add whether outputs go on from what is there
     * @param spare dim floats of scratch
     */
    void mix(
            MemorySegment scratch,
            long weights,
            long stride,
            int queryCount,
            int block,
            int layer,
            int head,
            int place,
            int count,
            MemorySegment out,
            long to,
            boolean add,
            long spare) {
        long row = row(layer, true, head) + place;
        long at = dataAt(block, row);
        switch (dtype) {
            case F16 -> VectorAttention.mix(scratch, weights, stride, queryCount, memory, at, count, dim, out, to, add);
            case I8 ->
                VectorAttention.mixBytes(
                        scratch,
                        weights,
                        stride,
                        queryCount,
                        memory,
                        at,
                        memory,
                        scaleAt(block, row),
                        count,
                        dim,
                        out,
                        to,
                        add);
            default -> {
                Operand values = Operand.floats(memory.asSlice(at, 4L * count * dim), count, dim);
                for (int i = 0; i < queryCount; i++) {
                    MemorySegment own = scratch.asSlice(weights + stride * i, 4L * count);
                    MemorySegment sum = out.asSlice(to + 4L * i * dim, 4L * dim);
                    MemorySegment y = add ? scratch.asSlice(spare, 4L * dim) : sum;
                    Blas.gemv(values.transpose(), own, y);
                    if (add) {
                        VectorMath.add(y, 0, sum, 0, dim);
                    }
                }
            }
        }
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            arena.close();
        }
    }
}
