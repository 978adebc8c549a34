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
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Greedy sessions of one engine side by side, and a bare loop over {@link Transformer#run} beside them: what the engine costs, and what
 * batching gives. Arguments: a shape as {@link SyntheticModel#named} has it, threads, and how many sessions; 0 is the bare loop.
 */
public final class SessionRun {
    private static final int PROMPT = 16;
    private static final int TOKENS = 32;
    /** What early sessions draw until the last has begun, and more. */
    private static final int MORE = 400;

    private static final int ROUNDS = 6;

    private SessionRun() {}

    /** Prints a line for each number of sessions: the best of {@value #ROUNDS} rounds. */
    public static void main(String[] args) throws IOException {
        Path directory = Files.createTempDirectory("gosset-bench-");
        SyntheticModel.named(args[0]).gosset(directory, 2);
        try (Model model = Model.open(directory);
                ThreadTeam team = new ThreadTeam(Integer.parseInt(args[1]));
                CpuModel cpu = new CpuModel(model.transformer(), team)) {
            for (int k = 2; k < args.length; k++) {
                int sessions = Integer.parseInt(args[k]);
                double best = Double.POSITIVE_INFINITY;
                for (int round = 0; round < ROUNDS; round++) {
                    best = Math.min(best, sessions == 0 ? loop(model, team) : step(cpu, sessions));
                }
                System.out.printf(
                        Locale.ROOT,
                        "%2d sessions  %9.4f ms a step  %8.1f tokens/s%n",
                        sessions,
                        best,
                        1e3 * Math.max(1, sessions) / best);
            }
        } finally {
            try (var files = Files.list(directory)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(directory);
        }
    }

    private static int[] prompt(int number, int vocabulary) {
        int[] tokens = new int[PROMPT];
        for (int i = 0; i < PROMPT; i++) {
            tokens[i] = 3 + (int) ((7919L * i + 31L * number) % (vocabulary - 3));
        }
        return tokens;
    }

    /** Milliseconds a step while all sessions draw. */
    private static double step(CpuModel cpu, int count) {
        int vocabulary = cpu.config().vocabularySize();
        List<Session> sessions = new ArrayList<>();
        try (Engine engine = new Engine(cpu.batch(count, PROMPT + TOKENS + MORE), vocabulary)) {
            for (int s = 0; s < count; s++) {
                Sampler sampler = new Sampler(Sampling.greedy());
                sessions.add(engine.admit(prompt(s, vocabulary), sampler, TOKENS + MORE, Set.of()));
            }
            // The last to begin: all others are drawing by then.
            Session last = sessions.getLast();
            last.next();
            long start = System.nanoTime();
            for (int i = 0; i < TOKENS; i++) {
                last.next();
            }
            return (System.nanoTime() - start) / 1e6 / TOKENS;
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
