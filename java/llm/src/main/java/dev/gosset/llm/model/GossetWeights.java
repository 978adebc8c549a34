package dev.gosset.llm.model;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The weights of a model that Gosset quantized: {@value #FILE} holds every group of linears as codes under {@link
 * LinearGroup#fullName}, and the other tensors under their original names.
 *
 * @param file the opened weight file
 */
public record GossetWeights(WeightFile file) implements WeightSource {
    /** The weight file's name in a model directory. */
    public static final String FILE = "weights.arrow";

    @Override
    public Path path() {
        return file.source();
    }

    @Override
    public Optional<Tensor> find(String name) {
        return file.find(name).map(WeightFile.Weight::tensor);
    }

    @Override
    public Optional<QuantizedLinear> quantizedLinear(int layer, LinearGroup group) {
        return Optional.of(QuantizedLinears.read(file, group.fullName(layer)));
    }

    @Override
    public Linear linear(ModelConfig config, int layer, LinearGroup group, Arena arena) {
        QuantizedLinear linear = QuantizedLinears.read(file, group.fullName(layer));
        List<Integer> expected =
                group.parts(config).stream().map(LinearGroup.Part::rows).toList();
        List<Integer> found =
                linear.parts().stream().map(QuantizedLinear.Part::rows).toList();
        if (linear.cols() != group.inputs(config) || !found.equals(expected)) {
            throw new FormatException(path() + ": " + group.fullName(layer) + " has " + linear.cols()
                    + " inputs and parts of " + found + " outputs, config.json asks for " + group.inputs(config)
                    + " and " + expected);
        }
        Kernels kernels = Kernels.selected();
        return new CodedLinear(new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena));
    }
}
