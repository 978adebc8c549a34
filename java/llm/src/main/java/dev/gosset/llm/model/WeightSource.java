package dev.gosset.llm.model;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
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

    /**
     * The linears of a group without their bias, checked against the shapes of the configuration. Unless a source says
     * otherwise they are the stored matrices of the group's parts.
     *
     * @param preparation of linears that are not run as they are stored
     */
    default Linear linear(ModelConfig config, int layer, LinearGroup group, Preparation preparation) {
        List<Tensor> weights = new ArrayList<>();
        for (LinearGroup.Part part : group.parts(config)) {
            weights.add(tensor(part.weight(layer)).requireShape(part.rows(), group.inputs(config)));
        }
        return new DenseLinear(weights);
    }

    /** The stored form of a group that is quantized; empty where the source stores its matrices. */
    default Optional<QuantizedLinear> quantizedLinear(int layer, LinearGroup group) {
        return Optional.empty();
    }
}
