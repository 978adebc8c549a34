package dev.gosset.cuda.llm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.Emulation;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sequences that come and go on the device, with pieces of prompts of one block; on the emulation: not yet run on a device. */
class CudaBatchTest {
    private static final int PIECE = 64;

    @TempDir
    private Path temporary;

    @BeforeEach
    void requireEmulation() {
        Emulation.require();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(Emulation.live()).as("objects of the runtime that are alive").isZero();
    }

    /** A sequence that is to be run, and what comes of it. */
    private static final class Run {
        final int[] prompt;
        final int most;
        final int seed;
        final List<Batch.Drawn> drawn = new ArrayList<>();
        Batch.Sequence sequence;

        Run(int[] prompt, int most, int seed) {
            this.prompt = prompt;
            this.most = most;
            this.seed = seed;
        }

        /** Every second draws from logits and tells their bits: two most likely tokens with theirs. */
        Sampler sampler() {
            return seed % 2 == 0
                    ? new Sampler(Sampling.of(1, 0, 1, seed))
                    : new Sampler(Sampling.of(1, 9, 0.9, seed), new int[0], null, 2);
        }

        boolean admit(Batch batch) {
            sequence = batch.admit(prompt, sampler(), most).orElse(null);
            return sequence != null;
        }

        List<String> results() {
            return drawn.stream()
                    .map(d -> d.token() + " " + d.logProbabilities() + " " + d.failure())
                    .toList();
        }
    }

    private static void finish(Batch batch, List<Run> running) {
        for (Batch.Drawn d : batch.step()) {
            Run run = running.stream()
                    .filter(r -> r.sequence.equals(d.sequence()))
                    .findFirst()
                    .orElseThrow();
            run.drawn.add(d);
            if (run.drawn.size() == run.most) {
                batch.release(run.sequence);
                running.remove(run);
            }
        }
    }

    private Path model(String name) throws Exception {
        return name.startsWith("published")
                ? new SyntheticCheckpoint(SyntheticCheckpoint.Shape.SMALL, name.charAt(9) - '0', 11)
                        .write(temporary.resolve(name))
                : TinyModels.directory(name);
    }

    /** The same tokens and bits alone and in any company, from batches of every size, with and without blocks that are known. */
    @ParameterizedTest
    @CsvSource({"published2", "llama3", "qwen3-longrope"})
    void company(String name) throws Exception {
        long seed = System.nanoTime();
        System.out.println("CudaBatchTest.company " + name + " seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(model(name), team);
                CudaModel loaded = new CudaModel(model, 0, StorageOptions.defaults(), team)) {
            int vocabulary = model.config().vocabularySize();
            List<Run> alone = new ArrayList<>();
            for (int s = 0; s < 18; s++) {
                // Several pieces here and there; some begin alike.
                int[] prompt = random.ints(1 + random.nextInt(s % 8 == 0 ? 200 : 12), 0, vocabulary)
                        .toArray();
                if (s % 8 == 1) {
                    int[] before = alone.getLast().prompt;
                    prompt = Arrays.copyOf(before, before.length + 1 + random.nextInt(9));
                }
                Run run = new Run(prompt, 1 + random.nextInt(5), s);
                alone.add(run);
                try (Batch batch = loaded.batch(1, 256, PIECE)) {
                    assertThat(run.admit(batch)).isTrue();
                    List<Run> running = new ArrayList<>(List.of(run));
                    while (!running.isEmpty()) {
                        finish(batch, running);
                    }
                    assertThat(batch.inUse()).isZero();
                }
            }
            try (Batch batch = loaded.batch(16, 256, PIECE)) {
                for (int round = 0; round < 2; round++) {
                    int again = round;
                    List<Run> waiting = new ArrayList<>();
                    // All, then those whose beginnings are known.
                    alone.stream()
                            .filter(a -> again == 0 || a.prompt.length > PIECE)
                            .forEach(a -> waiting.add(new Run(a.prompt, a.most, a.seed)));
                    List<Run> all = List.copyOf(waiting);
                    List<Run> running = new ArrayList<>();
                    while (!waiting.isEmpty() || !running.isEmpty()) {
                        while (!waiting.isEmpty()
                                && random.nextInt(5) > 0
                                && waiting.getFirst().admit(batch)) {
                            running.add(waiting.removeFirst());
                        }
                        if (!running.isEmpty() && random.nextInt(12) == 0) {
                            // Given up, and begun again later.
                            Run run = running.remove(random.nextInt(running.size()));
                            batch.release(run.sequence);
                            run.drawn.clear();
                            waiting.add(run);
                        }
                        finish(batch, running);
                    }
                    for (Run run : all) {
                        assertThat(run.results())
                                .as("sequence %d of %d tokens, round %d", run.seed, run.prompt.length, round)
                                .isEqualTo(alone.get(run.seed).results());
                    }
                    assertThat(batch.inUse()).isZero();
                }
            }
        }
    }

    /** Blocks of whole pieces are found again, and not computed twice; those of the last piece and of drawn tokens are not. */
    @Test
    void blocksOfWholePiecesAreShared() {
        int[] prompt = new SplittableRandom(4).ints(2 * PIECE + 30, 3, 90).toArray();
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory("llama"), team);
                CudaModel loaded = new CudaModel(model, 0, StorageOptions.defaults(), team);
                Batch batch = loaded.batch(4, 512, PIECE)) {
            Run first = new Run(prompt, 99, 0);
            first.admit(batch);
            assertThat(batch.inUse()).isEqualTo(4);
            List<Run> running = new ArrayList<>(List.of(first));
            while (first.drawn.size() < 98) {
                finish(batch, running);
            }
            // All that the first has, and more: two pieces of its prompt are found.
            int[] longer = Arrays.copyOf(prompt, 5 * PIECE);
            for (int i = prompt.length; i < longer.length; i++) {
                longer[i] = i - prompt.length < 98
                        ? first.drawn.get(i - prompt.length).token()
                        : 5;
            }
            Run second = new Run(longer, 1, 0);
            second.admit(batch);
            assertThat(batch.inUse()).isEqualTo(4 + 3);
            running.add(second);
            int steps = 0;
            while (second.drawn.isEmpty()) {
                finish(batch, running);
                steps++;
            }
            assertThat(steps).isPositive();
            assertThat(batch.inUse()).isZero();
        }
    }

    /** A long prompt stops at the end of a piece: whoever gives it up waits for no more. */
    @Test
    void aStepIsOnePieceAtTheMost() {
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory("llama"), team);
                CudaModel loaded = new CudaModel(model, 0, StorageOptions.defaults(), team);
                Batch batch = loaded.batch(2, 1024, PIECE)) {
            Run run = new Run(new int[10 * PIECE + 1], 1, 0);
            run.admit(batch);
            for (int i = 0; i < 9; i++) {
                assertThat(batch.step()).isEmpty();
            }
            assertThat(batch.step()).hasSize(1);
            batch.release(run.sequence);
            run.admit(batch);
            // Nine of ten pieces are known, for the last token is never among what is found.
            assertThat(batch.step()).hasSize(1);
            batch.release(run.sequence);
            assertThat(batch.inUse()).isZero();
        }
    }
}
