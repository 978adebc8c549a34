package dev.gosset.llm.io;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.ReadableFile;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/**
 * The documents of files that people give. A text file is one document; a file named {@code .jsonl} has one on each line, the
 * {@code text} of a JSON object; either may be compressed with gzip, whatever its name. A directory stands for all files in it and below that
 * are named {@code .txt} or {@code .jsonl}, or so with {@code .gz} behind, in the order of their names.
 */
public final class TextDocuments {
    /** The longest line of JSON, and the longest text that comes out of gzip. */
    private static final int LONGEST_LINE = 64 << 20;

    private static final int LONGEST_TEXT = 1 << 30;

    private TextDocuments() {}

    /**
     * Reads documents until there are no more or the reader has enough; files behind are not opened.
     *
     * @param reader gets a document that is not blank; says whether it wants more
     * @throws FormatException where a file is not what it must be, or there is no document at all
     */
    public static void read(List<Path> files, Predicate<String> reader) {
        boolean[] any = {false};
        Predicate<String> counted = text -> {
            any[0] = true;
            return reader.test(text);
        };
        for (Path given : files) {
            for (Path file : Files.isDirectory(given) ? below(given) : List.of(given)) {
                if (!readFile(file, counted)) {
                    return;
                }
            }
        }
        if (!any[0]) {
            throw new FormatException(files.getFirst() + ": is empty, expected text");
        }
    }

    private static List<Path> below(Path directory) {
        try (Stream<Path> all = Files.walk(directory)) {
            List<Path> files = all.filter(Files::isRegularFile)
                    .filter(f -> {
                        String name = name(f);
                        return name.endsWith(".txt") || name.endsWith(".jsonl");
                    })
                    .sorted()
                    .toList();
            if (files.isEmpty()) {
                throw new FormatException(
                        directory + ": holds no text, expected files named .txt, .jsonl, .txt.gz or .jsonl.gz");
            }
            return files;
        } catch (IOException e) {
            throw ReadableFile.failure(directory, "a directory of text files", e);
        } catch (java.io.UncheckedIOException e) {
            throw ReadableFile.failure(directory, "a directory of text files", e.getCause());
        }
    }

    /** A file's name without {@code .gz}. */
    private static String name(Path file) {
        String name = file.getFileName().toString();
        return name.endsWith(".gz") ? name.substring(0, name.length() - 3) : name;
    }

    private static boolean readFile(Path file, Predicate<String> reader) {
        boolean lines = name(file).endsWith(".jsonl");
        String expected = lines ? "lines of JSON" : "a text file";
        ReadableFile.requireContent(file, expected);
        try (InputStream raw = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
            raw.mark(2);
            boolean zipped = raw.read() == 0x1f && raw.read() == 0x8b;
            raw.reset();
            if (!zipped && !lines) {
                return reader.test(TextFile.decode(file, raw.readAllBytes()));
            }
            try (InputStream in = zipped ? new BufferedInputStream(new GZIPInputStream(raw, 1 << 16), 1 << 16) : raw) {
                return lines ? readLines(file, in, reader) : reader.test(TextFile.decode(file, unzipped(file, in)));
            }
        } catch (java.util.zip.ZipException | java.io.EOFException e) {
            throw new FormatException(
                    file + ": is damaged gzip ("
                            + String.valueOf(e.getMessage()).strip() + "), expected " + expected,
                    e);
        } catch (IOException e) {
            throw ReadableFile.failure(file, expected, e);
        } catch (OutOfMemoryError e) {
            throw TextFile.tooLarge(file, e);
        }
    }

    private static byte[] unzipped(Path file, InputStream in) throws IOException {
        byte[] bytes = in.readNBytes(LONGEST_TEXT + 1);
        if (bytes.length > LONGEST_TEXT) {
            throw new FormatException(
                    file + ": unpacks to more than " + LONGEST_TEXT + " bytes, expected a text of at most that");
        }
        return bytes;
    }

    private static boolean readLines(Path file, InputStream in, Predicate<String> reader) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int number = 1; ; number++) {
            line.reset();
            int b = in.read();
            if (b < 0) {
                return true;
            }
            for (; b >= 0 && b != '\n'; b = in.read()) {
                line.write(b);
                if (line.size() > LONGEST_LINE) {
                    throw new FormatException(file + ": line " + number + " is longer than " + LONGEST_LINE + " bytes");
                }
            }
            String where = file + ": line " + number;
            String text = Utf8.decode(where, line.toByteArray());
            if (!text.isBlank() && !test(where, text, reader)) {
                return false;
            }
        }
    }

    private static boolean test(String where, String line, Predicate<String> reader) {
        JsonNode node;
        try {
            node = Json.MAPPER.readTree(line);
        } catch (IOException e) {
            throw new FormatException(where + ": is not JSON: " + Json.reason(e), e);
        }
        JsonNode text = node.path("text");
        if (!text.isTextual()) {
            throw new FormatException(where + ": has "
                    + (text.isMissingNode() ? "no \"text\"" : "a \"text\" that is " + text.getNodeType())
                    + ", expected a JSON object with a text in \"text\"");
        }
        return text.textValue().isBlank() || reader.test(text.textValue());
    }
}
