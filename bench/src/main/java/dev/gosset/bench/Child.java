package dev.gosset.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Child processes, pinned where that is possible. */
final class Child {
    private static final boolean TASKSET = Files.isExecutable(Path.of("/usr/bin/taskset"));

    /**
     * What became of a child.
     *
     * @param output what it wrote to stdout, and where it failed to stderr too
     */
    record Result(int status, String output) {}

    private Child() {}

    /** This JVM's executable, flags and class path with another main class. */
    static List<String> java(Class<?> main, List<String> arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of(
                "-Dgosset.bench.home=" + Workplace.home(),
                "-cp",
                System.getProperty("java.class.path"),
                main.getName()));
        command.addAll(arguments);
        return command;
    }

    /** Pinned to the last processor for one thread, to the last two for two, where taskset is there. */
    static List<String> pinned(int threads, List<String> command) {
        int processors = Runtime.getRuntime().availableProcessors();
        if (!TASKSET || threads > processors) {
            return command;
        }
        List<String> pinned = new ArrayList<>(List.of(
                "taskset", "-c", threads == 1 ? "" + (processors - 1) : processors - threads + "-" + (processors - 1)));
        pinned.addAll(command);
        return pinned;
    }

    /** Runs to the end; standard error goes to ours. */
    static Result run(List<String> command) throws IOException {
        return run(command, 1800);
    }

    static Result run(List<String> command, int seconds) throws IOException {
        Path errors = Files.createTempFile("gosset-bench", ".err");
        Process process = new ProcessBuilder(command)
                .directory(Workplace.home().toFile())
                .redirectError(errors.toFile())
                .start();
        try {
            process.getOutputStream().close();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (!process.waitFor(seconds, TimeUnit.SECONDS)) {
                throw new IOException(command + " did not end within " + seconds + " s");
            }
            int status = process.exitValue();
            return new Result(status, status == 0 ? output : output + Files.readString(errors));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            process.destroyForcibly();
            Files.deleteIfExists(errors);
        }
    }
}
