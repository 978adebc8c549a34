package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Page-locked host memory, which the device copies from and to at full speed while Java goes on. */
public final class PinnedBuffer implements AutoCloseable {
    private final CudaContext.Lease lease;
    private final MemorySegment segment;

    PinnedBuffer(CudaContext context, long bytes) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(ValueLayout.ADDRESS);
            CudaLibrary.check(GossetCuda.gosset_host_allocate(address, bytes));
            segment = address.get(ValueLayout.ADDRESS, 0).reinterpret(bytes);
        }
        lease = context.lease("pinned buffer", 0);
    }

    /** The memory; not to be touched after {@link #close()}. */
    public MemorySegment segment() {
        lease.requireAlive();
        return segment;
    }

    @Override
    public void close() {
        if (lease.end()) {
            CudaLibrary.check(GossetCuda.gosset_host_free(segment));
        }
    }
}
