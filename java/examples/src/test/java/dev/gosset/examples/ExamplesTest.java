package dev.gosset.examples;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.cli.demo.DemoModel;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ExamplesTest {
    @TempDir
    private Path temporary;

    @Test
    void generateTextStreamsAContinuation() throws Exception {
        Path model = DemoModel.copyTo(temporary.resolve("model"));
        PrintStream out = System.out;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        try {
            GenerateText.main(new String[] {model.toString(), "Once"});
        } finally {
            System.setOut(out);
        }
        assertThat(bytes.toString(StandardCharsets.UTF_8))
                .hasSizeGreaterThan(20)
                .contains(" ");
    }

    /** Normal weights and inputs: the relative error is near the root of the codebook's Gaussian error. */
    @Test
    void quantizeMatrixKeepsTheProduct() {
        assertThat(QuantizeMatrix.relativeError(256, 512, 2, 5)).isBetween(0.2, 0.45);
        assertThat(QuantizeMatrix.relativeError(256, 512, 3, 5)).isBetween(0.1, 0.25);
        assertThat(QuantizeMatrix.relativeError(256, 512, 4, 5)).isBetween(0.05, 0.15);
    }
}
