package dev.gosset.llm.finetune;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.kernel.dense.VectorGradients;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.finetune.Parameters.Parameter;
import dev.gosset.llm.plan.AttentionPlan.Grouped;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.FeedForwardPlan;
import dev.gosset.llm.plan.FeedForwardPlan.Gated;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.LogitPlan;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.plan.NormPlan;
import dev.gosset.llm.plan.OrderPlan;
import dev.gosset.llm.plan.OrderPlan.NormsBefore;
import dev.gosset.llm.plan.PositionPlan;
import dev.gosset.llm.plan.RotaryTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * A block with its way back, over several whole sequences of one length at once. Its own forward pass keeps what the way back
 * needs and forms the rest again. Source: spec/fine-tuning.md, section 3.
 */
final class TunableBlock {
    private final NormsBefore order;
    private final Grouped heads;
    private final Gated mlp;
    private final Norms norms;
    private final Map<LinearGroup, TunableLinear> linears;
    private final RotaryTable rotary;
    private final TrainingAttention attention;
    private int backTokens;
    private float[] backSines;

    /** The weights of a block's norms; query and key are null where the family has none. */
    record Norms(Parameter input, Parameter query, Parameter key, Parameter postAttention) {
        /** Those of a block of the model, tuned by their relative change, under the names that they have in weight files. */
        static Norms of(BlockPlan plan, Function<NormPlan, FloatMatrix> weights, Parameters parameters, double rate) {
            return new Norms(
                    of(order(plan).attention(), weights, parameters, rate),
                    heads(plan)
                            .queryNorm()
                            .map(n -> of(n, weights, parameters, rate))
                            .orElse(null),
                    heads(plan)
                            .keyNorm()
                            .map(n -> of(n, weights, parameters, rate))
                            .orElse(null),
                    of(order(plan).feedForward(), weights, parameters, rate));
        }

        private static Parameter of(
                NormPlan plan, Function<NormPlan, FloatMatrix> weights, Parameters parameters, double rate) {
            return parameters.factors(plan.name(), weights.apply(plan).toArray(), rate, Parameters.Stored.FLOAT16);
        }
    }

    /**
     * @param plan of a block; a kind that has no way back does not compile here
     */
    TunableBlock(BlockPlan plan, Norms norms, Map<LinearGroup, TunableLinear> linears, RotaryTable rotary) {
        this.order = order(plan);
        this.heads = heads(plan);
        this.mlp = mlp(plan);
        this.norms = norms;
        this.linears = Map.copyOf(linears);
        this.rotary = rotary;
        this.attention = new TrainingAttention(heads);
    }

    private static NormsBefore order(BlockPlan plan) {
        return switch (plan.order()) {
            case NormsBefore before -> before;
            case OrderPlan.ScaledOutputs _ -> throw unknown("scaled outputs of attention and feed-forward");
            case OrderPlan.Parallel _ -> throw unknown("attention beside the feed-forward");
            case OrderPlan.NormsAfter _ -> throw unknown("norms behind the attention");
            case OrderPlan.NormsAround _ -> throw unknown("norms behind the attention");
        };
    }

    private static Grouped heads(BlockPlan plan) {
        return switch (plan.attention()) {
            case Grouped grouped ->
                switch (grouped.position()) {
                    case PositionPlan.ScaledRotary _ -> throw unknown("queries that grow with their positions");
                    case PositionPlan.Rotary _
                    when grouped.norms().stream().anyMatch(norm -> norm.size() != grouped.headDim()) ->
                        throw unknown("norms of all heads together");
                    case PositionPlan.Rotary rotary
                    when rotary.dim() != grouped.headDim() -> throw unknown("heads that are turned in part");
                    case PositionPlan.Rotary rotary
                    when rotary.interleaved() -> throw unknown("pairs that are turned side by side");
                    case PositionPlan.Rotary _ when grouped.normsTurned() -> throw unknown("norms of what was turned");
                    case PositionPlan.Rotary _ when grouped.softCap() != 0 -> throw unknown("bounded attention scores");
                    case PositionPlan.Rotary _ -> grouped;
                    case PositionPlan.None _ -> throw unknown("layers without a rotary embedding");
                };
        };
    }

    private static UnsupportedModelException unknown(String what) {
        return new UnsupportedModelException("fine-tuning does not know " + what);
    }

    /**
     * Looks at all of a plan.
     *
     * @throws UnsupportedModelException where a part of it has no way back, with its name
     */
    static void requireKnown(ModelPlan plan) {
        for (BlockPlan block : plan.blocks()) {
            NormsBefore order = order(block);
            heads(block);
            mlp(block);
            epsilon(order.attention());
            epsilon(order.feedForward());
            heads(block).queryNorm().ifPresent(TunableBlock::epsilon);
            heads(block).keyNorm().ifPresent(TunableBlock::epsilon);
        }
        epsilon(plan.finalNorm());
        if (plan.embeddingScale() != 1) {
            throw unknown("scaled embeddings");
        }
        switch (plan.logits()) {
            case LogitPlan.Products _ -> {}
            case LogitPlan.Scaled _ -> throw unknown("scaled logits");
            case LogitPlan.SoftCapped _ -> throw unknown("bounded logits");
        }
    }

    private static Gated mlp(BlockPlan plan) {
        return switch (plan.feedForward()) {
            case Gated gated ->
                switch (gated.activation()) {
                    case SILU -> gated;
                    case GELU_TANH, GELU -> throw unknown("gates through a GELU");
                    case SQUARED_RELU -> throw unknown("gates through a squared ReLU");
                };
            case FeedForwardPlan.Plain _ -> throw unknown("MLPs without a gate");
            case FeedForwardPlan.Experts _ -> throw unknown("mixtures of experts");
        };
    }

    private static float epsilon(Optional<NormPlan> plan) {
        return epsilon(plan.orElseThrow());
    }

    private static float epsilon(NormPlan plan) {
        return switch (plan) {
            case NormPlan.Rms rms -> rms.epsilon();
            case NormPlan.ShiftedRms _ -> throw unknown("norms that multiply by 1 + w");
            case NormPlan.Layer _ -> throw unknown("norms that take the mean away");
        };
    }

    /** What a forward pass leaves for the way back, for at most so many rows. */
    static final class Kept {
        private final FloatMatrix x;
        private final FloatMatrix qkvProduct;
        private final FloatMatrix qkv;
        private final FloatMatrix mixed;
        private final FloatMatrix logs;
        private final FloatMatrix oProduct;
        private final FloatMatrix middle;
        private final FloatMatrix upGateProduct;
        private final FloatMatrix downProduct;

        Kept(BlockPlan plan, int rows, Arena arena) {
            Grouped heads = heads(plan);
            int width = heads.input().inputs();
            int qkvWidth = heads.input().outputs();
            x = FloatMatrix.allocate(arena, rows, width);
            qkvProduct = FloatMatrix.allocate(arena, rows, qkvWidth);
            qkv = FloatMatrix.allocate(arena, rows, qkvWidth);
            mixed = FloatMatrix.allocate(arena, rows, heads.output().inputs());
            logs = FloatMatrix.allocate(arena, heads.heads(), rows);
            oProduct = FloatMatrix.allocate(arena, rows, width);
            middle = FloatMatrix.allocate(arena, rows, width);
            upGateProduct = FloatMatrix.allocate(arena, rows, mlp(plan).input().outputs());
            downProduct = FloatMatrix.allocate(arena, rows, width);
        }

        private Kept(Kept all, int rows) {
            x = all.x.rows(0, rows);
            qkvProduct = all.qkvProduct.rows(0, rows);
            qkv = all.qkv.rows(0, rows);
            mixed = all.mixed.rows(0, rows);
            logs = all.logs;
            oProduct = all.oProduct.rows(0, rows);
            middle = all.middle.rows(0, rows);
            upGateProduct = all.upGateProduct.rows(0, rows);
            downProduct = all.downProduct.rows(0, rows);
        }

        Kept rows(int rows) {
            return rows == x.rows() ? this : new Kept(this, rows);
        }

        /** Bytes for one row. */
        static long bytesPerRow(BlockPlan plan) {
            Grouped heads = heads(plan);
            return 4L
                    * (4L * heads.input().inputs()
                            + 2L * heads.input().outputs()
                            + heads.output().inputs()
                            + heads.heads()
                            + mlp(plan).input().outputs());
        }
    }

    /**
     * Runs the block over whole sequences, each from position 0.
     *
     * @param hidden sequences * tokens x width; replaced by the output
     * @param tokens of each sequence
     * @param kept of as many rows, written
     */
    void forward(FloatMatrix hidden, int tokens, Kept kept, Workspace workspace) {
        kept.x.data().copyFrom(hidden.data());
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix h = frame.matrix(hidden.rows(), hidden.cols());
            Rows.normalize(hidden, norms.input.value(), epsilon(order.attention()), h, workspace);
            TunableLinear linear = linears.get(heads.input());
            linear.multiply(h, kept.qkvProduct, workspace);
            linear.finish(kept.qkvProduct, kept.qkv, workspace);
            turn(kept.qkv, tokens, workspace);
            attention.forward(kept.qkv, tokens, kept.mixed, kept.logs, workspace);
            addOutput(heads.output(), kept.mixed, kept.oProduct, hidden, h, workspace);
            kept.middle.data().copyFrom(hidden.data());
            Rows.normalize(hidden, norms.postAttention.value(), epsilon(order.feedForward()), h, workspace);
            linears.get(mlp.input()).multiply(h, kept.upGateProduct, workspace);
        }
        try (Workspace.Frame frame = workspace.frame()) {
            int f = mlp.width();
            FloatMatrix upGate = frame.matrix(hidden.rows(), 2 * f);
            FloatMatrix gated = frame.matrix(hidden.rows(), f);
            FloatMatrix y = frame.matrix(hidden.rows(), hidden.cols());
            linears.get(mlp.input()).finish(kept.upGateProduct, upGate, workspace);
            gate(upGate, gated, workspace);
            addOutput(mlp.output(), gated, kept.downProduct, hidden, y, workspace);
        }
    }

    private void addOutput(
            LinearGroup group,
            FloatMatrix x,
            FloatMatrix product,
            FloatMatrix hidden,
            FloatMatrix y,
            Workspace workspace) {
        linears.get(group).multiply(x, product, workspace);
        linears.get(group).finish(product, y, workspace);
        Rows.add(y, hidden, workspace);
    }

    private static void gate(FloatMatrix upGate, FloatMatrix gated, Workspace workspace) {
        int f = gated.cols();
        Rows.run(gated.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                long row = 8L * t * f;
                VectorMath.swiGlu(upGate.data(), row, upGate.data(), row + 4L * f, gated.data(), 4L * t * f, f);
            }
        });
    }

    /** Queries and keys normalized, where the family does that, and turned. */
    private void turn(FloatMatrix qkv, int tokens, Workspace workspace) {
        int dim = heads.headDim();
        RotaryTable.Angles angles = rotary.angles(0, tokens, tokens);
        Rows.run(qkv.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                long at = 4L * t * qkv.cols();
                for (int h = 0; h < heads.heads() + heads.keyValueHeads(); h++, at += 4L * dim) {
                    Parameter norm = h < heads.heads() ? norms.query : norms.key;
                    if (norm != null) {
                        VectorMath.rmsNorm(
                                qkv.data(),
                                at,
                                norm.value().data(),
                                epsilon(h < heads.heads() ? heads.queryNorm() : heads.keyNorm()),
                                qkv.data(),
                                at,
                                dim);
                    }
                    VectorMath.rotate(qkv.data(), at, dim / 2, angles.cos(), angles.sin(), angles.at(t % tokens));
                }
            }
        });
    }

    /** Sees what comes to a linear on the way back. */
    @FunctionalInterface
    interface Tap {
        Tap NONE = (group, input, gradient) -> {};

        /**
         * @param input what the linear had
         * @param gradient of its output; as many rows
         */
        void see(LinearGroup group, FloatMatrix input, FloatMatrix gradient);
    }

    /** {@link #backward(FloatMatrix, int, Kept, Tap, Workspace)} that nobody sees. */
    void backward(FloatMatrix gradient, int tokens, Kept kept, Workspace workspace) {
        backward(gradient, tokens, kept, Tap.NONE, workspace);
    }

    /**
     * The way back: adds the gradients of all parameters.
     *
     * @param gradient of the output, sequences * tokens x width; replaced by that of the input
     * @param kept what {@link #forward} left
     */
    void backward(FloatMatrix gradient, int tokens, Kept kept, Tap tap, Workspace workspace) {
        int rows = gradient.rows();
        int width = gradient.cols();
        int f = mlp.width();
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix upGate = frame.matrix(rows, 2 * f);
            FloatMatrix gated = frame.matrix(rows, f);
            FloatMatrix dGated = frame.matrix(rows, f);
            FloatMatrix h = frame.matrix(rows, width);
            FloatMatrix d = frame.matrix(rows, width);
            TunableLinear up = linears.get(mlp.input());
            up.finish(kept.upGateProduct, upGate, workspace);
            gate(upGate, gated, workspace);
            d.data().copyFrom(gradient.data());
            tap.see(mlp.output(), gated, d);
            linears.get(mlp.output()).backward(gated, kept.downProduct, d, dGated, workspace);
            Rows.run(rows, workspace, (from, to) -> {
                for (int t = from; t < to; t++) {
                    long u = 8L * t * f;
                    MemorySegment both = upGate.data();
                    VectorGradients.swiGluGradient(
                            both, u, both, u + 4L * f, dGated.data(), 4L * t * f, both, u, both, u + 4L * f, f);
                }
            });
            Rows.normalize(kept.middle, norms.postAttention.value(), epsilon(order.feedForward()), h, workspace);
            tap.see(mlp.input(), h, upGate);
            up.backward(h, kept.upGateProduct, upGate, d, workspace);
            Rows.normalizeGradient(
                    kept.middle, norms.postAttention, epsilon(order.feedForward()), d, 1, gradient, workspace);
        }
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix dMixed = frame.matrix(rows, heads.output().inputs());
            FloatMatrix dQkv = frame.matrix(rows, kept.qkv.cols());
            FloatMatrix h = frame.matrix(rows, width);
            FloatMatrix d = frame.matrix(rows, width);
            d.data().copyFrom(gradient.data());
            tap.see(heads.output(), kept.mixed, d);
            linears.get(heads.output()).backward(kept.mixed, kept.oProduct, d, dMixed, workspace);
            attention.backward(kept.qkv, tokens, kept.mixed, kept.logs, dMixed, dQkv, workspace);
            turnBack(dQkv, tokens, kept, workspace);
            Rows.normalize(kept.x, norms.input.value(), epsilon(order.attention()), h, workspace);
            tap.see(heads.input(), h, dQkv);
            linears.get(heads.input()).backward(h, kept.qkvProduct, dQkv, d, workspace);
            Rows.normalizeGradient(kept.x, norms.input, epsilon(order.attention()), d, 1, gradient, workspace);
        }
    }

    private void turnBack(FloatMatrix dQkv, int tokens, Kept kept, Workspace workspace) {
        int dim = heads.headDim();
        int turned = heads.heads() + heads.keyValueHeads();
        RotaryTable.Angles angles = rotary.angles(0, tokens, tokens);
        if (backTokens != tokens) {
            backSines = angles.sin().clone();
            for (int i = 0; i < backSines.length; i++) {
                backSines[i] = -backSines[i];
            }
            backTokens = tokens;
        }
        Rows.run(dQkv.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                long at = 4L * t * dQkv.cols();
                for (int h = 0; h < turned; h++, at += 4L * dim) {
                    VectorMath.rotate(dQkv.data(), at, dim / 2, angles.cos(), backSines, angles.at(t % tokens));
                }
            }
        });
        if (norms.query == null) {
            return;
        }
        try (Workspace.Frame frame = workspace.frame()) {
            int rows = dQkv.rows();
            // What went into the norms, and the gradient of what came out of them.
            FloatMatrix before = frame.matrix(rows, dQkv.cols());
            FloatMatrix after = frame.matrix(rows, dQkv.cols());
            FloatMatrix r = frame.matrix(turned, rows);
            linears.get(heads.input()).finish(kept.qkvProduct, before, workspace);
            after.data().copyFrom(dQkv.data());
            Rows.run(rows, workspace, (from, to) -> {
                for (int t = from; t < to; t++) {
                    long at = 4L * t * dQkv.cols();
                    for (int h = 0; h < turned; h++, at += 4L * dim) {
                        Parameter norm = h < heads.heads() ? norms.query : norms.key;
                        r.set(
                                h,
                                t,
                                VectorGradients.rmsNormGradient(
                                        before.data(),
                                        at,
                                        norm.value().data(),
                                        epsilon(h < heads.heads() ? heads.queryNorm() : heads.keyNorm()),
                                        after.data(),
                                        at,
                                        0,
                                        dQkv.data(),
                                        at,
                                        dim));
                    }
                }
            });
            long stride = 4L * dQkv.cols();
            for (int h = 0; h < turned; h++) {
                Parameter norm = h < heads.heads() ? norms.query : norms.key;
                if (norm.isTuned()) {
                    VectorGradients.addColumnProducts(
                            before.data(),
                            4L * h * dim,
                            stride,
                            after.data(),
                            4L * h * dim,
                            stride,
                            r.data(),
                            4L * h * rows,
                            rows,
                            norm.gradient().data(),
                            0,
                            dim);
                }
            }
        }
    }
}
