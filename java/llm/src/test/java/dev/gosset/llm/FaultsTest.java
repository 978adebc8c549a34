package dev.gosset.llm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.gosset.core.FaultyDisk;
import dev.gosset.core.FaultyDisk.Fault;
import dev.gosset.core.FaultyDisk.Killed;
import dev.gosset.core.GossetException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.convert.ModelConversion;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.quantize.Finetuning;
import dev.gosset.llm.quantize.FinetuningRun;
import dev.gosset.llm.quantize.HessianCollection;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationSettings;
import dev.gosset.llm.weights.ModelDirectory.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Whatever writes a directory, with each change of the disk failing in turn, in each way that {@link FaultyDisk} knows:
 * nothing looks whole that is not, nothing is left that should not be, and the next run gives what an unbroken one gives.
 *
 * <p>A build takes some of the changes and faults, others each time; {@code -Dgosset.faults=all} ({@code make fault-test})
 * takes all.
 */
final class FaultsTest {
    private static final boolean ALL = "all".equals(System.getProperty("gosset.faults"));
    /** Of a build: how many writes get each fault, and which share of the faults every other change gets. */
    private static final int SOME_WRITES = 3;

    private static final double SOME_FAULTS = 0.3;

    private static final List<String> POINTS = new ArrayList<>();

    @TempDir
    private Path temporary;

    private final long seed = new Random().nextLong();
    private final ThreadTeam team = new ThreadTeam(1);
    private Path text;

    /** Writes {@code out}, for the first time or again after a failure. */
    private interface Job {
        void run(Path out, boolean again);
    }

    @BeforeEach
    void writeText() throws IOException {
        text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(seed, 300));
    }

    @AfterEach
    void closeTeam() {
        team.close();
    }

    @AfterAll
    static void say() {
        System.out.println("points at which a change of the disk failed: " + String.join(", ", POINTS));
    }

    @Test
    void quantize() throws IOException {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        QuantizationSettings settings = new QuantizationSettings(
                RoundingSettings.of(Codebook.ofBits(2)).withGreedyPasses(0), 1, calibration(), null);
        everyFault(
                "quantize",
                (out, again) -> QuantizationPipeline.run(model, out, settings, again, team, Progress.NONE),
                true);
    }

    /** Blocks tuned between the roundings of their linears, then the whole model. */
    @Test
    void quantizeAndTune() throws IOException {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        TuningSettings tuning = new TuningSettings(1, 2, 2e-3, 2e-3, 0);
        QuantizationSettings settings = new QuantizationSettings(
                RoundingSettings.of(Codebook.ofBits(2)).withGreedyPasses(0),
                1,
                calibration(),
                null,
                new Finetuning(null, 4, tuning, tuning));
        everyFault(
                "quantize and tune",
                (out, again) -> QuantizationPipeline.run(model, out, settings, again, team, Progress.NONE),
                true);
    }

    @Test
    void finetune() throws IOException {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Path quantized = temporary.resolve("quantized");
        QuantizationPipeline.run(
                model,
                quantized,
                new QuantizationSettings(
                        RoundingSettings.of(Codebook.ofBits(2)).withGreedyPasses(0), 1, calibration(), null),
                false,
                team,
                Progress.NONE);
        everyFault(
                "finetune",
                (out, again) -> FinetuningRun.run(
                        quantized,
                        model,
                        quantized,
                        new CalibrationText(text, 4, 16),
                        new TuningSettings(2, 2, 2e-3, 2e-3, 0),
                        out,
                        again,
                        team,
                        Progress.NONE),
                true);
    }

    @Test
    void hessian() throws IOException {
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        everyFault(
                "hessian",
                (out, again) -> HessianCollection.run(model, calibration(), out, team, Progress.NONE),
                false);
    }

    @Test
    void convert() throws IOException {
        Path published = new SyntheticCheckpoint(
                        SyntheticCheckpoint.Shape.SMALL, Codebook.ofBits(3), QidxsLayout.TILES, 1, 20)
                .write(temporary.resolve("published"));
        Path own = temporary.resolve("own");
        everyFault(
                "gosset", (out, again) -> ModelConversion.run(published, out, Kind.GOSSET, team, Progress.NONE), false);
        ModelConversion.run(published, own, Kind.GOSSET, team, Progress.NONE);
        everyFault(
                "quip-sharp",
                (out, again) -> ModelConversion.run(own, out, Kind.QUIP_SHARP, team, Progress.NONE),
                false);
    }

    private CalibrationText calibration() {
        return new CalibrationText(text, 2, 16);
    }

    private void everyFault(String name, Job job, boolean resumes) throws IOException {
        Path folder = Files.createDirectory(temporary.resolve(name + "-runs"));
        FaultyDisk counting = new FaultyDisk();
        Path unbroken = Files.createDirectory(folder.resolve("unbroken"));
        job.run(counting.path(unbroken.resolve("deep/out")), false);
        List<String> changes = List.copyOf(counting.changes());
        counting.losePower();
        Map<String, String> expected = DirectoryContent.of(unbroken.resolve("deep/out"));
        assertThat(expected).as("after a loss of power").isNotEmpty();
        assertThat(DirectoryContent.names(unbroken.resolve("deep")))
                .as("after a loss of power")
                .containsExactly("out");

        Random random = new Random(seed);
        int points = 0;
        // Of many changes a smaller share: a build has minutes.
        double some = Math.min(SOME_FAULTS, 225.0 / changes.size());
        double writes = changes.stream().filter(c -> c.startsWith("WRITE")).count();
        for (int change = 0; change < changes.size(); change++) {
            for (Fault fault : Fault.values()) {
                boolean write = changes.get(change).startsWith("WRITE");
                if (fault == Fault.SHORT && !write
                        || !ALL && random.nextDouble() >= (write ? SOME_WRITES / writes : some)) {
                    continue;
                }
                points++;
                String where = name + ", seed " + seed + ", " + fault + " at change " + change + " of " + changes.size()
                        + ", " + changes.get(change);
                one(
                        where,
                        Files.createDirectory(folder.resolve(change + "-" + fault)),
                        job,
                        change,
                        fault,
                        resumes,
                        expected);
            }
        }
        POINTS.add(name + " " + points + " (" + changes.size() + " changes)");
    }

    private void one(
            String where, Path folder, Job job, int change, Fault fault, boolean resumes, Map<String, String> expected)
            throws IOException {
        FaultyDisk disk = new FaultyDisk();
        Path out = disk.path(folder.resolve("deep/out"));
        Path realOut = folder.resolve("deep/out");
        disk.fail(change, fault);
        Throwable failure = catchThrowable(() -> job.run(out, false));
        boolean interrupted = Thread.interrupted();
        String last = disk.changes().get(Math.min(change, disk.changes().size() - 1));
        disk.repair();

        // What the user is told.
        if (failure == null) {
            // Half a write is none; and the JDK makes a directory again, and does not look at interrupts everywhere.
            // Times that
            // stand in a file make it longer or shorter by a write.
            assertThat(fault == Fault.SHORT
                            || interrupted
                            || last.startsWith("MAKE_DIRECTORY")
                            || change >= disk.changes().size())
                    .as(where)
                    .isTrue();
            assertThat(realOut).as(where).exists();
        } else {
            assertThat(failure)
                    .as(where)
                    .isInstanceOf(
                            switch (fault) {
                                case OUT_OF_MEMORY -> OutOfMemoryError.class;
                                case KILLED, POWER -> Killed.class;
                                default -> GossetException.class;
                            });
            if (failure instanceof GossetException) {
                assertThat(failure.getMessage()).as(where).hasLineCount(1).contains(temporary.toString());
            }
        }

        // What looks whole is whole.
        boolean there =
                Files.exists(realOut) && !DirectoryContent.names(realOut).isEmpty();
        if (there) {
            assertThat(DirectoryContent.of(realOut)).as(where).isEqualTo(expected);
        }

        // Where something could be removed nothing is left but finished blocks and the place where they lie.
        boolean couldClean = switch (fault) {
            case KILLED, POWER, READ_ONLY -> false;
            case DENIED -> !last.startsWith("DELETE");
            default -> true;
        };
        Path partial = folder.resolve("deep/out.partial");
        if (couldClean) {
            List<String> left = new ArrayList<>();
            if (Files.exists(folder.resolve("deep"))) {
                left.addAll(DirectoryContent.names(folder.resolve("deep")));
            }
            left.remove("out");
            if (resumes && Files.exists(partial)) {
                left.remove("out.partial");
                assertThat(there || DirectoryContent.names(partial).stream().anyMatch(n -> n.endsWith(".arrow")))
                        .as(where)
                        .isTrue();
                try (Stream<Path> inside = Files.walk(partial)) {
                    assertThat(inside).as(where).noneMatch(p -> p.toString().endsWith(".tmp"));
                }
            }
            assertThat(left).as(where).isEmpty();
            assertThat(there
                            || Files.exists(partial)
                            || DirectoryContent.names(folder).isEmpty())
                    .as(where + ": parents that were made")
                    .isTrue();
        }

        // The next run.
        if (resumes || !there) {
            job.run(out, true);
        }
        assertThat(DirectoryContent.of(realOut)).as(where + ", run again").isEqualTo(expected);
        List<String> beside = DirectoryContent.names(folder.resolve("deep"));
        if (!resumes && !couldClean) {
            beside.removeIf(n -> n.matches("\\.out\\.[0-9a-f]{16}\\.tmp"));
        }
        assertThat(beside).as(where + ", run again").containsExactly("out");
    }
}
