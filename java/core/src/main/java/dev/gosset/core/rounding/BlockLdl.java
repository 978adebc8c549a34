package dev.gosset.core.rounding;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import java.lang.foreign.Arena;

/**
 * The block LDL decomposition with blocks of g = 8: {@code H = L D L^T}, L lower triangular with identity blocks on its
 * diagonal, D block diagonal.
 *
 * <p>From the Cholesky factor C with diagonal blocks B_i: {@code L[:, i] = C[:, i] B_i^-1}, {@code D_i = B_i B_i^T}.
 * Deterministic. Source: spec/quip-sharp.md, section 3, step 1.
 */
public final class BlockLdl {
    /** The block size: the dimension of the codebooks. */
    public static final int BLOCK = 8;

    private BlockLdl() {}

    /**
     * Replaces H by L, in place and in float32.
     *
     * @param h n x n, n a multiple of 8, its lower triangle is read; becomes L whole: zeros above the block diagonal
     * @param arena owns the result
     * @return D: n x 8, block i in rows 8 i .. 8 i + 7
     * @throws NotPositiveDefiniteException where H has no Cholesky factor in float32 or holds NaN; {@code h} is lost
     */
    public static FloatMatrix factor(FloatMatrix h, Arena arena) {
        int n = checkShape(h.rows(), h.cols());
        int info = Blas.spotrf(n, h.data(), n);
        checkFactor(n, info, "float32");
        for (int i = 0; i < n; i++) {
            checkPivot(n, i, h.get(i, i), "float32");
        }
        FloatMatrix d = FloatMatrix.allocate(arena, n, BLOCK);
        for (int k = 0; k < n; k += BLOCK) {
            long at = (long) k * n + k;
            for (int i = 0; i < BLOCK; i++) {
                for (int j = 0; j < BLOCK; j++) {
                    double sum = 0;
                    for (int l = 0; l <= Math.min(i, j); l++) {
                        sum += (double) h.get(k + i, k + l) * h.get(k + j, k + l);
                    }
                    d.set(k + i, j, (float) sum);
                }
            }
            int below = n - k - BLOCK;
            if (below > 0) {
                Blas.strsm(
                        Blas.Side.RIGHT,
                        Blas.Triangle.LOWER,
                        false,
                        false,
                        below,
                        BLOCK,
                        1,
                        h.data().asSlice(4 * at),
                        n,
                        h.data().asSlice(4 * (at + (long) BLOCK * n)),
                        n);
            }
            for (int i = k; i < k + BLOCK; i++) {
                h.data().asSlice(4 * ((long) i * n + k), 4L * (n - k)).fill((byte) 0);
                h.set(i, i, 1);
            }
        }
        return d;
    }

    /** {@link #factor(FloatMatrix, Arena)} in float64. */
    public static DoubleMatrix factor(DoubleMatrix h, Arena arena) {
        int n = checkShape(h.rows(), h.cols());
        int info = Blas.dpotrf(n, h.data(), n);
        checkFactor(n, info, "float64");
        for (int i = 0; i < n; i++) {
            checkPivot(n, i, h.get(i, i), "float64");
        }
        DoubleMatrix d = DoubleMatrix.allocate(arena, n, BLOCK);
        for (int k = 0; k < n; k += BLOCK) {
            long at = (long) k * n + k;
            for (int i = 0; i < BLOCK; i++) {
                for (int j = 0; j < BLOCK; j++) {
                    double sum = 0;
                    for (int l = 0; l <= Math.min(i, j); l++) {
                        sum += h.get(k + i, k + l) * h.get(k + j, k + l);
                    }
                    d.set(k + i, j, sum);
                }
            }
            int below = n - k - BLOCK;
            if (below > 0) {
                Blas.dtrsm(
                        Blas.Side.RIGHT,
                        Blas.Triangle.LOWER,
                        false,
                        false,
                        below,
                        BLOCK,
                        1,
                        h.data().asSlice(8 * at),
                        n,
                        h.data().asSlice(8 * (at + (long) BLOCK * n)),
                        n);
            }
            for (int i = k; i < k + BLOCK; i++) {
                h.data().asSlice(8 * ((long) i * n + k), 8L * (n - k)).fill((byte) 0);
                h.set(i, i, 1);
            }
        }
        return d;
    }

    private static int checkShape(int rows, int cols) {
        if (rows != cols || rows % BLOCK != 0) {
            throw new IllegalArgumentException(
                    "block LDL needs a square matrix of a multiple of " + BLOCK + ", found " + rows + " x " + cols);
        }
        return rows;
    }

    private static void checkFactor(int n, int info, String precision) {
        if (info != 0) {
            throw new NotPositiveDefiniteException("the Hessian of " + n
                    + " inputs is not positive definite: Cholesky in " + precision + " stopped at row " + (info - 1)
                    + "; a larger sigma on its diagonal helps");
        }
    }

    private static void checkPivot(int n, int row, double pivot, String precision) {
        if (!(pivot > 0 && pivot < Double.POSITIVE_INFINITY)) {
            throw new NotPositiveDefiniteException("the Hessian of " + n
                    + " inputs is not positive definite: Cholesky in " + precision + " gave the pivot " + pivot
                    + " in row " + row);
        }
    }
}
