package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SignedSumsTest {
    @ParameterizedTest
    @ValueSource(ints = {12, 20, 28, 36, 52, 60, 108, 116, 124, 140, 156, 172})
    void sumsAreTheMatrix(int k) {
        HadamardTransform u = HadamardTransform.of(2 * k);
        assertThat(u.k()).isEqualTo(k);
        for (boolean transpose : new boolean[] {false, true}) {
            MemorySegment table = u.signedSums(transpose);
            assertThat(table.byteSize()).isEqualTo(k * (k + 1) / 2);
            int at = 0;
            for (int row = 0; row < k; row += 4) {
                int[][] y = new int[4][k];
                int m = next(table, at++);
                for (int i = 0; i < k; i++) {
                    int index = next(table, at++);
                    int column = index % k;
                    int value = index < k ? 1 : -1;
                    int q = i % 4;
                    boolean positive = i < 4 * m;
                    y[0][column] += value;
                    y[1][column] += q < 2 ? value : -value;
                    y[2][column] += q % 2 == 0 ? value : -value;
                    y[3][column] += (q == 0 || q == 3) == positive ? value : -value;
                }
                for (int r = 0; r < 4; r++) {
                    for (int j = 0; j < k; j++) {
                        double entry = transpose ? u.entry(j, row + r) : u.entry(row + r, j);
                        assertThat((double) y[r][j]).isEqualTo(entry);
                    }
                }
            }
            assertThat(2L * at).isEqualTo(table.byteSize());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 64, 37, 148})
    void refusesOtherMatrices(int n) {
        assertThatThrownBy(() -> HadamardTransform.of(n).signedSums(false))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("length " + n);
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 12})
    void refusesRowsThatAreNotOrthogonal(int k) {
        byte[] ones = new byte[k * k];
        Arrays.fill(ones, (byte) 1);
        assertThatThrownBy(() -> SignedSums.of(ones, k, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("not orthogonal");
    }

    private static int next(MemorySegment table, int i) {
        return table.get(JAVA_SHORT_UNALIGNED, 2L * i);
    }
}
