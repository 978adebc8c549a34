package dev.gosset.bench;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The same kernel on the processor and on the first GPU. One run is not the same amount of work on both: compare {@code
 * gigaUnits}, weights or floats in 1e9 a second (of weights times vectors in a batch). The GPU's part of its copy bandwidth,
 * measured in the same JVM between events, is printed before the iterations. Without a GPU its contender fails with the reason.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class DeviceBenchmark {
    /** {@code transform N}, {@code product BITS SHAPE BATCH} or {@code encode BITS}. */
    @Param({
        "transform 4096",
        "transform 16384",
        "product 2 4096x4096 1",
        "product 2 4096x4096 8",
        "product 3 4096x4096 1",
        "product 3 4096x4096 8",
        "product 4 4096x4096 1",
        "product 4 4096x4096 8",
        "product 2 28672x8192 1",
        "encode 2",
        "encode 3",
        "encode 4"
    })
    public String kernel;

    /** Who runs: gosset is the processor, with one thread. */
    @Param({"gosset", "cuda"})
    public String contender;

    /** Vectors that the GPU transforms, and searches for, at a time. */
    @Param("4096")
    public int vectors;

    private Case work;
    private Case.Contender chosen;

    /** Counts work, which JMH divides by time. */
    @State(Scope.Thread)
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    public static class Units {
        /** In 1e9. */
        public double gigaUnits;
    }

    /** Makes the data. */
    @Setup(Level.Trial)
    public void open() {
        String[] words = kernel.split(" ");
        int first = Integer.parseInt(words[1]);
        boolean gpu = contender.equals(DeviceCases.CUDA);
        work = switch (words[0]) {
            case "transform" -> gpu ? DeviceCases.transform(first, vectors) : Cases.transform(first);
            case "encode" -> gpu ? DeviceCases.encode(first, vectors) : Cases.encode(first, vectors);
            default -> {
                int rows = Cases.rows(words[2]);
                int cols = Cases.cols(words[2]);
                int batch = Integer.parseInt(words[3]);
                yield gpu ? DeviceCases.product(first, rows, cols, batch) : Cases.product(first, rows, cols, batch, 1);
            }
        };
        work.require(contender);
        chosen = work.contender(contender);
    }

    /** Frees the data. */
    @TearDown(Level.Trial)
    public void close() {
        work.close();
    }

    /** One run of the contender. */
    @Benchmark
    public void run(Units units) {
        chosen.body().run();
        units.gigaUnits += chosen.work() / 1e9;
    }
}
