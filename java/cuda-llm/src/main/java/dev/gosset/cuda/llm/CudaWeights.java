package dev.gosset.cuda.llm;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.CudaDense;
import dev.gosset.cuda.CudaLinear;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceLinear;
import dev.gosset.cuda.DeviceUpload;
import dev.gosset.cuda.LinearWork;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.model.GossetWeights;
import dev.gosset.llm.model.LinearGroup;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.model.ModelConfig;
import dev.gosset.llm.model.PublishedLinear;
import dev.gosset.llm.model.QuipSharpWeights;
import dev.gosset.llm.model.StorageOptions;
import dev.gosset.llm.model.WeightSource;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * All weights of a model on the device, uploaded once from the memory-mapped files through page-locked memory. Quantized
 * linears stay quantized; embedding, head and stored matrices keep their type. Immutable once made.
 */
final class CudaWeights implements AutoCloseable {
    /** Bytes of one page-locked buffer: large enough to keep the bus busy. */
    private static final long CHUNK = 16L << 20;

    private static final int LARGEST_HEAD = 256;

    private final ModelConfig config;
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
        this.source = model.weights();
        this.stream = stream;
        this.team = team;
        requireKernels();
        try (Construction construction = new Construction(this::close);
                DeviceUpload upload = new DeviceUpload(stream, CHUNK)) {
            Tensor table = source.tensor("model.embed_tokens.weight")
                    .requireShape(config.vocabularySize(), config.hiddenSize());
            embedding = owned.own(new CudaDense(List.of(floating(table)), stream, upload));
            for (int layer = 0; layer < config.layers(); layer++) {
                blocks.add(block(layer, upload));
            }
            finalNorm = vector("model.norm.weight", config.hiddenSize(), upload);
            head = owned.own(head(storage, upload));
            construction.done();
        }
    }

    private void requireKernels() {
        int dim = config.headDim();
        if (dim % 8 != 0 || dim > LARGEST_HEAD || config.vocabularySize() > DecoderKernels.MAX_VOCABULARY) {
            throw new UnsupportedModelException(source.path() + ": has heads of " + dim + " and a vocabulary of "
                    + config.vocabularySize() + "; the device runs heads of up to " + LARGEST_HEAD
                    + ", a multiple of 8, and up to " + DecoderKernels.MAX_VOCABULARY
                    + " tokens; the cpu runs any");
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
        if (config.tiedEmbeddings()) {
            return storage.byteHead() ? embedding.toInt8(stream) : embedding;
        }
        Tensor stored = source.tensor("lm_head.weight").requireShape(config.vocabularySize(), config.hiddenSize());
        CudaDense dense = new CudaDense(List.of(floating(stored)), stream, upload);
        if (!storage.byteHead()) {
            return dense;
        }
        try (dense) {
            return dense.toInt8(stream);
        }
    }

    private BlockWeights block(int layer, DeviceUpload upload) {
        String prefix = "model.layers." + layer + ".";
        boolean perHead = config.family().queryKeyNorm();
        DeviceBuffer inputNorm = vector(prefix + "input_layernorm.weight", config.hiddenSize(), upload);
        DeviceBuffer postNorm = vector(prefix + "post_attention_layernorm.weight", config.hiddenSize(), upload);
        DeviceBuffer queryNorm = perHead ? vector(prefix + "self_attn.q_norm.weight", config.headDim(), upload) : null;
        DeviceBuffer keyNorm = perHead ? vector(prefix + "self_attn.k_norm.weight", config.headDim(), upload) : null;
        Map<LinearGroup, BlockWeights.Projection> projections = new EnumMap<>(LinearGroup.class);
        for (LinearGroup group : LinearGroup.values()) {
            projections.put(group, projection(layer, group, upload));
        }
        return new BlockWeights(
                inputNorm,
                queryNorm,
                keyNorm,
                postNorm,
                projections,
                config.windows().get(layer));
    }

    private DeviceBuffer vector(String name, int size, DeviceUpload upload) {
        return floats(List.of(source.tensor(name).requireShape(size)), upload);
    }

    /** Vectors one after the other, in float32. */
    private DeviceBuffer floats(List<Tensor> vectors, DeviceUpload upload) {
        long count = vectors.stream().mapToLong(Tensor::elements).sum();
        DeviceBuffer buffer = owned.own(
                stream.context().allocate(4 * count, vectors.getFirst().name()));
        long at = 0;
        for (Tensor vector : vectors) {
            try (Arena arena = Arena.ofConfined()) {
                upload.copy(vector.toFloatMatrix(arena).data(), buffer, at);
            }
            at += 4 * vector.elements();
        }
        return buffer;
    }

    private BlockWeights.Projection projection(int layer, LinearGroup group, DeviceUpload upload) {
        boolean hasBias = group.hasBias(config);
        DeviceLinear linear;
        switch (source) {
            case QuipSharpWeights published -> {
                PublishedLinear stored = published.checkpoint().linear(layer, group);
                linear = owned.own(published(stored, group.inputs(config), upload));
                hasBias |= stored.bias().isPresent();
            }
            case GossetWeights gosset -> {
                Optional<QuantizedLinear> quantized = gosset.quantizedLinear(config, layer, group);
                linear = owned.own(
                        quantized.isPresent()
                                ? new CudaLinear(quantized.get(), stream, upload)
                                : dense(layer, group, upload));
            }
            default -> linear = owned.own(dense(layer, group, upload));
        }
        return new BlockWeights.Projection(linear, hasBias ? bias(layer, group, upload) : null);
    }

    private DeviceLinear dense(int layer, LinearGroup group, DeviceUpload upload) {
        List<Tensor> weights = parts(group)
                .map(p -> floating(source.tensor(p.weight(layer)).requireShape(p.rows(), group.inputs(config))))
                .toList();
        return new CudaDense(weights, stream, upload);
    }

    private DeviceBuffer bias(int layer, LinearGroup group, DeviceUpload upload) {
        return floats(
                parts(group)
                        .map(p -> source.tensor(p.bias(layer)).requireShape(p.rows()))
                        .toList(),
                upload);
    }

    private Stream<LinearGroup.Part> parts(LinearGroup group) {
        return group.parts(config).stream();
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
        return Math.max(config.hiddenSize(), Math.max(config.querySize(), config.intermediateSize()));
    }

    /** The most outputs that any linear of a block has. */
    int widestOutput() {
        return Arrays.stream(LinearGroup.values())
                .mapToInt(g -> g.outputs(config))
                .max()
                .orElseThrow();
    }

    /** Every linear of the blocks. */
    private Stream<DeviceLinear> linears() {
        return blocks.stream().flatMap(b -> b.projections().values().stream()).map(BlockWeights.Projection::linear);
    }

    @Override
    public void close() {
        owned.close();
    }
}
