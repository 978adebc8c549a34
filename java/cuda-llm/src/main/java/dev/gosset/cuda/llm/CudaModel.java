package dev.gosset.cuda.llm;

import dev.gosset.core.DeviceException;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaKernels;
import dev.gosset.cuda.CudaMemoryException;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.PinnedBuffer;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.cache.BlockPool;
import dev.gosset.llm.cache.BlockTable;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.ModelConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.IntPredicate;

/**
 * A whole model on one device: its weights, a stream, and what whole sequences are evaluated in. Batches have their pools.
 * Thread-safe; calls wait for each other. Closing waits for the step in progress and closes the batches; afterwards they say that the model is
 * closed.
 *
 * <p>Numerics: activations of quantized linears in 16 bits and exact sums in decoding, F16 tiles and float32 sums in prefill;
 * keys and values in F16; everything else, softmax and residual stream too, in float32. Results equal the processor's up to
 * that rounding.
 */
final class CudaModel implements LoadedModel {
    /** Rows of logits held at a time: vocabularies are large. */
    private static final int LOGIT_ROWS = 128;

    /** Rows that prefill runs at a time at the least. */
    private static final int FEWEST_ROWS = BlockPool.BLOCK;

    /**
     * Positions of a piece of a session's prompt: few, so that others wait little and beginnings that prompts have in common are found; many, since
     * each piece brings all weights to F16.
     */
    private static final int PIECE = 512;

    /** For small things, and for what allocations are rounded up to. */
    private static final long SLACK = 4L << 20;

    private final ThreadTeam team;
    private final Resources owned = new Resources();
    private final CudaContext context;
    private final CudaStream stream;
    private final CudaWeights weights;
    /** Open ones. */
    private final List<CudaBatch> batches = new ArrayList<>();

    private Prefill prefill;
    private int prefillWanted;
    private int prefillLongest;
    private boolean closed;

    /** Uploads the weights and waits until they are there. */
    CudaModel(Model model, int index, StorageOptions storage, ThreadTeam team) {
        this.team = team;
        try (Construction construction = new Construction(owned::close)) {
            context = owned.own(CudaContext.open(index));
            stream = owned.own(context.stream());
            weights = owned.own(new CudaWeights(model, storage, stream, team));
            construction.done();
        }
    }

    CudaWeights weights() {
        return weights;
    }

    @Override
    public ModelConfig config() {
        return weights.config();
    }

    @Override
    public Device device() {
        return new Device("cuda", context.device().index());
    }

    @Override
    public ThreadTeam team() {
        return team;
    }

    @Override
    public long peakDeviceBytes() {
        return context.peakBytes();
    }

    @Override
    public Batch batch(int sequences, int length, long cacheBytes) {
        return batch(sequences, length, PIECE, cacheBytes == 0 ? Long.MAX_VALUE : cacheBytes);
    }

    /** With all the memory there is for keys and values. */
    Batch batch(int sequences, int length, int longestPiece) {
        return batch(sequences, length, longestPiece, Long.MAX_VALUE);
    }

    /** @param longestPiece of a prompt, in positions: a power of two and at least one block */
    private synchronized Batch batch(int sequences, int length, int longestPiece, long cacheBytes) {
        requireOpen();
        if (sequences < 1 || length < 1) {
            throw new IllegalArgumentException(
                    "a batch has at least 1 sequence of at least 1 token, found " + sequences + " of " + length);
        }
        // What is left of the memory belongs to keys and values.
        closePrefill();
        for (int n = Math.min(sequences, CudaKernels.MAX_BATCH); ; n /= 2) {
            try {
                CudaBatch batch = batchOf(n, length, longestPiece, cacheBytes);
                batches.add(batch);
                return batch;
            } catch (DeviceException e) {
                if (n == 1) {
                    throw e;
                }
            }
        }
    }

    /** Pieces of prompts are as long as is quick, where memory is short as short as is possible; half of what is then left may become blocks. */
    private CudaBatch batchOf(int sequences, int length, int longestPiece, long cacheBytes) {
        int one = BlockPool.blocksFor(length);
        CacheShape smallest = CudaPool.shape(config(), one, sequences, length);
        long free = requireFree(smallest, length, FEWEST_ROWS);
        int piece = longestPiece;
        while (piece > FEWEST_ROWS && needed(smallest, piece) > free) {
            piece /= 2;
        }
        long perBlock = 2L * config().layers() * smallest.cacheBytes() / one;
        if (cacheBytes < one * perBlock) {
            throw new DeviceException("the memory for keys and values has " + cacheBytes + " bytes, expected at least "
                    + one * perBlock + " for one sequence of " + length + " tokens");
        }
        long more = Math.min((free - needed(smallest, piece)) / 2, cacheBytes - one * perBlock) / perBlock;
        int blocks = (int) Math.clamp(one + more, one, Math.multiplyExact(sequences, (long) one));
        CacheShape shape = CudaPool.shape(config(), blocks, sequences, length);
        return new CudaBatch(this, stream, shape, length, piece);
    }

    /** Bytes of device memory for a pool and what works on it. */
    private long needed(CacheShape shape, int rows) {
        return CudaPool.bytes(config(), shape)
                + DecodeStep.bytes(context, weights, shape)
                + Prefill.bytes(weights, rows, shape.capacity())
                + SLACK;
    }

    /**
     * Bytes that are free.
     *
     * @throws DeviceException where a pool does not fit; the message says what would
     */
    private long requireFree(CacheShape shape, int length, int rows) {
        long free = context.freeBytes();
        if (needed(shape, rows) > free) {
            int fits = largest(
                    length,
                    c -> needed(CudaPool.shape(config(), BlockPool.blocksFor(c), shape.sequences(), c), rows) <= free);
            throw new DeviceException(String.format(
                    Locale.ROOT,
                    "the key-value cache of a sequence of %d tokens needs %d MiB of cuda:%d, with what works on it, and %d"
                            + " MiB are free beside the weights: %s",
                    length,
                    needed(shape, rows) >> 20,
                    context.device().index(),
                    free >> 20,
                    fits < 2 ? "a larger device or the cpu is needed" : "a context of " + fits + " or less fits"));
        }
        return free;
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

    /** A batch that is closed. */
    void forget(CudaBatch batch) {
        batches.remove(batch);
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the model is closed");
        }
    }

    /**
     * What prefill works in, made when first needed and made anew where it has become too small. Where the device has no room
     * for as many rows at a time as would be quickest, it runs fewer.
     */
    private Prefill prefillFor(int tokens, int longest) {
        int rows = Math.min(Prefill.LARGEST_CHUNK, Math.ceilDiv(tokens, FEWEST_ROWS) * FEWEST_ROWS);
        if (prefill == null || prefillWanted < rows || prefillLongest < longest) {
            closePrefill();
            prefill = largestPrefill(rows, longest);
            prefillWanted = rows;
            prefillLongest = longest;
        }
        return prefill;
    }

    private Prefill largestPrefill(int wanted, int longest) {
        for (int rows = wanted; ; rows = Math.max(FEWEST_ROWS, rows / 2)) {
            try {
                return new Prefill(weights, stream, rows, longest);
            } catch (CudaMemoryException e) {
                if (rows == FEWEST_ROWS) {
                    throw e;
                }
            }
        }
    }

    private void closePrefill() {
        if (prefill != null) {
            stream.synchronize();
            prefill.close();
            prefill = null;
        }
    }

    @Override
    public synchronized void logits(int[] tokens, int from, int to, LogitsReader reader) {
        requireOpen();
        ModelConfig.requireTokens(tokens, config().vocabularySize());
        int vocabulary = config().vocabularySize();
        int held = Math.min(LOGIT_ROWS, to - from);
        if (held < 1) {
            return;
        }
        long bytes = 4L * held * vocabulary;
        int blocks = BlockPool.blocksFor(tokens.length);
        CacheShape shape = CudaPool.shape(config(), blocks, 1, tokens.length);
        if (prefill == null) {
            requireFree(shape, tokens.length, FEWEST_ROWS);
        }
        try (CudaPool cache = new CudaPool(weights, stream, shape, BlockPool.BLOCK);
                BlockTable table = cache.book().reserve(tokens, tokens.length).orElseThrow();
                DeviceBuffer logits = context.allocate(bytes, "logits");
                PinnedBuffer host = context.pinned(bytes)) {
            cache.place(0, table);
            Prefill pass = prefillFor(tokens.length, shape.capacity());
            for (int first = 0; first < to; first += pass.rows()) {
                int count = Math.min(pass.rows(), tokens.length - first);
                pass.run(cache, 0, first, tokens, first, count, tokens.length);
                int end = Math.min(to, first + count);
                for (int row = Math.max(from, first); row < end; row += held) {
                    int rows = Math.min(held, end - row);
                    pass.logits(row - first, rows, logits);
                    FloatMatrix part =
                            new FloatMatrix(host.segment().asSlice(0, 4L * rows * vocabulary), rows, vocabulary);
                    logits.copyTo(part.data(), 0, stream);
                    stream.synchronize();
                    reader.read(row, part);
                }
            }
        } finally {
            stream.synchronize();
        }
    }

    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        // Each is removed by its own closing; all is tried.
        Resources parts = new Resources();
        parts.own(owned);
        parts.own(this::closePrefill);
        List.copyOf(batches).forEach(parts::own);
        parts.close();
    }
}
