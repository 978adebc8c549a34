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

/** The product of a coded matrix with a vector, without the transforms; peers scale by their own amount of work, see {@link Case.Contender}. A contender that is not on this machine fails with a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2)
public class MatvecBenchmark extends CaseBenchmark {
    /** Bits per weight. */
    @Param({"2", "3", "4"})
    public int bits;

    /** Rows and columns. */
    @Param({"4096x4096", "11008x4096", "14336x4096", "8192x8192"})
    public String shape;

    /** Threads of each contender. */
    @Param({"1", "2"})
    public int threads;

    /** Who runs; also scalar, C VNNI, IQ2_XXS, IQ2_XS, SGEMV, limit:read. */
    @Param({"gosset", "C"})
    public String contender;

    @Override
    Case make() {
        return Cases.matvec(bits, Cases.rows(shape), Cases.cols(shape), threads);
    }

    @Override
    String contender() {
        return contender;
    }
}
