package dev.gosset.cuda;

/**
 * A linear map on the device, {@code y = W x} without bias, in float32: quantized ({@link CudaLinear}) or stored
 * ({@link CudaDense}). Owns its weights and nothing else: what a call works in is a {@link LinearWork}. Immutable;
 * thread-safe but for its work.
 */
public sealed interface DeviceLinear extends AutoCloseable permits CudaLinear, CudaDense {
    /** {@link #relativeError} of more than {@link CudaKernels#MAX_BATCH} rows: F16 weights and activations. */
    double MANY_ROWS_ERROR = 5e-4;

    /** m, the number of outputs. */
    int rows();

    /** n, the number of inputs. */
    int cols();

    /** Bytes of device memory that the weights occupy. */
    long weightBytes();

    /**
     * The root mean square of the errors of y to expect at most, as a part of that of y, for products of {@code count} rows of activations.
     */
    double relativeError(int count);

    /** Tells what {@link #apply} of up to {@code count} rows works in. */
    void plan(LinearWork.Plan plan, int count);

    /**
     * Queues {@code y = W x} for {@code count} rows. Allocates nothing; up to {@link CudaKernels#MAX_BATCH} rows may be
     * recorded as part of a graph.
     *
     * @param x count x n floats
     * @param y count x m floats; not x
     * @param work planned for this linear and as many rows, on the same stream
     */
    void apply(DeviceMemory x, DeviceMemory y, int count, LinearWork work);

    @Override
    void close();
}
