package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The orthogonal matrix {@code U_n = (M_K (x) S_{n/K}) / sqrt(n)} for one n: n/K a power of two, S the Sylvester matrix in
 * natural order, M_K a small matrix with {@code M M^T = K I}. Element {@code k * (n/K) + j} of a vector belongs to row k
 * of the small matrix and column j.
 *
 * <p>The small matrix is a Hadamard matrix (entries +-1) wherever the QuIP# format has one: n a power of two (K = 1), or
 * K = 4 o for the odd part o of n, with K in {12, 20, 28, 36, 52, 60, 108, 116, 124, 140, 156, 172} and K dividing n. See
 * spec/quip-sharp.md, sections 1.1 to 1.3. Most of these are not symmetric: U and its transpose differ.
 *
 * <p>For every other n, which the format refuses, M_o is the discrete Hartley matrix of the odd part, {@code M[i][j] =
 * cos(2 pi i j / o) + sin(2 pi i j / o)}: real, symmetric, {@code M M^T = o I}. It exists for odd n too, keeps the sign vectors
 * of +-1, and since |M[i][j]| is at most sqrt 2 every incoherence bound grows by a factor of at most sqrt 2.
 *
 * <p>The third kind is the Fourier transform of pairs that the QuIP# paper proposes where there is no Hadamard matrix (Algorithm 4,
 * section A.2), for even n: {@code U_n^T} is {@link FourierTransform}, K is 1, and there is no small matrix. The vectors that go with it
 * hold complex numbers in place of signs: see {@link #multiply}.
 *
 * <p>Immutable, thread-safe.
 */
public final class HadamardTransform {
    /** The largest K whose small matrix is kept as K x K numbers; beyond, only the entries and the products exist. */
    public static final int MAX_STORED_K = 2048;

    private static final int CACHED = 16;
    private static final Map<Key, HadamardTransform> CACHE = new LinkedHashMap<>(CACHED, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, HadamardTransform> eldest) {
            return size() > CACHED;
        }
    };

    private record Key(int n, Kind kind) {}

    /** Which family the transform is of. */
    public enum Kind {
        /** Entries +-1, as in the QuIP# format; K = 1 or a multiple of 4. */
        HADAMARD,
        /** Entries cos + sin, at most sqrt 2 in size, symmetric; K the odd part of n. Our own extension of the format. */
        HARTLEY,
        /** The Fourier transform of pairs. */
        FOURIER
    }

    private final int n;
    private final int k;
    private final Kind kind;
    /** HADAMARD: the K x K signs. */
    private final byte[] signs;
    /** HARTLEY, stored: cas(2 pi i / K) for i below K; entry (i, j) is element i j mod K. */
    private final double[] cas;

    private volatile MemorySegment matrix;
    /** HADAMARD: {@link #signedSums} of M and of its transpose. */
    private final MemorySegment[] sums = new MemorySegment[2];

    /** HADAMARD: {@link #unitSums} of M and of its transpose. */
    private final MemorySegment[] units = new MemorySegment[2];

    private volatile HartleyChirp chirp;
    /** FOURIER: itself. */
    private final FourierTransform fourier;

    private final boolean planned;
    private volatile FourierPlan plan;

    private HadamardTransform(Key key) {
        n = key.n;
        kind = key.kind;
        k = kind == Kind.FOURIER ? 1 : kind == Kind.HADAMARD ? order(n) : odd(n);
        signs = kind == Kind.HADAMARD ? HadamardMatrices.of(k) : null;
        fourier = kind == Kind.FOURIER ? new FourierTransform(n) : null;
        planned = kind == Kind.FOURIER && FourierPlan.exists(n);
        cas = kind == Kind.HARTLEY ? new double[hasSmallMatrix() ? k : 0] : null;
        for (int i = 0; cas != null && i < cas.length; i++) {
            cas[i] = cas(i, k);
        }
    }

    private static int odd(int n) {
        return n >> Integer.numberOfTrailingZeros(n);
    }

    /** The order of the Hadamard matrix that n has, or 0. */
    private static int order(int n) {
        int odd = odd(n);
        int order = odd == 1 ? 1 : odd <= Integer.MAX_VALUE / 4 ? 4 * odd : 0;
        return HadamardMatrices.exists(order) && n % order == 0 ? order : 0;
    }

    /**
     * The transform of length n, for every n from 1 on: Hadamard where there is one, else Hartley. The last few are cached: keep the
     * value where it is used often.
     */
    public static HadamardTransform of(int n) {
        return of(n, n > 0 && order(n) > 0 ? Kind.HADAMARD : Kind.HARTLEY);
    }

    /**
     * The transform of length n of one kind. The Hartley matrix of a power of two is its Hadamard matrix.
     *
     * @throws IllegalArgumentException where there is none of that length
     */
    public static HadamardTransform of(int n, Kind kind) {
        if (n < 1) {
            throw new IllegalArgumentException("a transform needs n >= 1, found " + n);
        }
        if (kind == Kind.HADAMARD && order(n) == 0) {
            throw new IllegalArgumentException("there is no Hadamard matrix of length " + n);
        }
        Key key = new Key(n, kind == Kind.HARTLEY && odd(n) == 1 ? Kind.HADAMARD : kind);
        synchronized (CACHE) {
            return CACHE.computeIfAbsent(key, HadamardTransform::new);
        }
    }

    /** Whether this is what {@link #of(int)} gives. */
    public boolean isDefault() {
        return kind == (order(n) > 0 ? Kind.HADAMARD : Kind.HARTLEY);
    }

    /** The length of the vectors. */
    public int n() {
        return n;
    }

    /** The order K of the small matrix; n / K is a power of two. */
    public int k() {
        return k;
    }

    /** The family of the small matrix. */
    public Kind kind() {
        return kind;
    }

    /**
     * sqrt(n) in float32, by which the unnormalized product is divided. The reference divides by the float32 number even
     * in float64 (section 1.3), so U is orthogonal up to a factor {@code n / norm()^2}, within 1.2e-7 of 1.
     */
    public float norm() {
        return (float) Math.sqrt(n);
    }

    /** Entry (row, col) of the small matrix, for every K. */
    public double entry(int row, int col) {
        Objects.checkIndex(row, k);
        Objects.checkIndex(col, k);
        if (kind == Kind.FOURIER) {
            return 1;
        }
        if (kind == Kind.HADAMARD) {
            return signs[row * k + col];
        }
        int i = (int) ((long) row * col % k);
        return hasSmallMatrix() ? cas[i] : cas(i, k);
    }

    private static double cas(int i, int order) {
        double angle = 2 * Math.PI * i / order;
        return Math.cos(angle) + Math.sin(angle);
    }

    /** Whether {@link #smallMatrix()} exists: K at most {@value #MAX_STORED_K}. */
    public boolean hasSmallMatrix() {
        return k <= MAX_STORED_K;
    }

    /**
     * The small matrix M_K: K x K float32, row-major, native byte order, a read-only native segment that lives as long as
     * it is reachable.
     *
     * @throws IllegalStateException where K is larger than {@value #MAX_STORED_K}
     */
    public MemorySegment smallMatrix() {
        MemorySegment m = matrix;
        if (m == null) {
            if (!hasSmallMatrix()) {
                throw new IllegalStateException(
                        "the small matrix of n = " + n + " has order " + k + ", stored only up to " + MAX_STORED_K);
            }
            synchronized (this) {
                m = matrix;
                if (m == null) {
                    m = Arena.ofAuto().allocate(4L * k * k, 64);
                    for (int i = 0; i < k; i++) {
                        for (int j = 0; j < k; j++) {
                            m.set(JAVA_FLOAT_UNALIGNED, 4L * (i * k + j), (float) entry(i, j));
                        }
                    }
                    m = m.asReadOnly();
                    matrix = m;
                }
            }
        }
        return m;
    }

    /**
     * How four rows of {@code M x}, or of {@code M^T x} where {@code transpose}, are formed out of eight sums, for a HADAMARD
     * matrix with K &gt; 1; see {@link SignedSums} for the layout. A read-only native segment that lives as long as it is
     * reachable.
     *
     * @throws IllegalStateException for another kind of matrix
     */
    public MemorySegment signedSums(boolean transpose) {
        if (kind != Kind.HADAMARD || k == 1) {
            throw new IllegalStateException("signed sums are of a Hadamard matrix with K > 1, found " + this);
        }
        synchronized (sums) {
            int i = transpose ? 1 : 0;
            if (sums[i] == null) {
                sums[i] = SignedSums.of(signs, k, transpose);
            }
            return sums[i];
        }
    }

    /**
     * Whether {@link #unitSums} exist: M_K is one of Williamson's matrices, but not that of order 124, whose {@link #signedSums} take
     * fewer additions.
     */
    public boolean hasUnitSums() {
        return kind == Kind.HADAMARD && k != 124 && HadamardMatrices.isWilliamson(k);
    }

    /**
     * How the rows of {@code M x}, or of {@code M^T x} where {@code transpose}, are formed where {@link #hasUnitSums}; see {@link
     * UnitSums} for the layout. A read-only native segment that lives as long as it is reachable.
     *
     * @throws IllegalStateException for another matrix
     */
    public MemorySegment unitSums(boolean transpose) {
        if (!hasUnitSums()) {
            throw new IllegalStateException("unit sums are of Williamson's matrices but 124, found " + this);
        }
        synchronized (units) {
            int i = transpose ? 1 : 0;
            if (units[i] == null) {
                units[i] = UnitSums.of(signs, k, transpose);
            }
            return units[i];
        }
    }

    /** Whether this is a Fourier transform for which there are {@link #fourierPlan passes}. */
    public boolean hasFourierPlan() {
        return planned;
    }

    /**
     * The passes of a Fourier transform.
     *
     * @throws IllegalStateException where there are none
     */
    public FourierPlan fourierPlan() {
        FourierPlan found = plan;
        if (found == null) {
            if (!planned) {
                throw new IllegalStateException("there are no Fourier passes of the " + this);
            }
            synchronized (this) {
                found = plan;
                if (found == null) {
                    found = new FourierPlan(n);
                    plan = found;
                }
            }
        }
        return found;
    }

    /**
     * Scalar oracle, float64, in place on {@code x[offset .. offset + n - 1]}: {@code x <- U x}, or {@code U^T x} where
     * {@code transpose}.
     */
    public void apply(double[] x, int offset, boolean transpose) {
        Objects.checkFromIndexSize(offset, n, x.length);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment work = arena.allocate(workBytes(), 8);
            MemorySegment.copy(x, offset, work, JAVA_DOUBLE_UNALIGNED, 0, n);
            apply(work, transpose);
            MemorySegment.copy(work, JAVA_DOUBLE_UNALIGNED, 0, x, offset, n);
        }
    }

    /** The size in bytes of the segment that {@link #apply(MemorySegment, boolean)} works in: 8 n and some scratch. */
    public long workBytes() {
        if (kind == Kind.FOURIER) {
            return fourier.workBytes();
        }
        return 8L * n + (hasSmallMatrix() ? 8L * k : 16L * HartleyChirp.length(k));
    }

    /**
     * Scalar oracle, float64, without allocation: the vector is the first n doubles of {@code work}, in and out; the rest
     * is scratch.
     *
     * @param work at least {@link #workBytes()} bytes, not shared with another running call
     */
    public void apply(MemorySegment work, boolean transpose) {
        if (work.byteSize() < workBytes()) {
            throw new IllegalArgumentException(
                    "the transform of length " + n + " works in " + workBytes() + " bytes, found " + work.byteSize());
        }
        if (kind == Kind.FOURIER) {
            fourier.apply(work, transpose);
            return;
        }
        int p = n / k;
        for (int first = 0; first < n; first += p) {
            sylvester(work, first, p);
        }
        for (int column = 0; k > 1 && column < p; column++) {
            if (hasSmallMatrix()) {
                multiply(work, column, p, transpose);
            } else {
                chirp().apply(work, column, p, 8L * n);
            }
        }
        double norm = norm();
        for (int i = 0; i < n; i++) {
            set(work, i, get(work, i) / norm);
        }
    }

    /** {@code x <- S_p x} for the p doubles from {@code first} on. */
    private static void sylvester(MemorySegment x, int first, int p) {
        for (int h = 1; h < p; h *= 2) {
            for (int block = first; block < first + p; block += 2 * h) {
                for (int i = block; i < block + h; i++) {
                    double a = get(x, i);
                    double b = get(x, i + h);
                    set(x, i, a + b);
                    set(x, i + h, a - b);
                }
            }
        }
    }

    /** {@code x <- M x}, or {@code M^T x}, for the K doubles at {@code column + i * p}. */
    private void multiply(MemorySegment x, int column, int p, boolean transpose) {
        for (int i = 0; i < k; i++) {
            set(x, n + i, get(x, column + i * p));
        }
        for (int i = 0; i < k; i++) {
            double sum = 0;
            if (kind == Kind.HADAMARD) {
                for (int j = 0; j < k; j++) {
                    sum += signs[transpose ? j * k + i : i * k + j] * get(x, n + j);
                }
            } else {
                for (int j = 0, at = 0; j < k; j++) {
                    sum += cas[at] * get(x, n + j);
                    at += i;
                    at = at < k ? at : at - k;
                }
            }
            set(x, column + i * p, sum);
        }
    }

    /**
     * The product with a vector f that goes with the transform, a sign vector or one of phases, times any scale: {@code x_i <- f_i
     * x_i}. Of FOURIER both hold complex numbers as pairs, which are multiplied, or with {@code transpose} by the conjugates of f; so
     * that as a map of x it is a matrix D, or D transposed.
     *
     * @param f n numbers
     * @param x n numbers, in and out
     */
    public void multiply(double[] f, double[] x, boolean transpose) {
        if (kind == Kind.FOURIER) {
            FourierTransform.turn(x, f, transpose);
        } else {
            for (int i = 0; i < n; i++) {
                x[i] *= f[i];
            }
        }
    }

    private HartleyChirp chirp() {
        HartleyChirp c = chirp;
        if (c == null) {
            synchronized (this) {
                c = chirp;
                if (c == null) {
                    c = new HartleyChirp(k);
                    chirp = c;
                }
            }
        }
        return c;
    }

    private static double get(MemorySegment x, int i) {
        return x.get(JAVA_DOUBLE_UNALIGNED, 8L * i);
    }

    private static void set(MemorySegment x, int i, double value) {
        x.set(JAVA_DOUBLE_UNALIGNED, 8L * i, value);
    }

    @Override
    public String toString() {
        if (kind == Kind.FOURIER) {
            return "Fourier transform of length " + n;
        }
        return "transform of length " + n + " (" + kind + " of order " + k + ", Sylvester of order " + n / k + ")";
    }
}
