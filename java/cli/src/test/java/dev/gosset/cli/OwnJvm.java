package dev.gosset.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Shell scripts whose function {@code gosset} is the command line in a JVM of its own, with streams and a locale to choose. */
final class OwnJvm {
    private OwnJvm() {}

    /**
     * Runs a script of bash.
     *
     * @param directory for the script and what it prints
     */
    static Captured run(Path directory, String script) throws IOException, InterruptedException {
        // A file rather than arguments: those would be spelled by the locale of the tests.
        Path file = Files.writeString(
                directory.resolve("script"),
                """
                gosset() {
                  '%s/bin/java' $JVM --add-modules=jdk.incubator.vector --enable-native-access=ALL-UNNAMED \\
                    --sun-misc-unsafe-memory-access=allow -cp '%s' dev.gosset.cli.Main "$@"
                }
                """.formatted(System.getProperty("java.home"), System.getProperty("java.class.path")) + script);
        Path out = directory.resolve("script.out");
        Path err = directory.resolve("script.err");
        Process process = new ProcessBuilder("bash", file.toString())
                .directory(directory.toFile())
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();
        if (!process.waitFor(3, TimeUnit.MINUTES)) {
            process.destroyForcibly();
            throw new AssertionError("takes more than three minutes: " + script);
        }
        String errors = Files.readString(err)
                .replaceAll("(?m)^(WARNING: Using incubator modules|.*warning: setlocale:).*\\R", "");
        return new Captured(process.exitValue(), Files.readString(out), errors);
    }
}
