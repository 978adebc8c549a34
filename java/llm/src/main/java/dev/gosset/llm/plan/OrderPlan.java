package dev.gosset.llm.plan;

import java.util.List;

/** In which order attention, feed-forward and their norms come, and what is added to the hidden state. */
public sealed interface OrderPlan {
    /** The norms of the hidden state. */
    List<NormPlan> norms();

    /**
     * {@code h += attention(norm(h))}, then {@code h += feedForward(norm(h))}.
     *
     * @param attention the norm before the attention
     * @param feedForward the norm before the feed-forward
     */
    record NormsBefore(NormPlan attention, NormPlan feedForward) implements OrderPlan {
        @Override
        public List<NormPlan> norms() {
            return List.of(attention, feedForward);
        }
    }
}
