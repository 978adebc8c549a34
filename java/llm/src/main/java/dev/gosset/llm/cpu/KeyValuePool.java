package dev.gosset.llm.cpu;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.dense.VectorAttention;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.LazyMemory;
import dev.gosset.llm.cache.BlockPool;
import dev.gosset.llm.plan.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Memory of the processor for the keys and values of many sequences, in the blocks of a {@link BlockPool}. A {@link KeyValueCache}
 * takes the blocks that it will need when it is made and gives them back when it is closed.
 *
 * <p>A block holds, layer after layer, the keys of each head ({@value #BLOCK} rows of {@code dim} numbers) and then the values; where
 * they are bytes, the float32 scales of the rows follow in the same order. Memory is taken page by page as rows are written.
 * One thread at a time; tasks of one thread's job may store and read different rows.
 */
public final class KeyValuePool implements AutoCloseable {
    /** Positions of a block. */
    public static final int BLOCK = BlockPool.BLOCK;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final int heads;
    private final int dim;
    private final Dtype dtype;
    private final long dataBytes;
    private final long blockBytes;
    private final BlockPool book;
    private boolean closed;

    /**
     * @param blocks how many, at least 1
     * @param dtype F16, F32, or I8: bytes with one float32 scale for each row of a head, a little more than half of float16
     *     for an error of up to 1/254 of the row's largest magnitude in each number
     */
    public KeyValuePool(ModelConfig config, int blocks, Dtype dtype) {
        this(config.layers(), config.keyValueHeads(), config.headDim(), blocks, dtype, config.fixedLength());
    }

    /**
     * A pool for {@code layers} layers with {@code heads} heads of keys and values of dimension {@code dim}.
     *
     * @param sharedLength as {@link BlockPool} has it
     */
    public KeyValuePool(int layers, int heads, int dim, int blocks, Dtype dtype, int sharedLength) {
        requireKnown(dtype);
        this.heads = heads;
        this.dim = dim;
        this.dtype = dtype;
        this.dataBytes = rows(layers, heads) * dim * dtype.bytes();
        this.blockBytes = blockBytes(layers, heads, dim, dtype);
        this.book = new BlockPool(blocks, BLOCK, sharedLength);
        this.memory = LazyMemory.allocate(arena, Math.multiplyExact(blockBytes, blocks));
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
        return BlockPool.blocksFor(tokens);
    }

    /** How keys and values are stored. */
    public Dtype dtype() {
        return dtype;
    }

    /** All blocks. */
    public int blocks() {
        return book.blocks();
    }

    /** Blocks that sequences use or have reserved. */
    public int blocksInUse() {
        return book.blocksInUse();
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
        return book.reserve(tokens, capacity).map(table -> new KeyValueCache(this, table));
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
