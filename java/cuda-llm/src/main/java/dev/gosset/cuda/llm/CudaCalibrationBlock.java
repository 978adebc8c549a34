package dev.gosset.cuda.llm;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.cuda.CublasHandle;
import dev.gosset.cuda.CublasHandle.Batch;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaKernels.Type;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceMemory;
import dev.gosset.cuda.DeviceUpload;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.device.DeviceQuantizer.Accumulator;
import dev.gosset.llm.device.DeviceQuantizer.CalibrationBlock;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.NormPlan;
import dev.gosset.llm.plan.RotaryTable;
import dev.gosset.llm.weights.StoredLinear;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;

/**
 * A block of the unquantized model on the device. Linears, norms and the residual stream are float32, since what they
 * compute decides codes; within attention queries, keys, values and probabilities are float16 with float32 sums, as when the
 * model runs there. One thread at a time.
 */
final class CudaCalibrationBlock implements CalibrationBlock {
    private static final long UPLOAD_BYTES = 16L << 20;

    /** Bytes of scores and probabilities at a time, unless a single row of a group of heads needs more. */
    private static final long ATTENTION_BYTES = 256L << 20;

    private static final int SCORE_BYTES = 6;

    private final ModelConfig config;
    private final CudaPlan plan;
    private final CudaPlan.Block block;
    private final int longest;
    private final Resources owned = new Resources();
    private final CudaStream stream;
    private final CublasHandle cublas;
    private final Projection qkv;
    private final Projection output;
    private final Projection upGate;
    private final Projection down;
    private final DeviceBuffer inputNorm;
    private final DeviceBuffer postNorm;
    private final DeviceBuffer queryNorm;
    private final DeviceBuffer keyNorm;
    private final CacheShape shape;
    private final RotaryTable rotary;
    private final DeviceBuffer angles;
    /** The length of the sequence that they are of. */
    private int anglesOf;

    private final DeviceBuffer positions;
    private final DeviceBuffer sequenceOfRow;
    private final DeviceBuffer residual;
    private final DeviceBuffer x;
    private final DeviceBuffer z;
    private final DeviceBuffer queries;
    private final DeviceBuffer keys;
    private final DeviceBuffer values;
    private final DeviceBuffer scores;
    private final DeviceBuffer probabilities;
    private final long scoreCount;

    /**
     * A group of linears, what it computes with, and what is added to its outputs.
     *
     * @param bias as many floats as outputs, or null
     */
    private record Projection(LinearGroup group, DeviceBuffer weights, DeviceBuffer bias) {}

    /** Whether the device runs the blocks of a model. */
    static boolean runs(Model model) {
        try {
            CudaPlan.of(model.weights().path(), model.plan());
            return true;
        } catch (UnsupportedModelException e) {
            return false;
        }
    }

    /**
     * Uploads the block's weights and waits until they are there.
     *
     * @param longest the most tokens of a sequence
     */
    CudaCalibrationBlock(CudaContext context, Model model, int layer, int longest) {
        this.config = model.config();
        this.plan = CudaPlan.of(model.weights().path(), model.plan());
        this.block = plan.blocks().get(layer);
        this.longest = longest;
        this.rotary = new RotaryTable(plan.rotary());
        int hidden = config.hiddenSize();
        int widest = block.groups().stream().mapToInt(LinearGroup::inputs).max().orElseThrow();
        int outputs =
                block.groups().stream().mapToInt(LinearGroup::outputs).max().orElseThrow();
        shape = new CacheShape(config.heads(), config.keyValueHeads(), config.headDim(), 0, 1, longest);
        long row = (long) group() * padded(longest);
        scoreCount = Math.max(row, Math.min(ATTENTION_BYTES / SCORE_BYTES, row * longest));
        try (Construction construction = new Construction(owned::close)) {
            stream = owned.own(context.stream());
            cublas = owned.own(context.cublas(stream));
            try (DeviceUpload upload = new DeviceUpload(stream, UPLOAD_BYTES)) {
                WeightSource source = model.weights();
                qkv = projection(source, block.attention().input(), upload);
                output = projection(source, block.attention().output(), upload);
                upGate = projection(source, block.mlp().input(), upload);
                down = projection(source, block.mlp().output(), upload);
                inputNorm = norm(source, block.order().attention(), upload);
                postNorm = norm(source, block.order().feedForward(), upload);
                queryNorm = block.attention()
                        .queryNorm()
                        .map(n -> norm(source, n, upload))
                        .orElse(null);
                keyNorm = block.attention()
                        .keyNorm()
                        .map(n -> norm(source, n, upload))
                        .orElse(null);
            }
            residual = owned.own(context.allocate(4L * longest * hidden, "hidden states"));
            x = owned.own(context.allocate(4L * longest * widest, "inputs of linears"));
            z = owned.own(context.allocate(4L * longest * outputs, "outputs of linears"));
            queries = owned.own(context.allocate(2L * longest * config.querySize(), "queries"));
            keys = owned.own(context.allocate(shape.cacheBytes(), "keys"));
            values = owned.own(context.allocate(shape.cacheBytes(), "values"));
            scores = owned.own(context.allocate(4 * scoreCount, "attention scores"));
            probabilities = owned.own(context.allocate(2 * scoreCount, "attention probabilities"));
            sequenceOfRow = owned.own(context.allocate(4L * longest, "the sequence of each token"));
            sequenceOfRow.fill(0, stream);
            positions = owned.own(context.allocate(4L * longest, "positions"));
            angles = owned.own(context.allocate(4L * longest * config.headDim(), "rotary angles"));
            uploadPlaces();
            construction.done();
        }
    }

    private int group() {
        return config.heads() / config.keyValueHeads();
    }

    private static int padded(int columns) {
        return Math.ceilDiv(columns, 8) * 8;
    }

    /** The angles of a sequence, unless those of the last one are the same. */
    private void uploadAngles(int tokens) {
        int length = Math.max(tokens, Math.min(longest, rotary.fixedLength()));
        if (length == anglesOf) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            angles.copyFrom(CudaPool.pairs(rotary.angles(0, length, length), 0, length, arena), 0, stream);
            stream.synchronize();
        }
        anglesOf = length;
    }

    private void uploadPlaces() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment places = arena.allocate(4L * longest, 16);
            for (int i = 0; i < longest; i++) {
                places.setAtIndex(ValueLayout.JAVA_INT, i, i);
            }
            positions.copyFrom(places, 0, stream);
            stream.synchronize();
        }
    }

    private DeviceBuffer norm(WeightSource source, NormPlan norm, DeviceUpload upload) {
        return owned.own(CudaWeights.floats(List.of(source.tensor(norm.weight())), stream, upload));
    }

    private Projection projection(WeightSource source, LinearGroup group, DeviceUpload upload) {
        List<Tensor> matrices = switch (source.linear(group)) {
            case StoredLinear.Matrices(List<Tensor> parts) -> parts;
            case StoredLinear.Codes _, StoredLinear.Published _ ->
                throw new IllegalArgumentException(group.name() + " is quantized");
        };
        List<Tensor> bias = source.bias(group);
        return new Projection(
                group,
                owned.own(CudaWeights.floats(matrices, stream, upload)),
                bias.isEmpty() ? null : owned.own(CudaWeights.floats(bias, stream, upload)));
    }

    @Override
    public void forward(FloatMatrix hidden, Map<String, Accumulator> sums) {
        int tokens = hidden.rows();
        int n = config.hiddenSize();
        if (tokens > longest || hidden.cols() != n) {
            throw new IllegalArgumentException("hidden states are " + tokens + " x " + hidden.cols()
                    + ", this block takes up to " + longest + " x " + n);
        }
        if (tokens == 0) {
            return;
        }
        uploadAngles(tokens);
        residual.copyFrom(hidden.data(), 0, stream);
        DecoderKernels.residualNorm(stream, residual, null, inputNorm, plan.epsilon(), n, tokens, x, Type.F32);
        apply(qkv, tokens, sums);
        DecoderKernels.rotateStore(
                stream,
                shape,
                z,
                qkv.bias(),
                queryNorm,
                keyNorm,
                plan.epsilon(),
                angles,
                sequenceOfRow,
                positions,
                null,
                tokens,
                queries,
                Type.F16,
                keys,
                values);
        attend(tokens);
        project(output, tokens, sums);
        DecoderKernels.residualNorm(stream, residual, z, postNorm, plan.epsilon(), n, tokens, x, Type.F32);
        project(upGate, tokens, sums);
        DecoderKernels.gate(stream, z, config.intermediateSize(), tokens, x, Type.F32);
        project(down, tokens, sums);
        DecoderKernels.residualNorm(stream, residual, z, null, plan.epsilon(), n, tokens, null, Type.F32);
        residual.copyTo(hidden.data(), 0, stream);
        stream.synchronize();
    }

    private void project(Projection projection, int tokens, Map<String, Accumulator> sums) {
        apply(projection, tokens, sums);
        if (projection.bias() != null) {
            DecoderKernels.addBias(
                    stream, z, projection.bias(), projection.group().outputs(), tokens);
        }
    }

    /** {@code z = W x}, and x is seen by the group's sums. */
    private void apply(Projection projection, int tokens, Map<String, Accumulator> sums) {
        int m = projection.group().outputs();
        int n = projection.group().inputs();
        cublas.gemmTransposed(tokens, m, n, x, projection.weights(), z);
        if (sums.get(projection.group().hessian()) instanceof CudaQuantizer.Sums own) {
            stream.synchronize();
            own.add(x.slice(0, 4L * tokens * n), tokens);
        }
    }

    /** Attention of all tokens over those before them, into {@link #x}; the heads of a key head together. */
    private void attend(int tokens) {
        int dim = config.headDim();
        int group = group();
        int window = block.attention().window();
        float scale = block.attention().scale();
        int step = (int) Math.clamp(scoreCount / ((long) group * padded(tokens)), 1, tokens);
        for (int row = 0; row < tokens; row += step) {
            int height = Math.min(step, tokens - row);
            int columns = row + height;
            int stride = padded(columns);
            for (int keyHead = 0; keyHead < config.keyValueHeads(); keyHead++) {
                long place = (long) row * config.querySize() + (long) keyHead * group * dim;
                long span = (long) (height - 1) * config.querySize() + (long) group * dim;
                long cached = 2L * dim * keyHead * longest;
                DeviceMemory k = keys.slice(cached, 2L * dim * columns);
                DeviceMemory v = values.slice(cached, 2L * dim * columns);
                cublas.gemmHalf(
                        true,
                        height,
                        columns,
                        dim,
                        new Batch(queries.slice(2 * place, 2 * span), config.querySize(), dim),
                        new Batch(k, dim, 0),
                        new Batch(scores, stride, (long) height * stride),
                        group);
                DecoderKernels.causalSoftmax(
                        stream, scores, probabilities, group, height, columns, stride, row, window, scale);
                cublas.gemmHalf(
                        false,
                        height,
                        dim,
                        columns,
                        new Batch(probabilities, stride, (long) height * stride),
                        new Batch(v, dim, 0),
                        new Batch(x.slice(4 * place, 4 * span), config.querySize(), dim),
                        group);
            }
        }
    }

    /** Frees it; the second time nothing happens. */
    @Override
    public void close() {
        owned.close();
    }
}
