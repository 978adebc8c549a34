package dev.gosset.cli;

import dev.gosset.llm.calibration.CalibrationText;
import java.nio.file.Path;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The flags that say which text makes the Hessians. */
final class CalibrationOptions {
    @Option(
            names = "--calibration",
            paramLabel = "FILE",
            description = "UTF-8 text whose activations make the Hessians.")
    private Path file;

    @Option(
            names = "--sequences",
            paramLabel = "N",
            description = "Sequences to take from the text; default ${DEFAULT-VALUE}.")
    private int sequences = 128;

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Tokens per sequence; default: 2048, or the model's context where that is shorter.")
    private Integer context;

    /** The text to calibrate on, or null where {@code hessians} take its place. */
    CalibrationText settings(CommandSpec spec, Path hessians) {
        if (hessians != null) {
            if (file != null) {
                throw new ParameterException(
                        spec.commandLine(), "--calibration and --hessians exclude each other: give one");
            }
            return null;
        }
        if (file == null) {
            throw new ParameterException(
                    spec.commandLine(),
                    spec.name().equals("quantize")
                            ? "--calibration FILE or --hessians DIR is missing"
                            : "--calibration FILE is missing");
        }
        if (sequences < 1 || (context != null && context < 2)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--sequences must be at least 1 and --context at least 2, found " + sequences + " and " + context);
        }
        return new CalibrationText(file, sequences, context == null ? 0 : context);
    }
}
