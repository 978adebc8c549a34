package dev.gosset.llm.model;

import dev.gosset.core.memory.Tensor;
import dev.gosset.llm.io.Safetensors;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The weights of an original model: matrices in safetensors files.
 *
 * @param tensors the opened files
 */
public record OriginalWeights(Safetensors tensors) implements WeightSource {
    @Override
    public Path path() {
        return tensors.source();
    }

    @Override
    public Optional<Tensor> find(String name) {
        return tensors.find(name);
    }
}
