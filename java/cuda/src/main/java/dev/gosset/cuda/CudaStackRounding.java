package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.rounding.Incoherence;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.core.rounding.StackRounding;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.IntToDoubleFunction;

/**
 * The float32 part of quantizing a stack on a device: weights and Hessian go up once, codes (and the error, where it is
 * wanted) come down. Both transforms of both sides, block LDL, all sweeps and the errors happen there. The same operations
 * as on the processor in another order of additions: codes differ where a search is within rounding of a tie, and in what
 * follows from that. Sums of squares and proxy errors are added up in float64 from float32 products.
 *
 * <p>Device memory: {@link #neededBytes}. One call at a time.
 */
public final class CudaStackRounding implements StackRounding {
    /** The most work space of a transform; more rows go one after the other. */
    private static final long WORK_BYTES = 256L << 20;

    private static final long UPLOAD_BYTES = 8L << 20;

    private final CudaContext context;
    private final StackRounding processor;

    /**
     * @param processor for stacks whose inputs are no multiple of 8, which the kernels do not take
     */
    public CudaStackRounding(CudaContext context, StackRounding processor) {
        this.context = context;
        this.processor = processor;
    }

    /** Bytes of device memory for a stack of m x n: three matrices of its size, two of the Hessian's, and codes. */
    public static long neededBytes(Codebook codebook, int m, int n) {
        long work = Math.max(workBytes(n, Math.max(m, n)), workBytes(m, n));
        return 12L * m * n
                + 8L * n * n
                + CudaRounding.smallBytes(codebook, m, n)
                + work
                + 8L * (m + n)
                + 8L * GossetCuda.GOSSET_DOT_PARTS();
    }

    private static long workBytes(int n, int rows) {
        long perRow =
                GossetCuda.gosset_transform_work(n, HadamardTransform.of(n).k(), 1);
        return perRow * Math.min(rows, rowsAtOnce(perRow, rows));
    }

    private static int rowsAtOnce(long workPerRow, int rows) {
        return workPerRow == 0 ? rows : (int) Math.clamp(WORK_BYTES / workPerRow, 1, rows);
    }

    @Override
    public Outcome round(
            RoundingSettings settings,
            Incoherence incoherence,
            FloatMatrix w,
            FloatMatrix h,
            CodeMatrix codes,
            FloatMatrix error) {
        if (settings.beam() > 0) {
            throw new IllegalArgumentException(
                    "the device rounds to nearest points only, found a beam of " + settings.beam());
        }
        if (!incoherence.inputTransform().isDefault()
                || !incoherence.outputTransform().isDefault()) {
            throw new IllegalArgumentException(
                    "the device makes linears incoherent by the transforms of their lengths only," + " found the "
                            + incoherence.inputTransform() + " and the " + incoherence.outputTransform());
        }
        int m = w.rows();
        int n = w.cols();
        if (n % Codebook.DIMENSION != 0) {
            return processor.round(settings, incoherence, w, h, codes, error);
        }
        long needed = neededBytes(codes.codebook(), m, n);
        context.requireFree(needed, "rounding a stack of " + m + " x " + n);
        try (Stack stack = new Stack(m, n, codes.codebook())) {
            double weightScale = stack.transformWeights(w, incoherence, settings.scale());
            stack.transformHessian(h, incoherence);
            double whole = stack.proxy(stack.x);
            double squares = stack.dot(stack.x, stack.x);
            stack.rounding.round(stack.x, stack.h, settings.greedyPasses(), stack.e, codes);
            if (error != null) {
                stack.e.copyTo(error.data(), 0, stack.stream);
                stack.stream.synchronize();
            }
            return Outcome.of(weightScale, stack.proxy(stack.e), whole, stack.dot(stack.e, stack.e), squares);
        }
    }

    /** One stack on the device. */
    private final class Stack implements AutoCloseable {
        private final Resources owned = new Resources();
        private final int m;
        private final int n;
        private final CudaStream stream;
        private final CublasHandle cublas;
        private final DeviceTransform inputs;
        private final DeviceTransform outputs;
        /** The weights, later in units of the codebook; the error; products and transposed weights. */
        private final DeviceBuffer x;

        private final DeviceBuffer e;
        private final DeviceBuffer t;
        private final DeviceBuffer h;
        private final DeviceBuffer work;
        private final DeviceBuffer parts;
        private final CudaRounding rounding;

        Stack(int m, int n, Codebook codebook) {
            this.m = m;
            this.n = n;
            try (Construction construction = new Construction(owned::close)) {
                long stackBytes = 4L * m * n;
                stream = owned.own(context.stream());
                cublas = owned.own(context.cublas(stream));
                inputs = owned.own(new DeviceTransform(HadamardTransform.of(n), stream));
                outputs = owned.own(new DeviceTransform(HadamardTransform.of(m), stream));
                x = owned.own(context.allocate(stackBytes, "weights to round"));
                e = owned.own(context.allocate(stackBytes, "rounding errors"));
                t = owned.own(context.allocate(stackBytes, "transposed weights"));
                h = owned.own(context.allocate(4L * n * n, "a Hessian of " + n));
                long workBytes = Math.max(workBytes(n, Math.max(m, n)), workBytes(m, n));
                work = owned.own(context.allocate(Math.max(16, workBytes), "work of a transform"));
                parts = owned.own(context.allocate(8L * GossetCuda.GOSSET_DOT_PARTS(), "partial sums"));
                rounding = owned.own(new CudaRounding(stream, cublas, codebook, m, n));
                construction.done();
            }
        }

        /** {@code x <- Wr / Wscale}; returns Wscale. The transforms are orthogonal: the norm is known before the last. */
        double transformWeights(FloatMatrix w, Incoherence incoherence, double scale) {
            upload(w.data(), x);
            try (DeviceBuffer su = signs(n, incoherence::su);
                    DeviceBuffer sv = signs(m, incoherence::sv)) {
                transform(inputs, x, m, su, 1);
                CudaKernels.transpose(stream, m, n, x, t);
                double weightScale = Math.sqrt(dot(t, t) / ((double) m * n)) / scale;
                transform(outputs, t, n, sv, weightScale > 0 ? (float) (1 / weightScale) : 1);
                CudaKernels.transpose(stream, n, m, t, x);
                stream.synchronize();
                return weightScale;
            }
        }

        /** {@code h <- U^T S H S U}: the rows, then, H being symmetric, the rows of the transpose. */
        void transformHessian(FloatMatrix hessian, Incoherence incoherence) {
            DeviceBuffer other = rounding.matrix();
            upload(hessian.data(), other);
            try (DeviceBuffer su = signs(n, incoherence::su)) {
                transform(inputs, other, n, su, 1);
                CudaKernels.transpose(stream, n, n, other, h);
                transform(inputs, h, n, su, 1);
                stream.synchronize();
            }
        }

        /** {@code tr(a H a^T)}. */
        double proxy(DeviceBuffer a) {
            cublas.gemm(m, n, n, a.address(0, a.bytes()), n, h.address(0, h.bytes()), n, t.address(0, t.bytes()), n);
            return dot(t, a);
        }

        double dot(DeviceBuffer a, DeviceBuffer b) {
            CudaKernels.dot(stream, (long) m * n, a, b, parts);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment host = arena.allocate(parts.bytes(), 16);
                parts.copyTo(host, 0, stream);
                stream.synchronize();
                double sum = 0;
                for (int i = 0; i < GossetCuda.GOSSET_DOT_PARTS(); i++) {
                    sum += host.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
                }
                return sum;
            }
        }

        private void transform(DeviceTransform transform, DeviceBuffer a, int rows, DeviceBuffer pre, float scale) {
            int step = rowsAtOnce(transform.workBytes(1), rows);
            long rowBytes = 4L * transform.n();
            for (int from = 0; from < rows; from += step) {
                int count = Math.min(step, rows - from);
                DeviceSlice slice = a.slice(rowBytes * from, rowBytes * count);
                CudaKernels.transform(
                        stream,
                        transform,
                        true,
                        count,
                        slice,
                        CudaKernels.Type.F32,
                        slice,
                        CudaKernels.Type.F32,
                        pre,
                        null,
                        scale,
                        work);
            }
        }

        private DeviceBuffer signs(int count, IntToDoubleFunction sign) {
            DeviceBuffer buffer = context.allocate(4L * count, "sign vectors");
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment host = arena.allocate(4L * count, 16);
                for (int i = 0; i < count; i++) {
                    host.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) sign.applyAsDouble(i));
                }
                buffer.copyFrom(host, 0, stream);
                stream.synchronize();
            }
            return buffer;
        }

        private void upload(MemorySegment source, DeviceBuffer target) {
            try (DeviceUpload upload = new DeviceUpload(stream, Math.min(UPLOAD_BYTES, source.byteSize()))) {
                upload.copy(source, target, 0);
            }
        }

        @Override
        public void close() {
            owned.close();
        }
    }
}
