package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import java.lang.foreign.MemorySegment;

/** Recorded work, started by one call. The buffers it was recorded with must be alive. */
public final class CudaGraph implements AutoCloseable {
    private final CudaContext.Lease lease;
    private final MemorySegment handle;

    CudaGraph(CudaContext context, MemorySegment handle) {
        this.handle = handle;
        this.lease = context.lease("graph", 0);
    }

    public void launch(CudaStream stream) {
        lease.requireAlive();
        CudaLibrary.check(GossetCuda.gosset_graph_launch(handle, stream.handle()));
    }

    @Override
    public void close() {
        if (lease.end()) {
            CudaLibrary.check(GossetCuda.gosset_graph_destroy(handle));
        }
    }
}
