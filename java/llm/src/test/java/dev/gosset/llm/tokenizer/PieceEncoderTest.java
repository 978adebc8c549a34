package dev.gosset.llm.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.gosset.core.Golden;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Texts in pieces against the library's tokens of the whole. */
final class PieceEncoderTest {
    private static final List<String> PARTS = List.of(
            "the ",
            "lattice",
            " of",
            "\n",
            "\n\n",
            "  ",
            "é",
            "漢字",
            "🎈👩‍👩‍👧",
            "</s>",
            "<s>",
            ".",
            "123",
            " The",
            "\u0000",
            "x",
            "\uFFFD",
            "a\u0301",
            " \t",
            "<|turn|>");

    private static String text(SplittableRandom random, int length) {
        StringBuilder text = new StringBuilder();
        while (text.length() < length) {
            String part = PARTS.get(random.nextInt(PARTS.size()));
            // Now and then a long run.
            text.append(part.repeat(random.nextInt(40) == 0 ? random.nextInt(300) : 1));
        }
        return text.toString();
    }

    private static HuggingFaceTokenizer library(Path directory) throws IOException {
        NativeTokenizers.load();
        // It cuts at 512 tokens unless told otherwise.
        return HuggingFaceTokenizer.newInstance(
                directory.resolve("tokenizer.json"), Map.of("truncation", "false", "padding", "false"));
    }

    private static void assertSame(Path directory, String text, int piece, int overlap, String where)
            throws IOException {
        try (HuggingFaceTokenizer library = library(directory)) {
            assertSame(library, text, piece, overlap, where);
        }
    }

    private static void assertSame(HuggingFaceTokenizer library, String text, int piece, int overlap, String where) {
        int[] whole = Arrays.stream(library.encode(text, false, false).getIds())
                .mapToInt(Math::toIntExact)
                .toArray();
        int[] found = new PieceEncoder(t -> library.encode(t, false, false), piece, overlap).encode(text);
        assertThat(Arrays.equals(found, whole)).as(where).isTrue();
    }

    @ParameterizedTest
    @ValueSource(strings = {"metaspace", "tekken", "unigram-always", "unigram-first", "unigram-never", "gemma"})
    void piecesGiveTheTokensOfTheWhole(String kind) throws IOException {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        try (HuggingFaceTokenizer library = library(TokenizerTest.directory(kind))) {
            for (int i = 0; i < 60; i++) {
                int overlap = random.nextInt(40, 400);
                int piece = random.nextInt(2 * overlap, 1500);
                assertSame(library, text(random, 6000), piece, overlap, kind + ", seed " + seed + ", text " + i);
            }
        }
    }

    @Test
    void endlessWordsAndPeriodsToo() throws IOException {
        for (String kind : List.of("metaspace", "tekken", "unigram-always")) {
            for (String period : List.of("x", " ", "the", "latt", "é", "漢", "ab ", "\n", "🎈")) {
                assertSame(TokenizerTest.directory(kind), period.repeat(9000), 512, 64, kind + " " + period);
            }
        }
    }

    @Test
    void aRealTokenizerAndText() throws IOException {
        Path shared = Golden.shared();
        String text = Files.readString(shared.resolve("text/wiki-held-out.txt"));
        assertSame(shared.resolve("models/small-llama"), text, 1 << 14, 1 << 9, "small-llama");
        assertSame(shared.resolve("models/small-llama"), text, 1 << 16, 1 << 11, "small-llama");
        try (HuggingFaceTokenizer library = library(shared.resolve("models/small-llama"))) {
            int[] longest = {0};
            new PieceEncoder(
                            t -> {
                                longest[0] = Math.max(longest[0], t.codePointCount(0, t.length()));
                                return library.encode(t, false, false);
                            },
                            1 << 14,
                            1 << 9)
                    .encode(text);
            assertThat(longest[0]).as("code points at once").isEqualTo(1 << 14);
        }
    }

    /** Half a surrogate pair spoils nothing else. */
    @Test
    void halfAPairIsAReplacementCharacter() {
        try (Tokenizer tokenizer = Tokenizer.open(TokenizerTest.directory("tekken"))) {
            assertThat(tokenizer.encode("a\uD83D 🎈")).isEqualTo(tokenizer.encode("a\uFFFD 🎈"));
            assertThat(tokenizer.decode(tokenizer.encode("🎈\uDC00"), true)).isEqualTo("🎈\uFFFD");
        }
    }
}
