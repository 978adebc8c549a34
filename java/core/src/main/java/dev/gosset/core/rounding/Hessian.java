package dev.gosset.core.rounding;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * The second moments of the inputs x of a linear, as calibration has seen them: {@code mu = E x} and the centred {@code
 * cov = E x x^T - mu mu^T}. What rounding minimizes is the quadratic form of {@code H = cov + mu mu^T = E x x^T}. Source:
 * spec/quip-sharp.md, section 2.
 *
 * <p>An immutable view of native memory: whoever allocated it closes it. Thread-safe where the arena is.
 *
 * @param n the number of inputs
 * @param lowerTriangle cov as n (n + 1) / 2 float32, row by row: (0,0), (1,0), (1,1), (2,0), ...; the published file form
 * @param mu n float32
 * @param tokens how many vectors x were seen; 0 where the moments are those of others, see {@link #filledUp}
 */
public record Hessian(int n, MemorySegment lowerTriangle, MemorySegment mu, long tokens) {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** What is added to the diagonal, relative to its mean, unless told otherwise. */
    public static final double DEFAULT_SIGMA = 0.01;

    public Hessian {
        if (n < 1 || tokens < 0 || lowerTriangle.byteSize() != 4 * triangle(n) || mu.byteSize() != 4L * n) {
            throw new IllegalArgumentException("a Hessian of " + n + " inputs from " + tokens + " tokens needs "
                    + 4 * triangle(Math.max(0, n)) + " bytes of lower triangle and " + 4L * n + " of mean, found "
                    + lowerTriangle.byteSize() + " and " + mu.byteSize());
        }
    }

    /** Elements of the lower triangle of an n x n matrix, the diagonal included; also the index where row n starts. */
    public static long triangle(int n) {
        return n * (n + 1L) / 2;
    }

    /**
     * The moments of sums over activations x: {@code mu = t / tokens}, {@code cov = S / tokens - mu mu^T}, evaluated in
     * float64 and rounded to float32.
     *
     * @param sums {@code S = sum x x^T}, n x n, of which the lower triangle is read
     * @param columns {@code t = sum x}, n
     * @param arena owns the result
     * @throws IllegalStateException where tokens is 0
     * @throws FormatException where a sum is not finite
     */
    public static Hessian ofSums(DoubleMatrix sums, double[] columns, long tokens, Arena arena) {
        int n = columns.length;
        if (tokens == 0) {
            throw new IllegalStateException("a Hessian of " + n + " inputs needs activations, none were added");
        }
        MemorySegment lower = arena.allocate(4 * triangle(n), 64);
        MemorySegment mu = arena.allocate(4L * n, 64);
        long at = 0;
        for (int i = 0; i < n; i++) {
            double muI = columns[i] / tokens;
            if (!Double.isFinite(sums.get(i, i)) || !Double.isFinite(muI)) {
                throw new FormatException("the activations of input " + i + " of " + n
                        + " are not finite: their squares add up to " + sums.get(i, i));
            }
            mu.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) muI);
            for (int j = 0; j <= i; j++) {
                double cov = sums.get(i, j) / tokens - muI * (columns[j] / tokens);
                lower.setAtIndex(ValueLayout.JAVA_FLOAT, at++, (float) cov);
            }
        }
        return new Hessian(n, lower, mu, tokens);
    }

    /**
     * The moments of all that several Hessians of one size have seen.
     *
     * @param parts at least one that has seen something
     * @param arena owns the result
     */
    public static Hessian pooled(List<Hessian> parts, Arena arena) {
        int n = parts.getFirst().n();
        long tokens = parts.stream().mapToLong(Hessian::tokens).sum();
        try (Arena temporary = Arena.ofConfined()) {
            DoubleMatrix sums = DoubleMatrix.allocate(temporary, n, n);
            double[] columns = new double[n];
            for (Hessian part : parts) {
                part.addTo(sums, columns, part.tokens());
            }
            return ofSums(sums, columns, tokens, arena);
        }
    }

    /** {@code S += tokens H}, in the lower triangle, and {@code t += tokens mu}. */
    private void addTo(DoubleMatrix sums, double[] columns, double tokens) {
        long at = 0;
        for (int i = 0; i < n; i++) {
            double muI = mu.getAtIndex(FLOAT, i);
            columns[i] += tokens * muI;
            for (int j = 0; j <= i; j++) {
                double moment = lowerTriangle.getAtIndex(FLOAT, at++) + muI * mu.getAtIndex(FLOAT, j);
                sums.set(i, j, sums.get(i, j) + tokens * moment);
            }
        }
    }

    /**
     * The moments of this as if it had seen {@code wanted} vectors, those that are missing with the moments of {@code others}.
     *
     * @param own null where nothing was seen
     * @param wanted more than were seen
     * @param arena owns the result, which says how many really were
     */
    public static Hessian filledUp(Hessian own, Hessian others, long wanted, Arena arena) {
        long seen = own == null ? 0 : own.tokens();
        int n = others.n();
        try (Arena temporary = Arena.ofConfined()) {
            DoubleMatrix sums = DoubleMatrix.allocate(temporary, n, n);
            double[] columns = new double[n];
            if (own != null) {
                own.addTo(sums, columns, seen);
            }
            others.addTo(sums, columns, (double) wanted - seen);
            Hessian filled = ofSums(sums, columns, wanted, arena);
            return new Hessian(n, filled.lowerTriangle(), filled.mu(), seen);
        }
    }

    /** Moments of inputs that know nothing of each other and are all as large as those of this are in the mean. */
    public Hessian isotropic(Arena arena) {
        MemorySegment lower = arena.allocate(4 * triangle(n), 64);
        float mean = (float) (trace("Hessian") / n);
        for (int i = 0; i < n; i++) {
            lower.setAtIndex(ValueLayout.JAVA_FLOAT, triangle(i) + i, mean);
        }
        return new Hessian(n, lower, arena.allocate(4L * n, 64), tokens);
    }

    /** Element (i, j) of the centred covariance, from whichever triangle. */
    public float cov(int i, int j) {
        return lowerTriangle.getAtIndex(FLOAT, triangle(Math.max(i, j)) + Math.min(i, j));
    }

    /**
     * What rounding works with: {@code H / mean(diag H) + sigma I} with {@code H = cov + mu mu^T}, n x n, full; the
     * identity where H is all zero. Evaluated in float64 and rounded once.
     *
     * @throws FormatException where a diagonal element is not a finite number of at least 0
     */
    public Matrix regularized(double sigma, Precision precision, Arena arena) {
        Matrix h = precision.allocate(arena, n, n);
        double scale = scale();
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                double v = regularized(i, j, scale, sigma);
                h.put(i, j, v);
                h.put(j, i, v);
            }
        }
        return h;
    }

    private double regularized(int i, int j, double scale, double sigma) {
        if (scale == 0) {
            return i == j ? 1 : 0;
        }
        double moment = lowerTriangle.getAtIndex(FLOAT, triangle(i) + j)
                + (double) mu.getAtIndex(FLOAT, i) * mu.getAtIndex(FLOAT, j);
        return moment * scale + (i == j ? sigma : 0);
    }

    /**
     * This Hessian, or a {@link FormatException} where a diagonal element of H is not a finite number of at least 0.
     *
     * @param what the beginning of the message
     */
    public Hessian requireMoments(String what) {
        trace(what);
        return this;
    }

    /** 1 / mean(diag H), or 0 where H is all zero. */
    private double scale() {
        double trace = trace("Hessian");
        return trace > 0 ? n / trace : 0;
    }

    private double trace(String what) {
        double trace = 0;
        for (int i = 0; i < n; i++) {
            double m = mu.getAtIndex(FLOAT, i);
            double d = lowerTriangle.getAtIndex(FLOAT, triangle(i) + i) + m * m;
            // A little below zero is the rounding of an input that never varied.
            if (!Double.isFinite(d) || d < -1e-6 * m * m - Float.MIN_NORMAL) {
                throw new FormatException(what + " of " + n + " inputs: the second moment of input " + i + " is " + d
                        + ", expected a finite number of at least 0");
            }
            trace += d;
        }
        return trace;
    }
}
