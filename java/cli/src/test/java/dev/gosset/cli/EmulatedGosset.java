package dev.gosset.cli;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.cuda.Emulation;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Commands in a JVM of their own whose CUDA library is the emulation: the choice is one for a JVM's life. */
final class EmulatedGosset {
    private static final ObjectMapper JSON = new ObjectMapper();

    private EmulatedGosset() {}

    /** What the commands left, and how many objects of the emulated runtime were alive in the end. */
    record Outcome(List<Captured> runs, long live) {}

    /**
     * Runs commands one after the other, or skips the test where the emulation cannot be built.
     *
     * @param memoryBytes of the emulated device
     */
    static Outcome run(long memoryBytes, List<List<String>> commands) throws Exception {
        Emulation.requireBuilt();
        Path file = Files.createTempFile("gosset-emulated", ".json");
        Path log = Files.createTempFile("gosset-emulated", ".log");
        try {
            JSON.writeValue(file.toFile(), commands);
            List<String> command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "--add-modules=jdk.incubator.vector",
                    "--enable-native-access=ALL-UNNAMED",
                    "--sun-misc-unsafe-memory-access=allow"));
            // The vectors of this JVM.
            ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                    .filter(a -> a.matches("-XX:(UseAVX|MaxVectorSize|.IgnoreUnrecognizedVMOptions).*"))
                    .forEach(command::add);
            command.addAll(List.of(
                    "-cp",
                    System.getProperty("java.class.path"),
                    EmulatedGosset.class.getName(),
                    file.toString(),
                    Long.toString(memoryBytes)));
            Process process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(log.toFile())
                    .start();
            if (!process.waitFor(5, TimeUnit.MINUTES)) {
                process.destroyForcibly();
                throw new AssertionError("the commands take more than five minutes");
            }
            if (process.exitValue() != 0) {
                throw new AssertionError(Files.readString(log));
            }
            return JSON.readValue(file.toFile(), Outcome.class);
        } finally {
            Files.delete(file);
            Files.delete(log);
        }
    }

    /** Runs the commands of a file and writes what they left into it. */
    public static void main(String[] args) throws Exception {
        Path file = Path.of(args[0]);
        List<List<String>> commands =
                JSON.readValue(Files.readString(file, StandardCharsets.UTF_8), new TypeReference<>() {});
        Emulation.require();
        Emulation.memoryBytes(Long.parseLong(args[1]));
        List<Captured> runs = new ArrayList<>();
        for (List<String> command : commands) {
            runs.add(Captured.run(command.toArray(String[]::new)));
        }
        JSON.writeValue(file.toFile(), new Outcome(runs, Emulation.live()));
    }
}
