package dev.gosset.llm.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Tokens decoded one by one, for every kind of decoder (src/test/python/make_tokenizers.py), against Hugging Face's library
 * decoding all of them at once.
 */
class TokenizerStreamTest {
    @SuppressWarnings("UnusedVariable")
    private static final List<String> KINDS = List.of(
            "bytelevel",
            "metaspace",
            "unigram-always",
            "unigram-first",
            "unigram-never",
            "tekken",
            "wordpiece",
            "wordpiece-raw",
            "suffix",
            "ctc",
            "none",
            "gemma",
            "llama-strip",
            "strip-each",
            "strip-end",
            "replace",
            "byte-level-suffix");

    private static HuggingFaceTokenizer library(String kind) throws IOException {
        return HuggingFaceTokenizer.newInstance(TokenizerTest.directory(kind).resolve("tokenizer.json"));
    }

    private static String whole(HuggingFaceTokenizer library, int[] ids, boolean skip) {
        // Strip of the library panics, and with it the JVM ends, on texts shorter than what it may strip.
        return library.decode(Arrays.stream(ids).asLongStream().toArray(), skip);
    }

    private static int[] run(SplittableRandom random, int length) {
        int[] ids = random.ints(length, 0, random.nextBoolean() ? 290 : 24).toArray();
        if (length > 0 && random.nextInt(10) == 0) {
            ids[random.nextInt(length)] = random.nextInt(5) == 0 ? -1 : 100_000;
        }
        return ids;
    }

    private static void assertWhole(String piece, String where) {
        assertThat(piece.isEmpty() || !Character.isLowSurrogate(piece.charAt(0)))
                .as(where)
                .isTrue();
        assertThat(piece.isEmpty() || !Character.isHighSurrogate(piece.charAt(piece.length() - 1)))
                .as(where)
                .isTrue();
    }

    private static String pieces(Tokenizer.Stream stream, int[] ids, String where) {
        StringBuilder text = new StringBuilder();
        for (int id : ids) {
            String piece = stream.next(id);
            assertWhole(piece, where);
            text.append(piece);
        }
        String last = stream.end();
        assertWhole(last, where);
        return text.append(last).toString();
    }

    @ParameterizedTest
    @FieldSource("KINDS")
    void randomTokensGiveTheWholeText(String kind) throws IOException {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        try (Tokenizer tokenizer = Tokenizer.open(TokenizerTest.directory(kind));
                HuggingFaceTokenizer library = library(kind)) {
            for (int i = 0; i < 1500; i++) {
                int[] ids = run(random, random.nextInt(25));
                if (kind.equals("strip-end")) {
                    ids = IntStream.concat(IntStream.of(1), Arrays.stream(ids)).toArray();
                }
                for (boolean skip : new boolean[] {true, false}) {
                    String where = "seed " + seed + ", " + Arrays.toString(ids);
                    String whole = kind.equals("llama-strip") && ids.length == 0 ? "" : whole(library, ids, skip);
                    assertThat(tokenizer.decode(ids, skip)).as(where).isEqualTo(whole);
                    assertThat(pieces(tokenizer.stream(skip), ids, where))
                            .as(where)
                            .isEqualTo(whole);
                }
            }
        }
    }

    /** What a prompt's text and more tokens give together, less the prompt's text: where one begins with the other. */
    @ParameterizedTest
    @FieldSource("KINDS")
    void afterAPromptTheTextIsWhatThePromptLacks(String kind) throws IOException {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        int compared = 0;
        try (Tokenizer tokenizer = Tokenizer.open(TokenizerTest.directory(kind));
                HuggingFaceTokenizer library = library(kind)) {
            for (int i = 0; i < 1500; i++) {
                int[] ids = run(random, 2 + random.nextInt(12));
                ids[0] = 1;
                int cut = 1 + random.nextInt(ids.length);
                int[] prompt = Arrays.copyOf(ids, cut);
                String before = whole(library, prompt, true);
                String all = whole(library, ids, true);
                String where = "seed " + seed + ", " + Arrays.toString(ids) + " cut at " + cut;
                String more = pieces(tokenizer.streamAfter(prompt), Arrays.copyOfRange(ids, cut, ids.length), where);
                // A replacement may swallow the end of the prompt and begin with the same text by chance. So may bytes
                // that are no
                // text: with them the space that a prompt begins with, which has no text alone, is no space any more.
                boolean swallowed = cut > 1 && before.isEmpty() && all.startsWith("\uFFFD");
                if (all.startsWith(before) && !swallowed && (!kind.equals("replace") || more.isEmpty())) {
                    compared++;
                    assertThat(more).as(where).isEqualTo(all.substring(before.length()));
                }
            }
        }
        assertThat(compared).isGreaterThan(kind.equals("replace") ? 50 : 700);
    }

    /** {@code Once upon} and {@code ▁the} are two words, in whichever of them the space is. */
    @Test
    void theFirstWordAfterAPromptKeepsItsSpace() {
        for (String kind : List.of("metaspace", "unigram-always", "unigram-first", "unigram-never", "llama-strip")) {
            try (Tokenizer tokenizer = Tokenizer.open(TokenizerTest.directory(kind))) {
                int the = kind.equals("metaspace") ? id(tokenizer, " the") : id(tokenizer, kind, "▁the");
                int a = kind.equals("metaspace") ? id(tokenizer, "a") : id(tokenizer, kind, "a");
                Tokenizer.Stream stream = tokenizer.streamAfter(new int[] {1, a});
                assertThat(stream.next(the) + stream.end()).as(kind).isEqualTo(" the");
            }
        }
    }

    private static int id(Tokenizer tokenizer, String text) {
        int[] ids = tokenizer.encode("a" + text, false);
        return ids[ids.length - 1];
    }

    private static int id(Tokenizer tokenizer, String kind, String text) {
        return IntStream.range(0, 400)
                .filter(i -> text.equals(tokenizer.textOf(i)))
                .findFirst()
                .orElseThrow(() -> new AssertionError(kind + " has no " + text));
    }

    /** U+FFFD that was written as such, then a character of four bytes: its bytes come one by one. */
    @ParameterizedTest
    @ValueSource(strings = {"bytelevel", "metaspace", "tekken"})
    void realReplacementCharactersHoldNothingBack(String kind) {
        try (Tokenizer tokenizer = Tokenizer.open(TokenizerTest.directory(kind))) {
            for (int k = 1; k <= 24; k++) {
                String text = "\uFFFD".repeat(k) + Character.toString(0xD1DA3) + "z";
                int[] ids = tokenizer.encode(text, false);
                String found = pieces(tokenizer.stream(), ids, "k " + k);
                assertThat(found.strip()).isEqualTo(text);
            }
        }
    }

    /** What is certain is given at once: a character with its last byte, bytes that are no text with the byte that shows it. */
    @Test
    void nothingCertainIsHeldBack() {
        try (Tokenizer tokenizer = Tokenizer.open(TokenizerTest.directory("tekken"))) {
            byte[] bytes = "é漢🎈".getBytes(StandardCharsets.UTF_8);
            Tokenizer.Stream stream = tokenizer.stream();
            StringBuilder seen = new StringBuilder();
            for (byte b : bytes) {
                seen.append(stream.next(byteToken(tokenizer, b & 0xFF))).append('|');
            }
            assertThat(seen).hasToString("|é|||漢||||🎈|");
            int lead = byteToken(tokenizer, 0xF0);
            assertThat(stream.next(lead)).isEmpty();
            for (int i = 0; i < 100; i++) {
                assertThat(stream.next(lead)).isEqualTo("\uFFFD");
            }
            assertThat(stream.end()).isEqualTo("\uFFFD");
        }
    }

    /** The token of one byte above 0x7F, by the character that stands for it. */
    private static int byteToken(Tokenizer tokenizer, int b) {
        char c = (char) (b <= 0xA0 ? 289 + b - 127 : b == 0xAD ? 323 : b);
        return IntStream.range(0, 400)
                .filter(i -> Character.toString(c).equals(tokenizer.textOf(i)))
                .findFirst()
                .orElseThrow();
    }

    /** A quarter of a million tokens in one run of bytes: with a cost that grows with the text this would take minutes. */
    @Test
    @Timeout(30)
    void costDoesNotGrowWithTheText() {
        for (String kind : List.of("metaspace", "tekken")) {
            try (Tokenizer tokenizer = Tokenizer.open(TokenizerTest.directory(kind))) {
                int[] ids = tokenizer.encode("漢".repeat(2000), false);
                Tokenizer.Stream stream = tokenizer.stream();
                long length = 0;
                for (int i = 0; i < 40; i++) {
                    for (int id : ids) {
                        length += stream.next(id).length();
                    }
                }
                assertThat(length + stream.end().length()).isGreaterThanOrEqualTo(80_000);
            }
        }
    }

    /** Ids of added tokens as the library gives them, where the file has others. */
    @Test
    void addedTokensHaveTheLibrarysIds(@TempDir Path directory) throws IOException {
        String json = """
                {"version":"1.0","added_tokens":[
                 {"id":7,"content":"<x>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
                 {"id":1,"content":"b","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false},
                 {"id":9,"content":"<y>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}],
                 "normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":{"type":"Fuse"},
                 "model":{"type":"WordLevel","vocab":{"a":0,"b":1,"c":2},"unk_token":"a"}}""";
        Files.writeString(directory.resolve("tokenizer.json"), json);
        try (Tokenizer tokenizer = Tokenizer.open(directory);
                HuggingFaceTokenizer library = HuggingFaceTokenizer.newInstance(directory.resolve("tokenizer.json"))) {
            for (int id = 0; id < 12; id++) {
                for (boolean skip : new boolean[] {true, false}) {
                    assertThat(tokenizer.decode(new int[] {id}, skip))
                            .as("id %d", id)
                            .isEqualTo(whole(library, new int[] {id}, skip));
                }
            }
        }
    }
}
