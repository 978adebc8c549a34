package dev.gosset.core.kernel.transform;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.VectorMethods;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.kernel.oracle.ScalarTransform;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Random;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@Tag("kernel")
class TransformKernelTest {
    private static final int[] GOLDEN = {
        2, 8, 64, 96, 160, 224, 288, 384, 416, 480, 864, 928, 992, 1120, 1248, 1376, 4096, 5120, 11008, 13824, 14336,
        28672
    };

    private static RandomGenerator fresh(String what) {
        long seed = System.nanoTime();
        System.out.println("TransformKernelTest " + FloatVector.SPECIES_PREFERRED + " " + what + ": seed " + seed);
        return new Random(seed);
    }

    static Stream<TransformKernel> kernels() {
        return Stream.of(new ScalarTransform(), new VectorTransform());
    }

    static Stream<Arguments> goldenSizes() {
        return kernels().flatMap(k -> IntStream.of(GOLDEN).mapToObj(n -> Arguments.of(k, n)));
    }

    /** The rows transformed by {@code kernel}, which must leave the bytes around them and the spare scratch alone. */
    private static float[] applied(
            TransformKernel kernel, HadamardTransform u, boolean transpose, float[] x, int byteOffset) {
        try (Arena arena = Arena.ofConfined()) {
            long scratchBytes = kernel.scratchBytes(u);
            MemorySegment all =
                    arena.allocate(4L * x.length + byteOffset + 64, 64).fill((byte) 0x5a);
            MemorySegment scratch =
                    arena.allocate(scratchBytes + byteOffset + 64, 64).fill((byte) 0xff);
            MemorySegment rows = all.asSlice(byteOffset, 4L * x.length);
            MemorySegment.copy(x, 0, rows, JAVA_FLOAT_UNALIGNED, 0, x.length);
            kernel.apply(u, transpose, rows, x.length / u.n(), scratch.asSlice(byteOffset, scratchBytes));
            for (long i = 0; i < 64; i++) {
                long guard = i < byteOffset ? i : 4L * x.length + i;
                assertThat(all.get(JAVA_BYTE, guard)).isEqualTo((byte) 0x5a);
                long spare = i < byteOffset ? i : scratchBytes + i;
                assertThat(scratch.get(JAVA_BYTE, spare)).isEqualTo((byte) 0xff);
            }
            return rows.toArray(JAVA_FLOAT_UNALIGNED);
        }
    }

    private static float[] oracle(HadamardTransform u, boolean transpose, float[] x) {
        double[] d = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            d[i] = x[i];
        }
        for (int at = 0; at < x.length; at += u.n()) {
            u.apply(d, at, transpose);
        }
        float[] y = new float[x.length];
        for (int i = 0; i < x.length; i++) {
            y[i] = (float) d[i];
        }
        return y;
    }

    private static float[] normal(RandomGenerator random, int count) {
        float[] x = new float[count];
        for (int i = 0; i < count; i++) {
            x[i] = (float) random.nextGaussian();
        }
        return x;
    }

    private static void assertEqualsOracle(
            TransformKernel kernel, RandomGenerator random, int n, int rows, boolean transpose, int byteOffset) {
        HadamardTransform u = HadamardTransform.of(n);
        float[] x = normal(random, n * rows);
        float[] expected = oracle(u, transpose, x);
        float[] actual = applied(kernel, u, transpose, x, byteOffset);
        // Of normal elements, the largest of which are four or five; the oracle is rounded too.
        double tolerance = 6 * kernel.relativeError(u) + 5 * 0x1p-24;
        String what = kernel + ", " + u + ", " + rows + " rows, transpose " + transpose + ", offset " + byteOffset;
        assertClose(what, actual, expected, tolerance);
    }

    /** A plain loop: AssertJ takes microseconds for each of a million elements. */
    private static void assertClose(String what, float[] found, float[] expected, double tolerance) {
        assertThat(found).as(what).hasSameSizeAs(expected);
        for (int i = 0; i < found.length; i++) {
            if (!(Math.abs((double) found[i] - expected[i]) <= tolerance)) {
                throw new AssertionError(
                        what + ": element " + i + " is " + found[i] + ", the oracle says " + expected[i]);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("goldenSizes")
    void equalsTheGoldenFloat32(TransformKernel kernel, int n) {
        Golden golden = Golden.open("hadU.safetensors");
        float[] x = golden.get("n" + n + "_x").floats();
        for (boolean transpose : new boolean[] {false, true}) {
            float[] expected = golden.get("n" + n + (transpose ? "_Ut" : "_U")).floats();
            assertThat(applied(kernel, HadamardTransform.of(n), transpose, x, 0))
                    .containsExactly(expected, within(5e-6f));
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void equalsTheOracleForEverySizeUpTo300(TransformKernel kernel) {
        RandomGenerator random = fresh("small sizes");
        for (int n = 1; n <= 300; n++) {
            for (boolean transpose : new boolean[] {false, true}) {
                assertEqualsOracle(kernel, random, n, random.nextInt(40), transpose, random.nextInt(64));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void equalsTheOracleForModelSizes(TransformKernel kernel) {
        RandomGenerator random = fresh("model sizes");
        int[] sizes = {
            512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 896, 1536, 2560, 3072, 3200, 3328, 3584, 4864,
            1792, 5120, 5504, 5632, 6144, 6656, 6912, 7168, 8640, 9216, 9728, 10240, 10944, 11008, 12288, 12800, 13696,
            13824, 14336, 14848, 15360, 17920, 18432, 18944, 19968, 22016, 25600, 27392, 28672, 29568, 53248, 57344,
                    114688
        };
        for (int n : sizes) {
            for (boolean transpose : new boolean[] {false, true}) {
                assertEqualsOracle(kernel, random, n, 1 + random.nextInt(2), transpose, 4 * random.nextInt(16));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void equalsTheOracleForAwkwardSizes(TransformKernel kernel) {
        RandomGenerator random = fresh("awkward sizes");
        for (int n : new int[] {
            1009, 1999, 2018, 2047, 2049, 4094, 4098, 10007, 10920, 20014, 65521, 1365, 1 + random.nextInt(9999)
        }) {
            assertEqualsOracle(kernel, random, n, 1 + random.nextInt(3), random.nextBoolean(), random.nextInt(64));
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void aRowDoesNotDependOnItsNeighbours(TransformKernel kernel) {
        RandomGenerator random = fresh("neighbours");
        for (int n : new int[] {4, 24, 37, 112, 148, 384, 4096, 5120, 14336}) {
            HadamardTransform u = HadamardTransform.of(n);
            int rows = 19;
            float[] x = normal(random, n * rows);
            float[] together = applied(kernel, u, true, x, 0);
            for (int row = 0; row < rows; row++) {
                float[] alone = applied(kernel, u, true, Arrays.copyOfRange(x, n * row, n * (row + 1)), 4);
                assertThat(alone).containsExactly(Arrays.copyOfRange(together, n * row, n * (row + 1)));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void survivesExtremes(TransformKernel kernel) {
        for (int n : new int[] {64, 37, 384, 4096, 14336, 18944}) {
            HadamardTransform u = HadamardTransform.of(n);
            float[] zero = new float[n];
            assertThat(applied(kernel, u, false, zero, 0)).containsOnly(0f);
            float[] big = new float[n];
            big[n / 3] = 1e38f;
            assertThat(applied(kernel, u, false, big, 0)).containsExactly(oracle(u, false, big), within(1e33f));
            float[] one = new float[n];
            one[n - 1] = 1;
            assertThat(applied(kernel, u, true, one, 0)).containsExactly(oracle(u, true, one), within(1e-7f));
            float[] bad = new float[n];
            bad[1] = Float.NaN;
            assertThat(applied(kernel, u, false, bad, 0)).containsOnly(Float.NaN);
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void refusesShortOrHeapSegments(TransformKernel kernel) {
        HadamardTransform u = HadamardTransform.of(96);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(4 * 96 * 2);
            MemorySegment scratch = arena.allocate(kernel.scratchBytes(u));
            assertThatThrownBy(() -> kernel.apply(u, false, x, 3, scratch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("3 rows of 96");
            assertThatThrownBy(() -> kernel.apply(u, false, x, 2, scratch.asSlice(1)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("scratch");
            assertThatThrownBy(() -> kernel.apply(u, false, MemorySegment.ofArray(new float[96]), 1, scratch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("native");
        }
    }

    /** {@code after (U (before x))} by the plainest route: float64, one array after the other. */
    private static float[] oracle(HadamardTransform u, boolean transpose, float[] before, float[] x, float[] after) {
        int n = u.n();
        double[] d = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            d[i] = (double) x[i] * before[i % n];
        }
        float[] y = new float[x.length];
        for (int at = 0; at < x.length; at += n) {
            u.apply(d, at, transpose);
        }
        for (int i = 0; i < x.length; i++) {
            y[i] = (float) (d[i] * after[i % n]);
        }
        return y;
    }

    /** The scale comes first, so nothing overflows whose result does not. */
    @ParameterizedTest
    @MethodSource("kernels")
    void multipliesLargeNumbersAfter(TransformKernel kernel) {
        for (int n : new int[] {64, 384, 4096, 5120, 11008, 16384}) {
            HadamardTransform u = HadamardTransform.of(n);
            float[] x = new float[n];
            Arrays.fill(x, 1e36f);
            float[] f = ones(n);
            f[n - 1] = -1;
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment in = arena.allocateFrom(JAVA_FLOAT_UNALIGNED, x);
                MemorySegment factors = arena.allocateFrom(JAVA_FLOAT_UNALIGNED, f);
                kernel.applyThenMultiply(u, false, in, factors, 1, arena.allocate(kernel.scratchBytes(u)));
                assertClose(kernel + ", " + u, in.toArray(JAVA_FLOAT_UNALIGNED), oracle(u, false, ones(n), x, f), 1e33);
            }
        }
    }

    private static float[] ones(int n) {
        float[] ones = new float[n];
        Arrays.fill(ones, 1);
        return ones;
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void takesFactorsBeforeAndAfter(TransformKernel kernel) {
        RandomGenerator random = fresh("factors");
        int[] sizes = {
            1, 3, 7, 16, 24, 32, 37, 48, 64, 96, 128, 148, 256, 384, 896, 1024, 1792, 2752, 3584, 4096, 5120, 7168,
            8192, 11008, 14336, 16384, 22016, 28672, 57344, 65536
        };
        for (int n : sizes) {
            HadamardTransform u = HadamardTransform.of(n);
            boolean transpose = random.nextBoolean();
            int rows = 1 + random.nextInt(3);
            int offset = random.nextInt(64);
            float[] x = normal(random, n * rows);
            float[] f = normal(random, n);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment in = arena.allocate(4L * n * rows + offset, 64).asSlice(offset);
                MemorySegment out = arena.allocate(4L * n * rows + offset, 64).asSlice(offset);
                MemorySegment factors = arena.allocate(4L * n + offset, 64).asSlice(offset);
                MemorySegment scratch = arena.allocate(kernel.scratchBytes(u), 64);
                MemorySegment.copy(x, 0, in, JAVA_FLOAT_UNALIGNED, 0, x.length);
                MemorySegment.copy(f, 0, factors, JAVA_FLOAT_UNALIGNED, 0, n);
                String what = kernel + ", " + u + ", transpose " + transpose + ", " + rows + " rows";

                float[] expected = oracle(u, transpose, f, x, ones(n));
                kernel.applyToProduct(u, transpose, in.asReadOnly(), factors.asReadOnly(), out, rows, scratch);
                assertClose(what, out.toArray(JAVA_FLOAT_UNALIGNED), expected, 2e-5);
                assertClose(what, in.toArray(JAVA_FLOAT_UNALIGNED), x, 0);
                kernel.applyToProduct(u, transpose, in, factors, in, rows, scratch);
                assertClose(what, in.toArray(JAVA_FLOAT_UNALIGNED), out.toArray(JAVA_FLOAT_UNALIGNED), 0);

                MemorySegment.copy(x, 0, in, JAVA_FLOAT_UNALIGNED, 0, x.length);
                expected = oracle(u, transpose, ones(n), x, f);
                kernel.applyThenMultiply(u, transpose, in, factors, rows, scratch);
                assertClose(what, in.toArray(JAVA_FLOAT_UNALIGNED), expected, 2e-5);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void refusesTooFewFactors(TransformKernel kernel) {
        HadamardTransform u = HadamardTransform.of(96);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(4 * 96);
            MemorySegment scratch = arena.allocate(kernel.scratchBytes(u));
            MemorySegment few = arena.allocate(4 * 95);
            assertThatThrownBy(() -> kernel.applyToProduct(u, false, x, few, x, 1, scratch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("96 factors need 384 bytes, found 380");
            assertThatThrownBy(() -> kernel.applyThenMultiply(u, false, x, few, 1, scratch))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> kernel.applyToProduct(u, false, x, x, few, 1, scratch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("1 rows of 96");
            MemorySegment heap = MemorySegment.ofArray(new float[96]);
            assertThatThrownBy(() -> kernel.applyThenMultiply(u, false, x, heap, 1, scratch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("heap");
        }
    }

    /** C2 boxes vectors silently where a method outgrows its node budget: this is where that shows. */
    @Test
    @Tag("allocation")
    void allocatesNothingAfterWarmUp() {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        TransformKernel kernel = new VectorTransform();
        long here = Thread.currentThread().threadId();
        for (int n : new int[] {
            4, 16, 32, 64, 512, 1024, 2048, 4096, 8192, 16384, 37, 148, 896, 3200, 5120, 6656, 11008, 14336, 18944,
            28672
        }) {
            HadamardTransform u = HadamardTransform.of(n);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment x = arena.allocate(4L * n * 2);
                MemorySegment f = arena.allocate(4L * n);
                MemorySegment scratch = arena.allocate(kernel.scratchBytes(u));
                int clean = 0;
                long bytes = 0;
                long deadline = System.nanoTime() + 20_000_000_000L;
                while (clean < 5 && System.nanoTime() < deadline) {
                    long before = threads.getThreadAllocatedBytes(here);
                    for (int i = 0; i < 20; i++) {
                        kernel.apply(u, (i & 1) == 0, x, 2, scratch);
                        kernel.applyToProduct(u, true, x, f, x, 2, scratch);
                        kernel.applyThenMultiply(u, false, x, f, 2, scratch);
                    }
                    bytes = threads.getThreadAllocatedBytes(here) - before;
                    clean = bytes == 0 ? clean + 1 : 0;
                }
                assertThat(clean)
                        .as("n = %d, %s: %d bytes in 20 calls", n, FloatVector.SPECIES_PREFERRED, bytes)
                        .isEqualTo(5);
            }
        }
    }

    /** What keeps the promise above whatever was compiled first: see the comment in {@link VectorSylvester}. */
    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(VectorSylvester.class))
                .allMatch(m -> m.startsWith("sign "));
        for (Class<?> passes : new Class<?>[] {RadixPasses.class, SmallMatrixProduct.class}) {
            assertThat(VectorMethods.shorterThanTheInliningLimit(passes)).isEmpty();
        }
    }

    /** The door: addresses are used behind it, so what is wrong must be found before. */
    @Test
    void refusesClosedForeignAndReadOnlyMemory() throws InterruptedException {
        TransformKernel kernel = new VectorTransform();
        HadamardTransform u = HadamardTransform.of(96);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(4 * 96);
            MemorySegment scratch = arena.allocate(kernel.scratchBytes(u));
            MemorySegment closed;
            try (Arena shortLived = Arena.ofShared()) {
                closed = shortLived.allocate(1 << 16);
            }
            assertThatThrownBy(() -> kernel.apply(u, false, closed, 1, scratch))
                    .isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> kernel.apply(u, false, x, 1, closed)).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> kernel.apply(u, false, x.asReadOnly(), 1, scratch))
                    .isInstanceOf(IllegalArgumentException.class);
            Throwable[] thrown = new Throwable[1];
            Thread other = new Thread(() -> {
                try {
                    kernel.apply(u, false, x, 1, scratch);
                } catch (RuntimeException e) {
                    thrown[0] = e;
                }
            });
            other.start();
            other.join();
            assertThat(thrown[0]).isInstanceOf(WrongThreadException.class);
        }
    }

    /** The bound of the Javadoc, for numbers of very different sizes. */
    @Test
    void errorsStayWithinTheStatedBound() {
        RandomGenerator random = fresh("error bound");
        TransformKernel kernel = new VectorTransform();
        for (int n : new int[] {64, 96, 384, 2368, 4096, 5120, 7168, 11008, 14336, 16384, 28672}) {
            HadamardTransform u = HadamardTransform.of(n);
            float[] x = normal(random, n);
            double sum = 0;
            for (int i = 0; i < n; i++) {
                x[i] = Math.scalb(x[i], random.nextInt(40) - 20);
                sum += Math.abs(x[i]);
            }
            // one more for the rounding of the oracle to float32
            double bound = (kernel.roundings(u) + 1) * 0x1p-24 * sum / Math.sqrt(n);
            for (boolean transpose : new boolean[] {false, true}) {
                float[] expected = oracle(u, transpose, x);
                float[] actual = applied(kernel, u, transpose, x, 0);
                for (int i = 0; i < n; i++) {
                    assertThat(Math.abs((double) actual[i] - expected[i]))
                            .as("%s, element %d", u, i)
                            .isLessThanOrEqualTo(bound);
                }
            }
        }
    }
}
