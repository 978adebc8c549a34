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

/** A whole quantized linear, transforms included: decode at batch 1, the batched form, and prefill at 512. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class LinearBenchmark extends CaseBenchmark {
    /** Bits per weight. */
    @Param({"2", "3", "4"})
    public int bits;

    /** Rows and columns. */
    @Param({"4096x4096", "11008x4096"})
    public String shape;

    /** Rows of the input. */
    @Param({"1", "4", "8", "32", "512"})
    public int batch;

    /** Threads of each contender. */
    @Param({"1"})
    public int threads;

    /** Who runs; SGEMM from batch 2 on, scalar below 64. */
    @Param({"gosset"})
    public String contender;

    @Override
    Case make() {
        return Cases.linear(bits, Cases.rows(shape), Cases.cols(shape), batch, threads);
    }

    @Override
    String contender() {
        return contender;
    }
}
