package dev.gosset.llm.tokenizer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.gosset.core.FormatException;
import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What tokenizer.json says about decoding: the text of each token, which tokens are special, and the decoder. Read piece by
 * piece, for the merges are most of the file and are not needed. Immutable.
 */
final class TokenTexts {
    private static final int LARGEST_ID = 1 << 24;
    /** Keeps nothing of field names, which are a whole vocabulary here. */
    private static final JsonMapper JSON = JsonMapper.builder(JsonFactory.builder()
                    .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                    .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                    .build())
            .build();

    private final Path file;
    private final Map<String, Integer> special = new HashMap<>();
    private final BitSet specialIds = new BitSet();
    private String[] texts = new String[0];
    /** Entries of the model's vocabulary, and of added tokens that are not in it. */
    private int modelSize;

    private int largestAdded = -1;
    private JsonNode decoder = MissingNode.getInstance();
    private JsonNode added = MissingNode.getInstance();

    private TokenTexts(Path file) {
        this.file = file;
    }

    /**
     * Reads a tokenizer.json that the tokenizer library has accepted.
     *
     * @throws FormatException where it cannot be read, or an id is too large
     */
    static TokenTexts read(Path file) {
        TokenTexts texts = new TokenTexts(file);
        try (Reader in = Files.newBufferedReader(file, StandardCharsets.UTF_8);
                JsonParser json = JSON.createParser(in)) {
            json.nextToken();
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String key = json.currentName();
                json.nextToken();
                switch (key) {
                    case "model" -> texts.readModel(json);
                    case "decoder" -> texts.decoder = json.readValueAsTree();
                    case "added_tokens" -> texts.added = json.readValueAsTree();
                    default -> json.skipChildren();
                }
            }
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + e.getMessage(), e);
        }
        texts.add();
        return texts;
    }

    private void readModel(JsonParser json) throws IOException {
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String key = json.currentName();
            JsonToken start = json.nextToken();
            if (!key.equals("vocab")) {
                json.skipChildren();
            } else if (start == JsonToken.START_OBJECT) {
                while (json.nextToken() == JsonToken.FIELD_NAME) {
                    String text = json.currentName();
                    json.nextToken();
                    put(json.getLongValue(), text);
                    modelSize++;
                }
            } else if (start == JsonToken.START_ARRAY) {
                // Unigram: pairs of text and score.
                while (json.nextToken() == JsonToken.START_ARRAY) {
                    json.nextToken();
                    put(modelSize++, json.getText());
                    while (json.nextToken() != JsonToken.END_ARRAY) {
                        json.skipChildren();
                    }
                }
            }
        }
    }

    /** Adds the added tokens with the ids that the library gives them, which are not always those of the file. */
    private void add() {
        Map<String, Integer> ids = new HashMap<>();
        Set<String> wanted = new HashSet<>();
        added.forEach(a -> wanted.add(a.path("content").asText()));
        for (int id = 0; id < texts.length; id++) {
            if (texts[id] != null && wanted.contains(texts[id])) {
                ids.put(texts[id], id);
            }
        }
        for (JsonNode a : added) {
            String text = a.path("content").asText();
            if (text.isEmpty()) {
                continue;
            }
            Integer id = ids.get(text);
            if (id == null) {
                id = largestAdded >= modelSize ? largestAdded + 1 : modelSize;
                ids.put(text, id);
                put(id, text);
            }
            largestAdded = Math.max(largestAdded, id);
            if (a.path("special").asBoolean(false)) {
                special.put(text, id);
                specialIds.set(id);
            }
        }
    }

    private void put(long id, String text) {
        if (id < 0 || id >= LARGEST_ID) {
            throw new FormatException(
                    file + ": found the token id " + id + ", expected one from 0 to " + (LARGEST_ID - 1));
        }
        if (id >= texts.length) {
            texts = Arrays.copyOf(texts, (int) Math.max(id + 1, Math.min(LARGEST_ID, 2L * texts.length)));
        }
        texts[(int) id] = text;
    }

    /** The text of a token as the vocabulary has it; null where there is no such token. */
    String text(int id) {
        return id >= 0 && id < texts.length ? texts[id] : null;
    }

    boolean isSpecial(int id) {
        return id >= 0 && specialIds.get(id);
    }

    /** The id of a special token. */
    OptionalInt specialId(String text) {
        Integer id = special.get(text);
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    /** The decoder's description; null or missing where there is none. */
    JsonNode decoder() {
        return decoder;
    }

    /** The file, for messages. */
    Path file() {
        return file;
    }
}
