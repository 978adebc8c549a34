package dev.gosset.core.hadamard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import dev.gosset.core.hadamard.HadamardTransform.Kind;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Random;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HadamardTransformTest {
    private static RandomGenerator fresh(String what) {
        long seed = System.nanoTime();
        System.out.println("HadamardTransformTest " + what + ": seed " + seed);
        return new Random(seed);
    }

    private static double[] normal(RandomGenerator random, int n) {
        double[] x = new double[n];
        for (int i = 0; i < n; i++) {
            x[i] = random.nextGaussian();
        }
        return x;
    }

    private static double squaredNorm(double[] x) {
        double s = 0;
        for (double v : x) {
            s += v * v;
        }
        return s;
    }

    private static double[] applied(HadamardTransform u, double[] x, boolean transpose) {
        double[] y = x.clone();
        u.apply(y, 0, transpose);
        return y;
    }

    /** U entry by entry from the definition; the sign of S is the parity of the common bits of the two indices. */
    private static double[][] dense(HadamardTransform u) {
        int n = u.n();
        int p = n / u.k();
        double[][] m = new double[n][n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                int sylvester = 1 - 2 * (Integer.bitCount(i % p & j % p) & 1);
                m[i][j] = u.entry(i / p, j / p) * sylvester / (double) (float) Math.sqrt(n);
            }
        }
        return m;
    }

    @ParameterizedTest
    @CsvSource({
        "12, 67507aecbe2abee5",
        "20, f54960fecf1ccf70",
        "28, a6cb994c78f9acd4",
        "36, d674d8240e6b622b",
        "52, 9ee082772819b105",
        "60, 091e76fba0aef583",
        "108, 690a34c6c9ed2f0e",
        "116, e35aecfbc1d95799",
        "124, 9b41cf5242a1dd12",
        "140, b9ff01506ffe4db5",
        "156, 99a1b852ce559ffd",
        "172, 378ef12c7cc31f3e"
    })
    void smallMatricesAreTheReferences(int k, String sha256) throws NoSuchAlgorithmException {
        byte[] h = HadamardMatrices.of(k);
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(h);
        assertThat(HexFormat.of().formatHex(digest)).startsWith(sha256);
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                int dot = 0;
                for (int l = 0; l < k; l++) {
                    dot += h[i * k + l] * h[j * k + l];
                }
                assertThat(dot).isEqualTo(i == j ? k : 0);
            }
        }
        HadamardTransform u = HadamardTransform.of(k);
        assertThat(u.k()).isEqualTo(k);
        float[] stored = u.smallMatrix().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
        for (int i = 0; i < k * k; i++) {
            assertThat(stored[i]).isEqualTo(h[i]);
            assertThat(u.entry(i / k, i % k)).isEqualTo(h[i]);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {12, 20, 28, 36, 52, 60, 108, 116, 124, 140, 156, 172})
    void smallMatricesEqualTheGoldenOnes(int k) {
        double[] expected =
                Golden.open("had_matrices.safetensors").get("had_" + k).doubles();
        byte[] h = HadamardMatrices.of(k);
        assertThat(h).hasSize(expected.length);
        for (int i = 0; i < h.length; i++) {
            assertThat((double) h[i]).isEqualTo(expected[i]);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1",
        "2, 1",
        "4096, 1",
        "12288, 12",
        "6144, 12",
        "5120, 20",
        "10240, 20",
        "28672, 28",
        "14336, 28",
        "896, 28",
        "18432, 36",
        "6656, 52",
        "106496, 52",
        "11008, 172",
        "22016, 172",
        "19968, 156",
        "17920, 140",
        "13824, 108",
        "15360, 60",
        "928, 116",
        "992, 124"
    })
    void formatSizesUseTheFormatsMatrix(int n, int k) {
        HadamardTransform u = HadamardTransform.of(n);
        assertThat(u.k()).isEqualTo(k);
        assertThat(u.kind()).isEqualTo(Kind.HADAMARD);
        assertThat(u.n()).isEqualTo(n);
    }

    @ParameterizedTest
    @CsvSource({
        "3, 3",
        "6, 3",
        "18944, 37",
        "5632, 11",
        "4864, 19",
        "29568, 231",
        "27392, 107",
        "13696, 107",
        "10944, 171",
        "25600, 25",
        "12800, 25",
        "3200, 25",
        "8640, 135",
        "9728, 19",
        "10920, 1365",
        "20014, 10007"
    })
    void everyOtherSizeUsesTheHartleyMatrixOfItsOddPart(int n, int k) {
        HadamardTransform u = HadamardTransform.of(n);
        assertThat(u.k()).isEqualTo(k);
        assertThat(u.kind()).isEqualTo(Kind.HARTLEY);
        assertThat(u.hasSmallMatrix()).isEqualTo(k <= HadamardTransform.MAX_STORED_K);
        RandomGenerator random = fresh("entries n=" + n);
        for (int t = 0; t < 1000; t++) {
            int i = random.nextInt(k);
            int j = random.nextInt(k);
            double angle = 2 * Math.PI * (((long) i * j) % k) / k;
            assertThat(u.entry(i, j)).isCloseTo(Math.cos(angle) + Math.sin(angle), within(1e-12));
            assertThat(u.entry(i, j)).isEqualTo(u.entry(j, i));
            assertThat(Math.abs(u.entry(i, j))).isLessThanOrEqualTo(Math.sqrt(2) + 1e-15);
        }
    }

    @Test
    void theRuleHoldsForEverySizeUpTo65536() {
        for (int n = 1; n <= 65536; n++) {
            HadamardTransform u = HadamardTransform.of(n);
            int p = n / u.k();
            int odd = n >> Integer.numberOfTrailingZeros(n);
            if (u.n() != n || u.k() * p != n || Integer.bitCount(p) != 1 || u.k() % odd != 0) {
                throw new AssertionError(u.toString());
            }
            // the reference's own order of trial: the largest K that divides n and leaves a power of two
            int reference = Integer.bitCount(n) == 1 ? 1 : 0;
            for (int k : new int[] {12, 20, 28, 36, 52, 60, 108, 116, 124, 140, 156, 172}) {
                if (n % k == 0 && Integer.bitCount(n / k) == 1) {
                    reference = k;
                }
            }
            if ((u.kind() == Kind.HADAMARD) != (reference != 0) || reference != 0 && u.k() != reference) {
                throw new AssertionError(u + ", the reference takes " + reference);
            }
        }
    }

    @Test
    void equalsTheDenseMatrixForEverySizeUpTo200() {
        RandomGenerator random = fresh("dense");
        for (int n = 1; n <= 200; n++) {
            HadamardTransform u = HadamardTransform.of(n);
            double[][] m = dense(u);
            double[] x = normal(random, n);
            double[] y = applied(u, x, false);
            double[] yt = applied(u, x, true);
            for (int i = 0; i < n; i++) {
                double sum = 0;
                double sumT = 0;
                for (int j = 0; j < n; j++) {
                    sum += m[i][j] * x[j];
                    sumT += m[j][i] * x[j];
                }
                assertThat(y[i]).as("U, n=%d, i=%d", n, i).isCloseTo(sum, within(1e-12));
                assertThat(yt[i]).as("U^T, n=%d, i=%d", n, i).isCloseTo(sumT, within(1e-12));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(
            ints = {
                1, 2, 3, 5, 7, 8, 12, 15, 44, 127, 257, 1009, 2018, 2047, 2049, 3200, 4096, 4098, 5120, 8191, 8640,
                9728, 10007, 10920, 10944, 11008, 13696, 13824, 14336, 18944, 19997, 20014, 25600, 27392, 28672, 29568,
                32749, 50021, 65498, 65521, 65535, 65536
            })
    void isOrthogonal(int n) {
        RandomGenerator random = fresh("orthogonal n=" + n);
        HadamardTransform u = HadamardTransform.of(n);
        double[] x = normal(random, n);
        double scale = n / ((double) u.norm() * u.norm());
        assertThat(scale).isCloseTo(1, within(1.2e-7));
        double[] y = applied(u, x, false);
        double[] z = applied(u, x, true);
        assertThat(squaredNorm(y)).isCloseTo(scale * squaredNorm(x), within(1e-10 * squaredNorm(x)));
        assertThat(squaredNorm(z)).isCloseTo(scale * squaredNorm(x), within(1e-10 * squaredNorm(x)));
        double[] back = applied(u, y, true);
        double[] forth = applied(u, z, false);
        for (int i = 0; i < n; i++) {
            assertThat(back[i]).isCloseTo(scale * x[i], within(1e-10));
            assertThat(forth[i]).isCloseTo(scale * x[i], within(1e-10));
        }
    }

    /** Beyond the stored matrices the product goes another way; its rows must still be those of the Hartley matrix. */
    @ParameterizedTest
    @ValueSource(ints = {2049, 4102, 4098, 10007, 20014, 19997, 65535, 8196})
    void longOddPartsEqualTheirRows(int n) {
        RandomGenerator random = fresh("rows n=" + n);
        HadamardTransform u = HadamardTransform.of(n);
        assertThat(u.hasSmallMatrix()).isFalse();
        assertThatThrownBy(u::smallMatrix)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("" + u.k());
        double[] x = normal(random, n);
        double[] y = applied(u, x, random.nextBoolean());
        int p = n / u.k();
        for (int t = 0; t < 20; t++) {
            int i = t == 0 ? 0 : t == 1 ? n - 1 : random.nextInt(n);
            double sum = 0;
            for (int j = 0; j < n; j++) {
                sum += u.entry(i / p, j / p) * (1 - 2 * (Integer.bitCount(i % p & j % p) & 1)) * x[j];
            }
            assertThat(y[i]).isCloseTo(sum / u.norm(), within(1e-10));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 8, 64, 96, 160, 224, 288, 384, 416, 480, 864, 928, 992, 1120, 1248, 1376})
    void equalsTheGoldenFloat64(int n) {
        Golden golden = Golden.open("hadU.safetensors");
        HadamardTransform u = HadamardTransform.of(n);
        for (boolean transpose : new boolean[] {false, true}) {
            double[] x = golden.get("n" + n + "_x").doubles();
            double[] expected =
                    golden.get("n" + n + (transpose ? "_Ut_f64" : "_U_f64")).doubles();
            for (int row = 0; row < x.length / n; row++) {
                u.apply(x, row * n, transpose);
            }
            assertThat(x).containsExactly(expected, within(1e-12));
        }
    }

    @Test
    void touchesNothingOutsideItsRange() {
        RandomGenerator random = fresh("range");
        double[] x = normal(random, 60);
        double[] y = x.clone();
        HadamardTransform.of(28).apply(y, 7, true);
        for (int i = 0; i < 60; i++) {
            assertThat(y[i] == x[i]).isEqualTo(i < 7 || i >= 35);
        }
    }

    @Test
    void refusesWrongArguments() {
        assertThatThrownBy(() -> HadamardTransform.of(0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("found 0");
        assertThatThrownBy(() -> HadamardTransform.of(12).apply(new double[12], 1, false))
                .isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> HadamardTransform.of(12).apply(MemorySegment.ofArray(new double[12]), false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("192");
        assertThat(HadamardTransform.of(12).smallMatrix().isReadOnly()).isTrue();
    }

    /** mu = max|W_ij| sqrt(m n) / |W|_F, spec section 11: what the transform is for. */
    @ParameterizedTest
    @CsvSource({"256, 384", "148, 200", "256, 231"})
    void makesOutliersIncoherent(int m, int n) {
        RandomGenerator random = fresh("incoherence " + m + " x " + n);
        double[][] w = new double[m][n];
        for (double[] row : w) {
            for (int j = 0; j < n; j++) {
                row[j] = random.nextGaussian() * (random.nextInt(1000) == 0 ? 50 : 1);
            }
        }
        w[random.nextInt(m)][random.nextInt(n)] = 100;
        double before = mu(w);
        double energy = energy(w);
        int[] su = signs(random, n);
        int[] sv = signs(random, m);
        HadamardTransform right = HadamardTransform.of(n);
        HadamardTransform left = HadamardTransform.of(m);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                w[i][j] *= sv[i] * su[j];
            }
            right.apply(w[i], 0, true);
        }
        double[] column = new double[m];
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                column[i] = w[i][j];
            }
            left.apply(column, 0, true);
            for (int i = 0; i < m; i++) {
                w[i][j] = column[i];
            }
        }
        double after = mu(w);
        System.out.printf("incoherence %d x %d: mu %.2f -> %.2f%n", m, n, before, after);
        assertThat(energy(w)).isCloseTo(energy, within(1e-6 * energy));
        assertThat(before).isGreaterThan(20);
        // a Gaussian matrix of this size has mu about 4.5; sqrt 2 more for each Hartley side
        assertThat(after).isLessThan(9);
        assertThat(after).isLessThan(2 * Math.log(4.0 * m * n / 0.01));
    }

    private static int[] signs(RandomGenerator random, int n) {
        int[] s = new int[n];
        for (int i = 0; i < n; i++) {
            s[i] = random.nextBoolean() ? 1 : -1;
        }
        return s;
    }

    private static double energy(double[][] w) {
        double s = 0;
        for (double[] row : w) {
            s += squaredNorm(row);
        }
        return s;
    }

    private static double mu(double[][] w) {
        double max = 0;
        for (double[] row : w) {
            for (double v : row) {
                max = Math.max(max, Math.abs(v));
            }
        }
        return max * Math.sqrt((double) w.length * w[0].length) / Math.sqrt(energy(w));
    }
}
