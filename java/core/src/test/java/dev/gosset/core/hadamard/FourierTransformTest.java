package dev.gosset.core.hadamard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The Fourier transform against its sum, its transposed, and the golden vectors. */
class FourierTransformTest {
    /** Every even length up to 260, and such as meet each way of splitting: primes that are passes, chirps, powers of two. */
    @Test
    void isTheSumOfItsDefinition() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        for (int n = 2; n <= 1024; n += n < 260 ? 2 : 2 + 2 * random.nextInt(40)) {
            double[] x = random.doubles(n, -1, 1).toArray();
            double[] y = x.clone();
            FourierTransform transform = new FourierTransform(n);
            transform.apply(y, true);
            int half = n / 2;
            for (int j = 0; j < half; j++) {
                double re = 0;
                double im = 0;
                for (int k = 0; k < half; k++) {
                    double angle = -2 * Math.PI * ((long) j * k % half) / half;
                    re += x[2 * k] * Math.cos(angle) - x[2 * k + 1] * Math.sin(angle);
                    im += x[2 * k] * Math.sin(angle) + x[2 * k + 1] * Math.cos(angle);
                }
                assertThat(y[2 * j]).as("n %d, seed %d", n, seed).isCloseTo(re / Math.sqrt(half), within(1e-12));
                assertThat(y[2 * j + 1]).as("n %d, seed %d", n, seed).isCloseTo(im / Math.sqrt(half), within(1e-12));
            }
            transform.apply(y, false);
            assertThat(y)
                    .as("n %d, seed %d", n, seed)
                    .usingComparatorWithPrecision(1e-12)
                    .containsExactly(x);
        }
    }

    @Test
    void golden() {
        Golden golden = Golden.read(Golden.shared().resolve("spec/golden-quip/rfft.safetensors"));
        for (int n : new int[] {22, 106, 384}) {
            double[] phases =
                    FourierTransform.phases(golden.get("n" + n + ".theta").doubles());
            double[] x = golden.get("n" + n + ".x").doubles();
            double[] y = golden.get("n" + n + ".y").doubles();
            FourierTransform transform = new FourierTransform(n);
            for (int row = 0; row < 3; row++) {
                double[] v = java.util.Arrays.copyOfRange(x, row * n, (row + 1) * n);
                FourierTransform.turn(v, phases, false);
                transform.apply(v, true);
                assertThat(v)
                        .usingComparatorWithPrecision(1e-12)
                        .containsExactly(java.util.Arrays.copyOfRange(y, row * n, (row + 1) * n));
            }
        }
    }

    @Test
    void refusesOddLengths() {
        assertThatThrownBy(() -> new FourierTransform(7)).hasMessageContaining("even length, found 7");
    }
}
