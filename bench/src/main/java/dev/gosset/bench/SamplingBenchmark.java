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

/** Drawing a token from logits. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class SamplingBenchmark extends CaseBenchmark {
    /** Logits. */
    @Param({"32000", "128256"})
    public int vocabulary;

    /** Divides the logits; 0 takes the most likely token. */
    @Param({"0.8", "0"})
    public double temperature;

    /** Keeps the most likely tokens whose probabilities add up to it. */
    @Param({"0.95", "1"})
    public double topP;

    /** Who runs. */
    @Param({"gosset", "scalar", "limit:memcpy"})
    public String contender;

    @Override
    Case make() {
        return DecodeSteps.sampling(vocabulary, temperature, topP);
    }

    @Override
    String contender() {
        return contender;
    }
}
