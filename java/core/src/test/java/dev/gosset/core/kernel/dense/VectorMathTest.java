package dev.gosset.core.kernel.dense;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.kernel.Allocation;
import dev.gosset.core.kernel.VectorMethods;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every loop against the formula in float64, over sizes around the vector width and odd addresses. */
class VectorMathTest {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    /** Where rows begin: no multiple of a float, so that alignment is never assumed. */
    private static final long OFFSET = 6;

    private final Arena arena = Arena.ofConfined();
    private final Random random = new Random(11);

    @AfterEach
    void close() {
        arena.close();
    }

    private MemorySegment row(int n, double scale) {
        MemorySegment s = arena.allocate(OFFSET + 4L * n);
        for (int i = 0; i < n; i++) {
            s.set(FLOAT, OFFSET + 4L * i, (float) (scale * random.nextGaussian()));
        }
        return s;
    }

    private static double at(MemorySegment s, int i) {
        return s.get(FLOAT, OFFSET + 4L * i);
    }

    private static MemorySegment from(MemorySegment s, int n) {
        return s.asSlice(OFFSET, 4L * n);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 7, 8, 15, 16, 17, 31, 33, 64, 100, 1000})
    void followsTheFormulas(int n) {
        MemorySegment a = row(n, 1);
        MemorySegment b = row(n, 1);
        MemorySegment y = row(n, 1);
        double dot = 0;
        double squares = 0;
        double size = 0;
        for (int i = 0; i < n; i++) {
            dot += at(a, i) * at(b, i);
            squares += at(a, i) * at(a, i);
            size += Math.abs(at(a, i) * at(b, i));
        }
        assertThat((double) VectorMath.dot(a, OFFSET, b, OFFSET, n)).isCloseTo(dot, within(1e-6 * size + 1e-12));
        double[] before = new double[n];
        for (int i = 0; i < n; i++) {
            before[i] = at(y, i);
        }
        VectorMath.addScaled(0.5f, a, OFFSET, y, OFFSET, n);
        VectorMath.add(b, OFFSET, y, OFFSET, n);
        for (int i = 0; i < n; i++) {
            assertThat(at(y, i)).isCloseTo(before[i] + 0.5 * at(a, i) + at(b, i), within(2e-6));
        }
        VectorMath.multiply(a, OFFSET, b, OFFSET, y, OFFSET, n);
        VectorMath.scale(3, y, OFFSET, y, OFFSET, n);
        for (int i = 0; i < n; i++) {
            assertThat(at(y, i)).isCloseTo(3 * at(a, i) * at(b, i), within(1e-5));
        }
        if (n > 0) {
            VectorMath.rmsNorm(a, OFFSET, from(b, n), 1e-5f, y, OFFSET, n);
            for (int i = 0; i < n; i++) {
                assertThat(at(y, i)).isCloseTo(at(a, i) / Math.sqrt(squares / n + 1e-5) * at(b, i), within(1e-5));
            }
        }
        double mean = 0;
        for (int i = 0; i < n; i++) {
            mean += at(a, i) / n;
        }
        VectorMath.center(a, OFFSET, y, OFFSET, n);
        for (int i = 0; i < n; i++) {
            assertThat(at(y, i)).isCloseTo(at(a, i) - mean, within(1e-6));
        }
        VectorMath.swiGlu(a, OFFSET, b, OFFSET, y, OFFSET, n);
        for (int i = 0; i < n; i++) {
            assertThat(at(y, i)).isCloseTo(at(a, i) * at(b, i) / (1 + Math.exp(-at(b, i))), within(1e-5));
        }
        VectorMath.geGlu(a, OFFSET, b, OFFSET, y, OFFSET, n);
        for (int i = 0; i < n; i++) {
            assertThat(at(y, i)).isCloseTo(at(a, i) * gelu(at(b, i)), within(1e-5));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 16, 17, 33, 100, 1000})
    void softmaxAndItsLogarithm(int n) {
        for (double scale : new double[] {0, 1, 30, 1e4}) {
            MemorySegment x = row(n, scale);
            double max = Double.NEGATIVE_INFINITY;
            for (int i = 0; i < n; i++) {
                max = Math.max(max, at(x, i));
            }
            assertThat((double) VectorMath.max(x, OFFSET, n)).isEqualTo(max);
            double sum = 0;
            double[] expected = new double[n];
            for (int i = 0; i < n; i++) {
                expected[i] = Math.exp(at(x, i) - max);
                sum += expected[i];
            }
            assertThat(VectorMath.logSumExp(x, OFFSET, n)).isCloseTo(max + Math.log(sum), within(2e-6));
            VectorMath.softmax(x, OFFSET, n);
            for (int i = 0; i < n; i++) {
                assertThat(at(x, i)).isCloseTo(expected[i] / sum, within(1e-6));
            }
        }
    }

    @Test
    void exponentialIsGoodToSevenDigitsAndTheSameInEveryLane() {
        for (float x = -90; x < 88; x += 0.0137f) {
            float e = VectorMath.exp(x);
            assertThat((double) e).isCloseTo(Math.exp(x), within(x < -87 ? 2e-38 : 2e-7 * Math.exp(x)));
        }
        assertThat(VectorMath.exp(Float.NEGATIVE_INFINITY)).isZero();
        assertThat(VectorMath.exp(0)).isEqualTo(1);
        assertThat(VectorMath.exp(Float.NaN)).isNaN();
        // swiGlu with u = 1 and g = x is x / (1 + exp(-x)): the long row takes the vector loop, the short the scalar
        // one.
        int n = 256;
        MemorySegment ones = row(n, 0);
        MemorySegment x = row(n, 20);
        for (int i = 0; i < n; i++) {
            ones.set(FLOAT, OFFSET + 4L * i, 1);
        }
        MemorySegment y = row(n, 0);
        VectorMath.swiGlu(ones, OFFSET, x, OFFSET, y, OFFSET, n);
        for (int i = 0; i < n; i++) {
            MemorySegment one = row(1, 0);
            VectorMath.swiGlu(ones, OFFSET, x, OFFSET + 4L * i, one, OFFSET, 1);
            assertThat(at(y, i)).isEqualTo(at(one, 0));
        }
    }

    private static double gelu(double x) {
        return x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    }

    @Test
    void geluAndSoftCapAreGoodToSevenDigitsAndTheSameInEveryLane() {
        int n = 4096;
        MemorySegment ones = row(n, 0);
        MemorySegment x = row(n, 0);
        for (int i = 0; i < n; i++) {
            ones.set(FLOAT, OFFSET + 4L * i, 1);
            // From tiny to huge, of both signs.
            double size = Math.exp(-12 + 17.0 * i / n);
            x.set(FLOAT, OFFSET + 4L * i, (float) (i % 2 == 0 ? size : -size));
        }
        MemorySegment y = row(n, 0);
        VectorMath.geGlu(ones, OFFSET, x, OFFSET, y, OFFSET, n);
        for (int i = 0; i < n; i++) {
            assertThat(at(y, i)).isCloseTo(gelu(at(x, i)), within(4e-7 * Math.abs(at(x, i))));
            MemorySegment one = row(1, 0);
            VectorMath.geGlu(ones, OFFSET, x, OFFSET + 4L * i, one, OFFSET, 1);
            assertThat(at(y, i)).isEqualTo(at(one, 0));
        }
        for (float cap : new float[] {0.5f, 1, 30, 50}) {
            MemorySegment capped = row(n, 0);
            MemorySegment.copy(x, OFFSET, capped, OFFSET, 4L * n);
            VectorMath.softCap(capped, OFFSET, n, cap);
            for (int i = 0; i < n; i++) {
                double expected = cap * Math.tanh(at(x, i) / cap);
                assertThat(at(capped, i)).isCloseTo(expected, within(4e-7 * Math.abs(expected)));
                MemorySegment one = row(1, 0);
                MemorySegment.copy(x, OFFSET + 4L * i, one, OFFSET, 4);
                VectorMath.softCap(one, OFFSET, 1, cap);
                assertThat(at(capped, i)).isEqualTo(at(one, 0));
            }
        }
        MemorySegment odd = row(2, 0);
        odd.set(FLOAT, OFFSET, Float.NaN);
        odd.set(FLOAT, OFFSET + 4, Float.NEGATIVE_INFINITY);
        VectorMath.softCap(odd, OFFSET, 2, 30);
        assertThat(at(odd, 0)).isNaN();
        assertThat(at(odd, 1)).isEqualTo(-30);
    }

    @Test
    void softmaxIgnoresWhatIsMasked() {
        MemorySegment x = row(40, 1);
        for (int i = 20; i < 40; i++) {
            x.set(FLOAT, OFFSET + 4L * i, Float.NEGATIVE_INFINITY);
        }
        VectorMath.softmax(x, OFFSET, 40);
        for (int i = 20; i < 40; i++) {
            assertThat(at(x, i)).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 8, 16, 20, 64})
    void rotatesPairs(int half) {
        MemorySegment x = row(2 * half, 1);
        double[] before = new double[2 * half];
        float[] cos = new float[3 * half];
        float[] sin = new float[3 * half];
        for (int i = 0; i < 2 * half; i++) {
            before[i] = at(x, i);
        }
        for (int i = 0; i < 3 * half; i++) {
            cos[i] = (float) Math.cos(i);
            sin[i] = (float) Math.sin(i);
        }
        VectorMath.rotate(x, OFFSET, half, cos, sin, 2 * half);
        for (int i = 0; i < half; i++) {
            double c = Math.cos(2 * half + i);
            double s = Math.sin(2 * half + i);
            assertThat(at(x, i)).isCloseTo(before[i] * c - before[i + half] * s, within(1e-6));
            assertThat(at(x, i + half)).isCloseTo(before[i + half] * c + before[i] * s, within(1e-6));
        }
    }

    /** The first calls are interpreted, the last compiled: they must agree to the last bit. */
    @Test
    void resultsDoNotChangeWhileTheMethodsWarmUp() {
        int n = 333;
        MemorySegment a = row(n, 1);
        MemorySegment b = row(n, 1);
        float dot = VectorMath.dot(a, OFFSET, b, OFFSET, n);
        double log = VectorMath.logSumExp(a, OFFSET, n);
        for (int round = 0; round < 50_000; round++) {
            assertThat(VectorMath.dot(a, OFFSET, b, OFFSET, n)).isEqualTo(dot);
            assertThat(VectorMath.logSumExp(a, OFFSET, n)).isEqualTo(log);
        }
    }

    @Test
    @Tag("allocation")
    void allocatesNothing() {
        int n = 1000;
        MemorySegment a = row(n, 1);
        MemorySegment b = row(n, 1);
        MemorySegment w = from(row(n, 1), n);
        float[] cos = new float[n];
        float[] sin = new float[n];
        Allocation.assertNone("dot, add", () -> {
            VectorMath.dot(a, OFFSET, b, OFFSET, n);
            VectorMath.add(a, OFFSET, b, OFFSET, n);
        });
        Allocation.assertNone("rmsNorm", () -> VectorMath.rmsNorm(a, OFFSET, w, 1e-5f, b, OFFSET, n));
        Allocation.assertNone("swiGlu", () -> VectorMath.swiGlu(a, OFFSET, b, OFFSET, b, OFFSET, n));
        Allocation.assertNone("geGlu", () -> VectorMath.geGlu(a, OFFSET, b, OFFSET, b, OFFSET, n));
        Allocation.assertNone("softCap", () -> VectorMath.softCap(b, OFFSET, n, 30));
        Allocation.assertNone("logSumExp", () -> VectorMath.logSumExp(b, OFFSET, n));
        Allocation.assertNone("softmax", () -> VectorMath.softmax(b, OFFSET, n));
        Allocation.assertNone("rotate", () -> VectorMath.rotate(b, OFFSET, n / 2, cos, sin, 0));
    }

    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(VectorMath.class)).isEmpty();
    }

    /** The loops read and write by address, so the door must refuse what they would not notice. */
    @Test
    void rowsOutsideTheirMemoryAreRefused() throws InterruptedException {
        MemorySegment x = Arena.ofAuto().allocate(40);
        MemorySegment y = Arena.ofAuto().allocate(40);
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> VectorMath.add(x, 4, y, 0, 10))
                .withMessage("40 bytes from byte 4 of a segment of 40 bytes");
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> VectorMath.scale(1, x, 0, y, -4, 10));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> VectorMath.max(x, 0, -1));
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> VectorMath.add(x, 0, y.asReadOnly(), 0, 10))
                .withMessageContaining("read-only");
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> VectorMath.add(MemorySegment.ofArray(new float[10]), 0, y, 0, 10))
                .withMessageContaining("heap");
        MemorySegment gone;
        try (Arena closed = Arena.ofConfined()) {
            gone = closed.allocate(40);
        }
        assertThatExceptionOfType(IllegalStateException.class)
                .isThrownBy(() -> VectorMath.add(gone, 0, y, 0, 10))
                .withMessageContaining("closed");
        try (Arena confined = Arena.ofConfined()) {
            MemorySegment own = confined.allocate(40);
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread other = new Thread(() -> VectorMath.dot(own, 0, y, 0, 10));
            other.setUncaughtExceptionHandler((t, e) -> thrown.set(e));
            other.start();
            other.join();
            assertThat(thrown.get()).isInstanceOf(WrongThreadException.class);
        }
    }
}
