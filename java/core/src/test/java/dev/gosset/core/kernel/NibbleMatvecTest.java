package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Products by tables of 16 entries: within the error bound that they state, and the same bits however they are cut. */
@Tag("kernel")
class NibbleMatvecTest {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final MatvecKernel kernel = new NibbleMatvec();

    private static SplittableRandom random(String test) {
        long seed = System.nanoTime();
        System.out.println("NibbleMatvecTest." + test + " seed " + seed);
        return new SplittableRandom(seed);
    }

    /** Rows of x, one behind the other, at an address that no vector is aligned to. */
    private static MemorySegment inputs(
            Arena arena, SplittableRandom random, CodeMatrix codes, int count, double size) {
        MemorySegment x = arena.allocate(32L * codes.groups() * count + 4, 4).asSlice(4);
        for (int t = 0; t < count; t++) {
            for (int j = 0; j < codes.cols(); j++) {
                x.set(FLOAT, 32L * codes.groups() * t + 4L * j, (float) (size * (random.nextGaussian() + 0.2)));
            }
        }
        return x;
    }

    private static MemorySegment product(
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

    /** The bound of {@link NibbleMatvec}, formed in float64. */
    private static double bound(CodeMatrix codes, MemorySegment x) {
        double largest = 0;
        double norm = 0;
        for (int g = 0; g < codes.groups(); g++) {
            double squared = 0;
            for (int c = 0; c < 8; c++) {
                squared += Math.pow(x.getAtIndex(FLOAT, 8L * g + c), 2);
            }
            largest = Math.max(largest, squared);
            norm += squared;
        }
        double points = 3.06 * codes.groups() * Math.sqrt(17 * largest) / 5350;
        double rest = switch (codes.codebook().bits()) {
            case 2 -> 0;
            case 3 -> 1.53 * codes.groups() * 2 * Math.sqrt(largest) / 10830 / 2.04;
            default -> points / 3.45;
        };
        return points + rest + 1e-7 * Math.sqrt(norm * codes.cols());
    }

    @Test
    void everyRowOfSHasItsByte() {
        byte[] doubled = E8p.doubledMagnitudes();
        BitSet seen = new BitSet();
        byte[] v = new byte[8];
        for (int a = 0; a < 256; a++) {
            byte code = NibbleCodes.magnitudes(a << 8);
            seen.set(code & 0xff);
            NibbleCodes.decodeMagnitudes(code, v);
            assertThat(v).as("row %d", a).containsExactly(java.util.Arrays.copyOfRange(doubled, 8 * a, 8 * a + 8));
        }
        assertThat(seen.cardinality()).isEqualTo(256);
    }

    @Test
    void everyPointOfE81bHasItsByte() {
        byte[] doubled = E81b.doubledPoints();
        BitSet seen = new BitSet();
        byte[] v = new byte[8];
        for (int i = 0; i < 256; i++) {
            byte code = NibbleCodes.residual(i);
            seen.set(code & 0xff);
            NibbleCodes.decodeResidual(code & 0xff, v);
            assertThat(v).as("point %d", i).containsExactly(java.util.Arrays.copyOfRange(doubled, 8 * i, 8 * i + 8));
        }
        assertThat(seen.cardinality()).isEqualTo(256);
    }

    /** A code's 16 bits are found again in its two bytes. */
    @Test
    void bytesOfAllCodesDiffer() {
        BitSet seen = new BitSet();
        for (int code = 0; code < 65536; code++) {
            seen.set((NibbleCodes.magnitudes(code) & 0xff) << 8 | NibbleCodes.signs(code) & 0xff);
        }
        assertThat(seen.cardinality()).isEqualTo(65536);
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void productsOfManyShapes(int bits) {
        SplittableRandom random = random("productsOfManyShapes");
        double squaredError = 0;
        double squared = 0;
        for (int rows : new int[] {1, 3, 15, 16, 17, 50, 64}) {
            // chunks end at 512 columns
            for (int cols : new int[] {1, 7, 8, 9, 64, 136, 255, 504, 511, 512, 513, 1024, 2056}) {
                try (Arena arena = Arena.ofConfined()) {
                    CodeMatrix codes = TableMatvecTest.randomCodes(arena, random, bits, rows, cols);
                    MemorySegment x = inputs(arena, random, codes, 1, 1);
                    MemorySegment oracle = arena.allocate(4L * rows);
                    new ScalarMatvec().matvec(codes, x, oracle, 0, rows);
                    MemorySegment y = product(arena, kernel.prepare(codes, arena), x, 1, 0, rows);
                    double bound = bound(codes, x);
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
        System.out.printf("%d bits: relative error %.2e%n", bits, Math.sqrt(squaredError / squared));
        assertThat(Math.sqrt(squaredError / squared)).as("relative error").isLessThan(1.2e-3);
    }

    /** Each code against an x that singles out one coordinate: a field in the wrong place cannot hide. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void everyCodeAndCoordinate(int bits) {
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
                for (int i = 0; i < 65536; i++) {
                    codes.codebook().decode(codes.code(i, 0), v, 0);
                    if (Math.abs(y.getAtIndex(FLOAT, i) + 3 * v[c]) > 1.2e-2) {
                        throw new AssertionError("coordinate " + c + " of code " + i + " is "
                                + y.getAtIndex(FLOAT, i) / -3 + ", expected " + v[c]);
                    }
                }
            }
        }
    }

    /** Each code with the x that brings its product, or its negative, to the largest that the tables allow for. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void theLargestProductsDoNotOverflow(int bits) {
        SplittableRandom random = random("theLargestProductsDoNotOverflow");
        int groups = 256;
        try (Arena arena = Arena.ofConfined()) {
            for (int trial = 0; trial < 60; trial++) {
                int upper = random.nextInt(65536);
                int lower = random.nextInt(bits == 3 ? 256 : 65536);
                CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), 16, 8 * groups);
                for (int i = 0; i < 16; i++) {
                    for (int g = 0; g < groups; g++) {
                        codes.setCode(i, g, bits == 2 ? upper : upper << 16 | lower);
                    }
                }
                double[] v = new double[8];
                E8p.INSTANCE.decode(upper, v, 0);
                if (bits == 3 && trial % 2 == 1) {
                    E81b.decode(lower, v, 0);
                }
                MemorySegment x = arena.allocate(32L * groups);
                for (int j = 0; j < 8 * groups; j++) {
                    x.setAtIndex(FLOAT, j, (float) (trial % 4 < 2 ? v[j % 8] : -v[j % 8]));
                }
                MemorySegment oracle = arena.allocate(64);
                new ScalarMatvec().matvec(codes, x, oracle, 0, 16);
                MemorySegment y = product(arena, kernel.prepare(codes, arena), x, 1, 0, 16);
                double bound = bound(codes, x);
                for (int i = 0; i < 16; i++) {
                    assertThat((double) y.getAtIndex(FLOAT, i))
                            .as("codes %d and %d", upper, lower)
                            .isCloseTo(oracle.getAtIndex(FLOAT, i), within(bound));
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void bitsDependNeitherOnSplitsNorOnOtherInputs(int bits) {
        SplittableRandom random = random("bitsDependNeitherOnSplitsNorOnOtherInputs");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = TableMatvecTest.randomCodes(arena, random, bits, 300, 1000);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            int count = 7;
            MemorySegment x = inputs(arena, random, codes, count, 1);
            long rowBytes = 32L * codes.groups();
            MemorySegment together = product(arena, matrix, x, count, 0, 300);
            MemorySegment lower = product(arena, matrix, x, count, 0, 128);
            MemorySegment upper = product(arena, matrix, x, count, 128, 300);
            for (int t = 0; t < count; t++) {
                MemorySegment alone = product(arena, matrix, x.asSlice(rowBytes * t, rowBytes), 1, 0, 300);
                long at = 1212L * t;
                assertThat(together.asSlice(at, 1200).mismatch(alone.asSlice(0, 1200)))
                        .isEqualTo(-1);
                assertThat(lower.asSlice(at, 512).mismatch(alone.asSlice(0, 512)))
                        .isEqualTo(-1);
                assertThat(upper.asSlice(at + 512, 688).mismatch(alone.asSlice(512, 688)))
                        .isEqualTo(-1);
                // rows outside the range are left alone
                assertThat(lower.asSlice(at + 512, 688).mismatch(arena.allocate(688)))
                        .isEqualTo(-1);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void survivesExtremes(int bits) {
        SplittableRandom random = random("survivesExtremes");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = TableMatvecTest.randomCodes(arena, random, bits, 70, 264);
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
                            .isCloseTo(oracle.getAtIndex(FLOAT, i), within(bound(codes, x)));
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
        SplittableRandom random = random("allocatesNothing");
        try (Arena arena = Arena.ofShared()) {
            CodeMatrix codes = TableMatvecTest.randomCodes(arena, random, bits, 200, 1024);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            MemorySegment x = inputs(arena, random, codes, 1, 1);
            MemorySegment prepared = arena.allocate(matrix.inputBytes() * 3);
            MemorySegment y = arena.allocate(800 * 3);
            MemorySegment scratch = arena.allocate(matrix.scratchBytes(3, 200));
            Allocation.assertNone(bits + "-bit tables", () -> matrix.prepareInput(x, prepared, 0));
            matrix.prepareInput(x, prepared, matrix.inputBytes());
            matrix.prepareInput(x, prepared, matrix.inputBytes() * 2);
            Allocation.assertNone(bits + "-bit product", () -> matrix.multiply(prepared, 1, y, 800, 0, 200, scratch));
            Allocation.assertNone(bits + "-bit products", () -> matrix.multiply(prepared, 3, y, 800, 0, 200, scratch));
        }
    }

    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(NibbleSums.class)).isEmpty();
        assertThat(VectorMethods.shorterThanTheInliningLimit(NibbleTables.class))
                .isEmpty();
    }

    @Test
    void wrongArgumentsAreRefused() {
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(2), 100, 16);
            PreparedMatrix matrix = kernel.prepare(codes, arena);
            MemorySegment inputs = arena.allocate(matrix.inputBytes());
            MemorySegment y = arena.allocate(400);
            MemorySegment scratch = arena.allocate(matrix.scratchBytes(1, 100));
            assertThatThrownBy(() -> matrix.multiply(inputs, 1, y, 400, 8, 100, scratch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("multiples of 16");
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
