package dev.gosset.cuda.llm;

import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceLinear;
import dev.gosset.llm.model.LinearGroup;
import java.util.EnumMap;
import java.util.Map;

/**
 * The weights of one block on the device. Norms and biases are float32.
 *
 * @param inputNorm hidden size
 * @param queryNorm head dimension; null where the family has none
 * @param keyNorm head dimension; null where the family has none
 * @param postNorm hidden size
 * @param projections the linears with their biases
 * @param window how many positions a token attends to, 0 for all
 */
record BlockWeights(
        DeviceBuffer inputNorm,
        DeviceBuffer queryNorm,
        DeviceBuffer keyNorm,
        DeviceBuffer postNorm,
        Map<LinearGroup, Projection> projections,
        int window) {
    BlockWeights {
        projections = new EnumMap<>(projections);
    }

    /**
     * A linear and what is added to its outputs.
     *
     * @param bias as many floats as outputs, or null
     */
    record Projection(DeviceLinear linear, DeviceBuffer bias) {}

    Projection projection(LinearGroup group) {
        return projections.get(group);
    }
}
