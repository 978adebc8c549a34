package dev.gosset.llm.plan;

import java.util.List;
import java.util.stream.Stream;

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

    /**
     * {@code h += factor attention(norm(h))}, then {@code h += factor feedForward(norm(h))}.
     *
     * @param attention the norm before the attention
     * @param feedForward the norm before the feed-forward
     * @param factor of what is added
     */
    record ScaledOutputs(NormPlan attention, NormPlan feedForward, float factor) implements OrderPlan {
        @Override
        public List<NormPlan> norms() {
            return List.of(attention, feedForward);
        }
    }

    /**
     * {@code h += norm(attention(h))}, then {@code h += norm(feedForward(h))}.
     *
     * @param attention the norm of what the attention gives
     * @param feedForward the norm of what the feed-forward gives
     */
    record NormsAfter(NormPlan attention, NormPlan feedForward) implements OrderPlan {
        @Override
        public List<NormPlan> norms() {
            return List.of(attention, feedForward);
        }
    }

    /**
     * {@code h += attention(norm(h)) + feedForward(norm(h))}.
     *
     * @param attention the norm before the attention
     * @param feedForward the norm before the feed-forward, perhaps the same one
     */
    record Parallel(NormPlan attention, NormPlan feedForward) implements OrderPlan {
        @Override
        public List<NormPlan> norms() {
            return Stream.of(attention, feedForward).distinct().toList();
        }
    }

    /**
     * {@code h += norm(attention(norm(h)))}, then {@code h += norm(feedForward(norm(h)))}, each norm another one.
     *
     * @param attention the norm before the attention
     * @param attentionOutput the norm of what the attention gives
     * @param feedForward the norm before the feed-forward
     * @param feedForwardOutput the norm of what the feed-forward gives
     */
    record NormsAround(NormPlan attention, NormPlan attentionOutput, NormPlan feedForward, NormPlan feedForwardOutput)
            implements OrderPlan {
        @Override
        public List<NormPlan> norms() {
            return List.of(attention, attentionOutput, feedForward, feedForwardOutput);
        }
    }
}
