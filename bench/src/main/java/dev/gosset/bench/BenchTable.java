package dev.gosset.bench;

import com.fasterxml.jackson.core.type.TypeReference;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.llm.io.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * {@code make bench}: runs the suite, prints one table, writes it as JSON and as a chart into bench/results.
 *
 * <p>Arguments: {@code --quick} for some two minutes; {@code --only a,b} for some sections; {@code --name N} for the
 * results' file name. Each section runs in a JVM of its own, pinned to one processor where it uses one thread and
 * {@code taskset} is there.
 */
public final class BenchTable {
    private BenchTable() {}

    /**
     * Runs the suite, or one section of it as a child of such a run.
     *
     * @throws IOException where results cannot be written
     */
    public static void main(String[] args) throws IOException {
        List<String> arguments = Arrays.asList(args);
        boolean quick = arguments.contains("--quick");
        String section = value(arguments, "--section");
        if (section != null) {
            List<Entry> entries = Sections.run(Sections.all(quick).get(section), quick);
            Json.MAPPER.writeValue(Path.of(value(arguments, "--out")).toFile(), entries);
            return;
        }
        String only = value(arguments, "--only");
        List<String> wanted = only == null ? null : Arrays.asList(only.split(","));
        long start = System.nanoTime();
        Map<String, Object> machine = Machine.describe();
        List<Entry> entries = new ArrayList<>();
        for (String name : Sections.all(quick).keySet()) {
            if (wanted == null || wanted.contains(name)) {
                entries.addAll(fork(name, Sections.all(quick).get(name).threads(), quick));
            }
        }
        for (Entry e : entries) {
            if (e.what().equals(Cases.QUANTIZE)) {
                Quantization.addPeer(e, Sections.layer(quick), Sections.layer(quick), Sections.GREEDY_PASSES);
            }
        }
        if (wanted == null || wanted.contains("model")) {
            entries.addAll(WholeModel.run(quick, entries));
        }
        Targets.judge(entries);
        Map<String, Object> run = new LinkedHashMap<>();
        run.put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
        run.put("quick", quick);
        run.putAll(machine);
        run.put("load at the end", Machine.load());
        run.put("kernels", Kernels.selection());
        run.put("seconds", Math.round((System.nanoTime() - start) / 1e9));
        System.out.println(Table.of(run, entries));
        run.put("entries", entries);
        String name = value(arguments, "--name");
        Path results = Files.createDirectories(Workplace.results());
        String file = name != null ? name : quick ? "quick" : "latest";
        Json.MAPPER
                .writerWithDefaultPrettyPrinter()
                .writeValue(results.resolve(file + ".json").toFile(), run);
        Files.writeString(results.resolve(file + ".svg"), Chart.of(run, entries));
        System.out.println("written: " + results.resolve(file + ".json") + " and .svg");
    }

    private static String value(List<String> arguments, String option) {
        int i = arguments.indexOf(option);
        return i >= 0 && i + 1 < arguments.size() ? arguments.get(i + 1) : null;
    }

    private static List<Entry> fork(String section, int threads, boolean quick) throws IOException {
        System.err.println("bench: " + section + " ...");
        Path out = Files.createTempFile("gosset-bench", ".json");
        try {
            List<String> arguments = new ArrayList<>(List.of("--section", section, "--out", out.toString()));
            if (quick) {
                arguments.add("--quick");
            }
            Child.Result result = Child.run(Child.pinned(threads, Child.java(BenchTable.class, arguments)));
            if (result.status() != 0) {
                throw new IOException("section " + section + " failed:\n" + result.output());
            }
            return Json.MAPPER.readValue(out.toFile(), new TypeReference<List<Entry>>() {});
        } finally {
            Files.deleteIfExists(out);
        }
    }
}
