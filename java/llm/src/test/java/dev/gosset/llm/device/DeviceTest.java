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
        assertThat(Device.parse("metal:1")).as("any backend's name").isEqualTo(new Device("metal", 1));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"", "cpu:0", "cpu:1", "cuda:", "cuda:-1", "cuda:x", "cuda:99999", "cu da", ":1", "cuda:1:2"})
    void everythingElseIsRefused(String text) {
        assertThatThrownBy(() -> Device.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("cpu, or a backend's name such as cuda or cuda:1");
    }

    /** This module alone has no backend. */
    @Test
    void aMissingBackendIsNamed() {
        assertThatThrownBy(() -> DeviceBackend.require(Device.parse("cuda")))
                .isInstanceOf(DeviceException.class)
                .hasMessageStartingWith("cuda:0: ")
                .hasMessageContaining("only cpu")
                .hasMessageContaining("gosset-cuda-llm");
    }
}
