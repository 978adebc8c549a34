package dev.gosset.core.rounding;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Sums {@code S = sum x x^T} and {@code t = sum x} over the activations x of calibration, in native memory.
 *
 * <p>Every product and every sum is float64: activations are widened once per chunk of tokens and multiplied by {@code
 * dgemm}, so S is exact to about 1e-16 of {@code sum |x_i x_j|}. Only the lower triangle (of tiles) is computed. Float32
 * products of chunks, added in float64, take half the time; they were measured to be off by 1.8e-7 of {@code sqrt(S_ii
 * S_jj)}, whatever the chunk, and since cov is what remains of S when the mean is taken away, an input whose mean is 40
 * times its deviation would keep 3 digits of its variance. Language models have such inputs: hence float64.
 *
 * <p>The result depends on the activations and on how they are divided among the calls of {@link #add}, in the last bits
 * of a float64, and not on the number of threads. Not synchronized: one thread at a time. Memory: 8 n^2 bytes, and
 * within {@link #add} a chunk of at most {@value #CHUNK} tokens in float64. Source: spec/quip-sharp.md, section 2.
 */
public final class HessianAccumulator {
    /** Tokens that are widened at a time. */
    static final int CHUNK = 1024;

    private static final int TILE = 256;

    private final int n;
    private final DoubleMatrix sum;
    private final double[] mean;
    private long tokens;

    /**
     * @param n the number of inputs
     * @param arena owns the sums; shared unless every team used has one thread
     */
    public HessianAccumulator(int n, Arena arena) {
        if (n < 1) {
            throw new IllegalArgumentException("a Hessian needs at least 1 input, found " + n);
        }
        this.n = n;
        this.sum = DoubleMatrix.allocate(arena, n, n);
        this.mean = new double[n];
    }

    /** The number of inputs. */
    public int n() {
        return n;
    }

    /** How many activations were added. */
    public long tokens() {
        return tokens;
    }

    /**
     * Adds activations.
     *
     * @param x tokens x n; accessible to the threads of the team
     */
    public void add(ThreadTeam team, FloatMatrix x) {
        if (x.cols() != n) {
            throw new IllegalArgumentException("activations have " + x.cols() + " columns, the Hessian has " + n);
        }
        int tiles = Math.ceilDiv(n, TILE);
        int pairs = tiles * (tiles + 1) / 2;
        try (Arena arena = Arena.ofShared()) {
            DoubleMatrix wide = DoubleMatrix.allocate(arena, Math.min(CHUNK, x.rows()), n);
            for (int from = 0; from < x.rows(); from += CHUNK) {
                int first = from;
                int rows = Math.min(CHUNK, x.rows() - from);
                team.run(Math.ceilDiv(rows, 64), t -> {
                    for (int i = 64 * t; i < Math.min(rows, 64 * t + 64); i++) {
                        widen(x.row(first + i), wide.row(i));
                    }
                });
                team.run(pairs, p -> addTile(wide, rows, p));
            }
        }
        tokens += x.rows();
    }

    private static void widen(MemorySegment from, MemorySegment to) {
        long n = from.byteSize() / 4;
        for (long j = 0; j < n; j++) {
            to.setAtIndex(ValueLayout.JAVA_DOUBLE, j, from.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, j));
        }
    }

    /** Tile p of the lower triangle, counted row by row; the tiles of the diagonal add the sums of their columns too. */
    private void addTile(DoubleMatrix wide, int rows, int p) {
        int i = (int) ((Math.sqrt(8.0 * p + 1) - 1) / 2);
        int j = p - i * (i + 1) / 2;
        int row = i * TILE;
        int col = j * TILE;
        int height = Math.min(TILE, n - row);
        int width = Math.min(TILE, n - col);
        Operand x = Operand.of(wide);
        Blas.gemm(
                1,
                x.block(0, row, rows, height).transpose(),
                x.block(0, col, rows, width),
                1,
                Operand.of(sum).block(row, col, height, width));
        if (i == j) {
            for (int r = 0; r < rows; r++) {
                for (int c = row; c < row + height; c++) {
                    mean[c] += wide.get(r, c);
                }
            }
        }
    }

    /**
     * The moments of all that was added: {@code mu = t / tokens}, {@code cov = S / tokens - mu mu^T}, evaluated in float64
     * and rounded to float32. The accumulator may be used further.
     *
     * @throws IllegalStateException where nothing was added
     * @throws dev.gosset.core.FormatException where an activation was not finite
     */
    public Hessian hessian(Arena arena) {
        return Hessian.ofSums(sum, mean, tokens, arena);
    }
}
