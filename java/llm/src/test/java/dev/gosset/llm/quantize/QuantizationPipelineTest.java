package dev.gosset.llm.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.model.Model;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class QuantizationPipelineTest {
    @TempDir
    private Path temporary;

    private Path text;

    @BeforeEach
    void writeText() throws Exception {
        text = Files.writeString(temporary.resolve("calibration.txt"), TinyModels.text(System.nanoTime(), 3000));
    }

    private QuantizationSettings settings(int bits, long seed) {
        return new QuantizationSettings(
                RoundingSettings.of(Codebook.ofBits(bits)).withGreedyPasses(2),
                seed,
                new CalibrationText(text, 12, 64),
                null);
    }

    private static QuantizationReport run(Path model, Path out, QuantizationSettings settings, int threads) {
        try (ThreadTeam team = new ThreadTeam(threads)) {
            return QuantizationPipeline.run(model, out, settings, false, team, Progress.NONE);
        }
    }

    /** Every family and rate: the result opens, and its logits come nearer to the original's with every bit. */
    @ParameterizedTest
    @ValueSource(strings = {"llama", "llama3", "llama-linear", "mistral", "qwen2", "qwen3"})
    void quantizesEveryFamily(String name) throws Exception {
        Path model = TinyModels.copy(name, temporary.resolve("model"));
        float[] original = logits(model);
        Path named = Path.of("additional_chat_templates", "tool_use.jinja");
        Files.createDirectory(model.resolve(named).getParent());
        Files.writeString(model.resolve(named), "{{ tools | length }}");
        double last = Double.MAX_VALUE;
        for (int bits : new int[] {2, 3, 4}) {
            Path out = temporary.resolve(bits + "bit");
            QuantizationReport report = run(model, out, settings(bits, 7), 2);
            assertThat(report.linears()).hasSize(8).allMatch(l -> l.proxyError() > 0);
            // No worse than rounding normal weights without any feedback.
            assertThat(report.meanProxyError()).isLessThan(new double[] {0.1, 0.03, 0.01}[bits - 2]);
            assertThat(report.bytes()).isEqualTo(Files.size(out.resolve("weights.arrow")));
            assertThat(out.resolve(named)).hasSameTextualContentAs(model.resolve(named));
            double error = relativeError(original, logits(out));
            assertThat(error).as("%d bits", bits).isLessThan(last).isLessThan(1.5);
            last = error;
        }
        assertThat(last).isLessThan(0.6);
        assertThat(temporary.toFile().list())
                .containsExactlyInAnyOrder("calibration.txt", "model", "2bit", "3bit", "4bit");
    }

    private static float[] logits(Path directory) {
        try (Model model = Model.open(directory);
                ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team);
                Arena arena = Arena.ofConfined()) {
            int[] tokens = {1, 20, 33, 4, 57, 80, 9, 12, 65, 3, 44, 71, 18, 29};
            FloatMatrix logits =
                    FloatMatrix.allocate(arena, tokens.length, model.config().vocabularySize());
            model.transformer().forward(tokens, logits, workspace);
            return logits.toArray();
        }
    }

    private static double relativeError(float[] expected, float[] found) {
        double error = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            error += Math.pow(expected[i] - found[i], 2);
            norm += Math.pow(expected[i], 2);
        }
        return Math.sqrt(error / norm);
    }

    @Test
    void theSameSeedGivesTheSameBytesWhateverTheThreads() throws Exception {
        Path model = TinyModels.copy("llama3", temporary.resolve("model"));
        run(model, temporary.resolve("one"), settings(2, 3), 1);
        run(model, temporary.resolve("three"), settings(2, 3), 3);
        run(model, temporary.resolve("other"), settings(2, 4), 1);
        byte[] expected = weights("one");
        assertThat(weights("three")).isEqualTo(expected);
        assertThat(weights("other")).isNotEqualTo(expected);
    }

    private byte[] weights(String out) throws Exception {
        return Files.readAllBytes(temporary.resolve(out).resolve("weights.arrow"));
    }

    /** What a kill looks like from inside: nothing gets to clean up. */
    private static final class Killed extends Error {
        private static final long serialVersionUID = 1L;
    }

    private record KilledAt(int[] left) implements Progress {
        @Override
        public void start(String job, long steps) {}

        @Override
        public void step(String detail) {
            if (left[0]-- == 0) {
                throw new Killed();
            }
        }

        @Override
        public void end() {}
    }

    /** Kills in checking, in the first block, between blocks, in the second, and twice in a row. */
    @ParameterizedTest
    @CsvSource({"5, 1", "22, 1", "38, 1", "40, 1", "50, 1", "30, 2", "45, 2"})
    void aKilledRunGoesOnToTheSameBytes(int step, int kills) throws Exception {
        Path model = TinyModels.copy("qwen2", temporary.resolve("model"));
        run(model, temporary.resolve("unbroken"), settings(3, 5), 1);
        Path out = temporary.resolve("resumed");
        try (ThreadTeam team = new ThreadTeam(2)) {
            for (int k = 0; k < kills; k++) {
                assertThatThrownBy(() -> QuantizationPipeline.run(
                                model, out, settings(3, 5), true, team, new KilledAt(new int[] {step})))
                        .isInstanceOf(Killed.class);
                assertThat(out).doesNotExist();
            }
            QuantizationPipeline.run(model, out, settings(3, 5), true, team, Progress.NONE);
            assertThat(weights("resumed")).isEqualTo(weights("unbroken"));
            // A resume of what is finished changes nothing and is no error.
            QuantizationReport again = QuantizationPipeline.run(model, out, settings(3, 5), true, team, Progress.NONE);
            assertThat(again.linears()).hasSize(8);
        }
        assertThat(temporary.toFile().list())
                .containsExactlyInAnyOrder("calibration.txt", "model", "unbroken", "resumed");
    }

    @Test
    void aKilledRunIsNotResumedWithOtherSettingsOrAnotherModel() throws Exception {
        Path model = TinyModels.copy("qwen2", temporary.resolve("model"));
        Path out = temporary.resolve("out");
        try (ThreadTeam team = new ThreadTeam(1)) {
            assertThatThrownBy(() -> QuantizationPipeline.run(
                            model, out, settings(2, 5), false, team, new KilledAt(new int[] {50})))
                    .isInstanceOf(Killed.class);
            assertThatThrownBy(() -> QuantizationPipeline.run(model, out, settings(2, 5), false, team, Progress.NONE))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("resume it");
            assertThatThrownBy(() -> QuantizationPipeline.run(model, out, settings(2, 6), true, team, Progress.NONE))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("seed = 5");
            assertThatThrownBy(() -> QuantizationPipeline.run(model, out, settings(4, 5), true, team, Progress.NONE))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("codebook");
            Path other = TinyModels.copy("llama", temporary.resolve("other"));
            assertThatThrownBy(() -> QuantizationPipeline.run(other, out, settings(2, 5), true, team, Progress.NONE))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("model_crc32c");
            assertThat(temporary.resolve("out.partial")).isDirectory();
        }
    }

    @Test
    void hessiansCollectedBeforehandGiveTheSameCodes() throws Exception {
        Path model = TinyModels.copy("mistral", temporary.resolve("model"));
        run(model, temporary.resolve("direct"), settings(2, 1), 1);
        Path hessians = temporary.resolve("hessians");
        QuantizationReport report;
        try (ThreadTeam team = new ThreadTeam(2)) {
            HessianCollection collected =
                    HessianCollection.run(model, settings(2, 1).calibration(), hessians, team, Progress.NONE);
            assertThat(collected.files()).isEqualTo(8);
            assertThat(collected.tokens()).isEqualTo(12 * 64);
            QuantizationSettings given = new QuantizationSettings(settings(2, 1).rounding(), 1, null, hessians);
            report = QuantizationPipeline.run(model, temporary.resolve("given"), given, false, team, Progress.NONE);
        }
        assertThat(logits(temporary.resolve("given"))).isEqualTo(logits(temporary.resolve("direct")));
        assertThat(report.meanProxyError())
                .isCloseTo(
                        report.linears().stream()
                                .mapToDouble(QuantizationReport.LinearReport::proxyError)
                                .average()
                                .orElseThrow(),
                        within(1e-12));
        Files.delete(hessians.resolve("1_down.safetensors"));
        QuantizationSettings given = new QuantizationSettings(settings(2, 1).rounding(), 1, null, hessians);
        assertThatThrownBy(() -> run(model, temporary.resolve("lacking"), given, 1))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("1_down.safetensors");
        assertThat(List.of(temporary.toFile().list())).doesNotContain("lacking", "lacking.partial");
    }
}
