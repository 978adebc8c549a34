package dev.gosset.core.kernel.encode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.kernel.Allocation;
import dev.gosset.core.kernel.contract.EncodeKernel;
import dev.gosset.core.kernel.oracle.ScalarEncode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The vector encoder against the float64 oracle. */
@Tag("kernel")
class EncodeKernelTest {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

    private final EncodeKernel vector = new VectorEncode();
    private final EncodeKernel scalar = new ScalarEncode();

    private static SplittableRandom random(String test) {
        long seed = System.nanoTime();
        System.out.println("EncodeKernelTest." + test + " seed " + seed);
        return new SplittableRandom(seed);
    }

    private static MemorySegment gaussian(Arena arena, SplittableRandom random, int count, double scale) {
        MemorySegment x = arena.allocate(32L * count, 4);
        for (int i = 0; i < 8 * count; i++) {
            x.setAtIndex(FLOAT, i, (float) (scale * random.nextGaussian()));
        }
        return x;
    }

    private static double squaredDistance(MemorySegment x, int i, double factor, double[] offset, double[] point) {
        double sum = 0;
        for (int c = 0; c < 8; c++) {
            double d = (x.getAtIndex(FLOAT, 8L * i + c) - offset[c]) * factor - point[c];
            sum += d * d;
        }
        return sum;
    }

    /** Codes may differ only where two points are equally near within float rounding; returns how many differ. */
    private int compare(Codebook codebook, MemorySegment x, int count, double tolerance) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment found = arena.allocate(4L * count);
            MemorySegment expected = arena.allocate(4L * count);
            MemorySegment values = arena.allocate(32L * count);
            scalar.nearest(codebook, x, count, values, expected);
            vector.nearest(codebook, x, count, values, found);
            double[] zero = new double[8];
            double[] a = new double[8];
            double[] b = new double[8];
            float[] value = new float[8];
            int differing = 0;
            for (int i = 0; i < count; i++) {
                int code = found.getAtIndex(INT, i);
                ScalarEncode.decode(codebook, code, a, value);
                for (int c = 0; c < 8; c++) {
                    assertThat(values.getAtIndex(FLOAT, 8L * i + c)).isEqualTo(value[c]);
                }
                int oracle = expected.getAtIndex(INT, i);
                if (code == oracle) {
                    continue;
                }
                differing++;
                int shift = codebook.bits() == 2 ? 0 : 16;
                E8p.INSTANCE.decode(code >>> shift, a, 0);
                E8p.INSTANCE.decode(oracle >>> shift, b, 0);
                double best = Math.sqrt(squaredDistance(x, i, 1, zero, b));
                assertThat(Math.sqrt(squaredDistance(x, i, 1, zero, a)))
                        .as("vector %d: %x, oracle %x", i, code, oracle)
                        .isCloseTo(best, within(tolerance * best));
                if (code >>> shift == oracle >>> shift) {
                    // The residual alone differs: it too must be equally near.
                    double[] first = b.clone();
                    decodeResidual(codebook, code, a);
                    decodeResidual(codebook, oracle, b);
                    best = Math.sqrt(squaredDistance(x, i, codebook.residualScale(), first, b));
                    assertThat(Math.sqrt(squaredDistance(x, i, codebook.residualScale(), first, a)))
                            .as("residual of vector %d: %x, oracle %x", i, code, oracle)
                            .isCloseTo(best, within(tolerance * best));
                }
            }
            return differing;
        }
    }

    private static void decodeResidual(Codebook codebook, int code, double[] out) {
        if (codebook.bits() == 3) {
            E81b.decode(code, out, 0);
        } else {
            E8p.INSTANCE.decode(code, out, 0);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void gaussianVectorsGetTheOraclesCodes(int bits) {
        SplittableRandom random = random("gaussianVectorsGetTheOraclesCodes");
        Codebook codebook = Codebook.ofBits(bits);
        int count = 120_000;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = gaussian(arena, random, count, codebook.optimalScale());
            int differing = compare(codebook, x, count, 1e-5);
            System.out.println(codebook.name() + ": " + differing + " of " + count + " codes differ");
            assertThat(differing).isLessThanOrEqualTo(count / 10_000);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void otherMagnitudes(int bits) {
        SplittableRandom random = random("otherMagnitudes");
        for (double scale : new double[] {0, 1e-40, 1e-20, 1e-6, 0.1, 0.5, 2, 4, 20, 1e4, 1e12}) {
            try (Arena arena = Arena.ofConfined()) {
                compare(Codebook.ofBits(bits), gaussian(arena, random, 2000, scale), 2000, 1e-5);
            }
        }
    }

    /** Multiples of 1/4: exact ties of every kind, with many equal and zero coordinates of x - shift. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void ties(int bits) {
        SplittableRandom random = random("ties");
        try (Arena arena = Arena.ofConfined()) {
            int count = 20_000;
            MemorySegment x = arena.allocate(32L * count);
            for (int i = 0; i < count; i++) {
                int bound = 1 + random.nextInt(14);
                for (int c = 0; c < 8; c++) {
                    x.setAtIndex(FLOAT, 8L * i + c, random.nextInt(-bound, bound + 1) / 4f);
                }
            }
            compare(Codebook.ofBits(bits), x, count, 1e-5);
        }
    }

    @Test
    void everyPointIsItsOwnNearest() {
        try (Arena arena = Arena.ofConfined()) {
            int count = 65536;
            MemorySegment x = arena.allocate(32L * count);
            MemorySegment values = arena.allocate(32L * count);
            MemorySegment codes = arena.allocate(4L * count);
            double[] v = new double[8];
            for (int i = 0; i < count; i++) {
                E8p.INSTANCE.decode(i, v, 0);
                for (int c = 0; c < 8; c++) {
                    x.setAtIndex(FLOAT, 8L * i + c, (float) v[c]);
                }
            }
            vector.nearest(E8p.INSTANCE, x, count, values, codes);
            for (int i = 0; i < count; i++) {
                assertThat(codes.getAtIndex(INT, i)).isEqualTo(i);
            }
            assertThat(values.mismatch(x)).isEqualTo(-1);
        }
    }

    /** Every count around the chunk and lane sizes, misaligned, in place, with nothing written beyond. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void countsAndOffsets(int bits) {
        SplittableRandom random = random("countsAndOffsets");
        Codebook codebook = Codebook.ofBits(bits);
        for (int count = 0; count <= 140; count++) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment x = gaussian(arena, random, count, 1);
                MemorySegment values = arena.allocate(32L * count);
                MemorySegment codes = arena.allocate(4L * count);
                // One at a time: near ties may fall otherwise than the oracle's, but not otherwise in a batch.
                for (int i = 0; i < count; i++) {
                    vector.nearest(
                            codebook, x.asSlice(32L * i, 32), 1, values.asSlice(32L * i, 32), codes.asSlice(4L * i, 4));
                }
                int shift = 4 * random.nextInt(16) + random.nextInt(4);
                MemorySegment block =
                        arena.allocate(shift + 36L * count + 64, 64).fill((byte) 0x55);
                MemorySegment inPlace = block.asSlice(shift, 32L * count);
                inPlace.copyFrom(x);
                MemorySegment found = block.asSlice(shift + 32L * count, 4L * count);
                vector.nearest(codebook, inPlace, count, inPlace, found);
                assertThat(found.mismatch(codes)).as("%d codes", count).isEqualTo(-1);
                assertThat(inPlace.mismatch(values)).as("%d values", count).isEqualTo(-1);
                for (long i = 0; i < block.byteSize(); i++) {
                    if (i < shift || i >= shift + 36L * count) {
                        assertThat(block.get(ValueLayout.JAVA_BYTE, i)).isEqualTo((byte) 0x55);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void nonFiniteInputsGiveSomeCode(int bits) {
        Codebook codebook = Codebook.ofBits(bits);
        SplittableRandom random = random("nonFiniteInputsGiveSomeCode");
        float[] odd = {
            Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MAX_VALUE, -0f, Float.MIN_VALUE
        };
        try (Arena arena = Arena.ofConfined()) {
            int count = 4000;
            MemorySegment x = gaussian(arena, random, count, 1);
            for (int i = 0; i < count; i++) {
                for (int k = random.nextInt(9); k > 0; k--) {
                    x.setAtIndex(FLOAT, 8L * i + random.nextInt(8), odd[random.nextInt(odd.length)]);
                }
            }
            MemorySegment values = arena.allocate(32L * count);
            MemorySegment codes = arena.allocate(4L * count);
            vector.nearest(codebook, x, count, values, codes);
            for (int i = 0; i < 8 * count; i++) {
                assertThat(Math.abs(values.getAtIndex(FLOAT, i))).isLessThan(4f);
            }
        }
    }

    @Test
    void threadsDoNotDisturbOneAnother() {
        SplittableRandom random = random("threadsDoNotDisturbOneAnother");
        try (Arena arena = Arena.ofShared()) {
            int count = 1000;
            MemorySegment x = gaussian(arena, random, count, 1);
            MemorySegment values = arena.allocate(32L * count);
            MemorySegment codes = arena.allocate(4L * count);
            vector.nearest(Codebook.ofBits(4), x, count, values, codes);
            IntStream.range(0, 200).parallel().forEach(i -> {
                try (Arena own = Arena.ofConfined()) {
                    MemorySegment v = own.allocate(32L * count);
                    MemorySegment c = own.allocate(4L * count);
                    vector.nearest(Codebook.ofBits(4), x, count, v, c);
                    assertThat(c.mismatch(codes)).isEqualTo(-1);
                    assertThat(v.mismatch(values)).isEqualTo(-1);
                }
            });
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    @Tag("allocation")
    void allocatesNothing(int bits) {
        SplittableRandom random = random("allocatesNothing");
        Codebook codebook = Codebook.ofBits(bits);
        try (Arena arena = Arena.ofConfined()) {
            int count = 1000;
            MemorySegment x = gaussian(arena, random, count, 1);
            MemorySegment values = arena.allocate(32L * count);
            MemorySegment codes = arena.allocate(4L * count);
            Allocation.assertNone(codebook.name(), () -> vector.nearest(codebook, x, count, values, codes));
        }
    }

    @Test
    void smallSegmentsAreRefused() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(64);
            MemorySegment codes = arena.allocate(4);
            for (EncodeKernel kernel : new EncodeKernel[] {vector, scalar}) {
                assertThatThrownBy(() -> kernel.nearest(E8p.INSTANCE, x, 2, x, codes))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("codes of 8, found 64, 64 and 4");
            }
        }
    }
}
