package dev.gosset.llm.weights;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.llm.plan.LinearGroup;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The weights of a model that Gosset quantized, from its weights.arrow: quantized linears under the names of their groups
 * ({@link LinearGroup#name}), everything else under the names of the original model. A group that is not there
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
    public Optional<QuantizedLinear> quantizedLinear(LinearGroup group) {
        if (!file.has(group.name() + "." + QuantizedLinears.CODES)) {
            return Optional.empty();
        }
        QuantizedLinear linear = QuantizedLinears.read(file, group.name());
        requireFit(group, linear);
        return Optional.of(linear);
    }

    /**
     * {@link #quantizedLinear}, checked against the checksum of its codes too, since whoever asks for it reads all of them.
     *
     * @throws FormatException where it does not fit them
     */
    public Optional<QuantizedLinear> codes(LinearGroup group) {
        Optional<QuantizedLinear> quantized = quantizedLinear(group);
        quantized.ifPresent(
                _ -> file.get(group.name() + "." + QuantizedLinears.CODES).requireIntact());
        return quantized;
    }

    @Override
    public StoredLinear linear(LinearGroup group) {
        Optional<QuantizedLinear> quantized = codes(group);
        return quantized.isPresent() ? new StoredLinear.Codes(quantized.get()) : WeightSource.super.linear(group);
    }

    private void requireFit(LinearGroup group, QuantizedLinear linear) {
        List<LinearGroup.Part> expected = group.parts();
        boolean fits = linear.cols() == group.inputs() && linear.parts().size() == expected.size();
        for (int i = 0; fits && i < expected.size(); i++) {
            QuantizedLinear.Part found = linear.parts().get(i);
            fits = found.rows() == expected.get(i).rows()
                    && found.name().equals(expected.get(i).shortName());
        }
        if (!fits) {
            throw new FormatException(path() + ": linear " + group.name() + " has " + linear.cols()
                    + " inputs and the parts "
                    + linear.parts().stream()
                            .map(p -> p.name() + " " + p.rows())
                            .toList() + ", expected "
                    + group.inputs() + " inputs and "
                    + expected.stream().map(p -> p.shortName() + " " + p.rows()).toList());
        }
    }
}
