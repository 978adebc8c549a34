package dev.gosset.core.rounding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import dev.gosset.core.Golden;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.PublishedLayout;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.kernel.oracle.LinearOracle;
import dev.gosset.core.kernel.oracle.ScalarEncode;
import dev.gosset.core.kernel.oracle.ScalarTransform;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LinearQuantizerTest {
    private final long seed = System.nanoTime();
    private final SplittableRandom random = new SplittableRandom(seed);
    private final TransformKernel transform = new ScalarTransform();

    private LinearQuantizer quantizer(RoundingSettings settings, ThreadTeam team) {
        return new LinearQuantizer(settings, new ScalarEncode(), transform, team);
    }

    private static List<LinearQuantizer.Part> one(FloatMatrix w) {
        return List.of(new LinearQuantizer.Part("w", w));
    }

    private static MemorySegment bytes(Arena arena, Golden golden, String name) {
        var source = MemorySegment.ofBuffer(golden.get(name).bytes());
        return arena.allocate(source.byteSize(), 64).copyFrom(source);
    }

    // -------------------------------------------------------------------------------------------- the reference

    @ParameterizedTest
    @ValueSource(strings = {"E8P12_it0", "E8P12_it10", "E8P12RVQ3B_it10", "E8P12RVQ4B_it10"})
    void storesWhatTheReferenceStores(String run) {
        Golden f32 = Golden.open("ldlq_128x384_f32.safetensors");
        Golden f64 = Golden.open("ldlq_128x384_f64.safetensors");
        Codebook codebook = Codebook.named(run.substring(0, run.indexOf('_')));
        RoundingSettings settings =
                RoundingSettings.reference(codebook).withGreedyPasses(run.endsWith("_it0") ? 0 : 10);
        for (var precision : Precision.values()) {
            Golden golden = precision == Precision.FLOAT32 ? f32 : f64;
            try (Arena arena = Arena.ofShared();
                    ThreadTeam team = new ThreadTeam(2)) {
                QuantizationResult result = quantizer(settings.withPrecision(precision), team)
                        .quantize(
                                "golden",
                                one(RoundingFixtures.floats(arena, f32, "W")),
                                RoundingFixtures.floats(arena, f32, "H"),
                                RoundingFixtures.incoherence(f32),
                                arena);
                double[] metrics = golden.get(run + "_metrics_frob_proxy").doubles();
                // In float32 one near tie sends one of 128 rows another way; see LdlqTest.
                double tolerance = precision == Precision.FLOAT32 ? 2e-3 : 1e-5;
                assertThat(result.frobeniusError()).isCloseTo(metrics[0], within(tolerance * metrics[0]));
                assertThat(result.proxyError()).isCloseTo(metrics[1], within(tolerance * metrics[1]));
                assertThat(result.float64Retried()).isFalse();
                assertThat(result.weightScale())
                        .isCloseTo(golden.get(run + "_Wscale").doubles()[0], within(1e-6));
                long[] expected = golden.get(run + "_codes").longs();
                int different = RoundingFixtures.differences(result.linear().codes(), expected);
                assertThat(different)
                        .as(run + " " + precision)
                        .isLessThanOrEqualTo(precision == Precision.FLOAT32 ? expected.length / 100 : 0);
                // W was divided by its RMS already: SV is float16(signs * Wscale) up to that factor near 1
                assertThat(RoundingFixtures.sameBits(result.linear().su(), bytes(arena, golden, run + "_SU_f16")))
                        .isTrue();
                double[] sv = golden.get(run + "_SV_f16").doubles();
                for (int i = 0; i < sv.length; i++) {
                    assertThat((double)
                                    Float.float16ToFloat(result.linear().sv().get(ValueLayout.JAVA_SHORT, 2L * i)))
                            .isCloseTo(sv[i], within(2e-3));
                }
            }
        }
    }

    @Test
    void rescalesAsTheReferenceDoes() {
        Golden golden = Golden.open("ldlq_128x384_rescaleWH.safetensors");
        Golden inputs = Golden.open("ldlq_128x384_f32.safetensors");
        RoundingSettings settings =
                RoundingSettings.reference(Codebook.ofBits(2)).withRescale(true);
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2)) {
            FloatMatrix w = RoundingFixtures.floats(arena, inputs, "W");
            for (var precision : Precision.values()) {
                QuantizationResult result = quantizer(settings.withPrecision(precision), team)
                        .quantize(
                                "golden",
                                one(w),
                                RoundingFixtures.floats(arena, inputs, "H"),
                                RoundingFixtures.incoherence(golden),
                                arena);
                float[] scale = golden.get("scaleWH").floats();
                float[] found = result.columnScale().orElseThrow().toArray();
                for (int j = 0; j < scale.length; j++) {
                    assertThat(found[j]).isCloseTo(scale[j], within(2e-6f * scale[j]));
                }
                assertThat(result.weightScale()).isCloseTo(golden.get("Wscale").doubles()[0], within(1e-5));
                double[] metrics = golden.get("metrics_frob_proxy").doubles();
                assertThat(result.frobeniusError()).isCloseTo(metrics[0], within(1e-3 * metrics[0]));
                assertThat(result.proxyError()).isCloseTo(metrics[1], within(1e-3 * metrics[1]));
                long[] expected = golden.get("codes").longs();
                assertThat(RoundingFixtures.differences(result.linear().codes(), expected))
                        .isLessThanOrEqualTo(expected.length / 100);
                // the stored linear, with s folded into SU, is the reference's hatW up to float16
                double[] hatW = golden.get("hatW").doubles();
                double[] x = new double[384];
                for (int j = 0; j < 384; j++) {
                    x[j] = random.nextGaussian();
                }
                double[] y = LinearOracle.apply(result.linear(), x);
                double norm = 0;
                double error = 0;
                for (int i = 0; i < 128; i++) {
                    double sum = 0;
                    for (int j = 0; j < 384; j++) {
                        sum += hatW[i * 384 + j] * x[j];
                    }
                    norm += sum * sum;
                    error += (y[i] - sum) * (y[i] - sum);
                }
                assertThat(Math.sqrt(error / norm))
                        .as(precision + " seed " + seed)
                        .isLessThan(0.05);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"E8P12", "E8P12RVQ3B", "E8P12RVQ4B"})
    void evaluatesPublishedTensorsAndQuantizesTheirWeightsAsWell(String name) {
        Golden golden = Golden.open("roundtrip_128x384.safetensors");
        Golden moments = Golden.open("hessian.safetensors");
        Codebook codebook = Codebook.named(name);
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2)) {
            FloatMatrix w = RoundingFixtures.floats(arena, golden, "W_f16");
            FloatMatrix h = RoundingFixtures.floats(arena, moments, "H_regularized");
            DoubleMatrix h64 = RoundingFixtures.widen(arena, h);
            double[] x = golden.get("x").doubles();
            for (String form : new String[] {"fused", "single"}) {
                String prefix = name + "_" + form + "_";
                int[] rows = form.equals("fused") ? new int[] {64, 32, 32} : new int[] {128};
                float[] scales = form.equals("fused")
                        ? golden.get(prefix + "fuse_scales").floats()
                        : new float[] {1};
                List<QuantizedLinear.Part> parts = new ArrayList<>();
                List<LinearQuantizer.Part> inputs = new ArrayList<>();
                int row = 0;
                for (int p = 0; p < rows.length; p++) {
                    parts.add(new QuantizedLinear.Part("part" + p, rows[p], scales[p]));
                    inputs.add(new LinearQuantizer.Part("part" + p, w.rows(row, row + rows[p])));
                    row += rows[p];
                }
                QuantizedLinear published = new QuantizedLinear(
                        PublishedLayout.unpack(arena, codebook, 128, 384, bytes(arena, golden, prefix + "Qidxs")),
                        bytes(arena, golden, prefix + "SU"),
                        bytes(arena, golden, prefix + "SV"),
                        parts);
                double[] expected = golden.get(prefix + "y_f64").doubles();
                double largest = 0;
                for (double v : expected) {
                    largest = Math.max(largest, Math.abs(v));
                }
                for (int t = 0; t < 5; t++) {
                    double[] y = LinearOracle.apply(published, java.util.Arrays.copyOfRange(x, 384 * t, 384 * t + 384));
                    for (int i = 0; i < 128; i++) {
                        assertThat(y[i]).isCloseTo(expected[128 * t + i], within(1e-6 * largest));
                    }
                }
                // Ours, with the same signs, makes the same error on the same weights.
                byte[] su = new byte[384];
                byte[] sv = new byte[128];
                float[] suValues = golden.get(prefix + "SU").floats();
                float[] svValues = golden.get(prefix + "SV").floats();
                for (int j = 0; j < 384; j++) {
                    su[j] = (byte) Math.signum(suValues[j]);
                }
                for (int i = 0; i < 128; i++) {
                    sv[i] = (byte) Math.signum(svValues[i]);
                }
                QuantizationResult ours = quantizer(RoundingSettings.reference(codebook), team)
                        .quantize("golden", inputs, h, new Incoherence(su, sv), arena);
                double reference = proxy(arena, published, w, h64);
                double found = proxy(arena, ours.linear(), w, h64);
                System.out.printf("%s proxy: reference %.5f, ours %.5f%n", prefix, reference, found);
                assertThat(found).isCloseTo(reference, within(0.01 * reference));
                for (int p = 0; p < rows.length; p++) {
                    assertThat(ours.linear().parts().get(p).scale()).isEqualTo(scales[p]);
                }
                for (int i = 0; i < 128; i++) {
                    assertThat(Float.float16ToFloat(ours.linear().sv().get(ValueLayout.JAVA_SHORT, 2L * i)))
                            .isCloseTo(svValues[i], within(1e-3f * Math.abs(svValues[i])));
                }
            }
        }
    }

    /** The proxy error of a stored linear against W, not normalized by parts, by the definition. */
    private static double proxy(Arena arena, QuantizedLinear linear, FloatMatrix w, DoubleMatrix h) {
        DoubleMatrix e = DoubleMatrix.allocate(arena, w.rows(), w.cols());
        DoubleMatrix original = RoundingFixtures.widen(arena, w);
        double[] unit = new double[w.cols()];
        for (int j = 0; j < w.cols(); j++) {
            unit[j] = 1;
            double[] column = LinearOracle.apply(linear, unit);
            unit[j] = 0;
            for (int i = 0; i < w.rows(); i++) {
                e.set(i, j, column[i] - w.get(i, j));
            }
        }
        return RoundingFixtures.trace(e, h) / RoundingFixtures.trace(original, h);
    }

    // --------------------------------------------------------------------------------------------- our own claims

    @Test
    void reportsTheErrorsOfTheStoredLinearForEveryShape() {
        for (int[] shape : new int[][] {{16, 64}, {24, 40}, {7, 36}, {40, 99}}) {
            for (boolean rescale : new boolean[] {false, true}) {
                int m = shape[0];
                int n = shape[1];
                try (Arena arena = Arena.ofShared();
                        ThreadTeam team = new ThreadTeam(2)) {
                    FloatMatrix w = RoundingFixtures.gaussian(arena, random, m, n);
                    FloatMatrix h = RoundingFixtures.hessian(arena, random, n);
                    QuantizationResult result = quantizer(
                                    RoundingSettings.of(Codebook.ofBits(3))
                                            .withGreedyPasses(1)
                                            .withRescale(rescale),
                                    team)
                            .quantize("x", one(w), h, Incoherence.draw(seed, "x", m, n), arena);
                    double direct = proxy(arena, result.linear(), w, RoundingFixtures.widen(arena, h));
                    // float16 SU and SV are between the two
                    assertThat(result.proxyError())
                            .as(m + " x " + n + " rescale " + rescale + " seed " + seed)
                            .isCloseTo(direct, within(2e-2 * direct));
                    DoubleMatrix identity = DoubleMatrix.allocate(arena, n, n);
                    for (int j = 0; j < n; j++) {
                        identity.set(j, j, 1);
                    }
                    double frobenius = proxy(arena, result.linear(), w, identity);
                    assertThat(result.frobeniusError())
                            .as(m + " x " + n + " rescale " + rescale + " seed " + seed)
                            .isCloseTo(frobenius, within(2e-2 * frobenius));
                }
            }
        }
    }

    @Test
    void sameSeedGivesTheSameBitsWithAnyNumberOfThreads() {
        try (Arena arena = Arena.ofShared()) {
            FloatMatrix w = RoundingFixtures.gaussian(arena, random, 96, 136);
            FloatMatrix x = RoundingFixtures.gaussian(arena, random, 300, 136);
            QuantizationResult first = null;
            for (int threads = 1; threads <= 3; threads++) {
                try (ThreadTeam team = new ThreadTeam(threads)) {
                    HessianAccumulator sums = new HessianAccumulator(136, arena);
                    sums.add(team, x);
                    QuantizationResult r = quantizer(
                                    RoundingSettings.of(Codebook.ofBits(4)).withGreedyPasses(1), team)
                            .quantize("layer", one(w), sums.hessian(arena), 42, arena);
                    first = first == null ? r : first;
                    assertThat(RoundingFixtures.sameBits(
                                    r.linear().codes().data(),
                                    first.linear().codes().data()))
                            .as(threads + " threads, seed " + seed)
                            .isTrue();
                    assertThat(RoundingFixtures.sameBits(
                                    r.linear().su(), first.linear().su()))
                            .isTrue();
                    assertThat(RoundingFixtures.sameBits(
                                    r.linear().sv(), first.linear().sv()))
                            .isTrue();
                    assertThat(r.proxyError()).isEqualTo(first.proxyError());
                    assertThat(r.frobeniusError()).isEqualTo(first.frobeniusError());
                }
            }
        }
    }

    @Test
    void inputsAndResultMayLieInAConfinedArena() {
        try (Arena arena = Arena.ofConfined();
                ThreadTeam team = new ThreadTeam(3)) {
            FloatMatrix w = RoundingFixtures.gaussian(arena, random, 80, 64);
            FloatMatrix h = RoundingFixtures.hessian(arena, random, 64);
            QuantizationResult r = quantizer(
                            RoundingSettings.of(Codebook.ofBits(2)).withRescale(true), team)
                    .quantize("x", one(w), h, Incoherence.draw(1, "x", 80, 64), arena);
            assertThat(r.proxyError()).isBetween(0.0, 0.2);
        }
    }

    @Test
    void aPartOfZerosStaysZero() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            FloatMatrix h = RoundingFixtures.hessian(arena, random, 64);
            FloatMatrix zero = FloatMatrix.allocate(arena, 16, 64);
            FloatMatrix w = RoundingFixtures.gaussian(arena, random, 16, 64);
            // Ones would meet codebook values in sums that cancel exactly now and then.
            double[] x = java.util.stream.IntStream.range(0, 64)
                    .mapToDouble(i -> Math.sqrt(2 + i))
                    .toArray();
            LinearQuantizer q = quantizer(RoundingSettings.of(Codebook.ofBits(2)), team);

            QuantizationResult single = q.quantize("x", one(zero), h, Incoherence.draw(1, "x", 16, 64), arena);
            assertThat(single.proxyError()).isZero();
            assertThat(single.frobeniusError()).isZero();
            for (double y : LinearOracle.apply(single.linear(), x)) {
                assertThat(y == 0).isTrue();
            }

            QuantizationResult fused = q.quantize(
                    "x",
                    List.of(new LinearQuantizer.Part("up", w), new LinearQuantizer.Part("gate", zero)),
                    h,
                    Incoherence.draw(1, "x", 32, 64),
                    arena);
            double[] y = LinearOracle.apply(fused.linear(), x);
            for (int i = 0; i < 16; i++) {
                assertThat(y[i]).isNotZero();
                assertThat(y[16 + i] == 0).isTrue();
            }
        }
    }

    @Test
    void weightsOfAnySizeAreScaledIntoFloat16() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            FloatMatrix h = RoundingFixtures.hessian(arena, random, 64);
            DoubleMatrix h64 = RoundingFixtures.widen(arena, h);
            LinearQuantizer q = quantizer(RoundingSettings.of(Codebook.ofBits(4)), team);
            for (double size : new double[] {1e-6, 1e-4, 1, 1e5}) {
                FloatMatrix w = RoundingFixtures.gaussian(arena, random, 32, 64);
                for (int i = 0; i < 32; i++) {
                    for (int j = 0; j < 64; j++) {
                        w.set(i, j, (float) (w.get(i, j) * size));
                    }
                }
                QuantizationResult single = q.quantize("x", one(w), h, Incoherence.draw(1, "x", 32, 64), arena);
                assertThat(proxy(arena, single.linear(), w, h64))
                        .as("size " + size)
                        .isLessThan(0.02);
                QuantizationResult fused = q.quantize(
                        "x",
                        List.of(
                                new LinearQuantizer.Part("up", w.rows(0, 16)),
                                new LinearQuantizer.Part("gate", w.rows(16, 32))),
                        h,
                        Incoherence.draw(1, "x", 32, 64),
                        arena);
                assertThat(proxy(arena, fused.linear(), w, h64))
                        .as("size " + size)
                        .isLessThan(0.02);
            }
            FloatMatrix huge = FloatMatrix.allocate(arena, 8, 64);
            huge.set(0, 0, 3e38f);
            assertThatThrownBy(() -> q.quantize("x", one(huge), h, Incoherence.draw(1, "x", 8, 64), arena))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("float16");
        }
    }

    @Test
    void weightsThatAreNotFiniteAreNamed() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            FloatMatrix h = RoundingFixtures.hessian(arena, random, 16);
            FloatMatrix w = RoundingFixtures.gaussian(arena, random, 8, 16);
            FloatMatrix bad = w.copy(arena);
            LinearQuantizer q = quantizer(RoundingSettings.of(Codebook.ofBits(2)), team);
            for (float v : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
                bad.set(3, 5, v);
                assertThatThrownBy(() -> q.quantize(
                                "layer 2",
                                List.of(new LinearQuantizer.Part("up", w), new LinearQuantizer.Part("gate", bad)),
                                h,
                                Incoherence.draw(1, "x", 16, 16),
                                arena))
                        .isInstanceOf(FormatException.class)
                        .hasMessageContaining("layer 2: weight (3, 5) of part gate is " + v);
            }
        }
    }

    @Test
    void aHessianTooIllForFloat32IsDoneInFloat64() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            // One direction and 1e-9 of everything: float32 loses the second term, float64 does not.
            int n = 32;
            MemorySegment mu = arena.allocate(4L * n, 64);
            MemorySegment lower = arena.allocate(4 * Hessian.triangle(n), 64);
            for (int i = 0; i < n; i++) {
                mu.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1 + i % 3 * 0.37f);
                lower.setAtIndex(ValueLayout.JAVA_FLOAT, Hessian.triangle(i) + i, 1e-9f);
            }
            Hessian hessian = new Hessian(n, lower, mu, 1000);
            FloatMatrix w = RoundingFixtures.gaussian(arena, random, 16, n);
            RoundingSettings settings =
                    RoundingSettings.of(Codebook.ofBits(2)).withSigma(0).withGreedyPasses(1);
            QuantizationResult r = quantizer(settings, team).quantize("x", one(w), hessian, 3, arena);
            assertThat(r.float64Retried()).isTrue();
            assertThat(r.frobeniusError()).isFinite().isPositive();
            QuantizationResult regular =
                    quantizer(settings.withSigma(0.01), team).quantize("x", one(w), hessian, 3, arena);
            assertThat(regular.float64Retried()).isFalse();

            FloatMatrix negative = RoundingFixtures.hessian(arena, random, n);
            negative.set(4, 4, -100);
            assertThatThrownBy(() -> quantizer(settings, team)
                            .quantize("layer 3", one(w), negative, Incoherence.draw(1, "x", 16, n), arena))
                    .isInstanceOf(NotPositiveDefiniteException.class)
                    .hasMessageStartingWith("layer 3: ")
                    .hasMessageContaining("float64");
            negative.set(4, 4, Float.NaN);
            assertThatThrownBy(() -> quantizer(settings, team)
                            .quantize("layer 3", one(w), negative, Incoherence.draw(1, "x", 16, n), arena))
                    .isInstanceOf(NotPositiveDefiniteException.class);
        }
    }

    @Test
    void refusesShapesThatDoNotFit() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            LinearQuantizer q = quantizer(RoundingSettings.of(Codebook.ofBits(2)), team);
            FloatMatrix h = RoundingFixtures.hessian(arena, random, 16);
            FloatMatrix w = FloatMatrix.allocate(arena, 8, 24);
            assertThatThrownBy(() -> q.quantize("x", one(w), h, Incoherence.draw(1, "x", 8, 24), arena))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("part w is 8 x 24, the Hessian has 16 inputs");
            assertThatThrownBy(() -> q.quantize("x", List.of(), h, Incoherence.draw(1, "x", 8, 16), arena))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> RoundingSettings.of(Codebook.ofBits(2)).withScale(0))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void theCodesOfTheResultAreOfTheSettingsCodebook() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            FloatMatrix w = RoundingFixtures.gaussian(arena, random, 8, 16);
            FloatMatrix h = RoundingFixtures.hessian(arena, random, 16);
            for (int bits = 2; bits <= 4; bits++) {
                CodeMatrix codes = quantizer(RoundingSettings.of(Codebook.ofBits(bits)), team)
                        .quantize("x", one(w), h, Incoherence.draw(seed, "x", 8, 16), arena)
                        .linear()
                        .codes();
                assertThat(codes.codebook().bits()).isEqualTo(bits);
            }
        }
    }
}
