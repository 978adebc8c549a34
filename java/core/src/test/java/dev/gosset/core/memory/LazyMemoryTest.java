package dev.gosset.core.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

class LazyMemoryTest {
    @Test
    void isZeroedAlignedAndFreed() {
        MemorySegment memory;
        try (Arena arena = Arena.ofConfined()) {
            memory = LazyMemory.allocate(arena, 1001);
            assertThat(memory.byteSize()).isEqualTo(1001);
            assertThat(memory.address() % 64).isZero();
            assertThat(memory.toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
            memory.fill((byte) 1);
            assertThat(LazyMemory.allocate(arena, 0).byteSize()).isZero();
        }
        assertThatThrownBy(() -> memory.get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void takesRoomOnlyWhenItIsWritten() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            long before = residentKilobytes();
            MemorySegment memory = LazyMemory.allocate(arena, 1L << 30);
            memory.set(ValueLayout.JAVA_BYTE, 1L << 29, (byte) 1);
            assertThat(residentKilobytes() - before).isLessThan(1 << 18);
        }
    }

    private static long residentKilobytes() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                .findFirst()
                .orElseThrow();
    }
}
