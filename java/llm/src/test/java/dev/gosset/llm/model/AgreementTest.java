package dev.gosset.llm.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.Golden;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.Transformer;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The same logits as Hugging Face transformers, for every family and every way through the model. */
@Tag("width")
class AgreementTest {
    private static final double TOLERANCE = 1e-4;

    /** With keys and values in float16, each wrong by up to 2^-11 of itself. */
    private static final double HALF_TOLERANCE = 2e-3;

    /** With keys and values in bytes, each wrong by up to 1/254 of its head's largest magnitude. */
    private static final double BYTE_TOLERANCE = 2e-2;

    @SuppressWarnings("UnusedVariable")
    private static final Iterable<String> MODELS = TinyModels.ALL;

    private final ThreadTeam team = new ThreadTeam(2);
    private final Workspace workspace = new Workspace(team);
    private final Arena arena = Arena.ofShared();

    @AfterEach
    void close() {
        arena.close();
        workspace.close();
        team.close();
    }

    /** One sequence and some rows of its logits. */
    private record Expected(int[] tokens, int[] rows, float[] logits) {
        static Expected of(Golden golden, int i) {
            int[] ids = ints(golden, "ids" + i);
            int[] rows = golden.has("rows" + i)
                    ? ints(golden, "rows" + i)
                    : IntStream.range(0, ids.length).toArray();
            return new Expected(ids, rows, golden.get("logits" + i).floats());
        }

        private static int[] ints(Golden golden, String name) {
            return Arrays.stream(golden.get(name).longs())
                    .mapToInt(Math::toIntExact)
                    .toArray();
        }

        /** The greatest difference over the greatest logit; {@code actual} has a row for every token. */
        double difference(FloatMatrix actual) {
            assertThat(logits).hasSize(rows.length * actual.cols());
            double worst = 0;
            double largest = 0;
            for (int r = 0; r < rows.length; r++) {
                for (int j = 0; j < actual.cols(); j++) {
                    float e = logits[r * actual.cols() + j];
                    double d = Math.abs(actual.get(rows[r], j) - e);
                    worst = Double.isNaN(d) ? Double.POSITIVE_INFINITY : Math.max(worst, d);
                    largest = Math.max(largest, Math.abs(e));
                }
            }
            return worst / largest;
        }
    }

    @ParameterizedTest
    @FieldSource("MODELS")
    void wholeSequences(String name) {
        Path directory = TinyModels.directory(name);
        Golden golden = Golden.read(directory.resolve("expected.safetensors"));
        try (Model model = Model.open(directory)) {
            for (int i = 0; i < 3; i++) {
                Expected expected = Expected.of(golden, i);
                FloatMatrix logits = whole(model, expected.tokens());
                assertThat(expected.difference(logits)).as("sequence %d", i).isLessThan(TOLERANCE);
            }
        }
    }

    @ParameterizedTest
    @FieldSource("MODELS")
    void tokenByToken(String name) {
        pieces(name, 1, Dtype.F32, TOLERANCE);
        pieces(name, 1, Dtype.F16, HALF_TOLERANCE);
        pieces(name, 1, Dtype.I8, BYTE_TOLERANCE);
    }

    @ParameterizedTest
    @FieldSource("MODELS")
    void prefillInChunks(String name) {
        pieces(name, 3, Dtype.F32, TOLERANCE);
        pieces(name, 3, Dtype.F16, HALF_TOLERANCE);
        pieces(name, 3, Dtype.I8, BYTE_TOLERANCE);
        pieces(name, 17, Dtype.F32, TOLERANCE);
        pieces(name, 17, Dtype.F16, HALF_TOLERANCE);
        pieces(name, 17, Dtype.I8, BYTE_TOLERANCE);
        pieces(name, 80, Dtype.F32, TOLERANCE);
        pieces(name, 80, Dtype.F16, HALF_TOLERANCE);
        pieces(name, 80, Dtype.I8, BYTE_TOLERANCE);
    }

    /** The sequence in pieces of {@code size} tokens through a cache that just holds it. */
    private void pieces(String name, int size, Dtype dtype, double tolerance) {
        Path directory = TinyModels.directory(name);
        Golden golden = Golden.read(directory.resolve("expected.safetensors"));
        try (Model model = Model.open(directory)) {
            Expected expected = Expected.of(golden, 2);
            int[] tokens = expected.tokens();
            FloatMatrix logits =
                    FloatMatrix.allocate(arena, tokens.length, model.config().vocabularySize());
            try (KeyValueCache cache = new KeyValueCache(model.config(), tokens.length, dtype)) {
                cache.announce(tokens.length);
                for (int from = 0; from < tokens.length; from += size) {
                    int to = Math.min(tokens.length, from + size);
                    int[] piece = Arrays.copyOfRange(tokens, from, to);
                    model.transformer()
                            .run(
                                    List.of(new Transformer.Segment(
                                            cache, piece, logits.rows(from, to).rows())),
                                    logits.rows(from, to),
                                    workspace);
                    assertThat(cache.length()).isEqualTo(to);
                }
            }
            assertThat(expected.difference(logits))
                    .as("pieces of %d, cache in %s", size, dtype)
                    .isLessThan(tolerance);
        }
    }

    /** A prompt within the trained context, then one token after the other beyond it, as transformers goes on. */
    @ParameterizedTest
    @ValueSource(strings = {"llama-dynamic", "mistral-yarn", "qwen3-longrope", "phi4-mini", "granite-yarn"})
    void growsBeyondTheTrainedContext(String name) {
        Path directory = TinyModels.directory(name);
        Golden golden = Golden.read(directory.resolve("expected.safetensors"));
        int[] tokens = Expected.ints(golden, "ids2");
        float[] steps = golden.get("steps").floats();
        try (Model model = Model.open(directory);
                KeyValueCache cache = new KeyValueCache(model.config(), tokens.length, Dtype.F32)) {
            int vocabulary = model.config().vocabularySize();
            FloatMatrix logits = FloatMatrix.allocate(arena, 1, vocabulary);
            int prompt = 20;
            int row = 0;
            for (int to = prompt; to <= tokens.length; to++) {
                int[] piece = Arrays.copyOfRange(tokens, to == prompt ? 0 : to - 1, to);
                model.transformer()
                        .run(List.of(new Transformer.Segment(cache, piece, logits.rows())), logits, workspace);
                if ((to - prompt) % 10 == 0) {
                    float[] expected = Arrays.copyOfRange(steps, row * vocabulary, (row + 1) * vocabulary);
                    assertThat(new Expected(tokens, new int[] {0}, expected).difference(logits))
                            .as("after %d tokens", to)
                            .isLessThan(TOLERANCE);
                    row++;
                }
            }
            assertThat(row * vocabulary).isEqualTo(steps.length);
        }
    }

    @ParameterizedTest
    @CsvSource({"0", "1", "2"})
    void smallLlama(int prompt) {
        Path models = Golden.shared().resolve("models");
        Golden golden = Golden.read(models.resolve("small-llama-reference/logits/fp32.safetensors"));
        try (Model model = Model.open(models.resolve("small-llama"))) {
            Expected expected = Expected.of(golden, prompt);
            FloatMatrix logits = whole(model, expected.tokens());
            assertThat(expected.difference(logits)).isLessThan(TOLERANCE);
            FloatMatrix again = whole(model, expected.tokens());
            assertThat(again.data().mismatch(logits.data())).isEqualTo(-1);
        }
    }

    @ParameterizedTest
    @FieldSource("MODELS")
    void threadsChangeNothing(String name) {
        Path directory = TinyModels.directory(name);
        int[] tokens = Expected.of(Golden.read(directory.resolve("expected.safetensors")), 2)
                .tokens();
        try (Model model = Model.open(directory);
                ThreadTeam three = new ThreadTeam(3);
                ThreadTeam one = new ThreadTeam(1);
                Workspace w3 = new Workspace(three);
                Workspace w1 = new Workspace(one)) {
            int vocabulary = model.config().vocabularySize();
            FloatMatrix a = FloatMatrix.allocate(arena, tokens.length, vocabulary);
            FloatMatrix b = FloatMatrix.allocate(arena, tokens.length, vocabulary);
            model.transformer().forward(tokens, a, w3);
            model.transformer().forward(tokens, b, w1);
            assertThat(a.data().mismatch(b.data())).isEqualTo(-1);
        }
    }

    @Test
    void cutCacheContinuesAsIfNothingHadFollowed() {
        Path directory = TinyModels.directory("mistral");
        Expected expected = Expected.of(Golden.read(directory.resolve("expected.safetensors")), 2);
        int[] tokens = expected.tokens();
        try (Model model = Model.open(directory);
                KeyValueCache cache = new KeyValueCache(model.config(), tokens.length, Dtype.F32)) {
            int vocabulary = model.config().vocabularySize();
            FloatMatrix logits = FloatMatrix.allocate(arena, tokens.length, vocabulary);
            FloatMatrix none = logits.rows(0, 0);
            int[] head = Arrays.copyOf(tokens, 20);
            model.transformer()
                    .run(
                            List.of(new Transformer.Segment(
                                    cache, head, logits.rows(0, 20).rows())),
                            logits.rows(0, 20),
                            workspace);
            model.transformer()
                    .run(List.of(new Transformer.Segment(cache, new int[] {3, 4, 5, 6}, none.rows())), none, workspace);
            cache.truncate(20);
            int[] rest = Arrays.copyOfRange(tokens, 20, tokens.length);
            model.transformer()
                    .run(
                            List.of(new Transformer.Segment(
                                    cache, rest, logits.rows(20, tokens.length).rows())),
                            logits.rows(20, tokens.length),
                            workspace);
            assertThat(expected.difference(logits)).isLessThan(TOLERANCE);
        }
    }

    private FloatMatrix whole(Model model, int[] tokens) {
        FloatMatrix logits =
                FloatMatrix.allocate(arena, tokens.length, model.config().vocabularySize());
        model.transformer().forward(tokens, logits, workspace);
        return logits;
    }
}
