package dev.gosset.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** What a person reads where there is no device, each time in a fresh JVM. */
class CudaLibraryTest {
    private static final Path REAL = Path.of("../../native/target/libgosset_cuda.so");

    /** Prints the sentence, and what a forced choice of a device throws. */
    public static void main(String[] arguments) {
        System.out.println(CudaLibrary.description());
        try {
            CudaLibrary.require();
            System.out.println("usable");
        } catch (CudaException e) {
            System.out.println(e.getMessage());
        }
    }

    private static List<String> run(String... flags) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.add("-XX:+DisplayVMOutputToStderr");
        command.addAll(List.of(flags));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), CudaLibraryTest.class.getName()));
        Path output = Files.createTempFile("gosset-cuda", ".txt");
        Process process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .redirectOutput(output.toFile())
                .start();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        // The JVM warns on stdout of a file without an executable stack's mark; that is none of our lines.
        List<String> lines = Files.readAllLines(output).stream()
                .filter(l -> !l.startsWith("OpenJDK") && !l.startsWith("It's highly recommended"))
                .toList();
        Files.delete(output);
        assertThat(process.exitValue()).as(lines.toString()).isZero();
        assertThat(lines).hasSize(2);
        return lines;
    }

    @Test
    void aMissingLibraryIsOneSentence() throws Exception {
        List<String> lines = run("-Dgosset.cuda.library=/nowhere/libgosset_cuda.so");
        assertThat(lines.getFirst())
                .isEqualTo(
                        "no CUDA: libgosset_cuda.so was not found as /nowhere/libgosset_cuda.so; `make native` builds"
                                + " it, -Dgosset.cuda.library names it");
        assertThat(lines.getLast()).isEqualTo(lines.getFirst());
    }

    @Test
    void aFileThatIsNoLibraryIsOneSentence() throws Exception {
        Path text = Files.writeString(Files.createTempFile("gosset-cuda", ".so"), "no library");
        assertThat(run("-Dgosset.cuda.library=" + text).getFirst())
                .startsWith("no CUDA: " + text + " cannot be loaded:");
        Files.delete(text);
    }

    @Test
    void theEmulationIsRefused() throws Exception {
        Emulation.requireNoDevice();
        assertThat(run("-Dgosset.cuda.library=" + Emulation.library()))
                .allMatch(line -> line.endsWith("is the emulation and not a device"));
    }

    @Test
    void theRealLibraryLoadsWithoutADriver() throws Exception {
        Assumptions.assumeTrue(Files.exists(REAL), "no nvcc: the CUDA library has not been built");
        Assumptions.assumeFalse(Files.exists(Path.of("/dev/nvidia0")), "this machine has a device");
        assertThat(run("-Dgosset.cuda.library=" + REAL)).containsOnly("no CUDA: counting devices: no NVIDIA driver");
    }
}
