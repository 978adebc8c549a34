package dev.gosset.llm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.Golden;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.device.ExactModel;
import dev.gosset.llm.evaluate.Perplexity;
import dev.gosset.llm.io.TextFile;
import dev.gosset.llm.model.Model;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The checkpoint that the reference implementation made, against the logits and the perplexity that it gave. */
@Tag("width")
class ReferenceCheckpointTest {
    private ThreadTeam team;
    private Workspace workspace;
    private Path models;
    private Path checkpoint;

    @BeforeEach
    void find() {
        team = ThreadTeam.ofProcessors();
        workspace = new Workspace(team);
        models = Golden.shared().resolve("models/small-llama-reference");
        checkpoint = models.resolve("e8p-2bit");
    }

    @AfterEach
    void close() {
        if (workspace != null) {
            workspace.close();
            team.close();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void logits(int prompt) {
        Golden golden = Golden.read(models.resolve("logits/e8p-2bit.safetensors"));
        int[] tokens = Arrays.stream(golden.get("ids" + prompt).longs())
                .mapToInt(Math::toIntExact)
                .toArray();
        float[] expected = golden.get("logits" + prompt).floats();
        try (Arena arena = Arena.ofShared();
                Model model = Model.open(checkpoint)) {
            int vocabulary = model.config().vocabularySize();
            FloatMatrix whole = FloatMatrix.allocate(arena, tokens.length, vocabulary);
            model.transformer().forward(tokens, whole, workspace);
            FloatMatrix single = FloatMatrix.allocate(arena, tokens.length, vocabulary);
            try (KeyValueCache cache = new KeyValueCache(model.config(), tokens.length)) {
                for (int t = 0; t < tokens.length; t++) {
                    model.transformer()
                            .run(
                                    List.of(new Transformer.Segment(
                                            cache,
                                            new int[] {tokens[t]},
                                            single.rows(t, t + 1).rows())),
                                    single.rows(t, t + 1),
                                    workspace);
                }
            }
            double a = difference(expected, whole);
            double b = difference(expected, single);
            System.out.printf("prompt %d: %.2e of the greatest logit at once, %.2e one by one%n", prompt, a, b);
            // In float32 throughout it is 1e-6.
            assertThat(Math.max(a, b))
                    .isLessThan(ExactModel.tolerance(model.config().layers(), ExactModel.relativeError(model), true));
        }
    }

    private static double difference(float[] expected, FloatMatrix actual) {
        double worst = 0;
        double largest = 0;
        for (int i = 0; i < expected.length; i++) {
            double d = Math.abs(expected[i] - actual.get(i / actual.cols(), i % actual.cols()));
            worst = Double.isNaN(d) ? Double.POSITIVE_INFINITY : Math.max(worst, d);
            largest = Math.max(largest, Math.abs(expected[i]));
        }
        return worst / largest;
    }

    /** Eight chunks; the figure is that of this program, whose whole run agrees with the reference's. */
    @Test
    void perplexityOfTheFirstChunks() {
        Perplexity p = perplexity(8);
        System.out.printf("perplexity of %d chunks: %.5f%n", p.chunks(), p.perplexity());
        assertThat(p.perplexity()).isCloseTo(FIRST_CHUNKS, within(1e-4 * FIRST_CHUNKS));
    }

    private static final double FIRST_CHUNKS = 44.6735;

    /** The whole text: minutes. The reference gives 46.655. */
    @Test
    @EnabledIfSystemProperty(named = "gosset.test.long", matches = "true")
    void perplexityOfTheWholeText() {
        Perplexity p = perplexity(Integer.MAX_VALUE);
        System.out.printf(
                "perplexity %.4f, %d chunks of %d, %.1f s%n", p.perplexity(), p.chunks(), p.context(), p.seconds());
        assertThat(p.perplexity()).isCloseTo(46.655, within(0.001 * 46.655));
    }

    private Perplexity perplexity(int chunks) {
        Path text = Golden.shared().resolve("text/wikitext2-test.txt");
        try (LanguageModel model = LanguageModel.open(checkpoint, team)) {
            int[] tokens = model.tokenizer().encode(TextFile.read(text), true);
            int[] used = Arrays.copyOf(tokens, (int) Math.min(tokens.length, 512L * chunks));
            return Perplexity.measure(model.loaded(), used, 512, text.toString(), Progress.NONE);
        }
    }
}
