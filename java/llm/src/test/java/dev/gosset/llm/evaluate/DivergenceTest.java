package dev.gosset.llm.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.device.ExactModel;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DivergenceTest {
    private static final ThreadTeam TEAM = new ThreadTeam(2);
    private static final int CONTEXT = 24;
    private static final int CHUNKS = 5;
    private static final int[] TOKENS =
            new SplittableRandom(8).ints(CHUNKS * CONTEXT + 7, 3, 90).toArray();

    @TempDir
    private Path temporary;

    @AfterAll
    static void close() {
        TEAM.close();
    }

    private LanguageModel model(String name) throws Exception {
        Path directory = temporary.resolve(name);
        return LanguageModel.open(Files.exists(directory) ? directory : TinyModels.copy(name, directory), TEAM);
    }

    private static Divergence measure(LanguageModel model, LanguageModel teacher, long held) {
        return Divergence.measure(model.loaded(), teacher.loaded(), TOKENS, CONTEXT, "a text", Progress.NONE, held);
    }

    /** Both models' logits into plain arrays, and every formula written out once more. */
    @Test
    void isWhatTheDefinitionSays() throws Exception {
        try (LanguageModel teacher = model("llama");
                LanguageModel model = model("llama-linear")) {
            double[] means = new double[CHUNKS];
            int agreed = 0;
            for (int c = 0; c < CHUNKS; c++) {
                int[] chunk = Arrays.copyOfRange(TOKENS, c * CONTEXT, (c + 1) * CONTEXT);
                float[][] p = ExactModel.logits(teacher.loaded(), chunk, 0, CONTEXT - 1);
                float[][] q = ExactModel.logits(model.loaded(), chunk, 0, CONTEXT - 1);
                for (int t = 0; t < CONTEXT - 1; t++) {
                    double[] a = softmax(p[t]);
                    double[] b = softmax(q[t]);
                    for (int v = 0; v < a.length; v++) {
                        means[c] += a[v] * Math.log(a[v] / b[v]) / (CONTEXT - 1);
                    }
                    agreed += largest(a) == largest(b) ? 1 : 0;
                }
            }
            double mean = Arrays.stream(means).sum() / CHUNKS;
            double variance = 0;
            for (double m : means) {
                variance += (m - mean) * (m - mean) / (CHUNKS - 1);
            }
            long row = 4L * teacher.config().vocabularySize();
            // Logits of other numbers of rows may differ by float32's rounding. Whole chunks, parts that do not divide
            // them, and single rows.
            for (long held : new long[] {1L << 20, 7 * row + 3, 1}) {
                Divergence found = measure(model, teacher, held);
                assertThat(found.kl()).isCloseTo(mean, within(1e-7 * mean)).isGreaterThan(1e-3);
                assertThat(found.klError()).isCloseTo(Math.sqrt(variance / CHUNKS), within(1e-7));
                assertThat(found.top1Agreement()).isEqualTo((double) agreed / (CHUNKS * (CONTEXT - 1)));
                assertThat(found.perplexity().chunks()).isEqualTo(CHUNKS);
                assertThat(found.perplexity().perplexity()).isCloseTo(perplexity(model), within(1e-5));
                assertThat(found.teacherPerplexity()).isCloseTo(perplexity(teacher), within(1e-5));
            }
        }
    }

    private static double perplexity(LanguageModel model) {
        return Perplexity.measure(model.loaded(), TOKENS, CONTEXT, "a text", Progress.NONE)
                .perplexity();
    }

    private static double[] softmax(float[] logits) {
        double[] p = new double[logits.length];
        double sum = 0;
        for (float l : logits) {
            sum += Math.exp(l);
        }
        for (int v = 0; v < p.length; v++) {
            p[v] = Math.exp(logits[v]) / sum;
        }
        return p;
    }

    private static int largest(double[] p) {
        int best = 0;
        for (int v = 1; v < p.length; v++) {
            best = p[v] > p[best] ? v : best;
        }
        return best;
    }

    @Test
    void ofAModelFromItselfIsZero() throws Exception {
        try (LanguageModel teacher = model("qwen3");
                LanguageModel model = model("qwen3")) {
            Divergence found = measure(model, teacher, 1L << 20);
            assertThat(found.kl()).isZero();
            assertThat(found.klError()).isZero();
            assertThat(found.top1Agreement()).isEqualTo(1);
            int[] one = Arrays.copyOf(TOKENS, CONTEXT);
            assertThat(Divergence.measure(model.loaded(), teacher.loaded(), one, CONTEXT, "", Progress.NONE)
                            .klError())
                    .isNaN();
        }
    }

    @Test
    void whatIsNoTeacherIsRefused() throws Exception {
        Path broken = TinyModels.copyWithoutNumbers("llama", temporary.resolve("broken"));
        Path other = TinyModels.copy("llama", temporary.resolve("other"));
        Path words = other.resolve("tokenizer.json");
        Files.writeString(words, Files.readString(words).replace("\"w7\"", "\"v7\""));
        try (LanguageModel model = model("llama");
                LanguageModel without = LanguageModel.open(broken, TEAM);
                Tokenizer another = Tokenizer.open(other)) {
            assertThatThrownBy(() -> measure(model, without, 1L << 20))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("not all finite numbers in chunk 1");
            int vocabulary = model.config().vocabularySize();
            assertThatThrownBy(() ->
                            Divergence.tokenize("w4 w5", model.tokenizer(), another, vocabulary, "model", "teacher"))
                    .isInstanceOf(FormatException.class)
                    .hasMessage(
                            "teacher: token 7 is 'v7', in model it is 'w7'; expected the model that it was made from");
            assertThat(Divergence.tokenize("w4 w5", model.tokenizer(), model.tokenizer(), vocabulary, "", ""))
                    .isEqualTo(model.tokenizer().encode("w4 w5"));
        }
    }
}
