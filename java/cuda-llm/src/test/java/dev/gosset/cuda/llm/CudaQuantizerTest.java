package dev.gosset.cuda.llm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.DeviceException;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.cuda.Emulation;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.evaluate.Perplexity;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.quantize.QuantizationDevices;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationReport;
import dev.gosset.llm.quantize.QuantizationSettings;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Quantizing whole models on a device beside the processor, on the emulation: not yet run on a device. */
class CudaQuantizerTest {
    private static final QuantizationDevices ONE = new QuantizationDevices(new Device("cuda", 0), 1);

    @TempDir
    private Path temporary;

    private Path text;

    @BeforeEach
    void prepare() throws Exception {
        Emulation.require();
        text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(System.nanoTime(), 2000));
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(Emulation.live()).as("objects of the runtime that are alive").isZero();
    }

    private QuantizationReport quantize(Path model, String out, int bits, QuantizationDevices devices) {
        QuantizationSettings settings = new QuantizationSettings(
                RoundingSettings.reference(Codebook.ofBits(bits)).withGreedyPasses(1),
                3,
                new CalibrationText(text, 6, 48),
                null);
        try (ThreadTeam team = new ThreadTeam(2)) {
            return QuantizationPipeline.run(
                    model, model, temporary.resolve(out), settings, devices, false, team, Progress.NONE);
        }
    }

    /** The part of codes that are equal. */
    private double agreement(String one, String other) {
        long equal = 0;
        long count = 0;
        try (Model a = Model.open(temporary.resolve(one));
                Model b = Model.open(temporary.resolve(other))) {
            for (LinearGroup group : a.plan().groups()) {
                CodeMatrix x = codes(a, group);
                CodeMatrix y = codes(b, group);
                for (int i = 0; i < x.rows(); i++) {
                    for (int g = 0; g < x.groups(); g++) {
                        equal += x.code(i, g) == y.code(i, g) ? 1 : 0;
                        count++;
                    }
                }
            }
        }
        return (double) equal / count;
    }

    private static CodeMatrix codes(Model model, LinearGroup group) {
        return model.weights().quantizedLinear(group).orElseThrow().codes();
    }

    private double perplexity(String directory) throws Exception {
        try (ThreadTeam team = new ThreadTeam(1);
                LanguageModel lm = LanguageModel.open(temporary.resolve(directory), team)) {
            int[] tokens = lm.tokenizer().encode(Files.readString(text), true);
            return Perplexity.measure(lm.loaded(), tokens, 64, "text", Progress.NONE)
                    .perplexity();
        }
    }

    @ParameterizedTest
    @CsvSource({"llama, 2", "mistral, 2", "qwen2, 3", "qwen3, 4"})
    void modelsAreQuantizedAsOnTheCpu(String name, int bits) throws Exception {
        Path model = TinyModels.copy(name, temporary.resolve("model"));
        QuantizationReport cpu = quantize(model, "cpu", bits, QuantizationDevices.CPU);
        QuantizationReport gpu = quantize(model, "gpu", bits, ONE);
        assertThat(agreement("cpu", "gpu")).as("equal codes").isGreaterThan(0.97);
        assertThat(gpu.meanProxyError()).isBetween(0.99 * cpu.meanProxyError(), 1.01 * cpu.meanProxyError());
        // Random models know nothing: a few other codes change their perplexity more than a trained model's, which the
        // command line's test compares.
        double expected = Math.log(perplexity("cpu"));
        assertThat(Math.log(perplexity("gpu"))).isBetween(0.998 * expected, 1.002 * expected);
        assertThat(cpu.devices()).isEmpty();
        assertThat(gpu.devices()).hasSize(1).allMatch(d -> d.name().startsWith("cuda:0 ") && d.peakBytes() > 1 << 16);
    }

    @Test
    void severalDevicesGiveTheSameBytesAsOne() throws Exception {
        Emulation.requireNoDevice();
        Path model = TinyModels.copy("llama3", temporary.resolve("model"));
        quantize(model, "one", 2, ONE);
        Emulation.devices(2);
        try {
            QuantizationReport two = quantize(model, "two", 2, new QuantizationDevices(new Device("cuda", 0), 0));
            assertThat(two.devices()).hasSize(2).allMatch(d -> d.peakBytes() > 1 << 16);
            assertThatThrownBy(() -> quantize(model, "three", 2, new QuantizationDevices(new Device("cuda", 0), 3)))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("3 devices are asked for, found 2 from cuda:0 on");
        } finally {
            Emulation.devices(1);
        }
        assertThat(Files.readAllBytes(temporary.resolve("two/weights.arrow")))
                .isEqualTo(Files.readAllBytes(temporary.resolve("one/weights.arrow")));
        assertThat(temporary.resolve("three")).doesNotExist();
    }

    @Test
    void tooLittleMemoryIsSaidBeforeAnythingIsLeftBehind() throws Exception {
        Emulation.requireNoDevice();
        Path model = TinyModels.copy("llama", temporary.resolve("model"));
        Emulation.memoryBytes(200_000);
        try {
            assertThatThrownBy(() -> quantize(model, "out", 2, ONE))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("out of device memory")
                    .hasMessageContaining("needs");
        } finally {
            Emulation.memoryBytes(8L << 30);
        }
        assertThat(temporary.toFile().list()).containsExactlyInAnyOrder("text.txt", "model");
    }
}
