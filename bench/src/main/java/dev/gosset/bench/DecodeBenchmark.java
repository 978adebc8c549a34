package dev.gosset.bench;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Steps of decoding with a whole model of random weights: one operation is one step, which gives every sequence a token. On a
 * device that is not there it fails with the reason.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 4, time = 2)
@Fork(value = 1)
public class DecodeBenchmark {
    private static final int STEPS = 16;
    private static final int PROMPT = 8;
    private static final int CONTEXT = 512;

    /** {@code 1B}, {@code 7B}, or hidden x intermediate x layers. */
    @Param({"1B"})
    public String shape;

    /** Bits per weight. */
    @Param({"2"})
    public int bits;

    /** Sequences side by side. */
    @Param({"1", "4", "16"})
    public int batch;

    /** {@code gosset} is the processor, {@code cuda} a GPU. */
    @Param({"gosset", "cuda"})
    public String contender;

    private Path directory;
    private Model model;
    private ThreadTeam team;
    private LoadedModel loaded;
    private Batch sequences;
    private final List<Batch.Sequence> running = new ArrayList<>();
    private int left;

    /** Writes and loads the model. */
    @Setup(Level.Trial)
    public void open() throws IOException {
        Device device = contender.equals(Case.OURS) ? Device.CPU : Device.parse(contender);
        DeviceBackend backend = device.isCpu() ? null : DeviceBackend.require(device);
        directory = Files.createTempDirectory("gosset-bench-");
        team = ThreadTeam.ofProcessors();
        model = Model.openStored(SyntheticModel.named(shape).gosset(directory.resolve("model"), bits), team);
        loaded = backend == null
                ? new CpuModel(model.transformer(), team)
                : backend.load(model, device.index(), StorageOptions.defaults(), team);
        sequences = loaded.batch(batch, CONTEXT);
    }

    /** Every sequence has run its prompt and has room for what is drawn; few of its tokens are there. */
    @Setup(Level.Iteration)
    public void begin() {
        running.forEach(sequences::release);
        running.clear();
        for (int s = 0; s < batch; s++) {
            int[] prompt = {3, 4, 5, 6, 7, 8, 9, 10 + s};
            running.add(sequences
                    .admit(prompt, new Sampler(Sampling.greedy()), CONTEXT - PROMPT)
                    .orElseThrow());
        }
        Set<Batch.Sequence> waiting = new HashSet<>(running);
        left = CONTEXT - PROMPT;
        while (!waiting.isEmpty()) {
            sequences.step().forEach(d -> waiting.remove(d.sequence()));
            left--;
        }
    }

    /** Ends everything and deletes the model. */
    @TearDown(Level.Trial)
    public void close() throws IOException {
        if (sequences != null) {
            sequences.close();
            loaded.close();
        }
        if (model != null) {
            model.close();
            team.close();
        }
        if (directory != null) {
            try (Stream<Path> files = Files.walk(directory)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    /** Some steps. */
    @Benchmark
    @OperationsPerInvocation(STEPS)
    public void run() {
        if (left < STEPS) {
            begin();
        }
        for (int i = 0; i < STEPS; i++) {
            sequences.step();
        }
        left -= STEPS;
    }
}
