package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A mark in a stream: to wait for, and to measure time between. */
public final class CudaEvent implements AutoCloseable {
    private final CudaContext.Lease lease;
    private final MemorySegment handle;

    CudaEvent(CudaContext context) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            CudaLibrary.check(GossetCuda.gosset_event_create(out));
            handle = out.get(ValueLayout.ADDRESS, 0);
        }
        lease = context.lease("event", 0);
    }

    MemorySegment handle() {
        lease.requireAlive();
        return handle;
    }

    /** Marks the end of what has been queued so far. */
    public void record(CudaStream stream) {
        CudaLibrary.check(GossetCuda.gosset_event_record(handle(), stream.handle()));
    }

    /** Waits until the mark has been reached; at once where it was never recorded. */
    public void synchronize() {
        CudaLibrary.check(GossetCuda.gosset_event_synchronize(handle()));
    }

    /** Milliseconds of device time since {@code earlier}; both marks must have been reached. */
    public float millisecondsSince(CudaEvent earlier) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.JAVA_FLOAT);
            CudaLibrary.check(GossetCuda.gosset_event_elapsed(earlier.handle(), handle(), out));
            return out.get(ValueLayout.JAVA_FLOAT, 0);
        }
    }

    @Override
    public void close() {
        if (lease.end()) {
            CudaLibrary.check(GossetCuda.gosset_event_destroy(handle));
        }
    }
}
