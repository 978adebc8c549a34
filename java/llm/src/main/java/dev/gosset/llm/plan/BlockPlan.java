package dev.gosset.llm.plan;

import java.util.ArrayList;
import java.util.List;

/**
 * One block of a model as data. Every backend interprets it, and switches over its sealed parts: a new kind of any of them
 * compiles only where each backend runs it or refuses it by name.
 *
 * @param layer the block's place in the model, from 0
 */
public record BlockPlan(int layer, OrderPlan order, AttentionPlan attention, FeedForwardPlan feedForward) {
    /** Its linears, in the order in which they run. */
    public List<LinearGroup> groups() {
        List<LinearGroup> groups = new ArrayList<>(attention.groups());
        groups.addAll(feedForward.groups());
        return groups;
    }

    /** Its tensors besides the linears. */
    public List<TensorPlan> tensors() {
        List<TensorPlan> tensors = new ArrayList<>();
        norms().forEach(norm -> tensors.addAll(norm.tensors()));
        tensors.addAll(feedForward.tensors());
        return tensors;
    }

    /** Its norms: those of the hidden state, then those within the attention. */
    public List<NormPlan> norms() {
        List<NormPlan> norms = new ArrayList<>(order.norms());
        norms.addAll(attention.norms());
        return norms;
    }
}
