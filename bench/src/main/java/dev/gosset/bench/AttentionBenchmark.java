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

/** Attention over stored keys and values, one token. A contender that is not on this machine fails with a message. */
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

    /** Heads of queries / of keys and values. */
    @Param({"32/32", "32/8", "64/8"})
    public String heads;

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
        int slash = heads.indexOf('/');
        int queries = Integer.parseInt(heads.substring(0, slash));
        return DecodeSteps.attention(dtype, queries, Integer.parseInt(heads.substring(slash + 1)), positions, dim);
    }

    @Override
    String contender() {
        return contender;
    }
}
