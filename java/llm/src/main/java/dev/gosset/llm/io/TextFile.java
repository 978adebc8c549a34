package dev.gosset.llm.io;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.ReadableFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reading of text that people give, whole: for evaluation. */
public final class TextFile {
    private TextFile() {}

    /**
     * The whole text, of a file or a pipe, without a byte order mark in front.
     *
     * @throws FormatException where there is no such file, or it is not UTF-8, or it is empty
     */
    public static String read(Path file) {
        ReadableFile.requireContent(file, "a text file");
        try {
            return decode(file, Files.readAllBytes(file));
        } catch (IOException e) {
            throw ReadableFile.failure(file, "a text file", e);
        } catch (OutOfMemoryError e) {
            throw tooLarge(file, e);
        }
    }

    /** The text that is the content of a file; fails where it is blank. */
    static String decode(Path file, byte[] bytes) {
        String text = Utf8.decode(file.toString(), bytes);
        if (text.isBlank()) {
            throw new FormatException(file + ": is empty, expected text");
        }
        return text;
    }

    static FormatException tooLarge(Path file, OutOfMemoryError e) {
        return new FormatException(
                file + ": has " + file.toFile().length() + " bytes, which are read at once: at most 2 GiB, and the"
                        + " JVM's heap of " + Runtime.getRuntime().maxMemory() + " bytes; give it more with -Xmx",
                e);
    }
}
