package dev.gosset.llm.plan;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** How tokens look at those before them. */
public sealed interface AttentionPlan {
    /** Its linears, in the order in which they run. */
    List<LinearGroup> groups();

    /** The norms within it. */
    List<NormPlan> norms();

    /** Number of query heads. */
    int heads();

    /** Number of key heads, and of value heads. */
    int keyValueHeads();

    /** Dimension of a head of keys, and of values. */
    int headDim();

    /**
     * Causal attention {@code softmax(scale q k^T) v}, where several heads of queries share one of keys and values.
     *
     * @param input q, k and v in this order, of the normalized hidden state
     * @param output of the heads side by side
     * @param heads number of query heads
     * @param keyValueHeads number of key and value heads; divides {@code heads}
     * @param headDim dimension of one head
     * @param queryNorm of each query head, before its position, or of all of them together where that is its size
     * @param keyNorm of each key head, before its position, or of all of them together where that is its size
     * @param normsTurned whether those norms are of what was turned by its position instead
     * @param position how it knows where tokens stand
     * @param window how many positions a token attends to, itself included; 0 for all
     * @param scale of the scores
     * @param softCap what bounds the scaled scores s, to {@code softCap tanh(s / softCap)}; 0 for nothing
     */
    record Grouped(
            LinearGroup input,
            LinearGroup output,
            int heads,
            int keyValueHeads,
            int headDim,
            Optional<NormPlan> queryNorm,
            Optional<NormPlan> keyNorm,
            boolean normsTurned,
            PositionPlan position,
            int window,
            float scale,
            float softCap)
            implements AttentionPlan {
        @Override
        public List<LinearGroup> groups() {
            return List.of(input, output);
        }

        @Override
        public List<NormPlan> norms() {
            return Stream.concat(queryNorm.stream(), keyNorm.stream()).toList();
        }
    }
}
