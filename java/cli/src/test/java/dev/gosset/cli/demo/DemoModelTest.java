package dev.gosset.cli.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DemoModelTest {
    @Test
    void theBundledModelIsTheOneTheReadmeMeasures(@TempDir Path folder) throws Exception {
        DemoModel.copyTo(folder);
        byte[] weights = Files.readAllBytes(folder.resolve("model.safetensors"));
        String digest =
                HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(weights));
        assertThat(Path.of("demo-model/README.md")).content().contains(digest);
        assertThat(weights.length).isLessThan(8_000_000);
        for (String file : DemoModel.FILES) {
            assertThat(folder.resolve(file)).isNotEmptyFile();
        }
        assertThatThrownBy(() -> DemoModel.copyTo(folder)).isInstanceOf(FileAlreadyExistsException.class);
    }
}
