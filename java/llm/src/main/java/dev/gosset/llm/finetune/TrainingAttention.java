package dev.gosset.llm.finetune;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.dense.VectorGradients;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.plan.AttentionPlan.Grouped;
import java.lang.foreign.MemorySegment;

/**
 * Causal attention over whole sequences with its way back, by tiles of queries: probabilities are never kept, but the log of each
 * row's sum, from which they come again. One head is one task.
 *
 * @param window positions that a token sees, itself included; 0 for all before it
 * @param scale of the scores
 */
record TrainingAttention(int heads, int keyValueHeads, int dim, int window, double scale) {
    /** Queries of a tile. */
    private static final int TILE = 64;

    TrainingAttention(Grouped plan) {
        this(plan.heads(), plan.keyValueHeads(), plan.headDim(), plan.window(), plan.scale());
    }

    private int width() {
        return (heads + 2 * keyValueHeads) * dim;
    }

    /** A tile of queries and the keys that some of them see. */
    private record Tile(int first, int queries, int firstKey, int keys) {}

    private Tile tile(int first, int tokens) {
        int end = Math.min(tokens, first + TILE);
        int firstKey = window == 0 ? 0 : Math.max(0, first - window + 1);
        return new Tile(first, end - first, firstKey, end - firstKey);
    }

    private Operand part(FloatMatrix rows, int sequence, int tokens, int column, int first, int count) {
        long at = 4L * (((long) sequence * tokens + first) * rows.cols() + column);
        return Operand.floats(rows.data().asSlice(at), count, dim, rows.cols());
    }

    /**
     * @param qkv sequences * tokens x (q, k, v), turned
     * @param tokens of each sequence
     * @param mixed sequences * tokens x heads * dim, written
     * @param logs one row for each query head, sequences * tokens wide: written
     */
    void forward(FloatMatrix qkv, int tokens, FloatMatrix mixed, FloatMatrix logs, Workspace workspace) {
        int sequences = qkv.rows() / tokens;
        workspace.run(sequences * heads, 4L * TILE * tokens, (task, scratch) -> {
            int sequence = task / heads;
            int head = task % heads;
            int kv = head / (heads / keyValueHeads);
            for (int first = 0; first < tokens; first += TILE) {
                Tile tile = tile(first, tokens);
                Operand p = Operand.floats(scratch, tile.queries, tile.keys);
                Operand q = part(qkv, sequence, tokens, head * dim, first, tile.queries);
                Operand k = part(qkv, sequence, tokens, (heads + kv) * dim, tile.firstKey, tile.keys);
                Operand v = part(qkv, sequence, tokens, (heads + keyValueHeads + kv) * dim, tile.firstKey, tile.keys);
                Blas.gemm(scale, q, k.transpose(), 0, p);
                for (int i = 0; i < tile.queries; i++) {
                    int from = seenFrom(tile, i);
                    int count = first + i + 1 - tile.firstKey - from;
                    long row = 4L * i * tile.keys;
                    float log = (float) VectorMath.logSumExp(scratch, row + 4L * from, count);
                    logs.set(head, sequence * tokens + first + i, log);
                    probabilities(scratch, row, from, count, tile.keys, log);
                }
                Blas.gemm(1, p, v, 0, part(mixed, sequence, tokens, head * dim, first, tile.queries));
            }
        });
    }

    /** The first key of the tile that query i sees. */
    private int seenFrom(Tile tile, int i) {
        return window == 0 ? 0 : Math.max(0, tile.first + i - window + 1 - tile.firstKey);
    }

    private static void probabilities(MemorySegment p, long row, int from, int count, int keys, float log) {
        p.asSlice(row, 4L * from).fill((byte) 0);
        VectorMath.exponentials(p, row + 4L * from, count, log);
        p.asSlice(row + 4L * (from + count), 4L * (keys - from - count)).fill((byte) 0);
    }

    /**
     * @param qkv as {@link #forward} had it, as mixed and logs
     * @param dMixed the gradient of mixed
     * @param dQkv that of qkv, written
     */
    void backward(
            FloatMatrix qkv,
            int tokens,
            FloatMatrix mixed,
            FloatMatrix logs,
            FloatMatrix dMixed,
            FloatMatrix dQkv,
            Workspace workspace) {
        if (dQkv.cols() != width()) {
            throw new IllegalArgumentException("the gradient is " + dQkv.cols() + " wide, expected " + width());
        }
        int sequences = qkv.rows() / tokens;
        int group = heads / keyValueHeads;
        workspace.run(sequences * keyValueHeads, 8L * TILE * tokens, (task, scratch) -> {
            int sequence = task / keyValueHeads;
            int kv = task % keyValueHeads;
            int keyColumn = (heads + kv) * dim;
            int valueColumn = (heads + keyValueHeads + kv) * dim;
            for (int t = 0; t < tokens; t++) {
                long at = 4L * (sequence * tokens + t) * width();
                dQkv.data().asSlice(at + 4L * keyColumn, 4L * dim).fill((byte) 0);
                dQkv.data().asSlice(at + 4L * valueColumn, 4L * dim).fill((byte) 0);
            }
            MemorySegment slopes = scratch.asSlice(4L * TILE * tokens);
            for (int head = kv * group; head < (kv + 1) * group; head++) {
                for (int first = 0; first < tokens; first += TILE) {
                    Tile tile = tile(first, tokens);
                    Operand p = Operand.floats(scratch, tile.queries, tile.keys);
                    Operand dp = Operand.floats(slopes, tile.queries, tile.keys);
                    Operand q = part(qkv, sequence, tokens, head * dim, first, tile.queries);
                    Operand k = part(qkv, sequence, tokens, keyColumn, tile.firstKey, tile.keys);
                    Operand v = part(qkv, sequence, tokens, valueColumn, tile.firstKey, tile.keys);
                    Operand dOut = part(dMixed, sequence, tokens, head * dim, first, tile.queries);
                    Blas.gemm(scale, q, k.transpose(), 0, p);
                    Blas.gemm(1, dOut, v.transpose(), 0, dp);
                    for (int i = 0; i < tile.queries; i++) {
                        int from = seenFrom(tile, i);
                        int count = first + i + 1 - tile.firstKey - from;
                        int token = sequence * tokens + first + i;
                        long row = 4L * i * tile.keys;
                        probabilities(scratch, row, from, count, tile.keys, logs.get(head, token));
                        long at = 4L * ((long) token * mixed.cols() + (long) head * dim);
                        float delta = VectorMath.dot(dMixed.data(), at, mixed.data(), at, dim);
                        // Where p is 0 so is the gradient.
                        VectorGradients.softmaxGradient(scratch, row, delta, slopes, row, tile.keys);
                    }
                    Blas.gemm(scale, dp, k, 0, part(dQkv, sequence, tokens, head * dim, first, tile.queries));
                    Blas.gemm(
                            scale,
                            dp.transpose(),
                            q,
                            1,
                            part(dQkv, sequence, tokens, keyColumn, tile.firstKey, tile.keys));
                    Blas.gemm(
                            1,
                            p.transpose(),
                            dOut,
                            1,
                            part(dQkv, sequence, tokens, valueColumn, tile.firstKey, tile.keys));
                }
            }
        });
    }
}
