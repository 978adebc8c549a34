package dev.gosset.core.rounding;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The quadratic form {@code tr(E H E^T)} that rounding minimizes, for E the error of the weights; and the Frobenius norm.
 * All products and sums are float64, whatever the matrices. Results do not depend on the number of threads.
 *
 * <p>Source: spec/quip-sharp.md, sections 3 and 11.
 */
public final class ProxyLoss {
    private static final int ROWS = 128;
    private static final int COLS = 256;
    private static final int DEPTH = 1024;

    private ProxyLoss() {}

    /**
     * {@code tr(E H E^T)}; only the lower triangle of H is read, up to tiles on the diagonal.
     *
     * @param e m x n; accessible to the threads of the team
     * @param h n x n, symmetric, of the precision of E
     */
    public static double trace(ThreadTeam team, Matrix e, Matrix h) {
        if (h.rows() != e.cols() || h.cols() != e.cols() || h.precision() != e.precision()) {
            throw new IllegalArgumentException("E is " + e.rows() + " x " + e.cols() + " " + e.precision()
                    + " and H is " + h.rows() + " x " + h.cols() + " " + h.precision());
        }
        return trace(team, e.data(), h.data(), e.precision().bytes(), e.rows(), e.cols());
    }

    /** {@code |E|_F^2}, summed in float64 row by row. */
    public static double squaredNorm(Matrix e) {
        double sum = 0;
        for (int i = 0; i < e.rows(); i++) {
            double rowSum = 0;
            for (int j = 0; j < e.cols(); j++) {
                double v = e.at(i, j);
                rowSum += v * v;
            }
            sum += rowSum;
        }
        return sum;
    }

    /**
     * A task is a tile of rows of E and a panel J of columns of H: {@code sum E[:,J] * (E[:,J] H[J,J] + 2 E[:,>J]
     * H[>J,J])}. The partial sums are added in the order of the tasks.
     */
    private static double trace(ThreadTeam team, MemorySegment e, MemorySegment h, int size, int m, int n) {
        int across = Math.ceilDiv(n, COLS);
        double[] partial = new double[Math.multiplyExact(Math.ceilDiv(m, ROWS), across)];
        team.run(partial.length, t -> {
            int row = t / across * ROWS;
            int col = t % across * COLS;
            int rows = Math.min(ROWS, m - row);
            int cols = Math.min(COLS, n - col);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment left = arena.allocate(8L * ROWS * DEPTH, 64);
                MemorySegment right = arena.allocate(8L * DEPTH * COLS, 64);
                MemorySegment product = arena.allocate(8L * ROWS * COLS, 64);
                for (int from = col; from < n; ) {
                    // The panel's own rows first, then the rows below, which stand for both triangles.
                    int depth = from == col ? cols : Math.min(DEPTH, n - from);
                    widen(e, size, n, row, from, rows, depth, left);
                    widen(h, size, n, from, col, depth, cols, right);
                    double alpha = from == col ? 1 : 2;
                    double beta = from == col ? 0 : 1;
                    Blas.gemm(
                            alpha,
                            doubles(left, rows, depth),
                            doubles(right, depth, cols),
                            beta,
                            doubles(product, rows, cols));
                    from += depth;
                }
                widen(e, size, n, row, col, rows, cols, left);
                double sum = 0;
                for (long i = 0; i < (long) rows * cols; i++) {
                    sum += left.getAtIndex(ValueLayout.JAVA_DOUBLE, i) * product.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
                }
                partial[t] = sum;
            }
        });
        double sum = 0;
        for (double p : partial) {
            sum += p;
        }
        return sum;
    }

    private static Operand doubles(MemorySegment data, int rows, int cols) {
        return new Operand(Precision.FLOAT64, data, rows, cols, cols, false);
    }

    /** Copies the block at (row, col) of a matrix of n columns to a dense float64 block. */
    private static void widen(
            MemorySegment from, int size, int n, int row, int col, int rows, int cols, MemorySegment to) {
        for (int i = 0; i < rows; i++) {
            long source = (long) (row + i) * n + col;
            long target = (long) i * cols;
            if (size == 4) {
                for (int j = 0; j < cols; j++) {
                    to.setAtIndex(
                            ValueLayout.JAVA_DOUBLE,
                            target + j,
                            from.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, source + j));
                }
            } else {
                MemorySegment.copy(from, 8 * source, to, 8 * target, 8L * cols);
            }
        }
    }
}
