package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * One device in use: where buffers, streams, events, graphs and cuBLAS handles come from, and what counts them. Whoever
 * makes one closes it; closing the context while something is alive is a bug and throws, naming what and how much.
 *
 * <p>Thread-safe.
 */
public final class CudaContext implements AutoCloseable {
    /** Of the compute capability: what the kernels are built for. */
    private static final int OLDEST_MAJOR = 8;

    private final CudaDevice device;
    private final Map<String, Long> live = new TreeMap<>();
    private long liveBytes;
    private long peakBytes;
    private boolean closed;

    private CudaContext(CudaDevice device) {
        this.device = device;
    }

    /**
     * @param index the device's number, from 0
     * @throws CudaException where there is no such device, or it is too old
     */
    public static CudaContext open(int index) {
        int count = CudaLibrary.devices();
        if (index < 0 || index >= count) {
            throw new CudaException(
                    GossetCuda.GOSSET_INVALID_ARGUMENT(),
                    0,
                    "there is no cuda:" + index + ", found " + count + " device(s)");
        }
        CudaDevice device = CudaDevice.read(index);
        if (device.major() < OLDEST_MAJOR) {
            throw new CudaException(
                    GossetCuda.GOSSET_UNSUPPORTED(),
                    0,
                    "cuda:" + index + " (" + device.name() + ") has compute capability " + device.major() + "."
                            + device.minor() + ", " + OLDEST_MAJOR + ".0 or later is needed");
        }
        CudaContext context = new CudaContext(device);
        context.select();
        return context;
    }

    public CudaDevice device() {
        return device;
    }

    /** Bytes of device memory held through this context. */
    public synchronized long liveBytes() {
        return liveBytes;
    }

    /** The most bytes of device memory that were held through this context at any time. */
    public synchronized long peakBytes() {
        return peakBytes;
    }

    /**
     * For work that allocates in several steps: fails before the first of them.
     *
     * @param what for the message: what needs the memory
     * @throws CudaMemoryException where fewer than {@code bytes} are free
     */
    public void requireFree(long bytes, String what) {
        long free = freeBytes();
        if (bytes > free) {
            throw new CudaMemoryException(GossetCuda.GOSSET_OUT_OF_MEMORY(), 0, what, bytes, free, liveBytes());
        }
    }

    /** Bytes of the device that nobody holds. */
    public long freeBytes() {
        select();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment numbers = arena.allocate(ValueLayout.JAVA_LONG, 2);
            CudaLibrary.check(GossetCuda.gosset_memory_info(numbers, numbers.asSlice(8)));
            return numbers.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /**
     * Device memory, not cleared.
     *
     * @param bytes at least 1
     * @param what for messages: the tensor or buffer this is for
     * @throws CudaMemoryException where the device has too little
     */
    public DeviceBuffer allocate(long bytes, String what) {
        if (bytes < 1) {
            throw new IllegalArgumentException(what + " needs at least 1 byte, asked for " + bytes);
        }
        select();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(ValueLayout.JAVA_LONG);
            int status = GossetCuda.gosset_allocate(address, bytes);
            if (status == GossetCuda.GOSSET_OUT_OF_MEMORY()) {
                int code = GossetCuda.gosset_last_native_code();
                throw new CudaMemoryException(status, code, what, bytes, freeBytes(), liveBytes());
            }
            CudaLibrary.check(status);
            return new DeviceBuffer(this, address.get(ValueLayout.JAVA_LONG, 0), bytes);
        }
    }

    /** Page-locked host memory of {@code bytes} bytes. */
    public PinnedBuffer pinned(long bytes) {
        select();
        return new PinnedBuffer(this, bytes);
    }

    public CudaStream stream() {
        select();
        return new CudaStream(this);
    }

    public CudaEvent event() {
        select();
        return new CudaEvent(this);
    }

    /** A cuBLAS handle whose work goes to {@code stream}. */
    public CublasHandle cublas(CudaStream stream) {
        select();
        return new CublasHandle(this, stream);
    }

    /** Waits for all work of the device. */
    public void synchronize() {
        select();
        CudaLibrary.check(GossetCuda.gosset_device_synchronize());
    }

    /** Makes the device the calling thread's: CUDA keeps it per thread. */
    void select() {
        CudaLibrary.check(GossetCuda.gosset_device_select(device.index()));
    }

    synchronized Lease lease(String kind, long bytes) {
        if (closed) {
            throw new IllegalStateException("the context of " + device.name() + " is closed");
        }
        live.merge(kind, 1L, Long::sum);
        liveBytes += bytes;
        peakBytes = Math.max(peakBytes, liveBytes);
        return new Lease(this, kind, bytes);
    }

    private synchronized void giveBack(String kind, long bytes) {
        live.computeIfPresent(kind, (k, count) -> count == 1 ? null : count - 1);
        liveBytes -= bytes;
    }

    /**
     * @throws IllegalStateException where something made here is still alive
     */
    @Override
    public synchronized void close() {
        if (!closed && !live.isEmpty()) {
            throw new IllegalStateException("closing the context of " + device.name() + " while these are alive: "
                    + live + ", " + liveBytes + " bytes of device memory");
        }
        closed = true;
    }

    /** One thing that is alive. */
    static final class Lease {
        private final CudaContext context;
        private final String kind;
        private final long bytes;
        private final AtomicBoolean ended = new AtomicBoolean();

        Lease(CudaContext context, String kind, long bytes) {
            this.context = context;
            this.kind = kind;
            this.bytes = bytes;
        }

        /** True for the first caller, who has to free what it is. */
        boolean end() {
            if (!ended.compareAndSet(false, true)) {
                return false;
            }
            context.giveBack(kind, bytes);
            context.select();
            return true;
        }

        void requireAlive() {
            if (ended.get()) {
                throw new IllegalStateException("the " + kind + " is closed");
            }
        }
    }
}
