package dev.gosset.llm.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.core.filter.FilteringParserDelegate;
import com.fasterxml.jackson.core.filter.TokenFilter;
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
import java.util.Set;

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
            bytes = bytes(file);
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

    /**
     * Checks that a file holds one JSON object and nothing that another parser would stumble over: no deep nesting, no number
     * beyond float64, no half of a surrogate pair. Makes no tree.
     *
     * @param deepest levels of nesting that are allowed
     * @throws FormatException that names the file and the place
     */
    public static void requirePlainObject(Path file, int deepest) {
        try (Reader reader = utf8(bytes(file));
                JsonParser parser = MAPPER.createParser(reader)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new FormatException(file + ": is not a JSON object");
            }
            for (int depth = 1; depth > 0; ) {
                JsonToken token = parser.nextToken();
                if (token == null) {
                    break;
                }
                depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
                String wrong = depth > deepest
                        ? "nesting of more than " + deepest + " levels"
                        : token.isNumeric() && !Double.isFinite(parser.getDoubleValue())
                                ? "a number that is too large"
                                : hasLoneSurrogate(parser, token) ? "half of a surrogate pair" : null;
                if (wrong != null) {
                    throw new FormatException(file + ": has " + wrong + " at character "
                            + parser.currentTokenLocation().getCharOffset());
                }
            }
            if (parser.nextToken() != null) {
                throw new FormatException(
                        file + ": is not one JSON object: found " + parser.currentToken() + " after it");
            }
        } catch (IOException e) {
            throw new FormatException(file + ": is not a JSON object: " + reason(e), e);
        }
    }

    /** As {@link #readObject(Path)}, without the entries of some keys, wherever they stand: they never come into memory. */
    public static JsonNode readObject(Path file, Set<String> without) {
        TokenFilter others = new TokenFilter() {
            @Override
            public TokenFilter includeProperty(String name) {
                return without.contains(name) ? null : this;
            }

            @Override
            public boolean includeEmptyArray(boolean contentsFiltered) {
                return true;
            }

            @Override
            public boolean includeEmptyObject(boolean contentsFiltered) {
                return true;
            }
        };
        try (Reader reader = utf8(bytes(file));
                JsonParser parser = new FilteringParserDelegate(
                        MAPPER.createParser(reader), others, TokenFilter.Inclusion.INCLUDE_ALL_AND_PATH, true)) {
            JsonNode node = MAPPER.readTree(parser);
            return node == null ? MAPPER.createObjectNode() : node;
        } catch (IOException e) {
            throw new FormatException(file + ": is not a JSON object: " + reason(e), e);
        }
    }

    private static boolean hasLoneSurrogate(JsonParser parser, JsonToken token) throws IOException {
        if (token != JsonToken.FIELD_NAME && token != JsonToken.VALUE_STRING) {
            return false;
        }
        char[] text = parser.getTextCharacters();
        int end = parser.getTextOffset() + parser.getTextLength();
        for (int i = parser.getTextOffset(); i < end; i++) {
            if (Character.isSurrogate(text[i])) {
                if (i + 1 == end || !Character.isSurrogatePair(text[i], text[i + 1])) {
                    return true;
                }
                i++;
            }
        }
        return false;
    }

    private static byte[] bytes(Path file) throws IOException {
        ReadableFile.require(file, EXPECTED);
        if (Files.size(file) > LARGEST_FILE) {
            throw new FormatException(
                    file + ": has " + Files.size(file) + " bytes, expected a JSON object of at most " + LARGEST_FILE);
        }
        return Files.readAllBytes(file);
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
