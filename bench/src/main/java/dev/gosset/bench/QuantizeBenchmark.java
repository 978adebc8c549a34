package dev.gosset.bench;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** A whole layer: incoherence, block LDL, LDLQ with greedy passes. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(value = 1)
public class QuantizeBenchmark extends CaseBenchmark {
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

    @Override
    Case make() {
        return Cases.quantize(bits, size, size, greedyPasses, threads);
    }

    @Override
    String contender() {
        return contender;
    }
}
