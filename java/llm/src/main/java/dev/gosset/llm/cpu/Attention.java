package dev.gosset.llm.cpu;

import static dev.gosset.llm.cpu.KeyValuePool.BLOCK;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * Causal attention with grouped queries: {@code softmax(scale q k^T) v} per head, the keys limited to the last {@code
 * window} positions where there is a window. In two ways: of the tokens of one whole sequence, by BLAS; and of tokens of many
 * sequences over the blocks of their caches, each token's result with the same bits whatever the others are. Results do not
 * depend on the number of threads. Immutable, thread-safe.
 */
public final class Attention {
    /** Tokens of one head of a whole sequence that one task attends for. */
    private static final int TILE = 64;

    /** Tokens of a sequence with a cache that one task attends for. */
    private static final int FEW = 4;

    /** Queries that are taken at once: as many as {@link dev.gosset.core.kernel.dense.VectorAttention} takes. */
    private static final int QUAD = 4;

    private final int heads;
    private final int keyValueHeads;
    private final int dim;
    private final int window;
    private final float scale;
    private final float softCap;

    /**
     * Rows of a matrix that are tokens of one sequence.
     *
     * @param from the first of the rows
     * @param to behind the last
     * @param first the position of the first in its sequence
     * @param cache holds the keys and values up to the last
     */
    public record Span(int from, int to, int first, KeyValueCache cache) {}

    /**
     * @param heads of queries, a multiple of {@code keyValueHeads}
     * @param dim the dimension of a head
     * @param window how many positions a token sees, itself included; 0 for all
     */
    public Attention(int heads, int keyValueHeads, int dim, int window) {
        this(heads, keyValueHeads, dim, window, (float) (1 / Math.sqrt(dim)), 0);
    }

    /**
     * As {@link #Attention(int, int, int, int)}, with another scale of the scores than {@code 1 / sqrt(dim)}.
     *
     * @param softCap what bounds the scaled scores, to {@code softCap tanh(s / softCap)}; 0 for nothing
     */
    public Attention(int heads, int keyValueHeads, int dim, int window, float scale, float softCap) {
        if (keyValueHeads < 1 || heads % keyValueHeads != 0 || heads < 1 || dim < 1 || window < 0) {
            throw new IllegalArgumentException("attention of " + heads + " heads over " + keyValueHeads
                    + " of keys and values, dimension " + dim + ", window " + window);
        }
        this.heads = heads;
        this.keyValueHeads = keyValueHeads;
        this.dim = dim;
        this.window = window;
        this.scale = scale;
        this.softCap = softCap;
    }

    /** In place, n scores that a token sees. */
    private void weights(MemorySegment scores, long at, int n) {
        if (softCap != 0) {
            VectorMath.softCap(scores, at, n, softCap);
        }
        VectorMath.softmax(scores, at, n);
    }

    /**
     * Writes out for the tokens of one whole sequence.
     *
     * @param qkv tokens x (q, k, v): the queries are read from it
     * @param keys for each key-value head as many rows of dim floats as there are tokens
     * @param values the same
     * @param out tokens x (heads * dim)
     */
    void attend(FloatMatrix qkv, MemorySegment keys, MemorySegment values, FloatMatrix out, Workspace workspace) {
        int tokens = qkv.rows();
        int tiles = Math.ceilDiv(tokens, TILE);
        int rows = Math.min(tokens, TILE);
        int span = window == 0 ? tokens : Math.min(tokens, window + rows);
        workspace.run(heads * tiles, 4L * rows * span, (task, scores) -> {
            int head = task % heads;
            // The longest tiles first: the team then ends together.
            int from = (tiles - 1 - task / heads) * TILE;
            int count = Math.min(tokens - from, TILE);
            int low = window == 0 ? 0 : Math.max(0, from - window + 1);
            long base = (long) (head / (heads / keyValueHeads)) * tokens + low;
            int keyCount = from + count - low;
            MemorySegment k = keys.asSlice(4 * base * dim, 4L * keyCount * dim);
            MemorySegment v = values.asSlice(4 * base * dim, 4L * keyCount * dim);
            attendMany(qkv, head, from, count, from - low, keyCount, k, v, out, scores);
        });
    }

    /**
     * Writes out for tokens of many sequences. The keys and values of the tokens themselves must be in the caches.
     *
     * @param qkv tokens x (q, k, v): the queries are read from it
     * @param spans their rows; a sequence stands in one of them
     * @param layer whose keys and values
     * @param out tokens x (heads * dim)
     */
    public void attend(FloatMatrix qkv, List<Span> spans, int layer, FloatMatrix out, Workspace workspace) {
        int group = heads / keyValueHeads;
        int quads = Math.ceilDiv(group, QUAD);
        // Tasks before each span, and the most positions that a token sees.
        int[] before = new int[spans.size() + 1];
        int most = 0;
        for (int i = 0; i < spans.size(); i++) {
            Span span = spans.get(i);
            int count = span.to() - span.from();
            before[i + 1] = before[i] + Math.ceilDiv(count, FEW) * keyValueHeads * quads;
            most = Math.max(most, span.first() + count);
        }
        most = window == 0 ? most : Math.min(most, window + QUAD);
        workspace.run(before[spans.size()], 4L * (QUAD * most + (2 * QUAD + 1) * dim), (task, scratch) -> {
            int found = Arrays.binarySearch(before, task);
            int i = found < 0 ? -found - 2 : found;
            // An empty span has no tasks.
            while (before[i + 1] == task) {
                i++;
            }
            Span span = spans.get(i);
            int own = task - before[i];
            int shared = own / quads % keyValueHeads;
            int head = shared * group + own % quads * QUAD;
            int queries = Math.min(QUAD, (shared + 1) * group - head);
            int from = span.from() + own / (quads * keyValueHeads) * FEW;
            int to = Math.min(span.to(), from + FEW);
            // Where few heads share keys, several tokens do; but BLAS adds in an order that depends on how many keys
            // there are.
            int together = span.cache().dtype() == Dtype.F32 ? 1 : QUAD / queries;
            for (int t = from; t < to; t += together) {
                attendQuad(qkv, span, t, Math.min(together, to - t), head, queries, layer, shared, out, scratch);
            }
        });
    }

    /** The queries of a few heads of a few tokens, together at most {@link #QUAD}. */
    private void attendQuad(
            FloatMatrix qkv,
            Span span,
            int row,
            int tokens,
            int head,
            int headCount,
            int layer,
            int shared,
            FloatMatrix out,
            MemorySegment scratch) {
        KeyValueCache cache = span.cache();
        int queries = tokens * headCount;
        int first = span.first() + row - span.from();
        int end = first + tokens;
        int begin = window == 0 ? 0 : Math.max(0, first + 1 - window);
        // Queries, outputs where they are not a token's alone, room for one more, scores.
        long mixed = 4L * QUAD * dim;
        long spare = 2 * mixed;
        long scores = spare + 4L * dim;
        long stride = 4L * (end - begin);
        for (int t = 0; t < tokens; t++) {
            long q = 4L * ((long) (row + t) * qkv.cols() + (long) head * dim);
            VectorMath.scale(scale, qkv.data(), q, scratch, 4L * t * headCount * dim, headCount * dim);
        }
        for (int p = begin, next; p < end; p = next) {
            next = Math.min(end, (p / BLOCK + 1) * BLOCK);
            long at = scores + 4L * (p - begin);
            cache.pool().scores(scratch, 0, queries, cache.block(p), layer, shared, p % BLOCK, next - p, at, stride);
        }
        for (int i = 0; i < queries; i++) {
            // What a token does not see, others here may: it has the weight 0, which changes no sum.
            int last = first + i / headCount + 1;
            int low = window == 0 ? 0 : Math.max(0, last - window);
            long at = scores + stride * i;
            if (tokens > 1) {
                scratch.asSlice(at, 4L * (low - begin)).fill((byte) 0);
                scratch.asSlice(at + 4L * (last - begin), 4L * (end - last)).fill((byte) 0);
            }
            weights(scratch, at + 4L * (low - begin), last - low);
        }
        boolean alone = tokens == 1;
        MemorySegment y = alone ? out.data() : scratch;
        long to = alone ? 4L * ((long) row * out.cols() + (long) head * dim) : mixed;
        for (int p = begin, next; p < end; p = next) {
            next = Math.min(end, (p / BLOCK + 1) * BLOCK);
            long at = scores + 4L * (p - begin);
            cache.pool()
                    .mix(
                            scratch,
                            at,
                            stride,
                            queries,
                            cache.block(p),
                            layer,
                            shared,
                            p % BLOCK,
                            next - p,
                            y,
                            to,
                            p > begin,
                            spare);
        }
        for (int t = 0; t < tokens && !alone; t++) {
            long o = 4L * ((long) (row + t) * out.cols() + (long) head * dim);
            MemorySegment.copy(scratch, mixed + 4L * t * headCount * dim, out.data(), o, 4L * headCount * dim);
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
            weights(scores, row + 4L * begin, end - begin);
            scores.asSlice(row + 4L * end, 4L * (span - end)).fill((byte) 0);
        }
        Operand mixed = Operand.of(out).block(from, head * dim, count, dim);
        Blas.gemm(1, weights, Operand.floats(v, span, dim), 0, mixed);
    }
}
