package dev.gosset.llm.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class WorkDirectoryTest {
    private static final RunRecord SETTINGS = new RunRecord(Map.of("seed", 1L, "codebook", "E8P12"));

    @TempDir
    private Path temporary;

    @Test
    void theResultAppearsWholeAndNothingElseRemains() throws Exception {
        Path out = temporary.resolve("out");
        try (WorkDirectory work = WorkDirectory.open(out, SETTINGS, false)) {
            Files.writeString(work.blockFile(0), "codes");
            Files.writeString(work.model().resolve("weights.arrow"), "all");
            assertThat(out).doesNotExist();
            work.publish();
            work.discard();
        }
        assertThat(out.resolve("weights.arrow")).hasContent("all");
        assertThat(temporary.toFile().list()).containsExactly("out");
    }

    @Test
    void anEmptyOutputDirectoryIsFree() throws Exception {
        Path out = Files.createDirectory(temporary.resolve("out"));
        try (WorkDirectory work = WorkDirectory.open(out, SETTINGS, false)) {
            Files.writeString(work.model().resolve("a"), "b");
            work.publish();
            work.discard();
        }
        assertThat(out.resolve("a")).hasContent("b");
    }

    @Test
    void anOutputThatHoldsSomethingIsRefused() throws Exception {
        Path out = Files.createDirectory(temporary.resolve("out"));
        Files.writeString(out.resolve("precious"), "data");
        assertThatThrownBy(() -> WorkDirectory.open(out, SETTINGS, true))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("not empty");
        Path file = Files.writeString(temporary.resolve("file"), "x");
        assertThatThrownBy(() -> WorkDirectory.open(file, SETTINGS, false)).hasMessageContaining("not a directory");
        assertThat(out.resolve("precious")).hasContent("data");
        assertThat(temporary.toFile().list()).containsExactlyInAnyOrder("out", "file");
    }

    @Test
    void anUnfinishedRunIsTakenUpOnlyOnRequestAndWithTheSameSettings() throws Exception {
        Path out = temporary.resolve("out");
        try (WorkDirectory work = WorkDirectory.open(out, SETTINGS, false)) {
            Files.writeString(work.blockFile(3), "codes");
            Files.writeString(work.blockReport(3), "[]");
            Files.writeString(work.blockReport(4), "[]");
        }
        assertThatThrownBy(() -> WorkDirectory.open(out, SETTINGS, false)).hasMessageContaining("resume it");
        assertThatThrownBy(() -> WorkDirectory.open(out, new RunRecord(Map.of("seed", 2L, "codebook", "E8P12")), true))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("seed = 1")
                .hasMessageContaining("has 2");
        try (WorkDirectory work =
                WorkDirectory.open(out, new RunRecord(Map.of("codebook", "E8P12", "seed", 1)), true)) {
            assertThat(work.blockDone(3)).isTrue();
            assertThat(work.blockDone(4)).as("a report without codes").isFalse();
            assertThat(work.blocksDone(8)).isEqualTo(1);
        }
    }

    @Test
    void twoRunsDoNotShareOneDirectory() {
        Path out = temporary.resolve("out");
        try (WorkDirectory first = WorkDirectory.open(out, SETTINGS, false)) {
            assertThatThrownBy(() -> WorkDirectory.open(out, SETTINGS, true)).hasMessageContaining("another run");
            first.discard();
        }
        assertThat(temporary.toFile().list()).isEmpty();
    }

    @Test
    void aForeignDirectoryOfThatNameIsLeftAlone() throws Exception {
        Path foreign = Files.createDirectory(temporary.resolve("out.partial"));
        Files.writeString(foreign.resolve("precious"), "data");
        assertThatThrownBy(() -> WorkDirectory.open(temporary.resolve("out"), SETTINGS, true))
                .hasMessageContaining("not the work directory");
        assertThat(foreign.toFile().list()).containsExactly("precious");
    }

    /** A run that was ended between the renaming of the model and the end of the clean-up. */
    @Test
    void whatARunLeftThatCameToItsEndIsRemoved() throws Exception {
        Path out = temporary.resolve("out");
        try (WorkDirectory work = WorkDirectory.open(out, SETTINGS, false)) {
            Files.writeString(work.blockFile(0), "codes");
            Files.writeString(work.model().resolve("weights.arrow"), "all");
            work.publish();
        }
        assertThat(temporary.toFile().list()).containsExactlyInAnyOrder("out", "out.partial");
        WorkDirectory.removeLeftOver(out);
        assertThat(temporary.toFile().list()).containsExactly("out");
        Path foreign = Files.createDirectory(temporary.resolve("out.partial"));
        Files.writeString(foreign.resolve("precious"), "data");
        WorkDirectory.removeLeftOver(out);
        assertThat(foreign.resolve("precious")).hasContent("data");
    }

    @Test
    void theModelIsPutTogetherInAnEmptyFolder() throws Exception {
        Path out = temporary.resolve("out");
        try (WorkDirectory work = WorkDirectory.open(out, SETTINGS, false)) {
            Files.writeString(work.model().resolve(".weights.arrow.0123.tmp"), "half");
            Files.writeString(work.model().resolve("weights.arrow"), "all");
            work.publish();
            work.discard();
        }
        assertThat(out.toFile().list()).containsExactly("weights.arrow");
    }

    @Test
    void parentsThatWereMadeGoWithTheDirectory() {
        try (WorkDirectory work = WorkDirectory.open(temporary.resolve("a/b/out"), SETTINGS, false)) {
            assertThat(temporary.resolve("a/b/out.partial")).isDirectory();
            work.discard();
        }
        assertThat(temporary.toFile().list()).isEmpty();
    }
}
