package dev.gosset.cuda.llm;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.llm.plan.AttentionPlan;
import dev.gosset.llm.plan.AttentionPlan.Grouped;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.FeedForwardPlan;
import dev.gosset.llm.plan.FeedForwardPlan.Activation;
import dev.gosset.llm.plan.FeedForwardPlan.Gated;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.LogitPlan;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.plan.NormPlan;
import dev.gosset.llm.plan.OrderPlan;
import dev.gosset.llm.plan.OrderPlan.NormsBefore;
import dev.gosset.llm.plan.PositionPlan;
import dev.gosset.llm.plan.PositionPlan.Rotary;
import dev.gosset.llm.plan.RotaryScaling;
import dev.gosset.llm.plan.TensorPlan;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * A plan that the device runs. {@link #of} takes every part of a {@link ModelPlan} apart, so that neither a new kind nor a new
 * field of a known one compiles before this class says what the device makes of it.
 *
 * @param embedding its rows are the embeddings
 * @param blocks in their order
 * @param finalNorm before the head
 * @param head empty where it is the embedding
 * @param epsilon of every norm
 * @param rotary of every block
 */
record CudaPlan(
        TensorPlan embedding,
        List<Block> blocks,
        NormPlan finalNorm,
        Optional<TensorPlan> head,
        float epsilon,
        Rotary rotary) {
    private static final int LARGEST_HEAD = 256;

    /** A block that the device runs. */
    record Block(int layer, NormsBefore order, Grouped attention, Gated mlp) {
        List<LinearGroup> groups() {
            return List.of(attention.input(), attention.output(), mlp.input(), mlp.output());
        }
    }

    /**
     * What the device makes of a plan.
     *
     * @param path of the model, for messages
     * @throws UnsupportedModelException where the device does not run it, with what it does not know
     */
    static CudaPlan of(Path path, ModelPlan plan) {
        return new Reading(path).plan(plan);
    }

    /** Reads a plan from top to bottom, up to the first thing that the device does not know. */
    private static final class Reading {
        private final Path path;
        private Float epsilon;
        private Rotary rotary;
        private String shape;
        private int dim;

        Reading(Path path) {
            this.path = path;
        }

        private UnsupportedModelException unknown(String found, String known) {
            return new UnsupportedModelException(
                    path + ": has " + found + "; the device runs " + known + "; the cpu runs any");
        }

        CudaPlan plan(ModelPlan plan) {
            return switch (plan) {
                case ModelPlan(
                        TensorPlan table,
                        float embeddingScale,
                        List<BlockPlan> all,
                        NormPlan last,
                        Optional<TensorPlan> head,
                        LogitPlan logits) -> {
                    if (embeddingScale != 1) {
                        throw unknown("scaled embeddings", "embeddings as they are stored");
                    }
                    List<Block> blocks = all.stream().map(this::block).toList();
                    norm(last);
                    switch (logits) {
                        case LogitPlan.Products() -> {}
                        case LogitPlan.Scaled(float _) -> throw unknown("scaled logits", "them as they are");
                        case LogitPlan.SoftCapped(float _) -> throw unknown("bounded logits", "unbounded ones");
                    }
                    long vocabulary = table.shape().getFirst();
                    if (dim % 8 != 0 || dim > LARGEST_HEAD || vocabulary > DecoderKernels.MAX_VOCABULARY) {
                        throw unknown(
                                "heads of " + dim + " and a vocabulary of " + vocabulary,
                                "heads of up to " + LARGEST_HEAD + ", a multiple of 8, and up to "
                                        + DecoderKernels.MAX_VOCABULARY + " tokens");
                    }
                    yield new CudaPlan(table, blocks, last, head, epsilon, rotary);
                }
            };
        }

        private Block block(BlockPlan plan) {
            return switch (plan) {
                case BlockPlan(int layer, OrderPlan order, AttentionPlan attention, FeedForwardPlan feedForward) ->
                    new Block(layer, order(order), attention(attention), mlp(feedForward));
            };
        }

        private NormsBefore order(OrderPlan plan) {
            return switch (plan) {
                case NormsBefore(NormPlan attention, NormPlan feedForward) -> {
                    norm(attention);
                    norm(feedForward);
                    yield new NormsBefore(attention, feedForward);
                }
                case OrderPlan.ScaledOutputs _ ->
                    throw unknown("scaled outputs of attention and feed-forward", "them as they are");
                case OrderPlan.Parallel _ -> throw unknown("attention beside the feed-forward", "one after the other");
                case OrderPlan.NormsAfter _ ->
                    throw unknown("norms behind attention and feed-forward", "norms before them");
                case OrderPlan.NormsAround _ ->
                    throw unknown("norms before and after attention and feed-forward", "norms before them");
            };
        }

        private Grouped attention(AttentionPlan plan) {
            return switch (plan) {
                case Grouped(
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
                        float softCap) -> {
                    if (softCap != 0) {
                        throw unknown("bounded attention scores", "unbounded ones");
                    }
                    if (normsTurned) {
                        throw unknown("norms of turned queries and keys", "norms of those that are not turned yet");
                    }
                    queryNorm.ifPresent(this::norm);
                    keyNorm.ifPresent(this::norm);
                    if (plan.norms().stream().anyMatch(norm -> norm.size() != headDim)) {
                        throw unknown("norms of all heads together", "norms of each head");
                    }
                    position(position, headDim);
                    String shape = heads + " heads over " + keyValueHeads + " of dimension " + headDim;
                    if (this.shape != null && !this.shape.equals(shape)) {
                        throw unknown("layers of " + this.shape + " and of " + shape, "layers of one shape");
                    }
                    this.shape = shape;
                    dim = headDim;
                    yield new Grouped(
                            input,
                            output,
                            heads,
                            keyValueHeads,
                            headDim,
                            queryNorm,
                            keyNorm,
                            false,
                            position,
                            window,
                            scale,
                            0);
                }
            };
        }

        private Gated mlp(FeedForwardPlan plan) {
            return switch (plan) {
                case Gated(LinearGroup input, LinearGroup output, int width, Activation activation) ->
                    switch (activation) {
                        case SILU -> new Gated(input, output, width, activation);
                        case GELU_TANH, GELU -> throw unknown("gates through a GELU", "gates through a SiLU");
                        case SQUARED_RELU -> throw unknown("gates through a squared ReLU", "gates through a SiLU");
                    };
                case FeedForwardPlan.Plain _ -> throw unknown("an MLP without a gate", "one with a gate");
                case FeedForwardPlan.Experts _ -> throw unknown("mixtures of experts", "one MLP for all tokens");
            };
        }

        private void norm(NormPlan plan) {
            switch (plan) {
                case NormPlan.Rms(String _, int _, float own) -> {
                    if (epsilon != null && epsilon != own) {
                        throw unknown("norms with an epsilon of " + epsilon + " and of " + own, "norms of one");
                    }
                    epsilon = own;
                }
                case NormPlan.Layer _ -> throw unknown("norms that take the mean away", "norms that do not");
                case NormPlan.ShiftedRms _ -> throw unknown("norms that multiply by 1 + w", "norms that multiply by w");
            }
        }

        private void position(PositionPlan plan, int headDim) {
            switch (plan) {
                case Rotary(int turned, double theta, RotaryScaling scaling, boolean interleaved) -> {
                    if (interleaved) {
                        throw unknown("pairs that are turned side by side", "pairs half a head apart");
                    }
                    if (turned != headDim) {
                        throw unknown(
                                "heads of which " + turned + " of " + headDim + " elements are turned", "whole ones");
                    }
                    Rotary own = new Rotary(turned, theta, scaling);
                    if (rotary != null && !rotary.equals(own)) {
                        throw unknown("the position encodings " + rotary + " and " + own, "one for all layers");
                    }
                    rotary = own;
                }
                case PositionPlan.ScaledRotary _ ->
                    throw unknown("queries that grow with their positions", "queries that do not");
                case PositionPlan.None() -> throw unknown("layers without a rotary embedding", "layers with one");
            }
        }
    }
}
