package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.oracle.ScalarMatvec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Products by tables: within the error bound that they state, and the same bits however they are cut. */
@Tag("kernel")
public abstract class TableMatvecContract {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final MatvecKernel kernel;
    private final String obstacle;

    /**
     * @param kernel under test
     * @param obstacle why it cannot run here, or null
     */
    protected TableMatvecContract(MatvecKernel kernel, String obstacle) {
        this.kernel = kernel;
        this.obstacle = obstacle;
    }

    /** On other widths the kernel is never chosen, and C2 does not compile its vectors. */
    protected final void assumeItRunsHere() {
        assumeTrue(obstacle == null, String.valueOf(obstacle));
    }

    public static SplittableRandom random(String test) {
        long seed = System.nanoTime();
        System.out.println("TableMatvecContract." + test + " seed " + seed);
        return new SplittableRandom(seed);
    }

    public static CodeMatrix randomCodes(Arena arena, SplittableRandom random, int bits, int rows, int cols) {
        CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), rows, cols);
        for (long i = 0; i < codes.data().byteSize(); i++) {
            codes.data().set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt());
        }
        return codes;
    }

    /** Rows of x, one behind the other. */
    public static MemorySegment inputs(Arena arena, SplittableRandom random, CodeMatrix codes, int count, double size) {
        MemorySegment x = arena.allocate(32L * codes.groups() * count + 4, 4).asSlice(4);
        for (int t = 0; t < count; t++) {
            for (int j = 0; j < codes.cols(); j++) {
                x.set(FLOAT, 32L * codes.groups() * t + 4L * j, (float) (size * (random.nextGaussian() + 0.2)));
            }
        }
        return x;
    }

    public static MemorySegment product(
            Arena arena, PreparedMatrix matrix, MemorySegment x, int count, int from, int to) {
        long rowBytes = 32L * matrix.codes().groups();
        MemorySegment prepared = arena.allocate(matrix.inputBytes() * count);
        for (int t = 0; t < count; t++) {
            matrix.prepareInput(x.asSlice(rowBytes * t, rowBytes), prepared, matrix.inputBytes() * t);
        }
        long stride = 4L * matrix.codes().rows() + 12;
        MemorySegment y = arena.allocate(stride * count);
        matrix.multiply(prepared, count, y, stride, from, to, arena.allocate(matrix.scratchBytes(count, to - from)));
        return y;
    }

    /** How far a matrix may be from what {@link ScalarMatvec} says. */
    public static double bound(PreparedMatrix matrix, MemorySegment x) {
        return matrix.errorBound(x) + new ScalarMatvec().errorBound(matrix.codes(), x);
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void productsOfManyShapes(int bits) {
        assumeItRunsHere();
        SplittableRandom random = random("productsOfManyShapes");
        double squaredError = 0;
        double squared = 0;
        double relativeError = 0;
        for (int rows : new int[] {1, 3, 15, 16, 17, 50, 63, 64, 65, 130, 192}) {
            // chunks end at 128, 256 or 512 columns
            for (int cols : new int[] {1, 7, 8, 9, 64, 128, 136, 200, 255, 256, 264, 504, 511, 512, 513, 1024, 2056}) {
                try (Arena arena = Arena.ofConfined()) {
                    CodeMatrix codes = randomCodes(arena, random, bits, rows, cols);
                    MemorySegment x = inputs(arena, random, codes, 1, 1);
                    MemorySegment oracle = arena.allocate(4L * rows);
                    new ScalarMatvec().matvec(codes, x, oracle, 0, rows);
                    PreparedMatrix matrix = kernel.prepare(codes, arena);
                    MemorySegment y = product(arena, matrix, x, 1, 0, rows);
                    double bound = bound(matrix, x);
                    relativeError = matrix.relativeError();
                    for (int i = 0; i < rows; i++) {
                        double expected = oracle.getAtIndex(FLOAT, i);
                        double found = y.getAtIndex(FLOAT, i);
                        assertThat(found).as("%d x %d row %d", rows, cols, i).isCloseTo(expected, within(bound));
                        squaredError += cols < 1024 ? 0 : Math.pow(found - expected, 2);
                        squared += cols < 1024 ? 0 : expected * expected;
                    }
                }
            }
        }
        // What is declared is what is found: neither less nor far more.
        assertThat(Math.sqrt(squaredError / squared)).as("relative error").isBetween(relativeError / 3, relativeError);
    }

    /** Codes of more than a megabyte, which lie in regions of their own order. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void productsOfLargeMatrices(int bits) {
        assumeItRunsHere();
        SplittableRandom random = random("productsOfLargeMatrices");
        for (int[] shape : new int[][] {{1100, 4104}, {1024, 4096}, {300, 14336}, {77, 1032}}) {
            int rows = shape[0];
            try (Arena arena = Arena.ofConfined()) {
                CodeMatrix codes = randomCodes(arena, random, bits, rows, shape[1]);
                MemorySegment x = inputs(arena, random, codes, 3, 1);
                PreparedMatrix matrix = kernel.prepare(codes, arena);
                MemorySegment y = product(arena, matrix, x, 3, 0, rows);
                long rowBytes = 32L * codes.groups();
                for (int t = 0; t < 3; t++) {
                    MemorySegment input = x.asSlice(rowBytes * t, rowBytes);
                    MemorySegment oracle = arena.allocate(4L * rows);
                    new ScalarMatvec().matvec(codes, input, oracle, 0, rows);
                    double bound = bound(matrix, input);
                    double squaredError = 0;
                    double squared = 0;
                    for (int r = 0; r < rows; r++) {
                        double expected = oracle.getAtIndex(FLOAT, r);
                        double found = y.get(FLOAT, (4L * rows + 12) * t + 4L * r);
                        assertThat(found)
                                .as("%d bits, %d x %d, input %d, row %d", bits, rows, shape[1], t, r)
                                .isCloseTo(expected, within(bound));
                        squaredError += Math.pow(found - expected, 2);
                        squared += expected * expected;
                    }
                    // What is declared is to be expected of many rows; of few the root mean squares vary.
                    assertThat(Math.sqrt(squaredError / squared))
                            .isLessThan(matrix.relativeError() * (1 + 4 / Math.sqrt(rows)));
                }
                MemorySegment prepared = arena.allocate(matrix.inputBytes());
                matrix.prepareInput(x.asSlice(0, rowBytes), prepared, 0);
                MemorySegment same = arena.allocate(4L * rows);
                int middle = matrix.rowStep();
                MemorySegment scratch = arena.allocate(matrix.scratchBytes(1, rows));
                matrix.multiplyFromMemory(prepared, same, 0, Math.min(middle, rows), scratch);
                if (middle < rows) {
                    matrix.multiplyFromMemory(prepared, same, middle, rows, scratch);
                }
                matrix.multiply(prepared, 1, y, 4L * rows, 0, rows, scratch);
                assertThat(same.mismatch(y.asSlice(0, 4L * rows))).isEqualTo(-1);
                assertThat(matrix.bytes()).isLessThanOrEqualTo((long) ((rows + 191) * codes.groups() * bits * 1.0625));
            }
        }
    }

    /** Each code against an x that singles out one coordinate: a field in the wrong place cannot hide. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void everyCodeAndCoordinate(int bits) {
        assumeItRunsHere();
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), 65536, 8);
            for (int i = 0; i < 65536; i++) {
                codes.setCode(i, 0, bits == 2 ? i : i << 16 | 40503 * i & (bits == 3 ? 0xff : 0xffff));
            }
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            double[] v = new double[8];
            for (int c = 0; c < 8; c++) {
                MemorySegment x = arena.allocate(32);
                x.setAtIndex(FLOAT, c, -3);
                MemorySegment y = product(arena, matrix, x, 1, 0, 65536);
                double bound = matrix.errorBound(x);
                for (int i = 0; i < 65536; i++) {
                    codes.codebook().decode(codes.code(i, 0), v, 0);
                    if (Math.abs(y.getAtIndex(FLOAT, i) + 3 * v[c]) > bound) {
                        throw new AssertionError("coordinate " + c + " of code " + i + " is "
                                + y.getAtIndex(FLOAT, i) / -3 + ", expected " + v[c]);
                    }
                }
            }
        }
    }

    /** Residual points 2 e_0 and -2 e_0 against x along e_0: the largest and the smallest entries, more groups than bytes add up. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void sumsOfExtremeResidualsDoNotOverflow(int count) {
        assumeItRunsHere();
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(3), 130, 8 * 600);
            for (int i = 0; i < 130; i++) {
                for (int g = 0; g < 600; g++) {
                    codes.setCode(i, g, (i % 3 == 0 ? 241 : 249) | 1000 << 16);
                }
            }
            MemorySegment x = arena.allocate(4L * 8 * 600 * count);
            for (int g = 0; g < 600 * count; g++) {
                x.setAtIndex(FLOAT, 8L * g, 1);
            }
            MemorySegment oracle = arena.allocate(4 * 130);
            new ScalarMatvec().matvec(codes, x.asSlice(0, 32L * 600), oracle, 0, 130);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            MemorySegment y = product(arena, matrix, x, count, 0, 130);
            double bound = bound(matrix, x);
            for (int i = 0; i < 130; i++) {
                for (int t = 0; t < count; t++) {
                    double found = y.get(FLOAT, (4L * 130 + 12) * t + 4L * i);
                    assertThat(found).isCloseTo(oracle.getAtIndex(FLOAT, i), within(bound));
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void bitsDependNeitherOnSplitsNorOnOtherInputs(int bits) {
        assumeItRunsHere();
        SplittableRandom random = random("bitsDependNeitherOnSplitsNorOnOtherInputs");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = randomCodes(arena, random, bits, 300, 1000);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            int count = 7;
            MemorySegment x = inputs(arena, random, codes, count, 1);
            long rowBytes = 32L * codes.groups();
            MemorySegment together = product(arena, matrix, x, count, 0, 300);
            MemorySegment lower = product(arena, matrix, x, count, 0, 256);
            MemorySegment upper = product(arena, matrix, x, count, 256, 300);
            for (int t = 0; t < count; t++) {
                MemorySegment alone = product(arena, matrix, x.asSlice(rowBytes * t, rowBytes), 1, 0, 300);
                long at = 1212L * t;
                assertThat(together.asSlice(at, 1200).mismatch(alone.asSlice(0, 1200)))
                        .isEqualTo(-1);
                assertThat(lower.asSlice(at, 1024).mismatch(alone.asSlice(0, 1024)))
                        .isEqualTo(-1);
                assertThat(upper.asSlice(at + 1024, 176).mismatch(alone.asSlice(1024, 176)))
                        .isEqualTo(-1);
                // rows outside the range are left alone
                assertThat(lower.asSlice(at + 1024, 176).mismatch(arena.allocate(176)))
                        .isEqualTo(-1);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void survivesExtremes(int bits) {
        assumeItRunsHere();
        SplittableRandom random = random("survivesExtremes");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = randomCodes(arena, random, bits, 70, 264);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            MemorySegment zero = product(arena, matrix, arena.allocate(32L * 33), 1, 0, 70);
            assertThat(zero.asSlice(0, 280).mismatch(arena.allocate(280))).isEqualTo(-1);
            for (double size : new double[] {1e-25, 1e-15, 1e15, 1e25, 1e33}) {
                MemorySegment x = inputs(arena, random, codes, 1, size);
                MemorySegment oracle = arena.allocate(280);
                new ScalarMatvec().matvec(codes, x, oracle, 0, 70);
                MemorySegment y = product(arena, matrix, x, 1, 0, 70);
                for (int i = 0; i < 70; i++) {
                    assertThat((double) y.getAtIndex(FLOAT, i))
                            .isCloseTo(oracle.getAtIndex(FLOAT, i), within(bound(matrix, x)));
                }
            }
            for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
                for (int j : new int[] {0, 100, 263}) {
                    MemorySegment x = inputs(arena, random, codes, 1, 1);
                    x.setAtIndex(FLOAT, j, bad);
                    MemorySegment y = product(arena, matrix, x, 1, 0, 70);
                    for (int i = 0; i < 70; i++) {
                        assertThat(y.getAtIndex(FLOAT, i)).isNaN();
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    @Tag("allocation")
    void allocatesNothing(int bits) {
        assumeItRunsHere();
        SplittableRandom random = random("allocatesNothing");
        try (Arena arena = Arena.ofShared()) {
            CodeMatrix codes = randomCodes(arena, random, bits, 200, 1024);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            MemorySegment x = inputs(arena, random, codes, 1, 1);
            MemorySegment prepared = arena.allocate(matrix.inputBytes() * 3);
            MemorySegment y = arena.allocate(800 * 3);
            MemorySegment scratch = arena.allocate(matrix.scratchBytes(3, 200));
            Allocation.assertNone(bits + "-bit tables", () -> matrix.prepareInput(x, prepared, 0));
            matrix.prepareInput(x, prepared, matrix.inputBytes());
            matrix.prepareInput(x, prepared, matrix.inputBytes() * 2);
            Allocation.assertNone(bits + "-bit product", () -> matrix.multiply(prepared, 1, y, 800, 0, 200, scratch));
            Allocation.assertNone(
                    bits + "-bit product from memory", () -> matrix.multiplyFromMemory(prepared, y, 0, 200, scratch));
            Allocation.assertNone(bits + "-bit products", () -> matrix.multiply(prepared, 3, y, 800, 0, 200, scratch));
        }
    }

    @Test
    void wrongArgumentsAreRefused() {
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(2), 100, 16);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            int step = matrix.rowStep();
            MemorySegment inputs = arena.allocate(matrix.inputBytes());
            MemorySegment y = arena.allocate(400);
            MemorySegment scratch = arena.allocate(matrix.scratchBytes(1, 100));
            assertThatThrownBy(() -> matrix.multiply(inputs, 1, y, 400, step / 2, 100, scratch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("multiples of " + step);
            assertThatThrownBy(() -> matrix.multiply(inputs, 2, y, 400, 0, 100, scratch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("inputs of");
            assertThatThrownBy(() -> matrix.prepareInput(inputs.asSlice(0, 60), inputs, 0))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("x of 64 bytes");
        }
    }

    /** The loops work with addresses, so what no address tells must be refused before. */
    @Test
    void memoryThatCannotBeReadIsRefused() {
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(2), 64, 16);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            MemorySegment inputs = arena.allocate(matrix.inputBytes());
            MemorySegment y = arena.allocate(256);
            MemorySegment scratch = arena.allocate(matrix.scratchBytes(1, 64));
            MemorySegment heap = MemorySegment.ofArray(new long[(int) scratch.byteSize() / 8]);
            assertThatThrownBy(() -> matrix.multiply(inputs, 1, y, 256, 0, 64, heap))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("native memory");
            MemorySegment closed;
            PreparedMatrix freed;
            try (Arena other = Arena.ofConfined()) {
                closed = other.allocate(matrix.inputBytes());
                freed = kernel.prepare(codes, other);
            }
            assertThatThrownBy(() -> matrix.multiply(closed, 1, y, 256, 0, 64, scratch))
                    .isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> freed.multiply(inputs, 1, y, 256, 0, 64, scratch))
                    .isInstanceOf(IllegalStateException.class);
        }
    }
}
