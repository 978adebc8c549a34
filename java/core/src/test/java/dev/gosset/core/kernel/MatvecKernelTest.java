package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.PublishedLayout;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.oracle.ScalarMatvec;
import dev.gosset.core.kernel.points.VectorMatvec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The vector products against the float64 oracle and against the order of summation that they promise. */
@Tag("kernel")
class MatvecKernelTest {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final MatvecKernel vector = new VectorMatvec();
    private final MatvecKernel scalar = new ScalarMatvec();

    private static SplittableRandom random(String test) {
        long seed = System.nanoTime();
        System.out.println("MatvecKernelTest." + test + " seed " + seed);
        return new SplittableRandom(seed);
    }

    private static CodeMatrix randomCodes(Arena arena, SplittableRandom random, int bits, int rows, int cols) {
        CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), rows, cols);
        for (long i = 0; i < codes.data().byteSize(); i++) {
            codes.data().set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt());
        }
        return codes;
    }

    private static MemorySegment randomInput(Arena arena, SplittableRandom random, CodeMatrix codes) {
        MemorySegment x = arena.allocate(32L * codes.groups(), 4);
        for (int i = 0; i < codes.cols(); i++) {
            x.setAtIndex(FLOAT, i, (float) (random.nextGaussian() + 0.3));
        }
        return x;
    }

    /** Row i as {@link VectorMatvec} promises to sum it, in scalar code. */
    private static float promised(CodeMatrix codes, int row, MemorySegment x) {
        float[] first = new float[8];
        float[] second = new float[8];
        double[] v = new double[8];
        int bits = codes.codebook().bits();
        for (int g = 0; g < codes.groups(); g++) {
            int code = codes.code(row, g);
            E8p.INSTANCE.decode(bits == 2 ? code : code >>> 16, v, 0);
            for (int c = 0; c < 8; c++) {
                first[c] = Math.fma((float) v[c], x.getAtIndex(FLOAT, 8L * g + c), first[c]);
            }
            if (bits == 3) {
                E81b.decode(code, v, 0);
            } else {
                E8p.INSTANCE.decode(code, v, 0);
            }
            for (int c = 0; c < 8; c++) {
                second[c] = Math.fma((float) v[c], x.getAtIndex(FLOAT, 8L * g + c), second[c]);
            }
        }
        return bits == 2
                ? lanes(first)
                : lanes(first) + lanes(second) / (float) codes.codebook().residualScale();
    }

    private static float lanes(float[] s) {
        return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void productsOfManyShapes(int bits) {
        SplittableRandom random = random("productsOfManyShapes");
        int[] widths = {1, 7, 8, 9, 16, 40, 63, 64, 200, 1024, 4096};
        for (int rows = 1; rows <= 11; rows++) {
            for (int cols : widths) {
                try (Arena arena = Arena.ofConfined()) {
                    CodeMatrix codes = randomCodes(arena, random, bits, rows, cols);
                    MemorySegment x = randomInput(arena, random, codes);
                    MemorySegment y = arena.allocate(4L * rows);
                    MemorySegment oracle = arena.allocate(4L * rows);
                    vector.matvec(codes, x, y, 0, rows);
                    scalar.matvec(codes, x, oracle, 0, rows);
                    float bound = (float) (vector.errorBound(codes, x) + scalar.errorBound(codes, x));
                    for (int i = 0; i < rows; i++) {
                        float found = y.getAtIndex(FLOAT, i);
                        assertThat(found).as("%d x %d row %d", rows, cols, i).isEqualTo(promised(codes, i, x));
                        assertThat(found).isCloseTo(oracle.getAtIndex(FLOAT, i), within(bound));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void bitsDoNotDependOnHowRowsAreSplit(int bits) {
        SplittableRandom random = random("bitsDoNotDependOnHowRowsAreSplit");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = randomCodes(arena, random, bits, 61, 776);
            MemorySegment x = randomInput(arena, random, codes);
            MemorySegment whole = arena.allocate(4L * 61);
            vector.matvec(codes, x, whole, 0, 61);
            for (int trial = 0; trial < 50; trial++) {
                MemorySegment y = arena.allocate(4L * 61);
                for (int from = 0; from < 61; ) {
                    int to = Math.min(61, from + random.nextInt(10));
                    vector.matvec(codes, x, y, from, to);
                    for (int i = to; i < 61; i++) {
                        assertThat(y.getAtIndex(FLOAT, i)).isZero();
                    }
                    from = to;
                }
                assertThat(y.mismatch(whole)).isEqualTo(-1);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void decodesAsTheOracle(int bits) {
        SplittableRandom random = random("decodesAsTheOracle");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = randomCodes(arena, random, bits, 33, 8 * 257 - 3);
            // Every E8P code at least once.
            CodeMatrix all = CodeMatrix.allocate(arena, Codebook.ofBits(bits), 256, 2048);
            for (int i = 0; i < 65536; i++) {
                all.setCode(i / 256, i % 256, bits == 2 ? i : i << 16 | 40503 * i & (bits == 3 ? 0xff : 0xffff));
            }
            for (CodeMatrix matrix : new CodeMatrix[] {codes, all}) {
                int from = random.nextInt(matrix.rows());
                for (int[] range : new int[][] {{0, matrix.rows()}, {from, matrix.rows()}, {from, from}, {0, from}}) {
                    long bytes = 32L * matrix.groups() * (range[1] - range[0]);
                    MemorySegment expected = arena.allocate(bytes);
                    MemorySegment found = arena.allocate(bytes);
                    scalar.decode(matrix, range[0], range[1], expected);
                    vector.decode(matrix, range[0], range[1], found);
                    assertThat(found.mismatch(expected)).isEqualTo(-1);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void decodesThePublishedTensors(int bits) {
        Golden golden = Golden.open("packed.safetensors");
        String prefix = bits == 2 ? "e8p" : "rvq" + bits;
        long[] qidxs = golden.get(prefix + "_Qidxs").longs();
        float[] expected = golden.get(prefix + "_W_f16").floats();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment words = arena.allocateFrom(ValueLayout.JAVA_LONG, qidxs);
            CodeMatrix codes = PublishedLayout.unpack(arena, Codebook.ofBits(bits), 32, 128, words);
            MemorySegment out = arena.allocate(4L * expected.length);
            vector.decode(codes, 0, 32, out);
            for (int i = 0; i < expected.length; i++) {
                float tolerance = bits == 2 ? 0 : 2e-3f;
                assertThat(out.getAtIndex(FLOAT, i)).as("element %d", i).isCloseTo(expected[i], within(tolerance));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    @Tag("allocation")
    void allocatesNothing(int bits) {
        SplittableRandom random = random("allocatesNothing");
        try (Arena arena = Arena.ofShared()) {
            CodeMatrix codes = randomCodes(arena, random, bits, 39, 1024);
            MemorySegment x = randomInput(arena, random, codes);
            MemorySegment y = arena.allocate(4L * 39);
            MemorySegment out = arena.allocate(4L * 39 * 1024);
            Allocation.assertNone(bits + "-bit matvec", () -> vector.matvec(codes, x, y, 0, 39));
            Allocation.assertNone(bits + "-bit decode", () -> vector.decode(codes, 0, 39, out));
        }
    }

    @Test
    void wrongArgumentsAreRefused() {
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = CodeMatrix.allocate(arena, E8p.INSTANCE, 4, 16);
            MemorySegment x = arena.allocate(64);
            MemorySegment y = arena.allocate(16);
            for (MatvecKernel kernel : new MatvecKernel[] {vector, scalar}) {
                assertThatThrownBy(() -> kernel.matvec(codes, x, y, 2, 5))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("rows 2 to 5");
                assertThatThrownBy(() -> kernel.matvec(codes, y, y, 0, 4))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("x of 64 bytes");
                assertThatThrownBy(() -> kernel.decode(codes, 0, 4, x))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("256 bytes, found 64");
            }
        }
    }
}
