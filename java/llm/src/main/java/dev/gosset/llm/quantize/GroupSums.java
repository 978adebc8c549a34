package dev.gosset.llm.quantize;

import dev.gosset.core.memory.Closing;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.llm.device.DeviceQuantizer.Accumulator;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import java.lang.foreign.Arena;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The sums of a block's Hessians, by their names, closed together. One thread at a time, but for {@link #hessian}.
 *
 * <p>Linears that see only the tokens that a router chooses may see few or none. Where they saw fewer than they have inputs, what
 * is missing counts as if it had the moments of all tokens that went to experts, where these have the same inputs, or else the
 * moments of inputs that are independent and as large as those of the other experts in the mean.
 */
final class GroupSums implements AutoCloseable {
    private final Map<String, Accumulator> sums = new LinkedHashMap<>();
    private final List<LinearGroup> groups;
    private final Map<LinearGroup.Reach, Hessian> ofOthers = new EnumMap<>(LinearGroup.Reach.class);
    private final Arena arena = Arena.ofShared();

    /** Makes empty sums. */
    @FunctionalInterface
    interface Source {
        /**
         * @param index of the sums in the block, from 0
         */
        Accumulator make(int index, int inputs);
    }

    /** None. */
    GroupSums() {
        groups = List.of();
    }

    /** One for each Hessian. */
    GroupSums(BlockPlan block, Source source) {
        groups = block.groups();
        try (Construction construction = new Construction(this::close)) {
            for (LinearGroup group : groups) {
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

    /** Whether another group of the block needs the same sums. */
    boolean isShared(LinearGroup group) {
        return groups.stream().filter(g -> g.hessian().equals(group.hessian())).count() > 1;
    }

    /**
     * The Hessian of a group. Thread-safe.
     *
     * @param last whether its sums are not needed any more
     */
    Hessian hessian(LinearGroup group, boolean last, Arena result) {
        Accumulator own = sums.get(group.hessian());
        Hessian others = others(group);
        synchronized (own) {
            Hessian hessian = others == null || own.tokens() >= group.inputs()
                    ? own.hessian(result)
                    : filledUp(own, others, result);
            if (last) {
                // Their memory is what rounding needs.
                own.close();
            }
            return hessian;
        }
    }

    private static Hessian filledUp(Accumulator own, Hessian others, Arena result) {
        try (Arena temporary = Arena.ofConfined()) {
            return Hessian.filledUp(own.tokens() == 0 ? null : own.hessian(temporary), others, others.n(), result);
        }
    }

    /** What counts for the tokens that a group has not seen; null where it has seen enough. */
    private synchronized Hessian others(LinearGroup group) {
        LinearGroup.Reach reach = group.reach();
        if (reach == LinearGroup.Reach.EVERY_TOKEN) {
            return null;
        }
        // Formed before the first of these sums is closed, for all of them.
        if (!ofOthers.containsKey(reach)) {
            List<Accumulator> same = groups.stream()
                    .filter(g -> g.reach() == reach)
                    .map(g -> sums.get(g.hessian()))
                    .distinct()
                    .toList();
            boolean few = same.stream().anyMatch(a -> a.tokens() < group.inputs());
            ofOthers.put(reach, few ? others(reach, same) : null);
        }
        return ofOthers.get(reach);
    }

    private Hessian others(LinearGroup.Reach reach, List<Accumulator> sums) {
        try (Arena temporary = Arena.ofShared()) {
            List<Hessian> seen = sums.stream()
                    .filter(a -> a.tokens() > 0)
                    .map(a -> a.hessian(temporary))
                    .toList();
            return reach == LinearGroup.Reach.CHOSEN_TOKENS
                    ? Hessian.pooled(seen, arena)
                    : Hessian.pooled(seen, temporary).isotropic(arena);
        }
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
        List<Accumulator> all = List.copyOf(sums.values());
        sums.clear();
        Closing.all(all);
    }
}
