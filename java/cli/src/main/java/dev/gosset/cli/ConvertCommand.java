package dev.gosset.cli;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.convert.GgufImport;
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

/** {@code gosset convert}: a quantized model from one format to the other, a GGUF file to an original model. */
@Command(
        name = "convert",
        description =
                "Converts a quantized model between Gosset's format and that of published QuIP# checkpoints, and a"
                        + " GGUF file to the directory of an original model.",
        footer = {
            "",
            "Codes, sign vectors and scales are kept bit by bit, so that a model converted there and back is the same. The"
                    + " published format has no other floating type than float16: wider embeddings, norms and heads are"
                    + " rounded to it, and the command says how many numbers changed. Of GGUF files, tensors in F32, F16,"
                    + " BF16 and Q8_0 are read, the last written as F32. The result appears under --out only when it is"
                    + " whole."
        })
final class ConvertCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Parameters(
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directory of a quantized model, Gosset's or a published one; or a GGUF file.")
    private Path model;

    @Option(
            names = "--to",
            required = true,
            paramLabel = "quip-sharp|gosset|original",
            description = "The format of the result.")
    private String to;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Directory of the result.")
    private Path out;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Threads to pack and unpack with; default: all processors.")
    private int threads = Runtime.getRuntime().availableProcessors();

    private void readGguf() {
        try (ConsoleProgress progress = new ConsoleProgress()) {
            GgufImport.Result result = GgufImport.run(model, out, progress);
            if (common.json) {
                Map<String, Object> fields = new LinkedHashMap<>();
                fields.put("model", model.toString());
                fields.put("out", out.toString());
                fields.put("format", to);
                fields.put("tensors", result.tensors());
                fields.put("bytes", result.bytes());
                fields.put("seconds", result.seconds());
                common.printJson(fields);
                return;
            }
            System.out.println(out + ": " + result.tensors() + " tensors, " + Sizes.bytes(result.bytes()) + ", "
                    + ConsoleProgress.duration(result.seconds()));
        }
    }

    @Override
    public void run() {
        ModelDirectory.Kind kind = switch (to) {
            case "quip-sharp" -> ModelDirectory.Kind.QUIP_SHARP;
            case "gosset" -> ModelDirectory.Kind.GOSSET;
            case "original" -> ModelDirectory.Kind.ORIGINAL;
            default ->
                throw new ParameterException(
                        spec.commandLine(), "--to knows quip-sharp, gosset and original, found '" + to + "'");
        };
        if (threads < 1 || threads > 4096) {
            throw new ParameterException(spec.commandLine(), "--threads must be from 1 to 4096, found " + threads);
        }
        if (kind == ModelDirectory.Kind.ORIGINAL) {
            readGguf();
            return;
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
