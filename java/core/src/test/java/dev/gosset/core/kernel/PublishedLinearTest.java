package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.Golden;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.D4;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.codebook.HalfInteger;
import dev.gosset.core.codebook.PublishedLayout;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.oracle.LinearOracle;
import dev.gosset.core.kernel.points.VectorMatvec;
import dev.gosset.core.kernel.transform.VectorTransform;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Linears as published checkpoints store them: the layers that the reference implementation made, and old codebooks. */
@Tag("kernel")
class PublishedLinearTest {
    private static MemorySegment halves(Golden.Tensor tensor, Arena arena) {
        float[] values = tensor.floats();
        MemorySegment out = arena.allocate(2L * values.length);
        for (int i = 0; i < values.length; i++) {
            out.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(values[i]));
        }
        return out;
    }

    private static FloatMatrix matrix(Golden.Tensor tensor, Arena arena) {
        FloatMatrix m = FloatMatrix.allocate(arena, tensor.shape()[0], tensor.shape()[1]);
        float[] values = tensor.floats();
        MemorySegment.copy(values, 0, m.data(), ValueLayout.JAVA_FLOAT, 0, values.length);
        return m;
    }

    private static double difference(double[] expected, int offset, double[] actual) {
        double worst = 0;
        for (int i = 0; i < actual.length; i++) {
            double d = Math.abs(expected[offset + i] - actual[i]);
            worst = Double.isNaN(d) ? Double.POSITIVE_INFINITY : Math.max(worst, d);
        }
        return worst;
    }

    private static double largest(double[] values) {
        return Stream.of(values)
                .flatMapToDouble(java.util.Arrays::stream)
                .map(Math::abs)
                .max()
                .orElseThrow();
    }

    private static double[] doubles(FloatMatrix m) {
        double[] out = new double[m.rows() * m.cols()];
        for (int i = 0; i < out.length; i++) {
            out[i] = m.get(i / m.cols(), i % m.cols());
        }
        return out;
    }

    private static double[] oracle(QuantizedLinear linear, FloatMatrix x) {
        double[] out = new double[x.rows() * linear.rows()];
        for (int t = 0; t < x.rows(); t++) {
            double[] row = new double[x.cols()];
            for (int j = 0; j < row.length; j++) {
                row[j] = x.get(t, j);
            }
            System.arraycopy(LinearOracle.apply(linear, row), 0, out, t * linear.rows(), linear.rows());
        }
        return out;
    }

    private static FloatMatrix product(QuantizedLinear linear, FloatMatrix x, Arena arena) {
        return product(linear, x, new VectorMatvec(), arena);
    }

    private static FloatMatrix product(QuantizedLinear linear, FloatMatrix x, MatvecKernel matvec, Arena arena) {
        FloatMatrix y = FloatMatrix.allocate(arena, x.rows(), linear.rows());
        try (ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team)) {
            new QuantizedProduct(linear, new VectorTransform(), matvec, arena).apply(x, y, workspace);
        }
        return y;
    }

    @ParameterizedTest
    @CsvSource({
        "E8P12,fused",
        "E8P12,single",
        "E8P12RVQ3B,fused",
        "E8P12RVQ3B,single",
        "E8P12RVQ4B,fused",
        "E8P12RVQ4B,single"
    })
    void goldenLayers(String name, String form) {
        Golden golden = Golden.open("roundtrip_128x384.safetensors");
        String prefix = name + "_" + form + "_";
        Codebook codebook = Codebook.named(name);
        assertThat(golden.get(prefix + "codebook_id").longs()).containsExactly(codebook.id());
        assertThat(golden.get(prefix + "Wscale").doubles()).containsExactly(1);
        try (Arena arena = Arena.ofShared()) {
            long[] words = golden.get(prefix + "Qidxs").longs();
            MemorySegment packed = arena.allocate(8L * words.length);
            MemorySegment.copy(words, 0, packed, ValueLayout.JAVA_LONG, 0, words.length);
            CodeMatrix codes = PublishedLayout.unpack(arena, codebook, 128, 384, packed);
            List<QuantizedLinear.Part> parts = new ArrayList<>();
            if (form.equals("fused")) {
                float[] scales = golden.get(prefix + "fuse_scales").floats();
                parts.add(new QuantizedLinear.Part("a", 64, scales[0]));
                parts.add(new QuantizedLinear.Part("b", 32, scales[1]));
                parts.add(new QuantizedLinear.Part("c", 32, scales[2]));
            } else {
                parts.add(new QuantizedLinear.Part("a", 128, 1));
            }
            QuantizedLinear linear = new QuantizedLinear(
                    codes, halves(golden.get(prefix + "SU"), arena), halves(golden.get(prefix + "SV"), arena), parts);
            FloatMatrix x = matrix(golden.get("x"), arena);
            double[] expected = golden.get(prefix + "y_f64").doubles();
            double scale = largest(expected);

            double exact = difference(expected, 0, oracle(linear, x)) / scale;
            double[] batch = doubles(product(linear, x, arena));
            double[] one = doubles(product(linear, x.rows(0, 1), arena));
            double float32 = Math.max(difference(expected, 0, batch), difference(expected, 0, one)) / scale;
            // The reference rounds x and y to float16, so it is off by up to 2^-11 of the largest y and some more.
            MatvecKernel selected = Kernels.selected().matvec();
            double half = Math.max(
                            difference(
                                    golden.get(prefix + "y_bs5_emul").doubles(),
                                    0,
                                    doubles(product(linear, x, selected, arena))),
                            difference(
                                    golden.get(prefix + "y_bs1_emul").doubles(),
                                    0,
                                    doubles(product(linear, x.rows(0, 1), selected, arena))))
                    / scale;
            System.out.printf(
                    "%s: float64 %.1e, float32 %.1e, from the reference's half precision %.1e%n",
                    prefix, exact, float32, half);
            assertThat(exact).isLessThan(1e-6);
            assertThat(float32).isLessThan(2e-6);
            assertThat(half)
                    .isLessThan(8e-4 + 3 * selected.prepare(codes, arena).relativeError());
        }
    }

    static List<Codebook> oldCodebooks() {
        return List.of(
                D4.INSTANCE,
                HalfInteger.INSTANCE,
                E8pResidual.RVQ3B.withResidualScale(2.6),
                E8pResidual.RVQ4B.withResidualScale(4.25));
    }

    @ParameterizedTest
    @MethodSource("oldCodebooks")
    void oldCodebooksMultiply(Codebook codebook) {
        SplittableRandom random = new SplittableRandom(9);
        try (Arena arena = Arena.ofShared()) {
            CodeMatrix codes = CodeMatrix.allocate(arena, codebook, 96, 192);
            for (long i = 0; i < codes.data().byteSize(); i++) {
                codes.data().set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt());
            }
            MemorySegment su = arena.allocate(2 * 192);
            MemorySegment sv = arena.allocate(2 * 96);
            for (int i = 0; i < 192; i++) {
                su.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(random.nextBoolean() ? 1 : -1));
                sv.setAtIndex(ValueLayout.JAVA_SHORT, i / 2, Float.floatToFloat16((float) random.nextGaussian()));
            }
            QuantizedLinear linear =
                    new QuantizedLinear(codes, su, sv, List.of(new QuantizedLinear.Part("a", 96, 0.3f)));
            FloatMatrix x = FloatMatrix.allocate(arena, 7, 192);
            for (int i = 0; i < 7 * 192; i++) {
                x.set(i / 192, i % 192, (float) random.nextGaussian());
            }
            double[] expected = oracle(linear, x);
            assertThat(difference(expected, 0, doubles(product(linear, x, arena))) / largest(expected))
                    .isLessThan(2e-6);
            double[] one = doubles(product(linear, x.rows(0, 1), arena));
            assertThat(difference(expected, 0, one) / largest(expected)).isLessThan(2e-6);
        }
    }

    /** The vector search must not take another codebook for E8P. */
    @ParameterizedTest
    @MethodSource("oldCodebooks")
    void oldCodebooksEncode(Codebook codebook) {
        SplittableRandom random = new SplittableRandom(10);
        int count = 100;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(32L * count, 64);
            for (int i = 0; i < 8 * count; i++) {
                x.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
            }
            MemorySegment values = arena.allocate(32L * count, 64);
            MemorySegment codes = arena.allocate(4L * count, 64);
            Kernels.selected().encode().nearest(codebook, x, count, values, codes);
            double[] v = new double[8];
            for (int i = 0; i < count; i++) {
                for (int c = 0; c < 8; c++) {
                    v[c] = x.getAtIndex(ValueLayout.JAVA_FLOAT, 8L * i + c);
                }
                int code = codebook.nearest(v, 0);
                assertThat(codes.getAtIndex(ValueLayout.JAVA_INT, i)).isEqualTo(code);
                codebook.decode(code, v, 0);
                for (int c = 0; c < 8; c++) {
                    assertThat((double) values.getAtIndex(ValueLayout.JAVA_FLOAT, 8L * i + c))
                            .isCloseTo(v[c], org.assertj.core.api.Assertions.within(1e-5));
                }
            }
        }
    }
}
