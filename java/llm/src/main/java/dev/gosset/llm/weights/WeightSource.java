package dev.gosset.llm.weights;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.Tensor;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.TensorPlan;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Where the weights of a model come from. Tensors go by the names of the original model on Hugging Face; linears come as
 * whole groups, because some sources store them stacked and quantized.
 *
 * <p>Immutable and thread-safe; the views live as long as the arena that the source was opened with.
 */
public interface WeightSource {
    /** The directory or file, for messages. */
    Path path();

    /** A tensor by its name, if there is one. */
    Optional<Tensor> find(String name);

    /** A tensor by its name, or a {@link FormatException} that names it. */
    default Tensor tensor(String name) {
        return find(name).orElseThrow(() -> new FormatException(path() + ": has no tensor " + name));
    }

    /** A tensor of a plan, checked against its shape. */
    default Tensor tensor(TensorPlan plan) {
        return tensor(plan.name())
                .requireShape(plan.shape().stream().mapToLong(Long::longValue).toArray());
    }

    /** The weights of a group without its bias, checked against the plan. */
    default StoredLinear linear(LinearGroup group) {
        return new StoredLinear.Matrices(
                group.parts().stream().map(part -> weight(group, part)).toList());
    }

    /** The weight of one linear of a group that is stored as matrices, checked against the plan. */
    default Tensor weight(LinearGroup group, LinearGroup.Part part) {
        return tensor(part.weight())
                .matrix()
                .requireShape(part.allRows(), group.inputs())
                .rows(part.firstRow(), part.rows());
    }

    /** The bias of a group in pieces from the top down; none where it adds none. */
    default List<Tensor> bias(LinearGroup group) {
        return group.biases().stream().map(this::tensor).toList();
    }

    /** The stored form of a group that is quantized; empty where the source stores its matrices. */
    default Optional<QuantizedLinear> quantizedLinear(LinearGroup group) {
        return Optional.empty();
    }
}
