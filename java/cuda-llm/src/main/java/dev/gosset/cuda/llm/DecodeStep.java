package dev.gosset.cuda.llm;

import dev.gosset.core.memory.Construction;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaException;
import dev.gosset.cuda.CudaKernels;
import dev.gosset.cuda.CudaKernels.Between;
import dev.gosset.cuda.CudaKernels.Type;
import dev.gosset.cuda.CudaLinear;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceMemory;
import dev.gosset.cuda.LinearWork;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.plan.ModelConfig;
import java.util.HashSet;
import java.util.Set;

/**
 * One step of decoding: each row's token goes through the model, and the next one is drawn.
 * Everything that changes from step to step (whose row it is, tokens, positions, sampling) lies in device memory, so that {@link #queue} can
 * be recorded as a graph for each number of rows, and sequences come and go. Rows at a negative position rest. What comes out of a row has the same
 * bits whatever the others are.
 *
 * <p>Between two quantized linears stands one launch: output transform, residual and norm or gate, input transform and
 * rounding. Where a linear is not quantized, has a bias, or the vectors are too long for that launch, the same happens step
 * by step.
 *
 * <p>One thread at a time.
 */
final class DecodeStep implements AutoCloseable {
    /** Of {@link #state}, for each row. */
    static final long STATE_BYTES = 12;

    private final CudaWeights weights;
    private final ModelConfig config;
    private final CudaStream stream;
    private final CudaPool cache;
    private final boolean fuse;
    private final int most;
    private final Resources owned = new Resources();
    private final LinearWork work;
    /** Tokens, positions, then lines of the tables. */
    private final DeviceBuffer state;

    private final DeviceBuffer settings;
    private final DeviceBuffer residual;
    private final DeviceBuffer x;
    private final DeviceBuffer z;
    private final DeviceBuffer queries;
    private final DeviceBuffer logits;
    private final DeviceBuffer attentionWork;
    private final DeviceBuffer sampleWork;
    /** What {@code between} has refused: then it is not asked again. */
    private final Set<CudaLinear> tooLong = new HashSet<>();
    /** Of the step that is being queued. */
    private int rows;

    /** @param cache a step has at most as many rows as it has sequences */
    DecodeStep(CudaWeights weights, CudaStream stream, CudaPool cache) {
        this(weights, stream, cache, true);
    }

    /**
     * @param fuse whether one launch does what stands between two linears, where it can
     */
    DecodeStep(CudaWeights weights, CudaStream stream, CudaPool cache, boolean fuse) {
        this.fuse = fuse;
        this.weights = weights;
        this.config = weights.config();
        this.stream = stream;
        this.cache = cache;
        this.most = cache.shape().sequences();
        int rows = most;
        CudaContext context = stream.context();
        try (Construction construction = new Construction(this::close)) {
            work = owned.own(new LinearWork(stream, weights.plan(rows)));
            state = owned.own(context.allocate(STATE_BYTES * rows, "the rows of a step"));
            settings = owned.own(context.allocate((long) DecoderKernels.Sampling.BYTES * rows, "sampling settings"));
            residual = owned.own(context.allocate(4L * rows * config.hiddenSize(), "the residual stream"));
            x = owned.own(context.allocate(4L * rows * weights.widestInput(), "inputs of linears"));
            z = owned.own(context.allocate(4L * rows * weights.widestOutput(), "outputs of linears"));
            queries = owned.own(context.allocate(4L * rows * config.querySize(), "queries"));
            logits = owned.own(context.allocate(4L * rows * config.vocabularySize(), "logits"));
            attentionWork = owned.own(
                    context.allocate(attentionWorkBytes(context, weights, cache.shape()), "work of attention"));
            sampleWork = owned.own(context.allocate(
                    DecoderKernels.sampleWorkBytes(config.vocabularySize(), rows), "work of sampling"));
            // Rows that rest are computed too and nothing of them is kept, but they must be numbers.
            for (DeviceBuffer buffer : new DeviceBuffer[] {residual, x, z, queries, logits, attentionWork}) {
                buffer.fill(0, stream);
            }
            construction.done();
        }
    }

    /** The bytes of device memory that a step of as many sequences as {@code shape} has takes, beside the cache. */
    static long bytes(CudaContext context, CudaWeights weights, CacheShape shape) {
        ModelConfig config = weights.config();
        long rows = shape.sequences();
        long floats = (long) config.hiddenSize() + weights.widestInput() + weights.widestOutput() + config.querySize();
        return weights.plan(shape.sequences()).bytes()
                + DecoderKernels.sampleWorkBytes(config.vocabularySize(), shape.sequences())
                + attentionWorkBytes(context, weights, shape)
                + (STATE_BYTES + DecoderKernels.Sampling.BYTES) * rows
                + 4 * rows * (floats + config.vocabularySize());
    }

    /** The work of attention in the layer that needs most of it. */
    private static long attentionWorkBytes(CudaContext context, CudaWeights weights, CacheShape shape) {
        long most = DecoderKernels.ATTENTION_ZEROS;
        for (BlockWeights block : weights.blocks()) {
            int splits = DecoderKernels.attentionSplits(context, shape, block.window());
            most = Math.max(most, DecoderKernels.attentionWorkBytes(shape, shape.sequences(), splits));
        }
        return most;
    }

    private int splits(int window) {
        return DecoderKernels.attentionSplits(stream.context(), cache.shape(), window);
    }

    /** Tokens, then positions, then lines of the tables: as many int32 of each as there are rows at the most. */
    DeviceBuffer state() {
        return state;
    }

    /** The most rows. */
    int most() {
        return most;
    }

    /** The sampling settings of each row. */
    DeviceBuffer settings() {
        return settings;
    }

    /** The last step's logits, rows x vocabulary. */
    DeviceBuffer logits() {
        return logits;
    }

    /** The product of a quantized linear that still waits for its output transform, or finished outputs, in {@link #z}. */
    private record Outputs(BlockWeights.Projection projection, boolean transformed) {}

    /**
     * Queues one step.
     *
     * @param count rows, of {@link #state} and {@link #settings} the first so many; at least 1
     */
    void queue(int count) {
        rows = count;
        DeviceBuffer table = weights.embedding().weights();
        DecoderKernels.embed(
                stream,
                table,
                weights.embedding().type(),
                config.vocabularySize(),
                config.hiddenSize(),
                state.slice(0, 4L * rows),
                null,
                rows,
                residual);
        Outputs outputs = null;
        for (int layer = 0; layer < config.layers(); layer++) {
            BlockWeights block = weights.blocks().get(layer);
            outputs = project(Between.NORM, outputs, block.inputNorm(), block.qkv());
            attend(layer, block, outputs);
            outputs = project(Between.PLAIN, null, null, block.output());
            outputs = project(Between.NORM, outputs, block.postNorm(), block.upGate());
            outputs = project(Between.GATE, outputs, null, block.down());
        }
        finish(outputs, true);
        norm(true, weights.finalNorm());
        weights.head().apply(x, logits, rows, work);
        DecoderKernels.sample(
                stream,
                logits,
                config.vocabularySize(),
                rows,
                settings,
                null,
                0,
                1,
                state.slice(0, 4L * rows),
                positions(),
                null,
                sampleWork);
    }

    private DeviceMemory positions() {
        return state.slice(4L * most, 4L * rows);
    }

    private DeviceMemory sequences() {
        return state.slice(8L * most, 4L * rows);
    }

    private void attend(int layer, BlockWeights block, Outputs outputs) {
        finish(outputs, false);
        DecoderKernels.rotateStore(
                stream,
                cache.shape(),
                z,
                block.qkv().bias(),
                block.queryNorm(),
                block.keyNorm(),
                weights.plan().epsilon(),
                cache.angles(),
                sequences(),
                positions(),
                cache.tables(),
                rows,
                queries,
                Type.F32,
                cache.keys(layer),
                cache.values(layer));
        DecoderKernels.attention(
                stream,
                cache.shape(),
                queries,
                cache.keys(layer),
                cache.values(layer),
                sequences(),
                positions(),
                cache.tables(),
                rows,
                block.window(),
                block.scale(),
                splits(block.window()),
                attentionWork,
                x);
    }

    /**
     * Everything from the outputs of one linear to those of the next.
     *
     * @param before what {@link #z} holds; null where nothing is added to the residual (NORM), and for PLAIN, which reads
     *     {@link #x}
     */
    private Outputs project(Between kind, Outputs before, DeviceBuffer normWeight, BlockWeights.Projection projection) {
        Outputs left = before;
        if (fuse
                && projection.linear() instanceof CudaLinear next
                && !next.choosesInputs()
                && !tooLong.contains(next)) {
            if (left != null && (left.transformed() || left.projection().bias() != null)) {
                // The launch adds only what it transforms itself.
                finish(left, true);
                left = null;
                if (kind == Between.NORM) {
                    DecoderKernels.residualNorm(
                            stream,
                            residual,
                            z,
                            null,
                            weights.plan().epsilon(),
                            config.hiddenSize(),
                            rows,
                            null,
                            Type.F32);
                }
            }
            if (fused(kind, left, normWeight, next)) {
                next.multiply(rows, z, work);
                return new Outputs(projection, false);
            }
            tooLong.add(next);
        }
        if (left != null) {
            finish(left, true);
        }
        switch (kind) {
            case NORM -> norm(left != null, normWeight);
            case GATE -> DecoderKernels.gate(stream, z, config.intermediateSize(), rows, x, Type.F32);
            case PLAIN -> {}
        }
        projection.linear().apply(x, z, rows, work);
        return new Outputs(projection, true);
    }

    /**
     * One launch from the last product to rounded activations; false where the vectors are too long for it, and nothing was
     * queued.
     *
     * @param before a product to transform; null where {@link #x} (PLAIN) or {@link #z} (GATE) is finished, or the residual
     *     (NORM)
     */
    private boolean fused(Between kind, Outputs before, DeviceBuffer normWeight, CudaLinear next) {
        CudaLinear last =
                before == null ? null : (CudaLinear) before.projection().linear();
        DeviceBuffer from = switch (kind) {
            case PLAIN -> x;
            case GATE -> z;
            case NORM -> before == null ? null : z;
        };
        try {
            CudaKernels.between(
                    stream,
                    kind,
                    rows,
                    from,
                    last == null ? null : last.output(),
                    last == null ? null : last.outputSigns(),
                    kind == Between.NORM ? residual : null,
                    normWeight,
                    weights.plan().epsilon(),
                    next.input(),
                    next.inputSigns(),
                    work.activations(),
                    work.scale());
            return true;
        } catch (CudaException e) {
            if (e.isUnsupported()) {
                return false;
            }
            throw e;
        }
    }

    private void norm(boolean add, DeviceBuffer weight) {
        DecoderKernels.residualNorm(
                stream,
                residual,
                add ? z : null,
                weight,
                weights.plan().epsilon(),
                config.hiddenSize(),
                rows,
                x,
                Type.F32);
    }

    /** Brings z to the outputs of its linear: the output transform, and the bias where it is wanted. */
    private void finish(Outputs outputs, boolean bias) {
        if (!outputs.transformed()) {
            ((CudaLinear) outputs.projection().linear()).transformOutputs(rows, z, 1, work);
        }
        if (bias && outputs.projection().bias() != null) {
            DecoderKernels.addBias(
                    stream,
                    z,
                    outputs.projection().bias(),
                    outputs.projection().linear().rows(),
                    rows);
        }
    }

    @Override
    public void close() {
        owned.close();
    }
}
