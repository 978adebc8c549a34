package dev.gosset.cli;

import dev.gosset.cli.demo.DemoModel;
import dev.gosset.cli.demo.SmallWorld;
import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.Progress;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.evaluate.Divergence;
import dev.gosset.llm.evaluate.MultipleChoice;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.model.ModelSummary;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationReport;
import dev.gosset.llm.quantize.QuantizationSettings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code gosset demo}: the main job on the bundled model. */
@Command(
        name = "demo",
        description = "Quantizes the bundled small model to 2, 3 and 4 bits and compares.",
        footer = {
            "",
            "The model has learned little stories, sums and facts about a small world from text that a generator writes;"
                    + " perplexity and questions are of held-out text."
        })
final class DemoCommand implements Runnable {
    private static final long CALIBRATION_SEED = 77;
    private static final int CALIBRATION_DOCUMENTS = 800;
    private static final int SEQUENCES = 128;
    private static final int CONTEXT = 256;
    private static final int HELD_OUT_DOCUMENTS = 400;
    /** Not the seed that the training script measures with: that one also served to compare models. */
    private static final long QUESTION_SEED = SmallWorld.FIRST_HELD_OUT_SEED + 2;

    private static final int QUESTIONS = 300;
    private static final int SAMPLE_TOKENS = 60;
    private static final int SPEED_TOKENS = 200;

    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            description = "Keep the models here: original, 2bit, 3bit, 4bit; default: a temporary directory, removed.")
    private Path out;

    /** One line of the table. */
    private record Row(
            String name,
            double bitsPerWeight,
            long bytes,
            double perplexity,
            double kl,
            double accuracy,
            double tokensPerSecond,
            double quantizeSeconds,
            String sample) {}

    @Override
    public void run() {
        run.requireCpu(spec);
        Path directory = null;
        try {
            directory = out == null ? Files.createTempDirectory("gosset-demo-") : Files.createDirectories(out);
            List<Row> rows = rows(directory);
            if (common.json) {
                printJson(rows);
            } else {
                print(rows);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            if (out == null && directory != null) {
                remove(directory);
            }
        }
    }

    private List<Row> rows(Path directory) throws IOException {
        for (String name : List.of("original", "2bit", "3bit", "4bit")) {
            if (Files.exists(directory.resolve(name))) {
                throw new FormatException(directory.resolve(name) + ": exists; name an empty directory for --out");
            }
        }
        Path original = DemoModel.copyTo(directory.resolve("original"));
        Path calibration = directory.resolve("calibration.txt");
        Files.writeString(calibration, SmallWorld.text(CALIBRATION_SEED, CALIBRATION_DOCUMENTS));
        String heldOut = SmallWorld.text(SmallWorld.FIRST_HELD_OUT_SEED, HELD_OUT_DOCUMENTS);
        List<MultipleChoice.Question> questions = SmallWorld.questions(QUESTION_SEED, QUESTIONS).stream()
                .map(q -> new MultipleChoice.Question(q.context(), q.choices(), q.answer()))
                .toList();
        List<Row> rows = new ArrayList<>();
        try (ThreadTeam team = run.team(spec);
                LanguageModel teacher = LanguageModel.open(original, team)) {
            say("original: measuring");
            rows.add(measure("original", original, teacher, 0, heldOut, questions, team));
            for (int bits : new int[] {2, 3, 4}) {
                say(bits + " bits: quantizing, then measuring");
                Path target = directory.resolve(bits + "bit");
                QuantizationSettings settings = new QuantizationSettings(
                        RoundingSettings.of(Codebook.ofBits(bits)),
                        0,
                        new CalibrationText(calibration, SEQUENCES, CONTEXT),
                        null);
                QuantizationReport report =
                        QuantizationPipeline.run(original, target, settings, false, team, Progress.NONE);
                rows.add(measure(bits + " bits", target, teacher, report.seconds(), heldOut, questions, team));
            }
        }
        return rows;
    }

    private static void say(String line) {
        System.err.println(line + " ...");
    }

    private static Row measure(
            String name,
            Path directory,
            LanguageModel teacher,
            double quantizeSeconds,
            String heldOut,
            List<MultipleChoice.Question> questions,
            ThreadTeam team) {
        ModelSummary summary = ModelSummary.of(directory);
        try (LanguageModel lm = LanguageModel.open(directory, team)) {
            int[] tokens = lm.tokenizer().encode(heldOut, true);
            Divergence divergence =
                    Divergence.measure(lm.loaded(), teacher.loaded(), tokens, CONTEXT, "held-out text", Progress.NONE);
            MultipleChoice choice = MultipleChoice.measure(lm.loaded(), lm.tokenizer(), questions, Progress.NONE);
            String prompt = "Once";
            String sample = prompt
                    + lm.generate(prompt, GenerationOptions.defaults().withMaxTokens(SAMPLE_TOKENS), piece -> {})
                            .text();
            TextGenerator.Result speed = fastest(lm);
            return new Row(
                    name,
                    summary.linearBitsPerWeight(),
                    summary.bytes(),
                    divergence.perplexity().perplexity(),
                    divergence.kl(),
                    choice.accuracy(),
                    speed.tokensPerSecond(),
                    quantizeSeconds,
                    sample);
        }
    }

    /** The fastest of several runs: the first ones also warm up the compiler. */
    private static TextGenerator.Result fastest(LanguageModel lm) {
        TextGenerator.Result best = null;
        for (int i = 0; i < 4; i++) {
            GenerationOptions options =
                    GenerationOptions.defaults().withMaxTokens(SPEED_TOKENS).withSeed(i);
            TextGenerator.Result result = lm.generate("Once", options, piece -> {});
            best = best == null || result.tokensPerSecond() > best.tokensPerSecond() ? result : best;
        }
        return best;
    }

    private static void print(List<Row> rows) {
        System.out.println();
        System.out.printf(
                Locale.ROOT,
                "%-9s %8s %10s %11s %8s %8s %9s %9s%n",
                "",
                "bits",
                "file",
                "perplexity",
                "KL",
                "right",
                "tokens/s",
                "seconds");
        for (Row r : rows) {
            System.out.printf(
                    Locale.ROOT,
                    "%-9s %8.3f %10s %11.4f %8.4f %7.1f%% %9.0f %9s%n",
                    r.name,
                    r.bitsPerWeight,
                    Sizes.bytes(r.bytes),
                    r.perplexity,
                    r.kl,
                    100 * r.accuracy,
                    r.tokensPerSecond,
                    r.quantizeSeconds == 0 ? "-" : String.format(Locale.ROOT, "%.1f", r.quantizeSeconds));
        }
        System.out.println();
        System.out.println(
                "bits: per weight of the linears, scales included; file: all weights, embeddings and head in");
        System.out.println("16 bits; perplexity, KL (nats per token from the original) and share of " + QUESTIONS
                + " questions answered");
        System.out.println("right: held-out text; seconds: to quantize.");
        for (Row r : rows) {
            System.out.println();
            System.out.println("--- " + r.name);
            System.out.println(r.sample.strip());
        }
    }

    private void printJson(List<Row> rows) {
        List<Map<String, Object>> models = new ArrayList<>();
        for (Row r : rows) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("name", r.name);
            fields.put("bits_per_weight", r.bitsPerWeight);
            fields.put("bytes", r.bytes);
            fields.put("perplexity", r.perplexity);
            fields.put("kl", r.kl);
            fields.put("accuracy", r.accuracy);
            fields.put("tokens_per_second", r.tokensPerSecond);
            fields.put("quantize_seconds", r.quantizeSeconds);
            fields.put("sample", r.sample);
            models.add(fields);
        }
        common.printJson(Map.of("models", models));
    }

    private static void remove(Path directory) {
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            System.err.println("gosset: " + directory + ": cannot be removed: " + e.getMessage());
        }
    }
}
