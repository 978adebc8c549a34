package dev.gosset.core.kernel.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.kernel.dense.ByteProduct;
import dev.gosset.core.kernel.dense.DenseProduct;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Who closes an arena under a product gets an exception, and the JVM lives on. */
class OpenMemoryTest {
    private static final int SIZE = 4096;

    @TempDir
    Path folder;

    @Test
    void whatIsThrownInsideComesOut() {
        MemorySegment any = Arena.global().allocate(8);
        for (Throwable thrown : List.of(new IllegalArgumentException("a"), new OutOfMemoryError("b"))) {
            assertThatThrownBy(() -> OpenMemory.during(any, any, any, any, () -> {
                        OpenMemory.during(any, any, any, any, () -> {});
                        OpenMemoryTest.<RuntimeException>raise(thrown);
                    }))
                    .isSameAs(thrown);
        }
        int[] runs = {0};
        OpenMemory.during(any, any, any, any, () -> runs[0]++);
        assertThat(runs[0]).isEqualTo(1);
    }

    @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
    private static <T extends Throwable> void raise(Throwable t) throws T {
        throw (T) t;
    }

    @Test
    @SuppressWarnings("MustBeClosedChecker")
    void arenasStayOpen() {
        for (int which = 0; which < 4; which++) {
            Arena arena = Arena.ofShared();
            MemorySegment[] s = new MemorySegment[4];
            for (int i = 0; i < 4; i++) {
                s[i] = (i == which ? arena : Arena.global()).allocate(8);
            }
            OpenMemory.during(
                    s[0],
                    s[1],
                    s[2],
                    s[3],
                    () -> assertThatThrownBy(arena::close).isInstanceOf(IllegalStateException.class));
            arena.close();
            assertThatThrownBy(() -> OpenMemory.during(s[0], s[1], s[2], s[3], () -> {}))
                    .isInstanceOf(IllegalStateException.class);
        }
    }

    /** Closes the arena of the weights under each kind of product, several times. */
    static final class Child {
        public static void main(String[] args) throws InterruptedException {
            try (ThreadTeam team = new ThreadTeam(2)) {
                for (int round = 0; round < 9; round++) {
                    closeUnder(round % 3, team);
                }
            }
            System.out.println("alive");
        }

        @SuppressWarnings("MustBeClosedChecker")
        private static void closeUnder(int kind, ThreadTeam team) throws InterruptedException {
            Arena arena = Arena.ofShared();
            Arena own = Arena.ofShared();
            FloatMatrix x = FloatMatrix.allocate(own, 3, SIZE);
            FloatMatrix y = FloatMatrix.allocate(own, 3, SIZE);
            Workspace workspace = new Workspace(team);
            BiConsumer<FloatMatrix, FloatMatrix> product = product(kind, arena, workspace);
            Throwable[] thrown = new Throwable[1];
            Thread other = new Thread(() -> {
                try {
                    for (int i = 0; ; i++) {
                        int rows = 1 + i % 3;
                        product.accept(x.rows(0, rows), y.rows(0, rows));
                    }
                } catch (Throwable t) {
                    thrown[0] = t;
                }
            });
            other.start();
            Thread.sleep(50);
            boolean closed = false;
            while (!closed) {
                try {
                    arena.close();
                    closed = true;
                } catch (IllegalStateException e) {
                    Thread.onSpinWait();
                }
            }
            other.join();
            if (!(thrown[0] instanceof IllegalStateException)) {
                throw new IllegalStateException("found", thrown[0]);
            }
            workspace.close();
            own.close();
        }

        private static BiConsumer<FloatMatrix, FloatMatrix> product(int kind, Arena arena, Workspace workspace) {
            if (kind == 0) {
                CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(2), SIZE, SIZE);
                QuantizedLinear linear = new QuantizedLinear(
                        codes,
                        arena.allocate(2L * SIZE),
                        arena.allocate(2L * SIZE),
                        List.of(new QuantizedLinear.Part("a", SIZE, 1)));
                Kernels kernels = Kernels.selected();
                QuantizedProduct product = new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena);
                return (x, y) -> product.apply(x, y, workspace);
            }
            Tensor weight = new Tensor(
                    "w",
                    Dtype.F16,
                    List.of((long) SIZE, (long) SIZE),
                    arena.allocate(2L * SIZE * SIZE),
                    Path.of("zeros"));
            if (kind == 1) {
                DenseProduct product = new DenseProduct(weight);
                return (x, y) -> product.apply(x, y, 0, workspace);
            }
            ByteProduct product = new ByteProduct(weight, arena, workspace.team());
            return (x, y) -> product.apply(x, y, workspace);
        }
    }

    @Test
    void theJvmLivesOn() throws Exception {
        Path log = folder.resolve("log");
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-cp", System.getProperty("java.class.path")));
        command.addAll(List.of("--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"));
        command.addAll(List.of("-XX:ErrorFile=" + folder.resolve("error"), Child.class.getName()));
        int exit = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start()
                .waitFor();
        assertThat(exit).as(Files.readString(log)).isZero();
        assertThat(Files.readString(log)).contains("alive");
    }
}
