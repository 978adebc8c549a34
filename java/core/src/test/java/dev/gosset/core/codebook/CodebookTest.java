package dev.gosset.core.codebook;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The codebooks against the hashes of the specification, brute force and the golden data. */
class CodebookTest {
    private static final double[] GRID = grid(E8p.INSTANCE);

    private static double[] grid(Codebook codebook) {
        double[] grid = new double[65536 * 8];
        for (int code = 0; code < 65536; code++) {
            codebook.decode(code, grid, 8 * code);
        }
        return grid;
    }

    private static String sha16(byte[] bytes) throws Exception {
        return HexFormat.of()
                .formatHex(MessageDigest.getInstance("SHA-256").digest(bytes))
                .substring(0, 16);
    }

    private static byte[] times4(double[] values) {
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < values.length; i++) {
            assertThat(4 * values[i]).isEqualTo(Math.rint(4 * values[i]));
            bytes[i] = (byte) (4 * values[i]);
        }
        return bytes;
    }

    @Test
    void tablesHaveTheHashesOfTheSpecification() throws Exception {
        assertThat(sha16(E8p.doubledMagnitudes())).isEqualTo("4310f9ed6450a9f8");
        assertThat(sha16(E81b.doubledPoints())).isEqualTo("37ce1a66345c1bbc");
        assertThat(sha16(times4(GRID))).isEqualTo("ea3883a85a627590");
        ByteBuffer packed = ByteBuffer.allocate(1024).order(ByteOrder.LITTLE_ENDIAN);
        packed.asIntBuffer().put(packedMagnitudes());
        assertThat(sha16(packed.array())).isEqualTo("efc2c03c60acd955");
        assertThat(packedMagnitudes()[227]).isEqualTo(0x5b99bb9b);
    }

    /**
     * The table that kernels of the reference hold, 256 words: nibble k is {@code 2 v + 8} of coordinate k of the order 0,
     * 2, 4, 6, 1, 3, 5, 7, where v is the row of S with coordinate 7 negated if the row's sum is odd.
     */
    private static int[] packedMagnitudes() {
        byte[] doubled = E8p.doubledMagnitudes();
        int[] packed = new int[doubled.length / 8];
        for (int a = 0; a < packed.length; a++) {
            for (int k = 0; k < 8; k++) {
                int c = k < 4 ? 2 * k : 2 * k - 7;
                int v = doubled[8 * a + c];
                packed[a] |= (c == 7 && E8p.INSTANCE.parity(a) == 1 ? 8 - v : 8 + v) << (4 * k);
            }
        }
        return packed;
    }

    @Test
    void decodesTheExamplesOfTheSpecification() {
        double[] v = new double[8];
        E8p.INSTANCE.decode(0x1537, v, 0);
        assertThat(v).containsExactly(.25, -.75, -.75, -.75, -1.75, .25, 1.25, -1.75);
        E8p.INSTANCE.decode(0xffff, v, 0);
        assertThat(v).containsExactly(-1.25, -1.25, -.25, -.25, -1.25, -1.25, -1.25, .75);
    }

    @Test
    void decodesEveryCodeAsTheGoldenGrid() {
        Golden golden = Golden.open("codebooks.safetensors");
        double[] expected = golden.get("e8p_grid_x4").doubles();
        byte[] found = times4(GRID);
        for (int i = 0; i < expected.length; i++) {
            assertThat((double) found[i]).as("code %d", i / 8).isEqualTo(expected[i]);
        }
        double[] residual = golden.get("e81b_grid_x2").doubles();
        byte[] points = E81b.doubledPoints();
        for (int i = 0; i < residual.length; i++) {
            assertThat((double) points[i]).isEqualTo(residual[i]);
        }
    }

    private static double squaredDistance(double[] x, int at, double[] grid, int code) {
        double sum = 0;
        for (int c = 0; c < 8; c++) {
            double d = x[at + c] - grid[8 * code + c];
            sum += d * d;
        }
        return sum;
    }

    /** The nearest of all points, and the distance of the second nearest. */
    private static void assertNearest(double[] x, int at, double[] grid, int points, int found, String what) {
        double best = Double.POSITIVE_INFINITY;
        double second = best;
        int nearest = -1;
        for (int code = 0; code < points; code++) {
            double d = squaredDistance(x, at, grid, code);
            if (d < best) {
                second = best;
                best = d;
                nearest = code;
            } else if (d < second) {
                second = d;
            }
        }
        double distance = squaredDistance(x, at, grid, found);
        assertThat(distance).as(what).isCloseTo(best, within(1e-12 * best));
        if (second > best * (1 + 1e-11)) {
            assertThat(found).as(what).isEqualTo(nearest);
        }
    }

    @Test
    void nearestEqualsBruteForce() {
        long seed = System.nanoTime();
        System.out.println("CodebookTest.nearestEqualsBruteForce seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        double[] scales = {0, 1e-300, 1e-30, 1e-6, 0.1, 0.5, 0.9, 1.03, 1.03, 1.03, 1.03, 2, 5, 30, 1e4};
        double[] x = new double[8];
        double[] residualGrid = new double[256 * 8];
        for (int code = 0; code < 256; code++) {
            E81b.decode(code, residualGrid, 8 * code);
        }
        for (int trial = 0; trial < 1200; trial++) {
            double scale = scales[trial % scales.length];
            for (int c = 0; c < 8; c++) {
                x[c] = scale * random.nextGaussian();
            }
            if (trial % 7 == 0) {
                x[random.nextInt(8)] *= 50;
            }
            String what = "seed " + seed + " trial " + trial;
            assertNearest(x, 0, GRID, 65536, E8p.INSTANCE.nearest(x, 0), what);
            assertNearest(x, 0, residualGrid, 256, E81b.nearest(x, 0), what);
        }
    }

    @Test
    void everyPointIsItsOwnNearest() {
        for (int code = 0; code < 65536; code += 1) {
            assertThat(E8p.INSTANCE.nearest(GRID, 8 * code)).isEqualTo(code);
        }
    }

    @Test
    void nonFiniteInputsGiveSomeCode() {
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
            double[] x = {0.3, bad, -1, bad, 2, 0, 0, 1};
            assertThat(E8p.INSTANCE.nearest(x, 0)).isBetween(0, 65535);
            assertThat(E81b.nearest(x, 0)).isBetween(0, 255);
        }
    }

    @Test
    void nearestEqualsTheGoldenCodes() {
        Golden golden = Golden.open("nearest.safetensors");
        double[] x = golden.get("e8p_x").doubles();
        long[] expected = golden.get("e8p_idx").longs();
        double[] values = golden.get("e8p_val_x4").doubles();
        for (int i = 0; i < expected.length; i++) {
            int code = E8p.INSTANCE.nearest(x, 8 * i);
            assertThat(code).as("vector %d", i).isEqualTo((int) expected[i]);
            for (int c = 0; c < 8; c++) {
                assertThat(4 * GRID[8 * code + c]).isEqualTo(values[8 * i + c]);
            }
        }
        double[] special = golden.get("special_x").doubles();
        double[] specialValues = golden.get("special_val_x4").doubles();
        for (int i = 0; i < special.length / 8; i++) {
            double reference = 0;
            for (int c = 0; c < 8; c++) {
                double d = special[8 * i + c] - specialValues[8 * i + c] / 4;
                reference += d * d;
            }
            // Codes of exact ties are not binding; distances are.
            assertThat(squaredDistance(special, 8 * i, GRID, E8p.INSTANCE.nearest(special, 8 * i)))
                    .isCloseTo(reference, within(1e-6 * (1 + reference)));
        }
    }

    @Test
    void residualCodesEqualTheGoldenCodes() {
        Golden golden = Golden.open("nearest.safetensors");
        for (Codebook codebook : new Codebook[] {E8pResidual.RVQ3B, E8pResidual.RVQ4B}) {
            String prefix = "rvq" + codebook.bits();
            double[] x = golden.get(prefix + "_x").doubles();
            long[] expected = golden.get(prefix + "_code").longs();
            double[] values = golden.get(prefix + "_val").doubles();
            double[] v = new double[8];
            for (int i = 0; i < expected.length; i++) {
                int code = codebook.nearest(x, 8 * i);
                assertThat(Integer.toUnsignedLong(code))
                        .as("%s vector %d", prefix, i)
                        .isEqualTo(expected[i]);
                codebook.decode(code, v, 0);
                for (int c = 0; c < 8; c++) {
                    assertThat(v[c]).isCloseTo(values[8 * i + c], within(1e-6));
                }
            }
        }
    }

    @Test
    void codebooksAreFoundByBitsAndName() {
        for (int bits = 2; bits <= 4; bits++) {
            Codebook codebook = Codebook.ofBits(bits);
            assertThat(codebook.bits()).isEqualTo(bits);
            assertThat(Codebook.named(codebook.name())).isSameAs(codebook);
        }
        assertThatThrownBy(() -> Codebook.ofBits(5)).hasMessageContaining("found 5");
        assertThatThrownBy(() -> Codebook.named("E9")).hasMessageContaining("E8P12RVQ3B");
    }
}
