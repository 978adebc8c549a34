package dev.gosset.core.rounding;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.contract.EncodeKernel;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Block LDLQ: rounds X (m x n) to codebook points Q so that {@code tr((X - Q) H (X - Q)^T)} is small.
 *
 * <p>With {@code H = L D L^T} ({@link BlockLdl}), {@code E = X - Q} and blocks k of 8 columns:
 *
 * <ol>
 *   <li>the feedback pass, k from last to first: {@code Q[:,k] = nearest(X[:,k] + E[:,>k] L[>k,k])};
 *   <li>greedy passes, each k from last to first: {@code Q[:,k] = nearest(Q[:,k] + E H[:,k] H[k,k]^-1)}: the best choice
 *       for block k with the others fixed, but for the metric of the search. The codes of the last pass are kept.
 * </ol>
 *
 * <p>Since {@code Q[:,k] + E[:,k] = X[:,k]}, both have the form {@code nearest(X[:,k] + E M[:,k])} with a matrix M whose
 * diagonal blocks are zero: L below the diagonal, or {@code H[:,k] H[k,k]^-1} off it. A pass is one sweep over M. Columns
 * are taken in groups of 128: what finished groups contribute is one matrix product per group, and within a group the
 * product is brought up to date block by block.
 *
 * <p>"Nearest" is by the Euclidean norm where the beam is 0, as in the reference. Else it is by the metric of the block, D_k in the
 * feedback pass, which carries several histories of each row, and H[k,k] in greedy passes, none of which raises the loss then ({@link
 * BeamSweep}).
 *
 * <p>Without Ho rows do not interact, so a task is a tile of rows whose height depends on m alone and which runs through all columns
 * with a one-threaded BLAS: the codes do not depend on the number of threads.
 *
 * <p><b>Both sides.</b> Where a Hessian of the outputs {@code Ho = Lo Do Lo^T} is given, {@code tr(Ho E H E^T) = tr(Do F D F^T)} with
 * {@code F = Lo^T E L}: the rows below feed back too. Rows are taken in blocks of 8 from the last to the first, {@code X'[i,:] = X[i,:] +
 * (Lo[>i,i])^T E[>i,:]} is rounded as above with {@code X' - Q} as its error, and {@code E = X - Q} is what the rows above it get. The rows
 * of a block do not wait for each other: what Do says between them is left out. Tiles of 64 rows and a group of columns run in the order
 * of anti-diagonals. Source: notes/beyond-e8p.md, section 4, after YAQA (Tseng et al. 2025).
 *
 * <p>n need not be a multiple of 8: X is padded by zero columns and H by a diagonal block of its mean diagonal. The
 * padded columns then decouple; their codes are stored and mean nothing.
 *
 * <p>Memory beside the arguments: one n x n matrix, with Ho one of m x n, and, where n is padded, copies of the arguments. Source:
 * spec/quip-sharp.md, section 3, and the QuIP# paper, section 4 and theorem 4.1.
 */
public final class Ldlq {
    /** Columns of a group. */
    private static final int GROUP = 128;

    /** Rows of a tile with feedback across rows. */
    private static final int ROWS = 64;

    private static final int BLOCK = BlockLdl.BLOCK;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;

    private final PointSearch search;
    private final ThreadTeam team;
    private final Matrix x;
    private final Matrix matrix;
    private final Matrix e;
    private final CodeMatrix codes;
    private final int beam;
    private final Matrix metric;

    /**
     * Passes over one matrix M.
     *
     * @param metric where the search is by the metric of blocks: in the feedback pass the blocks D, else H
     */
    private Ldlq(
            PointSearch search,
            ThreadTeam team,
            Matrix x,
            Matrix matrix,
            Matrix e,
            CodeMatrix codes,
            int beam,
            Matrix metric) {
        this.search = search;
        this.team = team;
        this.x = x;
        this.matrix = matrix;
        this.e = e;
        this.codes = codes;
        this.beam = beam;
        this.metric = metric;
    }

    /** Rows of a tile: enough of them that a product with M pays for reading M, and tiles enough for many threads. */
    private static int tileRows(int m) {
        return m >= 2048 ? 128 : m >= 512 ? 64 : 32;
    }

    /** Rounds in float32; see {@link #round(PointSearch, ThreadTeam, Matrix, Matrix, int, int, CodeMatrix, Matrix)}. */
    public static void round(
            EncodeKernel kernel,
            ThreadTeam team,
            FloatMatrix x,
            FloatMatrix h,
            int greedyPasses,
            CodeMatrix codes,
            FloatMatrix error) {
        round(PointSearch.of(kernel, codes.codebook()), team, x, h, 0, greedyPasses, codes, error);
    }

    /**
     * Rounds in float64, with the scalar oracle of {@code codes.codebook()} as the search; see {@link #round(PointSearch,
     * ThreadTeam, Matrix, Matrix, int, int, CodeMatrix, Matrix)}.
     */
    public static void round(
            ThreadTeam team, DoubleMatrix x, DoubleMatrix h, int greedyPasses, CodeMatrix codes, DoubleMatrix error) {
        round(PointSearch.oracle(codes.codebook()), team, x, h, 0, greedyPasses, codes, error);
    }

    /** The search for nearest points. Thread-safe. */
    @FunctionalInterface
    interface PointSearch {
        /**
         * @param target rows x 8, in the precision of the matrices that are rounded
         * @param points receives the nearest points, likewise
         * @param codes receives their codes, one int a row
         */
        void nearest(MemorySegment target, int rows, MemorySegment points, MemorySegment codes);

        /** In float32. */
        static PointSearch of(EncodeKernel kernel, Codebook codebook) {
            return (target, rows, points, codes) -> kernel.nearest(codebook, target, rows, points, codes);
        }

        /** In float64, point by point. */
        static PointSearch oracle(Codebook codebook) {
            return (target, rows, points, codes) -> {
                double[] vector = new double[BLOCK];
                for (int i = 0; i < rows; i++) {
                    MemorySegment.copy(target, DOUBLE, 8L * BLOCK * i, vector, 0, BLOCK);
                    int code = codebook.nearest(vector, 0);
                    codebook.decode(code, vector, 0);
                    MemorySegment.copy(vector, 0, points, DOUBLE, 8L * BLOCK * i, BLOCK);
                    codes.setAtIndex(INT, i, code);
                }
            };
        }
    }

    /**
     * Rounds in the precision of the matrices.
     *
     * <p>All segments must be accessible to the threads of the team.
     *
     * @param x m x n, in units of the codebook; not changed
     * @param h n x n, symmetric positive definite; not changed
     * @param beam histories of a row, 0 for nearest points
     * @param greedyPasses how many greedy passes follow the feedback pass, at least 0
     * @param codes receives the codes; m x n
     * @param error receives {@code X - Q}; m x n
     * @throws NotPositiveDefiniteException where H has no Cholesky factor in the precision
     */
    static void round(
            PointSearch search,
            ThreadTeam team,
            Matrix x,
            Matrix h,
            int beam,
            int greedyPasses,
            CodeMatrix codes,
            Matrix error) {
        round(search, team, x, h, null, beam, greedyPasses, codes, error);
    }

    /**
     * As {@link #round(PointSearch, ThreadTeam, Matrix, Matrix, int, int, CodeMatrix, Matrix)}, with feedback across rows too.
     *
     * @param outputs L of the Hessian of the outputs, at least m x m: {@link #factor}; null for none. There are no greedy passes with it
     */
    static void round(
            PointSearch search,
            ThreadTeam team,
            Matrix x,
            Matrix h,
            Matrix outputs,
            int beam,
            int greedyPasses,
            CodeMatrix codes,
            Matrix error) {
        check(x, h, codes, error, greedyPasses);
        if (outputs != null && greedyPasses > 0) {
            throw new IllegalArgumentException("greedy passes know one side only, found " + greedyPasses);
        }
        int m = x.rows();
        int n = x.cols();
        int padded = BLOCK * codes.groups();
        try (Arena arena = Arena.ofShared()) {
            Matrix px = padded == n ? x : pad(x, m, padded, 0, arena);
            Matrix ph = padded == n ? h : pad(h, padded, padded, meanDiagonal(h), arena);
            Matrix e = padded == n ? error : x.precision().allocate(arena, m, padded);
            e.data().fill((byte) 0);
            Matrix matrix = ph.copy(arena);
            Matrix d = BlockLdl.factor(matrix, arena);
            Ldlq feedback = new Ldlq(search, team, px, matrix, e, codes, beam, d);
            if (outputs != null) {
                feedback.sweepBothSides(Operand.of(outputs), x.precision().allocate(arena, m, padded));
            } else {
                feedback.sweep(true, beam > 0 || greedyPasses == 0);
            }
            if (greedyPasses > 0) {
                greedyMatrix(team, ph, matrix);
                Ldlq greedy = new Ldlq(search, team, px, matrix, e, codes, beam, ph);
                for (int pass = 1; pass <= greedyPasses; pass++) {
                    greedy.sweep(false, beam > 0 || pass == greedyPasses);
                }
            }
            if (padded != n) {
                for (int i = 0; i < m; i++) {
                    MemorySegment row = error.row(i);
                    row.copyFrom(e.row(i).asSlice(0, row.byteSize()));
                }
            }
        }
    }

    private static void check(Matrix x, Matrix h, CodeMatrix codes, Matrix error, int greedyPasses) {
        int m = x.rows();
        int n = x.cols();
        if (h.rows() != n
                || h.cols() != n
                || codes.rows() != m
                || codes.cols() != n
                || error.rows() != m
                || error.cols() != n) {
            throw new IllegalArgumentException("shapes do not agree: X is " + m + " x " + n + ", H is " + h.rows()
                    + " x "
                    + h.cols() + ", the codes " + codes.rows() + " x " + codes.cols() + ", the error " + error.rows()
                    + " x " + error.cols());
        }
        if (greedyPasses < 0) {
            throw new IllegalArgumentException("greedy passes must be at least 0, found " + greedyPasses);
        }
    }

    /**
     * One pass. On entry {@code e} holds {@code X - Q} of the pass before, or zeros.
     *
     * @param feedback whether M is L, of which only the rows below a block are used
     * @param stores whether the codes are wanted
     */
    private void sweep(boolean feedback, boolean stores) {
        int tile = tileRows(x.rows());
        team.run(Math.ceilDiv(x.rows(), tile), t -> {
            int from = t * tile;
            int to = Math.min(x.rows(), from + tile);
            sweepTile(x.rows(from, to), feedback, e.rows(from, to), stores, from);
        });
    }

    private void sweepTile(Matrix x, boolean feedback, Matrix e, boolean stores, int firstRow) {
        int n = x.cols();
        long size = x.precision().bytes();
        try (Arena arena = Arena.ofConfined()) {
            Tile tile = new Tile(x.rows(), feedback, stores, arena);
            for (int end = n; end > 0; ) {
                int start = (end - 1) / GROUP * GROUP;
                int width = end - start;
                for (int i = 0; i < x.rows(); i++) {
                    MemorySegment.copy(
                            x.data(), size * ((long) i * n + start), tile.base, size * i * GROUP, size * width);
                }
                int above = feedback ? end : 0;
                if (above < n) {
                    Blas.gemm(
                            1,
                            Operand.of(e).block(0, above, x.rows(), n - above),
                            Operand.of(matrix).block(above, start, n - above, width),
                            1,
                            tile.sums(width));
                }
                tile.group(x, e, start, end, firstRow);
                end = start;
            }
        }
    }

    /** What rounding a few rows of a group of columns needs. */
    private final class Tile {
        private final int rows;
        private final boolean feedback;
        private final boolean stores;
        /** Targets as far as the columns outside of the group decide them, rows x GROUP. */
        private final MemorySegment base;

        private final MemorySegment change;
        private final MemorySegment target;
        private final MemorySegment points;
        private final MemorySegment found;
        private final BeamSweep byMetric;

        Tile(int rows, boolean feedback, boolean stores, Arena arena) {
            this.rows = rows;
            this.feedback = feedback;
            this.stores = stores;
            long size = x.precision().bytes();
            base = arena.allocate(size * rows * GROUP, 64);
            change = arena.allocate(size * rows * GROUP, 64);
            target = arena.allocate(size * rows * BLOCK, 64);
            points = arena.allocate(size * rows * BLOCK, 64);
            found = arena.allocate(4L * rows, 64);
            byMetric = beam == 0
                    ? null
                    : new BeamSweep(search, codes.codebook(), x.precision(), rows, GROUP, feedback ? beam : 1, arena);
        }

        Operand sums(int width) {
            return new Operand(x.precision(), base, rows, width, GROUP, false);
        }

        /** Rounds the columns {@code start} to {@code end} of rows of x to codes from {@code firstRow} on; e receives the error. */
        void group(Matrix x, Matrix e, int start, int end, int firstRow) {
            Precision precision = x.precision();
            long size = precision.bytes();
            int n = x.cols();
            Operand all = Operand.of(matrix);
            if (byMetric != null && feedback) {
                byMetric.round(base, x, all, metric, start, end, e, codes, firstRow);
                return;
            }
            Operand changes = new Operand(precision, change, rows, GROUP, GROUP, false);
            Operand targets = new Operand(precision, target, rows, BLOCK, BLOCK, false);
            for (int k = end - BLOCK; k >= start; k -= BLOCK) {
                int local = k - start;
                int done = end - k - BLOCK;
                gather(base, size, local, rows, target);
                if (done > 0) {
                    Blas.gemm(
                            1,
                            changes.block(0, local + BLOCK, rows, done),
                            all.block(k + BLOCK, k, done, BLOCK),
                            1,
                            targets);
                }
                if (byMetric == null) {
                    search.nearest(target, rows, points, found);
                } else {
                    byMetric.improve(metric, k, target, points, codes, firstRow);
                }
                if (precision == Precision.FLOAT32) {
                    settleFloats(x.data(), e.data(), n, k, points, change, local, rows);
                } else {
                    settleDoubles(x.data(), e.data(), n, k, points, change, local, rows);
                }
                if (stores && byMetric == null) {
                    for (int i = 0; i < rows; i++) {
                        codes.setCode(firstRow + i, k / BLOCK, found.getAtIndex(INT, i));
                    }
                }
            }
        }
    }

    /**
     * The feedback pass across columns and rows. A tile needs those below it and those behind it, so tiles of one anti-diagonal run side
     * by side.
     *
     * @param outputs L of the outputs
     * @param turned zeros; receives {@code X' - Q}
     */
    private void sweepBothSides(Operand outputs, Matrix turned) {
        int down = Math.ceilDiv(x.rows(), ROWS);
        int across = Math.ceilDiv(x.cols(), GROUP);
        for (int diagonal = 0; diagonal < down + across - 1; diagonal++) {
            // From the lower right corner.
            int sum = diagonal;
            int lowest = Math.max(0, sum - across + 1);
            team.run(Math.min(sum, down - 1) - lowest + 1, t -> {
                int below = lowest + t;
                int from = (down - 1 - below) * ROWS;
                int start = (across - 1 - (sum - below)) * GROUP;
                tileOfBothSides(outputs, turned, from, start);
            });
        }
    }

    private void tileOfBothSides(Operand outputs, Matrix turned, int from, int start) {
        int m = x.rows();
        int n = x.cols();
        int to = Math.min(m, from + ROWS);
        int end = Math.min(n, start + GROUP);
        int width = end - start;
        long size = x.precision().bytes();
        Operand errors = Operand.of(e);
        try (Arena arena = Arena.ofConfined()) {
            // X' with what the rows below the tile give; E takes its place row by row.
            for (int i = from; i < to; i++) {
                long at = size * ((long) i * n + start);
                MemorySegment.copy(x.data(), at, e.data(), at, size * width);
            }
            addRows(outputs, errors, from, to, to, m, start, width);
            Matrix behind = x.precision().allocate(arena, to - from, width);
            if (end < n) {
                Blas.gemm(
                        1,
                        Operand.of(turned).block(from, end, to - from, n - end),
                        Operand.of(matrix).block(end, start, n - end, width),
                        0,
                        Operand.of(behind));
            }
            Tile tile = null;
            for (int row = (to - 1) / BLOCK * BLOCK; row >= from; row -= BLOCK) {
                int rows = Math.min(BLOCK, to - row);
                if (tile == null || tile.rows != rows) {
                    tile = new Tile(rows, true, true, arena);
                }
                addRows(outputs, errors, row, row + rows, row + rows, to, start, width);
                Matrix now = e.rows(row, row + rows);
                Matrix rounded = turned.rows(row, row + rows);
                for (int i = 0; i < rows; i++) {
                    for (int j = 0; j < width; j++) {
                        double sum = now.at(i, start + j) + behind.at(row - from + i, j);
                        put(tile.base, (long) i * GROUP + j, sum);
                    }
                }
                tile.group(now, rounded, start, end, row);
                for (int i = 0; i < rows; i++) {
                    for (int j = start; j < end; j++) {
                        now.put(i, j, x.at(row + i, j) - now.at(i, j) + rounded.at(i, j));
                    }
                }
            }
        }
    }

    /** {@code E[from..to] += L[below..end, from..to]^T E[below..end]}, in some columns. */
    private static void addRows(
            Operand outputs, Operand errors, int from, int to, int below, int end, int start, int width) {
        if (below < end) {
            Blas.gemm(
                    1,
                    outputs.block(below, from, end - below, to - from).transpose(),
                    errors.block(below, start, end - below, width),
                    1,
                    errors.block(from, start, to - from, width));
        }
    }

    private void put(MemorySegment numbers, long index, double value) {
        if (x.precision() == Precision.FLOAT32) {
            numbers.set(FLOAT, 4 * index, (float) value);
        } else {
            numbers.set(DOUBLE, 8 * index, value);
        }
    }

    /**
     * L of the block LDL decomposition of a Hessian, padded to a multiple of 8 by a diagonal block.
     *
     * @throws NotPositiveDefiniteException where it has no Cholesky factor in its precision
     */
    static Matrix factor(Matrix h, Arena arena) {
        int padded = Math.ceilDiv(h.rows(), BLOCK) * BLOCK;
        Matrix factor = padded == h.rows() ? h.copy(arena) : pad(h, padded, padded, meanDiagonal(h), arena);
        BlockLdl.factor(factor, arena);
        return factor;
    }

    /**
     * Eight columns of a group, made dense: numbers of {@code size} bytes, moved eight bytes at a time. Small methods of their
     * own: C2 compiles them well, loops in a long one not.
     */
    private static void gather(MemorySegment base, long size, int local, int rows, MemorySegment target) {
        long bytes = size * BLOCK;
        for (int i = 0; i < rows; i++) {
            long from = size * ((long) i * GROUP + local);
            long to = bytes * i;
            for (long j = 0; j < bytes; j += 8) {
                target.set(LONG, to + j, base.get(LONG, from + j));
            }
        }
    }

    /** {@code E[:,k] <- X[:,k] - points}, and by how much that changed E. */
    private static void settleFloats(
            MemorySegment x,
            MemorySegment e,
            int n,
            int k,
            MemorySegment points,
            MemorySegment change,
            int local,
            int rows) {
        for (int i = 0; i < rows; i++) {
            long at = 4 * ((long) i * n + k);
            long point = 32L * i;
            long moved = 4 * ((long) i * GROUP + local);
            for (int j = 0; j < 4 * BLOCK; j += 4) {
                float now = x.get(FLOAT, at + j) - points.get(FLOAT, point + j);
                change.set(FLOAT, moved + j, now - e.get(FLOAT, at + j));
                e.set(FLOAT, at + j, now);
            }
        }
    }

    /** {@link #settleFloats} in float64. */
    private static void settleDoubles(
            MemorySegment x,
            MemorySegment e,
            int n,
            int k,
            MemorySegment points,
            MemorySegment change,
            int local,
            int rows) {
        for (int i = 0; i < rows; i++) {
            long at = 8 * ((long) i * n + k);
            long point = 64L * i;
            long moved = 8 * ((long) i * GROUP + local);
            for (int j = 0; j < 8 * BLOCK; j += 8) {
                double now = x.get(DOUBLE, at + j) - points.get(DOUBLE, point + j);
                change.set(DOUBLE, moved + j, now - e.get(DOUBLE, at + j));
                e.set(DOUBLE, at + j, now);
            }
        }
    }

    /** Overwrites {@code matrix} with {@code H[:,k] H[k,k]^-1} for every block k, zero in the diagonal blocks. */
    private static void greedyMatrix(ThreadTeam team, Matrix h, Matrix matrix) {
        int n = h.cols();
        matrix.data().copyFrom(h.data());
        team.run(n / BLOCK, b -> {
            int k = b * BLOCK;
            try (Arena arena = Arena.ofConfined()) {
                Matrix factor = h.precision().allocate(arena, BLOCK, BLOCK);
                for (int i = 0; i < BLOCK; i++) {
                    for (int j = 0; j < BLOCK; j++) {
                        factor.put(i, j, h.at(k + i, k + j));
                    }
                }
                Operand lower = Operand.of(factor);
                if (Blas.cholesky(lower) != 0) {
                    throw new NotPositiveDefiniteException("the diagonal block of the Hessian at input " + k + " of "
                            + n + " is not positive definite in " + h.precision());
                }
                Operand columns = Operand.of(matrix).block(0, k, n, BLOCK);
                Blas.solveRight(lower.transpose(), columns);
                Blas.solveRight(lower, columns);
                for (int i = 0; i < BLOCK; i++) {
                    for (int j = 0; j < BLOCK; j++) {
                        matrix.put(k + i, k + j, 0);
                    }
                }
            }
        });
    }

    private static Matrix pad(Matrix a, int rows, int cols, double diagonal, Arena arena) {
        Matrix p = a.precision().allocate(arena, rows, cols);
        for (int i = 0; i < a.rows(); i++) {
            MemorySegment row = a.row(i);
            p.row(i).asSlice(0, row.byteSize()).copyFrom(row);
        }
        for (int i = a.rows(); i < rows; i++) {
            p.put(i, i, diagonal);
        }
        return p;
    }

    private static double meanDiagonal(Matrix h) {
        double sum = 0;
        for (int i = 0; i < h.rows(); i++) {
            sum += h.at(i, i);
        }
        return sum / h.rows();
    }
}
