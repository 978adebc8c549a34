package dev.gosset.core.rounding;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.oracle.ScalarEncode;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * The search by the metric of blocks through one tile of rows: in the feedback pass a beam over the blocks of a group of columns, in
 * greedy passes one block at a time.
 *
 * <p><b>Beam.</b> The loss of a row is the sum over blocks of {@code e D_k e^T}, with e the distance of the point from its target and
 * D_k the block of the LDL decomposition; what a block adds depends on the points chosen before. A row carries up to {@code width}
 * histories, each with its errors, codes and loss. At a block every history is continued by the points that {@link BlockSearch} keeps,
 * and the cheapest of all stay. A row enters a group of columns with one history and leaves it with the best: so the products with what
 * lies outside the group, almost all of the arithmetic, are those of plain LDLQ.
 *
 * <p><b>Greedy.</b> A point is replaced only by one that lowers {@code e H_kk e^T}: no pass raises the loss.
 *
 * <p>One thread at a time; rows do not depend on each other. Source: notes/beyond-e8p.md, section 4.
 */
final class BeamSweep {
    private static final int BLOCK = BlockLdl.BLOCK;
    /** An improvement must be beyond what float32 sums leave in a target. */
    private static final double LESS = 1 - 1e-5;

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;

    private final Ldlq.PointSearch search;
    private final Codebook codebook;
    private final BlockSearch near;
    private final Precision precision;
    private final int rows;
    private final int group;
    private final int width;
    private final MemorySegment target;
    private final MemorySegment points;
    private final MemorySegment found;
    private MemorySegment changes;
    private MemorySegment otherChanges;
    private int[] history;
    private int[] otherHistory;
    private double[] loss;
    private double[] otherLoss;
    private final double[] vector = new double[BLOCK];
    private final double[] error = new double[BLOCK];
    private final float[] point = new float[BLOCK];
    // The best continuations of a row, in ascending order: their losses, histories and ranks among the points kept.
    private final double[] bestLoss;
    private final int[] bestParent;
    private final int[] bestRank;

    /**
     * @param rows of the tile
     * @param group columns of a group
     * @param width histories of a row, at least 1
     */
    BeamSweep(
            Ldlq.PointSearch search,
            Codebook codebook,
            Precision precision,
            int rows,
            int group,
            int width,
            Arena arena) {
        this.search = search;
        this.codebook = codebook;
        this.near = new BlockSearch(codebook);
        this.precision = precision;
        this.rows = rows;
        this.group = group;
        this.width = width;
        long items = (long) rows * width;
        long size = precision.bytes();
        target = arena.allocate(size * items * BLOCK, 64);
        points = arena.allocate(size * items * BLOCK, 64);
        found = arena.allocate(4 * items, 64);
        changes = arena.allocate(size * items * group, 64);
        otherChanges = arena.allocate(size * items * group, 64);
        int blocks = group / BLOCK;
        history = new int[rows * width * blocks];
        otherHistory = new int[history.length];
        loss = new double[rows * width];
        otherLoss = new double[loss.length];
        bestLoss = new double[width + 1];
        bestParent = new int[width + 1];
        bestRank = new int[width + 1];
    }

    /**
     * Rounds the columns {@code start} to {@code end} of a tile.
     *
     * @param base targets as far as the columns from {@code end} on decide them, rows x group
     * @param x rows x n
     * @param matrix L
     * @param d the blocks D
     * @param e receives {@code X - Q} of the columns; rows x n
     * @param codes receives the codes from row {@code firstRow} on
     */
    void round(
            MemorySegment base,
            Matrix x,
            Operand matrix,
            Matrix d,
            int start,
            int end,
            Matrix e,
            CodeMatrix codes,
            int firstRow) {
        int blocks = group / BLOCK;
        int n = x.cols();
        int states = 1;
        Arrays.fill(loss, 0);
        for (int k = end - BLOCK; k >= start; k -= BLOCK) {
            int local = k - start;
            int done = end - k - BLOCK;
            int items = rows * states;
            for (int item = 0; item < items; item++) {
                long from = (long) item / states * group + local;
                for (int c = 0; c < BLOCK; c++) {
                    put(target, (long) item * BLOCK + c, get(base, from + c));
                }
            }
            if (done > 0) {
                Blas.gemm(
                        1,
                        new Operand(precision, changes, items, group, group, false)
                                .block(0, local + BLOCK, items, done),
                        matrix.block(k + BLOCK, k, done, BLOCK),
                        1,
                        new Operand(precision, target, items, BLOCK, BLOCK, false));
            }
            search.nearest(target, items, points, found);
            near.metric(d, k, 0);
            int next = Math.min(width, states * BlockSearch.KEPT);
            // Rows that fit a chunk with all their histories.
            int together = BlockSearch.CHUNK / states;
            for (int row = 0; row < rows; row += together) {
                int many = Math.min(together, rows - row);
                for (int i = 0; i < many * states; i++) {
                    int item = row * states + i;
                    read(target, item);
                    near.put(i, vector, found.getAtIndex(ValueLayout.JAVA_INT, item));
                }
                near.rank();
                for (int r = 0; r < many; r++) {
                    int kept = choose(r * states, (row + r) * states, states, next);
                    for (int s = 0; s < next; s++) {
                        // Where there are fewer points than states, the dearest stands twice.
                        int from = Math.min(s, kept - 1);
                        follow(x, n, k, start, end, row + r, r * states, s, next, states, from, blocks);
                    }
                }
            }
            swap();
            states = next;
        }
        long size = precision.bytes();
        for (int i = 0; i < rows; i++) {
            MemorySegment.copy(
                    changes, size * i * states * group, e.data(), size * ((long) i * n + start), size * (end - start));
            for (int b = 0; b < (end - start) / BLOCK; b++) {
                codes.setCode(firstRow + i, start / BLOCK + b, history[i * states * blocks + b]);
            }
        }
    }

    /** The best continuations of a row's histories; how many there are. */
    private int choose(int chunkItem, int item, int states, int most) {
        int count = 0;
        for (int s = 0; s < states; s++) {
            int kept = near.kept(chunkItem + s);
            for (int rank = 0; rank < kept; rank++) {
                double sum = loss[item + s] + near.cost(chunkItem + s, rank);
                if (count == most && sum >= bestLoss[count - 1]) {
                    continue;
                }
                int at = count < most ? count++ : most - 1;
                while (at > 0 && bestLoss[at - 1] > sum) {
                    bestLoss[at] = bestLoss[at - 1];
                    bestParent[at] = bestParent[at - 1];
                    bestRank[at] = bestRank[at - 1];
                    at--;
                }
                bestLoss[at] = sum;
                bestParent[at] = s;
                bestRank[at] = rank;
            }
        }
        return count;
    }

    /** History {@code s} of {@code next} becomes the one of a continuation. */
    private void follow(
            Matrix x,
            int n,
            int k,
            int start,
            int end,
            int row,
            int chunkItem,
            int s,
            int next,
            int states,
            int choice,
            int blocks) {
        long size = precision.bytes();
        int parent = row * states + bestParent[choice];
        int child = row * next + s;
        int local = k - start;
        int behind = local + BLOCK;
        MemorySegment.copy(
                changes,
                size * ((long) parent * group + behind),
                otherChanges,
                size * ((long) child * group + behind),
                size * (end - k - BLOCK));
        int block = local / BLOCK;
        for (int b = block + 1; b < (end - start) / BLOCK; b++) {
            otherHistory[child * blocks + b] = history[parent * blocks + b];
        }
        int code = near.code(chunkItem + bestParent[choice], bestRank[choice]);
        otherHistory[child * blocks + block] = code;
        otherLoss[child] = bestLoss[choice];
        decode(code);
        long at = (long) row * n + k;
        for (int c = 0; c < BLOCK; c++) {
            put(otherChanges, (long) child * group + local + c, difference(x, at + c, c));
        }
    }

    private void swap() {
        MemorySegment m = changes;
        changes = otherChanges;
        otherChanges = m;
        int[] h = history;
        history = otherHistory;
        otherHistory = h;
        double[] l = loss;
        loss = otherLoss;
        otherLoss = l;
    }

    /**
     * One block of a greedy pass.
     *
     * @param h whose diagonal block at k is the metric
     * @param targets rows x 8: the best values with all other blocks fixed
     * @param nearest receives the points, in the precision
     * @param codes hold the codes of the pass before and receive the new ones
     */
    void improve(Matrix h, int k, MemorySegment targets, MemorySegment nearest, CodeMatrix codes, int firstRow) {
        search.nearest(targets, rows, nearest, found);
        near.metric(h, k, k);
        for (int first = 0; first < rows; first += BlockSearch.CHUNK) {
            int many = Math.min(BlockSearch.CHUNK, rows - first);
            for (int i = 0; i < many; i++) {
                read(targets, first + i);
                near.put(i, vector, found.getAtIndex(ValueLayout.JAVA_INT, first + i));
            }
            near.rank();
            for (int i = 0; i < many; i++) {
                int row = first + i;
                int code = codes.code(firstRow + row, k / BLOCK);
                read(targets, row);
                codebook.decode(code, error, 0);
                for (int c = 0; c < BLOCK; c++) {
                    error[c] = vector[c] - error[c];
                }
                double least = LESS * near.cost(error);
                for (int rank = 0; rank < near.kept(i); rank++) {
                    double cost = near.cost(i, rank);
                    if (cost < least) {
                        least = cost;
                        code = near.code(i, rank);
                    }
                }
                codes.setCode(firstRow + row, k / BLOCK, code);
                decode(code);
                for (int c = 0; c < BLOCK; c++) {
                    put(nearest, (long) row * BLOCK + c, precision == Precision.FLOAT32 ? point[c] : error[c]);
                }
            }
        }
    }

    /** A code's point: in float32 as every kernel delivers it, in {@code error} in float64. */
    private void decode(int code) {
        if (precision == Precision.FLOAT32) {
            ScalarEncode.decode(codebook, code, error, point);
        } else {
            codebook.decode(code, error, 0);
        }
    }

    private double difference(Matrix x, long at, int c) {
        return precision == Precision.FLOAT32
                ? x.data().get(FLOAT, 4 * at) - point[c]
                : x.data().get(DOUBLE, 8 * at) - error[c];
    }

    private void read(MemorySegment targets, int item) {
        for (int c = 0; c < BLOCK; c++) {
            vector[c] = get(targets, (long) item * BLOCK + c);
        }
    }

    private double get(MemorySegment s, long index) {
        return precision == Precision.FLOAT32 ? s.get(FLOAT, 4 * index) : s.get(DOUBLE, 8 * index);
    }

    private void put(MemorySegment s, long index, double value) {
        if (precision == Precision.FLOAT32) {
            s.set(FLOAT, 4 * index, (float) value);
        } else {
            s.set(DOUBLE, 8 * index, value);
        }
    }
}
