package dev.gosset.llm.model;

import dev.gosset.core.kernel.VectorMath;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
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
            long bytes = 4L * tokens * config.keyValueSize();
            CachedRows keys = new CachedRows(frame.bytes(bytes), null, Dtype.F32);
            CachedRows values = new CachedRows(frame.bytes(bytes), null, Dtype.F32);
            run(hidden, List.of(new Span(0, tokens, 0, tokens, tokens, keys, values)), tap, workspace);
        }
    }

    /**
     * Runs the block over the tokens that follow those of a cache, and writes their keys and values into it. The cache
     * counts the tokens only when {@link Transformer#append} has run every block.
     *
     * @param hidden tokens x hidden size; replaced by the block's output
     */
    public void forward(FloatMatrix hidden, KeyValueCache cache, Workspace workspace) {
        run(hidden, List.of(span(0, hidden.rows(), cache)), ActivationTap.NONE, workspace);
    }

    /**
     * Runs the block over one token of each of several sequences: row i follows those of cache i, which must be different ones.
     * The caches count the tokens only when {@link Transformer#step} has run every block.
     *
     * @param hidden sequences x hidden size; replaced by the block's output
     */
    public void forward(FloatMatrix hidden, List<KeyValueCache> caches, Workspace workspace) {
        if (hidden.rows() != caches.size()) {
            throw new IllegalArgumentException(hidden.rows() + " tokens for " + caches.size() + " caches");
        }
        List<Span> spans = new ArrayList<>();
        for (KeyValueCache cache : caches) {
            spans.add(span(spans.size(), spans.size() + 1, cache));
        }
        run(hidden, spans, ActivationTap.NONE, workspace);
    }

    private Span span(int from, int to, KeyValueCache cache) {
        int first = cache.length();
        if (to - from > cache.capacity() - first) {
            throw new IllegalArgumentException(
                    (to - from) + " tokens do not fit a cache of " + cache.capacity() + " that holds " + first);
        }
        int length = cache.known(first + to - from);
        return new Span(from, to, first, length, cache.capacity(), cache.keys(layer), cache.values(layer));
    }

    /**
     * Rows of the hidden states that are tokens of one sequence.
     *
     * @param from the first of the rows
     * @param to behind the last
     * @param first the position of the first in its sequence
     * @param length tokens that the sequence is known to have
     * @param capacity rows that keys and values have for each head
     */
    private record Span(int from, int to, int first, int length, int capacity, CachedRows keys, CachedRows values) {}

    private void run(FloatMatrix hidden, List<Span> spans, ActivationTap tap, Workspace workspace) {
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
                apply(LinearGroup.QKV, x, qkv, tap, workspace);
                for (Span span : spans) {
                    FloatMatrix own = qkv.rows(span.from(), span.to());
                    rotate(own, span, workspace);
                    attention.attend(
                            own,
                            span.first(),
                            span.keys(),
                            span.values(),
                            span.capacity(),
                            mixed.rows(span.from(), span.to()),
                            workspace);
                }
            }
            addOutput(LinearGroup.O, mixed, hidden, tap, workspace);
        }
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix gated = frame.matrix(tokens, config.intermediateSize());
            try (Workspace.Frame inner = workspace.frame()) {
                FloatMatrix upGate = inner.matrix(tokens, 2 * config.intermediateSize());
                FloatMatrix x = inner.matrix(tokens, config.hiddenSize());
                normalize(hidden, norms.postAttention(), x, workspace);
                apply(LinearGroup.UP_GATE, x, upGate, tap, workspace);
                gate(upGate, gated, workspace);
            }
            addOutput(LinearGroup.DOWN, gated, hidden, tap, workspace);
        }
    }

    private void apply(LinearGroup group, FloatMatrix x, FloatMatrix y, ActivationTap tap, Workspace workspace) {
        tap.accept(group, x);
        linears.get(group).forward(x, y, workspace);
    }

    private void addOutput(
            LinearGroup group, FloatMatrix x, FloatMatrix hidden, ActivationTap tap, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix y = frame.matrix(hidden.rows(), hidden.cols());
            apply(group, x, y, tap, workspace);
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

    /** Normalizes and turns queries and keys where they lie, and copies keys and values to their places by head. */
    private void rotate(FloatMatrix qkv, Span span, Workspace workspace) {
        RotaryTable.Angles angles = rotary.angles(span.first(), span.first() + qkv.rows(), span.length());
        int dim = config.headDim();
        int half = rotary.half();
        MemorySegment data = qkv.data();
        forRows(qkv.rows(), workspace, (from, to) -> {
            for (int t = from; t < to; t++) {
                int position = span.first() + t;
                long at = 4L * t * qkv.cols();
                for (int h = 0; h < config.heads() + config.keyValueHeads(); h++, at += 4L * dim) {
                    FloatMatrix norm = h < config.heads() ? norms.query() : norms.key();
                    if (norm != null) {
                        VectorMath.rmsNorm(data, at, norm.data(), config.normEpsilon(), data, at, dim);
                    }
                    VectorMath.rotate(data, at, half, angles.cos(), angles.sin(), angles.at(position));
                    if (h >= config.heads()) {
                        int keyHead = h - config.heads();
                        long row = (long) keyHead * span.capacity() + position;
                        span.keys().store(data, at, row, dim);
                        span.values().store(data, at + 4L * config.keyValueSize(), row, dim);
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
