package dev.gosset.bench;

import java.util.concurrent.TimeUnit;
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

/** A whole layer: incoherence, block LDL, LDLQ with greedy passes. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(value = 1)
public class QuantizeBenchmark {
    /** Bits per weight. */
    @Param({"2", "3", "4"})
    public int bits;

    /** Rows and columns of the layer. */
    @Param({"1024"})
    public int size;

    /** Greedy passes after the feedback pass. */
    @Param({"10"})
    public int greedyPasses;

    /** Threads. */
    @Param({"1"})
    public int threads;

    /** Who runs. */
    @Param({"gosset"})
    public String contender;

    private Case work;
    private Runnable body;

    /** Makes the data. */
    @Setup(Level.Trial)
    public void open() {
        work = Cases.quantize(bits, size, size, greedyPasses, threads);
        body = work.require(contender);
    }

    /** Frees the data. */
    @TearDown(Level.Trial)
    public void close() {
        work.close();
    }

    /** One run of the contender. */
    @Benchmark
    public void run() {
        body.run();
    }
}
