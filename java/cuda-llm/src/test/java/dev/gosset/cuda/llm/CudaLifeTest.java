package dev.gosset.cuda.llm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.cuda.Emulation;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.LifeTest;
import dev.gosset.llm.device.Device;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** The same on a device, with all of its memory counted; on the emulation: not yet run on a device. */
class CudaLifeTest extends LifeTest {
    @BeforeEach
    void requireEmulation() {
        Emulation.require();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(Emulation.live()).as("objects of the runtime that are alive").isZero();
    }

    @Override
    protected LanguageModel open(Path directory) {
        return LanguageModel.open(directory, Device.parse("cuda"));
    }
}
