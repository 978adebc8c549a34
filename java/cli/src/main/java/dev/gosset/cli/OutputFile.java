package dev.gosset.cli;

import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;

/** A file that a command writes beside its result, as {@code --report} asks for: whole or not at all. */
final class OutputFile {
    private OutputFile() {}

    /** Fails now rather than after hours where {@code file} cannot be written; null is no file. */
    static void requireWritable(Path file) {
        if (file != null && !isWrittenInPlace(file)) {
            CrashSafeFile.create(file).close();
        }
    }

    /** Writes all bytes; nothing where {@code file} is null. */
    static void write(Path file, byte[] bytes) {
        if (file == null) {
            return;
        }
        if (!isWrittenInPlace(file)) {
            CrashSafeFile.write(file, bytes);
            return;
        }
        try {
            Files.write(file, bytes);
        } catch (IOException e) {
            throw new GossetException(file + ": cannot be written: " + e.getMessage(), e);
        }
    }

    /** A device, a pipe or a link such as {@code /dev/stdout}, in whose place no file must come. */
    private static boolean isWrittenInPlace(Path file) {
        return Files.exists(file, LinkOption.NOFOLLOW_LINKS)
                && !Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                && !Files.isDirectory(file);
    }
}
