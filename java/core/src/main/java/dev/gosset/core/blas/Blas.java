package dev.gosset.core.blas;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.function.IntConsumer;

/**
 * Dense linear algebra by OpenBLAS, called through the foreign function API: matrix products, triangular solves and
 * Cholesky factors of row-major matrices in native memory.
 *
 * <p>Row-major: element (i, j) of a matrix with leading dimension {@code ld} is element {@code i * ld + j} of its
 * segment, {@code ld >= cols}. Segments must be native and hold the whole matrix; that, and every size, is checked
 * before native code is entered ({@link IllegalArgumentException} with the numbers). The output must not overlap an
 * input.
 *
 * <p>OpenBLAS itself always runs with <b>one</b> thread, so a result depends on the arguments alone. The methods that take
 * a {@link ThreadTeam} cut the output into tiles by its shape, so their results do not depend on the number of threads
 * either; they may differ in the last bits from the untiled call, and between processors of different kinds, for which
 * OpenBLAS has different kernels. All methods may be called from any thread that may access the segments; with a team of
 * more than one thread these must not be confined to the caller (a shared arena, not a confined one).
 *
 * <p>Every method throws {@link dev.gosset.core.GossetException} where no OpenBLAS was found, saying where it was sought:
 * inside the jar {@code org.bytedeco:openblas} on the class path, which is copied once to a cache directory (property
 * {@code gosset.cache}, variable GOSSET_CACHE, default {@code ~/.cache/gosset}), then among the system's libraries.
 */
public final class Blas {
    /** On which side of the unknown the triangular matrix of a solve stands. */
    public enum Side {
        LEFT(141),
        RIGHT(142);

        private final int code;

        Side(int code) {
            this.code = code;
        }
    }

    /** The triangle that holds a matrix's values; the other is neither read nor written. */
    public enum Triangle {
        UPPER(121),
        LOWER(122);

        private final int code;

        Triangle(int code) {
            this.code = code;
        }
    }

    private static final int ROW_MAJOR = 101;
    private static final int NO_TRANSPOSE = 111;
    private static final int TRANSPOSE = 112;
    private static final int NON_UNIT = 131;
    private static final int UNIT = 132;

    private Blas() {}

    /** The bound functions; initialized only after {@link #require} has found the library. */
    private static final class Native {
        private static final FunctionDescriptor SGEMM = FunctionDescriptor.ofVoid(
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT,
                ADDRESS,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT);
        private static final FunctionDescriptor DGEMM = FunctionDescriptor.ofVoid(
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_DOUBLE,
                ADDRESS,
                JAVA_INT,
                ADDRESS,
                JAVA_INT,
                JAVA_DOUBLE,
                ADDRESS,
                JAVA_INT);
        private static final FunctionDescriptor SGEMV = FunctionDescriptor.ofVoid(
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT,
                ADDRESS,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT);
        private static final FunctionDescriptor SSYRK = FunctionDescriptor.ofVoid(
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT);
        private static final FunctionDescriptor DSYRK = FunctionDescriptor.ofVoid(
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_DOUBLE,
                ADDRESS,
                JAVA_INT,
                JAVA_DOUBLE,
                ADDRESS,
                JAVA_INT);
        private static final FunctionDescriptor STRSM = FunctionDescriptor.ofVoid(
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT,
                ADDRESS,
                JAVA_INT);
        private static final FunctionDescriptor DTRSM = FunctionDescriptor.ofVoid(
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_DOUBLE,
                ADDRESS,
                JAVA_INT,
                ADDRESS,
                JAVA_INT);
        private static final FunctionDescriptor POTRF =
                FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS);

        static final MethodHandle CBLAS_SGEMM = bind("cblas_sgemm", SGEMM);
        static final MethodHandle CBLAS_DGEMM = bind("cblas_dgemm", DGEMM);
        static final MethodHandle CBLAS_SGEMV = bind("cblas_sgemv", SGEMV);
        static final MethodHandle CBLAS_SSYRK = bind("cblas_ssyrk", SSYRK);
        static final MethodHandle CBLAS_DSYRK = bind("cblas_dsyrk", DSYRK);
        static final MethodHandle CBLAS_STRSM = bind("cblas_strsm", STRSM);
        static final MethodHandle CBLAS_DTRSM = bind("cblas_dtrsm", DTRSM);
        static final MethodHandle SPOTRF = bind("spotrf_", POTRF);
        static final MethodHandle DPOTRF = bind("dpotrf_", POTRF);
        static final String CONFIG;

        static {
            MethodHandle setThreads = bind("openblas_set_num_threads", FunctionDescriptor.ofVoid(JAVA_INT));
            MethodHandle config = bind("openblas_get_config", FunctionDescriptor.of(ADDRESS));
            try {
                setThreads.invokeExact(1);
                MemorySegment text = (MemorySegment) config.invokeExact();
                CONFIG = text.reinterpret(4096).getString(0).strip();
            } catch (Throwable t) {
                throw unexpected(t);
            }
        }

        private static MethodHandle bind(String name, FunctionDescriptor descriptor) {
            MemorySegment address = OpenBlasLibrary.LOOKUP
                    .find(name)
                    .orElseThrow(
                            () -> new IllegalStateException(OpenBlasLibrary.ORIGIN + " has no function named " + name));
            return Linker.nativeLinker().downcallHandle(address, descriptor);
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

    /** Whether an OpenBLAS was found; {@link #description} says which, or why not. */
    public static boolean isAvailable() {
        return OpenBlasLibrary.FAILURE == null;
    }

    /** One line for {@code doctor}: version and build of OpenBLAS, the core it chose, and the file; or why there is none. */
    public static String description() {
        if (OpenBlasLibrary.FAILURE != null) {
            return OpenBlasLibrary.FAILURE.getMessage();
        }
        return Native.CONFIG + "; used with 1 thread per call; from " + OpenBlasLibrary.ORIGIN;
    }

    // ------------------------------------------------------------------------------------------------ products

    /**
     * {@code C <- alpha op(A) op(B) + beta C} in float32, where op transposes if told so; op(A) is m x k, op(B) is k x n.
     * Where beta is 0 the old values of C are not read.
     *
     * @param lda leading dimension of A as stored: m x k, or k x m if {@code transposeA}
     * @param ldb leading dimension of B as stored: k x n, or n x k if {@code transposeB}
     * @param ldc leading dimension of C, m x n
     */
    public static void sgemm(
            boolean transposeA,
            boolean transposeB,
            int m,
            int n,
            int k,
            float alpha,
            MemorySegment a,
            int lda,
            MemorySegment b,
            int ldb,
            float beta,
            MemorySegment c,
            int ldc) {
        checkGemm(transposeA, transposeB, m, n, k, a, lda, b, ldb, c, ldc, 4);
        require();
        if (m == 0 || n == 0) {
            return;
        }
        try {
            Native.CBLAS_SGEMM.invokeExact(
                    ROW_MAJOR, op(transposeA), op(transposeB), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /**
     * {@code y <- op(A) x} in float32, where op transposes if told so.
     *
     * @param a m x n, row by row
     * @param x n floats, or m if {@code transpose}
     * @param y m floats, or n if {@code transpose}, every one written
     */
    public static void sgemv(boolean transpose, int m, int n, MemorySegment a, MemorySegment x, MemorySegment y) {
        check("A", m, n, a, n, 4, false);
        check("x", 1, transpose ? m : n, x, transpose ? m : n, 4, false);
        check("y", 1, transpose ? n : m, y, transpose ? n : m, 4, true);
        require();
        try {
            Native.CBLAS_SGEMV.invokeExact(ROW_MAJOR, op(transpose), m, n, 1f, a, n, x, 1, 0f, y, 1);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /** {@link #sgemm} in float64. */
    public static void dgemm(
            boolean transposeA,
            boolean transposeB,
            int m,
            int n,
            int k,
            double alpha,
            MemorySegment a,
            int lda,
            MemorySegment b,
            int ldb,
            double beta,
            MemorySegment c,
            int ldc) {
        checkGemm(transposeA, transposeB, m, n, k, a, lda, b, ldb, c, ldc, 8);
        require();
        if (m == 0 || n == 0) {
            return;
        }
        try {
            Native.CBLAS_DGEMM.invokeExact(
                    ROW_MAJOR, op(transposeA), op(transposeB), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /**
     * {@link #sgemm(boolean, boolean, int, int, int, float, MemorySegment, int, MemorySegment, int, float, MemorySegment,
     * int)} shared by the threads of a team. C is cut into tiles that depend on m, n and k alone, so the bits of the
     * result do not depend on the number of threads.
     */
    public static void sgemm(
            ThreadTeam team,
            boolean transposeA,
            boolean transposeB,
            int m,
            int n,
            int k,
            float alpha,
            MemorySegment a,
            int lda,
            MemorySegment b,
            int ldb,
            float beta,
            MemorySegment c,
            int ldc) {
        checkGemm(transposeA, transposeB, m, n, k, a, lda, b, ldb, c, ldc, 4);
        require();
        Tiles tiles = Tiles.of(m, n, k);
        tiles.run(team, t -> {
            int row = tiles.row(t);
            int col = tiles.col(t);
            int rows = Math.min(tiles.rows, m - row);
            int cols = Math.min(tiles.cols, n - col);
            sgemm(
                    transposeA,
                    transposeB,
                    rows,
                    cols,
                    k,
                    alpha,
                    a.asSlice(offset(transposeA ? 0 : row, transposeA ? row : 0, lda, a, 4)),
                    lda,
                    b.asSlice(offset(transposeB ? col : 0, transposeB ? 0 : col, ldb, b, 4)),
                    ldb,
                    beta,
                    c.asSlice(offset(row, col, ldc, c, 4)),
                    ldc);
        });
    }

    /** {@link #sgemm(ThreadTeam, boolean, boolean, int, int, int, float, MemorySegment, int, MemorySegment, int, float,
     * MemorySegment, int)} in float64. */
    public static void dgemm(
            ThreadTeam team,
            boolean transposeA,
            boolean transposeB,
            int m,
            int n,
            int k,
            double alpha,
            MemorySegment a,
            int lda,
            MemorySegment b,
            int ldb,
            double beta,
            MemorySegment c,
            int ldc) {
        checkGemm(transposeA, transposeB, m, n, k, a, lda, b, ldb, c, ldc, 8);
        require();
        Tiles tiles = Tiles.of(m, n, k);
        tiles.run(team, t -> {
            int row = tiles.row(t);
            int col = tiles.col(t);
            int rows = Math.min(tiles.rows, m - row);
            int cols = Math.min(tiles.cols, n - col);
            dgemm(
                    transposeA,
                    transposeB,
                    rows,
                    cols,
                    k,
                    alpha,
                    a.asSlice(offset(transposeA ? 0 : row, transposeA ? row : 0, lda, a, 8)),
                    lda,
                    b.asSlice(offset(transposeB ? col : 0, transposeB ? 0 : col, ldb, b, 8)),
                    ldb,
                    beta,
                    c.asSlice(offset(row, col, ldc, c, 8)),
                    ldc);
        });
    }

    /** {@code C <- alpha op(A) op(B) + beta C} for whole matrices, shared by a team; the shapes must agree. */
    public static void sgemm(
            ThreadTeam team,
            boolean transposeA,
            boolean transposeB,
            float alpha,
            FloatMatrix a,
            FloatMatrix b,
            float beta,
            FloatMatrix c) {
        int k = checkShapes(transposeA, transposeB, a.rows(), a.cols(), b.rows(), b.cols(), c.rows(), c.cols());
        sgemm(
                team,
                transposeA,
                transposeB,
                c.rows(),
                c.cols(),
                k,
                alpha,
                a.data(),
                Math.max(1, a.cols()),
                b.data(),
                Math.max(1, b.cols()),
                beta,
                c.data(),
                Math.max(1, c.cols()));
    }

    /** {@code C <- alpha op(A) op(B) + beta C} for whole matrices, shared by a team; the shapes must agree. */
    public static void dgemm(
            ThreadTeam team,
            boolean transposeA,
            boolean transposeB,
            double alpha,
            DoubleMatrix a,
            DoubleMatrix b,
            double beta,
            DoubleMatrix c) {
        int k = checkShapes(transposeA, transposeB, a.rows(), a.cols(), b.rows(), b.cols(), c.rows(), c.cols());
        dgemm(
                team,
                transposeA,
                transposeB,
                c.rows(),
                c.cols(),
                k,
                alpha,
                a.data(),
                Math.max(1, a.cols()),
                b.data(),
                Math.max(1, b.cols()),
                beta,
                c.data(),
                Math.max(1, c.cols()));
    }

    /**
     * One triangle of the symmetric product {@code C <- alpha A A^T + beta C}, or {@code alpha A^T A + beta C} if
     * {@code transposeA}, in float32. C is n x n; A as stored is n x k, or k x n if {@code transposeA}.
     */
    public static void ssyrk(
            Triangle triangle,
            boolean transposeA,
            int n,
            int k,
            float alpha,
            MemorySegment a,
            int lda,
            float beta,
            MemorySegment c,
            int ldc) {
        checkSyrk(transposeA, n, k, a, lda, c, ldc, 4);
        require();
        if (n == 0) {
            return;
        }
        try {
            Native.CBLAS_SSYRK.invokeExact(ROW_MAJOR, triangle.code, op(transposeA), n, k, alpha, a, lda, beta, c, ldc);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /** {@link #ssyrk} in float64. */
    public static void dsyrk(
            Triangle triangle,
            boolean transposeA,
            int n,
            int k,
            double alpha,
            MemorySegment a,
            int lda,
            double beta,
            MemorySegment c,
            int ldc) {
        checkSyrk(transposeA, n, k, a, lda, c, ldc, 8);
        require();
        if (n == 0) {
            return;
        }
        try {
            Native.CBLAS_DSYRK.invokeExact(ROW_MAJOR, triangle.code, op(transposeA), n, k, alpha, a, lda, beta, c, ldc);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    // ------------------------------------------------------------------------------------- solves and Cholesky

    /**
     * Triangular solve with many right-hand sides, in float32 and in place: {@code B <- alpha op(T)^-1 B} (LEFT) or
     * {@code B <- alpha B op(T)^-1} (RIGHT). B is m x n; T is m x m (LEFT) or n x n (RIGHT).
     *
     * @param unitDiagonal whether the diagonal of T is taken as 1 and not read
     */
    public static void strsm(
            Side side,
            Triangle triangle,
            boolean transposeT,
            boolean unitDiagonal,
            int m,
            int n,
            float alpha,
            MemorySegment t,
            int ldt,
            MemorySegment b,
            int ldb) {
        checkTrsm(side, m, n, t, ldt, b, ldb, 4);
        require();
        if (m == 0 || n == 0) {
            return;
        }
        int diagonal = unitDiagonal ? UNIT : NON_UNIT;
        try {
            Native.CBLAS_STRSM.invokeExact(
                    ROW_MAJOR, side.code, triangle.code, op(transposeT), diagonal, m, n, alpha, t, ldt, b, ldb);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /** {@link #strsm} in float64. */
    public static void dtrsm(
            Side side,
            Triangle triangle,
            boolean transposeT,
            boolean unitDiagonal,
            int m,
            int n,
            double alpha,
            MemorySegment t,
            int ldt,
            MemorySegment b,
            int ldb) {
        checkTrsm(side, m, n, t, ldt, b, ldb, 8);
        require();
        if (m == 0 || n == 0) {
            return;
        }
        int diagonal = unitDiagonal ? UNIT : NON_UNIT;
        try {
            Native.CBLAS_DTRSM.invokeExact(
                    ROW_MAJOR, side.code, triangle.code, op(transposeT), diagonal, m, n, alpha, t, ldt, b, ldb);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /**
     * Cholesky factor in place, in float32: the lower triangle of A becomes C with {@code A = C C^T}. The strict upper
     * triangle is neither read nor written. NaN in A is not always reported: look at the diagonal of the result.
     *
     * @param a n x n with leading dimension {@code lda}
     * @return 0, or i where the leading i x i matrix is not positive definite; A is then partly overwritten
     */
    public static int spotrf(int n, MemorySegment a, int lda) {
        check("A", n, n, a, lda, 4, true);
        require();
        return n == 0 ? 0 : potrf(Native.SPOTRF, n, a, lda);
    }

    /** {@link #spotrf} in float64. */
    public static int dpotrf(int n, MemorySegment a, int lda) {
        check("A", n, n, a, lda, 8, true);
        require();
        return n == 0 ? 0 : potrf(Native.DPOTRF, n, a, lda);
    }

    private static int potrf(MethodHandle function, int n, MemorySegment a, int lda) {
        try (Arena arena = Arena.ofConfined()) {
            // Fortran reads the matrix by columns: our lower triangle is its upper one, A = U^T U with U = C^T.
            MemorySegment uplo = arena.allocateFrom(JAVA_BYTE, (byte) 'U', (byte) 0);
            MemorySegment order = arena.allocateFrom(JAVA_INT, n);
            MemorySegment leading = arena.allocateFrom(JAVA_INT, lda);
            MemorySegment info = arena.allocateFrom(JAVA_INT, 0);
            try {
                function.invokeExact(uplo, order, a, leading, info);
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

        void run(ThreadTeam team, IntConsumer task) {
            team.run(count, task);
        }
    }

    /** Byte offset of element (row, col), or the end of the segment where the matrix has no elements at all. */
    private static long offset(int row, int col, int ld, MemorySegment s, int size) {
        return Math.min(((long) row * ld + col) * size, s.byteSize());
    }

    // ------------------------------------------------------------------------------------------------- checks

    private static int op(boolean transpose) {
        return transpose ? TRANSPOSE : NO_TRANSPOSE;
    }

    private static void checkGemm(
            boolean transposeA,
            boolean transposeB,
            int m,
            int n,
            int k,
            MemorySegment a,
            int lda,
            MemorySegment b,
            int ldb,
            MemorySegment c,
            int ldc,
            int size) {
        check("A", transposeA ? k : m, transposeA ? m : k, a, lda, size, false);
        check("B", transposeB ? n : k, transposeB ? k : n, b, ldb, size, false);
        check("C", m, n, c, ldc, size, true);
    }

    private static void checkSyrk(
            boolean transposeA, int n, int k, MemorySegment a, int lda, MemorySegment c, int ldc, int size) {
        check("A", transposeA ? k : n, transposeA ? n : k, a, lda, size, false);
        check("C", n, n, c, ldc, size, true);
    }

    private static void checkTrsm(
            Side side, int m, int n, MemorySegment t, int ldt, MemorySegment b, int ldb, int size) {
        int order = side == Side.LEFT ? m : n;
        check("T", order, order, t, ldt, size, false);
        check("B", m, n, b, ldb, size, true);
    }

    private static int checkShapes(
            boolean transposeA, boolean transposeB, int aRows, int aCols, int bRows, int bCols, int cRows, int cCols) {
        int m = transposeA ? aCols : aRows;
        int k = transposeA ? aRows : aCols;
        int k2 = transposeB ? bCols : bRows;
        int n = transposeB ? bRows : bCols;
        if (k != k2 || m != cRows || n != cCols) {
            throw new IllegalArgumentException("shapes do not agree: op(A) is " + m + " x " + k + ", op(B) is " + k2
                    + " x " + n + ", C is " + cRows + " x " + cCols);
        }
        return k;
    }

    private static void check(String name, int rows, int cols, MemorySegment s, int ld, int size, boolean written) {
        if (rows < 0 || cols < 0 || ld < Math.max(1, cols)) {
            throw new IllegalArgumentException(name + " is " + rows + " x " + cols + " with leading dimension " + ld
                    + ", which must be at least " + Math.max(1, cols));
        }
        long needed = rows == 0 || cols == 0 ? 0 : ((rows - 1L) * ld + cols) * size;
        if (s.byteSize() < needed) {
            throw new IllegalArgumentException(name + " of " + rows + " x " + cols + " with leading dimension " + ld
                    + " needs " + needed + " bytes, found " + s.byteSize());
        }
        if (!s.isNative()) {
            throw new IllegalArgumentException(name + " lies on the heap, native memory is needed");
        }
        if (written && s.isReadOnly()) {
            throw new IllegalArgumentException(name + " is written but its segment is read-only");
        }
    }
}
