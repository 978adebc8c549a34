package dev.gosset.cli;

import dev.gosset.core.memory.Dtype;
import dev.gosset.llm.cpu.StorageOptions;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The flags that say how a running model keeps its head and its caches. */
final class StorageFlags {
    private static final List<Dtype> CACHES = List.of(Dtype.F16, Dtype.F32, Dtype.I8);

    @Option(
            names = "--head",
            paramLabel = "stored|int8",
            description =
                    "Read the output head as it is stored, the default, or rounded to 8 bits when the model is opened:"
                            + " half the memory traffic of float16.")
    private String head = "stored";

    @Option(
            names = "--cache",
            paramLabel = "f16|f32|int8",
            description =
                    "Keep the keys and values of a growing text as float16, the default, as float32, or in 8 bits.")
    private String cache = "f16";

    StorageOptions options(CommandSpec spec) {
        boolean byteHead = choose(spec, "--head", head, List.of("stored", "int8")) == 1;
        return new StorageOptions(byteHead, CACHES.get(choose(spec, "--cache", cache, List.of("f16", "f32", "int8"))));
    }

    private static int choose(CommandSpec spec, String flag, String found, List<String> known) {
        int index = known.indexOf(found);
        if (index < 0) {
            throw new ParameterException(
                    spec.commandLine(),
                    flag + " must be one of " + String.join(", ", known) + ", found '" + found + "'");
        }
        return index;
    }
}
