package dev.gosset.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The kept corpus, and changes of it that are the same in every run. `make fuzz` looks for new ones. */
class CorpusTest {
    private static final int CHANGES = 100;

    @ParameterizedTest
    @EnumSource
    @Timeout(value = 5, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void holds(Reader reader) throws IOException {
        List<Path> files;
        try (Stream<Path> found = Files.list(Path.of(System.getProperty("gosset.fuzz.corpus"), reader.key()))) {
            files = found.sorted().toList();
        }
        int accepted = 0;
        int refused = 0;
        try (Property property = new Property(reader)) {
            for (Path file : files) {
                byte[] bytes = Files.readAllBytes(file);
                Property.Outcome outcome = property.check(bytes);
                boolean valid = file.getFileName().toString().startsWith("valid");
                assertThat(valid && !outcome.accepted())
                        .as(() -> file + ": " + outcome.message())
                        .isFalse();
                SplittableRandom random = new SplittableRandom(bytes.length);
                for (int i = 0; valid && !reader.mayEndProcess() && i < CHANGES; i++) {
                    if (property.check(reader.form().vary(bytes, random)).accepted()) {
                        accepted++;
                    } else {
                        refused++;
                    }
                }
            }
        }
        // The changes reach both ends: what is well-formed, and what is refused.
        assertThat(accepted > 0 && refused > 0 || reader.mayEndProcess()).isTrue();
    }
}
