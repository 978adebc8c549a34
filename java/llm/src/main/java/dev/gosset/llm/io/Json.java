package dev.gosset.llm.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.ReadableFile;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Strict JSON: UTF-8 and nothing else, no duplicate keys, nothing after the value. Thread-safe. */
public final class Json {
    private static final long LARGEST_FILE = 256L << 20;
    private static final String EXPECTED = "a JSON object";

    /** The mapper that everything of Gosset's reads and writes JSON with. */
    public static final JsonMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .enable(StreamWriteFeature.STRICT_DUPLICATE_DETECTION)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private Json() {}

    /** The object in a file, or a {@link FormatException} that names the file and what is wrong with it. */
    public static JsonNode readObject(Path file) {
        byte[] bytes = {};
        try {
            ReadableFile.require(file, EXPECTED);
            if (Files.size(file) > LARGEST_FILE) {
                throw new FormatException(file + ": has " + Files.size(file)
                        + " bytes, expected a JSON object of at most " + LARGEST_FILE);
            }
            bytes = Files.readAllBytes(file);
            JsonNode node = MAPPER.readTree(utf8(bytes));
            if (!node.isObject()) {
                throw new FormatException(file + ": is JSON " + node.getNodeType() + ", expected an object");
            }
            return node;
        } catch (CharacterCodingException e) {
            Utf8.require(file.toString(), bytes);
            throw new FormatException(file + ": is not a JSON object: " + reason(e), e);
        } catch (FileSystemException e) {
            throw ReadableFile.failure(file, EXPECTED, e);
        } catch (IOException e) {
            throw new FormatException(file + ": is not a JSON object: " + reason(e), e);
        } catch (OutOfMemoryError e) {
            throw new FormatException(
                    file + ": has " + file.toFile().length() + " bytes of JSON, too many for the JVM's heap of "
                            + Runtime.getRuntime().maxMemory() + " bytes: give it more with -Xmx",
                    e);
        }
    }

    /** A parser of a JSON text in UTF-8. */
    static JsonParser parser(byte[] bytes) throws IOException {
        return MAPPER.createParser(utf8(bytes));
    }

    // A reader of characters: given bytes, Jackson would guess between UTF-8, UTF-16 and UTF-32. Bad UTF-8 throws.
    private static Reader utf8(byte[] bytes) {
        int mark = Utf8.markBytes(bytes);
        return new InputStreamReader(
                new ByteArrayInputStream(bytes, mark, bytes.length - mark), StandardCharsets.UTF_8.newDecoder());
    }

    /** What is wrong, on one line. */
    static String reason(IOException e) {
        if (e instanceof CharacterCodingException) {
            return "malformed UTF-8";
        }
        String text = e instanceof com.fasterxml.jackson.core.JsonProcessingException j
                ? j.getOriginalMessage()
                        + (j.getLocation() == null
                                ? ""
                                : " at character " + j.getLocation().getCharOffset())
                : String.valueOf(e.getMessage());
        return text.lines().findFirst().orElse("").strip();
    }
}
