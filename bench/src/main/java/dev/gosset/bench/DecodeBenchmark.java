package dev.gosset.bench;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Decoder;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.sampling.Sampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
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
    private Decoder decoder;

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
        decoder = loaded.decoder(batch, PROMPT + STEPS);
        for (int s = 0; s < batch; s++) {
            decoder.append(s, new int[] {3, 4, 5, 6, 7, 8, 9, 10 + s});
        }
    }

    /** Ends everything and deletes the model. */
    @TearDown(Level.Trial)
    public void close() throws IOException {
        if (decoder != null) {
            decoder.close();
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

    /** The last token of each prompt and what is sampled after it. */
    @Benchmark
    @OperationsPerInvocation(STEPS)
    public void run() {
        List<Decoder.Continuation> continuations = new ArrayList<>();
        for (int s = 0; s < batch; s++) {
            decoder.truncate(s, PROMPT - 1);
            decoder.append(s, new int[] {10 + s});
            continuations.add(new Decoder.Continuation(s, Sampling.greedy(), STEPS));
        }
        decoder.decode(continuations, Set.of(), (sequence, token) -> true);
    }
}
