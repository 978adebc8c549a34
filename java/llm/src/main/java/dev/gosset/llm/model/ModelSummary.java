package dev.gosset.llm.model;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.weights.ModelDirectory;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

/**
 * What a model directory holds, for people to look at: every weight that the model uses, with its size.
 *
 * @param kind how the weights are stored
 * @param config the model's shape
 * @param entries its tensors and quantized linears, in model order
 * @param parameters the number of parameters
 * @param linearWeights of these, how many lie in the blocks' linears
 * @param linearBitsPerWeight mean bits of those, scales and sign vectors included
 * @param linearBytes their size
 * @param bytes of all entries together
 */
public record ModelSummary(
        ModelDirectory.Kind kind,
        ModelConfig config,
        List<Entry> entries,
        long parameters,
        long linearWeights,
        double linearBitsPerWeight,
        long linearBytes,
        long bytes) {
    /**
     * A tensor, or a quantized linear with all that belongs to it.
     *
     * @param name its name in the model
     * @param shape dimensions
     * @param dtype element type, or the codebook's name
     * @param bitsPerWeight its bytes over its elements
     * @param bytes its size, sign vectors and scales included
     * @param scale of a quantized linear: the mean magnitude of its output scales
     */
    public record Entry(
            String name, List<Long> shape, String dtype, double bitsPerWeight, long bytes, OptionalDouble scale) {}

    /** Opens a model as it is stored, looks, and closes it: with any kernels, and nothing is prepared for running. */
    public static ModelSummary of(Path directory) {
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(directory, team)) {
            return of(model);
        }
    }

    /** Looks at a model that is open. */
    public static ModelSummary of(Model model) {
        List<Entry> entries = new ArrayList<>();
        ModelConfig config = model.config();
        ModelPlan plan = model.plan();
        WeightSource weights = model.weights();
        entries.add(entry(weights.tensor(plan.embedding())));
        long linearWeights = 0;
        long linearBytes = 0;
        for (BlockPlan block : plan.blocks()) {
            block.tensors().forEach(tensor -> entries.add(entry(weights.tensor(tensor))));
            for (LinearGroup group : block.groups()) {
                int first = entries.size();
                linear(entries, weights, group);
                for (Entry e : entries.subList(first, entries.size())) {
                    linearWeights += elements(e.shape());
                    linearBytes += e.bytes();
                }
                weights.bias(group).forEach(piece -> entries.add(entry(piece)));
            }
        }
        plan.finalNorm().tensors().forEach(tensor -> entries.add(entry(weights.tensor(tensor))));
        plan.head().ifPresent(head -> entries.add(entry(weights.tensor(head))));
        return new ModelSummary(
                model.directory().kind(),
                config,
                List.copyOf(entries),
                entries.stream().mapToLong(e -> elements(e.shape())).sum(),
                linearWeights,
                8.0 * linearBytes / linearWeights,
                linearBytes,
                entries.stream().mapToLong(Entry::bytes).sum());
    }

    private static void linear(List<Entry> entries, WeightSource weights, LinearGroup group) {
        QuantizedLinear quantized = weights.quantizedLinear(group).orElse(null);
        if (quantized == null) {
            group.parts().forEach(part -> entries.add(entry(weights.weight(group, part))));
            return;
        }
        List<Long> shape = List.of((long) quantized.rows(), (long) quantized.cols());
        entries.add(new Entry(
                group.name(),
                shape,
                quantized.codes().codebook().name(),
                8.0 * quantized.bytes() / elements(shape),
                quantized.bytes(),
                OptionalDouble.of(meanScale(quantized))));
    }

    private static double meanScale(QuantizedLinear linear) {
        ValueLayout.OfShort half = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
        double sum = 0;
        int row = 0;
        for (QuantizedLinear.Part part : linear.parts()) {
            for (int end = row + part.rows(); row < end; row++) {
                double factor = Float.float16ToFloat(linear.sv().getAtIndex(half, row));
                if (linear.outputs().kind() == HadamardTransform.Kind.FOURIER) {
                    factor = Math.hypot(factor, Float.float16ToFloat(linear.sv().getAtIndex(half, row ^ 1)));
                }
                sum += Math.abs(factor * part.scale());
            }
        }
        return sum / linear.rows();
    }

    private static long elements(List<Long> shape) {
        return shape.stream().reduce(1L, (a, b) -> a * b);
    }

    private static Entry entry(Tensor t) {
        long bytes = t.data().byteSize();
        return new Entry(
                t.name(), t.shape(), t.dtype().name(), 8.0 * bytes / t.elements(), bytes, OptionalDouble.empty());
    }
}
