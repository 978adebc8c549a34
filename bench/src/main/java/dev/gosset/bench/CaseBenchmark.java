package dev.gosset.bench;

import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** One contender of one {@link Case} under JMH; subclasses have the parameters. One trial at a time. */
@State(Scope.Benchmark)
public abstract class CaseBenchmark {
    private Case work;
    private Runnable body;

    /** Makes the case that the parameters name, with its data. */
    abstract Case make();

    /** The contender that the parameters name. */
    abstract String contender();

    /** Makes the data. A contender that is not on this machine fails with a message. */
    @Setup(Level.Trial)
    public void open() {
        work = make();
        body = work.require(contender());
    }

    /** Frees the data. */
    @TearDown(Level.Trial)
    public void close() {
        work.close();
    }

    /** One run of the contender. */
    @Benchmark
    public void run() {
        body.run();
    }
}
