package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.llm.DirectoryContent;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.TinyModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Real processes, killed (SIGKILL) at random moments and started again until they come to their end: what lies under the
 * name of the result is whole at every moment, and in the end has the bytes of an unbroken run. {@code -Dgosset.kills=200}
 * ({@code make kill-test}) kills as often as one likes.
 */
final class KillTest {
    private static final int KILLS = Integer.getInteger("gosset.kills", 10);

    /** What hard kills leave of Hessians and conversions; nothing reads it. */
    private static final String HIDDEN = "\\.out\\.[0-9a-f]{16}\\.tmp";

    @TempDir
    private Path temporary;

    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);

    /**
     * When a process is killed: some time after a file has appeared.
     *
     * @param file that file, or something hidden where it is null
     * @param share of the time of an unbroken run that it may take from then on
     */
    private record Moment(String file, double share) {
        static final Moment ANY = new Moment("", 1);
        static final Moment RESULT = new Moment("out", 0.001);
    }

    @Test
    void quantize() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(seed, 3000));
        kill(
                "quantize",
                KILLS,
                List.of(
                        Moment.ANY,
                        new Moment("out.partial/settings.json", 0.3),
                        new Moment("out.partial/block-00000.arrow", 0.1),
                        new Moment("out.partial/model", 0.03),
                        Moment.RESULT),
                out -> List.of(
                        "quantize",
                        model.toString(),
                        "--out",
                        out.toString(),
                        "--calibration",
                        text.toString(),
                        "--sequences",
                        "16",
                        "--context",
                        "64",
                        "--threads",
                        "1",
                        "--resume"));
    }

    @Test
    void quantizeAndTune() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(seed, 3000));
        kill(
                "quantize --finetune full",
                Math.ceilDiv(KILLS, 3),
                List.of(
                        Moment.ANY,
                        new Moment("out.partial/block-00000.part.arrow", 0.2),
                        new Moment("out.partial/block-00001.tuning-2.arrow", 0.05),
                        new Moment("out.partial/tuning.arrow", 0.05),
                        Moment.RESULT),
                out -> List.of(
                        "quantize",
                        model.toString(),
                        "--out",
                        out.toString(),
                        "--calibration",
                        text.toString(),
                        "--sequences",
                        "8",
                        "--context",
                        "64",
                        "--finetune",
                        "full",
                        "--finetune-sequences",
                        "16",
                        "--threads",
                        "1",
                        "--resume"));
    }

    @Test
    void finetune() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(seed, 3000));
        Path quantized = temporary.resolve("quantized");
        Path log = temporary.resolve("log");
        int exit = start(
                        List.of(
                                "quantize",
                                model.toString(),
                                "--out",
                                quantized.toString(),
                                "--calibration",
                                text.toString(),
                                "--sequences",
                                "8",
                                "--context",
                                "64"),
                        log)
                .waitFor();
        assertThat(exit).as(Files.readString(log)).isZero();
        kill(
                "finetune",
                Math.ceilDiv(KILLS, 3),
                List.of(Moment.ANY, new Moment("out.partial/tuning.arrow", 0.3), Moment.RESULT),
                out -> List.of(
                        "finetune",
                        quantized.toString(),
                        "--teacher",
                        model.toString(),
                        "--out",
                        out.toString(),
                        "--text",
                        text.toString(),
                        "--sequences",
                        "32",
                        "--context",
                        "64",
                        "--epochs",
                        "4",
                        "--resume"));
    }

    @Test
    void hessian() throws Exception {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(seed, 3000));
        kill(
                "hessian",
                Math.ceilDiv(KILLS, 10),
                List.of(Moment.ANY, new Moment(null, 0.2), Moment.RESULT),
                out -> List.of(
                        "hessian",
                        model.toString(),
                        "--out",
                        out.toString(),
                        "--calibration",
                        text.toString(),
                        "--sequences",
                        "16",
                        "--context",
                        "64"));
    }

    @Test
    void convert() throws Exception {
        Path published = new SyntheticCheckpoint(
                        SyntheticCheckpoint.Shape.SMALL, Codebook.ofBits(3), QidxsLayout.TILES, 1, 20)
                .write(temporary.resolve("published"));
        kill(
                "convert",
                Math.ceilDiv(KILLS, 10),
                List.of(Moment.ANY, new Moment(null, 0.2), Moment.RESULT),
                out -> List.of("convert", published.toString(), "--to", "gosset", "--out", out.toString()));
    }

    @FunctionalInterface
    private interface Command {
        List<String> writing(Path out);
    }

    private void kill(String name, int kills, List<Moment> moments, Command command) throws Exception {
        Path unbroken = Files.createDirectory(temporary.resolve("unbroken")).resolve("out");
        long started = System.nanoTime();
        Path log = temporary.resolve("log");
        Process whole = start(command.writing(unbroken), log);
        int exit = whole.waitFor();
        assertThat(exit).as(Files.readString(log)).isZero();
        long all = System.nanoTime() - started;
        Map<String, String> expected = DirectoryContent.of(unbroken);

        Path folder = Files.createDirectory(temporary.resolve("killed"));
        Path out = folder.resolve("out");
        Map<String, Integer> found = new TreeMap<>();
        int ends = 0;
        int killed = 0;
        while (killed < kills) {
            Moment moment = moments.get(random.nextInt(moments.size()));
            String where = "seed " + seed + ", " + name + ", kill " + (killed + 1) + ", " + moment;
            if (killed(start(command.writing(out), log), moment, folder, all)) {
                killed++;
                found.merge(state(folder), 1, Integer::sum);
                if (Files.exists(out)) {
                    assertThat(DirectoryContent.of(out)).as(where).isEqualTo(expected);
                }
            } else {
                assertThat(Files.exists(out))
                        .as(where + ": " + Files.readString(log))
                        .isTrue();
            }
            if (Files.exists(out) && !Files.exists(folder.resolve("out.partial"))) {
                ends++;
                check(where, folder, expected);
            }
            for (String left : DirectoryContent.names(folder)) {
                if (left.matches(HIDDEN)) {
                    delete(folder.resolve(left));
                }
            }
        }
        if (!Files.exists(out) || Files.exists(folder.resolve("out.partial"))) {
            int last = start(command.writing(out), log).waitFor();
            assertThat(last).as("seed " + seed + ": " + Files.readString(log)).isZero();
        }
        check("seed " + seed + ", the end", folder, expected);
        System.out.println(name + ": " + killed + " kills, " + (ends + 1)
                + " times to the end with the same bytes; found after kills: " + found);
    }

    /** The result is whole and nothing but hidden temporaries beside it; then they go, for the next time. */
    private static void check(String where, Path folder, Map<String, String> expected) throws IOException {
        assertThat(DirectoryContent.of(folder.resolve("out"))).as(where).isEqualTo(expected);
        assertThat(DirectoryContent.names(folder)).as(where).allMatch(n -> n.equals("out") || n.matches(HIDDEN));
        delete(folder);
        Files.createDirectory(folder);
    }

    private static void delete(Path path) throws IOException {
        if (Files.isDirectory(path)) {
            for (String name : DirectoryContent.names(path)) {
                delete(path.resolve(name));
            }
        }
        Files.delete(path);
    }

    private Process start(List<String> command, Path log) throws IOException {
        List<String> all = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-XX:+UseSerialGC",
                "-Xmx512m",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName()));
        all.addAll(command);
        return new ProcessBuilder(all)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
    }

    /** Kills a process, or says that it came to its end before. */
    private boolean killed(Process process, Moment moment, Path folder, long all) throws Exception {
        long before = System.nanoTime();
        while (moment.file == null
                ? DirectoryContent.names(folder).isEmpty()
                : !Files.exists(folder.resolve(moment.file))) {
            if (process.waitFor(200, TimeUnit.MICROSECONDS)) {
                return false;
            }
            assertThat(System.nanoTime() - before).as("seed " + seed).isLessThan(TimeUnit.MINUTES.toNanos(5));
        }
        if (process.waitFor(random.nextLong((long) (all * moment.share)), TimeUnit.NANOSECONDS)) {
            return false;
        }
        process.destroyForcibly();
        return process.waitFor() != 0;
    }

    /** What a kill left, in words. */
    private static String state(Path folder) throws IOException {
        Path partial = folder.resolve("out.partial");
        if (Files.exists(folder.resolve("out"))) {
            return Files.exists(partial) ? "the result, work not yet removed" : "the result alone";
        }
        if (!Files.exists(partial)) {
            return DirectoryContent.names(folder).isEmpty() ? "nothing" : "a hidden temporary";
        }
        List<String> names = DirectoryContent.names(partial);
        long blocks =
                names.stream().filter(n -> n.matches("block-\\d+\\.arrow")).count();
        return names.contains("model") ? "a model half put together" : blocks + " finished blocks";
    }
}
