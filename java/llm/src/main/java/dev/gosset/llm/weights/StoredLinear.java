package dev.gosset.llm.weights;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.Tensor;
import java.util.List;

/** A group of linears as it is stored, without its bias: what each device makes ready to run in its own way. */
public sealed interface StoredLinear {
    /** Matrices, from the top down. */
    record Matrices(List<Tensor> parts) implements StoredLinear {}

    /** Codes of ours, in place. */
    record Codes(QuantizedLinear linear) implements StoredLinear {}

    /** A linear of a published checkpoint, still packed. */
    record Published(PublishedLinear linear) implements StoredLinear {}
}
