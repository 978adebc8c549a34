package dev.gosset.llm.model;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The weights of a model that Gosset quantized, from its weights.arrow: quantized linears under the names of their groups
 * ({@link LinearGroup#fullName}), everything else under the names of the original model. A group that is not there
 * quantized may be there as the original's matrices.
 *
 * @param file the opened file
 */
public record GossetWeights(WeightFile file) implements WeightSource {
    /** The file's name in a model directory. */
    public static final String FILE = "weights.arrow";

    @Override
    public Path path() {
        return file.source();
    }

    @Override
    public Optional<Tensor> find(String name) {
        return file.find(name).map(w -> w.requireIntactIfSmall().tensor());
    }

    @Override
    public Optional<QuantizedLinear> quantizedLinear(int layer, LinearGroup group) {
        String name = group.fullName(layer);
        return file.has(name + "." + QuantizedLinears.CODES)
                ? Optional.of(QuantizedLinears.read(file, name))
                : Optional.empty();
    }

    /**
     * The quantized form of a group, checked against the shapes of the configuration and, since whoever asks for it reads
     * all of its codes, against their checksum.
     *
     * @throws FormatException where it does not fit them
     */
    public Optional<QuantizedLinear> quantizedLinear(ModelConfig config, int layer, LinearGroup group) {
        Optional<QuantizedLinear> quantized = quantizedLinear(layer, group);
        quantized.ifPresent(linear -> {
            requireFit(config, layer, group, linear);
            file.get(group.fullName(layer) + "." + QuantizedLinears.CODES).requireIntact();
        });
        return quantized;
    }

    private void requireFit(ModelConfig config, int layer, LinearGroup group, QuantizedLinear linear) {
        List<LinearGroup.Part> expected = group.parts(config);
        boolean fits = linear.cols() == group.inputs(config) && linear.parts().size() == expected.size();
        for (int i = 0; fits && i < expected.size(); i++) {
            QuantizedLinear.Part found = linear.parts().get(i);
            fits = found.rows() == expected.get(i).rows()
                    && found.name().equals(expected.get(i).shortName());
        }
        if (!fits) {
            throw new FormatException(path() + ": linear " + group.fullName(layer) + " has " + linear.cols()
                    + " inputs and the parts "
                    + linear.parts().stream()
                            .map(p -> p.name() + " " + p.rows())
                            .toList() + ", expected "
                    + group.inputs(config) + " inputs and "
                    + expected.stream().map(p -> p.shortName() + " " + p.rows()).toList());
        }
    }

    @Override
    public Linear linear(ModelConfig config, int layer, LinearGroup group, Preparation preparation) {
        Optional<QuantizedLinear> quantized = quantizedLinear(config, layer, group);
        if (quantized.isEmpty()) {
            return WeightSource.super.linear(config, layer, group, preparation);
        }
        return new CodedLinear(preparation.product(quantized.get()));
    }
}
