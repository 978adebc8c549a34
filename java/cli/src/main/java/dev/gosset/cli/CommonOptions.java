package dev.gosset.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Device;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The flags that every command takes. */
final class CommonOptions {
    private static final ObjectMapper JSON = new ObjectMapper();

    @Option(names = "--json", description = "Print one JSON object on stdout and nothing else there.")
    boolean json;

    @Option(names = "--debug", description = "Show a stack trace when something fails.")
    boolean debug;

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "Show this help.")
    boolean help;

    /** Prints {@code fields} as the one JSON object of this run. */
    void printJson(Map<String, ?> fields) {
        try {
            System.out.println(JSON.writeValueAsString(fields));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a result does not convert to JSON", e);
        }
    }

    /** The flags of every command that runs a model. */
    static final class Run {
        @Option(
                names = "--threads",
                paramLabel = "N",
                description = "Threads to compute with; default: all processors. Results do not depend on it.")
        int threads = Runtime.getRuntime().availableProcessors();

        @Option(
                names = "--device",
                paramLabel = "cpu|cuda[:N]",
                converter = DeviceConverter.class,
                description = "Where to compute; default: cpu.")
        Device device = Device.CPU;

        @Option(
                names = "--tokenizer",
                paramLabel = "DIR",
                converter = Arguments.Model.class,
                description = "Take the tokenizer from this directory instead of the model's, for models without one.")
        Path tokenizer;

        /** Opens a model to run, with its own tokenizer or the one that was asked for. */
        LanguageModel open(Path model, StorageOptions storage, ThreadTeam team) {
            sayTokenizer();
            return LanguageModel.open(model, tokenizer, storage, team, device);
        }

        /** Opens a model to run beside another, whose tokenizer it takes where it has none and no other was asked for. */
        LanguageModel openBeside(Path other, Path model, StorageOptions storage, ThreadTeam team) {
            if (tokenizer == null && !Files.exists(model.resolve("tokenizer.json"))) {
                tokenizer = other;
            }
            return open(model, storage, team);
        }

        /** For commands that compute on the processor only. */
        void requireCpu(CommandSpec spec) {
            if (!device.isCpu()) {
                throw new ParameterException(
                        spec.commandLine(),
                        "--device: " + spec.qualifiedName() + " computes on the cpu only, found " + device);
            }
        }

        /** The directory that the tokenizer of {@code model} comes from. */
        Path tokenizerOf(Path model) {
            sayTokenizer();
            return tokenizer == null ? model : tokenizer;
        }

        private void sayTokenizer() {
            if (tokenizer != null) {
                System.err.println("tokenizer: " + tokenizer.resolve("tokenizer.json"));
            }
        }

        ThreadTeam team(CommandSpec spec) {
            if (threads < 1 || threads > 4096) {
                throw new ParameterException(spec.commandLine(), "--threads must be from 1 to 4096, found " + threads);
            }
            return new ThreadTeam(threads);
        }
    }
    /** Reads {@code --device}. */
    static final class DeviceConverter implements CommandLine.ITypeConverter<Device> {
        @Override
        public Device convert(String text) {
            try {
                return Device.parse(text);
            } catch (IllegalArgumentException e) {
                throw new CommandLine.TypeConversionException(e.getMessage());
            }
        }
    }
}
