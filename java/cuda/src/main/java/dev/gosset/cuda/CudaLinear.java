package dev.gosset.cuda;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * A quantized linear on the device: codes in the kernels' layout, SU, and SV times the parts' scales. Up to {@link
 * CudaKernels#MAX_BATCH} rows go through the quantized product, more through F16 tiles and cuBLAS.
 *
 * <p>Numerics: one row, and up to 16: 16-bit activations, exact sums, relative error about 1e-4 of {@code |y|}. More rows:
 * F16 weights and activations (divided by 32 in between, as in spec section 6), float32 sums.
 *
 * <p>One call at a time: it owns the buffers that a call works in.
 */
public final class CudaLinear implements AutoCloseable {
    /** The division that keeps F16 activations far from overflow, undone after the product. */
    private static final float GUARD = 32;

    /** Bytes of decoded weights that are handed to cuBLAS at a time: large enough to fill the device. */
    private static final long TILE_BYTES = 64L << 20;

    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final CudaContext context;
    private final CudaStream stream;
    private final Codebook codebook;
    private final int m;
    private final int n;
    private final List<AutoCloseable> owned = new ArrayList<>();
    private final DeviceBuffer packed;
    private final DeviceBuffer su;
    private final DeviceBuffer sv;
    private final DeviceTransform in;
    private final DeviceTransform out;

    /**
     * Uploads a linear and waits until it is there.
     *
     * @param upload on {@code stream}
     */
    public CudaLinear(QuantizedLinear linear, CudaStream stream, DeviceUpload upload) {
        this.context = stream.context();
        this.stream = stream;
        this.codebook = linear.codes().codebook();
        this.m = linear.rows();
        this.n = linear.cols();
        boolean done = false;
        try (DeviceBuffer codes = context.allocate(linear.codes().data().byteSize(), "codes of " + m + " x " + n)) {
            packed = own(context.allocate(CudaKernels.packedBytes(codebook, m, n), "packed codes of " + m + " x " + n));
            upload.copy(linear.codes().data(), codes, 0);
            CudaKernels.pack(stream, codebook, m, n, codes, packed);
            su = own(context.allocate(4L * n, "SU"));
            sv = own(context.allocate(4L * m, "SV"));
            in = own(new DeviceTransform(HadamardTransform.of(n), stream));
            out = own(new DeviceTransform(HadamardTransform.of(m), stream));
            try (Arena arena = Arena.ofConfined()) {
                upload.copy(floats(arena, linear.su(), n), su, 0);
                MemorySegment scaled = floats(arena, linear.sv(), m);
                long row = 0;
                for (QuantizedLinear.Part part : linear.parts()) {
                    for (int i = 0; i < part.rows(); i++, row++) {
                        float v = scaled.getAtIndex(ValueLayout.JAVA_FLOAT, row) * part.scale();
                        scaled.setAtIndex(ValueLayout.JAVA_FLOAT, row, v);
                    }
                }
                upload.copy(scaled, sv, 0);
            }
            stream.synchronize();
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    private <T extends AutoCloseable> T own(T resource) {
        owned.add(resource);
        return resource;
    }

    private static MemorySegment floats(Arena arena, MemorySegment halves, int count) {
        MemorySegment f = arena.allocate(4L * count, 16);
        for (int i = 0; i < count; i++) {
            f.setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.float16ToFloat(halves.get(HALF, 2L * i)));
        }
        return f;
    }

    public int rows() {
        return m;
    }

    public int cols() {
        return n;
    }

    /** Bytes of device memory that the weights occupy. */
    public long weightBytes() {
        return packed.bytes() + su.bytes() + sv.bytes();
    }

    /**
     * {@code y = W x} for {@code count} rows of float32 on the device. Allocates what it works in and waits for the result.
     *
     * @param x count x n
     * @param y count x m
     */
    public void apply(DeviceBuffer x, DeviceBuffer y, int count) {
        int step = count <= CudaKernels.MAX_BATCH ? count : 0;
        long inWork = in.workBytes(count);
        long outWork = out.workBytes(count);
        long work = Math.max(16, Math.max(inWork, outWork));
        try (DeviceBuffer scratch = context.allocate(work, "work of a transform")) {
            if (step > 0) {
                applyFew(x, y, count, scratch);
            } else {
                applyMany(x, y, count, scratch);
            }
        }
    }

    private void applyFew(DeviceBuffer x, DeviceBuffer y, int count, DeviceBuffer work) {
        try (DeviceBuffer t = context.allocate(4L * n * count, "transformed inputs");
                DeviceBuffer activations = context.allocate(CudaKernels.activationBytes(n, count), "activations");
                DeviceBuffer scale = context.allocate(4L * count, "scales of activations")) {
            CudaKernels.transform(
                    stream, in, true, count, x, CudaKernels.Type.F32, t, CudaKernels.Type.F32, su, null, 1, work);
            CudaKernels.quantizeActivations(stream, n, count, t, activations, scale);
            CudaKernels.matvec(stream, codebook, m, n, count, packed, activations, scale, y);
            CudaKernels.transform(
                    stream, out, false, count, y, CudaKernels.Type.F32, y, CudaKernels.Type.F32, null, sv, 1, work);
            stream.synchronize();
        }
    }

    private void applyMany(DeviceBuffer x, DeviceBuffer y, int count, DeviceBuffer work) {
        int depth = 8 * CodeMatrix.groups(n);
        int tile = (int) Math.min(m, Math.max(16, TILE_BYTES / (2L * depth) / 16 * 16));
        try (DeviceBuffer t = context.allocate(2L * depth * count, "transformed inputs");
                DeviceBuffer packedRows = context.allocate(2L * n * count, "transformed inputs");
                DeviceBuffer weights = context.allocate(2L * depth * tile, "decoded weights");
                CublasHandle cublas = context.cublas(stream)) {
            DeviceBuffer rows = depth == n ? t : packedRows;
            CudaKernels.transform(
                    stream,
                    in,
                    true,
                    count,
                    x,
                    CudaKernels.Type.F32,
                    rows,
                    CudaKernels.Type.F16,
                    su,
                    null,
                    1 / GUARD,
                    work);
            if (depth != n) {
                // Columns beyond n of the decoded weights mean nothing and are multiplied by zero.
                t.fill(0, stream);
                for (int i = 0; i < count; i++) {
                    t.copyFrom(packedRows, 2L * n * i, 2L * depth * i, 2L * n, stream);
                }
            }
            for (int from = 0; from < m; from += tile) {
                int height = Math.min(tile, m - from);
                CudaKernels.decode(stream, codebook, m, n, packed, from, height, weights);
                cublas.gemmHalf(
                        count,
                        height,
                        depth,
                        t.address(0, t.bytes()),
                        weights.address(0, 2L * depth * height),
                        y.address(4L * from, 4L * ((long) (count - 1) * m + height)),
                        m);
            }
            CudaKernels.transform(
                    stream, out, false, count, y, CudaKernels.Type.F32, y, CudaKernels.Type.F32, null, sv, GUARD, work);
            stream.synchronize();
        }
    }

    @Override
    public void close() {
        for (AutoCloseable resource : owned.reversed()) {
            try {
                resource.close();
            } catch (RuntimeException e) {
                throw e;
            } catch (Exception e) {
                throw new IllegalStateException("closing " + resource, e);
            }
        }
    }
}
