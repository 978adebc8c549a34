package dev.gosset.llm.io;

import dev.gosset.core.FormatException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reading of text that people give: calibration, evaluation. */
public final class TextFile {
    private TextFile() {}

    /**
     * The whole text.
     *
     * @throws FormatException where there is no such file, or it is not UTF-8, or it is empty
     */
    public static String read(Path file) {
        if (!Files.isRegularFile(file)) {
            throw new FormatException(
                    file + ": found " + (Files.exists(file) ? "a directory" : "nothing") + ", expected a text file");
        }
        try {
            String text = Files.readString(file);
            if (text.isBlank()) {
                throw new FormatException(file + ": is empty, expected text");
            }
            return text;
        } catch (CharacterCodingException e) {
            throw new FormatException(file + ": is not UTF-8 text", e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + e.getMessage(), e);
        } catch (OutOfMemoryError e) {
            throw new FormatException(file + ": too large to read at once: at most 2 GiB and the JVM's heap", e);
        }
    }
}
