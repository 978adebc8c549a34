package dev.gosset.cuda.llm;

import dev.gosset.core.memory.Construction;
import dev.gosset.cuda.CublasHandle.Batch;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaDense;
import dev.gosset.cuda.CudaEvent;
import dev.gosset.cuda.CudaKernels.Type;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceMemory;
import dev.gosset.cuda.LinearWork;
import dev.gosset.cuda.PinnedBuffer;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.plan.ModelConfig;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Runs consecutive tokens of one sequence through the model, at most {@link #rows} at a time, so that memory is bounded
 * whatever the length of a prompt: linears through F16 tiles and cuBLAS, attention as two batched products of cuBLAS around a
 * softmax, a bounded number of heads and tokens at a time, over keys and values that are collected from their blocks. The residual
 * stream is float32. Results depend on where a piece begins and ends, and on the tokens up to its end.
 *
 * <p>One thread at a time.
 */
final class Prefill implements AutoCloseable {
    /**
     * Tokens that one pass runs at the most: decoding the weights to F16 costs as much as the products of several hundred
     * tokens, and once for each pass.
     */
    static final int LARGEST_CHUNK = 2048;

    /** Tokens that attend at a time: what lies beyond them is not computed, only to be masked. */
    private static final int ATTENTION_ROWS = 512;

    /** Bytes of scores and probabilities at a time, unless a single row of one head needs more. */
    private static final long ATTENTION_BYTES = 256L << 20;

    private static final int SCORE_BYTES = 6;

    private final CudaWeights weights;
    private final ModelConfig config;
    private final CudaStream stream;
    private final int rows;
    private final Resources owned = new Resources();
    private final LinearWork work;
    /** Tokens and positions on their way, two runs in turn. */
    private final PinnedBuffer[] staged = new PinnedBuffer[2];

    private final CudaEvent[] sent = new CudaEvent[2];
    private final DeviceBuffer tokens;
    private final DeviceBuffer positions;
    private final DeviceBuffer sequenceOfRow;
    private final DeviceBuffer residual;
    private final DeviceBuffer x;
    private final DeviceBuffer z;
    private final DeviceBuffer queries;
    private final DeviceBuffer scores;
    private final DeviceBuffer probabilities;
    private final DeviceBuffer keys;
    private final DeviceBuffer values;
    private final int longest;
    private final long scoreCount;
    private int turn;

    /**
     * @param rows tokens that one pass runs at the most
     * @param longest the most positions of any sequence
     */
    Prefill(CudaWeights weights, CudaStream stream, int rows, int longest) {
        this(weights, stream, rows, longest, ATTENTION_BYTES);
    }

    /**
     * @param attentionBytes of scores and probabilities, unless a single row of one head needs more
     */
    Prefill(CudaWeights weights, CudaStream stream, int rows, int longest, long attentionBytes) {
        this.weights = weights;
        this.config = weights.config();
        this.stream = stream;
        this.rows = rows;
        this.longest = longest;
        this.scoreCount = scoreCount(config, rows, longest, attentionBytes);
        CudaContext context = stream.context();
        try (Construction construction = new Construction(this::close)) {
            work = owned.own(new LinearWork(stream, weights.plan(rows).products()));
            for (int i = 0; i < 2; i++) {
                staged[i] = owned.own(context.pinned(8L * rows));
                sent[i] = owned.own(context.event());
            }
            tokens = owned.own(context.allocate(4L * rows, "prompt tokens"));
            positions = owned.own(context.allocate(4L * rows, "prompt positions"));
            sequenceOfRow = owned.own(context.allocate(4L * rows, "the sequence of each row"));
            sequenceOfRow.fill(0, stream);
            residual = owned.own(context.allocate(4L * rows * config.hiddenSize(), "the residual stream of a prompt"));
            x = owned.own(context.allocate(4L * rows * weights.widestInput(), "inputs of linears"));
            z = owned.own(context.allocate(4L * rows * weights.widestOutput(), "outputs of linears"));
            queries = owned.own(context.allocate(2L * rows * config.querySize(), "queries of a prompt"));
            scores = owned.own(context.allocate(4 * scoreCount, "attention scores"));
            probabilities = owned.own(context.allocate(2 * scoreCount, "attention probabilities"));
            keys = owned.own(context.allocate(2L * config.keyValueSize() * longest, "keys of a prompt"));
            values = owned.own(context.allocate(2L * config.keyValueSize() * longest, "values of a prompt"));
            construction.done();
        }
    }

    /** Bytes of device memory that running {@code rows} tokens at a time takes. */
    static long bytes(CudaWeights weights, int rows, int longest) {
        ModelConfig config = weights.config();
        long floats = (long) config.hiddenSize() + weights.widestInput() + weights.widestOutput();
        return weights.plan(rows).bytes()
                + rows * (12 + 4 * floats + 2L * config.querySize())
                + 4L * config.keyValueSize() * longest
                + SCORE_BYTES * scoreCount(config, rows, longest, ATTENTION_BYTES);
    }

    private static long scoreCount(ModelConfig config, int rows, int longest, long attentionBytes) {
        long row = padded(longest);
        long most = (long) planes(config) * Math.min(rows, ATTENTION_ROWS) * row;
        return Math.max(row, Math.min(attentionBytes / SCORE_BYTES, most));
    }

    /** Query heads that share a key head. */
    private static int group(ModelConfig config) {
        return config.heads() / config.keyValueHeads();
    }

    /** The most heads whose products are of one shape and step: those of one key head, or all where each has its own. */
    private static int planes(ModelConfig config) {
        return group(config) == 1 ? config.heads() : group(config);
    }

    /** From row to row of scores: cuBLAS is at its best where rows are aligned. */
    private static int padded(int columns) {
        return Math.ceilDiv(columns, 8) * 8;
    }

    /** Tokens that one pass runs at the most. */
    int rows() {
        return rows;
    }

    /**
     * Runs {@code count} tokens of a sequence, at most {@link #rows}, and queues their keys and values into the cache.
     *
     * @param first the position of the first
     * @param length tokens that the sequence is known to have
     */
    void run(CudaPool cache, int sequence, int first, int[] ids, int from, int count, int length) {
        stage(ids, from, first, count);
        CacheShape shape = cache.shape().single();
        boolean ownAngles = cache.prefillFrom(first, first + count, length);
        DecoderKernels.embed(
                stream,
                weights.embedding().weights(),
                weights.embedding().type(),
                config.vocabularySize(),
                config.hiddenSize(),
                tokens,
                null,
                count,
                residual);
        DeviceBuffer added = null;
        for (int layer = 0; layer < config.layers(); layer++) {
            BlockWeights block = weights.blocks().get(layer);
            norm(added, block.inputNorm(), count);
            BlockWeights.Projection qkv = block.qkv();
            qkv.linear().apply(x, z, count, work);
            DecoderKernels.rotateStore(
                    stream,
                    shape,
                    z,
                    qkv.bias(),
                    block.queryNorm(),
                    block.keyNorm(),
                    weights.plan().epsilon(),
                    cache.angles(),
                    sequenceOfRow,
                    positions,
                    cache.table(sequence),
                    count,
                    queries,
                    Type.F16,
                    cache.keys(layer),
                    cache.values(layer));
            int low = lowest(first, block.window());
            long step = (long) longest * shape.dim();
            DeviceMemory table = cache.table(sequence);
            int seen = first + count - low;
            DecoderKernels.collect(stream, shape, cache.keys(layer), table, low, seen, step, keys);
            DecoderKernels.collect(stream, shape, cache.values(layer), table, low, seen, step, values);
            attend(first, count, block);
            project(block.output(), count);
            norm(z, block.postNorm(), count);
            project(block.upGate(), count);
            DecoderKernels.gate(stream, z, config.intermediateSize(), count, x, Type.F32);
            project(block.down(), count);
            added = z;
        }
        if (ownAngles) {
            cache.decodeFrom(first, first + count);
        }
    }

    /**
     * Queues the logits of rows {@code from .. from + count - 1} of the last run; once for each row, for it also adds what
     * the last block computed to the residual stream.
     */
    void logits(int from, int count, DeviceMemory logits) {
        long bytes = 4L * count * config.hiddenSize();
        long offset = 4L * from * config.hiddenSize();
        DecoderKernels.residualNorm(
                stream,
                residual.slice(offset, bytes),
                z.slice(offset, bytes),
                weights.finalNorm(),
                weights.plan().epsilon(),
                config.hiddenSize(),
                count,
                x,
                Type.F32);
        CudaDense head = weights.head();
        head.apply(x, logits, count, work);
    }

    private void stage(int[] ids, int from, int first, int count) {
        sent[turn].synchronize();
        MemorySegment host = staged[turn].segment();
        for (int i = 0; i < count; i++) {
            host.setAtIndex(ValueLayout.JAVA_INT, i, ids[from + i]);
            host.setAtIndex(ValueLayout.JAVA_INT, (long) count + i, first + i);
        }
        tokens.copyFrom(host.asSlice(0, 4L * count), 0, stream);
        positions.copyFrom(host.asSlice(4L * count, 4L * count), 0, stream);
        sent[turn].record(stream);
        turn = 1 - turn;
    }

    private void norm(DeviceBuffer added, DeviceBuffer weight, int count) {
        DecoderKernels.residualNorm(
                stream, residual, added, weight, weights.plan().epsilon(), config.hiddenSize(), count, x, Type.F32);
    }

    private void project(BlockWeights.Projection projection, int count) {
        projection.linear().apply(x, z, count, work);
        if (projection.bias() != null) {
            DecoderKernels.addBias(
                    stream, z, projection.bias(), projection.linear().rows(), count);
        }
    }

    /** Attention of the queries of the last tokens over the cache, into {@link #x}. */
    private void attend(int first, int count, BlockWeights block) {
        for (int row = 0; row < count; ) {
            int low = lowest(first + row, block.window());
            // As many tokens, then as many heads, as the scores have room for.
            int height = (int) Math.max(
                    1, Math.min(Math.min(ATTENTION_ROWS, count - row), scoreCount / padded(first + count - low)));
            int columns = first + row + height - low;
            long plane = (long) height * padded(columns);
            int planes = (int) Math.max(1, Math.min(planes(config), scoreCount / plane));
            for (int head = 0; head < config.heads(); ) {
                // Query heads that share a key head go together, or key heads that nobody shares.
                int together = Math.min(planes, (head / planes(config) + 1) * planes(config) - head);
                attend(first, block, new Tile(row, height, low, columns, head, together));
                head += together;
            }
            row += height;
        }
    }

    /**
     * Some rows of some heads.
     *
     * @param low the first position that any row sees
     * @param columns positions from there on
     */
    private record Tile(int row, int height, int low, int columns, int head, int heads) {}

    /** The first position that a token sees. */
    private static int lowest(int position, int window) {
        return window == 0 ? 0 : Math.max(0, position - window + 1);
    }

    private void attend(int first, BlockWeights block, Tile tile) {
        int dim = config.headDim();
        int width = config.querySize();
        int stride = padded(tile.columns());
        long step = (long) tile.height() * stride;
        int keyHead = tile.head() / group(config);
        long keyStep = group(config) == 1 ? (long) longest * dim : 0;
        // What was collected begins with the first position that the piece sees.
        long at = 2L * dim * ((long) keyHead * longest + tile.low() - lowest(first, block.window()));
        long bytes = 2 * (keyStep * (tile.heads() - 1) + (long) dim * tile.columns());
        long place = (long) tile.row() * width + (long) tile.head() * dim;
        long count = (long) (tile.height() - 1) * width + (long) tile.heads() * dim;
        work.cublas()
                .gemmHalf(
                        true,
                        tile.height(),
                        tile.columns(),
                        dim,
                        new Batch(queries.slice(2 * place, 2 * count), width, dim),
                        new Batch(keys.slice(at, bytes), dim, keyStep),
                        new Batch(scores, stride, step),
                        tile.heads());
        DecoderKernels.causalSoftmax(
                stream,
                scores,
                probabilities,
                tile.heads(),
                tile.height(),
                tile.columns(),
                stride,
                first + tile.row() - tile.low(),
                block.window(),
                block.scale());
        work.cublas()
                .gemmHalf(
                        false,
                        tile.height(),
                        dim,
                        tile.columns(),
                        new Batch(probabilities, stride, step),
                        new Batch(values.slice(at, bytes), dim, keyStep),
                        new Batch(x.slice(4 * place, 4 * count), width, dim),
                        tile.heads());
    }

    @Override
    public void close() {
        owned.close();
    }
}
