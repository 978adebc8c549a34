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

/** Attention of one head over stored keys and values, one token. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class AttentionBenchmark extends CaseBenchmark {
    /** How keys and values are stored. */
    @Param({"F16", "I8", "F32"})
    public Dtype dtype;

    /** How many positions there are. */
    @Param({"128", "1024", "8192"})
    public int positions;

    /** The dimension of the head. */
    @Param({"128"})
    public int dim;

    /** Who runs. */
    @Param({"gosset", "scalar", "2 SGEMV", "limit:read"})
    public String contender;

    @Override
    Case make() {
        return DecodeSteps.attention(dtype, positions, dim);
    }

    @Override
    String contender() {
        return contender;
    }
}
