package dev.gosset.llm.model;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;

/**
 * What stored weights are made ready to run with.
 *
 * @param kernels run them
 * @param arena owns what they need besides the stored weights; shared
 * @param team does the work, and nobody else; stays the caller's
 */
public record Preparation(Kernels kernels, Arena arena, ThreadTeam team) {
    /** The product with a quantized linear. */
    QuantizedProduct product(QuantizedLinear linear) {
        return new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena, team);
    }
}
