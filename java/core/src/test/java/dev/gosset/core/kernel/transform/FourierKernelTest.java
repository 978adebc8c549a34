package dev.gosset.core.kernel.transform;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;

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
import java.util.List;
import java.util.Random;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The Fourier transform of pairs, scalar and by vectors, against its definition as a sum. */
@Tag("kernel")
class FourierKernelTest {
    private final long seed = System.nanoTime();
    private final Random random = new Random(seed);

    private static HadamardTransform fourier(int n) {
        return HadamardTransform.of(n, HadamardTransform.Kind.FOURIER);
    }

    private float[] normal(int count) {
        float[] x = new float[count];
        for (int i = 0; i < count; i++) {
            x[i] = (float) random.nextGaussian();
        }
        return x;
    }

    /** {@code after^* U (before x)}, or U^T, each output a sum over all inputs; U^T is the forward transform. */
    private static double[] defined(boolean transpose, float[] before, float[] x, float[] after) {
        int half = x.length / 2;
        double[] cos = new double[half];
        double[] sin = new double[half];
        for (int k = 0; k < half; k++) {
            cos[k] = Math.cos(2 * Math.PI * k / half) / Math.sqrt(half);
            sin[k] = (transpose ? -1 : 1) * Math.sin(2 * Math.PI * k / half) / Math.sqrt(half);
        }
        double[] u = times(before, x, 1);
        double[] y = new double[x.length];
        for (int j = 0; j < half; j++) {
            for (int k = 0; k < half; k++) {
                int angle = (int) ((long) j * k % half);
                y[2 * j] += u[2 * k] * cos[angle] - u[2 * k + 1] * sin[angle];
                y[2 * j + 1] += u[2 * k] * sin[angle] + u[2 * k + 1] * cos[angle];
            }
        }
        double[] out = y.clone();
        for (int j = 0; j < half; j++) {
            out[2 * j] = after[2 * j] * y[2 * j] + after[2 * j + 1] * y[2 * j + 1];
            out[2 * j + 1] = after[2 * j] * y[2 * j + 1] - after[2 * j + 1] * y[2 * j];
        }
        return out;
    }

    private static double[] times(float[] f, float[] x, int sign) {
        double[] u = new double[x.length];
        for (int k = 0; k < x.length; k += 2) {
            u[k] = (double) f[k] * x[k] - (double) sign * f[k + 1] * x[k + 1];
            u[k + 1] = (double) f[k] * x[k + 1] + (double) sign * f[k + 1] * x[k];
        }
        return u;
    }

    private static float[] ones(int n) {
        float[] ones = new float[n];
        for (int i = 0; i < n; i += 2) {
            ones[i] = 1;
        }
        return ones;
    }

    private enum Way {
        PLAIN,
        BEFORE,
        IN_PLACE,
        AFTER
    }

    /** One call; memory of odd addresses, of which the bytes behind stay as they are. */
    private static float[] applied(
            TransformKernel kernel, HadamardTransform u, boolean transpose, float[] x, float[] f, Way way) {
        try (Arena arena = Arena.ofConfined()) {
            int rows = x.length / u.n();
            long bytes = 4L * x.length;
            MemorySegment in = arena.allocate(bytes + 67, 64).asSlice(4).fill((byte) 0x5a);
            MemorySegment other = arena.allocate(bytes + 67, 64).asSlice(12).fill((byte) 0x5a);
            MemorySegment factors = arena.allocate(4L * f.length + 8).asSlice(8);
            long scratchBytes = kernel.scratchBytes(u);
            MemorySegment scratch = arena.allocate(scratchBytes + 20, 64).fill((byte) 0xff);
            MemorySegment.copy(x, 0, in, JAVA_FLOAT_UNALIGNED, 0, x.length);
            MemorySegment.copy(f, 0, factors, JAVA_FLOAT_UNALIGNED, 0, f.length);
            MemorySegment work = scratch.asSlice(4, scratchBytes);
            MemorySegment out = in;
            switch (way) {
                case PLAIN -> kernel.apply(u, transpose, in.asSlice(0, bytes), rows, work);
                case IN_PLACE -> kernel.applyToProduct(u, transpose, in, factors, in, rows, work);
                case AFTER -> kernel.applyThenMultiply(u, transpose, in, factors, rows, work);
                case BEFORE -> {
                    out = other;
                    kernel.applyToProduct(u, transpose, in.asReadOnly(), factors, other, rows, work);
                    assertThat(in.asSlice(0, bytes).toArray(JAVA_FLOAT_UNALIGNED))
                            .containsExactly(x);
                }
            }
            for (long i = bytes; i < out.byteSize(); i++) {
                assertThat(out.get(java.lang.foreign.ValueLayout.JAVA_BYTE, i)).isEqualTo((byte) 0x5a);
            }
            for (long i = 4 + scratchBytes; i < scratch.byteSize(); i++) {
                assertThat(scratch.get(java.lang.foreign.ValueLayout.JAVA_BYTE, i))
                        .isEqualTo((byte) 0xff);
            }
            return out.asSlice(0, bytes).toArray(JAVA_FLOAT_UNALIGNED);
        }
    }

    /** Widths of models, every radix, primes of a chirp, and what only the oracle takes. */
    @ParameterizedTest
    @ValueSource(
            ints = {
                2, 4, 6, 22, 30, 32, 64, 96, 106, 128, 134, 192, 256, 320, 384, 448, 512, 576, 640, 704, 832, 896, 960,
                1024, 1088, 1728, 1792, 2048, 2304, 2752, 3136, 3584, 4096, 5632
            })
    void equalsTheDefinition(int n) {
        HadamardTransform u = fourier(n);
        for (TransformKernel kernel : List.of(new ScalarTransform(), new VectorTransform())) {
            for (boolean transpose : new boolean[] {false, true}) {
                float[] x = normal(n);
                float[] f = normal(n);
                for (Way way : Way.values()) {
                    double[] expected = defined(
                            transpose,
                            way == Way.BEFORE || way == Way.IN_PLACE ? f : ones(n),
                            x,
                            way == Way.AFTER ? f : ones(n));
                    float[] found = applied(kernel, u, transpose, x, f, way);
                    double worst = 0;
                    for (int i = 0; i < n; i++) {
                        worst = Math.max(worst, Math.abs(found[i] - expected[i]));
                    }
                    assertThat(worst)
                            .as("%s, n %d, transpose %s, %s, seed %d", kernel, n, transpose, way, seed)
                            .isLessThan(1e-5);
                }
            }
        }
    }

    /** Larger ones against the oracle, within the bound that the kernel states. */
    @ParameterizedTest
    @ValueSource(ints = {11008, 13824, 14336, 18944, 28672, 29568, 65536, 64 * 509, 64 * 521})
    void keepsItsBound(int n) {
        HadamardTransform u = fourier(n);
        TransformKernel kernel = new VectorTransform();
        float[] x = normal(n);
        double sum = 0;
        double squares = 0;
        for (int i = 0; i < n; i++) {
            x[i] = Math.scalb(x[i], random.nextInt(40) - 20);
            sum += Math.abs(x[i]);
            squares += (double) x[i] * x[i];
        }
        double bound = (kernel.roundings(u) + 1) * 0x1p-24 * sum / Math.sqrt(n);
        for (boolean transpose : new boolean[] {false, true}) {
            float[] expected = applied(new ScalarTransform(), u, transpose, x, x, Way.PLAIN);
            float[] found = applied(kernel, u, transpose, x, x, Way.PLAIN);
            double errors = 0;
            double worst = 0;
            for (int i = 0; i < n; i++) {
                double error = (double) found[i] - expected[i];
                worst = Math.max(worst, Math.abs(error));
                errors += error * error;
            }
            assertThat(worst).as("n %d, seed %d", n, seed).isLessThan(bound);
            assertThat(Math.sqrt(errors / squares)).isLessThan(kernel.relativeError(u) + 0x1p-24);
        }
    }

    @Test
    void equalsTheGoldenVectors() {
        Golden golden = Golden.read(Golden.shared().resolve("spec/golden-quip/rfft.safetensors"));
        for (int n : new int[] {22, 106, 384}) {
            double[] theta = golden.get("n" + n + ".theta").doubles();
            double[] x = golden.get("n" + n + ".x").doubles();
            double[] y = golden.get("n" + n + ".y").doubles();
            double[] phases = dev.gosset.core.hadamard.FourierTransform.phases(theta);
            for (int row = 0; row < 3; row++) {
                double[] v = Arrays.copyOfRange(x, n * row, n * (row + 1));
                fourier(n).multiply(phases, v, false);
                fourier(n).apply(v, 0, true);
                assertThat(v)
                        .usingComparatorWithPrecision(1e-12)
                        .containsExactly(Arrays.copyOfRange(y, n * row, n * (row + 1)));
                fourier(n).apply(v, 0, false);
                fourier(n).multiply(phases, v, true);
                assertThat(v)
                        .usingComparatorWithPrecision(1e-12)
                        .containsExactly(Arrays.copyOfRange(x, n * row, n * (row + 1)));
            }
        }
    }

    @Test
    void aRowDoesNotDependOnItsNeighbours() {
        for (int n : new int[] {22, 64, 448, 5632}) {
            for (TransformKernel kernel : List.of(new ScalarTransform(), new VectorTransform())) {
                float[] x = normal(3 * n);
                float[] f = normal(n);
                for (Way way : Way.values()) {
                    float[] together = applied(kernel, fourier(n), true, x, f, way);
                    for (int row = 0; row < 3; row++) {
                        assertThat(applied(
                                        kernel, fourier(n), true, Arrays.copyOfRange(x, n * row, n * row + n), f, way))
                                .containsExactly(Arrays.copyOfRange(together, n * row, n * row + n));
                    }
                }
            }
        }
    }

    @Test
    void transformsOfEachKindAreRefusedWhereThereAreNone() {
        org.assertj.core.api.Assertions.assertThatThrownBy(() -> fourier(33))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("even length, found 33");
        org.assertj.core.api.Assertions.assertThatThrownBy(
                        () -> HadamardTransform.of(5632, HadamardTransform.Kind.HADAMARD))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("there is no Hadamard matrix of length 5632");
        assertThat(HadamardTransform.of(4096, HadamardTransform.Kind.HARTLEY)).isSameAs(HadamardTransform.of(4096));
        assertThat(HadamardTransform.of(11008, HadamardTransform.Kind.HARTLEY).k())
                .isEqualTo(43);
        assertThat(HadamardTransform.of(11008, HadamardTransform.Kind.HARTLEY).isDefault())
                .isFalse();
    }

    @Test
    @Tag("allocation")
    void allocatesNothingAfterWarmUp() {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        TransformKernel kernel = new VectorTransform();
        long here = Thread.currentThread().threadId();
        for (int n : new int[] {22, 64, 128, 448, 1024, 5632, 14336}) {
            HadamardTransform u = fourier(n);
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

    /** See the comment in {@link VectorSylvester}. */
    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(FourierPasses.class))
                .isEmpty();
    }
}
