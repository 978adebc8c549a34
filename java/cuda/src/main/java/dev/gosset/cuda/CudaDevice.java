package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * What a device is.
 *
 * @param index its number, as in {@code cuda:1}
 * @param name the vendor's name
 * @param major major compute capability
 * @param minor minor compute capability
 * @param multiprocessors number of multiprocessors
 * @param memoryBytes device memory
 * @param l2Bytes second-level cache
 * @param sharedBytes the most shared memory that one block can have
 * @param driver the CUDA version that the driver knows, 1000 major + 10 minor
 */
public record CudaDevice(
        int index,
        String name,
        int major,
        int minor,
        int multiprocessors,
        long memoryBytes,
        long l2Bytes,
        int sharedBytes,
        int driver) {
    private static final int NAME_BYTES = 256;

    /**
     * The devices of this machine, at least one.
     *
     * @throws CudaException where there is none
     */
    public static List<CudaDevice> all() {
        int count = CudaLibrary.devices();
        List<CudaDevice> devices = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            devices.add(read(i));
        }
        return devices;
    }

    static CudaDevice read(int index) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = arena.allocate(NAME_BYTES);
            MemorySegment facts = arena.allocate(ValueLayout.JAVA_LONG, GossetCuda.GOSSET_DEVICE_FACTS());
            CudaLibrary.check(GossetCuda.gosset_device_describe(index, name, NAME_BYTES, facts));
            return new CudaDevice(
                    index,
                    name.getString(0),
                    (int) fact(facts, GossetCuda.GOSSET_DEVICE_MAJOR()),
                    (int) fact(facts, GossetCuda.GOSSET_DEVICE_MINOR()),
                    (int) fact(facts, GossetCuda.GOSSET_DEVICE_MULTIPROCESSORS()),
                    fact(facts, GossetCuda.GOSSET_DEVICE_MEMORY_BYTES()),
                    fact(facts, GossetCuda.GOSSET_DEVICE_L2_BYTES()),
                    (int) fact(facts, GossetCuda.GOSSET_DEVICE_SHARED_BYTES()),
                    (int) fact(facts, GossetCuda.GOSSET_DEVICE_DRIVER()));
        }
    }

    private static long fact(MemorySegment facts, int which) {
        return facts.getAtIndex(ValueLayout.JAVA_LONG, which);
    }

    @Override
    public String toString() {
        return "cuda:" + index + " " + name + ", compute capability " + major + "." + minor + ", " + multiprocessors
                + " multiprocessors, " + (memoryBytes >> 20) + " MiB, driver for CUDA " + driver / 1000 + "."
                + driver % 1000 / 10;
    }
}
