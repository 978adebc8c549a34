package dev.gosset.llm.model;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.kernel.VectorAttention;
import dev.gosset.core.kernel.VectorMath;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Causal attention with grouped queries of the tokens at positions {@code first .. first + t - 1} over keys and values at
 * positions from 0 on: {@code softmax(q k^T / sqrt(d)) v} per head, the keys limited to the last {@code window} positions
 * where there is a window. One task per head and 64 tokens.
 */
final class Attention {
    /** Tokens of one head that one task attends for. */
    private static final int TILE = 64;

    /** From so many tokens on a task uses BLAS. */
    private static final int FEW_TOKENS = 4;

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final int heads;
    private final int keyValueHeads;
    private final int dim;
    private final int window;
    private final float scale;

    Attention(ModelConfig config, int layer) {
        this.heads = config.heads();
        this.keyValueHeads = config.keyValueHeads();
        this.dim = config.headDim();
        this.window = config.windows().get(layer);
        this.scale = (float) (1 / Math.sqrt(dim));
    }

    /**
     * @param qkv tokens x (q, k, v): the queries are read from it
     * @param keys for each key-value head {@code capacity} rows of dim numbers
     * @param values the same
     * @param out tokens x (heads * dim)
     */
    void attend(
            FloatMatrix qkv,
            int first,
            CachedRows keys,
            CachedRows values,
            int capacity,
            FloatMatrix out,
            Workspace workspace) {
        int tokens = qkv.rows();
        int tiles = Math.ceilDiv(tokens, TILE);
        int rows = Math.min(tokens, TILE);
        int span = window == 0 ? first + tokens : Math.min(first + tokens, window + rows);
        boolean wide = keys.dtype() == Dtype.F32;
        long scoreBytes = 4L * rows * (span + 2L * dim);
        long wideBytes = !wide && rows >= FEW_TOKENS ? 8L * span * dim : 0;
        workspace.run(heads * tiles, scoreBytes + wideBytes, (task, scratch) -> {
            int head = task % heads;
            // The longest tiles first: the team then ends together.
            int from = (tiles - 1 - task / heads) * TILE;
            int count = Math.min(tokens - from, TILE);
            int high = first + from + count;
            int low = window == 0 ? 0 : Math.max(0, first + from - window + 1);
            long base = (long) (head / (heads / keyValueHeads)) * capacity + low;
            int keyCount = high - low;
            if (count < FEW_TOKENS) {
                for (int t = from; t < from + count; t++) {
                    attendOne(qkv, head, t, first + t - low, base, keyCount, keys, values, out, scratch);
                }
                return;
            }
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

    /**
     * @param position of the token among the keys given
     * @param base the row of the first of them
     */
    private void attendOne(
            FloatMatrix qkv,
            int head,
            int token,
            int position,
            long base,
            int span,
            CachedRows keys,
            CachedRows values,
            FloatMatrix out,
            MemorySegment scratch) {
        int begin = window == 0 ? 0 : Math.max(0, position - window + 1);
        int count = Math.min(position + 1, span) - begin;
        long row = base + begin;
        MemorySegment q = scratch;
        long scores = 4L * dim;
        long o = 4L * ((long) token * out.cols() + (long) head * dim);
        VectorMath.scale(scale, qkv.data(), 4L * ((long) token * qkv.cols() + (long) head * dim), q, 0, dim);
        MemorySegment k = keys.data();
        MemorySegment v = values.data();
        switch (keys.dtype()) {
            case F16 -> {
                VectorAttention.scores(q, 0, k, 2 * row * dim, count, dim, scratch, scores);
                VectorMath.softmax(scratch, scores, count);
                VectorAttention.mix(scratch, scores, v, 2 * row * dim, count, dim, out.data(), o);
            }
            case I8 -> {
                VectorAttention.scoresOfBytes(q, 0, k, row * dim, keys.scales(), 4 * row, count, dim, scratch, scores);
                VectorMath.softmax(scratch, scores, count);
                VectorAttention.mixBytes(
                        scratch, scores, v, row * dim, values.scales(), 4 * row, count, dim, out.data(), o);
            }
            default -> {
                for (int j = 0; j < count; j++) {
                    float score = VectorMath.dot(q, 0, k, 4 * (row + j) * dim, dim);
                    scratch.set(FLOAT, scores + 4L * j, score);
                }
                VectorMath.softmax(scratch, scores, count);
                out.data().asSlice(o, 4L * dim).fill((byte) 0);
                for (int j = 0; j < count; j++) {
                    float weight = scratch.get(FLOAT, scores + 4L * j);
                    VectorMath.addScaled(weight, v, 4 * (row + j) * dim, out.data(), o, dim);
                }
            }
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
        MemorySegment queries = qkv.data()
                .asSlice(
                        4L * ((long) from * qkv.cols() + (long) head * dim),
                        4L * ((long) (count - 1) * qkv.cols() + dim));
        MemorySegment scores = scratch.asSlice(0, 4L * count * span);
        Blas.sgemm(false, true, count, span, dim, scale, queries, qkv.cols(), k, dim, 0, scores, span);
        for (int i = 0; i < count; i++) {
            int end = position + i + 1;
            int begin = window == 0 ? 0 : Math.max(0, end - window);
            long row = 4L * i * span;
            scores.asSlice(row, 4L * begin).fill((byte) 0);
            VectorMath.softmax(scores, row + 4L * begin, end - begin);
            scores.asSlice(row + 4L * end, 4L * (span - end)).fill((byte) 0);
        }
        MemorySegment o = out.data()
                .asSlice(
                        4L * ((long) from * out.cols() + (long) head * dim),
                        4L * ((long) (count - 1) * out.cols() + dim));
        Blas.sgemm(false, false, count, dim, span, 1, scores, span, v, dim, 0, o, out.cols());
    }
}
