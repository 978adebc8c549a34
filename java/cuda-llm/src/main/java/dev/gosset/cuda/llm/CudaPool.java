package dev.gosset.cuda.llm;

import dev.gosset.core.memory.Construction;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceMemory;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.cache.BlockPool;
import dev.gosset.llm.cache.BlockTable;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.RotaryTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Memory of the device for keys and values in float16, in the blocks of a {@link BlockPool}; the tables that say which
 * sequence has which; and the angles of all positions. A sequence has a line of the tables while it is there. All of it is allocated at once.
 *
 * <p>One thread at a time.
 */
final class CudaPool implements AutoCloseable {
    private final CacheShape shape;
    private final BlockPool book;
    private final Resources owned = new Resources();
    private final DeviceBuffer memory;
    private final DeviceBuffer tables;
    private final DeviceBuffer angles;
    private final RotaryTable rotary;
    private final CudaStream stream;

    /**
     * @param shape as {@link #shape} makes it
     * @param unit positions of a piece of a prompt: a multiple of a block
     */
    CudaPool(CudaWeights weights, CudaStream stream, CacheShape shape, int unit) {
        CudaContext context = stream.context();
        ModelConfig config = weights.config();
        this.stream = stream;
        this.shape = shape;
        rotary = new RotaryTable(weights.plan().rotary());
        book = new BlockPool(shape.blocks(), unit, rotary.fixedLength());
        try (Construction construction = new Construction(this::close)) {
            memory = owned.own(context.allocate(2L * config.layers() * shape.cacheBytes(), "keys and values"));
            tables = owned.own(context.allocate(shape.tableBytes(), "the blocks of sequences"));
            angles = owned.own(context.allocate(4L * shape.capacity() * config.headDim(), "rotary angles"));
            tables.fill(0, stream);
            decodeFrom(0, shape.capacity());
            construction.done();
        }
    }

    /**
     * The shape of a model's pool.
     *
     * @param capacity the longest sequence, rounded up to whole blocks
     */
    static CacheShape shape(ModelConfig config, int blocks, int sequences, int capacity) {
        int whole = Math.multiplyExact(BlockPool.blocksFor(capacity), DecoderKernels.CACHE_BLOCK);
        return new CacheShape(config.heads(), config.keyValueHeads(), config.headDim(), blocks, sequences, whole);
    }

    /** Bytes of device memory that a pool takes. */
    static long bytes(ModelConfig config, CacheShape shape) {
        return 2L * config.layers() * shape.cacheBytes()
                + shape.tableBytes()
                + 4L * shape.capacity() * config.headDim();
    }

    /** Which blocks are whose. */
    BlockPool book() {
        return book;
    }

    /** Queues the blocks of a sequence as line {@code sequence} of the tables. */
    void place(int sequence, BlockTable table) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment line = arena.allocate(4L * table.blocks(), 16);
            for (int i = 0; i < table.blocks(); i++) {
                line.setAtIndex(ValueLayout.JAVA_INT, i, table.block(i));
            }
            // From memory that is not page-locked: read when the call returns.
            tables.copyFrom(line, sequence * shape.single().tableBytes(), stream);
        }
    }

    /**
     * Puts the angles in place by which a piece of a prompt is turned; {@link #decodeFrom} must follow the piece.
     *
     * @param length tokens of the whole prompt and what was before
     * @return whether they differ from those of decoding, as beyond the length up to which all are the same
     */
    boolean prefillFrom(int from, int to, int length) {
        boolean differ = length > rotary.fixedLength();
        if (differ) {
            upload(rotary.angles(from, to, length), from, to);
        }
        return differ;
    }

    /** Puts the angles of decoding in place, each as of a sequence that ends there. */
    void decodeFrom(int from, int to) {
        upload(rotary.ofLastTokens(from, to), from, to);
    }

    private void upload(RotaryTable.Angles table, int from, int to) {
        try (Arena arena = Arena.ofConfined()) {
            angles.copyFrom(pairs(table, from, to, arena), 8L * from * table.half(), stream);
            stream.synchronize();
        }
    }

    /** Cosine and sine of each pair of the positions {@code from .. to-1}, side by side. */
    static MemorySegment pairs(RotaryTable.Angles table, int from, int to, Arena arena) {
        long count = (long) (to - from) * table.half();
        MemorySegment pairs = arena.allocate(8 * count, 16);
        int first = table.at(from);
        for (int i = 0; i < count; i++) {
            pairs.setAtIndex(ValueLayout.JAVA_FLOAT, 2L * i, table.cos()[first + i]);
            pairs.setAtIndex(ValueLayout.JAVA_FLOAT, 2L * i + 1, table.sin()[first + i]);
        }
        return pairs;
    }

    /** The shape of one layer. */
    CacheShape shape() {
        return shape;
    }

    DeviceMemory keys(int layer) {
        return memory.slice(2L * layer * shape.cacheBytes(), shape.cacheBytes());
    }

    DeviceMemory values(int layer) {
        return memory.slice((2L * layer + 1) * shape.cacheBytes(), shape.cacheBytes());
    }

    /** The blocks of all sequences. */
    DeviceMemory tables() {
        return tables;
    }

    /** The blocks of one sequence. */
    DeviceMemory table(int sequence) {
        long bytes = shape.single().tableBytes();
        return tables.slice(sequence * bytes, bytes);
    }

    DeviceMemory angles() {
        return angles;
    }

    @Override
    public void close() {
        owned.close();
    }
}
