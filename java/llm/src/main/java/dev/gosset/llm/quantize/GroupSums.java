package dev.gosset.llm.quantize;

import dev.gosset.core.memory.Closing;
import dev.gosset.core.memory.Construction;
import dev.gosset.llm.device.DeviceQuantizer.Accumulator;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The sums of a block's Hessians, by their names, closed together. One thread at a time. */
final class GroupSums implements AutoCloseable {
    private final Map<String, Accumulator> sums = new LinkedHashMap<>();

    /** Makes empty sums. */
    @FunctionalInterface
    interface Source {
        /**
         * @param index of the sums in the block, from 0
         */
        Accumulator make(int index, int inputs);
    }

    /** None. */
    GroupSums() {}

    /** One for each Hessian. */
    GroupSums(BlockPlan block, Source source) {
        try (Construction construction = new Construction(this::close)) {
            for (LinearGroup group : block.groups()) {
                if (!sums.containsKey(group.hessian())) {
                    sums.put(group.hessian(), source.make(sums.size(), group.inputs()));
                }
            }
            construction.done();
        }
    }

    Map<String, Accumulator> all() {
        return Collections.unmodifiableMap(sums);
    }

    @Override
    public void close() {
        List<Accumulator> all = List.copyOf(sums.values());
        sums.clear();
        Closing.all(all);
    }
}
