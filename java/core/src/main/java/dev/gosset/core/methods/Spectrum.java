package dev.gosset.core.methods;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.ProxyLoss;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * What QuIP's theory says of a pair of weights and Hessian before they are rounded. Source: spec/quip-methods.md, section 5.
 *
 * @param traceH tr H
 * @param traceD tr D of {@code H = L D L^T} with the last column visited first, as LDLQ does
 * @param traceDFirst the same with the first column first, as OPTQ does
 * @param traceRoot {@code tr(H^1/2)^2}
 * @param muH incoherence of H: {@code sqrt(n)} times the largest entry of an eigenvector; 1 to sqrt(n)
 * @param muW incoherence of W: {@code sqrt(m n) max |W| / |W|_F}; 1 to sqrt(m n)
 * @param rank share of eigenvalues above the working precision
 * @param rank01 share of eigenvalues above a hundredth of the largest
 * @param eigenvalues in falling order
 */
public record Spectrum(
        double traceH,
        double traceD,
        double traceDFirst,
        double traceRoot,
        double muH,
        double muW,
        double rank,
        double rank01,
        double[] eigenvalues) {
    /**
     * Of processed weights and Hessian.
     *
     * @throws dev.gosset.core.rounding.NotPositiveDefiniteException where H has no Cholesky factor
     */
    public static Spectrum of(DoubleMatrix w, DoubleMatrix h) {
        int n = h.rows();
        try (Arena arena = Arena.ofConfined()) {
            DoubleMatrix vectors = h.copy(arena);
            double[] values = Blas.symmetricEigen(Operand.of(vectors));
            double squares = ProxyLoss.squaredNorm(w);
            double[] falling =
                    IntStream.range(0, n).mapToDouble(i -> values[n - 1 - i]).toArray();
            double roots =
                    Arrays.stream(falling).map(v -> Math.sqrt(Math.max(v, 0))).sum();
            return new Spectrum(
                    Processing.trace(h),
                    traceD(h, false, arena),
                    traceD(h, true, arena),
                    roots * roots,
                    Math.sqrt(n) * largest(vectors),
                    squares == 0 ? 0 : Math.sqrt((double) w.rows() * n) * largest(w) / Math.sqrt(squares),
                    share(falling, n * Math.ulp(1.0)),
                    share(falling, 0.01),
                    falling);
        }
    }

    /**
     * The incoherence that draws of a processing's transforms give: those with seeds 0, 1, ... and the name of a linear.
     *
     * @param w m x n; left alone
     * @param h n x n, not damped; left alone; both accessible to the threads of the team
     * @return mu of H and mu of W for each seed
     */
    public static double[][] draws(
            Processing processing, String name, int count, ThreadTeam team, DoubleMatrix w, DoubleMatrix h) {
        double[][] mu = new double[2][count];
        try (Arena arena = Arena.ofShared()) {
            DoubleMatrix wr = w.copy(arena);
            DoubleMatrix vectors = h.copy(arena);
            new Processing(processing.rescale(), OrthogonalTransform.Kind.NONE).apply(0, name, team, wr, vectors);
            Blas.symmetricEigen(Operand.of(vectors));
            double length = Math.sqrt(ProxyLoss.squaredNorm(wr) / ((double) w.rows() * w.cols()));
            for (int seed = 0; seed < count; seed++) {
                try (Arena work = Arena.ofShared()) {
                    // Eigenvectors are rows here, and turn as the rows of W do.
                    DoubleMatrix q = vectors.copy(work);
                    DoubleMatrix turned = wr.copy(work);
                    processing.turn(seed, name, team, turned, q);
                    mu[0][seed] = Math.sqrt(h.rows()) * largest(q);
                    mu[1][seed] = length == 0 ? 0 : largest(turned) / length;
                }
            }
        }
        return mu;
    }

    private static double largest(DoubleMatrix a) {
        double largest = 0;
        for (int i = 0; i < a.rows(); i++) {
            for (int j = 0; j < a.cols(); j++) {
                largest = Math.max(largest, Math.abs(a.get(i, j)));
            }
        }
        return largest;
    }

    /** What mu of H exceeds with probability delta at most behind the Hadamard transform. Source: spec/quip-methods.md, section 5.4. */
    public static double boundH(int n, double delta) {
        return Math.sqrt(2 * Math.log(2.0 * n * n / delta));
    }

    /** The same of W. */
    public static double boundW(int m, int n, double delta) {
        return 2 * Math.log(4.0 * m * n / delta);
    }

    private static double traceD(DoubleMatrix h, boolean firstFirst, Arena arena) {
        int n = h.rows();
        double[] d = new double[n];
        ScalarRounding.ldl(
                h, IntStream.range(0, n).map(i -> firstFirst ? n - 1 - i : i).toArray(), d, arena);
        return Arrays.stream(d).sum();
    }

    private static double share(double[] falling, double part) {
        return (double) Arrays.stream(falling)
                        .filter(v -> v > part * falling[0])
                        .count()
                / falling.length;
    }

    /** The bound on tr D by incoherence: {@code mu^2 / n tr(H^1/2)^2}. */
    public double bound() {
        return muH * muH / eigenvalues.length * traceRoot;
    }

    /**
     * The proxy loss that LDLQ has in the mean over weights on a grid without ends.
     *
     * @param levels the grid
     * @param rows of the matrix
     */
    public double predictedLdlq(Grid.Levels levels, int rows) {
        return squaredSteps(levels, rows) * traceD / 12;
    }

    /** The same of nearest rounding. */
    public double predictedNearest(Grid.Levels levels, int rows) {
        return squaredSteps(levels, rows) * traceH / 12;
    }

    private static double squaredSteps(Grid.Levels levels, int rows) {
        double sum = Arrays.stream(levels.step()).map(s -> s * s).sum();
        return levels.step().length == 1 ? rows * sum : sum;
    }
}
