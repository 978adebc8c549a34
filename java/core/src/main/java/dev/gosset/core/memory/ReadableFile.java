package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Locale;

/**
 * What keeps a file from being read, in one line: {@code PATH: permission denied, expected the tokenizer}. Every reader
 * asks here, so that none says "no such file" of one that is there.
 */
public final class ReadableFile {
    private ReadableFile() {}

    /**
     * Whether there is anything of this name, be it a directory or a link to nothing. An optional file that is present must
     * be readable: left out silently, it would change the result.
     */
    public static boolean isPresent(Path file) {
        return Files.exists(file, LinkOption.NOFOLLOW_LINKS);
    }

    /**
     * Fails where a file cannot be read.
     *
     * @param expected what the file should have been, such as {@code a JSON object}
     * @throws FormatException where there is no regular file or it must not be read, with the reason
     */
    public static void require(Path file, String expected) {
        require(file, expected, true);
    }

    /**
     * The same where the content is read once from the beginning on, so that a pipe does as well.
     *
     * @throws FormatException where there is nothing or a directory, or it must not be read, with the reason
     */
    public static void requireContent(Path file, String expected) {
        require(file, expected, false);
    }

    private static void require(Path file, String expected, boolean regular) {
        try {
            BasicFileAttributes found = Files.readAttributes(file, BasicFileAttributes.class);
            if (found.isDirectory() || (regular && !found.isRegularFile())) {
                throw new FormatException(file + ": is " + (found.isDirectory() ? "a directory" : "not a regular file")
                        + ", expected " + expected);
            }
            if (!Files.isReadable(file)) {
                throw new AccessDeniedException(file.toString());
            }
        } catch (IOException e) {
            throw failure(file, expected, e);
        }
    }

    /** The exception for a file or a directory that could not be read. */
    public static FormatException failure(Path file, String expected, IOException e) {
        return new FormatException(file + ": " + reason(file, e) + ", expected " + expected, e);
    }

    private static String reason(Path file, IOException e) {
        if (e instanceof NoSuchFileException) {
            return Files.isSymbolicLink(file) ? "is a link to a file that is not there" : "no such file";
        }
        if (e instanceof AccessDeniedException) {
            return "permission denied";
        }
        String text = e instanceof FileSystemException f && f.getReason() != null ? f.getReason() : e.getMessage();
        if (text == null || text.isEmpty()) {
            return "cannot be read (" + e.getClass().getSimpleName() + ")";
        }
        // The system's own words, such as "Too many levels of symbolic links".
        return "cannot be read: " + text.substring(0, 1).toLowerCase(Locale.ROOT) + text.substring(1);
    }
}
