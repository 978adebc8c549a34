package dev.gosset.core.blas;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Dense linear algebra by OpenBLAS, called through the foreign function API: matrix products, triangular solves and
 * Cholesky factors of {@link Operand}s, in the precision that these have.
 *
 * <p>Sizes and segments are checked before native code is entered ({@link IllegalArgumentException} with the numbers). The
 * output must not overlap an input.
 *
 * <p>OpenBLAS itself always runs with <b>one</b> thread, so a result depends on the arguments alone. The method that takes
 * a {@link ThreadTeam} cuts the output into tiles by its shape, so its results do not depend on the number of threads
 * either; they may differ in the last bits from the untiled call, and between processors of different kinds, for which
 * OpenBLAS has different kernels. All methods may be called from any thread that may access the segments; with a team of
 * more than one thread these must not be confined to the caller (a shared arena, not a confined one).
 *
 * <p>Every method throws {@link dev.gosset.core.GossetException} where no OpenBLAS was found, saying where it was sought:
 * inside the jar {@code org.bytedeco:openblas} on the class path, which is copied once to a cache directory (property
 * {@code gosset.cache}, variable GOSSET_CACHE, default {@code ~/.cache/gosset}), then among the system's libraries.
 */
public final class Blas {
    private static final int ROW_MAJOR = 101;
    private static final int NO_TRANSPOSE = 111;
    private static final int TRANSPOSE = 112;
    private static final int LOWER = 122;
    private static final int NON_UNIT = 131;
    private static final int RIGHT = 142;

    private Blas() {}

    /** The bound functions; initialized only after {@link #require} has found the library. */
    private static final class Native {
        static final MethodHandle SGEMM = bind("cblas_sgemm", JAVA_FLOAT, "iiiiiirpipirpi");
        static final MethodHandle DGEMM = bind("cblas_dgemm", JAVA_DOUBLE, "iiiiiirpipirpi");
        static final MethodHandle SGEMV = bind("cblas_sgemv", JAVA_FLOAT, "iiiirpipirpi");
        static final MethodHandle STRSM = bind("cblas_strsm", JAVA_FLOAT, "iiiiiiirpipi");
        static final MethodHandle DTRSM = bind("cblas_dtrsm", JAVA_DOUBLE, "iiiiiiirpipi");
        static final MethodHandle SPOTRF = bind("spotrf_", JAVA_FLOAT, "ppppp");
        static final MethodHandle DPOTRF = bind("dpotrf_", JAVA_DOUBLE, "ppppp");
        static final MethodHandle DSYEVD = bind("dsyevd_", JAVA_DOUBLE, "p".repeat(11) + "ll");
        static final String CONFIG;

        static {
            MethodHandle setThreads = bind("openblas_set_num_threads", JAVA_FLOAT, "i");
            MethodHandle config = Linker.nativeLinker()
                    .downcallHandle(address("openblas_get_config"), FunctionDescriptor.of(ADDRESS));
            try {
                setThreads.invokeExact(1);
                MemorySegment text = (MemorySegment) config.invokeExact();
                CONFIG = text.reinterpret(4096).getString(0).strip();
            } catch (Throwable t) {
                throw unexpected(t);
            }
        }

        private static MemorySegment address(String name) {
            return OpenBlasLibrary.LOOKUP
                    .find(name)
                    .orElseThrow(
                            () -> new IllegalStateException(OpenBlasLibrary.ORIGIN + " has no function named " + name));
        }

        /**
         * A function without result.
         *
         * @param real what stands where {@code types} has r
         * @param types of the arguments: i for int, l for long, p for an address, r for a number
         */
        private static MethodHandle bind(String name, MemoryLayout real, String types) {
            MemoryLayout[] arguments = types.chars()
                    .mapToObj(t -> t == 'i' ? JAVA_INT : t == 'l' ? JAVA_LONG : t == 'p' ? ADDRESS : real)
                    .toArray(MemoryLayout[]::new);
            return Linker.nativeLinker().downcallHandle(address(name), FunctionDescriptor.ofVoid(arguments));
        }
    }

    private static void require() {
        if (OpenBlasLibrary.FAILURE != null) {
            throw OpenBlasLibrary.FAILURE;
        }
    }

    /**
     * What a downcall throws: a segment that is closed or confined to another thread (RuntimeException), or an Error of
     * the JVM.
     */
    private static AssertionError unexpected(Throwable t) {
        if (t instanceof RuntimeException refused) {
            throw refused;
        }
        if (t instanceof Error error) {
            throw error;
        }
        return new AssertionError("a native call cannot throw " + t, t);
    }

    /** One line for {@code doctor}: version and build of OpenBLAS, the core it chose, and the file; or why there is none. */
    public static String description() {
        if (OpenBlasLibrary.FAILURE != null) {
            return OpenBlasLibrary.FAILURE.getMessage();
        }
        return build() + "; used with 1 thread per call; from " + OpenBlasLibrary.ORIGIN;
    }

    /** Version and build of OpenBLAS and the core it chose for this processor: what the last bits of results depend on. */
    public static String build() {
        return Native.CONFIG;
    }

    // ------------------------------------------------------------------------------------------------ products

    /** {@code C <- alpha A B + beta C}. Where beta is 0 the old values of C are not read. */
    public static void gemm(double alpha, Operand a, Operand b, double beta, Operand c) {
        checkProduct(a, b, c);
        if (c.rows() == 0 || c.cols() == 0) {
            return;
        }
        multiply(alpha, a, b, beta, c);
    }

    /**
     * {@code C <- alpha A B + beta C}, shared by the threads of a team. C is cut into tiles that depend on the shapes
     * alone, so the bits of the result do not depend on the number of threads.
     */
    public static void gemm(ThreadTeam team, double alpha, Operand a, Operand b, double beta, Operand c) {
        checkProduct(a, b, c);
        if (c.rows() == 0 || c.cols() == 0) {
            return;
        }
        int k = a.cols();
        Tiles tiles = Tiles.of(c.rows(), c.cols(), k);
        team.run(tiles.count, t -> {
            int row = tiles.row(t);
            int col = tiles.col(t);
            int rows = Math.min(tiles.rows, c.rows() - row);
            int cols = Math.min(tiles.cols, c.cols() - col);
            multiply(alpha, a.block(row, 0, rows, k), b.block(0, col, k, cols), beta, c.block(row, col, rows, cols));
        });
    }

    private static void multiply(double alpha, Operand a, Operand b, double beta, Operand c) {
        int m = c.rows();
        int n = c.cols();
        int k = a.cols();
        try {
            if (c.precision() == Precision.FLOAT32) {
                Native.SGEMM.invokeExact(
                        ROW_MAJOR,
                        op(a),
                        op(b),
                        m,
                        n,
                        k,
                        (float) alpha,
                        a.data(),
                        a.ld(),
                        b.data(),
                        b.ld(),
                        (float) beta,
                        c.data(),
                        c.ld());
            } else {
                Native.DGEMM.invokeExact(
                        ROW_MAJOR, op(a), op(b), m, n, k, alpha, a.data(), a.ld(), b.data(), b.ld(), beta, c.data(),
                        c.ld());
            }
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /**
     * {@code y <- A x} in float32.
     *
     * @param a m x n
     * @param x n floats
     * @param y m floats, every one written
     */
    public static void gemv(Operand a, MemorySegment x, MemorySegment y) {
        checkProduct(a, Operand.floats(x, a.cols(), 1), Operand.floats(y, a.rows(), 1));
        if (a.precision() != Precision.FLOAT32) {
            throw new IllegalArgumentException("the product with a vector is float32 only, found " + a.precision());
        }
        int stored = a.transposed() ? a.cols() : a.rows();
        int length = a.transposed() ? a.rows() : a.cols();
        try {
            Native.SGEMV.invokeExact(ROW_MAJOR, op(a), stored, length, 1f, a.data(), a.ld(), x, 1, 0f, y, 1);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    // ------------------------------------------------------------------------------------- solves and Cholesky

    /**
     * Triangular solve with many right-hand sides, in place: {@code B <- B T^-1}.
     *
     * @param t n x n: a lower triangular matrix, or one that is used transposed; only the lower triangle of what is stored
     *     is read
     * @param b m x n
     */
    public static void solveRight(Operand t, Operand b) {
        checkOutput(b);
        if (t.rows() != t.cols() || t.cols() != b.cols() || t.precision() != b.precision()) {
            throw new IllegalArgumentException("shapes do not agree: B is " + text(b) + ", T is " + text(t));
        }
        require();
        if (b.rows() == 0 || b.cols() == 0) {
            return;
        }
        int m = b.rows();
        int n = b.cols();
        try {
            if (b.precision() == Precision.FLOAT32) {
                Native.STRSM.invokeExact(
                        ROW_MAJOR, RIGHT, LOWER, op(t), NON_UNIT, m, n, 1f, t.data(), t.ld(), b.data(), b.ld());
            } else {
                Native.DTRSM.invokeExact(
                        ROW_MAJOR, RIGHT, LOWER, op(t), NON_UNIT, m, n, 1.0, t.data(), t.ld(), b.data(), b.ld());
            }
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /**
     * Cholesky factor in place: the lower triangle of A becomes C with {@code A = C C^T}. The strict upper triangle is
     * neither read nor written. NaN in A is not always reported: look at the diagonal of the result.
     *
     * @param a n x n
     * @return 0, or i where the leading i x i matrix is not positive definite; A is then partly overwritten
     */
    public static int cholesky(Operand a) {
        checkOutput(a);
        if (a.rows() != a.cols()) {
            throw new IllegalArgumentException("a Cholesky factor needs a square matrix, found " + text(a));
        }
        require();
        if (a.rows() == 0) {
            return 0;
        }
        try (Arena arena = Arena.ofConfined()) {
            // Fortran reads the matrix by columns: our lower triangle is its upper one, A = U^T U with U = C^T.
            MemorySegment uplo = arena.allocateFrom(JAVA_BYTE, (byte) 'U', (byte) 0);
            MemorySegment order = arena.allocateFrom(JAVA_INT, a.rows());
            MemorySegment leading = arena.allocateFrom(JAVA_INT, a.ld());
            MemorySegment info = arena.allocateFrom(JAVA_INT, 0);
            try {
                if (a.precision() == Precision.FLOAT32) {
                    Native.SPOTRF.invokeExact(uplo, order, a.data(), leading, info);
                } else {
                    Native.DPOTRF.invokeExact(uplo, order, a.data(), leading, info);
                }
            } catch (Throwable t) {
                throw unexpected(t);
            }
            int status = info.get(JAVA_INT, 0);
            if (status < 0) {
                throw new IllegalStateException("potrf refused its argument number " + -status);
            }
            return status;
        }
    }

    /**
     * Eigenvalues and eigenvectors of a symmetric matrix, in float64.
     *
     * @param a n x n without gaps, of which one triangle is read; its rows become the eigenvectors, of length 1
     * @return the eigenvalues in rising order, that of row i at i
     */
    public static double[] symmetricEigen(Operand a) {
        checkOutput(a);
        int n = a.rows();
        if (n != a.cols() || a.ld() != Math.max(1, n) || a.precision() != Precision.FLOAT64) {
            throw new IllegalArgumentException(
                    "eigenvectors are of a square float64 matrix without gaps, found " + text(a));
        }
        require();
        if (n == 0) {
            return new double[0];
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment vectors = arena.allocateFrom(JAVA_BYTE, (byte) 'V', (byte) 0);
            MemorySegment uplo = arena.allocateFrom(JAVA_BYTE, (byte) 'U', (byte) 0);
            MemorySegment order = arena.allocateFrom(JAVA_INT, n);
            MemorySegment values = arena.allocate(8L * n, 8);
            MemorySegment info = arena.allocateFrom(JAVA_INT, 0);
            // What the routine's documentation asks for, n below 2^14 or so: lengths are 32 bits wide.
            int length = Math.toIntExact(1 + 6L * n + 2L * n * n);
            int integers = 3 + 5 * n;
            MemorySegment work = arena.allocate(8L * length, 8);
            MemorySegment integerWork = arena.allocate(4L * integers, 4);
            try {
                Native.DSYEVD.invokeExact(
                        vectors,
                        uplo,
                        order,
                        a.data(),
                        order,
                        values,
                        work,
                        arena.allocateFrom(JAVA_INT, length),
                        integerWork,
                        arena.allocateFrom(JAVA_INT, integers),
                        info,
                        1L,
                        1L);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (info.get(JAVA_INT, 0) != 0) {
                throw new IllegalStateException("syevd found no eigenvectors: " + info.get(JAVA_INT, 0));
            }
            return values.toArray(JAVA_DOUBLE);
        }
    }

    // ------------------------------------------------------------------------------------------------- tiles

    /** How an m x n product of depth k is shared: a function of the shape alone. */
    private record Tiles(int rows, int cols, int across, int count) {
        private static final int LARGEST = 512;
        private static final int SMALLEST = 32;
        private static final int ENOUGH = 32;
        private static final long LEAST_PRODUCTS = 1L << 20;

        static Tiles of(int m, int n, int k) {
            int rows = Math.clamp(m, 1, LARGEST);
            int cols = Math.clamp(n, 1, LARGEST);
            // Halve the longer side until there is work for many threads, but no tile so small that calls dominate.
            while (count(m, rows) * count(n, cols) < ENOUGH
                    && Math.max(rows, cols) > SMALLEST
                    && (long) rows * cols * k >= 2 * LEAST_PRODUCTS) {
                if (rows >= cols) {
                    rows = half(rows);
                } else {
                    cols = half(cols);
                }
            }
            int across = (int) count(n, cols);
            return new Tiles(rows, cols, across, Math.toIntExact(count(m, rows) * across));
        }

        private static int half(int size) {
            return Math.ceilDiv(size, 2 * 16) * 16;
        }

        private static long count(int size, int tile) {
            return Math.ceilDiv(size, tile);
        }

        int row(int tile) {
            return tile / across * rows;
        }

        int col(int tile) {
            return tile % across * cols;
        }
    }

    // ------------------------------------------------------------------------------------------------- checks

    private static int op(Operand a) {
        return a.transposed() ? TRANSPOSE : NO_TRANSPOSE;
    }

    private static void checkProduct(Operand a, Operand b, Operand c) {
        checkOutput(c);
        if (a.cols() != b.rows() || a.rows() != c.rows() || b.cols() != c.cols()) {
            throw new IllegalArgumentException(
                    "shapes do not agree: A is " + text(a) + ", B is " + text(b) + ", C is " + text(c));
        }
        if (a.precision() != c.precision() || b.precision() != c.precision()) {
            throw new IllegalArgumentException("precisions do not agree: A is " + a.precision() + ", B is "
                    + b.precision() + ", C is " + c.precision());
        }
        require();
    }

    private static void checkOutput(Operand c) {
        if (c.transposed() || c.data().isReadOnly()) {
            throw new IllegalArgumentException("a matrix of " + text(c) + " is written but it is "
                    + (c.transposed() ? "transposed" : "read-only"));
        }
    }

    private static String text(Operand a) {
        return a.rows() + " x " + a.cols();
    }
}
