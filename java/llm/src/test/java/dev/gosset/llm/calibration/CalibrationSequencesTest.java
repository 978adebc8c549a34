package dev.gosset.llm.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class CalibrationSequencesTest {
    private static final int[] TOKENS = IntStream.range(100, 120).toArray();

    @Test
    void putsTheLeadingTokenInFrontOfEveryPiece() {
        assertThat(CalibrationSequences.cut(TOKENS, 1, 3, 6, "t"))
                .containsExactly(
                        new int[] {1, 100, 101, 102, 103, 104},
                        new int[] {1, 105, 106, 107, 108, 109},
                        new int[] {1, 110, 111, 112, 113, 114});
    }

    @Test
    void cutsWithoutOneWhereTheModelHasNone() {
        assertThat(CalibrationSequences.cut(TOKENS, -1, 2, 10, "t"))
                .hasSize(2)
                .last()
                .isEqualTo(IntStream.range(110, 120).toArray());
    }

    @Test
    void saysHowMuchTextIsMissing() {
        assertThatThrownBy(() -> CalibrationSequences.cut(TOKENS, 0, 5, 6, "text.txt"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("text.txt")
                .hasMessageContaining("20 tokens fill 4 sequences of 6")
                .hasMessageContaining("5 are asked for");
    }
}
