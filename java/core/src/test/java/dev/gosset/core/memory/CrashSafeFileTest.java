package dev.gosset.core.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.GossetException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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

    @Test
    void leavesNothingOnAFullDisk() throws IOException {
        Path target = dir.resolve("out.bin");
        Files.writeString(target, "old");
        int limit = random.nextInt(3000);
        long[] written = {0};
        CrashSafeFile file = CrashSafeFile.create(target, (channel, chunk, position) -> {
            if (written[0] >= limit) {
                throw new IOException("No space left on device");
            }
            chunk.limit((int) Math.min(chunk.limit(), chunk.position() + limit - written[0]));
            int n = channel.write(chunk, position);
            written[0] += n;
            return n;
        });
        // A disk that takes fewer bytes than it is given must still get all of them; one that is full must say so.
        assertThatThrownBy(() -> {
                    for (int i = 0; i < 4; i++) {
                        file.append(MemorySegment.ofArray(bytes(1000)));
                    }
                })
                .as("seed " + seed)
                .isInstanceOf(GossetException.class)
                .hasMessageContainingAll(
                        target.toString(),
                        "No space left on device",
                        limit / 1000 * 1000 + " bytes were written, at least " + (1000 - limit % 1000) + " more",
                        "free")
                .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
        file.close();
        assertThat(files()).containsExactly(target);
        assertThat(target).hasContent("old");
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
