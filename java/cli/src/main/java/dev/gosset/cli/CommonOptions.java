package dev.gosset.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.core.parallel.ThreadTeam;
import java.util.Map;
import picocli.CommandLine.Option;

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

        @Option(names = "--device", paramLabel = "cpu", description = "Where to compute; only cpu for now.")
        String device = "cpu";

        ThreadTeam team(picocli.CommandLine.Model.CommandSpec spec) {
            if (threads < 1 || threads > 4096) {
                throw new picocli.CommandLine.ParameterException(
                        spec.commandLine(), "--threads must be from 1 to 4096, found " + threads);
            }
            if (!device.equals("cpu")) {
                throw new picocli.CommandLine.ParameterException(
                        spec.commandLine(), "--device knows only cpu in this version, found '" + device + "'");
            }
            return new ThreadTeam(threads);
        }
    }
}
