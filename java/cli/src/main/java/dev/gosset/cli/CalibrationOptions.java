package dev.gosset.cli;

import dev.gosset.llm.calibration.CalibrationText;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The flags that say which text makes the Hessians. */
final class CalibrationOptions {
    @Option(
            names = "--calibration",
            paramLabel = "FILE|DIR",
            description =
                    "UTF-8 text whose activations make the Hessians: text files, .jsonl with a \"text\" on each line,"
                            + " gzip, directories of such; may be given several times. Default: what the model writes itself.")
    private List<Path> files = List.of();

    @Option(
            names = "--sequences",
            paramLabel = "N",
            description =
                    "Sequences to take from the text; default: 128, and 32768 tokens where the model writes them.")
    private Integer sequences;

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Tokens per sequence; default: 2048, or the model's context where that is shorter.")
    private Integer context;

    /** Tokens per sequence; 0 for the default. */
    int context() {
        return context == null ? 0 : context;
    }

    /** The text to calibrate on, or null where {@code hessians} take its place. */
    CalibrationText settings(CommandSpec spec, Path hessians) {
        if (hessians != null) {
            if (!files.isEmpty()) {
                throw new ParameterException(
                        spec.commandLine(), "--calibration and --hessians exclude each other: give one");
            }
            return null;
        }
        if ((sequences != null && sequences < 1) || (context != null && context < 2)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--sequences must be at least 1 and --context at least 2, found " + sequences + " and " + context);
        }
        return new CalibrationText(files, 0, sequences == null ? 0 : sequences, context());
    }
}
