package dev.gosset.llm.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.gosset.core.FaultyDisk;
import dev.gosset.core.FaultyDisk.Fault;
import dev.gosset.core.GossetException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.model.Model;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Hidden states that lie in a file: its place on the disk is taken before it is mapped, and nothing of it remains. */
final class CalibrationActivationsTest {
    @TempDir
    private Path temporary;

    @Test
    void aFileWithoutANameThatIsWrittenBeforeItIsMapped() {
        List<int[]> sequences = List.of(new int[] {1, 5, 9, 7}, new int[] {1, 8});
        try (Model model = Model.open(TinyModels.directory("llama"));
                ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team)) {
            FaultyDisk disk = new FaultyDisk();
            try (CalibrationActivations file =
                    new CalibrationActivations(model.transformer(), sequences, disk.path(temporary), 0)) {
                file.advance(model.transformer().block(0), Map.of(), workspace, () -> {});
                assertThat(file.longest()).isEqualTo(4);
                assertThat(temporary.toFile().list()).isEmpty();
                assertThat(disk.changes())
                        .containsExactly("CREATE activations.tmp", "WRITE activations.tmp", "DELETE activations.tmp");
            }
            for (int change = 0; change < 3; change++) {
                for (Fault fault : List.of(Fault.FULL, Fault.DENIED, Fault.INTERRUPTED, Fault.OUT_OF_MEMORY)) {
                    disk.fail(change, fault);
                    Throwable failure = catchThrowable(
                            () -> new CalibrationActivations(model.transformer(), sequences, disk.path(temporary), 0)
                                    .close());
                    boolean interrupted = Thread.interrupted();
                    disk.repair();
                    String where = fault + " at " + change;
                    if (interrupted && change == 2) {
                        assertThat(failure).as(where).isNull();
                    } else {
                        assertThat(failure)
                                .as(where)
                                .isInstanceOf(
                                        fault == Fault.OUT_OF_MEMORY ? OutOfMemoryError.class : GossetException.class);
                    }
                    boolean undeletable = change == 2 && !interrupted;
                    if (undeletable) {
                        assertThat(temporary.resolve("activations.tmp").toFile().delete())
                                .as(where)
                                .isTrue();
                    }
                    assertThat(temporary.toFile().list()).as(where).isEmpty();
                }
            }
        }
    }
}
