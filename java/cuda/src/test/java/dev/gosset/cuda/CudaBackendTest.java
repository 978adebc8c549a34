package dev.gosset.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.oracle.LinearOracle;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.HessianAccumulator;
import dev.gosset.core.rounding.Ldlq;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.NotPositiveDefiniteException;
import dev.gosset.core.rounding.ProxyLoss;
import dev.gosset.core.rounding.QuantizationResult;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.core.rounding.StackRounding;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Java's whole way to the kernels and back, on the emulation or, by {@code make gpu-test}, on a device. */
class CudaBackendTest {
    private CudaContext context;
    private Arena arena;
    private final Random random = new Random(7);

    @BeforeEach
    void open() {
        Emulation.require();
        context = CudaContext.open(0);
        arena = Arena.ofAuto();
    }

    @AfterEach
    void nothingIsLeft() {
        if (context != null) {
            context.close();
            assertThat(context.liveBytes()).isZero();
            assertThat(Emulation.live())
                    .as("objects of the runtime that are alive")
                    .isZero();
        }
    }

    private FloatMatrix normal(int rows, int cols) {
        FloatMatrix m = FloatMatrix.allocate(arena, rows, cols);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                m.set(i, j, (float) random.nextGaussian());
            }
        }
        return m;
    }

    private DeviceBuffer upload(CudaStream stream, MemorySegment data) {
        DeviceBuffer buffer = context.allocate(data.byteSize(), "a test");
        try (DeviceUpload upload = new DeviceUpload(stream, 1000)) {
            upload.copy(data, buffer, 0);
        }
        return buffer;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 12, 40, 64, 172, 208, 704, 896, 1000, 2048, 5504})
    void transformsAreTheOraclesForEveryLength(int n) {
        HadamardTransform transform = HadamardTransform.of(n);
        FloatMatrix x = normal(2, n);
        try (CudaStream stream = context.stream();
                DeviceTransform t = new DeviceTransform(transform, stream);
                DeviceBuffer in = upload(stream, x.data());
                DeviceBuffer out = context.allocate(8L * n, "a test");
                DeviceBuffer work = context.allocate(Math.max(16, t.workBytes(2)), "a test")) {
            for (boolean transpose : new boolean[] {false, true}) {
                CudaKernels.transform(
                        stream,
                        t,
                        transpose,
                        2,
                        in,
                        CudaKernels.Type.F32,
                        out,
                        CudaKernels.Type.F32,
                        null,
                        null,
                        1,
                        work);
                FloatMatrix y = FloatMatrix.allocate(arena, 2, n);
                out.copyTo(y.data(), 0, stream);
                stream.synchronize();
                double[] expected = new double[n];
                for (int row = 0; row < 2; row++) {
                    double size = 0;
                    double error = 0;
                    for (int i = 0; i < n; i++) {
                        expected[i] = x.get(row, i);
                    }
                    transform.apply(expected, 0, transpose);
                    for (int i = 0; i < n; i++) {
                        size += expected[i] * expected[i];
                        error += Math.pow(y.get(row, i) - expected[i], 2);
                    }
                    assertThat(Math.sqrt(error / size)).isLessThan(3e-6);
                }
            }
        }
    }

    private QuantizedLinear linear(Codebook codebook, int m, int n) {
        CodeMatrix codes = CodeMatrix.allocate(arena, codebook, m, n);
        for (int i = 0; i < m; i++) {
            for (int g = 0; g < codes.groups(); g++) {
                int code = random.nextInt();
                codes.setCode(
                        i, g, codebook.bits() == 2 ? code & 0xffff : codebook.bits() == 3 ? code & 0xffff00ff : code);
            }
        }
        MemorySegment su = signs(n);
        MemorySegment sv = signs(m);
        int first = Math.max(1, m / 3);
        List<QuantizedLinear.Part> parts = m == 1
                ? List.of(new QuantizedLinear.Part("a", 1, 1))
                : List.of(new QuantizedLinear.Part("a", first, 0.75f), new QuantizedLinear.Part("b", m - first, 1.5f));
        return new QuantizedLinear(codes, su, sv, parts);
    }

    private MemorySegment signs(int count) {
        MemorySegment s = arena.allocate(2L * count, 16);
        for (int i = 0; i < count; i++) {
            float v = (random.nextBoolean() ? 1 : -1) * (0.5f + random.nextFloat());
            s.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(v));
        }
        return s;
    }

    @ParameterizedTest
    @CsvSource({"64,128,1", "96,160,5", "11,12,2", "1,8,1", "172,56,16", "48,100,3", "64,128,20", "33,36,17"})
    void linearsAreTheOracles(int m, int n, int rows) {
        for (int bits = 2; bits <= 4; bits++) {
            QuantizedLinear linear = linear(Codebook.ofBits(bits), m, n);
            FloatMatrix x = normal(rows, n);
            FloatMatrix y = FloatMatrix.allocate(arena, rows, m);
            double declared;
            try (CudaStream stream = context.stream();
                    DeviceUpload upload = new DeviceUpload(stream, 4096);
                    CudaLinear device = new CudaLinear(linear, stream, upload);
                    DeviceBuffer in = upload(stream, x.data());
                    DeviceBuffer out = context.allocate(y.data().byteSize(), "a test")) {
                declared = device.relativeError(rows);
                device.apply(in, out, rows);
                out.copyTo(y.data(), 0, stream);
                stream.synchronize();
            }
            double size = 0;
            double error = 0;
            double[] row = new double[n];
            for (int r = 0; r < rows; r++) {
                for (int i = 0; i < n; i++) {
                    row[i] = x.get(r, i);
                }
                double[] expected = LinearOracle.apply(linear, row);
                for (int i = 0; i < m; i++) {
                    size += expected[i] * expected[i];
                    error += Math.pow(y.get(r, i) - expected[i], 2);
                }
            }
            System.out.printf("linear %d x %d, %d rows: %.2e%n", m, n, rows, Math.sqrt(error / size));
            // Products of few columns may have more, as the random tables happen to be.
            assertThat(Math.sqrt(error / size)).as("%d bits", bits).isLessThan(2 * declared);
        }
    }

    @ParameterizedTest
    @CsvSource({"2,0,160", "2,2,256", "3,1,72", "4,1,136"})
    void roundingLosesNoMoreThanOnTheCpu(int bits, int passes, int n) {
        int m = 40;
        FloatMatrix x = normal(m, n);
        FloatMatrix g = normal(2 * n, n);
        FloatMatrix h = FloatMatrix.allocate(arena, n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                double sum = i == j ? 0.05 : 0;
                for (int k = 0; k < 2 * n; k++) {
                    sum += (double) g.get(k, i) * g.get(k, j) / (2 * n) * (1 + 8.0 / (1 + (i + j) / 2));
                }
                h.set(i, j, (float) sum);
            }
        }
        // The factor above is not a congruence for i and j apart; a strong diagonal keeps H positive definite.
        for (int i = 0; i < n; i++) {
            h.set(i, i, h.get(i, i) + 3);
        }
        Codebook codebook = Codebook.ofBits(bits);
        CodeMatrix cpu = CodeMatrix.allocate(arena, codebook, m, n);
        CodeMatrix gpu = CodeMatrix.allocate(arena, codebook, m, n);
        FloatMatrix cpuError = FloatMatrix.allocate(arena, m, n);
        FloatMatrix gpuError = FloatMatrix.allocate(arena, m, n);
        try (ThreadTeam team = new ThreadTeam(1)) {
            Ldlq.round(Kernels.scalar().encode(), team, x, h, passes, cpu, cpuError);
            CudaRounding.round(context, x, h, passes, gpu, gpuError);
            double onCpu = ProxyLoss.trace(team, cpuError, h);
            double onGpu = ProxyLoss.trace(team, gpuError, h);
            assertThat(onGpu).isBetween(0.99 * onCpu, 1.01 * onCpu);
        }
        int equal = 0;
        double[] value = new double[Codebook.DIMENSION];
        for (int i = 0; i < m; i++) {
            for (int k = 0; k < n / 8; k++) {
                equal += cpu.code(i, k) == gpu.code(i, k) ? 1 : 0;
                codebook.decode(gpu.code(i, k), value, 0);
                for (int c = 0; c < 8; c++) {
                    assertThat(x.get(i, 8 * k + c) - value[c])
                            .isCloseTo(gpuError.get(i, 8 * k + c), Offset.offset(1e-5));
                }
            }
        }
        assertThat(equal).isGreaterThan(m * n / 8 * 95 / 100);
    }

    @Test
    void aHessianThatIsNotPositiveDefiniteIsNamed() {
        FloatMatrix h = FloatMatrix.allocate(arena, 16, 16);
        for (int i = 0; i < 16; i++) {
            h.set(i, i, i == 9 ? -1 : 1);
        }
        CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(2), 3, 16);
        assertThatThrownBy(() ->
                        CudaRounding.round(context, normal(3, 16), h, 0, codes, FloatMatrix.allocate(arena, 3, 16)))
                .isInstanceOf(NotPositiveDefiniteException.class)
                .hasMessageContaining("16 inputs")
                .hasMessageContaining("row 9");
    }

    @Test
    void hessiansAreSums() {
        int n = 24;
        FloatMatrix a = normal(1101, n);
        FloatMatrix b = normal(3, n);
        DoubleMatrix sum = DoubleMatrix.allocate(arena, n, n);
        double[] columns = new double[n];
        try (CudaHessian hessian = new CudaHessian(context, n)) {
            hessian.add(a);
            hessian.add(b);
            hessian.readLower(sum);
            hessian.readColumns(columns);
            assertThat(hessian.tokens()).isEqualTo(1104);
        }
        for (int i = 0; i < n; i++) {
            int input = i;
            double total = java.util.stream.Stream.of(a, b)
                    .flatMapToDouble(
                            x -> java.util.stream.IntStream.range(0, x.rows()).mapToDouble(t -> x.get(t, input)))
                    .sum();
            assertThat(columns[i]).isCloseTo(total, Offset.offset(1e-10));
            for (int j = 0; j <= i; j++) {
                double expected = 0;
                for (FloatMatrix x : List.of(a, b)) {
                    for (int t = 0; t < x.rows(); t++) {
                        expected += (double) x.get(t, i) * x.get(t, j);
                    }
                }
                assertThat(sum.get(i, j)).isCloseTo(expected, Offset.offset(1e-9));
            }
        }
    }

    private double[] transformed(int n, boolean transpose, double[] x) {
        double[] y = x.clone();
        HadamardTransform.of(n).apply(y, 0, transpose);
        return y;
    }

    @ParameterizedTest
    @CsvSource({"PLAIN,64,64", "NORM,320,320", "GATE,176,88", "GATE,1024,512"})
    void whatStandsBetweenLinearsIsOneLaunch(CudaKernels.Between kind, int m, int n) {
        FloatMatrix z = normal(1, m);
        FloatMatrix sv = normal(1, m);
        FloatMatrix su = normal(1, n);
        FloatMatrix residual = normal(1, n);
        FloatMatrix weight = normal(1, n);
        MemorySegment bytes = arena.allocate(CudaKernels.activationBytes(n, 1), 16);
        MemorySegment scale = arena.allocate(4, 16);
        try (CudaStream stream = context.stream();
                DeviceTransform out = new DeviceTransform(HadamardTransform.of(m), stream);
                DeviceTransform in = new DeviceTransform(HadamardTransform.of(n), stream);
                DeviceBuffer dz = upload(stream, z.data());
                DeviceBuffer dsv = upload(stream, sv.data());
                DeviceBuffer dsu = upload(stream, su.data());
                DeviceBuffer dr = upload(stream, residual.data());
                DeviceBuffer dw = upload(stream, weight.data());
                DeviceBuffer activations = context.allocate(bytes.byteSize(), "a test");
                DeviceBuffer ds = context.allocate(4, "a test")) {
            boolean norm = kind == CudaKernels.Between.NORM;
            CudaKernels.between(
                    stream, kind, 1, dz, out, dsv, norm ? dr : null, norm ? dw : null, 1e-5f, in, dsu, activations, ds);
            activations.copyTo(bytes, 0, stream);
            ds.copyTo(scale, 0, stream);
            stream.synchronize();
        }
        double[] h = new double[m];
        for (int i = 0; i < m; i++) {
            h[i] = z.get(0, i);
        }
        h = transformed(m, false, h);
        double[] t = new double[n];
        double squares = 0;
        for (int i = 0; i < m; i++) {
            h[i] *= sv.get(0, i);
        }
        for (int i = 0; i < n; i++) {
            t[i] = switch (kind) {
                case PLAIN -> h[i];
                case NORM -> h[i] + residual.get(0, i);
                case GATE -> h[i] * h[n + i] / (1 + Math.exp(-h[n + i]));
            };
            squares += t[i] * t[i];
        }
        for (int i = 0; i < n; i++) {
            t[i] *= su.get(0, i);
            if (kind == CudaKernels.Between.NORM) {
                t[i] *= weight.get(0, i) / Math.sqrt(squares / n + 1e-5);
            }
        }
        t = transformed(n, true, t);
        double size = 0;
        double error = 0;
        for (int i = 0; i < n; i++) {
            int position = i % 2 == 0 ? i % 8 / 2 : (i % 8 + 7) / 2;
            long at = i / 8 * 16L + position;
            double got = scale.get(ValueLayout.JAVA_FLOAT, 0)
                    * (256.0 * bytes.get(ValueLayout.JAVA_BYTE, at) + bytes.get(ValueLayout.JAVA_BYTE, at + 8));
            size += t[i] * t[i];
            error += (got - t[i]) * (got - t[i]);
        }
        assertThat(Math.sqrt(error / size)).isLessThan(1e-4);
    }

    /** The whole of a stack's quantization, rescaled columns and padded sizes too, beside the processor's. */
    @ParameterizedTest
    @CsvSource({"2,64,96,false", "3,40,160,true", "4,24,88,false", "2,16,44,false"})
    void stacksAreQuantizedAsOnTheCpu(int bits, int m, int n, boolean rescale) {
        FloatMatrix x = normal(4 * n, n);
        FloatMatrix w = normal(m, n);
        RoundingSettings settings = RoundingSettings.reference(Codebook.ofBits(bits))
                .withGreedyPasses(2)
                .withRescale(rescale);
        try (ThreadTeam team = new ThreadTeam(1)) {
            HessianAccumulator sums = new HessianAccumulator(n, arena);
            sums.add(team, x);
            Hessian hessian = sums.hessian(arena);
            List<LinearQuantizer.Part> parts = List.of(
                    new LinearQuantizer.Part("a", w.rows(0, m / 4)), new LinearQuantizer.Part("b", w.rows(m / 4, m)));
            Kernels kernels = Kernels.scalar();
            StackRounding processor = StackRounding.onProcessor(kernels.encode(), kernels.transform(), team);
            QuantizationResult cpu = new LinearQuantizer(settings, processor, kernels.transform(), team)
                    .quantize("stack", parts, hessian, 5, arena);
            long before = context.peakBytes();
            QuantizationResult gpu = new LinearQuantizer(
                            settings, new CudaStackRounding(context, processor), kernels.transform(), team)
                    .quantize("stack", parts, hessian, 5, arena);
            assertThat(context.peakBytes() - before)
                    .as("peak of device memory, promised")
                    .isLessThanOrEqualTo(CudaStackRounding.neededBytes(settings.codebook(), m, n) + 64L * (m + n));
            assertThat(gpu.proxyError()).isBetween(0.98 * cpu.proxyError(), 1.02 * cpu.proxyError());
            assertThat(gpu.frobeniusError()).isBetween(0.98 * cpu.frobeniusError(), 1.02 * cpu.frobeniusError());
            assertThat(gpu.weightScale()).isCloseTo(cpu.weightScale(), Offset.offset(1e-6 * cpu.weightScale()));
            assertThat(gpu.linear().su().mismatch(cpu.linear().su())).isEqualTo(-1);
            CodeMatrix expected = cpu.linear().codes();
            CodeMatrix found = gpu.linear().codes();
            int equal = 0;
            for (int i = 0; i < m; i++) {
                for (int g = 0; g < expected.groups(); g++) {
                    equal += expected.code(i, g) == found.code(i, g) ? 1 : 0;
                }
            }
            assertThat(equal).isGreaterThan(m * expected.groups() * 95 / 100);
        }
    }

    @Test
    void nearestPointsAreTheOracles() {
        int count = 300;
        for (int bits = 2; bits <= 4; bits++) {
            Codebook codebook = Codebook.ofBits(bits);
            FloatMatrix x = normal(count, 8);
            MemorySegment found = arena.allocate(4L * count, 16);
            try (CudaStream stream = context.stream();
                    DeviceBuffer dx = upload(stream, x.data());
                    DeviceBuffer values = context.allocate(32L * count, "a test");
                    DeviceBuffer codes = context.allocate(4L * count, "a test")) {
                CudaKernels.nearest(stream, codebook, count, dx, values, codes);
                codes.copyTo(found, 0, stream);
                stream.synchronize();
            }
            int equal = 0;
            double[] vector = new double[8];
            for (int i = 0; i < count; i++) {
                for (int c = 0; c < 8; c++) {
                    vector[c] = x.get(i, c);
                }
                equal += codebook.nearest(vector, 0) == found.getAtIndex(ValueLayout.JAVA_INT, i) ? 1 : 0;
            }
            // A search in float32 may decide otherwise within rounding of a tie.
            assertThat(equal).as("%d bits", bits).isGreaterThanOrEqualTo(count - 1);
        }
    }

    @Test
    void graphsReplayWhatWasRecorded() {
        FloatMatrix x = normal(1, 64);
        FloatMatrix y = FloatMatrix.allocate(arena, 1, 64);
        try (CudaStream stream = context.stream();
                DeviceTransform t = new DeviceTransform(HadamardTransform.of(64), stream);
                DeviceBuffer buffer = upload(stream, x.data());
                CudaGraph graph = stream.record(() -> CudaKernels.transform(
                        stream,
                        t,
                        false,
                        1,
                        buffer,
                        CudaKernels.Type.F32,
                        buffer,
                        CudaKernels.Type.F32,
                        null,
                        null,
                        1,
                        null));
                CudaEvent begin = context.event();
                CudaEvent end = context.event()) {
            begin.record(stream);
            graph.launch(stream);
            graph.launch(stream);
            end.record(stream);
            end.synchronize();
            assertThat(end.millisecondsSince(begin)).isNotNegative();
            buffer.copyTo(y.data(), 0, stream);
            stream.synchronize();
            assertThatThrownBy(() -> stream.record(() -> {
                        throw new IllegalStateException("by the caller");
                    }))
                    .hasMessage("by the caller");
        }
        // U is symmetric and orthogonal for powers of two: twice is nothing.
        for (int i = 0; i < 64; i++) {
            assertThat(y.get(0, i)).isCloseTo(x.get(0, i), Offset.offset(1e-5f));
        }
    }

    @Test
    void outOfMemorySaysHowMuch() {
        Emulation.requireNoDevice();
        Emulation.memoryBytes(1 << 20);
        try (DeviceBuffer some = context.allocate(1 << 19, "the first half")) {
            assertThat(some.bytes()).isEqualTo(1 << 19);
            assertThatThrownBy(() -> context.allocate(1 << 20, "the weights of layer 3"))
                    .isInstanceOfSatisfying(CudaMemoryException.class, e -> {
                        assertThat(e.askedBytes()).isEqualTo(1 << 20);
                        assertThat(e.freeBytes()).isEqualTo(1 << 19);
                        assertThat(e.nativeCode()).isEqualTo(2);
                    })
                    .hasMessage("out of device memory: the weights of layer 3 needs 1048576 bytes, 524288 are free and"
                            + " 524288 are held by this program; a shorter context, fewer bits per weight or the cpu"
                            + " helps");
        } finally {
            Emulation.memoryBytes(8L << 30);
        }
    }

    @Test
    void whatIsAliveIsCountedAndClosedOnce() {
        DeviceBuffer buffer = context.allocate(100, "a test");
        assertThat(context.liveBytes()).isEqualTo(100);
        assertThatThrownBy(context::close)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("{device buffer=1}, 100 bytes");
        buffer.close();
        buffer.close();
        assertThatThrownBy(() -> buffer.address(0, 1)).isInstanceOf(IllegalStateException.class);
        assertThat(context.liveBytes()).isZero();
    }

    @Test
    void sizesAreChecked() {
        try (CudaStream stream = context.stream();
                DeviceBuffer small = context.allocate(64, "a test")) {
            assertThatThrownBy(() -> CudaKernels.quantizeActivations(stream, 1024, 1, small, small, small))
                    .isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> small.copyFrom(MemorySegment.ofArray(new float[4]), 0, stream))
                    .hasMessageContaining("heap");
            assertThatThrownBy(() -> CudaContext.open(3))
                    .isInstanceOf(CudaException.class)
                    .hasMessageContaining("cuda:3");
        }
    }

    @Test
    void theEmulationIsNeverTakenForADevice() {
        Emulation.requireNoDevice();
        assertThat(CudaLibrary.probe(Emulation.library())).contains("is the emulation and not a device");
    }
}
