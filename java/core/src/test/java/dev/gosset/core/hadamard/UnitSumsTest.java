package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The tables as their Javadoc describes them; that products by them are right is SmallMatrixProductTest's. */
class UnitSumsTest {
    @ParameterizedTest
    @CsvSource({"52, 8", "116, 20", "156, 24", "172, 24"})
    void eachGroupIsFormedOnceFromListsOfTheStatedLength(int k, int length) {
        HadamardTransform u = HadamardTransform.of(k);
        int s = k / 4;
        for (boolean transpose : new boolean[] {false, true}) {
            MemorySegment table = u.unitSums(transpose);
            assertThat(table.isReadOnly()).isTrue();
            assertThat(Math.abs(table.get(JAVA_FLOAT_UNALIGNED, 64 * 16 + 60))).isEqualTo(2);
            boolean[] formed = new boolean[s];
            long at = 64 * 18;
            while (at < table.byteSize()) {
                int first = table.get(JAVA_SHORT_UNALIGNED, at);
                int second = table.get(JAVA_SHORT_UNALIGNED, at + 2);
                at += 4;
                assertThat(formed[first]).isFalse();
                formed[first] = true;
                assertThat(formed[second]).isEqualTo(second == first);
                formed[second] = true;
                int total = 0;
                int entries = 0;
                for (int r = 0; r < 4; r++) {
                    int places = table.get(JAVA_SHORT_UNALIGNED, at);
                    at += 2;
                    total += places;
                    for (int i = 0; i < 8 * places; i++) {
                        entries += table.get(JAVA_SHORT_UNALIGNED, at) < 2 * k ? 1 : 0;
                        at += 2;
                    }
                }
                assertThat(total).isEqualTo(length);
                assertThat(entries).isEqualTo(k);
            }
            assertThat(formed).doesNotContain(false);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {12, 20, 28, 36, 60, 108, 140})
    void refusesMatricesOfAnotherConstruction(int k) {
        assertThatThrownBy(() -> UnitSums.of(HadamardMatrices.of(k), k, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("of the matrix of order " + k);
    }

    @Test
    void onlyWilliamsonsMatricesHaveThem() {
        for (int n : new int[] {4096, 14336, 124, 37}) {
            assertThatThrownBy(() -> HadamardTransform.of(n).unitSums(true))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("of length " + n);
        }
    }
}
