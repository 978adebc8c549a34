package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.GossetException;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.nibbles.NibbleMatvec;
import dev.gosset.core.kernel.oracle.ScalarTransform;
import dev.gosset.core.kernel.points.VectorMatvec;
import dev.gosset.core.kernel.tables.TableMatvec;
import dev.gosset.core.kernel.transform.VectorTransform;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelsTest {
    @TempDir
    Path folder;

    /** Run in a child JVM: prints what was selected and transforms a little with it. */
    public static final class Child {
        private Child() {}

        public static void main(String[] args) {
            Kernels kernels = Kernels.selected();
            Kernels.selected();
            HadamardTransform u = HadamardTransform.of(4);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment x = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1, 2, 3, 4);
                kernels.transform()
                        .apply(
                                u,
                                false,
                                x,
                                1,
                                arena.allocate(kernels.transform().scratchBytes(u)));
                System.out.println("name " + kernels.name() + " first " + x.get(ValueLayout.JAVA_FLOAT, 0));
            }
            for (String line : Kernels.selection()) {
                System.out.println(line);
            }
            try {
                Kernels.requireVectorApi("a model");
            } catch (GossetException e) {
                System.out.println(e.getMessage());
            }
        }
    }

    private record Run(int exit, List<String> out, List<String> err) {}

    private Run child(String... flags) throws IOException, InterruptedException {
        Path out = folder.resolve("out");
        Path err = folder.resolve("err");
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-cp", System.getProperty("java.class.path")));
        // What is logged, on one line.
        command.add("-Djava.util.logging.SimpleFormatter.format=%4$s: %5$s%n");
        command.addAll(List.of(flags));
        command.add(Child.class.getName());
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().keySet().removeAll(List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"));
        int exit = builder.redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start()
                .waitFor();
        return new Run(exit, lines(out), lines(err));
    }

    private static List<String> lines(Path file) throws IOException {
        try (Stream<String> lines = Files.lines(file, StandardCharsets.UTF_8)) {
            return lines.filter(l -> !l.startsWith("WARNING: Using incubator modules"))
                    .toList();
        }
    }

    @Test
    void withoutTheModuleAutoFallsToScalarAndSaysSoOnce() throws Exception {
        Run run = child();
        assertThat(run.exit()).as(run.toString()).isZero();
        assertThat(run.err()).hasSize(1);
        assertThat(run.err().get(0)).contains("WARNING").contains("--add-modules jdk.incubator.vector");
        assertThat(run.out()).hasSize(4);
        assertThat(run.out().get(3)).startsWith("a model has no scalar form").contains("--add-modules jdk.incubator");
        assertThat(run.out().get(0)).isEqualTo("name scalar first 5.0");
        assertThat(run.out().get(1)).startsWith("vector: rejected").contains("--add-modules jdk.incubator.vector");
        assertThat(run.out().get(2)).startsWith("scalar: chosen");
    }

    @Test
    void withoutTheModuleScalarIsQuiet() throws Exception {
        Run run = child("-Dgosset.kernels=scalar");
        assertThat(run.exit()).as(run.toString()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out().get(0)).isEqualTo("name scalar first 5.0");
        assertThat(run.out().get(1)).isEqualTo("vector: rejected, gosset.kernels=scalar");
    }

    /** Half of a model would run on vectors all the same. */
    @Test
    void forcedScalarRefusesWhatHasNoScalarForm() throws Exception {
        Run run = child(
                "--add-modules",
                "jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-Dgosset.kernels=scalar");
        assertThat(run.exit()).as(run.toString()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out())
                .containsExactly(
                        "name scalar first 5.0",
                        "vector: rejected, gosset.kernels=scalar",
                        "scalar: chosen, gosset.kernels=scalar",
                        "a model has no scalar form and the vector kernels are not used: gosset.kernels=scalar");
    }

    @Test
    void withoutTheModuleForcedVectorThrows() throws Exception {
        Run run = child("-Dgosset.kernels=vector");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(String.join("\n", run.err()))
                .contains("GossetException")
                .contains("gosset.kernels=vector")
                .contains("--add-modules jdk.incubator.vector");
    }

    @Test
    void withTheModuleAutoTakesVector() throws Exception {
        Run run = child("--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED");
        assertThat(run.exit()).as(run.toString()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out().get(0)).isEqualTo("name vector first 5.0");
        assertThat(run.out().get(1)).matches("vector: chosen, \\d+ bit vectors");
        assertThat(run.out().get(2)).startsWith("matvec: ");
        assertThat(run.out().get(3)).startsWith("scalar: rejected");
    }

    @Test
    void narrowVectorsTakeNibbleTables() throws Exception {
        for (int bytes : new int[] {16, 32}) {
            Run run = child(
                    "--add-modules",
                    "jdk.incubator.vector",
                    "--enable-native-access=ALL-UNNAMED",
                    "-XX:MaxVectorSize=" + bytes);
            assertThat(run.exit()).as(run.toString()).isZero();
            assertThat(run.out().get(2))
                    .isEqualTo("matvec: nibble tables, 128 bit vectors; product tables rejected, vectors of "
                            + 8 * bytes + " bits, 512 are needed");
        }
    }

    @Test
    void productsCanBeForced() {
        assertThat(VectorKernels.create("nibbles").kernels().matvec()).isInstanceOf(NibbleMatvec.class);
        assertThat(VectorKernels.create("points").kernels().matvec()).isInstanceOf(VectorMatvec.class);
    }

    @Test
    void withoutNativeAccessAutoFallsToScalar() throws Exception {
        Run run = child("--add-modules", "jdk.incubator.vector", "--illegal-native-access=deny");
        assertThat(run.exit()).as(run.toString()).isZero();
        assertThat(run.err()).hasSize(1);
        assertThat(run.err().get(0)).contains("--enable-native-access=ALL-UNNAMED");
        assertThat(run.out().get(0)).isEqualTo("name scalar first 5.0");
    }

    @Test
    void withoutTheOptimizingCompilerAutoFallsToScalar() throws Exception {
        Run run = child("--add-modules", "jdk.incubator.vector", "-XX:TieredStopAtLevel=1");
        assertThat(run.exit()).as(run.toString()).isZero();
        assertThat(run.err()).hasSize(1);
        assertThat(run.err().get(0)).contains("optimizing compiler");
        assertThat(run.out().get(0)).isEqualTo("name scalar first 5.0");
    }

    @Test
    void refusesAnUnknownFamily() {
        assertThatThrownBy(() -> KernelSelection.of("sse", null))
                .isInstanceOf(GossetException.class)
                .hasMessage("gosset.kernels=sse: expected auto, scalar or vector");
    }

    @Test
    void takesTheFastestProductsThatCanRun() {
        VectorKernels.Choice choice = VectorKernels.fastest(null, null, null);
        assertThat(choice.matvec()).isEqualTo("matvec: product tables, 512 bit vectors with VBMI");
        choice = VectorKernels.fastest("the processor has no avx512vbmi", null, null);
        assertThat(choice.kernels().matvec()).isInstanceOf(TableMatvec.class);
        assertThat(choice.matvec())
                .isEqualTo("matvec: product tables by words; by bytes rejected, the processor has no avx512vbmi");
        choice = VectorKernels.fastest("no bytes", "vectors of 256 bits, 512 are needed", null);
        assertThat(choice.kernels().matvec()).isInstanceOf(NibbleMatvec.class);
        assertThat(choice.matvec())
                .isEqualTo(
                        "matvec: nibble tables, 128 bit vectors; product tables rejected, vectors of 256 bits, 512 are"
                                + " needed");
        choice = VectorKernels.fastest("no bytes", "no words", "a big-endian machine");
        assertThat(choice.kernels().matvec()).isInstanceOf(VectorMatvec.class);
        assertThat(choice.matvec())
                .isEqualTo(
                        "matvec: point tables; product tables rejected, no words; nibble tables, a big-endian machine");
    }

    @Test
    void refusesUnknownProducts() {
        assertThatThrownBy(() -> VectorKernels.create("bytes"))
                .isInstanceOf(GossetException.class)
                .hasMessage("gosset.matvec=bytes: expected auto, tables, words, nibbles or points");
    }

    @Test
    void thisJvmRunsTheVectorKernels() {
        assertThat(Kernels.selected().name()).isEqualTo("vector");
        assertThat(Kernels.selected().transform()).isInstanceOf(VectorTransform.class);
        assertThat(Kernels.selected()).isSameAs(Kernels.selected());
        assertThat(Kernels.scalar().transform()).isInstanceOf(ScalarTransform.class);
    }
}
