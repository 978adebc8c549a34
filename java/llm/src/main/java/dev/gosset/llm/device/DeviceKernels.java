package dev.gosset.llm.device;

import dev.gosset.core.codebook.Codebook;

/** Times single kernels of a device on random data, for benchmarks. One thread at a time. */
public interface DeviceKernels extends AutoCloseable {
    /**
     * What one call takes on the device, launches of the host not counted.
     *
     * @param seconds the median of many calls
     * @param limitSeconds what the device's memory needs for the bytes that have to move, measured in the same run
     */
    record Timing(double seconds, double limitSeconds) {
        /** The part of the limit that is reached. */
        public double ofLimit() {
            return limitSeconds / seconds;
        }
    }

    /** The device, for reports. */
    String device();

    /** The transform of {@code rows} float32 vectors of length n. */
    Timing transform(int n, int rows);

    /** The product of rows x cols codes with {@code batch} rounded vectors. */
    Timing product(Codebook codebook, int rows, int cols, int batch);

    /** Nearest points of {@code count} vectors of 8. */
    Timing encode(Codebook codebook, int count);

    @Override
    void close();
}
