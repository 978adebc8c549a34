package dev.gosset.cuda.llm;

import dev.gosset.core.DeviceException;
import dev.gosset.core.memory.Construction;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceMemory;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.RotaryTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;
import java.util.function.IntPredicate;
import java.util.function.IntToLongFunction;

/**
 * The key-value cache of some sequences in float16, and the angles of their positions. All of it is allocated at once, so
 * that a request which does not fit is refused before any work is done.
 */
final class CudaCache implements AutoCloseable {
    /** For small things, and for what allocations are rounded up to. */
    private static final long SLACK = 4L << 20;

    private final CacheShape shape;
    private final Resources owned = new Resources();
    private final DeviceBuffer memory;
    private final DeviceBuffer angles;
    private final RotaryTable rotary;
    private final CudaStream stream;

    /**
     * @param reserve bytes that must be left free for what works on a cache of a given capacity
     * @throws DeviceException where it does not fit; the message says what would
     */
    CudaCache(CudaWeights weights, CudaStream stream, int sequences, int capacity, IntToLongFunction reserve) {
        CudaContext context = stream.context();
        ModelConfig config = weights.config();
        this.stream = stream;
        rotary = new RotaryTable(weights.plan().rotary());
        shape = shape(config, sequences, capacity);
        long bytes = 2L * config.layers() * shape.cacheBytes();
        long free = context.freeBytes();
        IntToLongFunction needed = c -> c * (bytes / capacity + 4L * config.headDim()) + reserve.applyAsLong(c) + SLACK;
        if (needed.applyAsLong(capacity) > free) {
            int fits = largest(capacity, c -> needed.applyAsLong(c) <= free);
            throw new DeviceException(String.format(
                    Locale.ROOT,
                    "the key-value cache of %d sequence(s) of %d tokens needs %d MiB of cuda:%d, with what works on it, and %d"
                            + " MiB are free beside the weights: %s",
                    sequences,
                    capacity,
                    needed.applyAsLong(capacity) >> 20,
                    context.device().index(),
                    free >> 20,
                    fits < 2 ? "a larger device or the cpu is needed" : "a context of " + fits + " or less fits"));
        }
        try (Construction construction = new Construction(this::close)) {
            memory = owned.own(context.allocate(bytes, "the key-value cache"));
            angles = owned.own(context.allocate(4L * capacity * config.headDim(), "rotary angles"));
            decodeFrom(0, capacity);
            construction.done();
        }
    }

    /** The shape of a model's cache. */
    static CacheShape shape(ModelConfig config, int sequences, int capacity) {
        return new CacheShape(config.heads(), config.keyValueHeads(), config.headDim(), sequences, capacity);
    }

    /** The largest number below {@code high} that fits, or 0. */
    private static int largest(int high, IntPredicate fits) {
        int low = 0;
        while (high - low > 1) {
            int middle = (low + high) >>> 1;
            if (fits.test(middle)) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return low;
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
