package dev.gosset.cuda;

import java.util.Objects;

/**
 * {@code bytes} bytes from {@code offset} on of other device memory, which must stay open. Immutable and thread-safe.
 *
 * @param memory the memory
 * @param offset the first byte
 * @param bytes how many
 */
public record DeviceSlice(DeviceMemory memory, long offset, long bytes) implements DeviceMemory {
    public DeviceSlice {
        Objects.checkFromIndexSize(offset, bytes, memory.bytes());
    }

    @Override
    public long address(long at, long size) {
        Objects.checkFromIndexSize(at, size, bytes);
        return memory.address(offset + at, size);
    }
}
