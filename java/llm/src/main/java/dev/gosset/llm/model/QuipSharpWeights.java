package dev.gosset.llm.model;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The weights of a published QuIP# checkpoint, ready to run. Everything but the codes stays in the memory map; the codes of a
 * linear are unpacked, once and by the team they were opened with, when it is first asked for, and take the place of the mapped pages:
 * what is in use is never more than the codes once and one packed linear.
 *
 * <p>Thread-safe.
 */
public final class QuipSharpWeights implements WeightSource {
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final QuipSharpCheckpoint checkpoint;
    private final ModelConfig config;
    private final Arena arena;
    private final ThreadTeam team;
    private final Map<String, QuantizedLinear> unpacked = new HashMap<>();

    /**
     * @param arena owns the unpacked codes; shared
     * @param team unpacks them, alone on its caller's thread once it is closed; stays the caller's
     */
    public QuipSharpWeights(QuipSharpCheckpoint checkpoint, ModelConfig config, Arena arena, ThreadTeam team) {
        this.checkpoint = checkpoint;
        this.config = config;
        this.arena = arena;
        this.team = team;
    }

    /** The checkpoint behind these weights. */
    public QuipSharpCheckpoint checkpoint() {
        return checkpoint;
    }

    @Override
    public Path path() {
        return checkpoint.tensors().source();
    }

    /** {@inheritDoc} The biases of single linears are cut from those of the stacks. */
    @Override
    public Optional<Tensor> find(String name) {
        Optional<Tensor> stored = checkpoint.tensors().find(name);
        return stored.isPresent() || !name.endsWith(".bias") ? stored : partBias(name);
    }

    private Optional<Tensor> partBias(String name) {
        for (int layer = 0; layer < config.layers(); layer++) {
            for (LinearGroup group : LinearGroup.values()) {
                int row = 0;
                for (LinearGroup.Part part : group.parts(config)) {
                    if (part.bias(layer).equals(name)) {
                        return partBias(name, checkpoint.linear(layer, group), row, part.rows());
                    }
                    row += part.rows();
                }
            }
        }
        return Optional.empty();
    }

    private Optional<Tensor> partBias(String name, PublishedLinear linear, int from, int count) {
        float[] bias = linear.scaledBias();
        if (bias == null) {
            return Optional.empty();
        }
        MemorySegment data = arena.allocate(4L * count, 64);
        for (int i = 0; i < count; i++) {
            data.setAtIndex(FLOAT, i, bias[from + i]);
        }
        return Optional.of(new Tensor(name, Dtype.F32, List.of((long) count), data, path()));
    }

    /**
     * {@inheritDoc} Without the scaling and gathering of inputs that a few early checkpoints have, and without bias: {@link
     * #linear} has those too.
     */
    @Override
    public Optional<QuantizedLinear> quantizedLinear(int layer, LinearGroup group) {
        PublishedLinear linear = checkpoint.linear(layer, group);
        synchronized (unpacked) {
            QuantizedLinear found = unpacked.get(linear.name());
            if (found == null) {
                found = linear.unpack(team, arena);
                unpacked.put(linear.name(), found);
            }
            return Optional.of(found);
        }
    }

    @Override
    public Linear linear(ModelConfig model, int layer, LinearGroup group, Preparation preparation) {
        PublishedLinear published = checkpoint.linear(layer, group);
        Linear linear = new CodedLinear(product(published, preparation));
        if (published.inputScale().isPresent() || published.inputIndices().isPresent()) {
            linear = new GatheredLinear(
                    linear,
                    group.inputs(model),
                    published.inputIndices().map(PublishedLinear::integers).orElse(null),
                    published.inputScale().map(Tensor::toFloatArray).orElse(null));
        }
        // Where the configuration knows of a bias, the transformer adds it.
        if (published.bias().isPresent() && !group.hasBias(model)) {
            FloatMatrix bias = FloatMatrix.allocate(preparation.arena(), 1, published.rows());
            float[] values = published.scaledBias();
            MemorySegment.copy(values, 0, bias.data(), ValueLayout.JAVA_FLOAT, 0, values.length);
            linear = new BiasedLinear(linear, bias);
        }
        return linear;
    }

    /** Unpacked codes that the kernel repacks are freed at once, so that a model takes its size in memory only once. */
    private static QuantizedProduct product(PublishedLinear published, Preparation preparation) {
        try (Arena temporary = Arena.ofShared()) {
            QuantizedLinear linear = published.unpack(preparation.team(), temporary);
            QuantizedProduct product = preparation.product(linear);
            if (!product.readsCodes()) {
                return product;
            }
            CodeMatrix codes = linear.codes();
            CodeMatrix kept = CodeMatrix.allocate(preparation.arena(), codes.codebook(), codes.rows(), codes.cols());
            kept.data().copyFrom(codes.data());
            return preparation.product(new QuantizedLinear(kept, linear.su(), linear.sv(), linear.parts()));
        }
    }
}
