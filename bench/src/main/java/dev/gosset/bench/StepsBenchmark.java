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

/** What stands between the linears of a decode: norm, softmax, attention scores. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class StepsBenchmark extends CaseBenchmark {
    /** Which step: 0 the norm, 1 softmax, 2 attention scores. */
    @Param({"0", "1", "2"})
    public int step;

    /** Who runs. */
    @Param({"gosset", "scalar", "limit:memcpy"})
    public String contender;

    @Override
    Case make() {
        return Cases.steps(step);
    }

    @Override
    String contender() {
        return contender;
    }
}
