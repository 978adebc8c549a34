package dev.gosset.cli;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.convert.ModelConversion;
import dev.gosset.llm.weights.ModelDirectory;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset convert}: a quantized model from one format to the other. */
@Command(
        name = "convert",
        description = "Converts a quantized model between Gosset's format and that of published QuIP# checkpoints.",
        footer = {
            "",
            "Codes, sign vectors and scales are kept bit by bit, so that a model converted there and back is the same. The"
                    + " published format has no other floating type than float16: wider embeddings, norms and heads are"
                    + " rounded to it, and the command says how many numbers changed. The result appears under --out only"
                    + " when it is whole."
        })
final class ConvertCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Parameters(
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directory of a quantized model, Gosset's or a published one.")
    private Path model;

    @Option(
            names = "--to",
            required = true,
            paramLabel = "quip-sharp|gosset",
            description = "The format of the result.")
    private String to;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Directory of the result.")
    private Path out;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Threads to pack and unpack with; default: all processors.")
    private int threads = Runtime.getRuntime().availableProcessors();

    @Override
    public void run() {
        ModelDirectory.Kind kind = switch (to) {
            case "quip-sharp" -> ModelDirectory.Kind.QUIP_SHARP;
            case "gosset" -> ModelDirectory.Kind.GOSSET;
            default ->
                throw new ParameterException(
                        spec.commandLine(), "--to knows quip-sharp and gosset, found '" + to + "'");
        };
        if (threads < 1 || threads > 4096) {
            throw new ParameterException(spec.commandLine(), "--threads must be from 1 to 4096, found " + threads);
        }
        try (ThreadTeam team = new ThreadTeam(threads);
                ConsoleProgress progress = new ConsoleProgress()) {
            ModelConversion result = ModelConversion.run(model, out, kind, team, progress);
            if (common.json) {
                Map<String, Object> fields = new LinkedHashMap<>();
                fields.put("model", model.toString());
                fields.put("out", out.toString());
                fields.put("format", to);
                fields.put("linears", result.linears());
                fields.put("other_tensors", result.tensors());
                fields.put("rounded_values", result.rounded());
                fields.put("bytes", result.bytes());
                fields.put("seconds", result.seconds());
                common.printJson(fields);
                return;
            }
            System.out.println(out + ": " + result.linears() + " linears and " + result.tensors() + " other tensors, "
                    + Sizes.bytes(result.bytes()) + ", " + ConsoleProgress.duration(result.seconds()));
            if (result.rounded() > 0) {
                System.out.println(result.rounded()
                        + " numbers outside of linears were rounded to float16, the one floating type of the format");
            }
        }
    }
}
