package dev.gosset.cuda;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.Construction;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;

/**
 * A quantized linear on the device: codes in the kernels' layout, SU, and SV times the parts' scales. Up to {@link
 * CudaKernels#MAX_BATCH} rows go through the quantized product, more through F16 tiles and cuBLAS.
 *
 * <p>Numerics: one row, and up to 16: 16-bit activations, exact sums, relative error about 1e-4 of {@code |y|}. More rows:
 * F16 weights and activations (divided by 32 in between, as in spec section 6), float32 sums.
 */
public final class CudaLinear implements DeviceLinear {
    /** {@link #relativeError} of few rows: tables of 16-bit products. */
    public static final double FEW_ROWS_ERROR = 2e-4;

    /** The division that keeps F16 activations far from overflow, undone after the product. */
    private static final float GUARD = 32;

    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final CudaStream stream;
    private final Codebook codebook;
    private final int m;
    private final int n;
    private final Resources owned = new Resources();
    private final int inputs;
    /** The column of x of each input, or null. */
    private final DeviceBuffer chosen;

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
        this(linear, linear.cols(), null, null, stream, upload);
    }

    /**
     * Uploads a linear whose inputs are chosen and divided first, {@code x'[j] = x[indices[j]] / divisors[j]}, and waits until
     * it is there.
     *
     * @param inputs the columns of x
     * @param indices for each input of the linear a column of x; null for all in their order
     * @param divisors for each input of the linear; null for 1
     * @param upload on {@code stream}
     */
    public CudaLinear(
            QuantizedLinear linear,
            int inputs,
            int[] indices,
            float[] divisors,
            CudaStream stream,
            DeviceUpload upload) {
        CudaContext context = stream.context();
        this.inputs = inputs;
        this.stream = stream;
        this.codebook = linear.codes().codebook();
        this.m = linear.rows();
        this.n = linear.cols();
        if (!(codebook instanceof E8p || codebook instanceof E8pResidual)) {
            throw new UnsupportedModelException("the codes of " + codebook.name()
                    + " run on the cpu only: the device knows " + E8p.INSTANCE.name() + " and its residual forms");
        }
        for (HadamardTransform transform : List.of(linear.inputs(), linear.outputs())) {
            if (transform.kind() == HadamardTransform.Kind.FOURIER) {
                throw new UnsupportedModelException(
                        "linears with a Fourier transform run on the cpu only, found the " + transform);
            }
        }
        try (Construction construction = new Construction(this::close);
                DeviceBuffer codes = context.allocate(linear.codes().data().byteSize(), "codes of " + m + " x " + n)) {
            packed = owned.own(
                    context.allocate(CudaKernels.packedBytes(codebook, m, n), "packed codes of " + m + " x " + n));
            upload.copy(linear.codes().data(), codes, 0);
            CudaKernels.pack(stream, codebook, m, n, codes, packed);
            chosen = indices == null ? null : owned.own(context.allocate(4L * n, "chosen inputs"));
            su = owned.own(context.allocate(4L * n, "SU"));
            sv = owned.own(context.allocate(4L * m, "SV"));
            in = owned.own(new DeviceTransform(linear.inputs(), stream));
            out = owned.own(new DeviceTransform(linear.outputs(), stream));
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment signs = floats(arena, linear.su(), n);
                for (int j = 0; divisors != null && j < n; j++) {
                    float divided = signs.getAtIndex(ValueLayout.JAVA_FLOAT, j) / divisors[j];
                    signs.setAtIndex(ValueLayout.JAVA_FLOAT, j, divided);
                }
                upload.copy(signs, su, 0);
                if (indices != null) {
                    upload.copy(arena.allocateFrom(ValueLayout.JAVA_INT, indices), chosen, 0);
                }
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
            construction.done();
        }
    }

    private static MemorySegment floats(Arena arena, MemorySegment halves, int count) {
        MemorySegment f = arena.allocate(4L * count, 16);
        for (int i = 0; i < count; i++) {
            f.setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.float16ToFloat(halves.get(HALF, 2L * i)));
        }
        return f;
    }

    @Override
    public int rows() {
        return m;
    }

    @Override
    public int cols() {
        return inputs;
    }

    /** Whether inputs are chosen before they are transformed: then {@link #apply} alone is right. */
    public boolean choosesInputs() {
        return chosen != null;
    }

    @Override
    public long weightBytes() {
        return packed.bytes() + su.bytes() + sv.bytes();
    }

    /** The transform of the inputs. */
    public DeviceTransform input() {
        return in;
    }

    /** SU: n floats. */
    public DeviceBuffer inputSigns() {
        return su;
    }

    /** The transform of the outputs. */
    public DeviceTransform output() {
        return out;
    }

    /** SV times the scales of the parts: m floats. */
    public DeviceBuffer outputSigns() {
        return sv;
    }

    @Override
    public double relativeError(int count) {
        return count > CudaKernels.MAX_BATCH ? MANY_ROWS_ERROR : FEW_ROWS_ERROR;
    }

    @Override
    public void plan(LinearWork.Plan plan, int count) {
        plan.transform(in, count).transform(out, count);
        if (chosen != null) {
            plan.chosenInputs(4L * n * count);
        }
        int batch = Math.min(count, CudaKernels.MAX_BATCH);
        plan.inputs(4L * n * batch).activations(n, batch);
        if (count > CudaKernels.MAX_BATCH) {
            plan.inputs(2L * depth() * count).tile(2L * depth() * tileRows());
            if (depth() != n) {
                plan.packedInputs(2L * n * count);
            }
        }
    }

    private int depth() {
        return 8 * CodeMatrix.groups(n);
    }

    private int tileRows() {
        return (int) Math.min(m, Math.max(16, LinearWork.TILE_BYTES / (2L * depth()) / 16 * 16));
    }

    /**
     * {@code y = W x} for {@code count} rows of float32 on the device. Allocates what it works in and waits for the result.
     *
     * @param x count x n
     * @param y count x m
     */
    public void apply(DeviceMemory x, DeviceMemory y, int count) {
        LinearWork.Plan plan = new LinearWork.Plan();
        plan(plan, count);
        try (LinearWork work = new LinearWork(stream, plan)) {
            apply(x, y, count, work);
            stream.synchronize();
        }
    }

    @Override
    public void apply(DeviceMemory x, DeviceMemory y, int count, LinearWork work) {
        DeviceMemory from = chosen == null ? x : choose(x, count, work);
        if (count <= CudaKernels.MAX_BATCH) {
            applyFew(from, y, count, work);
        } else {
            applyMany(from, y, count, work);
        }
    }

    /** A row of x is a table of single numbers, from which the embedding kernel takes those chosen. */
    private DeviceMemory choose(DeviceMemory x, int count, LinearWork work) {
        for (int row = 0; row < count; row++) {
            DecoderKernels.embed(
                    work.stream(),
                    x.slice(4L * inputs * row, 4L * inputs),
                    DecoderKernels.Stored.F32,
                    inputs,
                    1,
                    chosen,
                    null,
                    n,
                    work.chosenInput().slice(4L * n * row, 4L * n));
        }
        return work.chosenInput();
    }

    /**
     * The product alone, {@code y = Q x}, of 1 to {@link CudaKernels#MAX_BATCH} vectors that were transformed and rounded
     * into the work's {@link LinearWork#activations}.
     */
    public void multiply(int batch, DeviceMemory y, LinearWork work) {
        CudaKernels.matvec(work.stream(), codebook, m, n, batch, packed, work.activations(), work.scale(), y);
    }

    /** {@code y = SV U_m y} in place: what follows {@link #multiply}. */
    public void transformOutputs(int count, DeviceMemory y, float scale, LinearWork work) {
        CudaKernels.transform(
                work.stream(),
                out,
                false,
                count,
                y,
                CudaKernels.Type.F32,
                y,
                CudaKernels.Type.F32,
                null,
                sv,
                scale,
                work.transform());
    }

    private void transformInputs(
            int count, DeviceMemory x, DeviceMemory to, CudaKernels.Type type, float scale, LinearWork work) {
        CudaKernels.transform(
                work.stream(), in, true, count, x, CudaKernels.Type.F32, to, type, su, null, scale, work.transform());
    }

    private void applyFew(DeviceMemory x, DeviceMemory y, int count, LinearWork work) {
        transformInputs(count, x, work.input(), CudaKernels.Type.F32, 1, work);
        CudaKernels.quantizeActivations(work.stream(), n, count, work.input(), work.activations(), work.scale());
        multiply(count, y, work);
        transformOutputs(count, y, 1, work);
    }

    private void applyMany(DeviceMemory x, DeviceMemory y, int count, LinearWork work) {
        int depth = depth();
        int tile = tileRows();
        transformInputs(
                count, x, depth == n ? work.input() : work.packedInput(), CudaKernels.Type.F16, 1 / GUARD, work);
        if (depth != n) {
            // Columns beyond n of the decoded weights mean nothing and are multiplied by zero.
            work.input().fill(0, work.stream());
            for (int i = 0; i < count; i++) {
                work.input().copyFrom(work.packedInput(), 2L * n * i, 2L * depth * i, 2L * n, work.stream());
            }
        }
        CublasHandle.Batch rows = new CublasHandle.Batch(work.input(), depth, 0);
        CublasHandle.Batch weights = new CublasHandle.Batch(work.tile(), depth, 0);
        for (int from = 0; from < m; from += tile) {
            int height = Math.min(tile, m - from);
            CudaKernels.decode(work.stream(), codebook, m, n, packed, from, height, work.tile());
            DeviceMemory to = y.slice(4L * from, 4L * ((long) (count - 1) * m + height));
            work.cublas().gemmHalf(true, count, height, depth, rows, weights, new CublasHandle.Batch(to, m, 0), 1);
        }
        transformOutputs(count, y, GUARD, work);
    }

    @Override
    public void close() {
        owned.close();
    }
}
