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

/** The orthogonal transform of one vector. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class TransformBenchmark extends CaseBenchmark {
    /** Floats. */
    @Param({"1024", "4096", "8192", "16384", "11008", "14336", "28672", "5120"})
    public int n;

    /** Who runs. */
    @Param({"gosset", "scalar", "C", "limit:memcpy"})
    public String contender;

    @Override
    Case make() {
        return Cases.transform(n);
    }

    @Override
    String contender() {
        return contender;
    }
}
