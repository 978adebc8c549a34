package dev.gosset.core.kernel.tables;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.BitSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CodeRegionsTest {
    @ParameterizedTest
    @CsvSource({"7, 9", "7, 10", "7, 13", "7, 16", "8, 10", "8, 11", "8, 16"})
    void everyByteOfARegionHasOnePlaceInIt(int unit, int region) {
        int size = 1 << region;
        long base = 5L * size;
        BitSet taken = new BitSet(size);
        for (int i = 0; i < size; i++) {
            long place = CodeRegions.place(base + i, unit, region) - base;
            assertThat(place).isBetween(0L, size - 1L);
            assertThat(taken.get((int) place)).isFalse();
            taken.set((int) place);
        }
    }

    @ParameterizedTest
    @CsvSource({"7, 9", "7, 12", "7, 16", "8, 10", "8, 16"})
    void fourUnitsLieInFourQuarters(int unit, int region) {
        long quarter = (1L << region) / 4;
        for (int i = 0; i < 1 << region - unit; i++) {
            long expected = i % 4 * quarter + ((long) (i / 4) << unit);
            assertThat(CodeRegions.place((long) i << unit, unit, region)).isEqualTo(expected);
            assertThat(CodeRegions.place(((long) i << unit) + 77, unit, region)).isEqualTo(expected + 77);
        }
    }

    @Test
    void regionsAreAsLargeAsPaddingAllows() {
        assertThat(CodeRegions.region(1 << 16, 7)).isEqualTo(16);
        assertThat(CodeRegions.region(4 << 20, 8)).isEqualTo(16);
        assertThat(CodeRegions.region(1 << 14, 7)).isEqualTo(14);
        assertThat(CodeRegions.region(3 << 14, 7)).isEqualTo(14);
        assertThat(CodeRegions.region(128, 7)).isEqualTo(9);
        assertThat(CodeRegions.region(0, 7)).isEqualTo(16);
        for (long bytes = 128; bytes < 3 << 20; bytes += 128 * 37) {
            int region = CodeRegions.region(bytes, 7);
            long padding = CodeRegions.size(bytes, region) - bytes;
            assertThat(padding).isBetween(0L, Math.max(bytes / 16, 511));
        }
    }
}
