package dev.gosset.llm.cpu;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;

/** What a block computes of each token alone, ready to run. Implementations are immutable and thread-safe. */
sealed interface FeedForward permits GatedMlp, PlainMlp, ExpertMixture {
    /**
     * Writes every element of y.
     *
     * @param x tokens x hidden size, left alone
     * @param y tokens x hidden size
     * @param many whether the rows are always those of one whole sequence, as {@link Linear#forwardMany} wants it
     * @param tap sees the inputs of the linears
     */
    void forward(FloatMatrix x, FloatMatrix y, boolean many, ActivationTap tap, Workspace workspace);
}
