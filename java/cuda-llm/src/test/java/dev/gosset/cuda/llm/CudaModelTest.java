package dev.gosset.cuda.llm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.Emulation;
import dev.gosset.llm.device.DeviceOptions;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.device.LoadedModelContract;
import dev.gosset.llm.model.Model;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** Whole models through the kernels, on the emulation: not yet run on a device. */
class CudaModelTest extends LoadedModelContract {
    CudaModelTest() {
        super(5e-3);
    }

    @BeforeEach
    void requireEmulation() {
        Emulation.require();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(Emulation.live()).as("objects of the runtime that are alive").isZero();
    }

    @Override
    protected LoadedModel load(Model model, ThreadTeam team) {
        return new CudaBackend().load(model, 0, DeviceOptions.defaults(), team);
    }
}
