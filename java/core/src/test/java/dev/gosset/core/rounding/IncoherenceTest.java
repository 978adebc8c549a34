package dev.gosset.core.rounding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import dev.gosset.core.hadamard.FourierTransform;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.kernel.oracle.ScalarTransform;
import dev.gosset.core.kernel.transform.VectorTransform;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class IncoherenceTest {
    private final long seed = System.nanoTime();
    private final SplittableRandom random = new SplittableRandom(seed);
    private final TransformKernel kernel = new ScalarTransform();

    @Test
    void equalsTheReferenceInBothPrecisions() {
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2)) {
            for (String size : new String[] {"64x96", "128x384"}) {
                Golden f32 = Golden.open("ldlq_" + size + "_f32.safetensors");
                Golden f64 = Golden.open("ldlq_" + size + "_f64.safetensors");
                Incoherence incoherence = RoundingFixtures.incoherence(f32);
                FloatMatrix h = RoundingFixtures.floats(arena, f32, "H");
                FloatMatrix w = RoundingFixtures.floats(arena, f32, "W");
                incoherence.hessian(kernel, team, h);
                incoherence.weights(kernel, team, w);
                assertThat(RoundingFixtures.largestDifference(h, f32.get("Hr").floats()))
                        .isLessThan(5e-6);
                assertThat(RoundingFixtures.largestDifference(w, f32.get("Wr").floats()))
                        .isLessThan(5e-6);

                DoubleMatrix h64 = RoundingFixtures.doubles(arena, f32, "H");
                DoubleMatrix w64 = RoundingFixtures.doubles(arena, f64.has("W") ? f64 : f32, "W");
                DoubleMatrix original = w64.copy(arena);
                incoherence.hessian(team, h64);
                incoherence.weights(team, w64);
                assertThat(RoundingFixtures.largestDifference(h64, f64.get("Hr").doubles()))
                        .isLessThan(1e-12);
                assertThat(RoundingFixtures.largestDifference(w64, f64.get("Wr").doubles()))
                        .isLessThan(1e-12);

                incoherence.weightsBack(kernel, team, w);
                assertThat(RoundingFixtures.largestDifference(w, f32.get("W").floats()))
                        .isLessThan(1e-5);
                incoherence.weightsBack(team, w64);
                // U is orthogonal up to the rounding of sqrt(n) to float32
                assertThat(RoundingFixtures.largestDifference(w64, original.toArray()))
                        .isLessThan(1e-5);
            }
        }
    }

    @Test
    void keepsTheQuadraticFormAndSpreadsOutliersForEveryShape() {
        for (int[] shape : new int[][] {{1, 1}, {5, 7}, {24, 40}, {33, 99}, {128, 256}, {128, 704}}) {
            for (TransformChoice choice : TransformChoice.values()) {
                if (choice == TransformChoice.AUTO
                        || shape[0] % 8 == 0 && shape[1] % 3 != 0 && shape[1] % 11 != 0
                        || choice != TransformChoice.HADAMARD && shape[0] % 2 == 0) {
                    keepsTheQuadraticFormAndSpreadsOutliers(choice, shape[0], shape[1]);
                }
            }
        }
    }

    private void keepsTheQuadraticFormAndSpreadsOutliers(TransformChoice choice, int m, int n) {
        for (TransformKernel kernel : new TransformKernel[] {new ScalarTransform(), new VectorTransform()}) {
            try (Arena arena = Arena.ofShared();
                    ThreadTeam team = new ThreadTeam(2)) {
                Incoherence incoherence = Incoherence.draw(choice, seed, "layer", m, n);
                FloatMatrix h = RoundingFixtures.hessian(arena, random, n);
                FloatMatrix w = RoundingFixtures.gaussian(arena, random, m, n);
                w.set(m / 2, n / 2, 60);
                double before =
                        RoundingFixtures.trace(RoundingFixtures.widen(arena, w), RoundingFixtures.widen(arena, h));
                double peak = peak(w);
                FloatMatrix w2 = w.copy(arena);
                incoherence.hessian(kernel, team, h);
                incoherence.weights(kernel, team, w2);
                assertThat(ProxyLoss.trace(team, w2, h))
                        .as(m + " x " + n + " seed " + seed)
                        .isCloseTo(before, within(1e-5 * before));
                if (m * n > 1000) {
                    assertThat(peak(w2)).as("incoherence, seed " + seed).isLessThan(0.3 * peak);
                }
                incoherence.weightsBack(kernel, team, w2);
                assertThat(RoundingFixtures.largestDifference(w2, w.toArray())).isLessThan(1e-4);
            }
        }
    }

    /** The golden Fourier transforms of both sides. */
    @Test
    void equalsTheGoldenFourierTransforms() {
        Golden golden = Golden.read(Golden.shared().resolve("spec/golden-quip/rfft.safetensors"));
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2)) {
            Incoherence incoherence = new Incoherence(
                    TransformChoice.FOURIER.of(22),
                    FourierTransform.phases(golden.get("n22.theta").doubles()),
                    TransformChoice.FOURIER.of(106),
                    FourierTransform.phases(golden.get("n106.theta").doubles()));
            DoubleMatrix w = RoundingFixtures.doubles(arena, golden, "mat.W");
            DoubleMatrix h = RoundingFixtures.doubles(arena, golden, "mat.H");
            incoherence.weights(team, w);
            incoherence.hessian(team, h);
            assertThat(w.toArray())
                    .usingComparatorWithPrecision(1e-12)
                    .containsExactly(golden.get("mat.Wr").doubles());
            assertThat(h.toArray())
                    .usingComparatorWithPrecision(1e-12)
                    .containsExactly(golden.get("mat.Hr").doubles());
            incoherence.weightsBack(team, w);
            assertThat(w.toArray())
                    .usingComparatorWithPrecision(1e-12)
                    .containsExactly(golden.get("mat.W").doubles());
        }
    }

    /** Phases are drawn for ever alike, and evenly. */
    @Test
    void drawnAnglesAreFixedForEver() {
        assertThat(Incoherence.angles(7, "model.layers.0.self_attn.o_proj/SU", 3))
                .usingComparatorWithPrecision(1e-15)
                .containsExactly(PINNED_ANGLES);
        int n = 100_000;
        double re = 0;
        double im = 0;
        for (double angle : Incoherence.angles(seed, "a", n)) {
            assertThat(angle).isBetween(0.0, 2 * Math.PI);
            re += Math.cos(angle);
            im += Math.sin(angle);
        }
        assertThat(Math.hypot(re, im)).as("seed " + seed).isLessThan(6 * Math.sqrt(n));
    }

    private static final double[] PINNED_ANGLES = {2.443057944315227, 0.18761686595112084, 4.3881478427801035};

    /** max |W_ij| sqrt(m n) / |W|_F, the mu_W of the paper. */
    private static double peak(FloatMatrix w) {
        double largest = 0;
        for (float v : w.toArray()) {
            largest = Math.max(largest, Math.abs(v));
        }
        return largest * Math.sqrt((double) w.rows() * w.cols() / ProxyLoss.squaredNorm(w));
    }

    @Test
    void drawnSignsAreFixedForEverAndUnrelatedBetweenNames() {
        // Pinned: a model quantized today must be reproducible tomorrow.
        StringBuilder text = new StringBuilder();
        for (byte s : Incoherence.signs(7, "model.layers.0.self_attn.o_proj/SU", 96)) {
            text.append(s > 0 ? '+' : '-');
        }
        assertThat(text.toString()).isEqualTo(PINNED);
        int n = 100_000;
        byte[] a = Incoherence.signs(seed, "a", n);
        byte[] b = Incoherence.signs(seed, "b", n);
        byte[] c = Incoherence.signs(seed + 1, "a", n);
        int sum = 0;
        int ab = 0;
        int ac = 0;
        int lag = 0;
        for (int i = 0; i < n; i++) {
            sum += a[i];
            ab += a[i] * b[i];
            ac += a[i] * c[i];
            lag += a[i] * a[(i + 1) % n];
        }
        double sixSigma = 6 * Math.sqrt(n);
        assertThat(Math.abs(sum)).as("seed " + seed).isLessThan((int) sixSigma);
        assertThat(Math.abs(ab)).as("seed " + seed).isLessThan((int) sixSigma);
        assertThat(Math.abs(ac)).as("seed " + seed).isLessThan((int) sixSigma);
        assertThat(Math.abs(lag)).as("seed " + seed).isLessThan((int) sixSigma);
    }

    private static final String PINNED =
            "-++-+++-+-++++--++-----+++-+----+++-++--++-++++++-+-+++---+++--+++++-+-+++-++----++---++-+--+-+-";

    @Test
    void hasTheSameBitsWithAnyNumberOfThreads() {
        try (Arena arena = Arena.ofShared()) {
            FloatMatrix w = RoundingFixtures.gaussian(arena, random, 70, 96);
            FloatMatrix first = null;
            for (int threads = 1; threads <= 3; threads++) {
                try (ThreadTeam team = new ThreadTeam(threads)) {
                    FloatMatrix wr = w.copy(arena);
                    Incoherence.draw(1, "x", 70, 96).weights(kernel, team, wr);
                    first = first == null ? wr : first;
                    assertThat(RoundingFixtures.sameBits(wr.data(), first.data()))
                            .isTrue();
                }
            }
        }
    }

    @Test
    void refusesOtherSignsAndShapes() {
        assertThatThrownBy(() -> new Incoherence(new byte[] {1, 0}, new byte[] {1}))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("SU[1] is 0");
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(1)) {
            assertThatThrownBy(() ->
                            Incoherence.draw(1, "x", 2, 3).weights(kernel, team, FloatMatrix.allocate(arena, 3, 2)))
                    .hasMessageContaining("W is 3 x 2, the sign vectors are for 2 x 3");
        }
    }
}
