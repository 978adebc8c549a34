package dev.gosset.cuda;

import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Tensor;
import java.util.List;

/**
 * Stored matrices on the device, stacked from the top down, in the type they are stored in, or rounded to int8 with a scale
 * for each row. Up to {@link CudaKernels#MAX_BATCH} rows go through our kernel in float32; more through cuBLAS with weights and
 * inputs in F16 and sums in float32, int8 weights in batches.
 */
public final class CudaDense implements DeviceLinear {
    private final DecoderKernels.Stored type;
    private final int m;
    private final int n;
    private final Resources owned = new Resources();
    private final DeviceBuffer weights;
    private final DeviceBuffer scales;

    /**
     * Uploads matrices and waits until they are there.
     *
     * @param parts at least one of F32, F16 or BF16, all with n columns; where their types differ, all become F32
     */
    public CudaDense(List<Tensor> parts, CudaStream stream, DeviceUpload upload) {
        n = parts.getFirst().dim(1);
        m = parts.stream().mapToInt(t -> t.dim(0)).sum();
        boolean mixed = parts.stream().map(Tensor::dtype).distinct().count() > 1;
        type = mixed ? DecoderKernels.Stored.F32 : type(parts.getFirst());
        scales = null;
        try (Construction construction = new Construction(this::close)) {
            weights = owned.own(stream.context().allocate((long) type.bytes() * m * n, "weights of " + m + " x " + n));
            long at = 0;
            for (Tensor part : parts) {
                long count = part.elements();
                if (type(part) == type) {
                    upload.copy(part.data(), weights, type.bytes() * at);
                } else {
                    try (DeviceBuffer stored =
                            stream.context().allocate(part.data().byteSize(), part.name())) {
                        upload.copy(part.data(), stored, 0);
                        DeviceMemory to = weights.slice(4 * at, 4 * count);
                        DecoderKernels.convert(stream, stored, type(part), to, CudaKernels.Type.F32, count);
                        stream.synchronize();
                    }
                }
                at += count;
            }
            stream.synchronize();
            construction.done();
        }
    }

    private CudaDense(CudaDense stored, CudaStream stream) {
        m = stored.m;
        n = stored.n;
        type = DecoderKernels.Stored.I8;
        try (Construction construction = new Construction(this::close)) {
            weights = owned.own(stream.context().allocate((long) m * n, "int8 weights of " + m + " x " + n));
            scales = owned.own(stream.context().allocate(4L * m, "scales of int8 weights"));
            DecoderKernels.quantizeRows(stream, stored.type, m, n, stored.weights, weights, scales);
            stream.synchronize();
            construction.done();
        }
    }

    /** The same map rounded to int8, each row with its own scale; this one stays. */
    public CudaDense toInt8(CudaStream stream) {
        return new CudaDense(this, stream);
    }

    private static DecoderKernels.Stored type(Tensor tensor) {
        return switch (tensor.dtype()) {
            case F32 -> DecoderKernels.Stored.F32;
            case F16 -> DecoderKernels.Stored.F16;
            case BF16 -> DecoderKernels.Stored.BF16;
            default ->
                throw new IllegalArgumentException(tensor + " is " + tensor.dtype() + ", the device computes with "
                        + List.of(Dtype.F32, Dtype.F16, Dtype.BF16));
        };
    }

    /** The matrix as it lies there, row by row. */
    public DeviceBuffer weights() {
        return weights;
    }

    public DecoderKernels.Stored type() {
        return type;
    }

    @Override
    public int rows() {
        return m;
    }

    @Override
    public int cols() {
        return n;
    }

    @Override
    public long weightBytes() {
        return weights.bytes() + (scales == null ? 0 : scales.bytes());
    }

    /** {@inheritDoc} Bytes round weights to one of 254 steps; many rows go through F16. */
    @Override
    public double relativeError(int count) {
        if (scales != null) {
            return 1e-2;
        }
        return count > CudaKernels.MAX_BATCH ? MANY_ROWS_ERROR : 2e-6;
    }

    @Override
    public void plan(LinearWork.Plan plan, int count) {
        if (count > CudaKernels.MAX_BATCH && type != DecoderKernels.Stored.I8) {
            plan.inputs(2L * n * count).tile(type == DecoderKernels.Stored.F16 ? 0 : 2L * n * tileRows());
        }
    }

    private int tileRows() {
        return (int) Math.min(m, Math.max(16, LinearWork.TILE_BYTES / (2L * n) / 16 * 16));
    }

    @Override
    public void apply(DeviceMemory x, DeviceMemory y, int count, LinearWork work) {
        if (count > CudaKernels.MAX_BATCH && type != DecoderKernels.Stored.I8) {
            applyMany(x, y, count, work);
            return;
        }
        for (int from = 0; from < count; from += CudaKernels.MAX_BATCH) {
            int batch = Math.min(CudaKernels.MAX_BATCH, count - from);
            DecoderKernels.dense(
                    work.stream(),
                    type,
                    m,
                    n,
                    batch,
                    weights,
                    scales,
                    null,
                    x.slice(4L * n * from, 4L * n * batch),
                    y.slice(4L * m * from, 4L * m * batch));
        }
    }

    private void applyMany(DeviceMemory x, DeviceMemory y, int count, LinearWork work) {
        CudaStream stream = work.stream();
        DecoderKernels.convert(
                stream, x, DecoderKernels.Stored.F32, work.input(), CudaKernels.Type.F16, (long) count * n);
        int tile = type == DecoderKernels.Stored.F16 ? m : tileRows();
        CublasHandle.Batch rows = new CublasHandle.Batch(work.input(), n, 0);
        for (int from = 0; from < m; from += tile) {
            int height = Math.min(tile, m - from);
            DeviceMemory part = weights.slice((long) type.bytes() * from * n, (long) type.bytes() * height * n);
            if (type != DecoderKernels.Stored.F16) {
                DecoderKernels.convert(stream, part, type, work.tile(), CudaKernels.Type.F16, (long) height * n);
                part = work.tile();
            }
            long wanted = 4L * ((long) (count - 1) * m + height);
            work.cublas()
                    .gemmHalf(
                            true,
                            count,
                            height,
                            n,
                            rows,
                            new CublasHandle.Batch(part, n, 0),
                            new CublasHandle.Batch(y.slice(4L * from, wanted), m, 0),
                            1);
        }
    }

    @Override
    public void close() {
        owned.close();
    }
}
