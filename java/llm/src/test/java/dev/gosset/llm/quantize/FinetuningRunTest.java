package dev.gosset.llm.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.finetune.TuningReport;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.weights.GossetWeights;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Tuning a whole model from directory to directory. */
class FinetuningRunTest {
    private static final TuningSettings SETTINGS = new TuningSettings(3, 2, 5e-3, 2e-3, 4);

    @TempDir
    Path temporary;

    private Path text;

    @BeforeEach
    void writeText() throws Exception {
        text = temporary.resolve("text.txt");
        Files.writeString(text, TinyModels.text(3, 1200));
    }

    private Path quantized(Path model, String name) {
        Path out = temporary.resolve(name);
        try (ThreadTeam team = new ThreadTeam(2)) {
            QuantizationPipeline.run(
                    model,
                    out,
                    // The coarser search leaves tuning more to gain.
                    new QuantizationSettings(
                            RoundingSettings.reference(Codebook.ofBits(2)), 1, new CalibrationText(text, 8, 32), null),
                    false,
                    team,
                    Progress.NONE);
        }
        return out;
    }

    private TuningReport tune(Path quantized, Path teacher, Path out, boolean resume, int threads, Progress progress) {
        return tune(quantized, teacher, out, new CalibrationText(text, 8, 16, 32), SETTINGS, resume, threads, progress);
    }

    private static TuningReport tune(
            Path quantized,
            Path teacher,
            Path out,
            CalibrationText text,
            TuningSettings settings,
            boolean resume,
            int threads,
            Progress progress) {
        try (ThreadTeam team = new ThreadTeam(threads)) {
            return FinetuningRun.run(quantized, teacher, quantized, text, settings, out, resume, team, progress);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama", "mistral", "qwen2", "qwen3"})
    void everyFamilyComesCloserToItsOriginal(String name) throws Exception {
        Path model = TinyModels.copy(name, temporary.resolve("model"));
        Path quantized = quantized(model, "quantized");
        Path out = temporary.resolve("tuned");
        TuningReport report = tune(quantized, model, out, false, 2, Progress.NONE);
        assertThat(report.after()).isLessThan(0.95 * report.before()).isPositive();
        assertThat(report.steps()).isEqualTo(18);
        assertThat(temporary.toFile().list()).containsExactlyInAnyOrder("text.txt", "model", "quantized", "tuned");
        // What is reported is what the files hold: tuned for no epochs, the result starts where the run ended.
        TuningSettings none = new TuningSettings(0, 2, 5e-3, 2e-3, 4);
        TuningReport again = tune(
                out,
                model,
                temporary.resolve("same"),
                new CalibrationText(text, 8, 16, 32),
                none,
                false,
                1,
                Progress.NONE);
        assertThat(again.before()).isEqualTo(report.after()).isEqualTo(again.after());
        assertThat(weights("same")).isNotEqualTo(Files.readAllBytes(quantized.resolve(GossetWeights.FILE)));
        // Codes, scales and embedding stay; sign vectors move.
        try (Model before = Model.open(quantized);
                Model after = Model.open(out)) {
            LinearGroup o = before.plan().block(0).attention().groups().get(1);
            QuantizedLinear was = before.weights().quantizedLinear(o).orElseThrow();
            QuantizedLinear is = after.weights().quantizedLinear(o).orElseThrow();
            assertThat(is.codes().data().mismatch(was.codes().data())).isEqualTo(-1);
            assertThat(is.su().mismatch(was.su())).isNotEqualTo(-1);
            assertThat(is.sv().mismatch(was.sv())).isNotEqualTo(-1);
        }
    }

    /** What has no way back is said before the original is opened: there is none here. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "smollm3       | layers without a rotary embedding",
                "olmo2         | norms behind the attention",
                "ministral3    | queries that grow with their positions",
                "phi4-mini     | heads that are turned in part",
                "granite       | scaled outputs of attention and feed-forward",
                "qwen2-moe     | mixtures of experts",
                "ernie4.5      | pairs that are turned side by side",
                "hunyuan       | norms of what was turned",
                "cohere        | attention beside the feed-forward",
                "starcoder2    | MLPs without a gate",
                "gemma2        | norms behind the attention",
            })
    void kindsWithoutAWayBackAreRefusedByName(String name, String what) throws Exception {
        Path quantized = quantized(TinyModels.copy(name, temporary.resolve("model")), "quantized");
        Path absent = temporary.resolve("absent");
        assertThatExceptionOfType(UnsupportedModelException.class)
                .isThrownBy(() -> tune(quantized, absent, temporary.resolve("tuned"), false, 1, Progress.NONE))
                .withMessage("fine-tuning does not know " + what);
        assertThat(temporary.toFile().list()).containsExactlyInAnyOrder("text.txt", "model", "quantized");
    }

    private byte[] weights(String out) throws Exception {
        return Files.readAllBytes(temporary.resolve(out).resolve(GossetWeights.FILE));
    }

    /** What a kill looks like from inside: nothing gets to clean up. */
    private static final class Killed extends Error {
        private static final long serialVersionUID = 1L;
    }

    private static final class KilledAt implements Progress {
        private final int at;
        private boolean tuning;
        private int steps;

        KilledAt(int at) {
            this.at = at;
        }

        @Override
        public void start(String job, long count) {
            tuning = job.equals("fine-tuning");
        }

        @Override
        public void step(String detail) {
            if (tuning && steps++ == at) {
                throw new Killed();
            }
        }

        @Override
        public void end() {}
    }

    @Test
    void aKilledRunGoesOnToTheSameBytesWhateverTheThreads() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path quantized = quantized(model, "quantized");
        TuningReport report = tune(quantized, model, temporary.resolve("unbroken"), false, 3, Progress.NONE);
        Path out = temporary.resolve("resumed");
        for (int step : new int[] {2, 8, 14}) {
            assertThatThrownBy(() -> tune(quantized, model, out, step > 2, 1, new KilledAt(step)))
                    .isInstanceOf(Killed.class);
            assertThat(out).doesNotExist();
        }
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> tune(quantized, model, out, false, 1, Progress.NONE))
                .withMessageContaining("an unfinished run lies here");
        TuningSettings other = new TuningSettings(4, 2, 5e-3, 2e-3, 4);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> tune(
                        quantized, model, out, new CalibrationText(text, 8, 16, 32), other, true, 1, Progress.NONE))
                .withMessageContaining("was started with epochs = 3, this one has 4");
        TuningReport resumed = tune(quantized, model, out, true, 1, Progress.NONE);
        assertThat(resumed.after()).isEqualTo(report.after());
        assertThat(weights("resumed")).isEqualTo(weights("unbroken"));
        assertThat(temporary.resolve("resumed.partial")).doesNotExist();
        // And once more, where there is nothing left to do.
        assertThat(tune(quantized, model, out, true, 1, Progress.NONE)).isEqualTo(resumed);
    }

    @Test
    void whatDoesNotBelongTogetherIsRefusedInOneLine() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path other = TinyModels.copy("qwen3", temporary.resolve("other"));
        Path quantized = quantized(model, "quantized");
        Path out = temporary.resolve("out");
        assertRefused(
                () -> tune(quantized, other, out, false, 1, Progress.NONE), "is not the original of " + quantized);
        assertRefused(() -> tune(model, model, out, false, 1, Progress.NONE), "quantize it first");
        assertRefused(() -> tune(quantized, quantized, out, false, 1, Progress.NONE), "is already quantized");
        assertRefused(
                () -> tune(
                        quantized,
                        model,
                        out,
                        new CalibrationText(text, 8, 400, 32),
                        SETTINGS,
                        false,
                        1,
                        Progress.NONE),
                "text too short");
        assertRefused(
                () -> tune(
                        quantized, model, out, new CalibrationText(text, 0, 1, 32), SETTINGS, false, 1, Progress.NONE),
                "at least 2 sequences");
        Path tokenizer = model.resolve("tokenizer.json");
        Files.writeString(tokenizer, Files.readString(tokenizer).replace("\"w5\":", "\"v5\":"));
        assertRefused(() -> tune(quantized, model, out, false, 1, Progress.NONE), "gives other tokens");
    }

    private void assertRefused(org.assertj.core.api.ThrowableAssert.ThrowingCallable run, String message) {
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(run)
                .satisfies(e -> assertThat(e.getMessage()).contains(message).doesNotContain("\n"));
        assertThat(temporary.resolve("out")).doesNotExist();
        assertThat(temporary.resolve("out.partial")).doesNotExist();
    }
}
