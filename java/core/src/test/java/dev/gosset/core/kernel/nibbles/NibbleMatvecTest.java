package dev.gosset.core.kernel.nibbles;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.kernel.TableMatvecContract;
import dev.gosset.core.kernel.VectorMethods;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.oracle.ScalarMatvec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Products by tables of 16 entries: within the error bound that they state, and the same bits however they are cut. */
class NibbleMatvecTest extends TableMatvecContract {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    NibbleMatvecTest() {
        super(new NibbleMatvec(), NibbleMatvec.obstacle());
    }

    @Test
    void everyRowOfSHasItsByte() {
        byte[] doubled = E8p.doubledMagnitudes();
        BitSet seen = new BitSet();
        byte[] v = new byte[8];
        for (int a = 0; a < 256; a++) {
            byte code = NibbleCodes.magnitudes(a << 8);
            seen.set(code & 0xff);
            NibbleCodes.decodeMagnitudes(code, v);
            assertThat(v).as("row %d", a).containsExactly(java.util.Arrays.copyOfRange(doubled, 8 * a, 8 * a + 8));
        }
        assertThat(seen.cardinality()).isEqualTo(256);
    }

    @Test
    void everyPointOfE81bHasItsByte() {
        byte[] doubled = E81b.doubledPoints();
        BitSet seen = new BitSet();
        byte[] v = new byte[8];
        for (int i = 0; i < 256; i++) {
            byte code = NibbleCodes.residual(i);
            seen.set(code & 0xff);
            NibbleCodes.decodeResidual(code & 0xff, v);
            assertThat(v).as("point %d", i).containsExactly(java.util.Arrays.copyOfRange(doubled, 8 * i, 8 * i + 8));
        }
        assertThat(seen.cardinality()).isEqualTo(256);
    }

    /** A code's 16 bits are found again in its two bytes. */
    @Test
    void bytesOfAllCodesDiffer() {
        BitSet seen = new BitSet();
        for (int code = 0; code < 65536; code++) {
            seen.set((NibbleCodes.magnitudes(code) & 0xff) << 8 | NibbleCodes.signs(code) & 0xff);
        }
        assertThat(seen.cardinality()).isEqualTo(65536);
    }

    /** Each code with the x that brings its product, or its negative, to the largest that the tables allow for. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void theLargestProductsDoNotOverflow(int bits) {
        SplittableRandom random = random("theLargestProductsDoNotOverflow");
        int groups = 256;
        try (Arena arena = Arena.ofConfined()) {
            for (int trial = 0; trial < 60; trial++) {
                int upper = random.nextInt(65536);
                int lower = random.nextInt(bits == 3 ? 256 : 65536);
                CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), 16, 8 * groups);
                for (int i = 0; i < 16; i++) {
                    for (int g = 0; g < groups; g++) {
                        codes.setCode(i, g, bits == 2 ? upper : upper << 16 | lower);
                    }
                }
                double[] v = new double[8];
                E8p.INSTANCE.decode(upper, v, 0);
                if (bits == 3 && trial % 2 == 1) {
                    E81b.decode(lower, v, 0);
                }
                MemorySegment x = arena.allocate(32L * groups);
                for (int j = 0; j < 8 * groups; j++) {
                    x.setAtIndex(FLOAT, j, (float) (trial % 4 < 2 ? v[j % 8] : -v[j % 8]));
                }
                MemorySegment oracle = arena.allocate(64);
                new ScalarMatvec().matvec(codes, x, oracle, 0, 16);
                PreparedMatrix matrix = new NibbleMatvec().prepare(codes, arena);
                MemorySegment y = product(arena, matrix, x, 1, 0, 16);
                double bound = bound(matrix, x);
                for (int i = 0; i < 16; i++) {
                    assertThat((double) y.getAtIndex(FLOAT, i))
                            .as("codes %d and %d", upper, lower)
                            .isCloseTo(oracle.getAtIndex(FLOAT, i), within(bound));
                }
            }
        }
    }

    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(NibbleSums.class)).isEmpty();
        assertThat(VectorMethods.shorterThanTheInliningLimit(NibbleTables.class))
                .isEmpty();
    }
}
