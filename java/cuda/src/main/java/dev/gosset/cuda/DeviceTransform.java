package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A {@link HadamardTransform} on the device: its small matrix, as signs or as the row of a Hartley matrix. For every n.
 * Immutable once made; thread-safe.
 */
public final class DeviceTransform implements AutoCloseable {
    private final HadamardTransform transform;
    private final int kind;
    private final DeviceBuffer small;

    /** Uploads the small matrix and waits until it is there. */
    public DeviceTransform(HadamardTransform transform, CudaStream stream) {
        this.transform = transform;
        int k = transform.k();
        if (k == 1) {
            kind = GossetCuda.GOSSET_SMALL_NONE();
            small = null;
            return;
        }
        boolean signs = transform.kind() == HadamardTransform.Kind.HADAMARD;
        kind = signs ? GossetCuda.GOSSET_SMALL_HADAMARD() : GossetCuda.GOSSET_SMALL_HARTLEY();
        long bytes = signs ? (long) k * k : 4L * k;
        small = stream.context().allocate(bytes, "the small matrix of n = " + transform.n());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(bytes, 16);
            if (signs) {
                for (int i = 0; i < k; i++) {
                    for (int j = 0; j < k; j++) {
                        host.set(ValueLayout.JAVA_BYTE, (long) i * k + j, (byte) transform.entry(i, j));
                    }
                }
            } else {
                // Row 1 of the Hartley matrix is cas(2 pi j / k); entry (i, j) is its element i j mod k.
                for (int j = 0; j < k; j++) {
                    host.setAtIndex(ValueLayout.JAVA_FLOAT, j, (float) transform.entry(1, j));
                }
            }
            small.copyFrom(host, 0, stream);
            stream.synchronize();
        }
    }

    public HadamardTransform transform() {
        return transform;
    }

    int n() {
        return transform.n();
    }

    int k() {
        return transform.k();
    }

    int kind() {
        return kind;
    }

    long smallAddress() {
        return small == null ? 0 : small.address(0, small.bytes());
    }

    /** Bytes of work that {@code rows} vectors need, possibly 0. */
    public long workBytes(int rows) {
        return GossetCuda.gosset_transform_work(n(), k(), rows);
    }

    @Override
    public void close() {
        if (small != null) {
            small.close();
        }
    }
}
