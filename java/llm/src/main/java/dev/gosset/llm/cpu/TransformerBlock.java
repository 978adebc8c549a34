package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.plan.AttentionPlan.Grouped;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.FeedForwardPlan.Experts;
import dev.gosset.llm.plan.FeedForwardPlan.Gated;
import dev.gosset.llm.plan.FeedForwardPlan.Plain;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.NormPlan;
import dev.gosset.llm.plan.OrderPlan.NormsAfter;
import dev.gosset.llm.plan.OrderPlan.NormsAround;
import dev.gosset.llm.plan.OrderPlan.NormsBefore;
import dev.gosset.llm.plan.OrderPlan.Parallel;
import dev.gosset.llm.plan.OrderPlan.ScaledOutputs;
import dev.gosset.llm.plan.PositionPlan;
import dev.gosset.llm.plan.RotaryTable;
import dev.gosset.llm.plan.TensorPlan;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * One block of a model, as its {@link BlockPlan} says; the usual one is {@code h += o(attention(qkv(norm(h))))}, then {@code h +=
 * down(silu(gate) * up)} of the normalized h. All in float32.
 *
 * <p>Immutable and thread-safe: a running pass keeps its data in the workspace. A block converts nothing up front, so
 * holding all blocks of a model costs no more than their norm weights.
 */
public final class TransformerBlock {
    /** Tokens whose elementwise work is one task. */
    private static final int ROWS = 16;

    private final BlockPlan plan;
    private final Map<NormPlan, FloatMatrix> norms;
    private final Map<LinearGroup, Linear> linears;
    private final RotaryTable rotary;
    private final Around aroundAttention;
    private final Around aroundFeedForward;
    private final Grouped heads;
    private final FeedForward feedForward;
    private final Attention attention;
    private final Linear attentionInput;
    private final Linear attentionOutput;
    private final Map<TensorPlan, Linear> routers;

    /**
     * What is done to the hidden state before a part of the block reads it, and to what the part gives before it is added.
     *
     * @param before null for nothing
     * @param after null for nothing
     * @param factor of what is added
     */
    private record Around(NormPlan before, NormPlan after, float factor) {}

    private TransformerBlock(
            BlockPlan plan,
            Map<NormPlan, FloatMatrix> norms,
            Map<LinearGroup, Linear> linears,
            Map<TensorPlan, Linear> routers,
            RotaryTable rotary) {
        this.plan = plan;
        this.norms = Map.copyOf(norms);
        this.linears = Map.copyOf(linears);
        this.rotary = rotary;
        switch (plan.order()) {
            case NormsBefore(NormPlan attention, NormPlan feedForward) -> {
                aroundAttention = new Around(attention, null, 1);
                aroundFeedForward = new Around(feedForward, null, 1);
            }
            case NormsAfter(NormPlan attention, NormPlan feedForward) -> {
                aroundAttention = new Around(null, attention, 1);
                aroundFeedForward = new Around(null, feedForward, 1);
            }
            case NormsAround(NormPlan attention, NormPlan output, NormPlan feedForward, NormPlan itsOutput) -> {
                aroundAttention = new Around(attention, output, 1);
                aroundFeedForward = new Around(feedForward, itsOutput, 1);
            }
            case Parallel(NormPlan attention, NormPlan feedForward) -> {
                aroundAttention = new Around(attention, null, 1);
                aroundFeedForward = new Around(feedForward, null, 1);
            }
            case ScaledOutputs(NormPlan attention, NormPlan feedForward, float factor) -> {
                aroundAttention = new Around(attention, null, factor);
                aroundFeedForward = new Around(feedForward, null, factor);
            }
        }
        this.heads = switch (plan.attention()) {
            case Grouped grouped -> grouped;
        };
        this.attention = new Attention(
                heads.heads(), heads.keyValueHeads(), heads.headDim(), heads.window(), heads.scale(), heads.softCap());
        attentionInput = this.linears.get(heads.input());
        attentionOutput = this.linears.get(heads.output());
        for (LinearGroup group : plan.groups()) {
            Linear linear = this.linears.get(group);
            if (linear == null || linear.inputs() != group.inputs() || linear.outputs() != group.outputs()) {
                throw new IllegalArgumentException(group.name() + " must be a linear of "
                        + group.outputs() + " x " + group.inputs() + ", found "
                        + (linear == null ? "none" : linear.outputs() + " x " + linear.inputs()));
            }
        }
        this.routers = Map.copyOf(routers);
        feedForward = switch (plan.feedForward()) {
            case Gated gated -> mlp(gated);
            case Plain plain -> new PlainMlp(plain, this.linears.get(plain.input()), this.linears.get(plain.output()));
            case Experts mixture ->
                new ExpertMixture(
                        mixture,
                        routers.get(mixture.router()),
                        mixture.experts().stream().map(this::mlp).toList(),
                        mixture.shared().map(own -> mlp(own.expert())).orElse(null),
                        mixture.shared().map(own -> routers.get(own.gate())).orElse(null));
        };
    }

    private GatedMlp mlp(Gated gated) {
        return new GatedMlp(gated, linears.get(gated.input()), linears.get(gated.output()));
    }

    /**
     * A block over stored weights.
     *
     * @param tables of all blocks of the model so far: those of one position plan share one
     */
    static TransformerBlock over(
            BlockPlan plan, WeightSource source, Preparation preparation, Map<PositionPlan, RotaryTable> tables) {
        Map<NormPlan, FloatMatrix> norms = new HashMap<>();
        plan.norms().forEach(norm -> norms.put(norm, weight(norm, source, preparation)));
        // First: they say how many experts there are.
        Map<TensorPlan, Linear> routers = new HashMap<>();
        for (TensorPlan router : plan.feedForward().tensors()) {
            routers.put(router, new DenseLinear(List.of(source.tensor(router))));
        }
        Map<LinearGroup, Linear> linears = new HashMap<>();
        for (LinearGroup group : plan.groups()) {
            linears.put(group, preparation.linear(source, group));
        }
        PositionPlan position = switch (plan.attention()) {
            case Grouped grouped -> grouped.position();
        };
        RotaryTable rotary = position.turning()
                .map(turned -> tables.computeIfAbsent(turned, p -> new RotaryTable(turned)))
                .orElse(null);
        return new TransformerBlock(plan, norms, linears, routers, rotary);
    }

    /** What a norm multiplies by, 1 x its size, and behind it what it adds, where it adds something. */
    static FloatMatrix weight(NormPlan norm, WeightSource source, Preparation preparation) {
        FloatMatrix weight =
                preparation.vector(norm.tensors().stream().map(source::tensor).toList());
        float shift = switch (norm) {
            case NormPlan.Rms _ -> 0;
            case NormPlan.ShiftedRms _ -> 1;
            case NormPlan.Layer layer -> layer.shift();
        };
        for (int j = 0; shift != 0 && j < norm.size(); j++) {
            weight.set(0, j, shift + weight.get(0, j));
        }
        return weight;
    }

    /** What the block computes. */
    public BlockPlan plan() {
        return plan;
    }

    /** The block's place in the model, from 0. */
    public int layer() {
        return plan.layer();
    }

    /** The linears of a group. */
    public Linear linear(LinearGroup group) {
        return linears.get(group);
    }

    /** By what queries and keys are turned. */
    public RotaryTable rotary() {
        return rotary;
    }

    /** What one of its norms multiplies by, 1 x its size, and behind it what it adds, where it adds something. */
    public FloatMatrix weight(NormPlan norm) {
        return norms.get(norm);
    }

    /** This block with other linears in the place of one group. */
    public TransformerBlock with(LinearGroup group, Linear linear) {
        Map<LinearGroup, Linear> others = new HashMap<>(linears);
        others.put(group, linear);
        return new TransformerBlock(plan, norms, others, routers, rotary);
    }

    /**
     * Runs the block over one whole sequence, whose first token is at position 0.
     *
     * @param hidden tokens x hidden size; replaced by the block's output
     */
    public void forward(FloatMatrix hidden, ActivationTap tap, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            int tokens = hidden.rows();
            int dim = heads.headDim();
            MemorySegment keys = frame.bytes(4L * tokens * heads.keyValueHeads() * dim);
            MemorySegment values = frame.bytes(keys.byteSize());
            int[] positions = new int[tokens];
            Arrays.setAll(positions, t -> t);
            RotaryTable.Angles[] angles = new RotaryTable.Angles[tokens];
            if (rotary != null) {
                Arrays.fill(angles, rotary.angles(0, tokens, tokens));
            }
            run(hidden, true, tap, workspace, (qkv, mixed) -> {
                rotate(qkv, positions, angles, workspace, (t, head, key, value) -> {
                    long row = 4L * dim * ((long) head * tokens + t);
                    MemorySegment.copy(qkv.data(), key, keys, row, 4L * dim);
                    MemorySegment.copy(qkv.data(), value, values, row, 4L * dim);
                });
                attention.attend(qkv, keys, values, mixed, workspace);
            });
        }
    }

    /**
     * Runs the block over tokens that follow those of caches, and writes their keys and values into them. The caches count the
     * tokens only when {@link Transformer#run} has run every block. Each token's result has the same bits whatever the others are.
     *
     * @param hidden tokens x hidden size; replaced by the block's output
     * @param spans the sequences' rows, one after the other
     * @param positions of the rows
     * @param caches of the rows
     */
    void forward(
            FloatMatrix hidden,
            List<Attention.Span> spans,
            int[] positions,
            KeyValueCache[] caches,
            Workspace workspace) {
        RotaryTable.Angles[] angles = new RotaryTable.Angles[positions.length];
        for (Attention.Span span : rotary == null ? List.<Attention.Span>of() : spans) {
            int end = span.first() + span.to() - span.from();
            Arrays.fill(
                    angles,
                    span.from(),
                    span.to(),
                    rotary.angles(span.first(), end, span.cache().known(end)));
        }
        run(hidden, false, ActivationTap.NONE, workspace, (qkv, mixed) -> {
            rotate(qkv, positions, angles, workspace, (t, head, key, value) -> {
                caches[t].store(layer(), head, positions[t], qkv.data(), key, qkv.data(), value);
            });
            attention.attend(qkv, spans, layer(), mixed, workspace);
        });
    }

    /** Attention of all tokens, with what is done to queries, keys and values before. */
    @FunctionalInterface
    private interface Attending {
        /**
         * @param qkv tokens x (q, k, v), as the linears have written them
         * @param mixed tokens x (heads * dim), written
         */
        void attend(FloatMatrix qkv, FloatMatrix mixed);
    }

    /** Stores the key and the value of one head of a token, from bytes {@code key} and {@code value} of the data of qkv. */
    @FunctionalInterface
    private interface KeyValueStore {
        void store(int token, int head, long key, long value);
    }

    /**
     * @param many whether the rows are always those of one whole sequence, as {@link Linear#forwardMany} wants it
     */
    private void run(FloatMatrix hidden, boolean many, ActivationTap tap, Workspace workspace, Attending attending) {
        int tokens = hidden.rows();
        int width = heads.input().inputs();
        if (hidden.cols() != width) {
            throw new IllegalArgumentException("hidden states are " + hidden.cols() + " wide, expected " + width);
        }
        if (tokens == 0) {
            return;
        }
        try (Workspace.Frame whole = workspace.frame()) {
            FloatMatrix before = hidden;
            if (plan.order() instanceof Parallel) {
                before = whole.matrix(tokens, width);
                before.data().copyFrom(hidden.data());
            }
            run(hidden, before, many, tap, workspace, attending);
        }
    }

    /**
     * @param before what the feed-forward reads: the hidden state, or a copy of what it was before the attention
     */
    private void run(
            FloatMatrix hidden,
            FloatMatrix before,
            boolean many,
            ActivationTap tap,
            Workspace workspace,
            Attending attending) {
        int tokens = hidden.rows();
        int width = hidden.cols();
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix mixed = frame.matrix(tokens, heads.output().inputs());
            try (Workspace.Frame inner = workspace.frame()) {
                FloatMatrix qkv = inner.matrix(tokens, heads.input().outputs());
                FloatMatrix x = normalized(hidden, aroundAttention.before(), inner, workspace);
                apply(heads.input(), attentionInput, x, qkv, many, tap, workspace);
                attending.attend(qkv, mixed);
            }
            FloatMatrix y = frame.matrix(tokens, width);
            apply(heads.output(), attentionOutput, mixed, y, many, tap, workspace);
            addOutput(y, aroundAttention, hidden, workspace);
        }
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix y = frame.matrix(tokens, width);
            try (Workspace.Frame inner = workspace.frame()) {
                FloatMatrix x = normalized(before, aroundFeedForward.before(), inner, workspace);
                feedForward.forward(x, y, many, tap, workspace);
            }
            addOutput(y, aroundFeedForward, hidden, workspace);
        }
    }

    /** Runs a linear after its tap. */
    static void apply(
            LinearGroup group,
            Linear linear,
            FloatMatrix x,
            FloatMatrix y,
            boolean many,
            ActivationTap tap,
            Workspace workspace) {
        tap.accept(group, x);
        if (many) {
            linear.forwardMany(x, y, workspace);
        } else {
            linear.forward(x, y, workspace);
        }
    }

    /** {@code hidden += factor norm(y)}; y is overwritten. */
    private void addOutput(FloatMatrix y, Around around, FloatMatrix hidden, Workspace workspace) {
        forRows(hidden.rows(), workspace, (from, to) -> {
            int n = hidden.cols();
            for (int t = from; t < to; t++) {
                long row = 4L * t * n;
                if (around.after() != null) {
                    normalize(around.after(), y.data(), row, norms.get(around.after()), y.data(), row);
                }
                // A product with 1 is exact.
                VectorMath.addScaled(around.factor(), y.data(), row, hidden.data(), row, n);
            }
        });
    }

    /** What a part of the block reads: the hidden state itself where there is no norm. */
    private FloatMatrix normalized(FloatMatrix hidden, NormPlan plan, Workspace.Frame frame, Workspace workspace) {
        if (plan == null) {
            return hidden;
        }
        FloatMatrix x = frame.matrix(hidden.rows(), hidden.cols());
        FloatMatrix weight = norms.get(plan);
        forRows(hidden.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                long row = 4L * t * hidden.cols();
                normalize(plan, hidden.data(), row, weight, x.data(), row);
            }
        });
        return x;
    }

    /** Normalizes one vector from byte {@code at} on into {@code y}, which may be the same. */
    static void normalize(NormPlan plan, MemorySegment x, long at, FloatMatrix weight, MemorySegment y, long to) {
        switch (plan) {
            case NormPlan.Rms rms -> VectorMath.rmsNorm(x, at, weight.data(), rms.epsilon(), y, to, rms.size());
            case NormPlan.ShiftedRms rms -> VectorMath.rmsNorm(x, at, weight.data(), rms.epsilon(), y, to, rms.size());
            case NormPlan.Layer layer -> {
                int n = layer.size();
                VectorMath.center(x, at, y, to, n);
                VectorMath.rmsNorm(y, to, weight.data(), layer.epsilon(), y, to, n);
                if (layer.biased()) {
                    VectorMath.add(weight.data(), 4L * n, y, to, n);
                }
            }
        }
    }

    /** Normalizes and turns queries and keys where they lie, and stores keys and values. */
    private void rotate(
            FloatMatrix qkv, int[] positions, RotaryTable.Angles[] angles, Workspace workspace, KeyValueStore store) {
        int dim = heads.headDim();
        int queries = heads.heads();
        long values = 4L * heads.keyValueHeads() * dim;
        int half = rotary == null ? 0 : rotary.half();
        NormPlan queryNorm = heads.queryNorm().orElse(null);
        NormPlan keyNorm = heads.keyNorm().orElse(null);
        FloatMatrix queryWeight = queryNorm == null ? null : norms.get(queryNorm);
        FloatMatrix keyWeight = keyNorm == null ? null : norms.get(keyNorm);
        // Of a head, or of all of a token.
        boolean perHead = queryNorm == null || queryNorm.size() == dim;
        PositionPlan position = heads.position();
        boolean interleaved =
                position.turning().map(PositionPlan.Rotary::interleaved).orElse(false);
        MemorySegment data = qkv.data();
        forRows(qkv.rows(), workspace, (from, to) -> {
            float[] pairs = new float[interleaved ? 2 * half : 0];
            for (int t = from; t < to; t++) {
                long at = 4L * t * qkv.cols();
                if (!perHead) {
                    long key = at + 4L * queries * dim;
                    normalize(queryNorm, data, at, queryWeight, data, at);
                    normalize(keyNorm, data, key, keyWeight, data, key);
                }
                float factor = position.queryFactor(positions[t]);
                for (int h = 0; h < queries + heads.keyValueHeads(); h++, at += 4L * dim) {
                    NormPlan norm = h < queries ? queryNorm : keyNorm;
                    FloatMatrix weight = h < queries ? queryWeight : keyWeight;
                    if (norm != null && perHead && !heads.normsTurned()) {
                        normalize(norm, data, at, weight, data, at);
                    }
                    if (interleaved) {
                        separate(data, at, pairs);
                    }
                    if (rotary != null) {
                        VectorMath.rotate(data, at, half, angles[t].cos(), angles[t].sin(), angles[t].at(positions[t]));
                    }
                    if (norm != null && heads.normsTurned()) {
                        normalize(norm, data, at, weight, data, at);
                    }
                    if (h < queries && factor != 1) {
                        VectorMath.scale(factor, data, at, data, at, dim);
                    }
                    if (h >= queries) {
                        store.store(t, h - queries, at, at + values);
                    }
                }
            }
        });
    }

    /**
     * Brings the elements of pairs that stand side by side half of all of them apart. Queries and keys stay so: their products
     * are the same in any order.
     */
    private static void separate(MemorySegment head, long at, float[] pairs) {
        MemorySegment.copy(head, ValueLayout.JAVA_FLOAT_UNALIGNED, at, pairs, 0, pairs.length);
        int half = pairs.length / 2;
        for (int i = 0; i < half; i++) {
            head.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + 4L * i, pairs[2 * i]);
            head.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + 4L * (half + i), pairs[2 * i + 1]);
        }
    }

    @FunctionalInterface
    interface Rows {
        void accept(int from, int to);
    }

    /** Elementwise work, many rows as one task. */
    static void forRows(int rows, Workspace workspace, Rows work) {
        workspace.team().run(Math.ceilDiv(rows, ROWS), i -> work.accept(i * ROWS, Math.min(rows, (i + 1) * ROWS)));
    }
}
