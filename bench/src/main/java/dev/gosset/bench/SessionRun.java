package dev.gosset.bench;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.session.Engine;
import dev.gosset.llm.session.Session;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;

/**
 * Greedy sessions of one engine side by side, and a bare loop over {@link Transformer#run} beside them: what batching gives, and what
 * the engine costs. Arguments: a shape as {@link SyntheticModel#named} has it, threads, and how many sessions; 0 is the bare loop, -1 one
 * session that nobody reads until it has ended, for waking a thread that waits costs the engine too; or {@code llama.cpp}, threads and how many sequences. Without arguments: what batching gives 1.1 B parameters on two threads, and what the engine costs a model of the demo's size on one.
 */
public final class SessionRun {
    private static final int PROMPT = 16;
    private static final int TOKENS = 32;
    /** What early sessions draw until the last has begun, and more. */
    private static final int MORE = 400;

    private static final int ROUNDS = 4;
    /** Of a round of all numbers of sessions, at least: short steps are measured more often. */
    private static final long NANOS = 20_000_000_000L;

    /** In the place of a number of sessions: one that is read when it has ended. */
    private static final int LATE = -1;

    /** Long enough for small models to end. */
    private static final long LATE_NANOS = 30_000_000;

    private static final List<String> DEMO = List.of("256x768x6", "1", "0", "-1", "1");

    private SessionRun() {}

    /** Prints a line for each number of sessions: best and median of rounds in which all take turns. */
    public static void main(String[] args) throws IOException {
        if (args.length > 0 && args[0].equals("llama.cpp")) {
            llama(args[1], Arrays.copyOfRange(args, 2, args.length));
        } else if (args.length > 0) {
            measure(List.of(args));
        } else {
            measure(List.of("1B", "2", "0", "1", "2", "4", "8", "16"));
            llama("2", "1", "4", "16");
            measure(DEMO);
        }
    }

    /** As many sequences at once by llama.cpp, with random weights of the same shape and about as many bits. */
    private static void llama(String threads, String... counts) throws IOException {
        if (!Ggml.isPresent()) {
            System.out.println("llama.cpp: " + Ggml.ABSENT);
            return;
        }
        Path models = Files.createDirectories(Workplace.models());
        Path file = SyntheticModel.LLAMA_1B.gguf(models.resolve("llama-1b-IQ2_XXS.gguf"), Ggml.IQ2_XXS);
        for (String count : counts) {
            List<String> command = new ArrayList<>(WholeModel.llama(file, threads, String.valueOf(TOKENS)));
            command.add(count);
            Child.Result result = Child.run(Child.pinned(Integer.parseInt(threads), command), 300);
            System.out.println("llama.cpp IQ2_XXS, threads: " + threads + ": "
                    + result.output().strip());
        }
    }

    private static void measure(List<String> args) throws IOException {
        int[] counts = args.stream().skip(2).mapToInt(Integer::parseInt).toArray();
        Path directory = Files.createTempDirectory("gosset-bench-");
        SyntheticModel.named(args.get(0)).gosset(directory, 2);
        List<List<Double>> times = new ArrayList<>();
        for (int i = 0; i < counts.length; i++) {
            times.add(new ArrayList<>());
        }
        try (Model model = Model.open(directory);
                ThreadTeam team = new ThreadTeam(Integer.parseInt(args.get(1)));
                CpuModel cpu = new CpuModel(model.transformer(), team)) {
            long start = System.nanoTime();
            for (int round = 0; round < ROUNDS || System.nanoTime() - start < NANOS; round++) {
                for (int i = 0; i < counts.length; i++) {
                    times.get(i).add(measure(model, cpu, counts[i]));
                }
            }
        } finally {
            try (var files = Files.list(directory)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(directory);
        }
        System.out.println(args.get(0) + ", threads: " + args.get(1));
        double first = 0;
        for (int i = 0; i < counts.length; i++) {
            List<Double> sorted = times.get(i).stream().sorted().toList();
            double rate = 1e3 * Math.max(1, counts[i]) / sorted.getFirst();
            first = i == 0 ? rate : first;
            System.out.printf(
                    Locale.ROOT,
                    "%-19s  %9.4f ms a step  %8.1f tokens/s  %5.3f of the first   median %9.4f ms%n",
                    name(counts[i]),
                    sorted.getFirst(),
                    rate,
                    rate / first,
                    sorted.get(sorted.size() / 2));
        }
    }

    private static String name(int count) {
        return switch (count) {
            case 0 -> "bare loop";
            case LATE -> "1 session, read late";
            default -> count + " sessions";
        };
    }

    private static double measure(Model model, CpuModel cpu, int count) {
        return count == 0 ? loop(model, cpu.team()) : step(cpu, Math.abs(count), count == LATE);
    }

    private static int[] prompt(int number, int vocabulary) {
        int[] tokens = new int[PROMPT];
        for (int i = 0; i < PROMPT; i++) {
            tokens[i] = 3 + (int) ((7919L * i + 31L * number) % (vocabulary - 3));
        }
        return tokens;
    }

    /** Milliseconds a step while all sessions draw. */
    private static double step(CpuModel cpu, int count, boolean late) {
        int vocabulary = cpu.config().vocabularySize();
        List<Session> sessions = new ArrayList<>();
        try (Engine engine = new Engine(cpu.batch(count, PROMPT + TOKENS + MORE), vocabulary)) {
            for (int s = 0; s < count; s++) {
                Sampler sampler = new Sampler(Sampling.greedy());
                sessions.add(engine.admit(prompt(s, vocabulary), sampler, late ? TOKENS + 1 : TOKENS + MORE, Set.of()));
            }
            if (late) {
                LockSupport.parkNanos(LATE_NANOS);
            }
            // The last to begin: all others are drawing by then.
            Session last = sessions.getLast();
            last.next();
            // When steps were done, not when this thread has woken up.
            long start = last.drawnAt();
            for (int i = 0; i < TOKENS; i++) {
                last.next();
            }
            return (last.drawnAt() - start) / 1e6 / TOKENS;
        }
    }

    private static double loop(Model model, ThreadTeam team) {
        int vocabulary = model.config().vocabularySize();
        try (Workspace workspace = new Workspace(team);
                KeyValueCache cache = model.transformer().newCache(PROMPT + TOKENS);
                Arena arena = Arena.ofShared()) {
            FloatMatrix logits = FloatMatrix.allocate(arena, 1, vocabulary);
            float[] scores = new float[vocabulary];
            int[] next = prompt(0, vocabulary);
            long start = 0;
            for (int i = 0; i <= TOKENS; i++) {
                model.transformer().run(List.of(new Transformer.Segment(cache, next, 1)), logits, workspace);
                MemorySegment.copy(logits.data(), ValueLayout.JAVA_FLOAT, 0, scores, 0, vocabulary);
                next = new int[] {Sampler.argmax(scores)};
                start = i == 0 ? System.nanoTime() : start;
            }
            return (System.nanoTime() - start) / 1e6 / TOKENS;
        }
    }
}
