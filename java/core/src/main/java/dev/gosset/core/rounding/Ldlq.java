package dev.gosset.core.rounding;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.EncodeKernel;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
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
 * <p>Rows do not interact, so a task is a tile of rows whose height depends on m alone and which runs through all columns
 * with a one-threaded BLAS: the codes do not depend on the number of threads.
 *
 * <p>n need not be a multiple of 8: X is padded by zero columns and H by a diagonal block of its mean diagonal. The
 * padded columns then decouple; their codes are stored and mean nothing.
 *
 * <p>Memory beside the arguments: one n x n matrix, and, where n is padded, copies of the arguments. Source:
 * spec/quip-sharp.md, section 3, and the QuIP# paper, section 4 and theorem 4.1.
 */
public final class Ldlq {
    /** Columns of a group. */
    private static final int GROUP = 128;

    private static final int BLOCK = BlockLdl.BLOCK;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;

    private Ldlq() {}

    /** Rows of a tile: enough of them that a product with M pays for reading M, and tiles enough for many threads. */
    private static int tileRows(int m) {
        return m >= 2048 ? 128 : m >= 512 ? 64 : 32;
    }

    /**
     * Rounds in float32.
     *
     * <p>All segments must be accessible to the threads of the team.
     *
     * @param x m x n, in units of the codebook; not changed
     * @param h n x n, symmetric positive definite; not changed
     * @param greedyPasses how many greedy passes follow the feedback pass, at least 0
     * @param codes receives the codes; m x n
     * @param error receives {@code X - Q}; m x n
     * @throws NotPositiveDefiniteException where H has no Cholesky factor in float32
     */
    public static void round(
            EncodeKernel kernel,
            ThreadTeam team,
            FloatMatrix x,
            FloatMatrix h,
            int greedyPasses,
            CodeMatrix codes,
            FloatMatrix error) {
        check(x.rows(), x.cols(), h.rows(), h.cols(), codes, error.rows(), error.cols(), greedyPasses);
        int m = x.rows();
        int n = x.cols();
        int padded = BLOCK * codes.groups();
        try (Arena arena = Arena.ofShared()) {
            FloatMatrix px = padded == n ? x : pad(x, m, padded, 0, arena);
            FloatMatrix ph = padded == n ? h : pad(h, padded, padded, meanDiagonal(h), arena);
            FloatMatrix e = padded == n ? error : FloatMatrix.allocate(arena, m, padded);
            e.data().fill((byte) 0);
            FloatMatrix matrix = ph.copy(arena);
            BlockLdl.factor(matrix, arena);
            Codebook codebook = codes.codebook();
            sweep(kernel, codebook, team, px, matrix, true, e, greedyPasses == 0 ? codes : null);
            if (greedyPasses > 0) {
                greedyMatrix(team, ph, matrix);
                for (int pass = 1; pass <= greedyPasses; pass++) {
                    sweep(kernel, codebook, team, px, matrix, false, e, pass == greedyPasses ? codes : null);
                }
            }
            if (padded != n) {
                for (int i = 0; i < m; i++) {
                    error.row(i).copyFrom(e.row(i).asSlice(0, 4L * n));
                }
            }
        }
    }

    /**
     * Rounds in float64, with the scalar oracle of {@code codes.codebook()} as the search; see {@link
     * #round(EncodeKernel, ThreadTeam, FloatMatrix, FloatMatrix, int, CodeMatrix, FloatMatrix)}.
     */
    public static void round(
            ThreadTeam team, DoubleMatrix x, DoubleMatrix h, int greedyPasses, CodeMatrix codes, DoubleMatrix error) {
        check(x.rows(), x.cols(), h.rows(), h.cols(), codes, error.rows(), error.cols(), greedyPasses);
        int m = x.rows();
        int n = x.cols();
        int padded = BLOCK * codes.groups();
        try (Arena arena = Arena.ofShared()) {
            DoubleMatrix px = padded == n ? x : pad(x, m, padded, 0, arena);
            DoubleMatrix ph = padded == n ? h : pad(h, padded, padded, meanDiagonal(h), arena);
            DoubleMatrix e = padded == n ? error : DoubleMatrix.allocate(arena, m, padded);
            e.data().fill((byte) 0);
            DoubleMatrix matrix = ph.copy(arena);
            BlockLdl.factor(matrix, arena);
            sweep(team, px, matrix, true, e, codes);
            if (greedyPasses > 0) {
                greedyMatrix(team, ph, matrix);
                for (int pass = 1; pass <= greedyPasses; pass++) {
                    sweep(team, px, matrix, false, e, codes);
                }
            }
            if (padded != n) {
                for (int i = 0; i < m; i++) {
                    error.row(i).copyFrom(e.row(i).asSlice(0, 8L * n));
                }
            }
        }
    }

    private static void check(
            int m, int n, int hRows, int hCols, CodeMatrix codes, int eRows, int eCols, int greedyPasses) {
        if (hRows != n || hCols != n || codes.rows() != m || codes.cols() != n || eRows != m || eCols != n) {
            throw new IllegalArgumentException("shapes do not agree: X is " + m + " x " + n + ", H is " + hRows + " x "
                    + hCols + ", the codes " + codes.rows() + " x " + codes.cols() + ", the error " + eRows + " x "
                    + eCols);
        }
        if (greedyPasses < 0) {
            throw new IllegalArgumentException("greedy passes must be at least 0, found " + greedyPasses);
        }
    }

    // ------------------------------------------------------------------------------------------------ float32

    /**
     * One pass. On entry {@code e} holds {@code X - Q} of the pass before, or zeros.
     *
     * @param feedback whether M is L, of which only the rows below a block are used
     * @param codes receives the codes, or null
     */
    private static void sweep(
            EncodeKernel kernel,
            Codebook codebook,
            ThreadTeam team,
            FloatMatrix x,
            FloatMatrix matrix,
            boolean feedback,
            FloatMatrix e,
            CodeMatrix codes) {
        int tile = tileRows(x.rows());
        team.run(Math.ceilDiv(x.rows(), tile), t -> {
            int from = t * tile;
            int to = Math.min(x.rows(), from + tile);
            sweepTile(kernel, codebook, x.rows(from, to), matrix, feedback, e.rows(from, to), codes, from);
        });
    }

    private static void sweepTile(
            EncodeKernel kernel,
            Codebook codebook,
            FloatMatrix x,
            FloatMatrix matrix,
            boolean feedback,
            FloatMatrix e,
            CodeMatrix codes,
            int firstRow) {
        int rows = x.rows();
        int n = x.cols();
        MemorySegment mx = matrix.data();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment base = arena.allocate(4L * rows * GROUP, 64);
            MemorySegment change = arena.allocate(4L * rows * GROUP, 64);
            MemorySegment target = arena.allocate(4L * rows * BLOCK, 64);
            MemorySegment points = arena.allocate(4L * rows * BLOCK, 64);
            MemorySegment found = arena.allocate(4L * rows, 64);
            for (int end = n; end > 0; ) {
                int start = (end - 1) / GROUP * GROUP;
                int width = end - start;
                for (int i = 0; i < rows; i++) {
                    MemorySegment.copy(x.data(), 4 * ((long) i * n + start), base, 4L * i * GROUP, 4L * width);
                }
                int above = feedback ? end : 0;
                if (above < n) {
                    Blas.sgemm(
                            false,
                            false,
                            rows,
                            width,
                            n - above,
                            1,
                            e.data().asSlice(4L * above),
                            n,
                            mx.asSlice(4 * ((long) above * n + start)),
                            n,
                            1,
                            base,
                            GROUP);
                }
                for (int k = end - BLOCK; k >= start; k -= BLOCK) {
                    int local = k - start;
                    int done = end - k - BLOCK;
                    gather(base, local, rows, target);
                    if (done > 0) {
                        Blas.sgemm(
                                false,
                                false,
                                rows,
                                BLOCK,
                                done,
                                1,
                                change.asSlice(4L * (local + BLOCK)),
                                GROUP,
                                mx.asSlice(4 * ((long) (k + BLOCK) * n + k)),
                                n,
                                1,
                                target,
                                BLOCK);
                    }
                    kernel.nearest(codebook, target, rows, points, found);
                    settle(x.data(), e.data(), n, k, points, change, local, rows);
                    if (codes != null) {
                        for (int i = 0; i < rows; i++) {
                            codes.setCode(firstRow + i, k / BLOCK, found.getAtIndex(ValueLayout.JAVA_INT, i));
                        }
                    }
                }
                end = start;
            }
        }
    }

    /** Eight columns of a group, made dense. Small methods of their own: C2 compiles them well, loops in a long one not. */
    private static void gather(MemorySegment base, int local, int rows, MemorySegment target) {
        for (int i = 0; i < rows; i++) {
            long from = 4 * ((long) i * GROUP + local);
            long to = 32L * i;
            for (int j = 0; j < 4 * BLOCK; j += 4) {
                target.set(FLOAT, to + j, base.get(FLOAT, from + j));
            }
        }
    }

    /** {@code E[:,k] <- X[:,k] - points}, and by how much that changed E. */
    private static void settle(
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

    /** Overwrites {@code matrix} with {@code H[:,k] H[k,k]^-1} for every block k, zero in the diagonal blocks. */
    private static void greedyMatrix(ThreadTeam team, FloatMatrix h, FloatMatrix matrix) {
        int n = h.cols();
        matrix.data().copyFrom(h.data());
        team.run(n / BLOCK, b -> {
            int k = b * BLOCK;
            long diagonal = (long) k * n + k;
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment factor = arena.allocate(4L * BLOCK * BLOCK, 64);
                for (int i = 0; i < BLOCK; i++) {
                    MemorySegment.copy(h.data(), 4 * (diagonal + (long) i * n), factor, 4L * BLOCK * i, 4L * BLOCK);
                }
                if (Blas.spotrf(BLOCK, factor, BLOCK) != 0) {
                    throw new NotPositiveDefiniteException("the diagonal block of the Hessian at input " + k + " of "
                            + n + " is not positive definite in float32");
                }
                MemorySegment columns = matrix.data().asSlice(4L * k);
                for (int transpose = 1; transpose >= 0; transpose--) {
                    Blas.strsm(
                            Blas.Side.RIGHT,
                            Blas.Triangle.LOWER,
                            transpose == 1,
                            false,
                            n,
                            BLOCK,
                            1,
                            factor,
                            BLOCK,
                            columns,
                            n);
                }
                for (int i = 0; i < BLOCK; i++) {
                    matrix.data()
                            .asSlice(4 * (diagonal + (long) i * n), 4L * BLOCK)
                            .fill((byte) 0);
                }
            }
        });
    }

    private static FloatMatrix pad(FloatMatrix a, int rows, int cols, double diagonal, Arena arena) {
        FloatMatrix p = FloatMatrix.allocate(arena, rows, cols);
        for (int i = 0; i < a.rows(); i++) {
            MemorySegment.copy(a.data(), 4L * i * a.cols(), p.data(), 4L * i * cols, 4L * a.cols());
        }
        for (int i = a.rows(); i < rows; i++) {
            p.set(i, i, (float) diagonal);
        }
        return p;
    }

    private static double meanDiagonal(FloatMatrix h) {
        double sum = 0;
        for (int i = 0; i < h.rows(); i++) {
            sum += h.get(i, i);
        }
        return sum / h.rows();
    }

    // ------------------------------------------------------------------------------------------------ float64

    private static void sweep(
            ThreadTeam team, DoubleMatrix x, DoubleMatrix matrix, boolean feedback, DoubleMatrix e, CodeMatrix codes) {
        int tile = tileRows(x.rows());
        team.run(Math.ceilDiv(x.rows(), tile), t -> {
            int from = t * tile;
            int to = Math.min(x.rows(), from + tile);
            sweepTile(x.rows(from, to), matrix, feedback, e.rows(from, to), codes, from);
        });
    }

    private static void sweepTile(
            DoubleMatrix x, DoubleMatrix matrix, boolean feedback, DoubleMatrix e, CodeMatrix codes, int firstRow) {
        Codebook codebook = codes.codebook();
        int rows = x.rows();
        int n = x.cols();
        MemorySegment mx = matrix.data();
        double[] target = new double[BLOCK];
        double[] point = new double[BLOCK];
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment base = arena.allocate(8L * rows * GROUP, 64);
            MemorySegment change = arena.allocate(8L * rows * GROUP, 64);
            for (int end = n; end > 0; ) {
                int start = (end - 1) / GROUP * GROUP;
                int width = end - start;
                for (int i = 0; i < rows; i++) {
                    MemorySegment.copy(x.data(), 8 * ((long) i * n + start), base, 8L * i * GROUP, 8L * width);
                }
                int above = feedback ? end : 0;
                if (above < n) {
                    Blas.dgemm(
                            false,
                            false,
                            rows,
                            width,
                            n - above,
                            1,
                            e.data().asSlice(8L * above),
                            n,
                            mx.asSlice(8 * ((long) above * n + start)),
                            n,
                            1,
                            base,
                            GROUP);
                }
                for (int k = end - BLOCK; k >= start; k -= BLOCK) {
                    int local = k - start;
                    int done = end - k - BLOCK;
                    if (done > 0) {
                        Blas.dgemm(
                                false,
                                false,
                                rows,
                                BLOCK,
                                done,
                                1,
                                change.asSlice(8L * (local + BLOCK)),
                                GROUP,
                                mx.asSlice(8 * ((long) (k + BLOCK) * n + k)),
                                n,
                                1,
                                base.asSlice(8L * local),
                                GROUP);
                    }
                    for (int i = 0; i < rows; i++) {
                        MemorySegment.copy(base, DOUBLE, 8 * ((long) i * GROUP + local), target, 0, BLOCK);
                        int code = codebook.nearest(target, 0);
                        codebook.decode(code, point, 0);
                        codes.setCode(firstRow + i, k / BLOCK, code);
                        for (int j = 0; j < BLOCK; j++) {
                            double now = x.get(i, k + j) - point[j];
                            change.setAtIndex(DOUBLE, (long) i * GROUP + local + j, now - e.get(i, k + j));
                            e.set(i, k + j, now);
                        }
                    }
                }
                end = start;
            }
        }
    }

    private static void greedyMatrix(ThreadTeam team, DoubleMatrix h, DoubleMatrix matrix) {
        int n = h.cols();
        matrix.data().copyFrom(h.data());
        team.run(n / BLOCK, b -> {
            int k = b * BLOCK;
            long diagonal = (long) k * n + k;
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment factor = arena.allocate(8L * BLOCK * BLOCK, 64);
                for (int i = 0; i < BLOCK; i++) {
                    MemorySegment.copy(h.data(), 8 * (diagonal + (long) i * n), factor, 8L * BLOCK * i, 8L * BLOCK);
                }
                if (Blas.dpotrf(BLOCK, factor, BLOCK) != 0) {
                    throw new NotPositiveDefiniteException("the diagonal block of the Hessian at input " + k + " of "
                            + n + " is not positive definite in float64");
                }
                MemorySegment columns = matrix.data().asSlice(8L * k);
                for (int transpose = 1; transpose >= 0; transpose--) {
                    Blas.dtrsm(
                            Blas.Side.RIGHT,
                            Blas.Triangle.LOWER,
                            transpose == 1,
                            false,
                            n,
                            BLOCK,
                            1,
                            factor,
                            BLOCK,
                            columns,
                            n);
                }
                for (int i = 0; i < BLOCK; i++) {
                    matrix.data()
                            .asSlice(8 * (diagonal + (long) i * n), 8L * BLOCK)
                            .fill((byte) 0);
                }
            }
        });
    }

    private static DoubleMatrix pad(DoubleMatrix a, int rows, int cols, double diagonal, Arena arena) {
        DoubleMatrix p = DoubleMatrix.allocate(arena, rows, cols);
        for (int i = 0; i < a.rows(); i++) {
            MemorySegment.copy(a.data(), 8L * i * a.cols(), p.data(), 8L * i * cols, 8L * a.cols());
        }
        for (int i = a.rows(); i < rows; i++) {
            p.set(i, i, diagonal);
        }
        return p;
    }

    private static double meanDiagonal(DoubleMatrix h) {
        double sum = 0;
        for (int i = 0; i < h.rows(); i++) {
            sum += h.get(i, i);
        }
        return sum / h.rows();
    }
}
