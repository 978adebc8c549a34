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

/** The small steps between the linears of a token: norm, rotary embedding, gated SiLU, softmax. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class StepsBenchmark extends CaseBenchmark {
    /** Which step. */
    @Param
    public DecodeSteps.Step step;

    /** Who runs. */
    @Param({"gosset", "scalar", "limit:memcpy"})
    public String contender;

    @Override
    Case make() {
        return DecodeSteps.step(step);
    }

    @Override
    String contender() {
        return contender;
    }
}
