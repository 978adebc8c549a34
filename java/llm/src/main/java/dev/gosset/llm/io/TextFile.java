package dev.gosset.llm.io;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.ReadableFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reading of text that people give: calibration, evaluation. */
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
            String text = Utf8.decode(file.toString(), Files.readAllBytes(file));
            if (text.isBlank()) {
                throw new FormatException(file + ": is empty, expected text");
            }
            return text;
        } catch (IOException e) {
            throw ReadableFile.failure(file, "a text file", e);
        } catch (OutOfMemoryError e) {
            throw new FormatException(
                    file + ": has " + file.toFile().length() + " bytes, which are read at once: at most 2 GiB, and the"
                            + " JVM's heap of " + Runtime.getRuntime().maxMemory() + " bytes; give it more with -Xmx",
                    e);
        }
    }
}
