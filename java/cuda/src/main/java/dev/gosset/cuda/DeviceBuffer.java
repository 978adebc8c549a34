package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * Bytes of device memory. Not readable from Java; copies are queued on a stream. Closing frees them, at once and once:
 * work on them must be done. Thread-safe.
 */
public final class DeviceBuffer implements DeviceMemory, AutoCloseable {
    private final CudaContext.Lease lease;
    private final long address;
    private final long bytes;

    DeviceBuffer(CudaContext context, long address, long bytes) {
        this.address = address;
        this.bytes = bytes;
        this.lease = context.lease("device buffer", bytes);
    }

    @Override
    public long bytes() {
        return bytes;
    }

    @Override
    public long address(long offset, long size) {
        lease.requireAlive();
        Objects.checkFromIndexSize(offset, size, bytes);
        return address + offset;
    }

    /** Queues a copy of a native segment to {@code offset}. Page-locked segments must stay as they are until it is done. */
    public void copyFrom(MemorySegment source, long offset, CudaStream stream) {
        requireNative(source);
        CudaLibrary.check(GossetCuda.gosset_copy_to_device(
                address(offset, source.byteSize()), source, source.byteSize(), stream.handle()));
    }

    /** Queues a copy from {@code offset} into a native segment; complete after {@link CudaStream#synchronize()}. */
    public void copyTo(MemorySegment target, long offset, CudaStream stream) {
        requireNative(target);
        CudaLibrary.check(GossetCuda.gosset_copy_to_host(
                target, address(offset, target.byteSize()), target.byteSize(), stream.handle()));
    }

    /** Queues a copy of {@code size} bytes from another buffer of the device. */
    public void copyFrom(DeviceMemory source, long sourceOffset, long offset, long size, CudaStream stream) {
        CudaLibrary.check(GossetCuda.gosset_copy_on_device(
                address(offset, size), source.address(sourceOffset, size), size, stream.handle()));
    }

    /** Queues setting every byte to {@code value}. */
    public void fill(int value, CudaStream stream) {
        CudaLibrary.check(GossetCuda.gosset_fill(address(0, bytes), value, bytes, stream.handle()));
    }

    private static void requireNative(MemorySegment segment) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException("copies go between device and native memory, found a heap segment");
        }
    }

    @Override
    public void close() {
        if (lease.end()) {
            CudaLibrary.check(GossetCuda.gosset_free(address));
        }
    }
}
