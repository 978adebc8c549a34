package dev.gosset.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.methods.PointSets;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.io.TextFile;
import dev.gosset.llm.study.StudyInput;
import dev.gosset.llm.study.StudyLines;
import dev.gosset.llm.study.StudyRow;
import dev.gosset.llm.study.StudyRunner;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset study}: the papers' tables and figures on a model of the user's. */
@Command(
        name = "study",
        description = "The tables and figures of QuIP and QuIP# on models of yours.",
        footer = {
            "",
            "methods: QuIP's main table, methods by processing by bits. ablation: both papers' steps one by one at 2 bits."
                    + " codebooks: the error of codebooks on normal numbers beside the least possible, and of those of about"
                    + " 2 bits on models, where any are given. scaling: OPTQ, QuIP and QuIP# against bytes, over several"
                    + " models. seeds: what random signs make of one result. spectrum: what theory says of each linear"
                    + " before rounding, and what rounding gave.",
            "",
            "Every run adds a line to OUT/runs.jsonl when it ends; a study that was killed goes on with what is missing."
                    + " Tables (Markdown, CSV) and pictures (PNG, SVG) are made from these lines only, each value the mean over"
                    + " its draws with their standard deviation. A model is judged by its divergence from the original (KL) and"
                    + " its perplexity."
        })
final class StudyCommand implements Runnable {
    /** Normal numbers that a codebook is measured on. */
    private static final int NUMBERS = 1 << 19;

    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Mixin
    private CalibrationOptions calibration;

    /** Which. */
    enum Kind {
        METHODS,
        ABLATION,
        CODEBOOKS,
        SCALING,
        SEEDS,
        SPECTRUM;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Parameters(
            index = "0",
            paramLabel = "STUDY",
            description = "methods, ablation, codebooks, scaling, seeds or spectrum.")
    private Kind kind;

    @Parameters(
            index = "1..*",
            arity = "0..*",
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directories of original models; for codebooks there may be none.")
    private List<Path> models = List.of();

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where lines, tables and pictures go.")
    private Path out;

    @Option(names = "--text", paramLabel = "FILE", description = "UTF-8 text to measure on; not for spectrum.")
    private Path text;

    @Option(
            names = "--eval-context",
            paramLabel = "N",
            description = "Tokens of a chunk; default: the model's, 2048 at most.")
    private int context;

    @Option(names = "--chunks", paramLabel = "N", description = "Chunks to measure at most; default ${DEFAULT-VALUE}.")
    private int chunks = 40;

    @Option(
            names = "--seeds",
            paramLabel = "N",
            description = "Draws of each row that draws anything; default 3, for seeds 5, for spectrum 20.")
    private Integer seeds;

    @Option(
            names = "--hessians",
            paramLabel = "DIR",
            description =
                    "Take the Hessians that `gosset hessian` wrote; for one model only. Default: collected once, under OUT.")
    private Path hessians;

    @Option(
            names = "--finetune-text",
            paramLabel = "FILE|DIR",
            description = "Text that ablation tunes on; default: what follows the calibration's sequences. With"
                    + " --hessians nothing is tuned without it.")
    private List<Path> tuningText = List.of();

    @Option(
            names = "--finetune-sequences",
            paramLabel = "N",
            description = "Sequences that ablation tunes on; default ${DEFAULT-VALUE}, 0 for no rows that are tuned.")
    private int tuningSequences = 128;

    @Option(
            names = "--only",
            paramLabel = "NAME",
            description = "Only rows of this method or codebook; may be given several times.")
    private List<String> only = List.of();

    @Option(names = "--as-published", description = "Width and clipping of the grid as the published program has them.")
    private boolean asPublished;

    @Override
    public void run() {
        run.requireCpu(spec);
        check();
        int draws = seeds != null ? seeds : kind == Kind.SEEDS ? 5 : kind == Kind.SPECTRUM ? 20 : 3;
        String measured = text == null ? null : TextFile.read(text);
        try {
            Files.createDirectories(out);
        } catch (IOException e) {
            throw new GossetException(out + ": cannot be written: " + CrashSafeFile.reason(e), e);
        }
        StudyLines lines = StudyLines.open(out.resolve("runs.jsonl"));
        List<ObjectNode> asked = new ArrayList<>();
        try (ThreadTeam team = run.team(spec);
                ConsoleProgress progress = new ConsoleProgress()) {
            PointSets sets = new PointSets(team);
            if (kind == Kind.CODEBOOKS) {
                for (String set : PointSets.NORMAL) {
                    for (int seed = 0; seed < draws && isWanted(set); seed++) {
                        int number = seed;
                        lines.orRun(
                                StudyRunner.normalKey(set, seed, NUMBERS),
                                () -> StudyRunner.normal(sets, set, number, NUMBERS),
                                asked);
                    }
                }
            }
            for (Path model : models) {
                try (StudyRunner runner = new StudyRunner(input(model, measured), sets, team, progress)) {
                    for (StudyRow row : rows(draws, this::isWanted)) {
                        boolean spectrum = kind == Kind.SPECTRUM;
                        Supplier<ObjectNode> run = () ->
                                spectrum ? runner.spectrum(row, draws, progress) : said(row, runner.run(row, progress));
                        lines.orRun(spectrum ? runner.spectrumKey(row, draws) : runner.key(row), run, asked);
                    }
                }
            }
        }
        StudyReport report = new StudyReport(kind.toString(), out);
        report.write(asked);
        if (common.json) {
            common.printJson(Map.of("study", kind.toString(), "out", out.toString(), "runs", asked.size()));
        } else {
            System.out.print(TextFile.read(report.table()));
        }
    }

    private void check() {
        List<String> names = new ArrayList<>(kind == Kind.CODEBOOKS ? PointSets.NORMAL : List.of());
        rows(1, name -> true).forEach(r -> names.add(r.name()));
        only.stream().filter(n -> !names.contains(n)).findFirst().ifPresent(n -> {
            throw new ParameterException(
                    spec.commandLine(),
                    "--only: study " + kind + " has " + String.join(", ", new LinkedHashSet<>(names)) + ", found " + n);
        });
        boolean few = seeds != null && seeds < 1 || chunks < 1 || context < 0 || context == 1;
        if (few || hessians != null && models.size() > 1) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--seeds and --chunks must be at least 1, --eval-context at least 2, and --hessians are of one model:"
                            + " found " + (seeds == null ? "no" : seeds) + " seeds, " + chunks
                            + " chunks, a context of "
                            + context + " and " + models.size() + " models");
        }
        if (tuningSequences < 0 || tuningSequences == 1) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--finetune-sequences must be 0 or at least 2, one to tune on and one to validate, found "
                            + tuningSequences);
        }
        if (models.isEmpty() && kind != Kind.CODEBOOKS) {
            throw new ParameterException(spec.commandLine(), "study " + kind + " needs a MODEL");
        }
        if (text == null && kind != Kind.SPECTRUM && !models.isEmpty()) {
            throw new ParameterException(spec.commandLine(), "study " + kind + " needs --text");
        }
        if (!tuningText.isEmpty() && kind != Kind.ABLATION) {
            throw new ParameterException(spec.commandLine(), "--finetune-text is for ablation only");
        }
    }

    private StudyInput input(Path model, String measured) {
        return new StudyInput(
                model,
                run.tokenizerOf(model),
                calibration.settings(spec, hessians),
                hessians,
                tuningText.isEmpty()
                        ? null
                        : new CalibrationText(tuningText, 0, tuningSequences, calibration.context()),
                tuningSequences,
                out,
                kind == Kind.SPECTRUM ? null : measured,
                String.valueOf(text),
                context,
                chunks);
    }

    private boolean isWanted(String name) {
        return only.isEmpty() || only.contains(name);
    }

    private List<StudyRow> rows(int draws, Predicate<String> wanted) {
        List<StudyRow> rows = new ArrayList<>(
                switch (kind) {
                    case METHODS -> StudyRow.methods(draws, asPublished);
                    case ABLATION ->
                        StudyRow.ablation(
                                draws, asPublished, tuningSequences > 0 && (hessians == null || !tuningText.isEmpty()));
                    case CODEBOOKS -> StudyRow.codebooks(draws);
                    case SCALING -> StudyRow.scaling(draws, asPublished);
                    case SEEDS -> StudyRow.seeds(draws, asPublished);
                    case SPECTRUM -> StudyRow.spectrum(asPublished);
                });
        rows.removeIf(r -> !wanted.test(r.name()));
        return rows;
    }

    private static ObjectNode said(StudyRow row, ObjectNode line) {
        System.err.printf(
                Locale.ROOT,
                "%s %s %d bits, seed %d: KL %.5f, perplexity %.3f, %s%n",
                row.method(),
                row.processing(),
                row.bits(),
                row.seed(),
                line.get("kl").doubleValue(),
                line.get("perplexity").doubleValue(),
                ConsoleProgress.duration(line.get("seconds").doubleValue()));
        return line;
    }
}
