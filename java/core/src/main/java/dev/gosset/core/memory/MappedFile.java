package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Read-only memory maps of whole files, of any size.
 *
 * <p>The file must not be truncated while it is mapped; replacing it by a rename, as {@link CrashSafeFile} does, is
 * harmless: the map keeps the old bytes.
 */
public final class MappedFile {
    private MappedFile() {}

    /**
     * The bytes of a file.
     *
     * @param arena owns the map; use {@link Arena#ofShared} when several threads read
     * @throws FormatException if the file is missing or cannot be read, with the reason
     */
    public static MemorySegment map(Path file, Arena arena) {
        ReadableFile.require(file, "a file");
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
        } catch (IOException e) {
            throw ReadableFile.failure(file, "a file", e);
        }
    }
}
