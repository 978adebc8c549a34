package dev.gosset.llm.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.DeviceException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceTest {
    @Test
    void devicesAreReadAndWritten() {
        assertThat(Device.parse("cpu")).isEqualTo(Device.CPU);
        assertThat(Device.parse("cuda")).isEqualTo(new Device("cuda", 0)).hasToString("cuda:0");
        assertThat(Device.parse("CUDA:12")).isEqualTo(new Device("cuda", 12));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "gpu", "cpu:1", "cuda:", "cuda:-1", "cuda:x", "cuda:99999"})
    void everythingElseIsRefused(String text) {
        assertThatThrownBy(() -> Device.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("cpu, cuda or cuda:N");
    }

    /** This module alone has no backend. */
    @Test
    void aMissingBackendIsNamed() {
        assertThatThrownBy(() -> DeviceBackend.require(Device.parse("cuda")))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("gosset-cuda-llm is not on its class path");
    }
}
