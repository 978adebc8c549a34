package dev.gosset.llm.model;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.VectorAttention;
import dev.gosset.core.kernel.VectorMath;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;

/**
 * Causal attention with grouped queries of the tokens at positions {@code first .. first + t - 1} over keys and values at
 * positions from 0 on: {@code softmax(q k^T / sqrt(d)) v} per head, the keys limited to the last {@code window} positions
 * where there is a window. One task per head and 64 tokens, or for fewer than four tokens one per four heads that share keys
 * and values. Results do not depend on the number of threads. Immutable, thread-safe.
 */
public final class Attention {
    /** Tokens of one head that one task attends for. */
    private static final int TILE = 64;

    /** From so many tokens on keys and values are widened for BLAS. */
    private static final int FEW_TOKENS = 4;

    /** Heads of one task where there are fewer tokens: as many as {@link VectorAttention} takes at once. */
    private static final int QUAD = 4;

    private final int heads;
    private final int keyValueHeads;
    private final int dim;
    private final int window;
    private final float scale;

    Attention(ModelConfig config, int layer) {
        this(
                config.heads(),
                config.keyValueHeads(),
                config.headDim(),
                config.windows().get(layer));
    }

    /**
     * @param heads of queries, a multiple of {@code keyValueHeads}
     * @param dim the dimension of a head
     * @param window how many positions a token sees, itself included; 0 for all
     */
    public Attention(int heads, int keyValueHeads, int dim, int window) {
        if (keyValueHeads < 1 || heads % keyValueHeads != 0 || heads < 1 || dim < 1 || window < 0) {
            throw new IllegalArgumentException("attention of " + heads + " heads over " + keyValueHeads
                    + " of keys and values, dimension " + dim + ", window " + window);
        }
        this.heads = heads;
        this.keyValueHeads = keyValueHeads;
        this.dim = dim;
        this.window = window;
        this.scale = (float) (1 / Math.sqrt(dim));
    }

    /**
     * Writes out. The keys and values of the tokens themselves must be there.
     *
     * @param qkv tokens x (q, k, v): the queries are read from it
     * @param first the position of the first token
     * @param keys for each key-value head {@code capacity} rows of dim numbers
     * @param values the same
     * @param out tokens x (heads * dim)
     */
    public void attend(
            FloatMatrix qkv,
            int first,
            CachedRows keys,
            CachedRows values,
            int capacity,
            FloatMatrix out,
            Workspace workspace) {
        int tokens = qkv.rows();
        if (tokens < FEW_TOKENS) {
            attendFew(qkv, first, keys, values, capacity, out, workspace);
            return;
        }
        int tiles = Math.ceilDiv(tokens, TILE);
        int rows = Math.min(tokens, TILE);
        int span = window == 0 ? first + tokens : Math.min(first + tokens, window + rows);
        boolean wide = keys.dtype() == Dtype.F32;
        long scoreBytes = 4L * rows * (span + 2L * dim);
        long wideBytes = wide ? 0 : 8L * span * dim;
        workspace.run(heads * tiles, scoreBytes + wideBytes, (task, scratch) -> {
            int head = task % heads;
            // The longest tiles first: the team then ends together.
            int from = (tiles - 1 - task / heads) * TILE;
            int count = Math.min(tokens - from, TILE);
            int high = first + from + count;
            int low = window == 0 ? 0 : Math.max(0, first + from - window + 1);
            long base = (long) (head / (heads / keyValueHeads)) * capacity + low;
            int keyCount = high - low;
            MemorySegment k;
            MemorySegment v;
            if (wide) {
                k = keys.data().asSlice(4 * base * dim, 4L * keyCount * dim);
                v = values.data().asSlice(4 * base * dim, 4L * keyCount * dim);
            } else {
                k = scratch.asSlice(scoreBytes, 4L * keyCount * dim);
                v = scratch.asSlice(scoreBytes + 4L * keyCount * dim, 4L * keyCount * dim);
                keys.widen(base, keyCount, dim, k);
                values.widen(base, keyCount, dim, v);
            }
            attendMany(qkv, head, from, count, first + from - low, keyCount, k, v, out, scratch);
        });
    }

    /** One task for each quad of heads that share keys and values. */
    private void attendFew(
            FloatMatrix qkv,
            int first,
            CachedRows keys,
            CachedRows values,
            int capacity,
            FloatMatrix out,
            Workspace workspace) {
        int group = heads / keyValueHeads;
        int quads = Math.ceilDiv(group, QUAD);
        int span = window == 0 ? first + qkv.rows() : Math.min(first + qkv.rows(), window);
        workspace.run(keyValueHeads * quads, 4L * QUAD * (dim + span), (task, scratch) -> {
            int shared = task / quads;
            int head = shared * group + task % quads * QUAD;
            int queries = Math.min(QUAD, (shared + 1) * group - head);
            for (int t = 0; t < qkv.rows(); t++) {
                int end = first + t + 1;
                int begin = window == 0 ? 0 : Math.max(0, end - window);
                long row = (long) shared * capacity + begin;
                VectorMath.scale(
                        scale, qkv.data(), 4L * ((long) t * qkv.cols() + (long) head * dim), scratch, 0, queries * dim);
                long o = 4L * ((long) t * out.cols() + (long) head * dim);
                attendOne(queries, row, end - begin, keys, values, out.data(), o, scratch);
            }
        });
    }

    /**
     * One token, the queries of a few heads that share keys and values.
     *
     * @param row the first of the rows of keys and values
     * @param out queries x dim floats from byte {@code to} on
     * @param scratch begins with the scaled queries
     */
    private void attendOne(
            int queries,
            long row,
            int count,
            CachedRows keys,
            CachedRows values,
            MemorySegment out,
            long to,
            MemorySegment scratch) {
        long scores = 4L * QUAD * dim;
        MemorySegment k = keys.data();
        MemorySegment v = values.data();
        switch (keys.dtype()) {
            case F16 -> {
                VectorAttention.scores(scratch, 0, queries, k, 2 * row * dim, count, dim, scratch, scores);
                softmax(scratch, scores, queries, count);
                VectorAttention.mix(scratch, scores, queries, v, 2 * row * dim, count, dim, out, to);
            }
            case I8 -> {
                VectorAttention.scoresOfBytes(
                        scratch, 0, queries, k, row * dim, keys.scales(), 4 * row, count, dim, scratch, scores);
                softmax(scratch, scores, queries, count);
                VectorAttention.mixBytes(
                        scratch, scores, queries, v, row * dim, values.scales(), 4 * row, count, dim, out, to);
            }
            default -> {
                long bytes = 4L * count * dim;
                MemorySegment keyRows = k.asSlice(4 * row * dim, bytes);
                MemorySegment valueRows = v.asSlice(4 * row * dim, bytes);
                MemorySegment weights = scratch.asSlice(scores, 4L * count);
                for (int i = 0; i < queries; i++) {
                    long vector = 4L * i * dim;
                    Blas.gemv(Operand.floats(keyRows, count, dim), scratch.asSlice(vector, 4L * dim), weights);
                    VectorMath.softmax(weights, 0, count);
                    Blas.gemv(
                            Operand.floats(valueRows, count, dim).transpose(),
                            weights,
                            out.asSlice(to + vector, 4L * dim));
                }
            }
        }
    }

    private static void softmax(MemorySegment scores, long at, int rows, int count) {
        for (int i = 0; i < rows; i++) {
            VectorMath.softmax(scores, at + 4L * i * count, count);
        }
    }

    /**
     * @param position of the first token among the keys given
     */
    private void attendMany(
            FloatMatrix qkv,
            int head,
            int from,
            int count,
            int position,
            int span,
            MemorySegment k,
            MemorySegment v,
            FloatMatrix out,
            MemorySegment scratch) {
        Operand queries = Operand.of(qkv).block(from, head * dim, count, dim);
        MemorySegment scores = scratch.asSlice(0, 4L * count * span);
        Operand weights = Operand.floats(scores, count, span);
        Blas.gemm(scale, queries, Operand.floats(k, span, dim).transpose(), 0, weights);
        for (int i = 0; i < count; i++) {
            int end = position + i + 1;
            int begin = window == 0 ? 0 : Math.max(0, end - window);
            long row = 4L * i * span;
            scores.asSlice(row, 4L * begin).fill((byte) 0);
            VectorMath.softmax(scores, row + 4L * begin, end - begin);
            scores.asSlice(row + 4L * end, 4L * (span - end)).fill((byte) 0);
        }
        Operand mixed = Operand.of(out).block(from, head * dim, count, dim);
        Blas.gemm(1, weights, Operand.floats(v, span, dim), 0, mixed);
    }
}
