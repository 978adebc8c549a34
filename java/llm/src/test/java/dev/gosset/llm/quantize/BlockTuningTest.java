package dev.gosset.llm.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.core.rounding.TransformChoice;
import dev.gosset.llm.DirectoryContent;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.quantize.QuantizationReport.TunedReport;
import dev.gosset.llm.tokenizer.Tokenizer;
import dev.gosset.llm.weights.GossetWeights;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Blocks tuned between the roundings of their linears, in the course of a quantization. */
final class BlockTuningTest {
    private static final int CONTEXT = 32;
    private static final int CALIBRATING = 8;
    private static final int TUNING = 16;
    private static final TuningSettings BLOCK = new TuningSettings(2, 2, 4e-3, 4e-3, 3);
    private static final TuningSettings MODEL = new TuningSettings(2, 2, 4e-3, 1e-3, 3);

    @TempDir
    private Path temporary;

    private final long seed = new Random().nextLong();
    private Path text;

    @BeforeEach
    void writeText() throws Exception {
        text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(seed, 2000));
    }

    private QuantizationSettings settings(Finetuning finetuning) {
        return new QuantizationSettings(
                RoundingSettings.of(Codebook.ofBits(2)).withGreedyPasses(0),
                1,
                new CalibrationText(text, CALIBRATING, CONTEXT),
                null,
                finetuning);
    }

    private static QuantizationReport run(
            Path model, Path out, QuantizationSettings settings, boolean resume, int threads, Progress progress) {
        try (ThreadTeam team = new ThreadTeam(threads)) {
            return QuantizationPipeline.run(model, out, settings, resume, team, progress);
        }
    }

    private QuantizationReport run(Path model, String out, Finetuning finetuning) {
        return run(model, temporary.resolve(out), settings(finetuning), false, 2, Progress.NONE);
    }

    /** Every run lowers the error, and what the last one of a block reports is what the stored block makes of the original's states. */
    @ParameterizedTest
    @ValueSource(strings = {"llama", "llama3", "mistral", "qwen2", "qwen3"})
    void everyFamily(String name) throws Exception {
        Path model = TinyModels.copy(name, temporary.resolve("model"));
        QuantizationReport report = run(model, "tuned", new Finetuning(null, TUNING, BLOCK, null));
        List<TunedReport> runs = report.tuning();
        assertGains(runs);
        assertThat(runs).hasSize(8).allSatisfy(r -> {
            assertThat(r.result().skipped()).isZero();
            assertThat(r.result().steps()).isEqualTo(12);
        });
        double[] stored = errors(model, temporary.resolve("tuned"));
        QuantizationReport plain = run(model, "plain", null);
        assertThat(plain.tuning()).isEmpty();
        double[] untuned = errors(model, temporary.resolve("plain"));
        for (int layer = 0; layer < 2; layer++) {
            double last = runs.get(4 * layer + 3).result().after();
            assertThat(stored[layer]).as("seed %d, block %d", seed, layer).isCloseTo(last, within(2e-3 * last));
            assertThat(stored[layer]).as("seed %d, block %d", seed, layer).isLessThan(0.97 * untuned[layer]);
        }
        assertThat(DirectoryContent.names(temporary)).containsExactly("model", "plain", "text.txt", "tuned");
    }

    /** No run of tuning does harm, and nearly all gain: of so few sequences one may find nothing that holds for others. */
    private void assertGains(List<TunedReport> runs) {
        assertThat(runs)
                .allSatisfy(r -> assertThat(r.result().after())
                        .as("%s, seed %d", r.name(), seed)
                        .isLessThanOrEqualTo(r.result().before()));
        assertThat(runs.stream().filter(r -> r.result().after() < r.result().before()))
                .as("seed %d", seed)
                .hasSizeGreaterThanOrEqualTo(runs.size() - 2);
    }

    /** Complex factors are tuned too, and what is stored computes as it was tuned. */
    @Test
    void phasesOfAFourierTransform() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        QuantizationSettings s = settings(new Finetuning(null, TUNING, BLOCK, MODEL));
        QuantizationReport report = run(
                model,
                temporary.resolve("tuned"),
                new QuantizationSettings(
                        s.rounding().withTransform(TransformChoice.FOURIER),
                        s.seed(),
                        s.calibration(),
                        s.hessians(),
                        s.finetuning()),
                false,
                2,
                Progress.NONE);
        assertThat(report.tuning()).hasSize(9);
        assertGains(report.tuning());
        try (Arena arena = Arena.ofConfined()) {
            WeightFile file = WeightFile.open(temporary.resolve("tuned/weights.arrow"), arena);
            Tensor factors = file.weights().stream()
                    .map(WeightFile.Weight::tensor)
                    .filter(t -> t.name().endsWith(".su_fourier"))
                    .findFirst()
                    .orElseThrow();
            float[] pairs = factors.toFloatArray();
            double off = 0;
            for (int k = 0; k < pairs.length; k += 2) {
                off = Math.max(off, Math.abs(Math.hypot(pairs[k], pairs[k + 1]) - 1));
            }
            assertThat(off).as("no longer of length 1").isBetween(2e-3, 0.2);
        }
    }

    /** For each block the squared error of its output on the validating sequences, as a part of what the original block changes. */
    private double[] errors(Path original, Path quantized) {
        try (Model teacher = Model.open(original);
                Model student = Model.open(quantized);
                Tokenizer tokenizer = Tokenizer.open(original);
                ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team);
                Arena arena = Arena.ofConfined()) {
            List<int[]> sequences = new CalibrationText(text, CALIBRATING, TUNING, CONTEXT)
                    .tokenize(tokenizer, teacher.config())
                    .subList(TUNING - TuningSettings.validating(TUNING), TUNING);
            int layers = teacher.config().layers();
            double[] squares = new double[layers];
            double[] changes = new double[layers];
            for (int[] sequence : sequences) {
                FloatMatrix x =
                        FloatMatrix.allocate(arena, CONTEXT, teacher.config().hiddenSize());
                teacher.transformer().embed(sequence, x);
                for (int layer = 0; layer < layers; layer++) {
                    FloatMatrix y = x.copy(arena);
                    FloatMatrix z = x.copy(arena);
                    teacher.transformer().block(layer).forward(y, (group, input) -> {}, workspace);
                    student.transformer().block(layer).forward(z, (group, input) -> {}, workspace);
                    squares[layer] += squaredDistance(y, z);
                    changes[layer] += squaredDistance(y, x);
                    x = y;
                }
            }
            for (int layer = 0; layer < layers; layer++) {
                squares[layer] /= changes[layer];
            }
            return squares;
        }
    }

    private static double squaredDistance(FloatMatrix a, FloatMatrix b) {
        double sum = 0;
        for (int i = 0; i < a.rows(); i++) {
            for (int j = 0; j < a.cols(); j++) {
                double d = (double) a.get(i, j) - b.get(i, j);
                sum += d * d;
            }
        }
        return sum;
    }

    /** Tuned for no epochs a model is as it is without tuning, bit for bit. */
    @Test
    void noEpochsChangeNothing() throws Exception {
        Path model = TinyModels.copy("qwen3", temporary.resolve("model"));
        TuningSettings none = new TuningSettings(0, 2, 4e-3, 4e-3, 3);
        run(model, "plain", null);
        run(model, "tuned", new Finetuning(null, TUNING, none, none));
        assertThat(tensors("tuned")).isEqualTo(tensors("plain"));
        run(model, "moved", new Finetuning(null, TUNING, BLOCK, null));
        Map<String, String> moved = tensors("moved");
        assertThat(moved.keySet()).isEqualTo(tensors("plain").keySet());
        // The first linears are rounded before anything is tuned; the others are not what they were.
        tensors("plain").forEach((tensor, bytes) -> {
            if (tensor.endsWith("qkv_proj.codes")) {
                assertThat(moved.get(tensor)).as(tensor).isEqualTo(bytes);
            } else if (tensor.endsWith(".codes") || tensor.endsWith(".su") || tensor.endsWith("norm.weight")) {
                boolean final_ = tensor.equals("model.norm.weight");
                assertThat(moved.get(tensor).equals(bytes)).as(tensor).isEqualTo(final_);
            }
        });
    }

    private Map<String, String> tensors(String directory) {
        Map<String, String> tensors = new LinkedHashMap<>();
        try (Arena arena = Arena.ofConfined()) {
            WeightFile.open(temporary.resolve(directory).resolve(GossetWeights.FILE), arena)
                    .weights()
                    .forEach(w -> tensors.put(
                            w.name(),
                            w.tensor().dtype() + " " + w.tensor().shape() + " "
                                    + w.checksum().orElseThrow()));
        }
        return tensors;
    }

    /** What a kill looks like from inside: nothing gets to clean up. */
    private static final class Killed extends Error {
        private static final long serialVersionUID = 1L;
    }

    /** Counts steps, and kills at one. */
    private static final class Steps implements Progress {
        private final int last;
        private int count;

        Steps(int last) {
            this.last = last;
        }

        @Override
        public void start(String job, long steps) {}

        @Override
        public void step(String detail) {
            if (count++ == last) {
                throw new Killed();
            }
        }

        @Override
        public void end() {}
    }

    @Test
    void aKilledRunGoesOnToTheSameBytesWhateverTheThreads() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        QuantizationSettings settings = settings(new Finetuning(null, TUNING, BLOCK, MODEL));
        Steps all = new Steps(-1);
        Path unbroken = temporary.resolve("unbroken");
        QuantizationReport report = run(model, unbroken, settings, false, 3, all);
        TunedReport whole = report.tuning().getLast();
        assertThat(report.tuning()).hasSize(9);
        assertThat(whole.name()).isEqualTo("model");
        assertThat(whole.result().after()).isLessThan(whole.result().before());
        Path out = temporary.resolve("resumed");
        Random random = new Random(seed);
        for (int kill = 0; kill < 6; kill++) {
            int step = random.nextInt(all.count);
            try {
                run(model, out, settings, true, 1, new Steps(step));
                break;
            } catch (Killed e) {
                assertThat(out).as("seed %d", seed).doesNotExist();
            }
        }
        run(model, out, settings, true, 1, Progress.NONE);
        assertThat(DirectoryContent.of(out)).as("seed %d", seed).isEqualTo(DirectoryContent.of(unbroken));
        assertThat(temporary.resolve("resumed.partial")).doesNotExist();
        // And once more, where there is nothing left to do.
        assertThat(run(model, out, settings, true, 1, Progress.NONE).tuning()).hasSize(9);
        // Killed in the middle of a block: other settings are no way to go on.
        Path other = temporary.resolve("other");
        assertThatThrownBy(() -> run(model, other, settings, true, 1, new Steps(100)))
                .isInstanceOf(Killed.class);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() ->
                        run(model, other, settings(new Finetuning(null, TUNING, BLOCK, null)), true, 1, Progress.NONE))
                .withMessageContaining("was started with finetune = \"full\", this one has \"block\"");
    }

    @Test
    void hessiansComeWithATextOfTheirOwn() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path hessians = temporary.resolve("hessians");
        CalibrationText calibration = new CalibrationText(text, CALIBRATING, CONTEXT);
        CalibrationText tuning = new CalibrationText(text, CALIBRATING, TUNING, CONTEXT);
        try (ThreadTeam team = new ThreadTeam(1)) {
            HessianCollection.run(model, calibration, hessians, team, Progress.NONE);
        }
        RoundingSettings rounding = settings(null).rounding();
        run(
                model,
                temporary.resolve("given"),
                new QuantizationSettings(rounding, 1, null, hessians, new Finetuning(tuning, 0, BLOCK, null)),
                false,
                1,
                Progress.NONE);
        run(model, "direct", new Finetuning(null, TUNING, BLOCK, null));
        assertThat(tensors("given")).isEqualTo(tensors("direct"));
        assertThatThrownBy(() -> new QuantizationSettings(
                        rounding, 1, null, hessians, new Finetuning(null, TUNING, BLOCK, null)))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void whatCannotBeTunedIsRefusedInOneLineBeforeAnythingIsDone() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path unknown = TinyModels.copy("smollm3", temporary.resolve("unknown"));
        Path few = Files.writeString(temporary.resolve("few.txt"), TinyModels.text(1, 300));
        refuse(model, new Finetuning(null, 400, BLOCK, null), FormatException.class, "text too short");
        refuse(
                model,
                new Finetuning(new CalibrationText(few, 0, 1, CONTEXT), 0, BLOCK, null),
                FormatException.class,
                "at least 2 sequences");
        refuse(unknown, new Finetuning(null, TUNING, BLOCK, null), UnsupportedModelException.class, "rotary");
        assertThatThrownBy(() -> new Finetuning(null, 1, BLOCK, null)).hasMessageContaining("at least 2 sequences");
    }

    private void refuse(Path model, Finetuning finetuning, Class<? extends Throwable> kind, String message) {
        assertThatExceptionOfType(kind)
                .isThrownBy(() -> run(model, "out", finetuning))
                .satisfies(e -> assertThat(e.getMessage()).contains(message).doesNotContain("\n"));
        assertThat(temporary.resolve("out")).doesNotExist();
        assertThat(temporary.resolve("out.partial")).doesNotExist();
    }
}
