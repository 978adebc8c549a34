package dev.gosset.core.rounding;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
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
     * Replaces H by L, in place and in its precision.
     *
     * @param h n x n, n a multiple of 8, its lower triangle is read; becomes L whole: zeros above the block diagonal
     * @param arena owns the result
     * @return D: n x 8, block i in rows 8 i .. 8 i + 7, of the precision of H
     * @throws NotPositiveDefiniteException where H has no Cholesky factor in the precision or holds NaN; {@code h} is lost
     */
    public static Matrix factor(Matrix h, Arena arena) {
        int n = h.rows();
        if (n != h.cols() || n % BLOCK != 0) {
            throw new IllegalArgumentException(
                    "block LDL needs a square matrix of a multiple of " + BLOCK + ", found " + n + " x " + h.cols());
        }
        Operand c = Operand.of(h);
        checkFactor(n, Blas.cholesky(c), h.precision());
        for (int i = 0; i < n; i++) {
            checkPivot(n, i, h.at(i, i), h.precision());
        }
        Matrix d = h.precision().allocate(arena, n, BLOCK);
        for (int k = 0; k < n; k += BLOCK) {
            for (int i = 0; i < BLOCK; i++) {
                for (int j = 0; j < BLOCK; j++) {
                    double sum = 0;
                    for (int l = 0; l <= Math.min(i, j); l++) {
                        sum += h.at(k + i, k + l) * h.at(k + j, k + l);
                    }
                    d.put(k + i, j, sum);
                }
            }
            int below = n - k - BLOCK;
            if (below > 0) {
                Blas.solveRight(c.block(k, k, BLOCK, BLOCK), c.block(k + BLOCK, k, below, BLOCK));
            }
            for (int i = k; i < k + BLOCK; i++) {
                h.row(i).asSlice((long) h.precision().bytes() * k).fill((byte) 0);
                h.put(i, i, 1);
            }
        }
        return d;
    }

    private static void checkFactor(int n, int info, Precision precision) {
        if (info != 0) {
            throw new NotPositiveDefiniteException("the Hessian of " + n
                    + " inputs is not positive definite: Cholesky in " + precision + " stopped at row " + (info - 1)
                    + "; a larger sigma on its diagonal helps");
        }
    }

    private static void checkPivot(int n, int row, double pivot, Precision precision) {
        if (!(pivot > 0 && pivot < Double.POSITIVE_INFINITY)) {
            throw new NotPositiveDefiniteException("the Hessian of " + n
                    + " inputs is not positive definite: Cholesky in " + precision + " gave the pivot " + pivot
                    + " in row " + row);
        }
    }
}
