package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.WeakReference;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Read-only memory maps of whole files, of any size.
 *
 * <p>Replacing a file by a rename while it is mapped, as {@link CrashSafeFile} does, is harmless: the map keeps the old bytes.
 * One that is truncated has lost them: Java code that reads them ends in an {@link InternalError}, which {@link #truncated}
 * explains; where native code reads them (a BLAS, a copy to a device) the operating system ends the process.
 */
public final class MappedFile {
    private static final Queue<Mapped> MAPS = new ConcurrentLinkedQueue<>();

    private record Mapped(Path file, long size, WeakReference<MemorySegment.Scope> scope) {
        boolean isOver() {
            MemorySegment.Scope s = scope.get();
            return s == null || !s.isAlive();
        }
    }

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
            MemorySegment map = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
            MAPS.removeIf(Mapped::isOver);
            MAPS.add(new Mapped(file, map.byteSize(), new WeakReference<>(map.scope())));
            return map;
        } catch (IOException e) {
            throw ReadableFile.failure(file, "a file", e);
        }
    }

    /**
     * What became of a map that could not be read, for the message of the {@link InternalError} or {@link IOException} in
     * which that ended: a file that is shorter than when it was mapped. Also files count whose maps have been closed since,
     * up to the next that is mapped.
     */
    public static Optional<FormatException> truncated() {
        for (Mapped m : MAPS) {
            long now = m.file.toFile().length();
            if (now < m.size) {
                return Optional.of(new FormatException(m.file + ": was truncated while it was read: has " + now
                        + " bytes, had " + m.size + " when it was opened"));
            }
        }
        return Optional.empty();
    }
}
