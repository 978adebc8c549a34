package dev.gosset.cuda;

import dev.gosset.core.memory.Construction;
import java.lang.foreign.MemorySegment;

/**
 * Copies native memory, such as a memory-mapped weight file, to the device through two page-locked buffers in turn: while
 * one is on its way the next is filled. Nothing passes the Java heap. One thread at a time.
 */
public final class DeviceUpload implements AutoCloseable {
    private final CudaStream stream;
    private final PinnedBuffer[] buffers = new PinnedBuffer[2];
    private final CudaEvent[] sent = new CudaEvent[2];
    private final Resources owned = new Resources();
    private int turn;

    /**
     * @param stream the copies are queued here
     * @param chunkBytes the size of one page-locked buffer; 8 MiB or more keeps a bus busy
     */
    public DeviceUpload(CudaStream stream, long chunkBytes) {
        this.stream = stream;
        try (Construction construction = new Construction(owned::close)) {
            for (int i = 0; i < 2; i++) {
                buffers[i] = owned.own(stream.context().pinned(chunkBytes));
                sent[i] = owned.own(stream.context().event());
            }
            construction.done();
        }
    }

    /** Queues {@code source} to {@code offset} of {@code target}. It has been read when this returns. */
    public void copy(MemorySegment source, DeviceBuffer target, long offset) {
        long chunk = buffers[0].segment().byteSize();
        for (long at = 0; at < source.byteSize(); at += chunk) {
            long size = Math.min(chunk, source.byteSize() - at);
            sent[turn].synchronize();
            MemorySegment staged = buffers[turn].segment().asSlice(0, size);
            MemorySegment.copy(source, at, staged, 0, size);
            target.copyFrom(staged, offset + at, stream);
            sent[turn].record(stream);
            turn = 1 - turn;
        }
    }

    /** Waits for the copies. */
    @Override
    public void close() {
        try (owned) {
            stream.synchronize();
        }
    }
}
