package dev.gosset.cuda.llm;

import dev.gosset.core.DeviceException;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceMemory;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.model.ModelConfig;
import dev.gosset.llm.model.RotaryTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;

/**
 * The key-value cache of some sequences in float16, and the angles of their positions. All of it is allocated at once, so
 * that a request which does not fit is refused before any work is done.
 */
final class CudaCache implements AutoCloseable {
    /** What the rest of a step may need beside the cache: kept free. */
    private static final long RESERVE = 8L << 20;

    private final CacheShape shape;
    private final Resources owned = new Resources();
    private final DeviceBuffer memory;
    private final DeviceBuffer angles;

    /**
     * @throws DeviceException where it does not fit; the message says what would
     */
    CudaCache(ModelConfig config, CudaStream stream, int sequences, int capacity) {
        CudaContext context = stream.context();
        shape = new CacheShape(config.heads(), config.keyValueHeads(), config.headDim(), sequences, capacity);
        long bytes = 2L * config.layers() * shape.cacheBytes();
        long free = context.freeBytes();
        if (bytes + RESERVE > free) {
            long perPosition = bytes / capacity;
            long fits = Math.max(0, (free - RESERVE) / perPosition);
            throw new DeviceException(String.format(
                    Locale.ROOT,
                    "the key-value cache of %d sequence(s) of %d tokens needs %d MiB of cuda:%d, whose free memory is %d MiB"
                            + " beside the weights: %s",
                    sequences,
                    capacity,
                    bytes + RESERVE >> 20,
                    context.device().index(),
                    free >> 20,
                    fits < 2 ? "a larger device or --device cpu is needed" : "--context " + fits + " or less fits"));
        }
        boolean done = false;
        try {
            memory = owned.own(context.allocate(bytes, "the key-value cache"));
            angles = owned.own(context.allocate(4L * capacity * config.headDim(), "rotary angles"));
            upload(new RotaryTable(config).upTo(capacity), capacity * (config.headDim() / 2), stream);
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    private void upload(RotaryTable.Angles table, int count, CudaStream stream) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pairs = arena.allocate(8L * count, 16);
            for (int i = 0; i < count; i++) {
                pairs.setAtIndex(ValueLayout.JAVA_FLOAT, 2L * i, table.cos()[i]);
                pairs.setAtIndex(ValueLayout.JAVA_FLOAT, 2L * i + 1, table.sin()[i]);
            }
            angles.copyFrom(pairs, 0, stream);
            stream.synchronize();
        }
    }

    /** The shape of one layer. */
    CacheShape shape() {
        return shape;
    }

    /** The shape of one layer with one sequence alone. */
    CacheShape single() {
        return new CacheShape(shape.heads(), shape.keyValueHeads(), shape.dim(), 1, shape.capacity());
    }

    DeviceMemory keys(int layer) {
        return memory.slice(2L * layer * shape.cacheBytes(), shape.cacheBytes());
    }

    DeviceMemory values(int layer) {
        return memory.slice((2L * layer + 1) * shape.cacheBytes(), shape.cacheBytes());
    }

    /** The part of {@link #keys} or {@link #values} that belongs to one sequence. */
    DeviceMemory of(int sequence, DeviceMemory layer) {
        long bytes = single().cacheBytes();
        return layer.slice(sequence * bytes, bytes);
    }

    DeviceMemory angles() {
        return angles;
    }

    @Override
    public void close() {
        owned.close();
    }
}
