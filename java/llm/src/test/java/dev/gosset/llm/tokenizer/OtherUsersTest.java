package dev.gosset.llm.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Users without a home, one after the other, on a machine where someone has left a trap in the shared temporary directory. */
final class OtherUsersTest {
    @TempDir
    Path directory;

    private Path shared;
    private String classPath;

    /** Opens a tokenizer in a JVM of its own. */
    static final class Child {
        private Child() {}

        public static void main(String[] args) {
            try (Tokenizer tokenizer = Tokenizer.open(Path.of(args[0]))) {
                System.out.println("tokens " + tokenizer.encode("the lattice", false).length);
            } catch (dev.gosset.core.GossetException e) {
                System.out.println("refused: " + e.getMessage());
            }
        }
    }

    @BeforeEach
    void copyClassPath() throws Exception {
        assumeThat(System.getProperty("user.name"))
                .as("only root can be other users")
                .isEqualTo("root");
        assumeThat(Stream.of("/usr/bin/setpriv", "/bin/setpriv").anyMatch(p -> Files.isExecutable(Path.of(p))))
                .as("setpriv is not installed")
                .isTrue();
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        shared = Files.createDirectory(directory.resolve("tmp"));
        Files.setAttribute(shared, "unix:mode", 01777);
        List<String> copies = new ArrayList<>();
        int n = 0;
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            Path from = Path.of(entry);
            if (Files.exists(from) && !entry.contains("openblas") && !entry.contains("junit")) {
                Path to = directory.resolve("entry" + n++ + (Files.isDirectory(from) ? "" : ".jar"));
                copy(from, to);
                copies.add(to.toString());
            }
        }
        classPath = String.join(File.pathSeparator, copies);
        copy(TokenizerTest.directory("metaspace"), directory.resolve("model"));
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                if (!file.toString().contains("models")) {
                    Path target = to.resolve(from.relativize(file).toString());
                    Files.copy(file, from.equals(file) ? to : target);
                }
            }
        }
    }

    private String run(int user, Path cache) throws Exception {
        Path out = directory.resolve("out" + System.nanoTime());
        List<String> command = new ArrayList<>(List.of(
                "setpriv",
                "--reuid=" + user,
                "--regid=" + user,
                "--clear-groups",
                "env",
                "-i",
                "HOME=/nonexistent",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Djava.io.tmpdir=" + shared));
        if (cache != null) {
            command.add("-Dgosset.cache=" + cache);
        }
        command.addAll(List.of(
                "-cp",
                classPath,
                Child.class.getName(),
                directory.resolve("model").toString()));
        Process process = new ProcessBuilder(command)
                .directory(shared.toFile())
                .redirectErrorStream(true)
                .redirectOutput(out.toFile())
                .start();
        assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
        return Files.readString(out, StandardCharsets.UTF_8);
    }

    @Test
    void eachUserLoadsALibraryOfItsOwn() throws Exception {
        // Where DJL by itself looks when the home cannot be written: not a library, and another user's.
        Path trap = Files.createDirectories(shared.resolve(".djl.ai/tokenizers/0.21.0-0.38.0-cpu-linux-x86_64"));
        Files.writeString(trap.resolve("libtokenizers.so"), "evil");
        Path home = Files.createDirectories(shared.resolve("?/.cache/gosset"));
        Files.setAttribute(home, "unix:mode", 01777);
        for (int user : new int[] {65534, 12345, 65534}) {
            assertThat(run(user, null)).contains("tokens ").doesNotContain("refused");
        }
        // Nothing is left, and nothing was put where another user could have.
        try (Stream<Path> left = Files.list(shared)) {
            assertThat(left.map(p -> p.getFileName().toString())).containsExactlyInAnyOrder(".djl.ai", "?");
        }
        try (Stream<Path> left = Files.list(home)) {
            assertThat(left).isEmpty();
        }
        // A cache that root owns is not another user's to write; a place of the user's own is kept.
        Path rootsCache = Files.createDirectory(directory.resolve("cache"));
        assertThat(run(12345, rootsCache)).contains("tokens ");
        Path ownCache = Files.createDirectory(directory.resolve("own"));
        Files.setAttribute(ownCache, "unix:uid", 12345);
        assertThat(run(12345, ownCache)).contains("tokens ");
        try (Stream<Path> kept = Files.walk(ownCache)) {
            assertThat(kept.map(p -> p.getFileName().toString())).contains(System.mapLibraryName("tokenizers"));
        }
    }

    @Test
    void whereNothingCanBeWrittenTheMessageSaysSo() throws Exception {
        Files.setAttribute(shared, "unix:mode", 0755);
        assertThat(run(12345, null))
                .contains("refused: the native library of the tokenizers cannot be loaded")
                .contains("/nonexistent: permission denied")
                .contains(shared.toString())
                .contains("GOSSET_CACHE");
    }
}
