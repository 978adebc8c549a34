package dev.gosset.bench;

import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.model.Model;
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
 * theirs. Rounds of the same length follow each other, each over an empty cache, until the JIT compiler has had its say:
 * {@value #RESTED} rounds in a row that were not clearly faster than the best before, or the time for warming up is over.
 * The last round is printed. Arguments: directory, threads, most seconds to warm up, tokens of a
 * round, and {@code int8} for a head of 8 bits.
 */
public final class ModelRun {
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    /** Tokens that a round decodes before it times. */
    private static final int FIRST = 8;

    /** Rounds without progress that end the warm-up. */
    private static final int RESTED = 3;

    private ModelRun() {}

    /**
     * Runs and prints one JSON object: {@code {"millis": [...], "cpu": [...]}}.
     *
     * @throws IOException where stdout is gone
     */
    public static void main(String[] args) throws IOException {
        boolean byteHead = args.length > 4 && args[4].equals("int8");
        System.out.println(Json.MAPPER.writeValueAsString(run(
                Path.of(args[0]),
                new StorageOptions(byteHead, Dtype.F16),
                Integer.parseInt(args[1]),
                Integer.parseInt(args[2]),
                Integer.parseInt(args[3]))));
    }

    /** Per token the milliseconds of wall time, and the CPU time of all Java threads. */
    static Map<String, List<Double>> run(
            Path directory, StorageOptions storage, int threads, int warmSeconds, int timed) {
        try (Model model = Model.open(directory, storage);
                ThreadTeam team = new ThreadTeam(threads);
                Workspace workspace = new Workspace(team);
                KeyValueCache cache = model.transformer().newCache(16 + FIRST + timed);
                Arena arena = Arena.ofShared()) {
            long start = System.nanoTime();
            double best = Double.POSITIVE_INFINITY;
            int rested = 0;
            while (true) {
                Map<String, List<Double>> round = round(model, workspace, cache, arena, timed);
                List<Double> sorted = new ArrayList<>(round.get("cpu"));
                sorted.sort(null);
                double quartile = sorted.get(sorted.size() / 4);
                rested = quartile < 0.98 * best ? 0 : rested + 1;
                best = Math.min(best, quartile);
                if (rested == RESTED || System.nanoTime() - start > 1_000_000_000L * warmSeconds) {
                    return round;
                }
            }
        }
    }

    private static Map<String, List<Double>> round(
            Model model, Workspace workspace, KeyValueCache cache, Arena arena, int timed) {
        Transformer transformer = model.transformer();
        int vocabulary = model.config().vocabularySize();
        FloatMatrix logits = FloatMatrix.allocate(arena, 1, vocabulary);
        int[] prompt = new int[16];
        for (int i = 0; i < prompt.length; i++) {
            prompt[i] = 3 + i * 7 % 200;
        }
        cache.truncate(0);
        transformer.run(List.of(new Transformer.Segment(cache, prompt, logits.rows())), logits, workspace);
        Map<String, List<Double>> result = new LinkedHashMap<>();
        result.put("millis", new ArrayList<>());
        result.put("cpu", new ArrayList<>());
        for (int i = 0; i < FIRST + timed; i++) {
            long start = System.nanoTime();
            long before = cpuNanos();
            transformer.run(
                    List.of(new Transformer.Segment(cache, new int[] {argmax(logits, vocabulary)}, logits.rows())),
                    logits,
                    workspace);
            if (i >= FIRST) {
                result.get("millis").add((System.nanoTime() - start) / 1e6);
                result.get("cpu").add((cpuNanos() - before) / 1e6);
            }
        }
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
