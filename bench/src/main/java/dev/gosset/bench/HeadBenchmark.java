package dev.gosset.bench;

import dev.gosset.core.memory.Dtype;
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

/** The head in float16 or 8 bits, one token. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class HeadBenchmark extends CaseBenchmark {
    /** How the weights are stored. */
    @Param({"F16", "I8"})
    public Dtype dtype;

    /** Vocabulary and hidden size. */
    @Param({"32000x4096", "32000x2048"})
    public String shape;

    /** Threads of each contender. */
    @Param({"1"})
    public int threads;

    /** Who runs. */
    @Param({"gosset", "scalar", "SGEMV", "limit:read"})
    public String contender;

    @Override
    Case make() {
        return DecodeSteps.head(dtype, Cases.rows(shape), Cases.cols(shape), threads);
    }

    @Override
    String contender() {
        return contender;
    }
}
