package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Scripts of src/test/js under Node, with the packages that its package-lock.json names. Where there is no Node, or it cannot have
 * the packages, the test that asks is skipped and says so.
 */
final class Node {
    private static final Path SOURCES = Path.of("src", "test", "js");
    private static final Path TARGET = Path.of("target", "js");

    private static String missing;
    private static boolean ready;

    private Node() {}

    private record Ended(int code, String output) {}

    private static Ended run(String... command) throws IOException, InterruptedException {
        Path output = Files.createTempFile("gosset-node", ".txt");
        try {
            ProcessBuilder builder = new ProcessBuilder(command)
                    .directory(TARGET.toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile());
            Process process = builder.start();
            if (!process.waitFor(240, TimeUnit.SECONDS)) {
                process.descendants().forEach(ProcessHandle::destroyForcibly);
                process.destroyForcibly();
                throw new AssertionError(String.join(" ", command) + " did not end: " + Files.readString(output));
            }
            return new Ended(process.exitValue(), Files.readString(output));
        } finally {
            Files.delete(output);
        }
    }

    /** Installs the packages, once in a JVM and only where others were installed before. */
    private static synchronized void prepare() throws IOException, InterruptedException {
        if (missing != null) {
            abort(missing);
        }
        if (ready) {
            return;
        }
        Files.createDirectories(TARGET);
        List<String> names = new ArrayList<>();
        try (var files = Files.list(SOURCES)) {
            for (Path file : files.toList()) {
                names.add(file.getFileName().toString());
            }
        }
        String lock = Files.readString(SOURCES.resolve("package-lock.json"));
        Path installed = TARGET.resolve("installed");
        boolean same = Files.exists(installed) && Files.readString(installed).equals(lock);
        for (String name : names) {
            Files.write(TARGET.resolve(name), Files.readAllBytes(SOURCES.resolve(name)));
        }
        if (!same) {
            missing = "needs Node 20 with npm, and a registry that has the packages of src/test/js/package.json: ";
            try {
                Ended ended = run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund");
                if (ended.code != 0) {
                    missing += ended.output;
                    abort(missing);
                }
            } catch (IOException e) {
                missing += e.getMessage();
                abort(missing);
            }
            Files.writeString(installed, lock);
            missing = null;
        }
        ready = true;
    }

    /** The folder of an installed package. */
    static Path packageFolder(String name) throws IOException, InterruptedException {
        prepare();
        return TARGET.resolve("node_modules").resolve(name);
    }

    /** Runs a script to its end, which has to be a good one. */
    static void script(String name, String... arguments) throws IOException, InterruptedException {
        prepare();
        List<String> command = new ArrayList<>(List.of("node", name));
        command.addAll(List.of(arguments));
        Ended ended = run(command.toArray(String[]::new));
        assertThat(ended.code).as(ended.output).isZero();
    }
}
