package dev.gosset.llm.cpu;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.llm.plan.LinearGroup;

/** Sees the input of every group of linears while a block runs: what Hessians are made of. */
@FunctionalInterface
public interface ActivationTap {
    /** A tap that looks at nothing. */
    ActivationTap NONE = (group, input) -> {};

    /**
     * Called once per group and forward pass, on the calling thread, before the group runs; the groups come in the order
     * of {@link dev.gosset.llm.plan.BlockPlan#groups}, without those of experts that no token goes through.
     *
     * @param input tokens, those that the group sees, x {@link LinearGroup#inputs}; valid during the call only, not to be written
     */
    void accept(LinearGroup group, FloatMatrix input);
}
