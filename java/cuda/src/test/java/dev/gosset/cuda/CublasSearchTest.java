package dev.gosset.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CublasSearchTest {
    @TempDir
    Path root;

    private Path file(String name) throws IOException {
        Path file = root.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.createFile(file);
    }

    private CublasSearch search(Map<String, String> environment, String libraryPath) {
        return new CublasSearch(environment, libraryPath, List.of(root));
    }

    @Test
    void theNewerVersionIsPreferredWhereverItIs() throws IOException {
        Path old = file("cuda/lib64/libcublas.so.12");
        // Where the system's loader knows version 13, that is the newer one.
        assertThat(search(Map.of(), "").find().orElseThrow())
                .matches(found -> found.equals(old) || found.toString().contains("libcublas.so.13"));
        Path recent = file("cuda-13.0/targets/x86_64-linux/lib/libcublas.so.13");
        assertThat(search(Map.of(), "").find()).contains(recent);
    }

    @Test
    void whatThePersonNamedComesBeforeTheUsualPlaces() throws IOException {
        file("cuda/lib64/libcublas.so.13");
        Path home = file("elsewhere/lib64/libcublas.so.13");
        Path path = file("first/libcublas.so.13");
        Path java = file("java/libcublas.so.13");
        Map<String, String> named =
                Map.of("CUDA_HOME", root.resolve("elsewhere").toString());
        assertThat(search(named, "").find()).contains(home);
        assertThat(search(named, java.getParent().toString()).find()).contains(java);
        assertThat(search(
                                Map.of("LD_LIBRARY_PATH", root.resolve("nowhere") + ":" + path.getParent()),
                                java.getParent().toString())
                        .find())
                .contains(path);
    }

    @Test
    void nothingIsNamedWithItsPlaces() {
        CublasSearch empty = search(Map.of("LD_LIBRARY_PATH", root.toString()), "");
        assertThat(empty.places())
                .isEqualTo("libcublas.so.13 and libcublas.so.12 in [" + root + "] and by the system's loader");
    }
}
