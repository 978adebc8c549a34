package dev.gosset.cli;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.finetune.TuningReport;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.quantize.FinetuningRun;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset finetune}: tunes what is not a code of a quantized model, against its original. */
@Command(
        name = "finetune",
        description = "Tunes sign vectors, norms and head of a quantized model against the original's distributions.",
        footer = {
            "",
            "The last quarter of the sequences validates; the best state is kept, so the result is never worse there. It"
                    + " appears under --out only when it is whole. A killed run leaves OUT.partial beside it: the same command"
                    + " with --resume goes on after the last finished epoch and gives the same bytes as an unbroken run."
        })
final class FinetuneCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Parameters(
            paramLabel = "QMODEL",
            converter = Arguments.Model.class,
            description = "Directory of a model that Gosset quantized.")
    private Path model;

    @Option(
            names = "--teacher",
            required = true,
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directory of the original model.")
    private Path teacher;

    @Option(
            names = "--text",
            required = true,
            paramLabel = "FILE|DIR",
            description =
                    "UTF-8 text to tune on: text files, .jsonl with a \"text\" on each line, gzip, directories of such;"
                            + " may be given several times.")
    private List<Path> text;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Directory of the tuned model.")
    private Path out;

    @Option(
            names = "--sequences",
            paramLabel = "N",
            description = "Sequences to take from the text; default ${DEFAULT-VALUE}.")
    private int sequences = 128;

    @Option(
            names = "--skip",
            paramLabel = "N",
            description =
                    "Sequences to leave out before them, such as those that calibrated; default ${DEFAULT-VALUE}.")
    private int skip;

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Tokens per sequence; default: 2048, or the model's context where that is shorter.")
    private Integer context;

    @Option(
            names = "--epochs",
            paramLabel = "N",
            description = "Passes over the training sequences; default ${DEFAULT-VALUE}.")
    private int epochs = TuningSettings.MODEL.epochs();

    @Option(names = "--batch", paramLabel = "N", description = "Sequences of a step; default ${DEFAULT-VALUE}.")
    private int batch = TuningSettings.MODEL.batch();

    @Option(
            names = "--rate",
            paramLabel = "X",
            description = "Step of the sign vectors, as a part of their values; default ${DEFAULT-VALUE}.")
    private double rate = TuningSettings.MODEL.factorRate();

    @Option(
            names = "--weight-rate",
            paramLabel = "X",
            description = "Step of norms and head, as a part of their values; default ${DEFAULT-VALUE}.")
    private double weightRate = TuningSettings.MODEL.weightRate();

    @Option(names = "--seed", paramLabel = "N", description = "Seed of the sequences' order; default ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--resume", description = "Finish a run that was killed.")
    private boolean resume;

    @Override
    public void run() {
        run.requireCpu(spec);
        if (sequences < 2 || skip < 0 || context != null && context < 2) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--sequences must be at least 2, --skip at least 0 and --context at least 2, found " + sequences
                            + ", " + skip + " and " + context);
        }
        try (ThreadTeam team = run.team(spec);
                ConsoleProgress progress = new ConsoleProgress()) {
            TuningReport result = FinetuningRun.run(
                    model,
                    teacher,
                    run.tokenizerOf(model),
                    new CalibrationText(text, skip, sequences, context == null ? 0 : context),
                    settings(),
                    out,
                    resume,
                    team,
                    progress);
            if (result.skipped() > 0) {
                System.err.println(TuningMessages.skipped(result));
            }
            if (common.json) {
                Map<String, Object> fields = new LinkedHashMap<>();
                fields.put("model", out.toString());
                fields.put("before", result.before());
                fields.put("after", result.after());
                fields.put("steps", result.steps());
                fields.put("skipped", result.skipped());
                fields.put("seconds", result.seconds());
                common.printJson(fields);
            } else {
                System.out.printf(
                        Locale.ROOT,
                        "%s: divergence from the original %.5f -> %.5f on the validating sequences, %d steps, %s%n",
                        out,
                        result.before(),
                        result.after(),
                        result.steps(),
                        ConsoleProgress.duration(result.seconds()));
            }
        }
    }

    private TuningSettings settings() {
        try {
            return new TuningSettings(epochs, batch, rate, weightRate, seed);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }
}
