package dev.gosset.core.kernel.tables;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.TableMatvecContract;
import dev.gosset.core.kernel.VectorMethods;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Products by tables of words. */
class WordMatvecTest extends TableMatvecContract {
    WordMatvecTest() {
        super(TableMatvec.words(), TableMatvec.wordsObstacle());
    }

    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(WordSums.class)).isEmpty();
    }

    /** Both forms add the same integers, but for the residual of 3 bits. */
    @ParameterizedTest
    @CsvSource({"2, 1", "2, 3", "4, 1", "4, 5"})
    void bitsAreThoseOfTheBytes(int bits, int count) {
        assumeItRunsHere();
        SplittableRandom random = random("bitsAreThoseOfTheBytes");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = randomCodes(arena, random, bits, 200, 1096);
            MemorySegment x = inputs(arena, random, codes, count, 1);
            MemorySegment words = product(arena, TableMatvec.words().prepare(codes, arena), x, count, 0, 200);
            MemorySegment bytes = product(arena, TableMatvec.bytes().prepare(codes, arena), x, count, 0, 200);
            assertThat(words.mismatch(bytes)).isEqualTo(-1);
        }
    }
}
