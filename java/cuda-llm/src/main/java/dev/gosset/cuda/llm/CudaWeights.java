package dev.gosset.cuda.llm;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.CudaDense;
import dev.gosset.cuda.CudaLinear;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceLinear;
import dev.gosset.cuda.DeviceUpload;
import dev.gosset.cuda.LinearWork;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.AttentionPlan.Grouped;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.NormPlan;
import dev.gosset.llm.weights.PublishedLinear;
import dev.gosset.llm.weights.StoredLinear;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * All weights of a model on the device, uploaded once from the memory-mapped files through page-locked memory. Quantized
 * linears stay quantized; embedding, head and stored matrices keep their type. Immutable once made.
 */
final class CudaWeights implements AutoCloseable {
    /** Bytes of one page-locked buffer: large enough to keep the bus busy. */
    private static final long CHUNK = 16L << 20;

    private final ModelConfig config;
    private final CudaPlan plan;
    private final WeightSource source;
    private final CudaStream stream;
    private final ThreadTeam team;
    private final Resources owned = new Resources();
    private final List<BlockWeights> blocks = new ArrayList<>();
    private CudaDense embedding;
    private CudaDense head;
    private DeviceBuffer finalNorm;

    /**
     * Uploads and waits.
     *
     * @param team unpacks the codes of published checkpoints
     */
    CudaWeights(Model model, StorageOptions storage, CudaStream stream, ThreadTeam team) {
        this.config = model.config();
        this.plan = CudaPlan.of(model.weights().path(), model.plan());
        this.source = model.weights();
        this.stream = stream;
        this.team = team;
        try (Construction construction = new Construction(this::close);
                DeviceUpload upload = new DeviceUpload(stream, CHUNK)) {
            embedding = owned.own(new CudaDense(List.of(floating(source.tensor(plan.embedding()))), stream, upload));
            for (CudaPlan.Block block : plan.blocks()) {
                blocks.add(block(block, upload));
            }
            finalNorm = norm(plan.finalNorm(), upload);
            head = owned.own(head(storage, upload));
            construction.done();
        }
    }

    private static Tensor floating(Tensor tensor) {
        return switch (tensor.dtype()) {
            case F32, F16, BF16 -> tensor;
            default ->
                throw new FormatException(
                        tensor + " is " + tensor.dtype() + ", the device runs matrices of F32, F16 or BF16");
        };
    }

    private CudaDense head(StorageOptions storage, DeviceUpload upload) {
        if (plan.head().isEmpty()) {
            return storage.byteHead() ? embedding.toInt8(stream) : embedding;
        }
        Tensor stored = floating(source.tensor(plan.head().get()));
        CudaDense dense = new CudaDense(List.of(stored), stream, upload);
        if (!storage.byteHead()) {
            return dense;
        }
        try (dense) {
            return dense.toInt8(stream);
        }
    }

    private BlockWeights block(CudaPlan.Block plan, DeviceUpload upload) {
        Grouped attention = plan.attention();
        return new BlockWeights(
                plan,
                norm(plan.order().attention(), upload),
                attention.queryNorm().map(n -> norm(n, upload)).orElse(null),
                attention.keyNorm().map(n -> norm(n, upload)).orElse(null),
                norm(plan.order().feedForward(), upload),
                projection(attention.input(), upload),
                projection(attention.output(), upload),
                projection(plan.mlp().input(), upload),
                projection(plan.mlp().output(), upload));
    }

    private DeviceBuffer norm(NormPlan norm, DeviceUpload upload) {
        return owned.own(floats(List.of(source.tensor(norm.weight())), stream, upload));
    }

    /** Tensors one after the other, in float32; the caller's. */
    static DeviceBuffer floats(List<Tensor> tensors, CudaStream stream, DeviceUpload upload) {
        long count = tensors.stream().mapToLong(Tensor::elements).sum();
        DeviceBuffer buffer =
                stream.context().allocate(4 * count, tensors.getFirst().name());
        try (Construction construction = new Construction(buffer::close)) {
            long at = 0;
            for (Tensor tensor : tensors) {
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment host = arena.allocate(4 * tensor.elements(), 64);
                    tensor.toFloats(host);
                    upload.copy(host, buffer, at);
                }
                at += 4 * tensor.elements();
            }
            construction.done();
        }
        return buffer;
    }

    private BlockWeights.Projection projection(LinearGroup group, DeviceUpload upload) {
        DeviceLinear linear = owned.own(
                switch (source.linear(group)) {
                    case StoredLinear.Matrices(List<Tensor> parts) ->
                        new CudaDense(parts.stream().map(CudaWeights::floating).toList(), stream, upload);
                    case StoredLinear.Codes(QuantizedLinear codes) -> new CudaLinear(codes, stream, upload);
                    case StoredLinear.Published(PublishedLinear stored) -> published(stored, group.inputs(), upload);
                });
        List<Tensor> bias = source.bias(group);
        return new BlockWeights.Projection(linear, bias.isEmpty() ? null : owned.own(floats(bias, stream, upload)));
    }

    private DeviceLinear published(PublishedLinear stored, int inputs, DeviceUpload upload) {
        try (Arena temporary = Arena.ofShared()) {
            return new CudaLinear(
                    stored.unpack(team, temporary),
                    inputs,
                    stored.inputIndices().map(PublishedLinear::integers).orElse(null),
                    stored.inputScale().map(Tensor::toFloatArray).orElse(null),
                    stream,
                    upload);
        }
    }

    ModelConfig config() {
        return config;
    }

    CudaPlan plan() {
        return plan;
    }

    CudaDense embedding() {
        return embedding;
    }

    List<BlockWeights> blocks() {
        return blocks;
    }

    DeviceBuffer finalNorm() {
        return finalNorm;
    }

    CudaDense head() {
        return head;
    }

    /** What the linears and the head work in for up to {@code rows} rows. */
    LinearWork.Plan plan(int rows) {
        LinearWork.Plan plan = new LinearWork.Plan();
        linears().forEach(l -> l.plan(plan, rows));
        head.plan(plan, rows);
        return plan;
    }

    /** The most inputs that any linear has. */
    int widestInput() {
        return plan.blocks().stream()
                .flatMap(b -> b.groups().stream())
                .mapToInt(LinearGroup::inputs)
                .max()
                .orElseThrow();
    }

    /** The most outputs that any linear of a block has. */
    int widestOutput() {
        return plan.blocks().stream()
                .flatMap(b -> b.groups().stream())
                .mapToInt(LinearGroup::outputs)
                .max()
                .orElseThrow();
    }

    /** Every linear of the blocks. */
    private Stream<DeviceLinear> linears() {
        return blocks.stream().flatMap(b -> b.projections()).map(BlockWeights.Projection::linear);
    }

    @Override
    public void close() {
        owned.close();
    }
}
