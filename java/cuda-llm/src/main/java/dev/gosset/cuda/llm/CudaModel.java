package dev.gosset.cuda.llm;

import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaKernels;
import dev.gosset.cuda.CudaMemoryException;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.PinnedBuffer;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Decoder;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.ModelConfig;

/**
 * A whole model on one device: its weights, a stream, and what prefill works in. Decoders have their caches. Thread-safe;
 * calls wait for each other.
 *
 * <p>Numerics: activations of quantized linears in 16 bits and exact sums in decoding, F16 tiles and float32 sums in prefill;
 * keys and values in F16; everything else, softmax and residual stream too, in float32. Results equal the processor's up to
 * that rounding.
 */
final class CudaModel implements LoadedModel {
    /** Rows of logits held at a time: vocabularies are large. */
    private static final int LOGIT_ROWS = 128;

    /** Rows that prefill runs at a time at the least. */
    private static final int FEWEST_ROWS = 64;

    private final ThreadTeam team;
    private final Resources owned = new Resources();
    private final CudaContext context;
    private final CudaStream stream;
    private final CudaWeights weights;
    private Prefill prefill;
    private int prefillWanted;
    private int prefillLongest;

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
    public synchronized Decoder decoder(int sequences, int length) {
        if (sequences < 1 || sequences > CudaKernels.MAX_BATCH) {
            throw new IllegalArgumentException(
                    "a decoder has 1 to " + CudaKernels.MAX_BATCH + " sequences on a device, found " + sequences);
        }
        // A new cache goes before; prefill takes what is left of the memory when it is next needed.
        closePrefill();
        return new CudaDecoder(this, stream, sequences, length);
    }

    void requireTokens(int[] tokens) {
        for (int t = 0; t < tokens.length; t++) {
            if (tokens[t] < 0 || tokens[t] >= config().vocabularySize()) {
                throw new IllegalArgumentException("token " + t + " is " + tokens[t] + ", expected an id from 0 to "
                        + (config().vocabularySize() - 1));
            }
        }
    }

    /** Bytes that a cache must leave for decoding with it, and for prefill of few tokens at a time. */
    long reserve(int sequences, int longest) {
        return DecodeStep.bytes(context, weights, CudaCache.shape(config(), sequences, longest))
                + Prefill.bytes(weights, FEWEST_ROWS, longest);
    }

    /**
     * Queues the keys and values of tokens from position {@code first} on.
     *
     * @param length tokens that the sequence is known to have
     */
    synchronized void prefill(CudaCache cache, int sequence, int first, int[] tokens, int length) {
        for (int from = 0; from < tokens.length; ) {
            Prefill pass = prefillFor(tokens.length - from, cache.shape().capacity());
            int count = Math.min(pass.rows(), tokens.length - from);
            pass.run(cache, sequence, first + from, tokens, from, count, length);
            from += count;
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
        requireTokens(tokens);
        int vocabulary = config().vocabularySize();
        int held = Math.min(LOGIT_ROWS, to - from);
        if (held < 1) {
            return;
        }
        long bytes = 4L * held * vocabulary;
        try (CudaCache cache =
                        new CudaCache(weights, stream, 1, tokens.length, c -> prefill == null ? reserve(1, c) : 0);
                DeviceBuffer logits = context.allocate(bytes, "logits");
                PinnedBuffer host = context.pinned(bytes)) {
            Prefill pass = prefillFor(tokens.length, tokens.length);
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
        closePrefill();
        owned.close();
    }
}
