package dev.gosset.llm.finetune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.finetune.Parameters.Parameter;
import dev.gosset.llm.finetune.Parameters.Stored;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationSettings;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What directories do not show: little memory, and losses that are no numbers. */
class ModelTuningTest {
    @TempDir
    Path temporary;

    @Test
    void littleMemoryGivesTheSameNumbers() throws Exception {
        Path model = TinyModels.copy("qwen3", temporary.resolve("model"));
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(3, 600));
        Path quantized = temporary.resolve("quantized");
        Random random = new Random(1);
        List<int[]> sequences = new ArrayList<>();
        for (int s = 0; s < 8; s++) {
            sequences.add(random.ints(24, 3, 90).toArray());
        }
        TuningSettings settings = new TuningSettings(2, 3, 5e-3, 2e-3, 0);
        List<Map<String, byte[]>> results = new ArrayList<>();
        List<Double> losses = new ArrayList<>();
        try (ThreadTeam team = new ThreadTeam(2)) {
            QuantizationPipeline.run(
                    model,
                    quantized,
                    new QuantizationSettings(
                            RoundingSettings.of(Codebook.ofBits(2)), 1, new CalibrationText(text, 8, 32), null),
                    false,
                    team,
                    Progress.NONE);
            for (long budget : new long[] {1 << 30, 0}) {
                try (Model student = Model.openStored(quantized, team);
                        Model teacher = Model.open(model);
                        ModelTuning tuning = new ModelTuning(
                                student, teacher, sequences, settings, temporary, team, Progress.NONE, budget)) {
                    losses.add(tuning.run(null, Progress.NONE).after());
                    results.add(tuning.tuned());
                }
            }
        }
        assertThat(losses.get(1)).isEqualTo(losses.get(0));
        assertThat(results.get(1).keySet()).isEqualTo(results.get(0).keySet());
        results.get(0)
                .forEach((name, bytes) ->
                        assertThat(results.get(1).get(name)).as(name).isEqualTo(bytes));
    }

    /** A loss {@code (x - 1)^2} that is no number in some steps. */
    private static final class Broken implements AdamLoop.Work {
        final Parameter x;
        final int every;
        int step;

        Broken(Parameter x, int every) {
            this.x = x;
            this.every = every;
        }

        @Override
        public double train(int[] sequences) {
            float value = x.value().get(0, 0);
            boolean bad = ++step % every == 0;
            x.gradient().set(0, 0, bad && step % 2 == 0 ? Float.POSITIVE_INFINITY : 2 * (value - 1));
            return bad && step % 2 == 1 ? Double.NaN : validate();
        }

        @Override
        public double validate() {
            double value = x.value().get(0, 0);
            return (value - 1) * (value - 1);
        }

        @Override
        public void stepped(double loss, double validated) {}
    }

    @Test
    void lossesThatAreNoNumbersAreLeftOutAndEndARun() {
        TuningSettings settings = new TuningSettings(2, 1, 0.5, 0.05, 0);
        try (Parameters parameters = new Parameters();
                ThreadTeam team = new ThreadTeam(1)) {
            Parameter x = parameters.vector("x", new float[] {2}, 0.05, Stored.FLOAT16);
            TuningReport few = new AdamLoop(parameters, new Broken(x, 20), settings, team).run(30, "test", null);
            assertThat(few.skipped()).isEqualTo(3);
            assertThat(few.steps()).isEqualTo(57);
            assertThat(few.after()).isLessThan(0.2 * few.before());
        }
        try (Parameters parameters = new Parameters();
                ThreadTeam team = new ThreadTeam(1)) {
            Parameter x = parameters.vector("x", new float[] {2}, 0.05, Stored.FLOAT16);
            Broken work = new Broken(x, 1);
            TuningReport all = new AdamLoop(parameters, work, settings, team).run(30, "test", null);
            assertThat(all.skipped()).isEqualTo(5);
            assertThat(work.step).isEqualTo(5);
            assertThat(all.after()).isEqualTo(all.before());
            assertThat(x.value().get(0, 0)).isEqualTo(2);
            x.value().set(0, 0, Float.NaN);
            Parameter nan = parameters.vector("nan", new float[] {Float.NaN}, 0.05, Stored.FLOAT16);
            assertThatExceptionOfType(FormatException.class)
                    .isThrownBy(() ->
                            new AdamLoop(parameters, new Broken(nan, 9), settings, team).run(30, "the model", null))
                    .withMessageContaining("the model: the loss before fine-tuning is NaN");
        }
    }
}
