package dev.gosset.core.library;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class LibraryFilesTest {
    @Test
    void extractionIsWholeWhateverRunsBesideIt(@TempDir Path dir) throws Exception {
        Path source = dir.resolve("source");
        byte[] bytes = new byte[3_000_000];
        new SplittableRandom(System.nanoTime()).nextBytes(bytes);
        Files.write(source, bytes);
        Path target = dir.resolve("target");
        Files.write(target, new byte[] {1, 2, 3}); // as a crash of another program may leave it
        try (ExecutorService pool = Executors.newFixedThreadPool(4)) {
            Callable<byte[]> extract = () -> {
                LibraryFiles.copy(source.toUri().toURL(), target);
                return Files.readAllBytes(target);
            };
            for (Future<byte[]> f : pool.invokeAll(List.of(extract, extract, extract, extract))) {
                assertThat(f.get()).isEqualTo(bytes);
            }
        }
        try (var files = Files.list(dir)) {
            assertThat(files.map(f -> f.getFileName().toString())).containsExactlyInAnyOrder("source", "target");
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void ownDirectoriesAreForTheUserAlone(@TempDir Path dir) throws IOException {
        assumeThat(dir.getFileSystem().supportedFileAttributeViews()).contains("posix");
        Path fresh = LibraryFiles.own(dir.resolve("a/b"));
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(fresh)))
                .isEqualTo("rwx------");
        Path open = Files.createDirectory(dir.resolve("open"));
        Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxrwxrwx"));
        LibraryFiles.own(open);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(open)))
                .isEqualTo("rwx------");
        Path target = Files.createDirectory(dir.resolve("target"));
        Path link = Files.createSymbolicLink(dir.resolve("link"), target);
        assertThatThrownBy(() -> LibraryFiles.own(link)).isInstanceOf(IOException.class);
        // Everybody may rename what is inside.
        Path shared = Files.createDirectories(dir.resolve("shared/mine")).getParent();
        Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
        assertThatThrownBy(() -> LibraryFiles.own(shared.resolve("mine")))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("every user");
        assertThat(Files.list(shared.resolve("mine"))).isEmpty();
    }

    /** A directory of another user is no place, and neither is a file of another user in one's own; needs root to make them. */
    @Test
    void whatAnotherUserMadeIsNotTaken(@TempDir Path dir) throws IOException {
        assumeThat(System.getProperty("user.name"))
                .as("only root gives files away")
                .isEqualTo("root");
        Path theirs = Files.createDirectory(dir.resolve("theirs"));
        Files.setAttribute(theirs, "unix:uid", 12345);
        assertThatThrownBy(() -> LibraryFiles.own(theirs))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("12345");
        Path mine = LibraryFiles.own(dir.resolve("mine"));
        Path source = Files.writeString(dir.resolve("source"), "good");
        Path file = Files.writeString(mine.resolve("lib.so"), "evil");
        Files.setAttribute(file, "unix:uid", 12345);
        URL url = source.toUri().toURL();
        LibraryFiles.copy(url, file);
        assertThat(file).hasContent("good");
        assertThat(Files.getOwner(file)).isEqualTo(Files.getOwner(mine));
    }

    @Test
    void withoutACacheThereIsAFreshDirectory(@TempDir Path dir) throws IOException {
        Path source = Files.writeString(dir.resolve("source"), "library");
        Path blocked = Files.writeString(dir.resolve("file"), "no directory");
        String before = System.setProperty("gosset.cache", blocked.toString());
        try {
            Map<String, URL> files = Map.of("lib.so", source.toUri().toURL());
            Path first = LibraryFiles.extract("some-1", files);
            Path second = LibraryFiles.extract("some-1", files);
            assertThat(first).isNotEqualTo(second).isDirectoryNotContaining("glob:**.tmp");
            assertThat(first.resolve("lib.so")).hasContent("library");
            System.setProperty("gosset.cache", dir.resolve("cache").toString());
            assertThat(LibraryFiles.extract("some-1", files))
                    .isEqualTo(LibraryFiles.extract("some-1", files))
                    .startsWith(dir);
        } finally {
            if (before == null) {
                System.clearProperty("gosset.cache");
            } else {
                System.setProperty("gosset.cache", before);
            }
        }
    }
}
