package dev.gosset.bench;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.model.KeyValueCache;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.model.Transformer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Decodes greedily with a model and prints how long each token took: what the peers' programs under src/peers do with
 * theirs. Arguments: directory, threads, tokens to warm up with, tokens to time.
 */
public final class ModelRun {
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    private ModelRun() {}

    /**
     * Runs and prints one JSON object: {@code {"millis": [...], "cpu": [...]}}.
     *
     * @throws IOException where stdout is gone
     */
    public static void main(String[] args) throws IOException {
        System.out.println(Json.MAPPER.writeValueAsString(run(
                Path.of(args[0]), Integer.parseInt(args[1]), Integer.parseInt(args[2]), Integer.parseInt(args[3]))));
    }

    /** Per token the milliseconds of wall time, and the CPU time of all Java threads. */
    static Map<String, List<Double>> run(Path directory, int threads, int warm, int timed) {
        List<Double> millis = new ArrayList<>();
        List<Double> cpu = new ArrayList<>();
        try (Model model = Model.open(directory);
                ThreadTeam team = new ThreadTeam(threads);
                Workspace workspace = new Workspace(team);
                KeyValueCache cache = new KeyValueCache(model.config(), 16 + warm + timed);
                Arena arena = Arena.ofShared()) {
            Transformer transformer = model.transformer();
            int vocabulary = model.config().vocabularySize();
            FloatMatrix logits = FloatMatrix.allocate(arena, 1, vocabulary);
            int[] prompt = new int[16];
            for (int i = 0; i < prompt.length; i++) {
                prompt[i] = 3 + i * 7 % 200;
            }
            transformer.append(prompt, cache, logits, workspace);
            for (int i = 0; i < warm + timed; i++) {
                long start = System.nanoTime();
                long before = cpuNanos();
                transformer.append(new int[] {argmax(logits, vocabulary)}, cache, logits, workspace);
                if (i >= warm) {
                    millis.add((System.nanoTime() - start) / 1e6);
                    cpu.add((cpuNanos() - before) / 1e6);
                }
            }
        }
        Map<String, List<Double>> result = new LinkedHashMap<>();
        result.put("millis", millis);
        result.put("cpu", cpu);
        return result;
    }

    private static long cpuNanos() {
        long sum = 0;
        for (long id : THREADS.getAllThreadIds()) {
            sum += Math.max(0, THREADS.getThreadCpuTime(id));
        }
        return sum;
    }

    private static int argmax(FloatMatrix logits, int vocabulary) {
        int best = 0;
        float value = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < vocabulary; i++) {
            float v = logits.data().getAtIndex(ValueLayout.JAVA_FLOAT, i);
            if (v > value) {
                value = v;
                best = i;
            }
        }
        return best;
    }
}
