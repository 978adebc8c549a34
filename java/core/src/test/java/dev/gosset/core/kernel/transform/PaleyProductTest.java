package dev.gosset.core.kernel.transform;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.VectorMethods;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import java.util.random.RandomGenerator;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The product of order 28 with a stage of Sylvester's, exactly: whole numbers, their halves and sums fit in a float. */
@Tag("kernel")
class PaleyProductTest {
    private static final int K = PaleyProduct.K;
    private static final int TILE = SmallMatrixProduct.TILE;
    private static final HadamardTransform U = HadamardTransform.of(K);

    private static RandomGenerator fresh(String what) {
        long seed = System.nanoTime();
        System.out.println("PaleyProductTest " + FloatVector.SPECIES_PREFERRED + " " + what + ": seed " + seed);
        return new Random(seed);
    }

    private static float[][] wholeNumbers(RandomGenerator random) {
        float[][] x = new float[K][TILE];
        for (float[] row : x) {
            for (int column = 0; column < TILE; column++) {
                row[column] = random.nextInt(-99999, 100000);
            }
        }
        return x;
    }

    private static void write(float[][] x, MemorySegment to, int stride) {
        for (int i = 0; i < K; i++) {
            MemorySegment.copy(x[i], 0, to, JAVA_FLOAT_UNALIGNED, 4L * stride * i, TILE);
        }
    }

    /** The published matrix times x, in whole numbers. */
    private static void assertProduct(float[][] x, MemorySegment y, int stride) {
        for (int i = 0; i < K; i++) {
            for (int column = 0; column < TILE; column++) {
                long sum = 0;
                for (int j = 0; j < K; j++) {
                    sum += (long) U.entry(i, j) * (long) x[j][column];
                }
                assertThat(y.get(JAVA_FLOAT_UNALIGNED, 4L * (stride * i + column)))
                        .as("row %d, column %d", i, column)
                        .isEqualTo(sum);
            }
        }
    }

    @Test
    void equalsTheMatrixOfSumsAndDifferencesOfNeighbours() {
        RandomGenerator random = fresh("pairs");
        for (int trial = 0; trial < 20; trial++) {
            int fromStride = TILE + random.nextInt(100);
            int toStride = TILE + random.nextInt(100);
            float[][] x = wholeNumbers(random);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment from = arena.allocate(4L * K * fromStride, 4);
                MemorySegment to = arena.allocate(4L * K * toStride, 4);
                MemorySegment scratch = arena.allocate(PaleyProduct.scratchBytes());
                write(x, from, fromStride);
                PaleyProduct.applyWithPairs(
                        from.address(), 4L * fromStride, to.address(), 4L * toStride, scratch.address());
                for (float[] row : x) {
                    for (int column = 0; column < TILE; column += 2) {
                        float a = row[column];
                        row[column] = a + row[column + 1];
                        row[column + 1] = a - row[column + 1];
                    }
                }
                assertProduct(x, to, toStride);
            }
        }
    }

    @Test
    void servesTheHadamardMatrixAlone() {
        assertThat(PaleyProduct.serves(U)).isTrue();
        assertThat(PaleyProduct.serves(HadamardTransform.of(14336))).isTrue();
        assertThat(PaleyProduct.serves(HadamardTransform.of(5120))).isFalse();
        assertThat(PaleyTransform.takes(HadamardTransform.of(896))).isFalse();
    }

    /** See the comment in {@link VectorSylvester}. */
    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(PaleyProduct.class))
                .isEmpty();
    }
}
