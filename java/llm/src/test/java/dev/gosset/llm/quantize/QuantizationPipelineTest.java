package dev.gosset.llm.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.core.rounding.TransformChoice;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.convert.ModelConversion;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.plan.TensorPlan;
import dev.gosset.llm.weights.ModelDirectory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.FieldSource;
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

    @SuppressWarnings("UnusedVariable")
    private static final Iterable<String> MODELS = TinyModels.ALL;

    /**
     * Every family and rate: the result opens, its linears are better with every bit, and its logits nearer to the original's at 4
     * than at 2. In models this small single logits leave no such order to every bit.
     */
    @ParameterizedTest
    @FieldSource("MODELS")
    void quantizesEveryFamily(String name) throws Exception {
        Path model = TinyModels.copy(name, temporary.resolve("model"));
        float[] original = logits(model);
        Path named = Path.of("additional_chat_templates", "tool_use.jinja");
        Files.createDirectory(model.resolve(named).getParent());
        Files.writeString(model.resolve(named), "{{ tools | length }}");
        double first = 0;
        double last = 0;
        double proxy = Double.MAX_VALUE;
        for (int bits : new int[] {2, 3, 4}) {
            Path out = temporary.resolve(bits + "bit");
            QuantizationReport report = run(model, out, settings(bits, 7), 2);
            ModelPlan plan = ModelDirectory.open(out).config().plan();
            assertThat(plan).isEqualTo(ModelDirectory.open(model).config().plan());
            assertThat(report.linears()).hasSize(plan.groups().size()).allMatch(l -> l.proxyError() > 0);
            // No worse than rounding normal weights without any feedback.
            assertThat(report.meanProxyError()).isLessThan(new double[] {0.1, 0.03, 0.01}[bits - 2]);
            assertThat(report.bytes()).isEqualTo(Files.size(out.resolve("weights.arrow")));
            assertThat(out.resolve(named)).hasSameTextualContentAs(model.resolve(named));
            assertThat(report.meanProxyError()).as("%d bits", bits).isLessThan(proxy);
            proxy = report.meanProxyError();
            last = relativeError(original, logits(out));
            first = bits == 2 ? last : first;
            assertThat(last).as("%d bits", bits).isLessThan(1.5);
        }
        assertThat(last).isLessThan(first).isLessThan(0.8);
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

    /** Other transforms: models as good as by default, from files that say so; refused where a linear's length has none. */
    @ParameterizedTest
    @EnumSource(
            value = TransformChoice.class,
            names = {"HARTLEY", "FOURIER"})
    void otherTransforms(TransformChoice choice) throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        float[] original = logits(model);
        QuantizationReport plain = run(model, temporary.resolve("auto"), settings(4, 7), 2);
        QuantizationSettings s = settings(4, 7);
        QuantizationSettings other = new QuantizationSettings(
                s.rounding().withTransform(choice), s.seed(), s.calibration(), s.hessians(), s.finetuning());
        QuantizationReport report = run(model, temporary.resolve("other"), other, 2);
        assertThat(report.meanProxyError()).isCloseTo(plain.meanProxyError(), withinPercentage(40));
        assertThat(relativeError(original, logits(temporary.resolve("other"))))
                .isLessThan(2 * relativeError(original, logits(temporary.resolve("auto"))));
        try (ThreadTeam team = new ThreadTeam(2);
                Model opened = Model.openStored(temporary.resolve("other"), team)) {
            for (LinearGroup group : opened.plan().groups()) {
                QuantizedLinear linear = opened.weights().quantizedLinear(group).orElseThrow();
                assertThat(linear.inputs()).isEqualTo(choice.of(linear.cols()));
                assertThat(linear.outputs()).isEqualTo(choice.of(linear.rows()));
            }
            if (choice == TransformChoice.FOURIER) {
                assertThatThrownBy(() -> ModelConversion.run(
                                temporary.resolve("other"),
                                temporary.resolve("published"),
                                ModelDirectory.Kind.QUIP_SHARP,
                                team,
                                Progress.NONE))
                        .isInstanceOf(UnsupportedModelException.class)
                        .hasMessageContaining(
                                "has another transform than published QuIP# checkpoints, found the Fourier transform of length");
            }
        }
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

    private QuantizationSettings twoSided(int bits) {
        return new QuantizationSettings(
                        RoundingSettings.of(Codebook.ofBits(bits)), 5, new CalibrationText(text, 12, 64), null)
                .withTwoSides();
    }

    /** Kills in checking, while gradients are gathered, in the first block and in the second. */
    @ParameterizedTest
    @ValueSource(ints = {5, 30, 60, 85, 100})
    void aKilledRunOfTwoSidesGoesOnToTheSameBytes(int step) throws Exception {
        Path model = TinyModels.copy("qwen2", temporary.resolve("model"));
        QuantizationReport unbroken = run(model, temporary.resolve("unbroken"), twoSided(2), 1);
        assertThat(unbroken.linears()).allMatch(l -> l.expectedLoss() > 0);
        assertThat(unbroken.settings()).containsEntry("hessian", "two-sided");
        Path out = temporary.resolve("resumed");
        try (ThreadTeam team = new ThreadTeam(3)) {
            assertThatThrownBy(() -> QuantizationPipeline.run(
                            model, out, twoSided(2), true, team, new KilledAt(new int[] {step})))
                    .isInstanceOf(Killed.class);
            assertThat(out).doesNotExist();
            QuantizationPipeline.run(model, out, twoSided(2), true, team, Progress.NONE);
        }
        assertThat(weights("resumed")).isEqualTo(weights("unbroken"));
        run(model, temporary.resolve("one"), settings(2, 5), 2);
        assertThat(weights("one")).isNotEqualTo(weights("unbroken"));
        assertThat(temporary.toFile().list())
                .containsExactlyInAnyOrder("calibration.txt", "model", "unbroken", "resumed", "one");
    }

    @Test
    void twoSidesAreRefusedWhereTheyCannotBe() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        QuantizationSettings one = new QuantizationSettings(
                        RoundingSettings.of(Codebook.ofBits(2)), 5, new CalibrationText(text, 1, 64), null)
                .withTwoSides();
        assertThatThrownBy(() -> run(model, temporary.resolve("out"), one, 1))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("at least 2 calibration sequences");
        assertThatThrownBy(() -> run(
                        TinyModels.copy("mixtral", temporary.resolve("experts")),
                        temporary.resolve("out"),
                        twoSided(2),
                        1))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("mixtures of experts");
        assertThatThrownBy(() -> settings(2, 1).withTwoSides()).hasMessageContaining("greedy passes");
        assertThatThrownBy(() -> new QuantizationSettings(twoSided(2).rounding(), 1, null, temporary).withTwoSides())
                .hasMessageContaining("calibration text");
        assertThat(temporary.toFile().list()).containsExactlyInAnyOrder("calibration.txt", "model", "experts");
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

    /** A text so short that some experts see few of its tokens and some none: no failure, a line for each, the same codes again. */
    @Test
    void expertsThatCalibrationHardlyVisitsAreFilledUp() throws Exception {
        Path model = TinyModels.copy("qwen3-moe", temporary.resolve("model"));
        CalibrationText few = new CalibrationText(text, 1, 4);
        QuantizationSettings settings = new QuantizationSettings(settings(2, 1).rounding(), 1, few, null);
        QuantizationReport report = run(model, temporary.resolve("direct"), settings, 2);
        List<QuantizationReport.LinearReport> experts = report.linears().stream()
                .filter(l -> l.name().contains(".experts."))
                .toList();
        assertThat(experts).hasSize(24).allMatch(l -> l.filledUp() && l.tokens() <= 4);
        // Three of twelve for each of four tokens.
        assertThat(experts.stream()
                        .filter(l -> l.name().endsWith("upgate_proj"))
                        .mapToLong(QuantizationReport.LinearReport::tokens)
                        .sum())
                .isEqualTo(12);
        assertThat(report.linears())
                .filteredOn(l -> !l.name().contains(".experts."))
                .allMatch(l -> !l.filledUp() && l.tokens() == 4);
        assertThat(report.linears()).allMatch(l -> l.frobeniusError() > 0 && l.frobeniusError() < 1);
        Path hessians = temporary.resolve("hessians");
        try (ThreadTeam team = new ThreadTeam(1)) {
            HessianCollection.run(model, few, hessians, team, Progress.NONE);
        }
        QuantizationReport again = run(model, temporary.resolve("given"), given(hessians), 1);
        assertThat(logits(temporary.resolve("given"))).isEqualTo(logits(temporary.resolve("direct")));
        assertThat(again.linears())
                .extracting(QuantizationReport.LinearReport::tokens)
                .isEqualTo(report.linears().stream()
                        .map(QuantizationReport.LinearReport::tokens)
                        .toList());
    }

    /** Routers decide all or nothing: they are kept as they are, in float32 too. */
    @Test
    void routersKeepTheirPrecision() throws Exception {
        Path model = TinyModels.copy("qwen3-moe", temporary.resolve("model"));
        run(model, temporary.resolve("out"), settings(2, 1), 2);
        try (Model original = Model.open(model);
                Model quantized = Model.open(temporary.resolve("out"))) {
            TensorPlan router = original.plan().block(1).feedForward().tensors().getFirst();
            assertThat(quantized.weights().tensor(router).dtype()).isEqualTo(Dtype.F32);
            assertThat(quantized.weights().tensor(router).toFloatArray())
                    .isEqualTo(original.weights().tensor(router).toFloatArray());
            assertThat(quantized.weights().tensor("model.norm.weight").dtype()).isEqualTo(Dtype.F16);
        }
    }

    private Path hessians(Path model, String name, long textSeed) throws Exception {
        Path file = Files.writeString(temporary.resolve(name + ".txt"), TinyModels.text(textSeed, 1000));
        try (ThreadTeam team = new ThreadTeam(2)) {
            Path out = temporary.resolve(name);
            HessianCollection.run(model, new CalibrationText(file, 8, 64), out, team, Progress.NONE);
            return out;
        }
    }

    private QuantizationSettings given(Path hessians) {
        return new QuantizationSettings(settings(2, 1).rounding(), 1, null, hessians);
    }

    private static void resume(Path model, Path out, QuantizationSettings settings, Progress progress) {
        try (ThreadTeam team = new ThreadTeam(2)) {
            QuantizationPipeline.run(model, out, settings, true, team, progress);
        }
    }

    /** Blocks of one set of Hessians are not put together with blocks of another; the same ones may lie elsewhere. */
    @Test
    void otherHessiansAreRefusedUnfinishedAndFinished() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path hessians = hessians(model, "a", 1);
        Path others = hessians(model, "b", 2);
        Path copy = Files.createDirectory(temporary.resolve("copy"));
        for (String name : hessians.toFile().list()) {
            Files.copy(hessians.resolve(name), copy.resolve(name));
        }
        run(model, temporary.resolve("unbroken"), given(hessians), 1);
        Path out = temporary.resolve("out");
        assertThatThrownBy(() -> resume(model, out, given(hessians), new KilledAt(new int[] {23})))
                .isInstanceOf(Killed.class);
        assertThat(temporary.resolve("out.partial/block-00000.arrow")).exists();
        assertThatThrownBy(() -> resume(model, out, given(others), Progress.NONE))
                .isInstanceOf(FormatException.class)
                .hasMessageContainingAll("out.partial", "hessians_crc32c.0_qkv.safetensors = ", "this one has");
        // One file alone, of a block that is done already.
        Path one = hessians.resolve("0_down.safetensors");
        Files.copy(others.resolve("0_down.safetensors"), one, StandardCopyOption.REPLACE_EXISTING);
        assertThatThrownBy(() -> resume(model, out, given(hessians), Progress.NONE))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("hessians_crc32c.0_down.safetensors");
        assertThatThrownBy(() -> resume(model, out, settings(2, 1), Progress.NONE))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("calibration_sequences = nothing, this one has 12");
        resume(model, out, given(copy), Progress.NONE);
        assertThat(weights("out")).isEqualTo(weights("unbroken"));
        assertThatThrownBy(() -> resume(model, out, given(others), Progress.NONE))
                .isInstanceOf(FormatException.class)
                .hasMessageContainingAll("the finished model here was made with", "0_qkv");
        resume(model, out, given(copy), Progress.NONE);
        assertThat(weights("out")).isEqualTo(weights("unbroken"));
    }

    /** A Hessian that is replaced between the check and its use, hours later in a large model. */
    @Test
    void aHessianThatChangesDuringTheRunIsRefused() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path hessians = hessians(model, "a", 1);
        Path others = hessians(model, "b", 2);
        Progress replaces = new Progress() {
            @Override
            public void start(String job, long steps) {
                try {
                    if (job.equals("quantizing")) {
                        Files.copy(
                                others.resolve("1_up.safetensors"),
                                hessians.resolve("1_up.safetensors"),
                                StandardCopyOption.REPLACE_EXISTING);
                    }
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }

            @Override
            public void step(String detail) {}

            @Override
            public void end() {}
        };
        assertThatThrownBy(() -> resume(model, temporary.resolve("out"), given(hessians), replaces))
                .isInstanceOf(GossetException.class)
                .hasMessageContainingAll("1_up.safetensors", "changed since the run began", "1 of 2", "resume");
        assertThat(temporary.resolve("out")).doesNotExist();
    }

    /** What is copied beside the weights decides the result too. */
    @Test
    void anotherTokenizerOrConfigurationIsRefused() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path hessians = hessians(model, "a", 1);
        Path out = temporary.resolve("out");
        assertThatThrownBy(() -> resume(model, out, given(hessians), new KilledAt(new int[] {23})))
                .isInstanceOf(Killed.class);
        for (String name : List.of("tokenizer.json", "config.json")) {
            String before = Files.readString(model.resolve(name));
            Files.writeString(
                    model.resolve(name),
                    name.equals("config.json") ? before.replaceFirst("\\{", "{\"extra\": 1, ") : before + "\n");
            assertThatThrownBy(() -> resume(model, out, given(hessians), Progress.NONE))
                    .as(name)
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("files_crc32c." + name);
            Files.writeString(model.resolve(name), before);
        }
        Files.writeString(model.resolve("chat_template.jinja"), "{{ x }}");
        assertThatThrownBy(() -> resume(model, out, given(hessians), Progress.NONE))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("files_crc32c.chat_template.jinja = nothing");
        Files.delete(model.resolve("chat_template.jinja"));
        resume(model, out, given(hessians), Progress.NONE);
        assertThat(out).isDirectory();
    }

    /** Other kernels round other last bits: an unbroken run would have used the same ones throughout. */
    @Test
    void blocksThatOtherKernelsMadeAreRefusedAndAFinishedModelIsNot() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path out = temporary.resolve("out");
        assertThatThrownBy(() -> resume(model, out, settings(2, 1), new KilledAt(new int[] {50})))
                .isInstanceOf(Killed.class);
        Path record = temporary.resolve("out.partial/settings.json");
        String before = Files.readString(record);
        assertThat(before).contains("bit vectors", "OpenBLAS");
        Files.writeString(record, before.replaceFirst("\\d+ bit vectors", "64 bit vectors"));
        assertThatThrownBy(() -> resume(model, out, settings(2, 1), Progress.NONE))
                .isInstanceOf(FormatException.class)
                .hasMessageContainingAll("computed_with.kernels = ", "64 bit vectors");
        Files.writeString(record, before);
        resume(model, out, settings(2, 1), Progress.NONE);
        Path report = out.resolve(QuantizationPipeline.REPORT);
        Files.writeString(report, Files.readString(report).replaceFirst("\\d+ bit vectors", "64 bit vectors"));
        resume(model, out, settings(2, 1), Progress.NONE);
        assertThatThrownBy(() -> resume(model, out, settings(2, 2), Progress.NONE))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("the finished model here was made with seed = 1, this one has 2");
    }

    /** Nothing finished, nothing kept, also where it is no exception of ours. */
    @Test
    void anErrorLeavesFinishedBlocksAndNothingElse() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path out = temporary.resolve("out");
        assertThatThrownBy(() -> resume(model, out, settings(2, 1), new KilledAt(new int[] {25})))
                .isInstanceOf(Killed.class);
        assertThat(temporary.toFile().list()).containsExactlyInAnyOrder("calibration.txt", "model");
        assertThatThrownBy(() -> resume(model, out, settings(2, 1), new KilledAt(new int[] {50})))
                .isInstanceOf(Killed.class);
        assertThat(temporary.resolve("out.partial/block-00000.arrow")).exists();
        assertThat(temporary.resolve("out.partial").toFile().list()).noneMatch(n -> n.endsWith(".tmp"));
    }

    /** A finished block that was damaged on the disk meanwhile is not put into a model. */
    @Test
    void aDamagedBlockIsFoundWhenTheModelIsPutTogether() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path out = temporary.resolve("out");
        assertThatThrownBy(() -> resume(model, out, settings(2, 1), new KilledAt(new int[] {50})))
                .isInstanceOf(Killed.class);
        Path block = temporary.resolve("out.partial/block-00000.arrow");
        byte[] bytes = Files.readAllBytes(block);
        try (Arena arena = Arena.ofConfined()) {
            WeightFile file = WeightFile.open(block, arena);
            long at = file.tensor("model.layers.0.mlp.down_proj.codes").data().address()
                    - file.map().address();
            bytes[(int) at + 5] ^= 1;
        }
        Files.write(block, bytes);
        assertThatThrownBy(() -> resume(model, out, settings(2, 1), Progress.NONE))
                .isInstanceOf(GossetException.class)
                .hasMessageContainingAll(block.toString(), "'model.layers.0.mlp.down_proj.codes' is damaged");
        assertThat(out).doesNotExist();
    }
}
