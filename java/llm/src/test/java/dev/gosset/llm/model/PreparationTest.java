package dev.gosset.llm.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.memory.Dtype;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.cpu.StorageOptions;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Models are made ready by the threads of the team that was given and no others. */
@Tag("width")
class PreparationTest {
    /** Run in a child JVM, whose common pool nobody has used: opens a model twice and prints what threads there are. */
    public static final class Opens {
        private Opens() {}

        public static void main(String[] args) {
            try (ThreadTeam one = new ThreadTeam(1)) {
                long started = open(Path.of(args[0]), one);
                // What the JDK starts for itself it has started.
                started = open(Path.of(args[0]), one) - started;
                System.out.println("started " + started);
            }
            Thread.getAllStackTraces().keySet().forEach(t -> System.out.println("thread " + t.getName()));
        }

        private static long open(Path path, ThreadTeam team) {
            try (Model model = Model.open(path, new StorageOptions(true, Dtype.F32), team)) {
                model.transformer();
                assertThat(model.weights().quantizedLinear(model.plan().groups().getFirst()))
                        .isPresent();
            }
            return ManagementFactory.getThreadMXBean().getTotalStartedThreadCount();
        }
    }

    /** Codes are unpacked and repacked and the head is rounded to bytes. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void noOtherThreadsWork(int bits, @TempDir Path temporary) throws IOException, InterruptedException {
        Path published =
                new SyntheticCheckpoint(SyntheticCheckpoint.Shape.SMALL, bits, 7).write(temporary.resolve("model"));
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--add-modules=jdk.incubator.vector",
                        "--enable-native-access=ALL-UNNAMED",
                        // On a machine with one processor too.
                        "-Djava.util.concurrent.ForkJoinPool.common.parallelism=2",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Opens.class.getName(),
                        published.toString())
                .redirectErrorStream(true)
                .redirectOutput(temporary.resolve("out").toFile())
                .start();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        List<String> lines = Files.readAllLines(temporary.resolve("out"));
        assertThat(process.exitValue()).as(lines.toString()).isZero();
        assertThat(lines)
                .contains("started 0", "thread main")
                .noneMatch(l -> l.contains("ForkJoinPool") || l.contains("gosset-worker"));
    }
}
