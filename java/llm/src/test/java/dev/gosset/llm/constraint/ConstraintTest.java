package dev.gosset.llm.constraint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.networknt.schema.InputFormat;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.sampling.TokenMask;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Grammars of schemas beside a validator that nobody here wrote, and masks beside a look at each token. */
class ConstraintTest {
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(JsonWriteFeature.COMBINE_UNICODE_SURROGATES_IN_UTF8)
            .build();

    private static final int END = 0;
    /** Random schemas of a test; more by {@code -Dgosset.schemas}. */
    private static final int CASES = Integer.getInteger("gosset.schemas", 60);

    @TempDir
    static Path temporary;

    private static Tokenizer tokenizer;
    private static Vocabulary vocabulary;
    private static int size;

    /** A byte-level tokenizer with a token for each byte and some 900 that are two others, as JSON has them often. */
    @BeforeAll
    static void makeTokenizer() throws IOException {
        ObjectNode root = JSON.createObjectNode().put("version", "1.0");
        root.putArray("added_tokens")
                .addObject()
                .put("id", END)
                .put("content", "</s>")
                .put("special", true)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false);
        root.putObject("pre_tokenizer")
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", true);
        root.putObject("decoder")
                .put("type", "ByteLevel")
                .put("add_prefix_space", true)
                .put("trim_offsets", true)
                .put("use_regex", true);
        ObjectNode model = root.putObject("model").put("type", "BPE");
        Map<String, Integer> words = new LinkedHashMap<>();
        words.put("</s>", END);
        String[] bytes = new String[256];
        for (int b = 0, other = 256; b < 256; b++) {
            boolean itself = b >= '!' && b <= '~' || b >= 0xA1 && b != 0xAD;
            bytes[b] = String.valueOf((char) (itself ? b : other++));
            words.put(bytes[b], words.size());
        }
        ArrayNode merges = model.putArray("merges");
        SplittableRandom random = new SplittableRandom(5);
        List<String> pieces = new ArrayList<>();
        for (char c : "\":,{}[]0123456789.-eEabcnmtrufls \\/xyABC".toCharArray()) {
            pieces.add(bytes[c]);
        }
        for (int c : "é€漢😀".getBytes(StandardCharsets.UTF_8)) {
            pieces.add(bytes[c & 0xff]);
        }
        while (words.size() < 1200) {
            String a = pieces.get(random.nextInt(pieces.size()));
            String b = pieces.get(random.nextInt(pieces.size()));
            if (a.length() + b.length() < 9 && words.putIfAbsent(a + b, words.size()) == null) {
                merges.addArray().add(a).add(b);
                pieces.add(a + b);
            }
        }
        model.set("vocab", JSON.valueToTree(words));
        Files.writeString(temporary.resolve("tokenizer.json"), root.toString());
        tokenizer = Tokenizer.open(temporary);
        size = words.size();
        vocabulary = new Vocabulary(tokenizer, size, Set.of(END));
    }

    @AfterAll
    static void close() {
        tokenizer.close();
    }

    private static Constraint constraint(JsonNode schema) {
        return new Constraint(Grammar.jsonSchema(schema), vocabulary);
    }

    private static float[] logits(SplittableRandom random) {
        float[] logits = new float[size];
        for (int i = 0; i < size; i++) {
            logits[i] = 6 * random.nextFloat();
        }
        // Else a text would hardly end.
        logits[END] = 20;
        for (int id = 1; id < size; id++) {
            byte[] bytes = tokenizer.bytesOf(id);
            byte last = bytes[bytes.length - 1];
            logits[id] += last == '}' || last == ']' || last == '"' ? 4 : 0;
        }
        return logits;
    }

    /** What a sampler writes under a mask; null where it does not end in time. */
    private static String write(TokenMask mask, Sampling sampling, long seed, int logProbabilities) {
        SplittableRandom random = new SplittableRandom(seed);
        Sampler sampler = new Sampler(sampling.withSeed(seed), new int[0], mask, logProbabilities);
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        for (int i = 0; i < 300; i++) {
            List<Integer> tokens = new ArrayList<>(List.of(sampler.next(logits(random))));
            Arrays.stream(sampler.following()).forEach(tokens::add);
            for (int token : tokens) {
                if (token == END) {
                    return text.toString(StandardCharsets.UTF_8);
                }
                text.writeBytes(tokenizer.bytesOf(token));
            }
        }
        return null;
    }

    private static void requireValid(JsonNode schema, String text, String about) throws IOException {
        var errors = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12)
                .getSchema(schema.toString(), InputFormat.JSON)
                .validate(
                        text,
                        InputFormat.JSON,
                        context -> context.executionConfig(c -> c.formatAssertionsEnabled(true)));
        assertThat(errors).as("%s: %s of %s", about, text, schema).isEmpty();
    }

    @Test
    void whatIsWrittenIsValid() throws IOException {
        long start = System.nanoTime();
        int ended = 0;
        int count = 0;
        for (long seed = start; seed < start + CASES; seed++) {
            JsonNode schema = new RandomSchema(seed).next().schema();
            Constraint constraint = constraint(schema);
            for (int k = 0; k < 4; k++) {
                Sampling sampling =
                        k == 0 ? Sampling.greedy() : Sampling.of(1 + k, k == 2 ? 40 : 0, k == 3 ? 0.9 : 1, 0);
                String text = write(constraint.newMask(), sampling, seed + k, k == 1 ? 0 : -1);
                count++;
                if (text != null) {
                    ended++;
                    JSON.readTree(text);
                    requireValid(schema, text, "seed " + seed);
                }
            }
        }
        assertThat(ended).as("of %d, seed %d", count, start).isGreaterThan(count * 3 / 4);
    }

    private static void requireAccepted(Constraint constraint, String text, SplittableRandom random, String about) {
        TokenMask mask = constraint.newMask();
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        for (int at = 0; at < bytes.length; ) {
            List<Integer> fitting = new ArrayList<>();
            for (int id = 1; id < size; id++) {
                byte[] own = tokenizer.bytesOf(id);
                if (own.length <= bytes.length - at
                        && Arrays.equals(own, Arrays.copyOfRange(bytes, at, at + own.length))) {
                    fitting.add(id);
                }
            }
            for (int id : fitting) {
                assertThat(mask.allows(id))
                        .as("%s: %s at %d, token %d", about, text, at, id)
                        .isTrue();
            }
            int id = fitting.get(random.nextInt(fitting.size()));
            mask.accept(id);
            at += tokenizer.bytesOf(id).length;
        }
        assertThat(mask.allows(END)).as("%s: the end of %s", about, text).isTrue();
    }

    /** In whatever tokens it is cut. */
    @Test
    void whatIsValidIsAccepted() throws IOException {
        long start = System.nanoTime();
        for (long seed = start; seed < start + CASES; seed++) {
            RandomSchema.Kind kind = new RandomSchema(seed).next();
            Constraint constraint = constraint(kind.schema());
            SplittableRandom random = new SplittableRandom(seed);
            for (int k = 0; k < 3; k++) {
                JsonNode document = kind.document().get();
                String text = JSON.writeValueAsString(document);
                requireValid(kind.schema(), text, "seed " + seed);
                String about = "seed " + seed + ", " + kind.schema();
                requireAccepted(constraint, text, random, about);
                requireAccepted(constraint, spaced(document), random, about);
            }
        }
    }

    private static String spaced(JsonNode node) throws IOException {
        List<String> parts = new ArrayList<>();
        if (node.isObject()) {
            for (var e : node.properties()) {
                parts.add(JSON.writeValueAsString(e.getKey()) + ": " + spaced(e.getValue()));
            }
            return "{" + String.join(", ", parts) + "}";
        }
        if (node.isArray()) {
            for (JsonNode e : node) {
                parts.add(spaced(e));
            }
            return "[" + String.join(", ", parts) + "]";
        }
        return JSON.writeValueAsString(node);
    }

    @Test
    void masksAreWhatEachTokenByItselfMay() {
        long start = System.nanoTime();
        for (long seed = start; seed < start + 40; seed++) {
            TokenMask mask = constraint(new RandomSchema(seed).next().schema()).newMask();
            SplittableRandom random = new SplittableRandom(seed);
            for (int i = 0; i < 25; i++) {
                float[] logits = new float[size + 7];
                mask.mask(logits);
                List<Integer> allowed = new ArrayList<>();
                for (int id = 0; id < size; id++) {
                    assertThat(logits[id] == 0)
                            .as("seed %d, token %d", seed, id)
                            .isEqualTo(mask.allows(id));
                    if (id != END && mask.allows(id)) {
                        allowed.add(id);
                    }
                }
                assertThat(logits[size]).isEqualTo(Float.NEGATIVE_INFINITY);
                if (allowed.isEmpty()) {
                    assertThat(mask.allows(END)).isTrue();
                    break;
                }
                mask.accept(allowed.get(random.nextInt(allowed.size())));
            }
        }
    }

    /** Looking at the drawn token first changes nothing in how likely each is. */
    @Test
    void drawsAsIfTheMaskCameFirst() throws IOException {
        Constraint constraint = constraint(JSON.readTree("{\"type\": \"integer\", \"minimum\": 3, \"maximum\": 7}"));
        float[] logits = new float[size];
        double sum = 0;
        Map<Integer, Double> expected = new HashMap<>();
        for (int id = 1; id < size; id++) {
            logits[id] = id % 7 * 0.3f;
            if (constraint.newMask().allows(id)) {
                expected.put(id, Math.exp(logits[id]));
                sum += Math.exp(logits[id]);
            }
        }
        int draws = 20_000;
        Map<Integer, Integer> found = new HashMap<>();
        for (int i = 0; i < draws; i++) {
            Sampler sampler = new Sampler(Sampling.of(1, 0, 1, i), new int[0], constraint.newMask(), 0);
            found.merge(sampler.next(logits), 1, Integer::sum);
        }
        assertThat(expected).hasSize(5);
        for (Map.Entry<Integer, Double> e : expected.entrySet()) {
            double p = e.getValue() / sum;
            assertThat(found.get(e.getKey()) / (double) draws)
                    .isBetween(p - 4.5 * Math.sqrt(p / draws), p + 4.5 * Math.sqrt(p / draws));
        }
    }

    /** What comes without a choice is not drawn, and its tokens are those of the tokenizer. */
    @Test
    void keysAreWrittenAtOnce() throws IOException {
        JsonNode schema = JSON.readTree("{\"type\": \"object\", \"properties\": {\"temperature\": {\"const\": \"abc\"},"
                + " \"unit\": {\"type\": \"boolean\"}}, \"required\": [\"temperature\", \"unit\"]}");
        Sampler sampler =
                new Sampler(Sampling.greedy(), new int[0], constraint(schema).newMask(), -1);
        SplittableRandom random = new SplittableRandom(1);
        List<Integer> tokens = new ArrayList<>();
        int draws = 0;
        while (!tokens.contains(END)) {
            tokens.add(sampler.next(logits(random)));
            Arrays.stream(sampler.following()).forEach(tokens::add);
            draws++;
        }
        assertThat(tokens.getLast()).isEqualTo(END);
        int[] ids = tokens.stream().mapToInt(i -> i).toArray();
        String text = tokenizer.decode(ids, true);
        assertThat(JSON.readTree(text).get("temperature").textValue()).isEqualTo("abc");
        assertThat(draws).isLessThan(ids.length / 2);
        assertThat(Arrays.copyOf(ids, 4)).isEqualTo(Arrays.copyOf(tokenizer.encode("{\"temperature\":"), 4));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '\'', textBlock = """
                    {"type": "object", "properties": {"a/b": {"type": "string", "not": {}}}} | /properties/a~1b/not
                    {"anyOf": [{"type": "string"}, {"type": "array", "uniqueItems": true}]} | /anyOf/1/uniqueItems
                    {"type": "array", "items": {"multipleOf": 3}}          | /items/multipleOf
                    {"type": "object", "patternProperties": {}}            | /patternProperties
                    {"type": "object", "if": {}, "then": {}}               | /if
                    {"type": "string", "pattern": "(?=a)"}                 | /pattern
                    {"type": "string", "pattern": "(a"}                    | /pattern
                    {"type": "string", "format": "email"}                  | /format
                    {"type": "string", "pattern": "a", "minLength": 2}     | /pattern
                    {"type": "strin"}                                      | /type
                    {"type": "string", "minLength": 5, "maxLength": 2}     | /minLength
                    {"oneOf": [{"type": "number"}, {"type": "integer"}]}   | /oneOf
                    {"$ref": "#/$defs/none"}                               | /$ref
                    {"$ref": "https://example.org/schema"}                 | /$ref
                    {"$defs": {"a": {"dependentRequired": {}}}, "$ref": "#/$defs/a"} | /$defs/a/dependentRequired
                    {"items": [{"type": "string"}]}                        | /items
                    {"enum": ["a"], "minLength": 1}                        | /minLength
                    {"enum": []}                                           | /enum
                    {"type": "object", "additionalProperties": false, "required": ["a"]} | /required
                    {"properties": {"a": {"$ref": "#"}}, "required": ["a"]} | ''
                    {"type": "integer", "minimum": 4, "exclusiveMaximum": 4} | ''
                    false                                                  | ''
                    7                                                      | ''
                    """)
    void whatCannotBeEnforcedIsRefused(String schema, String pointer) throws IOException {
        JsonNode node = JSON.readTree(schema);
        assertThatThrownBy(() -> Grammar.jsonSchema(node))
                .isInstanceOfSatisfying(
                        UnsupportedSchemaException.class,
                        e -> assertThat(e.pointer()).isEqualTo(pointer));
    }

    /** Alternatives of which only one may hold are told apart by what they require. */
    @Test
    void oneOfIsForWhatIsApart() throws IOException {
        JsonNode schema = JSON.readTree("""
                {"oneOf": [
                  {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind", "x"]},
                  {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
                  {"type": ["string", "null"]}]}
                """);
        Constraint constraint = constraint(schema);
        SplittableRandom random = new SplittableRandom(3);
        for (String text : List.of("{\"kind\":\"a\",\"x\":7}", "{\"kind\":\"b\"}", "\"x\"", "null")) {
            requireAccepted(constraint, text, random, "oneOf");
        }
    }

    private static boolean accepts(Automaton.State start, String text) {
        Automaton.State state = start;
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            state = state == null ? null : state.step(b & 0xff);
        }
        return state != null && state.accepts();
    }

    @Test
    void numbersBetweenBoundsAreTheNumbersBetweenThem() {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < 100; i++) {
            BigDecimal least =
                    random.nextInt(4) == 0 ? null : BigDecimal.valueOf(random.nextInt(-1500, 1500), random.nextInt(4));
            BigDecimal most = random.nextInt(4) == 0
                    ? null
                    : (least == null ? BigDecimal.ZERO : least)
                            .add(BigDecimal.valueOf(random.nextInt(0, 900), random.nextInt(4)));
            boolean above = random.nextBoolean();
            boolean below = random.nextBoolean();
            boolean whole = random.nextBoolean();
            Expression range = NumberRange.of(least, above, most, below, whole);
            Automaton.State start = range == null ? null : new Automaton(range).start();
            for (int k = 0; k < 60; k++) {
                BigDecimal value = k < 20 && least != null
                        ? least.add(BigDecimal.valueOf(random.nextInt(-30, 30), random.nextInt(4)))
                        : k < 40 && most != null
                                ? most.add(BigDecimal.valueOf(random.nextInt(-30, 30), random.nextInt(4)))
                                : BigDecimal.valueOf(random.nextInt(-40_000, 40_000), random.nextInt(5));
                int low = least == null ? 1 : value.compareTo(least);
                int high = most == null ? -1 : value.compareTo(most);
                boolean expected = (above ? low > 0 : low >= 0)
                        && (below ? high < 0 : high <= 0)
                        && (!whole || value.scale() <= 0);
                assertThat(start != null && accepts(start, value.toPlainString()))
                        .as("seed %d: %s %s to %s %s, whole %s: %s", seed, least, above, most, below, whole, value)
                        .isEqualTo(expected);
            }
        }
    }

    @Test
    void patternsMatchAsJavaMatchesThem() throws Exception {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        for (String pattern : List.of(
                "^a+b?$",
                "ab|c",
                "^[^ab]{2,3}$",
                "^(ab|ba)*$",
                "\\d\\.\\d",
                "^\\w+$",
                "^[é-€]+$",
                "\\s",
                "^a{2}|b{2,}$",
                "^.\"\\\\$",
                "^[\\]\\-a]$",
                "^(?:a|b(c|d)){1,2}$",
                "^$",
                "")) {
            Automaton.State start = new Automaton(RegularExpression.parse(pattern)).start();
            Pattern java = Pattern.compile(pattern);
            for (int i = 0; i < 300; i++) {
                StringBuilder text = new StringBuilder();
                for (int k = random.nextInt(6); k > 0; k--) {
                    text.append("aabbcd1.é€ \"\\]-".charAt(random.nextInt(15)));
                }
                String escaped = text.toString().replace("\\", "\\\\").replace("\"", "\\\"");
                assertThat(accepts(start, escaped))
                        .as("seed %d: %s in %s", seed, pattern, text)
                        .isEqualTo(java.matcher(text).find());
            }
        }
    }
}
