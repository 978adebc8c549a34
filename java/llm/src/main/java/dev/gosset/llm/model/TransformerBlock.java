package dev.gosset.llm.model;

import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * One block of a model: {@code h += o(attention(qkv(norm(h))))}, then {@code h += down(silu(gate) * up)} of the normalized
 * h. All in float32.
 *
 * <p>Immutable and thread-safe: a running pass keeps its data in the workspace. A block converts nothing up front, so
 * holding all blocks of a model costs no more than their norm weights.
 */
public final class TransformerBlock {
    /** Tokens whose elementwise work is one task. */
    private static final int ROWS = 16;

    private final ModelConfig config;
    private final int layer;
    private final Norms norms;
    private final Map<LinearGroup, Linear> linears;
    private final RotaryTable rotary;
    private final Attention attention;

    /**
     * The weights of a block's RMS norms, each 1 x width.
     *
     * @param input before the attention, hidden size
     * @param query per query head, head dimension; null where the family has no such norm
     * @param key per key head, head dimension; null where the family has no such norm
     * @param postAttention before the MLP, hidden size
     */
    public record Norms(FloatMatrix input, FloatMatrix query, FloatMatrix key, FloatMatrix postAttention) {}

    TransformerBlock(ModelConfig config, int layer, Norms norms, Map<LinearGroup, Linear> linears, RotaryTable rotary) {
        this.config = config;
        this.layer = layer;
        this.norms = norms;
        this.linears = new EnumMap<>(linears);
        this.rotary = rotary;
        this.attention = new Attention(config, layer);
        for (LinearGroup group : LinearGroup.values()) {
            Linear linear = this.linears.get(group);
            if (linear == null
                    || linear.inputs() != group.inputs(config)
                    || linear.outputs() != group.outputs(config)) {
                throw new IllegalArgumentException(group.fullName(layer) + " must be a linear of "
                        + group.outputs(config) + " x " + group.inputs(config) + ", found "
                        + (linear == null ? "none" : linear.outputs() + " x " + linear.inputs()));
            }
        }
    }

    /** The block's place in the model, from 0. */
    public int layer() {
        return layer;
    }

    /** The linears of a group. */
    public Linear linear(LinearGroup group) {
        return linears.get(group);
    }

    /** The weights of its norms. */
    public Norms norms() {
        return norms;
    }

    /** This block with other linears in the place of one group. */
    public TransformerBlock with(LinearGroup group, Linear linear) {
        Map<LinearGroup, Linear> others = new EnumMap<>(linears);
        others.put(group, linear);
        return new TransformerBlock(config, layer, norms, others, rotary);
    }

    /** This block with other norms. */
    public TransformerBlock with(Norms norms) {
        return new TransformerBlock(config, layer, norms, linears, rotary);
    }

    /**
     * Runs the block over one whole sequence, whose first token is at position 0.
     *
     * @param hidden tokens x hidden size; replaced by the block's output
     */
    public void forward(FloatMatrix hidden, ActivationTap tap, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            int tokens = hidden.rows();
            int dim = config.headDim();
            MemorySegment keys = frame.bytes(4L * tokens * config.keyValueSize());
            MemorySegment values = frame.bytes(4L * tokens * config.keyValueSize());
            int[] positions = new int[tokens];
            Arrays.setAll(positions, t -> t);
            RotaryTable.Angles[] angles = new RotaryTable.Angles[tokens];
            Arrays.fill(angles, rotary.angles(0, tokens, tokens));
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
        for (Attention.Span span : spans) {
            int end = span.first() + span.to() - span.from();
            Arrays.fill(
                    angles,
                    span.from(),
                    span.to(),
                    rotary.angles(span.first(), end, span.cache().known(end)));
        }
        run(hidden, false, ActivationTap.NONE, workspace, (qkv, mixed) -> {
            rotate(qkv, positions, angles, workspace, (t, head, key, value) -> {
                caches[t].store(layer, head, positions[t], qkv.data(), key, qkv.data(), value);
            });
            attention.attend(qkv, spans, layer, mixed, workspace);
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
        if (hidden.cols() != config.hiddenSize()) {
            throw new IllegalArgumentException(
                    "hidden states are " + hidden.cols() + " wide, expected " + config.hiddenSize());
        }
        if (tokens == 0) {
            return;
        }
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix mixed = frame.matrix(tokens, config.querySize());
            try (Workspace.Frame inner = workspace.frame()) {
                FloatMatrix qkv = inner.matrix(tokens, config.querySize() + 2 * config.keyValueSize());
                FloatMatrix x = inner.matrix(tokens, config.hiddenSize());
                normalize(hidden, norms.input(), x, workspace);
                apply(LinearGroup.QKV, x, qkv, many, tap, workspace);
                attending.attend(qkv, mixed);
            }
            addOutput(LinearGroup.O, mixed, hidden, many, tap, workspace);
        }
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix gated = frame.matrix(tokens, config.intermediateSize());
            try (Workspace.Frame inner = workspace.frame()) {
                FloatMatrix upGate = inner.matrix(tokens, 2 * config.intermediateSize());
                FloatMatrix x = inner.matrix(tokens, config.hiddenSize());
                normalize(hidden, norms.postAttention(), x, workspace);
                apply(LinearGroup.UP_GATE, x, upGate, many, tap, workspace);
                gate(upGate, gated, workspace);
            }
            addOutput(LinearGroup.DOWN, gated, hidden, many, tap, workspace);
        }
    }

    private void apply(
            LinearGroup group, FloatMatrix x, FloatMatrix y, boolean many, ActivationTap tap, Workspace workspace) {
        tap.accept(group, x);
        if (many) {
            linears.get(group).forwardMany(x, y, workspace);
        } else {
            linears.get(group).forward(x, y, workspace);
        }
    }

    private void addOutput(
            LinearGroup group,
            FloatMatrix x,
            FloatMatrix hidden,
            boolean many,
            ActivationTap tap,
            Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix y = frame.matrix(hidden.rows(), hidden.cols());
            apply(group, x, y, many, tap, workspace);
            forRows(hidden.rows(), workspace, (from, to) -> {
                int n = hidden.cols();
                for (int t = from; t < to; t++) {
                    VectorMath.add(y.data(), 4L * t * n, hidden.data(), 4L * t * n, n);
                }
            });
        }
    }

    private void normalize(FloatMatrix hidden, FloatMatrix weight, FloatMatrix x, Workspace workspace) {
        forRows(hidden.rows(), workspace, (from, to) -> {
            int n = hidden.cols();
            for (int t = from; t < to; t++) {
                VectorMath.rmsNorm(
                        hidden.data(), 4L * t * n, weight.data(), config.normEpsilon(), x.data(), 4L * t * n, n);
            }
        });
    }

    /** Normalizes and turns queries and keys where they lie, and stores keys and values. */
    private void rotate(
            FloatMatrix qkv, int[] positions, RotaryTable.Angles[] angles, Workspace workspace, KeyValueStore store) {
        int dim = config.headDim();
        int half = rotary.half();
        MemorySegment data = qkv.data();
        forRows(qkv.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                long at = 4L * t * qkv.cols();
                for (int h = 0; h < config.heads() + config.keyValueHeads(); h++, at += 4L * dim) {
                    FloatMatrix norm = h < config.heads() ? norms.query() : norms.key();
                    if (norm != null) {
                        VectorMath.rmsNorm(data, at, norm.data(), config.normEpsilon(), data, at, dim);
                    }
                    VectorMath.rotate(data, at, half, angles[t].cos(), angles[t].sin(), angles[t].at(positions[t]));
                    if (h >= config.heads()) {
                        store.store(t, h - config.heads(), at, at + 4L * config.keyValueSize());
                    }
                }
            }
        });
    }

    private static void gate(FloatMatrix upGate, FloatMatrix gated, Workspace workspace) {
        forRows(gated.rows(), workspace, (from, to) -> {
            int n = gated.cols();
            for (int t = from; t < to; t++) {
                long row = 8L * t * n;
                VectorMath.swiGlu(upGate.data(), row, upGate.data(), row + 4L * n, gated.data(), 4L * t * n, n);
            }
        });
    }

    @FunctionalInterface
    private interface Rows {
        void accept(int from, int to);
    }

    private static void forRows(int rows, Workspace workspace, Rows work) {
        workspace.team().run(Math.ceilDiv(rows, ROWS), i -> work.accept(i * ROWS, Math.min(rows, (i + 1) * ROWS)));
    }
}
