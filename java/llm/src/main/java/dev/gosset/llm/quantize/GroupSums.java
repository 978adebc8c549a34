package dev.gosset.llm.quantize;

import dev.gosset.core.memory.Closing;
import dev.gosset.core.memory.Construction;
import dev.gosset.llm.device.DeviceQuantizer.Accumulator;
import dev.gosset.llm.model.LinearGroup;
import dev.gosset.llm.model.ModelConfig;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** The sums of a block's Hessians, closed together. One thread at a time. */
final class GroupSums implements AutoCloseable {
    private final Map<LinearGroup, Accumulator> sums = new EnumMap<>(LinearGroup.class);

    /** Makes empty sums. */
    @FunctionalInterface
    interface Source {
        Accumulator make(LinearGroup group, int inputs);
    }

    /** None. */
    GroupSums() {}

    /** One for each group. */
    GroupSums(ModelConfig config, Source source) {
        try (Construction construction = new Construction(this::close)) {
            for (LinearGroup group : LinearGroup.values()) {
                sums.put(group, source.make(group, group.inputs(config)));
            }
            construction.done();
        }
    }

    Map<LinearGroup, Accumulator> all() {
        return Collections.unmodifiableMap(sums);
    }

    @Override
    public void close() {
        List<Accumulator> all = List.copyOf(sums.values());
        sums.clear();
        Closing.all(all);
    }
}
