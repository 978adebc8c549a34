package dev.gosset.llm.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.Golden;
import dev.gosset.llm.io.Json;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The same tokens and texts as transformers; the cases come from src/test/python/make_tokenizers.py. */
class TokenizerTest {
    static Path directory(String name) {
        try {
            return Path.of(Objects.requireNonNull(TokenizerTest.class.getResource("/tokenizers/" + name))
                    .toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static int[] ids(JsonNode node) {
        int[] out = new int[node.size()];
        Arrays.setAll(out, i -> node.get(i).intValue());
        return out;
    }

    @ParameterizedTest
    @ValueSource(strings = {"bytelevel", "metaspace"})
    void agreesWithTransformers(String name) throws IOException {
        JsonNode cases =
                Json.MAPPER.readTree(directory(name).resolve("cases.json").toFile());
        assertThat(cases.size()).isGreaterThan(5);
        try (Tokenizer tokenizer = Tokenizer.open(directory(name))) {
            for (JsonNode c : cases) {
                String text = c.get("text").textValue();
                int[] ids = ids(c.get("ids"));
                assertThat(tokenizer.encode(text)).as(text).isEqualTo(ids);
                assertThat(tokenizer.encode(text, false)).as(text).isEqualTo(ids(c.get("bare")));
                assertThat(tokenizer.decode(ids, false))
                        .isEqualTo(c.get("decoded").textValue());
                assertThat(tokenizer.decode(ids, true))
                        .isEqualTo(c.get("skipped").textValue());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"bytelevel", "metaspace"})
    void streamsWholeCharacters(String name) throws IOException {
        JsonNode cases =
                Json.MAPPER.readTree(directory(name).resolve("cases.json").toFile());
        try (Tokenizer tokenizer = Tokenizer.open(directory(name))) {
            for (JsonNode c : cases) {
                for (boolean skip : new boolean[] {true, false}) {
                    StringBuilder text = new StringBuilder();
                    Tokenizer.Stream stream = tokenizer.stream(skip);
                    for (int id : ids(c.get("ids"))) {
                        String piece = stream.next(id);
                        assertThat(piece).doesNotContain("\uFFFD");
                        text.append(piece);
                    }
                    text.append(stream.end());
                    assertThat(text.toString())
                            .isEqualTo(c.get(skip ? "skipped" : "decoded").textValue());
                }
            }
        }
    }

    @Test
    void bytesThatAreNoTextAreGivenAsSuch() {
        try (Tokenizer tokenizer = Tokenizer.open(directory("metaspace"))) {
            int lead = tokenizer.idOf("<0xF0>").orElse(3 + 0xf0);
            Tokenizer.Stream stream = tokenizer.stream(true);
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 40; i++) {
                text.append(stream.next(lead));
            }
            assertThat(text.append(stream.end())).hasToString("\uFFFD".repeat(40));
        }
    }

    @Test
    void knowsItsSpecialTokens() {
        try (Tokenizer bytes = Tokenizer.open(directory("bytelevel"));
                Tokenizer spaces = Tokenizer.open(directory("metaspace"))) {
            assertThat(bytes.bosId()).isZero();
            assertThat(bytes.eosId()).isEqualTo(1);
            assertThat(bytes.addsBos()).isTrue();
            assertThat(bytes.idOf("<|turn|>")).hasValue(2);
            assertThat(bytes.idOf("no single token")).isEmpty();
            assertThat(spaces.bosId()).isEqualTo(1);
            assertThat(spaces.eosId()).isEqualTo(2);
            assertThat(spaces.addsBos()).isFalse();
        }
    }

    @Test
    void configurationSpeaksWhereTokenizerJsonIsSilent(@TempDir Path directory) throws IOException {
        Path configuration = directory.resolve("tokenizer_config.json");
        Files.copy(directory("metaspace").resolve("tokenizer.json"), directory.resolve("tokenizer.json"));
        Files.writeString(directory.resolve("config.json"), "{\"bos_token_id\": 1, \"eos_token_id\": [2, 0]}");
        try (Tokenizer tokenizer = Tokenizer.open(directory)) {
            assertThat(tokenizer.bosId()).isEqualTo(1);
            assertThat(tokenizer.eosId()).isEqualTo(2);
            assertThat(tokenizer.encode("a")).isEqualTo(tokenizer.encode("a", false));
        }
        Files.writeString(configuration, """
                {"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "eos_token": {"content": "<s>"}}""");
        try (Tokenizer tokenizer = Tokenizer.open(directory)) {
            assertThat(tokenizer.eosId()).isEqualTo(1);
            assertThat(tokenizer.addsBos()).isTrue();
            assertThat(tokenizer.encode("a")).startsWith(1).hasSize(tokenizer.encode("a", false).length + 1);
        }
        Files.writeString(configuration, "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_bos_token\": false}");
        try (Tokenizer tokenizer = Tokenizer.open(directory)) {
            assertThat(tokenizer.addsBos()).isFalse();
        }
    }

    /** Which tokens end a text where configurations name one, a stale one, none, -1 or several. */
    @Test
    void endsWhereItsOwnFilesSaySo(@TempDir Path directory) throws IOException {
        Path tokenizer = directory.resolve("tokenizer.json");
        Files.copy(directory("metaspace").resolve("tokenizer.json"), tokenizer);
        assertThat(endIds(directory)).containsExactly(2);
        Files.writeString(directory.resolve("config.json"), "{\"bos_token_id\": -1, \"eos_token_id\": -1}");
        assertThat(endIds(directory)).containsExactly(2);
        Files.writeString(directory.resolve("config.json"), "{\"eos_token_id\": 5}");
        assertThat(endIds(directory)).containsExactly(2, 5);
        Files.writeString(directory.resolve("special_tokens_map.json"), "{\"eos_token\": {\"content\": \"<s>\"}}");
        assertThat(endIds(directory)).containsExactly(1, 2);
        Files.writeString(directory.resolve("tokenizer_config.json"), "{\"eos_token\": \"</s>\"}");
        assertThat(endIds(directory)).containsExactly(2);
        String json = Files.readString(tokenizer);
        for (String turn : List.of("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>")) {
            Files.writeString(tokenizer, json.replace("\"<s>\"", "\"" + turn + "\""));
            assertThat(endIds(directory)).as(turn).containsExactly(1, 2);
            // An ordinary token of that text ends nothing.
            Files.writeString(tokenizer, Files.readString(tokenizer).replace("\"special\":true", "\"special\":false"));
            assertThat(endIds(directory)).as(turn).containsExactly(2);
        }
        Files.writeString(tokenizer, json.replace("\"<s>\"", "\"<|end|>\"").replace("\"</s>\"", "\"<|return|>\""));
        assertThat(endIds(directory)).containsExactly(2, 5);
    }

    private static List<Integer> endIds(Path directory) {
        try (Tokenizer tokenizer = Tokenizer.open(directory)) {
            return tokenizer.endIds().stream().sorted().toList();
        }
    }

    @Test
    void saysWhatIsMissingOrBroken(@TempDir Path directory) throws IOException {
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Tokenizer.open(directory))
                .withMessageContaining("tokenizer.json: no such file");
        for (String broken : new String[] {"", "{", "[]", "{}", "{\"model\": {\"type\": \"BPE\"}}"}) {
            Files.writeString(directory.resolve("tokenizer.json"), broken);
            assertThatExceptionOfType(FormatException.class)
                    .isThrownBy(() -> Tokenizer.open(directory))
                    .withMessageMatching(".*tokenizer\\.json.*(JSON|not a tokenizer).*");
        }
    }

    @Test
    void longTextsAreNotCut() throws IOException {
        Path shared = Golden.shared();
        try (Tokenizer tokenizer = Tokenizer.open(shared.resolve("models/small-llama"))) {
            String text = Files.readString(shared.resolve("text/wiki-held-out.txt"));
            int[] ids = tokenizer.encode(text);
            assertThat(ids[0]).isEqualTo(tokenizer.bosId());
            assertThat(ids.length).isGreaterThan(text.length() / 8);
            assertThat(tokenizer.decode(ids, true)).isEqualTo(text);
        }
    }
}
