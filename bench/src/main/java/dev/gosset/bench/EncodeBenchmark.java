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

/** Nearest codebook points of 4096 vectors of 8. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class EncodeBenchmark extends CaseBenchmark {
    /** Bits per weight. */
    @Param({"2", "3", "4"})
    public int bits;

    /** Who runs; C at 2 bits. */
    @Param({"gosset", "scalar"})
    public String contender;

    @Override
    Case make() {
        return Cases.encode(bits, 4096);
    }

    @Override
    String contender() {
        return contender;
    }
}
