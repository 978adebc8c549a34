package dev.gosset.core.kernel.transform;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.VectorMethods;
import dev.gosset.core.kernel.memory.NativeMemory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import java.util.random.RandomGenerator;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Products with the published matrices, exactly: whole numbers, their halves and all their sums fit in a float. */
@Tag("kernel")
class SmallMatrixProductTest {
    private static final int TILE = SmallMatrixProduct.TILE;

    private static RandomGenerator fresh(String what) {
        long seed = System.nanoTime();
        System.out.println("SmallMatrixProductTest " + FloatVector.SPECIES_PREFERRED + " " + what + ": seed " + seed);
        return new Random(seed);
    }

    @ParameterizedTest
    @ValueSource(ints = {12, 20, 28, 36, 52, 60, 108, 116, 124, 140, 156, 172})
    void equalsThePublishedMatrixExactly(int k) {
        RandomGenerator random = fresh("order " + k);
        HadamardTransform u = HadamardTransform.of(k);
        for (boolean transpose : new boolean[] {false, true}) {
            int stride = TILE + random.nextInt(40);
            int offset = random.nextInt(64);
            long bytes = SmallMatrixProduct.scratchBytes(u);
            float[] x = new float[k * stride];
            for (int i = 0; i < x.length; i++) {
                x[i] = random.nextInt(-20000, 20001);
            }
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment data = arena.allocate(4L * x.length + offset, 64).asSlice(offset);
                MemorySegment scratch = arena.allocate(bytes + 64).fill((byte) 0x5a);
                MemorySegment.copy(x, 0, data, JAVA_FLOAT_UNALIGNED, 0, x.length);
                MemorySegment form = SmallMatrixProduct.form(u, transpose);
                SmallMatrixProduct.apply(u, transpose, form.address(), data.address(), 4L * stride, scratch.address());
                NativeMemory.keep(form, form);
                for (int i = 0; i < 64; i++) {
                    assertThat(scratch.get(JAVA_BYTE, bytes + i)).isEqualTo((byte) 0x5a);
                }
                assertThat(data.toArray(JAVA_FLOAT_UNALIGNED)).containsExactly(product(u, transpose, x, stride));
            }
        }
    }

    /** In whole numbers; what lies between the rows of the tile stays. */
    private static float[] product(HadamardTransform u, boolean transpose, float[] x, int stride) {
        float[] y = x.clone();
        for (int i = 0; i < u.k(); i++) {
            for (int column = 0; column < TILE; column++) {
                long sum = 0;
                for (int j = 0; j < u.k(); j++) {
                    sum += (long) (transpose ? u.entry(j, i) : u.entry(i, j)) * (long) x[j * stride + column];
                }
                y[i * stride + column] = sum;
            }
        }
        return y;
    }

    @Test
    void mostOfWilliamsonsMatricesHaveUnitSums() {
        for (int k : new int[] {12, 20, 28, 36, 52, 60, 108, 116, 124, 140, 156, 172}) {
            assertThat(WilliamsonProduct.serves(HadamardTransform.of(k)))
                    .isEqualTo(k == 52 || k == 116 || k == 156 || k == 172);
        }
    }

    /** See the comment in {@link VectorSylvester}. */
    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(WilliamsonProduct.class))
                .isEmpty();
    }
}
