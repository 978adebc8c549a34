package dev.gosset.bench;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.io.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Decoding with a whole model of random weights: ours against llama.cpp and Jlama, each in a process of its own, in
 * turns. All decode after a prompt of 16 tokens, at the same positions; the two on the JVM repeat that until they get no
 * faster. A run's figure is its lower quartile of time per token, CPU time for one thread and wall time for more; what is
 * quoted is the best run.
 */
final class WholeModel {
    static final String WHAT = "whole model";
    static final String LLAMA_XXS = "llama.cpp IQ2_XXS";
    static final String LLAMA_XS = "llama.cpp IQ2_XS";
    static final String JLAMA = "Jlama Q4";
    static final String BYTE_HEAD = "ours, 8-bit head";
    static final String SIZE = "1.1B, 2 bit";

    private WholeModel() {}

    static List<Entry> run(boolean quick, List<Entry> others) throws IOException {
        SyntheticModel shape = SyntheticModel.LLAMA_1B;
        Path models = Files.createDirectories(Workplace.models());
        System.err.println("bench: writing random models ...");
        Path ours = shape.gosset(models.resolve("gosset-1b-2bit"), 2);
        Map<String, String> absent = new LinkedHashMap<>();
        Path xxs = null;
        Path xs = null;
        if (Ggml.isPresent()) {
            xxs = shape.gguf(models.resolve("llama-1b-IQ2_XXS.gguf"), Ggml.IQ2_XXS);
            xs = quick ? null : shape.gguf(models.resolve("llama-1b-IQ2_XS.gguf"), Ggml.IQ2_XS);
        } else {
            absent.put("llama.cpp", Ggml.ABSENT);
        }
        Path jlama = null;
        Path jars = Workplace.peers().resolve("jlama/lib");
        if (Files.isDirectory(jars)) {
            jlama = shape.jlama(models.resolve("jlama-1b-q4"));
        } else {
            absent.put(JLAMA, "not fetched: run `make bench-peers`");
        }
        List<Entry> entries = new ArrayList<>();
        for (int threads = 1; threads <= Math.min(2, Runtime.getRuntime().availableProcessors()); threads++) {
            Map<String, List<String>> commands = new LinkedHashMap<>();
            String t = Integer.toString(threads);
            String warm = quick ? "40" : "90";
            String timed = quick ? "16" : "32";
            commands.put(Case.OURS, Child.java(ModelRun.class, List.of(ours.toString(), t, warm, timed)));
            commands.put(BYTE_HEAD, Child.java(ModelRun.class, List.of(ours.toString(), t, warm, timed, "int8")));
            if (xxs != null) {
                commands.put(LLAMA_XXS, llama(xxs, t, timed));
            }
            if (xs != null) {
                commands.put(LLAMA_XS, llama(xs, t, timed));
            }
            if (jlama != null) {
                commands.put(
                        JLAMA,
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java")
                                        .toString(),
                                "--add-modules=jdk.incubator.vector",
                                "--enable-native-access=ALL-UNNAMED",
                                "--sun-misc-unsafe-memory-access=allow",
                                "-cp",
                                jars + "/*",
                                Workplace.home()
                                        .resolve("src/peers/JlamaRun.java")
                                        .toString(),
                                jlama.toString(),
                                t,
                                warm,
                                timed));
            }
            entries.add(race(commands, threads, quick ? 1 : 2, absent, others, shape));
        }
        return entries;
    }

    /** The command that decodes with llama.cpp. */
    static List<String> llama(Path file, String threads, String timed) {
        return List.of(
                "node",
                Workplace.home().resolve("src/peers/llama.mjs").toString(),
                Workplace.peers().resolve("llama").toString(),
                file.toString(),
                threads,
                "8",
                timed);
    }

    private static Entry race(
            Map<String, List<String>> commands,
            int threads,
            int rounds,
            Map<String, String> absent,
            List<Entry> others,
            SyntheticModel shape)
            throws IOException {
        Map<String, List<Double>> samples = new LinkedHashMap<>();
        Map<String, String> missing = new LinkedHashMap<>(absent);
        for (int round = 0; round < rounds; round++) {
            for (Map.Entry<String, List<String>> command : commands.entrySet()) {
                System.err.println("bench: model, " + threads + " threads, " + command.getKey() + " ...");
                Child.Result result = Child.run(Child.pinned(threads, command.getValue()), 300);
                if (result.status() != 0) {
                    String output = result.output().strip();
                    if (command.getKey().equals(Case.OURS) || command.getKey().equals(BYTE_HEAD)) {
                        throw new IOException(output);
                    }
                    missing.put(
                            command.getKey(),
                            "its program failed: " + output.lines().findFirst().orElse("exit " + result.status()));
                    continue;
                }
                samples.computeIfAbsent(command.getKey(), k -> new ArrayList<>())
                        .add(lowerQuartile(result.output(), threads == 1 ? "cpu" : "millis"));
            }
        }
        Map<String, Race.Timing> nanos = new LinkedHashMap<>();
        samples.forEach((name, s) -> nanos.put(
                name,
                Race.Timing.of(s.stream()
                        .mapToDouble(Double::doubleValue)
                        .map(v -> 1e6 * v)
                        .toArray())));
        for (Entry e : others) {
            if (e.what().equals(Cases.MEMORY) && e.threads() == threads) {
                double bytes = shape.bytesPerToken();
                nanos.put(Case.LIMIT + "read", new Race.Timing(e.ours() * bytes, e.ours() * bytes, e.ours() * bytes));
            }
        }
        return new Entry(
                WHAT,
                SIZE,
                threads,
                "tokens",
                1,
                nanos,
                missing,
                new ArrayList<>(List.of("the head is float16 for us and llama.cpp, Q4 for Jlama; a ratio below 1 for '"
                        + BYTE_HEAD + "' is how much faster that option is")),
                new ArrayList<>());
    }

    private static double lowerQuartile(String output, String figure) throws IOException {
        String json = output.lines()
                .filter(l -> l.startsWith("{"))
                .reduce((a, b) -> b)
                .orElseThrow(() -> new IOException("no JSON in: " + output));
        List<Double> millis = new ArrayList<>();
        for (JsonNode value : Json.MAPPER.readTree(json).get(figure)) {
            millis.add(value.asDouble());
        }
        millis.sort(null);
        return millis.get(millis.size() / 4);
    }
}
