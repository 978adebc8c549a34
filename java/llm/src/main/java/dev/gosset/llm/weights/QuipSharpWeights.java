package dev.gosset.llm.weights;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.plan.LinearGroup;
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
    private final Arena arena;
    private final ThreadTeam team;
    private final Map<String, QuantizedLinear> unpacked = new HashMap<>();

    /**
     * @param arena owns the unpacked codes; shared
     * @param team unpacks them, alone on its caller's thread once it is closed; stays the caller's
     */
    public QuipSharpWeights(QuipSharpCheckpoint checkpoint, Arena arena, ThreadTeam team) {
        this.checkpoint = checkpoint;
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

    @Override
    public Optional<Tensor> find(String name) {
        return checkpoint.tensors().find(name);
    }

    @Override
    public StoredLinear linear(LinearGroup group) {
        return new StoredLinear.Published(checkpoint.linear(group));
    }

    /** {@inheritDoc} A checkpoint may have one where the model it was made of has none. */
    @Override
    public List<Tensor> bias(LinearGroup group) {
        float[] bias = checkpoint.linear(group).scaledBias();
        if (bias == null) {
            return WeightSource.super.bias(group);
        }
        MemorySegment data = arena.allocate(4L * bias.length, 64);
        for (int i = 0; i < bias.length; i++) {
            data.setAtIndex(FLOAT, i, bias[i]);
        }
        return List.of(new Tensor(group.name() + ".bias", Dtype.F32, List.of((long) bias.length), data, path()));
    }

    /**
     * {@inheritDoc} Without the scaling and gathering of inputs that a few early checkpoints have, and without bias.
     */
    @Override
    public Optional<QuantizedLinear> quantizedLinear(LinearGroup group) {
        PublishedLinear linear = checkpoint.linear(group);
        synchronized (unpacked) {
            QuantizedLinear found = unpacked.get(linear.name());
            if (found == null) {
                found = linear.unpack(team, arena);
                unpacked.put(linear.name(), found);
            }
            return Optional.of(found);
        }
    }
}
