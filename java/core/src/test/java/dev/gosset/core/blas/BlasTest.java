package dev.gosset.core.blas;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class BlasTest {
    private final long seed = System.nanoTime();
    private final SplittableRandom random = new SplittableRandom(seed);

    /** A random matrix with leading dimension ld, and its elements as doubles. */
    private MemorySegment random(Arena arena, int rows, int ld, int size) {
        MemorySegment s = arena.allocate(Math.max(1L, (long) rows * ld * size), 64);
        for (long i = 0; i < (long) rows * ld; i++) {
            double v = random.nextDouble(-1, 1);
            if (size == 4) {
                s.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) v);
            } else {
                s.setAtIndex(ValueLayout.JAVA_DOUBLE, i, v);
            }
        }
        return s;
    }

    private static Operand operand(MemorySegment data, int rows, int cols, int ld, int size) {
        return new Operand(size == 4 ? Precision.FLOAT32 : Precision.FLOAT64, data, rows, cols, ld, false);
    }

    private static double at(MemorySegment s, int size, long i) {
        return size == 4 ? s.getAtIndex(ValueLayout.JAVA_FLOAT, i) : s.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
    }

    private static double[] values(MemorySegment s, int size) {
        double[] v = new double[(int) (s.byteSize() / size)];
        for (int i = 0; i < v.length; i++) {
            v[i] = at(s, size, i);
        }
        return v;
    }

    private static MemorySegment copy(Arena arena, MemorySegment s) {
        return arena.allocate(s.byteSize(), 64).copyFrom(s);
    }

    @Test
    void descriptionNamesOpenBlas() {
        assertThat(Blas.description()).contains("OpenBLAS").contains("1 thread");
        System.out.println("BLAS: " + Blas.description());
    }

    @Test
    void productsEqualNaiveLoops() {
        int[][] shapes = {
            {1, 1, 1},
            {3, 5, 7},
            {8, 8, 8},
            {1, 17, 40},
            {33, 1, 9},
            {65, 130, 31},
            {128, 96, 257},
            {5, 4, 0},
            {0, 4, 3}
        };
        for (int[] shape : shapes) {
            for (int variant = 0; variant < 4; variant++) {
                for (int size = 4; size <= 8; size += 4) {
                    product(shape[0], shape[1], shape[2], (variant & 1) != 0, (variant & 2) != 0, size);
                }
            }
        }
    }

    @Test
    void matrixTimesVectorEqualsNaiveLoops() {
        SplittableRandom random = new SplittableRandom(11);
        for (int[] shape : new int[][] {{1, 1}, {3, 7}, {17, 1}, {130, 65}, {64, 257}}) {
            int m = shape[0];
            int n = shape[1];
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment a = arena.allocate(4L * m * n, 64);
                for (int i = 0; i < m * n; i++) {
                    put(a, 4, i, random.nextDouble(-1, 1));
                }
                for (boolean transpose : new boolean[] {false, true}) {
                    int in = transpose ? m : n;
                    int out = transpose ? n : m;
                    MemorySegment x = arena.allocate(4L * in, 64);
                    MemorySegment y = arena.allocate(4L * out, 64);
                    y.fill((byte) 0xff);
                    for (int i = 0; i < in; i++) {
                        put(x, 4, i, random.nextDouble(-1, 1));
                    }
                    Operand stored = Operand.floats(a, m, n);
                    Operand used = transpose ? stored.transpose() : stored;
                    Blas.gemv(used, x, y);
                    for (int i = 0; i < out; i++) {
                        double sum = 0;
                        for (int j = 0; j < in; j++) {
                            long at = transpose ? (long) j * n + i : (long) i * n + j;
                            sum += (double) a.getAtIndex(ValueLayout.JAVA_FLOAT, at)
                                    * x.getAtIndex(ValueLayout.JAVA_FLOAT, j);
                        }
                        assertThat((double) y.getAtIndex(ValueLayout.JAVA_FLOAT, i))
                                .isCloseTo(sum, within(1e-6 * (in + 1)));
                    }
                    assertThatThrownBy(() -> Blas.gemv(used, x.asSlice(4), y))
                            .hasMessageContaining("needs " + 4L * in + " bytes");
                }
            }
        }
    }

    private void product(int m, int n, int k, boolean ta, boolean tb, int size) {
        String what = m + "x" + n + "x" + k + " " + ta + " " + tb + " size " + size + " seed " + seed;
        int lda = (ta ? m : k) + random.nextInt(1, 5);
        int ldb = (tb ? k : n) + random.nextInt(1, 5);
        int ldc = n + random.nextInt(1, 5);
        double alpha = 1.5;
        double beta = m % 2 == 0 ? 0 : -0.5;
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2)) {
            MemorySegment a = random(arena, ta ? k : m, lda, size);
            MemorySegment b = random(arena, tb ? n : k, ldb, size);
            MemorySegment c = random(arena, m, ldc, size);
            MemorySegment c2 = copy(arena, c);
            double[] expected = values(c, size);
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < n; j++) {
                    double sum = 0;
                    for (int l = 0; l < k; l++) {
                        sum += at(a, size, ta ? (long) l * lda + i : (long) i * lda + l)
                                * at(b, size, tb ? (long) j * ldb + l : (long) l * ldb + j);
                    }
                    expected[i * ldc + j] = alpha * sum + beta * expected[i * ldc + j];
                }
            }
            Operand left = operand(a, ta ? k : m, ta ? m : k, lda, size);
            Operand right = operand(b, tb ? n : k, tb ? k : n, ldb, size);
            left = ta ? left.transpose() : left;
            right = tb ? right.transpose() : right;
            Blas.gemm(alpha, left, right, beta, operand(c, m, n, ldc, size));
            Blas.gemm(team, alpha, left, right, beta, operand(c2, m, n, ldc, size));
            double tolerance = (k + 2) * (size == 4 ? 3e-7 : 1e-15);
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < ldc; j++) {
                    // Elements beyond n lie between the rows: they must keep their bits.
                    double allowed = j < n ? tolerance : 0;
                    int at = i * ldc + j;
                    assertThat(Math.abs(at(c, size, at) - expected[at]))
                            .as(what + " at " + i + "," + j)
                            .isLessThanOrEqualTo(allowed);
                    assertThat(Math.abs(at(c2, size, at) - expected[at]))
                            .as("tiled " + what + " at " + i + "," + j)
                            .isLessThanOrEqualTo(allowed);
                }
            }
        }
    }

    @Test
    void tiledProductsHaveTheSameBitsWithAnyNumberOfThreads() {
        int[][] shapes = {{300, 700, 129}, {1, 5000, 300}, {513, 40, 512}, {1030, 515, 70}};
        for (int[] s : shapes) {
            try (Arena arena = Arena.ofShared()) {
                FloatMatrix a = new FloatMatrix(random(arena, s[0], s[2], 4), s[0], s[2]);
                FloatMatrix b = new FloatMatrix(random(arena, s[1], s[2], 4), s[1], s[2]);
                DoubleMatrix ad = new DoubleMatrix(random(arena, s[2], s[0], 8), s[2], s[0]);
                DoubleMatrix bd = new DoubleMatrix(random(arena, s[2], s[1], 8), s[2], s[1]);
                FloatMatrix first = null;
                DoubleMatrix firstD = null;
                for (int threads = 1; threads <= 3; threads++) {
                    try (ThreadTeam team = new ThreadTeam(threads)) {
                        FloatMatrix c = FloatMatrix.allocate(arena, s[0], s[1]);
                        Blas.gemm(team, 1, Operand.of(a), Operand.of(b).transpose(), 0, Operand.of(c));
                        DoubleMatrix d = DoubleMatrix.allocate(arena, s[0], s[1]);
                        Blas.gemm(team, 1, Operand.of(ad).transpose(), Operand.of(bd), 0, Operand.of(d));
                        first = first == null ? c : first;
                        firstD = firstD == null ? d : firstD;
                        assertThat(c.data().mismatch(first.data()))
                                .as(threads + " threads, seed " + seed)
                                .isEqualTo(-1);
                        assertThat(d.data().mismatch(firstD.data()))
                                .as(threads + " threads, seed " + seed)
                                .isEqualTo(-1);
                    }
                }
            }
        }
    }

    @Test
    void choleskyAndSolvesInvertTheirProducts() {
        for (int n : new int[] {1, 2, 7, 8, 63, 130}) {
            for (int size = 4; size <= 8; size += 4) {
                int lda = n + 3;
                try (Arena arena = Arena.ofConfined()) {
                    // A = G G^T + n I, well conditioned
                    MemorySegment g = random(arena, n, n, size);
                    MemorySegment a = random(arena, n, lda, size);
                    double[] full = new double[n * n];
                    for (int i = 0; i < n; i++) {
                        for (int j = 0; j < n; j++) {
                            double sum = i == j ? n : 0;
                            for (int l = 0; l < n; l++) {
                                sum += at(g, size, (long) i * n + l) * at(g, size, (long) j * n + l);
                            }
                            full[i * n + j] = sum;
                            if (j <= i) {
                                put(a, size, (long) i * lda + j, sum);
                            }
                        }
                    }
                    double[] before = values(a, size);
                    assertThat(Blas.cholesky(operand(a, n, n, lda, size))).isZero();
                    double tolerance = n * (size == 4 ? 1e-5 : 1e-13);
                    for (int i = 0; i < n; i++) {
                        for (int j = 0; j <= i; j++) {
                            double sum = 0;
                            for (int l = 0; l <= j; l++) {
                                sum += at(a, size, (long) i * lda + l) * at(a, size, (long) j * lda + l);
                            }
                            assertThat(sum)
                                    .as("C C^T, n " + n + " seed " + seed)
                                    .isCloseTo(full[i * n + j], org.assertj.core.data.Offset.offset(tolerance));
                        }
                        for (int j = i + 1; j < lda; j++) {
                            assertThat(at(a, size, (long) i * lda + j)).isEqualTo(before[i * lda + j]);
                        }
                    }
                    solve(arena, n, a, lda, size);
                }
            }
        }
    }

    private static void put(MemorySegment s, int size, long i, double v) {
        if (size == 4) {
            s.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) v);
        } else {
            s.setAtIndex(ValueLayout.JAVA_DOUBLE, i, v);
        }
    }

    /** B = X C and B = X C^T, solved for X. */
    private void solve(Arena arena, int n, MemorySegment c, int ldc, int size) {
        int m = 11;
        Operand factor = operand(c, n, n, ldc, size);
        for (boolean transpose : new boolean[] {false, true}) {
            MemorySegment x = random(arena, m, n, size);
            MemorySegment b = arena.allocate((long) m * n * size, 64);
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < n; j++) {
                    double sum = 0;
                    for (int l = 0; l < n; l++) {
                        int row = transpose ? j : l;
                        int col = transpose ? l : j;
                        sum += at(x, size, (long) i * n + l) * (col <= row ? at(c, size, (long) row * ldc + col) : 0);
                    }
                    put(b, size, (long) i * n + j, sum);
                }
            }
            Blas.solveRight(transpose ? factor.transpose() : factor, operand(b, m, n, n, size));
            for (long i = 0; i < (long) m * n; i++) {
                assertThat(Math.abs(at(b, size, i) - at(x, size, i)))
                        .as(transpose + " n " + n + " seed " + seed)
                        .isLessThan(size == 4 ? 1e-4 : 1e-12);
            }
        }
    }

    @Test
    void choleskyReportsWhereTheMatrixIsNotPositiveDefinite() {
        try (Arena arena = Arena.ofConfined()) {
            DoubleMatrix a = DoubleMatrix.copyOf(arena, 3, 3, new double[] {4, 0, 0, 2, 1, 0, 1, 1, 9});
            assertThat(Blas.cholesky(Operand.of(a))).isEqualTo(2);
            FloatMatrix f = FloatMatrix.copyOf(arena, 2, 2, new float[] {-1, 0, 0, 1});
            assertThat(Blas.cholesky(Operand.of(f))).isEqualTo(1);
        }
    }

    @Test
    void argumentsAreCheckedBeforeNativeCode() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment twelve = arena.allocate(12 * 4L, 64);
            MemorySegment heap = MemorySegment.ofArray(new float[12]);
            assertThatThrownBy(() -> Operand.floats(twelve, 4, 4))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("4 x 4 with leading dimension 4 needs 64 bytes, found 48");
            assertThatThrownBy(() -> Operand.floats(twelve, 3, 3, 2))
                    .hasMessageContaining("3 x 3 has leading dimension 2");
            assertThatThrownBy(() -> Operand.floats(twelve, -1, 3)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> Operand.floats(heap, 3, 4)).hasMessageContaining("heap");
            // 64-bit sizes: 50000 * 50000 * 4 does not fit an int
            assertThatThrownBy(() -> Operand.floats(twelve, 50_000, 50_000))
                    .hasMessageContaining("needs 10000000000 bytes");
            Operand tall = Operand.floats(twelve, 3, 4).transpose();
            assertThatThrownBy(() -> tall.block(2, 0, 3, 3))
                    .hasMessageContaining("a block of 3 x 3 at (2, 0) of a matrix of 4 x 3");
            assertThatThrownBy(() -> Operand.floats(twelve, 3, 4).block(0, -1, 1, 1))
                    .isInstanceOf(IllegalArgumentException.class);
            Operand square = Operand.floats(twelve, 3, 3);
            Operand locked = Operand.floats(twelve.asReadOnly(), 3, 3);
            assertThatThrownBy(() -> Blas.gemm(1, square, square, 0, locked)).hasMessageContaining("read-only");
            assertThatThrownBy(() -> Blas.cholesky(locked)).hasMessageContaining("read-only");
            assertThatThrownBy(() -> Blas.gemm(1, square, square, 0, square.transpose()))
                    .hasMessageContaining("transposed");
            Operand doubles = new Operand(Precision.FLOAT64, twelve, 2, 2, 2, false);
            Operand floats = Operand.floats(twelve, 2, 2);
            assertThatThrownBy(() -> Blas.gemm(1, floats, doubles, 0, floats)).hasMessageContaining("float64");
            assertThatThrownBy(() -> Blas.solveRight(doubles, floats)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> Blas.gemv(doubles, twelve, twelve)).isInstanceOf(IllegalArgumentException.class);
            Operand a = Operand.of(FloatMatrix.allocate(arena, 2, 3));
            try (ThreadTeam team = new ThreadTeam(1)) {
                assertThatThrownBy(() -> Blas.gemm(team, 1, a, a, 0, a))
                        .hasMessageContaining("shapes do not agree: A is 2 x 3, B is 2 x 3, C is 2 x 3");
            }
        }
    }

    @Test
    void aSegmentOfAnotherThreadIsRefused() throws InterruptedException {
        try (Arena arena = Arena.ofConfined()) {
            FloatMatrix a = FloatMatrix.allocate(arena, 2, 2);
            Throwable[] thrown = new Throwable[1];
            Thread other = new Thread(() -> {
                try {
                    Blas.cholesky(Operand.of(a));
                } catch (RuntimeException e) {
                    thrown[0] = e;
                }
            });
            other.start();
            other.join();
            assertThat(thrown[0]).isInstanceOf(WrongThreadException.class);
        }
    }

    @Test
    void platformsAreNamedAsBytedecoNamesThem() {
        assertThat(OpenBlasLibrary.Platform.of("Linux", "amd64").directory()).isEqualTo("linux-x86_64");
        assertThat(OpenBlasLibrary.Platform.of("Linux", "aarch64").directory()).isEqualTo("linux-arm64");
        assertThat(OpenBlasLibrary.Platform.of("Mac OS X", "aarch64").directory())
                .isEqualTo("macosx-arm64");
        assertThat(OpenBlasLibrary.Platform.of("Windows 11", "amd64").directory())
                .isEqualTo("windows-x86_64");
    }
}
