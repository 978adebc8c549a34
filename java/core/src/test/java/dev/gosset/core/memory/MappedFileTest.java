package dev.gosset.core.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MappedFileTest {
    private static final int SIZE = 1 << 22;

    @TempDir
    private Path directory;

    static Stream<Named<Consumer<MemorySegment>>> readings() {
        return Stream.of(
                Named.of("an element", s -> s.get(ValueLayout.JAVA_BYTE, SIZE - 1)),
                Named.of("an array", s -> s.toArray(ValueLayout.JAVA_BYTE)),
                Named.of("a comparison", s -> s.asSlice(SIZE / 2).mismatch(MemorySegment.ofArray(new byte[SIZE / 2]))),
                Named.of("a checksum", s -> Checksum.of(s.asSlice(SIZE / 2))));
    }

    /** A file that shrinks under its map is an error that can be caught and explained, not the end of the process. */
    @ParameterizedTest
    @MethodSource("readings")
    void aTruncatedFileIsNamed(Consumer<MemorySegment> reading) throws IOException {
        Path file = Files.write(directory.resolve("data"), new byte[SIZE]);
        try (Arena arena = Arena.ofShared()) {
            MemorySegment map = MappedFile.map(file, arena);
            assertThat(MappedFile.truncated()).isEmpty();
            try (RandomAccessFile f = new RandomAccessFile(file.toFile(), "rw")) {
                f.setLength(5000);
            }
            assertThatExceptionOfType(InternalError.class)
                    .isThrownBy(() -> reading.accept(map))
                    .withMessageContaining("unsafe memory access");
        }
        assertThat(MappedFile.truncated().orElseThrow())
                .hasMessage(file + ": was truncated while it was read: has 5000 bytes, had 4194304 when it was opened");
    }
}
