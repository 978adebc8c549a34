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

    /** A kernel with its data. Closed before the kernels are. */
    interface Work extends AutoCloseable {
        /** Calls that one {@link #run} makes. */
        int CALLS = 32;

        /** Times one call. */
        Timing time();

        /** Makes {@link #CALLS} calls with one launch and waits for them: for whoever takes the time outside. */
        void run();

        @Override
        void close();
    }

    /** The device, for reports. */
    String device();

    /** The transform of {@code rows} float32 vectors of length n. */
    Work transform(int n, int rows);

    /** The product of rows x cols codes with {@code batch} rounded vectors. */
    Work product(Codebook codebook, int rows, int cols, int batch);

    /** Nearest points of {@code count} vectors of 8. */
    Work encode(Codebook codebook, int count);

    @Override
    void close();
}
