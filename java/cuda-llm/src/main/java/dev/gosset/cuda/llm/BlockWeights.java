package dev.gosset.cuda.llm;

import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceLinear;
import java.util.stream.Stream;

/**
 * The weights of one block on the device. Norms and biases are float32.
 *
 * @param plan what the block computes
 * @param inputNorm hidden size
 * @param queryNorm head dimension; null where the family has none
 * @param keyNorm head dimension; null where the family has none
 * @param postNorm hidden size
 */
record BlockWeights(
        CudaPlan.Block plan,
        DeviceBuffer inputNorm,
        DeviceBuffer queryNorm,
        DeviceBuffer keyNorm,
        DeviceBuffer postNorm,
        Projection qkv,
        Projection output,
        Projection upGate,
        Projection down) {
    /**
     * A group of linears and what is added to its outputs.
     *
     * @param bias as many floats as outputs, or null
     */
    record Projection(DeviceLinear linear, DeviceBuffer bias) {}

    /** How many positions a token attends to, 0 for all. */
    int window() {
        return plan.attention().window();
    }

    /** Of the scores. */
    float scale() {
        return plan.attention().scale();
    }

    Stream<Projection> projections() {
        return Stream.of(qkv, output, upGate, down);
    }
}
