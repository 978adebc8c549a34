package dev.gosset.llm.cpu;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.weights.PublishedLinear;
import dev.gosset.llm.weights.StoredLinear;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.Arena;
import java.util.List;

/**
 * What stored weights are made ready to run with.
 *
 * @param kernels run them
 * @param arena owns what they need besides the stored weights; shared
 * @param team does the work, and nobody else; stays the caller's
 */
public record Preparation(Kernels kernels, Arena arena, ThreadTeam team) {
    /** A group of linears with its bias. */
    Linear linear(WeightSource source, LinearGroup group) {
        Linear linear = switch (source.linear(group)) {
            case StoredLinear.Matrices(List<Tensor> parts) -> new DenseLinear(parts);
            case StoredLinear.Codes(QuantizedLinear codes) -> new CodedLinear(product(codes));
            case StoredLinear.Published(PublishedLinear published) -> published(published, group);
        };
        List<Tensor> bias = source.bias(group);
        return bias.isEmpty() ? linear : new BiasedLinear(linear, vector(bias));
    }

    /** Vectors one after the other, 1 x their length. */
    FloatMatrix vector(List<Tensor> pieces) {
        long length = pieces.stream().mapToLong(Tensor::elements).sum();
        FloatMatrix vector = FloatMatrix.allocate(arena, 1, Math.toIntExact(length));
        long at = 0;
        for (Tensor piece : pieces) {
            piece.toFloats(vector.data().asSlice(at, 4 * piece.elements()));
            at += 4 * piece.elements();
        }
        return vector;
    }

    private Linear published(PublishedLinear published, LinearGroup group) {
        Linear linear = new CodedLinear(product(published));
        return published.inputScale().isEmpty() && published.inputIndices().isEmpty()
                ? linear
                : new GatheredLinear(
                        linear,
                        group.inputs(),
                        published.inputIndices().map(PublishedLinear::integers).orElse(null),
                        published.inputScale().map(Tensor::toFloatArray).orElse(null));
    }

    private QuantizedProduct product(QuantizedLinear linear) {
        return new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena, team);
    }

    /** Unpacked codes that the kernel repacks are freed at once, so that a model takes its size in memory only once. */
    private QuantizedProduct product(PublishedLinear published) {
        try (Arena temporary = Arena.ofShared()) {
            QuantizedLinear linear = published.unpack(team, temporary);
            QuantizedProduct product = product(linear);
            if (!product.readsCodes()) {
                return product;
            }
            CodeMatrix codes = linear.codes();
            CodeMatrix kept = CodeMatrix.allocate(arena, codes.codebook(), codes.rows(), codes.cols());
            kept.data().copyFrom(codes.data());
            return product(new QuantizedLinear(
                    kept, linear.su(), linear.sv(), linear.parts(), linear.inputs(), linear.outputs()));
        }
    }
}
