package dev.gosset.core.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.gosset.core.FaultyDisk;
import dev.gosset.core.GossetException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class CrashSafeFileTest {
    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);

    @TempDir
    Path dir;

    private List<Path> files() throws IOException {
        try (Stream<Path> list = Files.list(dir)) {
            return list.sorted().toList();
        }
    }

    private byte[] bytes(int n) {
        byte[] b = new byte[n];
        random.nextBytes(b);
        return b;
    }

    @Test
    void appearsOnlyAtTheCommit() throws IOException {
        Path target = dir.resolve("out.bin");
        Files.writeString(target, "old");
        byte[] a = bytes(1000);
        byte[] b = bytes(77);
        try (Arena arena = Arena.ofConfined();
                CrashSafeFile file = CrashSafeFile.create(target)) {
            file.append(arena.allocate(1000).copyFrom(MemorySegment.ofArray(a)));
            file.align(64);
            assertThat(file.position()).isEqualTo(1024);
            file.align(64);
            file.append(MemorySegment.ofArray(b));
            file.writeAt(1000, MemorySegment.ofArray(new byte[] {7}));
            assertThat(file.position()).isEqualTo(1101);
            assertThat(target).hasContent("old");
            assertThat(files()).hasSize(2);
            file.commit();
            assertThatThrownBy(file::commit).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> file.append(MemorySegment.ofArray(b))).isInstanceOf(IllegalStateException.class);
        }
        assertThat(files()).containsExactly(target);
        byte[] got = Files.readAllBytes(target);
        assertThat(got).hasSize(1101).startsWith(a).endsWith(b);
        assertThat(got[1000]).isEqualTo((byte) 7);
        assertThat(got[1001]).isZero();
    }

    @Test
    void leavesNothingWithoutACommit() throws IOException {
        Path target = dir.resolve("out.bin");
        assertThatThrownBy(() -> {
                    try (CrashSafeFile file = CrashSafeFile.create(target)) {
                        file.append(MemorySegment.ofArray(bytes(100)));
                        throw new ArithmeticException("the producer failed");
                    }
                })
                .isInstanceOf(ArithmeticException.class);
        assertThat(files()).isEmpty();
    }

    private static void writeFour(Path target, byte[] bytes) {
        try (CrashSafeFile file = CrashSafeFile.create(target)) {
            for (int i = 0; i < 4; i++) {
                file.append(MemorySegment.ofArray(bytes).asSlice(1000L * i, 1000));
            }
            file.commit();
        }
    }

    /** Each change of the disk fails in turn, in each way: the old file or the new one, and nothing beside it. */
    @ParameterizedTest
    @EnumSource(FaultyDisk.Fault.class)
    void theOldFileOrTheNewOneWhateverFails(FaultyDisk.Fault fault) throws IOException {
        byte[] all = bytes(4000);
        Path target = dir.resolve("out.bin");
        // Create, four writes, sync, rename, sync of the directory.
        for (int change = 0; change < 8; change++) {
            String where = "seed " + seed + " change " + change + " " + fault;
            Files.writeString(target, "old");
            FaultyDisk disk = new FaultyDisk();
            disk.fail(change, fault);
            Throwable thrown = catchThrowable(() -> writeFour(disk.path(target), all));
            // A rename cannot be interrupted; what follows it can.
            boolean renamed = change == 7 || thrown == null || change == 6 && fault == FaultyDisk.Fault.INTERRUPTED;
            assertThat(Files.readAllBytes(target))
                    .as(where)
                    .asString(StandardCharsets.ISO_8859_1)
                    .isEqualTo(renamed ? new String(all, StandardCharsets.ISO_8859_1) : "old");
            Class<?> expected = switch (fault) {
                case OUT_OF_MEMORY -> OutOfMemoryError.class;
                case KILLED, POWER -> FaultyDisk.Killed.class;
                default -> GossetException.class;
            };
            assertThat(thrown == null).as(where).isEqualTo(fault == FaultyDisk.Fault.SHORT);
            if (thrown != null) {
                assertThat(thrown).as(where).isInstanceOf(expected);
            }
            assertThat(Thread.interrupted()).as(where).isEqualTo(fault == FaultyDisk.Fault.INTERRUPTED);
            if (thrown instanceof GossetException) {
                assertThat(thrown.getMessage())
                        .as(where)
                        .contains(target.toString())
                        .hasLineCount(1);
            }
            boolean canClean = switch (fault) {
                case KILLED, POWER, READ_ONLY -> change == 0 || renamed;
                default -> true;
            };
            if (canClean) {
                assertThat(files()).as(where).containsExactly(target);
            }
            for (Path left : files()) {
                assertThat(left.equals(target) || left.getFileName().toString().matches("\\.out\\.bin\\..*\\.tmp"))
                        .as(where)
                        .isTrue();
                Files.delete(left);
            }
        }
    }

    @Test
    void saysHowMuchAFullDiskTookAndHowMuchIsMissing() {
        FaultyDisk disk = new FaultyDisk();
        disk.fail(3, FaultyDisk.Fault.FULL);
        assertThatThrownBy(() -> writeFour(disk.path(dir.resolve("out.bin")), bytes(4000)))
                .isInstanceOf(GossetException.class)
                .hasMessageContainingAll(
                        dir.resolve("out.bin").toString(),
                        "No space left on device",
                        "2000 bytes were written, at least 1000 more",
                        "free");
    }

    /** Once it has returned, nothing takes the file away again. */
    @Test
    void survivesALossOfPower() throws IOException {
        byte[] all = bytes(4000);
        FaultyDisk disk = new FaultyDisk();
        writeFour(disk.path(dir.resolve("out.bin")), all);
        disk.losePower();
        assertThat(files()).containsExactly(dir.resolve("out.bin"));
        assertThat(dir.resolve("out.bin")).hasBinaryContent(all);
    }

    @Test
    void refusesEarlyWhatCannotFit() throws IOException {
        CrashSafeFile file = CrashSafeFile.create(dir.resolve("out.bin"));
        file.requireSpace(1);
        assertThatThrownBy(() -> file.requireSpace(Long.MAX_VALUE))
                .isInstanceOf(GossetException.class)
                .hasMessageContainingAll("out.bin", "needs " + Long.MAX_VALUE, "free");
        assertThat(files()).isEmpty();
    }

    @Test
    void namesWhatIsWrongWithThePlace() throws IOException {
        assertThatThrownBy(() -> CrashSafeFile.create(dir.resolve("no/out.bin")))
                .isInstanceOf(GossetException.class)
                .hasMessageContaining("no directory");
        assertThatThrownBy(() -> CrashSafeFile.create(dir))
                .isInstanceOf(GossetException.class)
                .hasMessageContaining("is a directory");
        // A directory that takes the name meanwhile: the rename fails and the temporary file goes.
        Path target = dir.resolve("out.bin");
        CrashSafeFile file = CrashSafeFile.create(target);
        Files.createDirectories(target.resolve("sub"));
        assertThatThrownBy(file::commit).isInstanceOf(GossetException.class).hasMessageContaining("out.bin");
        assertThat(files()).containsExactly(target);
    }

    @Test
    void anInterruptedProcessLeavesNothing() throws Exception {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Endless.class.getName(),
                        dir.resolve("out.bin").toString())
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        assertThat(process.getInputStream().read()).isEqualTo('x');
        assertThat(files()).hasSize(1);
        process.destroy(); // SIGTERM
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        assertThat(files()).isEmpty();
    }

    /** Writes and waits to be ended. */
    static final class Endless {
        private Endless() {}

        public static void main(String[] args) throws InterruptedException {
            try (CrashSafeFile file = CrashSafeFile.create(Path.of(args[0]))) {
                file.append(MemorySegment.ofArray(new byte[100]));
                System.out.write('x');
                System.out.flush();
                Thread.sleep(60_000);
                file.commit();
            }
        }
    }
}
