package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import dev.gosset.core.memory.Construction;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A queue of work on a device, done in order. One thread at a time. */
public final class CudaStream implements AutoCloseable {
    private final CudaContext context;
    private final CudaContext.Lease lease;
    private final MemorySegment handle;

    CudaStream(CudaContext context) {
        this.context = context;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            CudaLibrary.check(GossetCuda.gosset_stream_create(out));
            handle = out.get(ValueLayout.ADDRESS, 0);
        }
        lease = context.lease("stream", 0);
    }

    /** Where the stream is. */
    public CudaContext context() {
        return context;
    }

    /** The native stream, the context's device selected for the calling thread. */
    MemorySegment handle() {
        lease.requireAlive();
        context.select();
        return handle;
    }

    /** Waits for everything queued so far; a fault of a kernel shows here. */
    public void synchronize() {
        CudaLibrary.check(GossetCuda.gosset_stream_synchronize(handle()));
    }

    /** Lets what is queued from now on wait until {@code event} has been reached. */
    public void await(CudaEvent event) {
        CudaLibrary.check(GossetCuda.gosset_stream_wait(handle(), event.handle()));
    }

    /**
     * Records what {@code work} queues on this stream, without running it. {@code work} must not synchronize and must not
     * allocate.
     */
    public CudaGraph record(Runnable work) {
        CudaLibrary.check(GossetCuda.gosset_graph_begin(handle()));
        try (Construction construction = new Construction(this::endFailedRecording)) {
            work.run();
            construction.done();
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            CudaLibrary.check(GossetCuda.gosset_graph_end(handle(), out));
            return new CudaGraph(context, out.get(ValueLayout.ADDRESS, 0));
        }
    }

    /** The recording has to end for the stream to be usable. */
    private void endFailedRecording() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            if (GossetCuda.gosset_graph_end(handle, out) == GossetCuda.GOSSET_OK()) {
                CudaLibrary.check(GossetCuda.gosset_graph_destroy(out.get(ValueLayout.ADDRESS, 0)));
            }
        }
    }

    @Override
    public void close() {
        if (lease.end()) {
            CudaLibrary.check(GossetCuda.gosset_stream_destroy(handle));
        }
    }
}
