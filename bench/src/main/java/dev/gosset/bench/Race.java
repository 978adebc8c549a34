package dev.gosset.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Times contenders in turns, A B C A B C ..., so that all of them meet the same machine. Each turn is a slice of some
 * milliseconds.
 *
 * <p>Where every contender works in the calling thread, its CPU time is what counts: what other programs take of a shared
 * processor is not in it. Work of several threads is measured in wall time.
 *
 * <p>What is quoted is the best slice of each: on a shared machine noise only ever adds time, and with enough slices
 * everyone gets a quiet one. Median and worst slice are kept beside it.
 *
 * @param warmMillis how long each contender runs first, and on until the JIT compiler rests
 * @param rounds how many slices each gets
 * @param sliceMillis how long a slice is, if one run is not longer
 * @param cpuTime whether the calling thread's CPU time is measured
 */
record Race(int warmMillis, int rounds, int sliceMillis, boolean cpuTime) {
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    private static final long POLL_NANOS = 20_000_000;
    /** Nanoseconds for each millisecond of {@link #warmMillis} after which a contender counts as warm in any case. */
    private static final long LONGEST_WARM = 15_000_000;
    /** On a busy machine the first run, with its classes to load, may take that long: so many runs there are all the same. */
    private static final int LEAST_RUNS = 20;
    /** Runs longer than this are not repeated for their number alone. */
    private static final long LONG_RUN_NANOS = 1_000_000_000;

    /** Nanoseconds for one unit of work: the best, the median and the worst slice. */
    record Timing(double best, double median, double worst) {
        static Timing of(double[] samples) {
            double[] s = samples.clone();
            Arrays.sort(s);
            return new Timing(s[0], s[s.length / 2], s[s.length - 1]);
        }
    }

    /** Timings by name, in the order of the contenders. */
    Map<String, Timing> run(List<Case.Contender> contenders) {
        List<double[]> samples = new ArrayList<>();
        int[] repeats = new int[contenders.size()];
        for (int i = 0; i < repeats.length; i++) {
            long fastest = warm(contenders.get(i).body());
            repeats[i] = (int) Math.max(1, Math.min(10_000_000, sliceMillis * 1_000_000L / Math.max(1, fastest)));
            samples.add(new double[rounds]);
        }
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < repeats.length; i++) {
                samples.get(i)[round] = slice(contenders.get(i).body(), repeats[i])
                        / contenders.get(i).work();
            }
        }
        Map<String, Timing> timings = new LinkedHashMap<>();
        for (int i = 0; i < repeats.length; i++) {
            timings.put(contenders.get(i).name(), Timing.of(samples.get(i)));
        }
        return timings;
    }

    /**
     * Runs until the time is over, the JIT compiler rests and no run has been clearly faster than all before for a while: on
     * a busy machine, pinned to the processor that it measures, the compiler needs longer than any fixed time.
     *
     * @return nanoseconds of the fastest run
     */
    private long warm(Runnable body) {
        long start = System.nanoTime();
        long improved = start;
        long polled = start;
        long compiled = compilerNanos();
        long fastest = Long.MAX_VALUE;
        int runs = 0;
        while (true) {
            long t = System.nanoTime();
            body.run();
            long now = System.nanoTime();
            if (now - t < 0.9 * fastest) {
                improved = now;
            }
            fastest = Math.min(fastest, now - t);
            if (now - polled > POLL_NANOS) {
                polled = now;
                long compiling = compilerNanos();
                if (compiling != compiled) {
                    compiled = compiling;
                    improved = now;
                }
            }
            long quiet = Math.max(warmMillis * 350_000L, (now - start) / 4);
            runs++;
            boolean slow = now - t > LONG_RUN_NANOS;
            // In a long run the compiler is nearly always busy with something, so that each counts as improved.
            boolean enough = slow || now != improved && runs >= LEAST_RUNS;
            if (enough && now - start >= warmMillis * LONGEST_WARM) {
                return fastest;
            }
            if (now - start >= warmMillis * 1_000_000L && (warmMillis < 100 || now - improved >= quiet)) {
                return fastest;
            }
        }
    }

    /** CPU time of the JIT compiler's threads: as Linux counts it, in steps of 10 ms; else what has been finished. */
    private static long compilerNanos() {
        Path tasks = Path.of("/proc/self/task");
        if (!Files.isDirectory(tasks)) {
            return ManagementFactory.getCompilationMXBean().getTotalCompilationTime() * 1_000_000;
        }
        long ticks = 0;
        try (DirectoryStream<Path> threads = Files.newDirectoryStream(tasks)) {
            for (Path thread : threads) {
                String stat = Files.readString(thread.resolve("stat"));
                if (stat.contains(" CompilerThre")) {
                    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
                    ticks += Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
                }
            }
        } catch (IOException e) {
            // A thread that ended between the two looks: count what was there.
            return ticks * 10_000_000;
        }
        return ticks * 10_000_000;
    }

    private double slice(Runnable body, int repeats) {
        long start = now();
        for (int i = 0; i < repeats; i++) {
            body.run();
        }
        return (now() - start) / (double) repeats;
    }

    private long now() {
        return cpuTime ? THREADS.getCurrentThreadCpuTime() : System.nanoTime();
    }
}
