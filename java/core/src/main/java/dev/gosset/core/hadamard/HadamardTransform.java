package dev.gosset.core.hadamard;

/**
 * The orthogonal matrix {@code U_n = (H_K (x) S_{n/K}) / sqrt(n)} for one n, S the Sylvester matrix in natural order; see
 * spec/quip-sharp.md, sections 1.1 to 1.3. Immutable, thread-safe; obtained by {@link #of(int)}, which caches.
 */
public final class HadamardTransform {
    private final int n;

    private HadamardTransform(int n) {
        this.n = n;
    }

    /** The transform of length n, for every n from 1 on. */
    public static HadamardTransform of(int n) {
        if (n < 1) {
            throw new IllegalArgumentException("a transform needs n >= 1, found " + n);
        }
        return new HadamardTransform(n);
    }

    public int n() {
        return n;
    }

    /** The order K of the small matrix; n / K is a power of two. */
    public int k() {
        throw new UnsupportedOperationException("being written");
    }

    /**
     * Scalar oracle, float64, in place: {@code x <- U x}, or {@code U^T x} where {@code transpose}.
     */
    public void apply(double[] x, int offset, boolean transpose) {
        throw new UnsupportedOperationException("being written");
    }
}
