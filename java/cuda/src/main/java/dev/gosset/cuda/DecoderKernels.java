package dev.gosset.cuda;

import static dev.gosset.cuda.CudaKernels.all;
import static dev.gosset.cuda.CudaKernels.orNull;
import static dev.gosset.cuda.CudaKernels.positive;

import dev.gosset.bindings.GossetCuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * The kernels of a decoder-only transformer beyond its quantized linears, with the sizes of all memory checked. Each call
 * queues work on a stream and returns, so that a step can be recorded as a graph. Shapes, layouts and the meaning of rows,
 * sequences and positions are in {@code native/include/gosset_cuda.h}. Thread-safe, allocates nothing on the device.
 */
public final class DecoderKernels {
    /** Positions of a block of the key-value cache. */
    public static final int CACHE_BLOCK = GossetCuda.GOSSET_CACHE_BLOCK();

    /** Bytes of work of {@link #attention} that must be zero before its first call. */
    public static final long ATTENTION_ZEROS = 16384;

    /** The largest vocabulary that {@link #sample} draws from. */
    public static final int MAX_VOCABULARY = 1 << 19;

    /** Element types of stored tensors. */
    public enum Stored {
        F32(4, GossetCuda.GOSSET_F32()),
        F16(2, GossetCuda.GOSSET_F16()),
        BF16(2, GossetCuda.GOSSET_BF16()),
        /** With a scale for each row: {@link #dense} only. */
        I8(1, GossetCuda.GOSSET_I8());

        private final int bytes;
        private final int code;

        Stored(int bytes, int code) {
            this.bytes = bytes;
            this.code = code;
        }

        /** Bytes of one element. */
        public int bytes() {
            return bytes;
        }
    }

    /**
     * The shape of one layer's attention and of its cache.
     *
     * @param heads query heads
     * @param keyValueHeads heads of keys and values, a divisor of {@code heads}
     * @param dim of a head: at most 256, a multiple of 8
     * @param blocks of {@link #CACHE_BLOCK} positions that the cache has; 0 where it is the sequences one after the other, which attention does
     *     not read
     * @param sequences how many sequences there are tables of
     * @param capacity positions per sequence; a multiple of {@link #CACHE_BLOCK} where there are blocks
     */
    public record CacheShape(int heads, int keyValueHeads, int dim, int blocks, int sequences, int capacity) {
        public CacheShape {
            if (heads < 1 || keyValueHeads < 1 || heads % keyValueHeads != 0) {
                throw new IllegalArgumentException(heads + " query heads cannot share " + keyValueHeads + " key heads");
            }
            if (dim < 8 || dim > 256 || dim % 8 != 0) {
                throw new IllegalArgumentException(
                        "attention on the device needs heads of at most 256, a multiple of 8, found " + dim);
            }
            if (sequences < 1 || capacity < 1 || blocks < 0 || (blocks > 0 && capacity % CACHE_BLOCK != 0)) {
                throw new IllegalArgumentException("a cache of " + blocks + " blocks for " + sequences
                        + " sequences of " + capacity + " positions");
            }
        }

        /** Bytes of the keys of one layer, and of its values. */
        public long cacheBytes() {
            long positions = blocks > 0 ? (long) blocks * CACHE_BLOCK : (long) sequences * capacity;
            return 2 * positions * keyValueHeads * dim;
        }

        /** Bytes of the numbers of each sequence's blocks, int32. */
        public long tableBytes() {
            return 4L * sequences * (capacity / CACHE_BLOCK);
        }

        /** The same for one sequence. */
        public CacheShape single() {
            return new CacheShape(heads, keyValueHeads, dim, blocks, 1, capacity);
        }

        private long checkedRows(int rows, DeviceMemory sequenceOfRow) {
            if (sequenceOfRow == null && rows > sequences) {
                throw new IllegalArgumentException(rows + " rows, each its own sequence, in a cache of " + sequences);
            }
            return orNull(sequenceOfRow, 4L * rows);
        }
    }

    /**
     * How one row draws its tokens, as on the CPU.
     *
     * @param temperature divides the logits; 0 always takes the first maximum
     * @param topK keeps the k heaviest tokens, 0 keeps all
     * @param topP in (0, 1]
     * @param seed of the random numbers
     * @param first the position of the row from which the first token is drawn: the last of the prompt
     * @param limit the most tokens of the sequence, prompt included
     */
    public record Sampling(double temperature, int topK, double topP, long seed, int first, int limit) {
        /** Bytes of the settings of one row. */
        public static final int BYTES = GossetCuda.GOSSET_SAMPLING_BYTES();

        private static final ValueLayout.OfDouble DOUBLE =
                ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
        private static final ValueLayout.OfLong LONG =
                ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
        private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

        public Sampling {
            if (!(temperature >= 0)
                    || temperature == Double.POSITIVE_INFINITY
                    || topK < 0
                    || !(topP > 0 && topP <= 1)) {
                throw new IllegalArgumentException("temperature " + temperature + ", top-k " + topK + ", top-p " + topP
                        + ": expected a number from 0" + " up, 0 or more, and in (0, 1]");
            }
        }

        /** Writes the settings of row {@code row} into an array of them. */
        public void write(MemorySegment settings, int row) {
            long at = (long) BYTES * row;
            settings.set(DOUBLE, at, temperature);
            settings.set(DOUBLE, at + 8, topP);
            settings.set(LONG, at + 16, seed);
            settings.set(INT, at + 24, topK);
            settings.set(INT, at + 28, first);
            settings.set(INT, at + 32, limit);
            settings.set(INT, at + 36, 0);
        }
    }

    private DecoderKernels() {}

    /**
     * The table's rows of the given tokens.
     *
     * @param table vocabulary x n
     * @param tokens rows int32
     * @param positions rows int32, or null: no row is idle
     * @param out rows x n floats
     */
    public static void embed(
            CudaStream stream,
            DeviceMemory table,
            Stored type,
            int vocabulary,
            int n,
            DeviceMemory tokens,
            DeviceMemory positions,
            int rows,
            DeviceMemory out) {
        CudaLibrary.check(GossetCuda.gosset_embed(
                all(table, (long) type.bytes * vocabulary * n),
                type.code,
                vocabulary,
                n,
                all(tokens, 4L * rows),
                orNull(positions, 4L * rows),
                rows,
                all(out, 4L * rows * n),
                stream.handle()));
    }

    /**
     * Adds h to the residual and normalizes it.
     *
     * @param residual rows x n floats, changed
     * @param h rows x n floats, or null: nothing is added
     * @param weight n floats; null where {@code out} is
     * @param out rows x n, or null: only the sum
     */
    public static void residualNorm(
            CudaStream stream,
            DeviceMemory residual,
            DeviceMemory h,
            DeviceMemory weight,
            float epsilon,
            int n,
            int rows,
            DeviceMemory out,
            CudaKernels.Type outType) {
        CudaLibrary.check(GossetCuda.gosset_residual_norm(
                all(residual, 4L * rows * n),
                orNull(h, 4L * rows * n),
                orNull(weight, 4L * n),
                epsilon,
                n,
                rows,
                orNull(out, (long) outType.bytes * rows * n),
                outType.ordinal(),
                stream.handle()));
    }

    /** {@code out = silu(second half of h) * first half}, h being rows x 2n floats. */
    public static void gate(
            CudaStream stream, DeviceMemory h, int n, int rows, DeviceMemory out, CudaKernels.Type outType) {
        CudaLibrary.check(GossetCuda.gosset_gate(
                all(h, 8L * rows * n),
                n,
                rows,
                all(out, (long) outType.bytes * rows * n),
                outType.ordinal(),
                stream.handle()));
    }

    /** Adds n floats to each of the rows of x. */
    public static void addBias(CudaStream stream, DeviceMemory x, DeviceMemory bias, int n, int rows) {
        CudaLibrary.check(
                GossetCuda.gosset_add_bias(all(x, 4L * rows * n), all(bias, 4L * n), n, rows, stream.handle()));
    }

    /**
     * Bias, head norms and rotation of queries and keys; queries go to {@code queries}, keys and values into the cache.
     *
     * @param qkv rows x (heads + 2 key-value heads) dim floats
     * @param bias as many floats as a row of qkv, or null
     * @param queryNorm dim floats, or null together with {@code keyNorm}
     * @param angles capacity x dim/2 x 2 floats: cosine and sine
     * @param sequences rows int32, or null: row r belongs to sequence r
     * @param positions rows int32
     * @param tables {@link CacheShape#tableBytes}; null where the cache has no blocks
     * @param queries rows x heads x dim: F32 for {@link #attention}, F16 for a product
     * @param keys {@link CacheShape#cacheBytes}
     * @param values {@link CacheShape#cacheBytes}
     */
    public static void rotateStore(
            CudaStream stream,
            CacheShape shape,
            DeviceMemory qkv,
            DeviceMemory bias,
            DeviceMemory queryNorm,
            DeviceMemory keyNorm,
            float epsilon,
            DeviceMemory angles,
            DeviceMemory sequences,
            DeviceMemory positions,
            DeviceMemory tables,
            int rows,
            DeviceMemory queries,
            CudaKernels.Type queryType,
            DeviceMemory keys,
            DeviceMemory values) {
        long width = (long) (shape.heads + 2 * shape.keyValueHeads) * shape.dim;
        CudaLibrary.check(GossetCuda.gosset_rotate_store(
                all(qkv, 4 * width * rows),
                orNull(bias, 4 * width),
                orNull(queryNorm, 4L * shape.dim),
                orNull(keyNorm, 4L * shape.dim),
                epsilon,
                all(angles, 4L * shape.capacity * shape.dim),
                shape.checkedRows(rows, sequences),
                all(positions, 4L * rows),
                shape.blocks == 0 ? 0 : all(tables, shape.tableBytes()),
                rows,
                shape.heads,
                shape.keyValueHeads,
                shape.dim,
                shape.capacity,
                all(queries, (long) queryType.bytes * rows * shape.heads * shape.dim),
                queryType.ordinal(),
                all(keys, shape.cacheBytes()),
                all(values, shape.cacheBytes()),
                stream.handle()));
    }

    /**
     * Positions {@code from .. from + count - 1} of one sequence's keys, or values, as a product wants them.
     *
     * @param cache {@link CacheShape#cacheBytes}
     * @param table the sequence's blocks, capacity / {@link #CACHE_BLOCK} int32
     * @param step elements from one head to the next in {@code out}: a multiple of 8, at least count x dim
     * @param out heads of count x dim halves
     */
    public static void collect(
            CudaStream stream,
            CacheShape shape,
            DeviceMemory cache,
            DeviceMemory table,
            int from,
            int count,
            long step,
            DeviceMemory out) {
        if (from < 0 || count < 0 || count > shape.capacity - from) {
            throw new IllegalArgumentException(
                    count + " positions from " + from + " of a sequence of at most " + shape.capacity);
        }
        CudaLibrary.check(GossetCuda.gosset_collect(
                all(cache, shape.cacheBytes()),
                all(table, 4L * (shape.capacity / CACHE_BLOCK)),
                shape.keyValueHeads,
                shape.dim,
                from,
                count,
                step,
                all(out, 2 * (step * (shape.keyValueHeads - 1) + (long) count * shape.dim)),
                stream.handle()));
    }

    /** How many parts of the cache fill the current device, for any number of rows; {@code window} 0 without one. */
    public static int attentionSplits(CudaContext context, CacheShape shape, int window) {
        context.select();
        int visible = window == 0 ? shape.capacity : Math.min(window, shape.capacity);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment splits = arena.allocate(ValueLayout.JAVA_INT);
            CudaLibrary.check(GossetCuda.gosset_attention_splits(shape.heads, shape.keyValueHeads, visible, splits));
            return splits.get(ValueLayout.JAVA_INT, 0);
        }
    }

    /** Bytes of work of {@link #attention}, 0 for one split. */
    public static long attentionWorkBytes(CacheShape shape, int rows, int splits) {
        long bytes = GossetCuda.gosset_attention_work(rows, shape.heads, shape.dim, splits);
        if (bytes < 0) {
            throw new IllegalArgumentException("attention does not take " + splits + " splits of " + rows + " rows of "
                    + shape.heads + " heads of " + shape.dim);
        }
        return bytes;
    }

    /**
     * Attention of few rows, each over its own sequence's cache.
     *
     * @param queries rows x heads x dim floats
     * @param sequences rows int32, or null: row r belongs to sequence r
     * @param positions rows int32
     * @param tables {@link CacheShape#tableBytes}
     * @param window how many positions a row sees, 0 for all
     * @param splits of the cache, walked side by side
     * @param work {@link #attentionWorkBytes}, its first {@link #ATTENTION_ZEROS} bytes zero; null where that is 0
     * @param out rows x heads x dim floats
     */
    public static void attention(
            CudaStream stream,
            CacheShape shape,
            DeviceMemory queries,
            DeviceMemory keys,
            DeviceMemory values,
            DeviceMemory sequences,
            DeviceMemory positions,
            DeviceMemory tables,
            int rows,
            int window,
            float scale,
            int splits,
            DeviceMemory work,
            DeviceMemory out) {
        long workBytes = attentionWorkBytes(shape, rows, splits);
        long bytes = 4L * rows * shape.heads * shape.dim;
        CudaLibrary.check(GossetCuda.gosset_attention(
                all(queries, bytes),
                all(keys, shape.cacheBytes()),
                all(values, shape.cacheBytes()),
                shape.checkedRows(rows, sequences),
                all(positions, 4L * rows),
                all(tables, shape.tableBytes()),
                rows,
                shape.heads,
                shape.keyValueHeads,
                shape.dim,
                shape.capacity,
                window,
                scale,
                splits,
                workBytes == 0 ? 0 : all(work, workBytes),
                all(out, bytes),
                stream.handle()));
    }

    /**
     * Softmax of the visible columns of scores between the two products of attention over many tokens.
     *
     * @param scores planes x rows x stride floats
     * @param probabilities planes x rows x stride halves
     * @param first the position of row 0 among the columns
     * @param window how many columns a row sees, 0 for all up to its own
     */
    public static void causalSoftmax(
            CudaStream stream,
            DeviceMemory scores,
            DeviceMemory probabilities,
            int planes,
            int rows,
            int columns,
            int stride,
            int first,
            int window,
            float scale) {
        long count = (long) planes * rows * stride;
        CudaLibrary.check(GossetCuda.gosset_causal_softmax(
                all(scores, 4 * count),
                all(probabilities, 2 * count),
                planes,
                rows,
                columns,
                stride,
                first,
                window,
                scale,
                stream.handle()));
    }

    /**
     * {@code y = W x + bias} for 1 to {@link CudaKernels#MAX_BATCH} rows.
     *
     * @param w m x n
     * @param scales m floats for I8, else null
     * @param bias m floats, or null
     * @param x rows x n floats
     * @param y rows x m floats
     */
    public static void dense(
            CudaStream stream,
            Stored type,
            int m,
            int n,
            int rows,
            DeviceMemory w,
            DeviceMemory scales,
            DeviceMemory bias,
            DeviceMemory x,
            DeviceMemory y) {
        CudaLibrary.check(GossetCuda.gosset_dense(
                type.code,
                m,
                n,
                rows,
                all(w, (long) type.bytes * m * n),
                orNull(scales, 4L * m),
                orNull(bias, 4L * m),
                all(x, 4L * rows * n),
                all(y, 4L * rows * m),
                stream.handle()));
    }

    /** Rounds the rows of an m x n matrix to int8, each with a scale of its own (m floats). */
    public static void quantizeRows(
            CudaStream stream, Stored type, int m, int n, DeviceMemory w, DeviceMemory out, DeviceMemory scales) {
        CudaLibrary.check(GossetCuda.gosset_quantize_rows(
                type.code,
                m,
                n,
                all(w, (long) type.bytes * m * n),
                all(out, (long) m * n),
                all(scales, 4L * m),
                stream.handle()));
    }

    /** {@code count} elements into float32 or float16. */
    public static void convert(
            CudaStream stream, DeviceMemory x, Stored type, DeviceMemory out, CudaKernels.Type outType, long count) {
        CudaLibrary.check(GossetCuda.gosset_convert(
                all(x, type.bytes * count),
                type.code,
                all(out, outType.bytes * count),
                outType.ordinal(),
                count,
                stream.handle()));
    }

    /** Bytes of work of {@link #sample}. */
    public static long sampleWorkBytes(int vocabulary, int rows) {
        return positive(
                GossetCuda.gosset_sample_work(vocabulary, rows),
                rows + " rows of " + vocabulary + " logits, more than " + MAX_VOCABULARY);
    }

    /**
     * Draws the next token of each row that is not idle, and advances or ends the row. Where logits are no numbers there is
     * none: the token is -1 and the row ends.
     *
     * @param logits rows x vocabulary floats
     * @param settings rows times {@link Sampling#BYTES}
     * @param endTokens {@code endCount} int32, or null where that is 0
     * @param capacity tokens per row of the history
     * @param tokens rows int32, written
     * @param positions rows int32: p becomes p + 1, or -(p + 2) where the row has ended
     * @param history rows x capacity int32: place p + 1 is written; null where nobody wants it
     * @param work {@link #sampleWorkBytes}
     */
    public static void sample(
            CudaStream stream,
            DeviceMemory logits,
            int vocabulary,
            int rows,
            DeviceMemory settings,
            DeviceMemory endTokens,
            int endCount,
            int capacity,
            DeviceMemory tokens,
            DeviceMemory positions,
            DeviceMemory history,
            DeviceMemory work) {
        CudaLibrary.check(GossetCuda.gosset_sample(
                all(logits, 4L * rows * vocabulary),
                vocabulary,
                rows,
                all(settings, (long) Sampling.BYTES * rows),
                endCount == 0 ? 0 : all(endTokens, 4L * endCount),
                endCount,
                capacity,
                all(tokens, 4L * rows),
                all(positions, 4L * rows),
                orNull(history, 4L * rows * capacity),
                all(work, sampleWorkBytes(vocabulary, rows)),
                stream.handle()));
    }
}
