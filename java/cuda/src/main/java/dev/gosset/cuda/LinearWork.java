package dev.gosset.cuda;

import dev.gosset.core.memory.Construction;

/**
 * The device memory that linears work in, one at a time: as much as the largest of a {@link Plan} needs. On one stream; one
 * thread at a time.
 */
public final class LinearWork implements AutoCloseable {
    /** Bytes of decoded weights that are handed to cuBLAS at a time: large enough to fill the device. */
    static final long TILE_BYTES = 64L << 20;

    /** The most that any planned call needs of each buffer. */
    public static final class Plan {
        private long transformBytes;
        private long inputBytes;
        private long packedInputBytes;
        private long chosenInputBytes;
        private long activationBytes;
        private long tileBytes;
        private boolean products;

        /** A cuBLAS handle, which those with products of many rows have anyway. */
        public Plan products() {
            products = true;
            return this;
        }

        /** Work of the transform of {@code rows} vectors. */
        Plan transform(DeviceTransform t, int rows) {
            transformBytes = Math.max(transformBytes, t.workBytes(rows));
            return this;
        }

        /** Inputs of a product, in whatever type. */
        Plan inputs(long bytes) {
            inputBytes = Math.max(inputBytes, bytes);
            return this;
        }

        /** Inputs before they are padded. */
        Plan packedInputs(long bytes) {
            packedInputBytes = Math.max(packedInputBytes, bytes);
            return this;
        }

        /** Inputs that were chosen from others. */
        Plan chosenInputs(long bytes) {
            chosenInputBytes = Math.max(chosenInputBytes, bytes);
            return this;
        }

        /** Bytes of device memory that the work takes, but for what cuBLAS takes itself. */
        public long bytes() {
            long scales = activationBytes == 0 ? 0 : 4L * CudaKernels.MAX_BATCH;
            return transformBytes
                    + inputBytes
                    + packedInputBytes
                    + chosenInputBytes
                    + activationBytes
                    + scales
                    + tileBytes;
        }

        Plan activations(int n, int batch) {
            activationBytes = Math.max(activationBytes, CudaKernels.activationBytes(n, batch));
            return this;
        }

        /** Weights in F16, for cuBLAS. */
        Plan tile(long bytes) {
            tileBytes = Math.max(tileBytes, bytes);
            products = true;
            return this;
        }
    }

    private final CudaStream stream;
    private final Resources owned = new Resources();
    private final DeviceBuffer transform;
    private final DeviceBuffer input;
    private final DeviceBuffer packedInput;
    private final DeviceBuffer chosenInput;
    private final DeviceBuffer activations;
    private final DeviceBuffer scale;
    private final DeviceBuffer tile;
    private final CublasHandle cublas;

    public LinearWork(CudaStream stream, Plan plan) {
        this.stream = stream;
        try (Construction construction = new Construction(this::close)) {
            transform = buffer(plan.transformBytes, "work of a transform");
            input = buffer(plan.inputBytes, "transformed inputs");
            packedInput = buffer(plan.packedInputBytes, "transformed inputs");
            chosenInput = buffer(plan.chosenInputBytes, "chosen inputs");
            activations = buffer(plan.activationBytes, "rounded activations");
            scale = buffer(plan.activationBytes == 0 ? 0 : 4L * CudaKernels.MAX_BATCH, "scales of activations");
            tile = buffer(plan.tileBytes, "decoded weights");
            cublas = plan.products ? owned.own(stream.context().cublas(stream)) : null;
            construction.done();
        }
    }

    private DeviceBuffer buffer(long bytes, String what) {
        return bytes == 0 ? null : owned.own(stream.context().allocate(bytes, what));
    }

    CudaStream stream() {
        return stream;
    }

    /** Work of transforms, or null where none needs any. */
    public DeviceBuffer transform() {
        return transform;
    }

    DeviceBuffer input() {
        return input;
    }

    DeviceBuffer packedInput() {
        return packedInput;
    }

    DeviceBuffer chosenInput() {
        return chosenInput;
    }

    /** Rounded activations of a product. */
    public DeviceBuffer activations() {
        return activations;
    }

    /** The scales of {@link #activations}. */
    public DeviceBuffer scale() {
        return scale;
    }

    DeviceBuffer tile() {
        return tile;
    }

    /** cuBLAS on the stream; null where no product of many rows was planned. */
    public CublasHandle cublas() {
        return cublas;
    }

    @Override
    public void close() {
        owned.close();
    }
}
