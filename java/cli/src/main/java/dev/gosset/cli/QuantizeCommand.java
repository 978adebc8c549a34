package dev.gosset.cli;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.methods.Grid;
import dev.gosset.core.methods.MethodSettings;
import dev.gosset.core.methods.Processing;
import dev.gosset.core.methods.ScalarMethod;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.core.rounding.TransformChoice;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.quantize.Finetuning;
import dev.gosset.llm.quantize.MethodQuantization;
import dev.gosset.llm.quantize.QuantizationDevices;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationReport;
import dev.gosset.llm.quantize.QuantizationReport.TunedReport;
import dev.gosset.llm.quantize.QuantizationSettings;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset quantize}: the whole pipeline, from an original model to a quantized one. */
@Command(
        name = "quantize",
        description = "Quantizes an original Hugging Face model to 2, 3 or 4 bits per weight.",
        footer = {
            "",
            "The result appears under --out only when it is whole. A killed run leaves OUT.partial beside it: the same"
                    + " command with --resume goes on from the last finished block and gives the same bytes as an unbroken"
                    + " run, whatever the number of threads. It is refused where the model, the calibration, the settings"
                    + " or the kernels of this machine are other ones than the run began with."
        })
final class QuantizeCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Mixin
    private CalibrationOptions calibration;

    @Parameters(
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directory of the original model: config.json, safetensors, tokenizer.")
    private Path model;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Directory of the quantized model.")
    private Path out;

    @Option(names = "--bits", paramLabel = "2|3|4", description = "Bits per weight; default 2, or what --codebook has.")
    private Integer bits;

    @Option(
            names = "--codebook",
            paramLabel = "NAME",
            description = "E8P12 (2 bits), E8P12RVQ3B (3) or E8P12RVQ4B (4); default: the one of --bits.")
    private String codebookName;

    @Option(
            names = "--hessians",
            paramLabel = "DIR",
            description = "Take the Hessians that `gosset hessian` wrote instead of calibrating.")
    private Path hessians;

    @Option(
            names = "--hessian",
            paramLabel = "one-sided|two-sided",
            converter = SidesConverter.class,
            description = "Whose errors are weighed: one-sided, those of inputs by what the linear's own output loses;"
                    + " two-sided, those of inputs and outputs by what the whole model's output loses, which a"
                    + " pass of gradients tells, where that promises more on text set aside. Default: one-sided.")
    private Sides sides = Sides.ONE_SIDED;

    @Option(names = "--seed", paramLabel = "N", description = "Seed of the sign vectors; default ${DEFAULT-VALUE}.")
    private long seed;

    @Option(
            names = "--search",
            paramLabel = "beam|nearest",
            description =
                    "How codes are found: beam, by what each block adds to the loss, with several histories for each"
                            + " row; or nearest, the nearest points as the reference implementation takes them. Default:"
                            + " beam, and nearest on a GPU.")
    private Search search;

    @Option(
            names = "--beam",
            paramLabel = "N",
            description =
                    "Histories of a row in the search by beam, 1 to 64; default " + RoundingSettings.DEFAULT_BEAM + ".")
    private Integer beam;

    @Option(
            names = "--greedy-passes",
            paramLabel = "N",
            description = "Passes of coordinate descent after LDLQ; default 0, with --search nearest "
                    + RoundingSettings.REFERENCE_PASSES + ".")
    private Integer greedyPasses;

    /** The values of --search. */
    private enum Search {
        BEAM,
        NEAREST
    }

    @Option(
            names = "--scale",
            paramLabel = "X",
            description = "Weights are divided by RMS / X before rounding; default: the codebook's own.")
    private Double scale;

    @Option(
            names = "--sigma",
            paramLabel = "X",
            description = "Added to the diagonal of the Hessian, whose mean is 1; default ${DEFAULT-VALUE}.")
    private double sigma = Hessian.DEFAULT_SIGMA;

    @Option(
            names = "--transform",
            paramLabel = "NAME",
            converter = TransformConverter.class,
            description =
                    "What makes weights and Hessians incoherent, behind random signs or phases: hadamard, hartley, fourier,"
                            + " or auto, which is hadamard where a linear's length has such a matrix and hartley where it has none."
                            + " fourier runs on the cpu only. Default: ${DEFAULT-VALUE}.")
    private TransformChoice transform = TransformChoice.AUTO;

    @Option(names = "--rescale", description = "Rescale the diagonals of weights and Hessian against each other first.")
    private boolean rescale;

    @Option(names = "--float64", description = "Round in float64 throughout: slower, reproducible across machines.")
    private boolean float64;

    @Option(
            names = "--finetune",
            paramLabel = "none|block|full",
            converter = StageConverter.class,
            description =
                    "Tune what is not a code: block, each block after the rounding of each of its linears; full, then"
                            + " the whole model too. Default: ${DEFAULT-VALUE}.")
    private Stage finetune = Stage.NONE;

    @Option(
            names = "--finetune-text",
            paramLabel = "FILE|DIR",
            description = "Text to tune on, as --calibration; default: what follows the calibration's sequences.")
    private List<Path> tuningText = List.of();

    @Option(
            names = "--finetune-sequences",
            paramLabel = "N",
            description = "Sequences to tune on, of which the last quarter validates; default ${DEFAULT-VALUE}.")
    private int tuningSequences = 128;

    @Option(
            names = "--method",
            paramLabel = "NAME",
            description = "A method of QuIP (2023) instead of QuIP#, for comparison: nearest, stochastic, ldlq,"
                    + " ldlq-stochastic, optq, greedy, ldlq-rg or ldlq-bounded. The result holds dense float32 weights: no fast"
                    + " kernel exists for these codes.")
    private String method;

    @Option(
            names = "--processing",
            paramLabel = "NAME",
            description =
                    "Of --method: none, rescale, kron, kron-blocked, kron-noperm, kron-norescale, hadamard or fourier; default: kron.")
    private String processing;

    @Option(
            names = "--as-published",
            description = "Of --method: the grid's width and its clipping as the published program has them.")
    private boolean asPublished;

    @Option(
            names = "--rho",
            paramLabel = "X",
            description =
                    "Of --method: the grid of incoherent weights reaches to X times their RMS; default: what loses least,"
                            + " or 2.4 as published.")
    private Double rho;

    @Option(names = "--resume", description = "Finish a run that was killed.")
    private boolean resume;

    @Option(
            names = "--devices",
            paramLabel = "N",
            description = "How many GPUs to use, from --device on; default: all. The result does not depend on it.")
    private Integer devices;

    @Option(
            names = "--report",
            paramLabel = "FILE",
            description = "Write every linear's errors, and what --eval-text measures, to a JSON file.")
    private Path report;

    /** Flags that mean nothing to QuIP's methods. */
    private static final List<String> NOT_OF_METHODS = List.of(
            "--codebook",
            "--search",
            "--beam",
            "--greedy-passes",
            "--scale",
            "--sigma",
            "--transform",
            "--rescale",
            "--float64",
            "--finetune",
            "--finetune-text",
            "--finetune-sequences",
            "--resume",
            "--devices",
            "--eval-text",
            "--draws");

    @Mixin
    private DrawOptions draws;

    @Override
    public void run() {
        if (method != null) {
            runMethod();
            return;
        }
        if (processing != null || asPublished || rho != null) {
            throw new ParameterException(spec.commandLine(), "--processing, --as-published and --rho need --method");
        }
        QuantizationDevices devices = devices();
        QuantizationSettings settings = new QuantizationSettings(
                rounding(), seed, calibration.settings(spec, hessians), hessians, twoSided(), finetuning());
        draws.check(spec);
        OutputFile.requireWritable(report);
        try (ThreadTeam team = run.team(spec);
                ConsoleProgress progress = new ConsoleProgress()) {
            Path tokenizer = run.tokenizerOf(model);
            QuantizationReport result =
                    QuantizationPipeline.run(model, tokenizer, out, settings, devices, resume, team, progress);
            List<DrawOptions.Draw> measured = new ArrayList<>();
            try {
                measured.addAll(draws.measure(
                        new DrawOptions.Draw(seed, out, result, null),
                        (other, directory) -> QuantizationPipeline.run(
                                model, tokenizer, directory, settings.withSeed(other), devices, false, team, progress),
                        directory -> EvalCommand.DivergenceCommand.measure(
                                directory,
                                model,
                                run,
                                new StorageFlags().options(spec),
                                draws.chunks(calibration.context()),
                                spec,
                                team,
                                progress)));
                OutputFile.write(report, DrawOptions.report(result, measured));
            } finally {
                print(result, codebook().name(), measured);
            }
        }
    }

    private void runMethod() {
        run.requireCpu(spec);
        NOT_OF_METHODS.stream()
                .filter(spec.commandLine().getParseResult()::hasMatchedOption)
                .findFirst()
                .ifPresent(flag -> {
                    throw new ParameterException(spec.commandLine(), flag + " is not for --method");
                });
        MethodSettings settings;
        int width = bits == null ? 2 : bits;
        String processed = processing == null ? "kron" : processing;
        try {
            settings = MethodSettings.of(ScalarMethod.named(method), Processing.named(processed), width, asPublished);
            settings = rho == null ? settings : settings.withRho(rho);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), "--method: " + e.getMessage(), e);
        }
        OutputFile.requireWritable(report);
        Map<String, Object> names = new LinkedHashMap<>();
        names.put("method", method);
        names.put("processing", processed);
        names.put("bits", width);
        names.put("as_published", asPublished);
        if (settings.grid() instanceof Grid.PerMatrix grid) {
            names.put("rho", grid.rho());
        }
        try (ThreadTeam team = run.team(spec);
                ConsoleProgress progress = new ConsoleProgress()) {
            QuantizationReport result = MethodQuantization.run(
                    model,
                    run.tokenizerOf(model),
                    out,
                    names,
                    settings,
                    seed,
                    calibration.settings(spec, hessians),
                    hessians,
                    team,
                    progress);
            OutputFile.write(report, result.toJson());
            print(result, method + " " + processed, List.of());
            System.err.println(
                    "the model holds dense float32 weights, and runs as such: no fast kernel exists for --method");
        }
    }

    private QuantizationDevices devices() {
        if (devices != null && (devices < 1 || run.device.isCpu() && devices > 1)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--devices must be at least 1, and 1 on the cpu, found " + devices + " of " + run.device);
        }
        return run.device.isCpu()
                ? QuantizationDevices.CPU
                : new QuantizationDevices(run.device, devices == null ? 0 : devices);
    }

    /** How much is tuned. */
    private enum Stage {
        NONE,
        BLOCK,
        FULL;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Reads {@code --finetune}. */
    static final class StageConverter implements CommandLine.ITypeConverter<Stage> {
        @Override
        public Stage convert(String text) {
            for (Stage stage : Stage.values()) {
                if (stage.toString().equals(text)) {
                    return stage;
                }
            }
            throw new CommandLine.TypeConversionException("expected none, block or full, found " + text);
        }
    }

    /** Reads {@code --transform}. */
    static final class TransformConverter implements CommandLine.ITypeConverter<TransformChoice> {
        @Override
        public TransformChoice convert(String text) {
            for (TransformChoice choice : TransformChoice.values()) {
                if (choice.toString().equals(text)) {
                    return choice;
                }
            }
            throw new CommandLine.TypeConversionException("expected auto, hadamard, hartley or fourier, found " + text);
        }
    }

    /** The values of --hessian. */
    private enum Sides {
        ONE_SIDED,
        TWO_SIDED;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    /** Reads {@code --hessian}. */
    static final class SidesConverter implements CommandLine.ITypeConverter<Sides> {
        @Override
        public Sides convert(String text) {
            for (Sides sides : Sides.values()) {
                if (sides.toString().equals(text)) {
                    return sides;
                }
            }
            throw new CommandLine.TypeConversionException("expected one-sided or two-sided, found " + text);
        }
    }

    /** Whether both sides' Hessians are wanted, with nothing that does not know them. */
    private boolean twoSided() {
        if (sides == Sides.ONE_SIDED) {
            return false;
        }
        String found = hessians != null
                ? "--hessians"
                : rescale
                        ? "--rescale"
                        : greedyPasses != null && greedyPasses > 0
                                ? "--greedy-passes " + greedyPasses
                                : run.device.isCpu() ? null : "--device " + run.device;
        if (found != null) {
            throw new ParameterException(
                    spec.commandLine(), "--hessian two-sided does not go with " + found + ": use one-sided there");
        }
        return true;
    }

    private Finetuning finetuning() {
        if (finetune == Stage.NONE) {
            if (!tuningText.isEmpty()) {
                throw new ParameterException(spec.commandLine(), "--finetune-text needs --finetune block or full");
            }
            return null;
        }
        if (tuningSequences < 2) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--finetune-sequences must be at least 2, one to tune on and one to validate, found "
                            + tuningSequences);
        }
        if (hessians != null && tuningText.isEmpty()) {
            throw new ParameterException(spec.commandLine(), "--finetune needs --finetune-text beside --hessians");
        }
        return new Finetuning(
                tuningText.isEmpty()
                        ? null
                        : new CalibrationText(tuningText, 0, tuningSequences, calibration.context()),
                tuningSequences,
                TuningSettings.BLOCK,
                finetune == Stage.FULL ? TuningSettings.MODEL : null);
    }

    private RoundingSettings rounding() {
        try {
            boolean nearest = search == Search.NEAREST
                    || search == null
                            && beam == null
                            && !(run.device.isCpu() && RoundingSettings.isSearchedByMetric(codebook()));
            if (beam != null && (nearest || beam < 1)) {
                throw new IllegalArgumentException("--beam must be 1 to " + RoundingSettings.MOST_STATES
                        + ", and is for --search beam only, found " + beam);
            }
            if (!nearest && !run.device.isCpu()) {
                throw new IllegalArgumentException("a beam is searched on the processor only, found --device "
                        + run.device + ": use --search nearest there");
            }
            if (!nearest && !RoundingSettings.isSearchedByMetric(codebook())) {
                throw new IllegalArgumentException(
                        "--search beam does not know codebook " + codebook().name() + ": use --search nearest");
            }
            if (transform != TransformChoice.AUTO && !run.device.isCpu()) {
                throw new IllegalArgumentException("--transform " + transform
                        + " is applied on the processor only, found --device " + run.device + ": use auto there");
            }
            RoundingSettings defaults =
                    nearest ? RoundingSettings.reference(codebook()) : RoundingSettings.of(codebook());
            int states = beam == null ? defaults.beam() : beam;
            return new RoundingSettings(
                    codebook(),
                    scale == null ? codebook().defaultScale() : scale,
                    states,
                    greedyPasses != null ? greedyPasses : sides == Sides.TWO_SIDED ? 0 : defaults.greedyPasses(),
                    sigma,
                    rescale,
                    float64 ? Precision.FLOAT64 : Precision.FLOAT32,
                    transform);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    private Codebook codebook() {
        try {
            Codebook codebook = codebookName == null
                    ? Codebook.ofBits(bits == null ? 2 : bits)
                    : Codebook.named(codebookName.toUpperCase(Locale.ROOT));
            if (bits != null && bits != codebook.bits()) {
                throw new IllegalArgumentException("--bits " + bits + " contradicts --codebook " + codebook.name()
                        + ", which has " + codebook.bits());
            }
            return codebook;
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    private void print(QuantizationReport r, String codebook, List<DrawOptions.Draw> measured) {
        if (common.json) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("model", out.toString());
            fields.put("codebook", codebook);
            fields.put("weights", r.weights());
            fields.put("bits_per_weight", r.bitsPerWeight());
            fields.put("mean_proxy_error", r.meanProxyError());
            fields.put("mean_frobenius_error", r.meanFrobeniusError());
            fields.put("filled_up_hessians", filledUp(r, Long.MAX_VALUE));
            fields.put("bytes", r.bytes());
            fields.put("seconds", r.seconds());
            if (!r.tuning().isEmpty()) {
                fields.put("tuning", r.tuning());
            }
            if (!r.devices().isEmpty()) {
                fields.put(
                        "devices",
                        r.devices().stream()
                                .map(d -> Map.of("name", d.name(), "peak_bytes", d.peakBytes()))
                                .toList());
            }
            fields.putAll(DrawOptions.fields(measured));
            common.printJson(fields);
            return;
        }
        for (TunedReport run : r.tuning()) {
            if (run.result().skipped() > 0) {
                System.err.println(run.name() + ": " + TuningMessages.skipped(run.result()));
            }
        }
        if (!r.tuning().isEmpty()) {
            System.out.println(TuningMessages.summary(r.tuning()));
        }
        System.out.printf(
                Locale.ROOT,
                "%s: %d linears, %.3f bits per weight, mean proxy error %.5f, mean Frobenius error %.5f, %s, %s%n",
                out,
                r.linears().size(),
                r.bitsPerWeight(),
                r.meanProxyError(),
                r.meanFrobeniusError(),
                Sizes.bytes(r.bytes()),
                ConsoleProgress.duration(r.seconds()));
        if (filledUp(r, Long.MAX_VALUE) > 0) {
            System.out.println(filledUp(r, Long.MAX_VALUE)
                    + " linears of experts saw fewer calibration tokens than they have inputs, "
                    + filledUp(r, 0)
                    + " of them none; their Hessians were filled up with what other experts saw");
        }
        DrawOptions.lines(measured).forEach(System.out::println);
    }

    /** Linears whose Hessians were filled up, of those that saw at most so many tokens. */
    private static long filledUp(QuantizationReport r, long most) {
        return r.linears().stream()
                .filter(l -> l.filledUp() && l.tokens() <= most)
                .count();
    }
}
