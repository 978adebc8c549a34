package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;

/**
 * The kernels, with the sizes of all buffers checked. Each call queues work on a stream and returns. Shapes and layouts
 * are in {@code native/include/gosset_cuda.h}; offsets are 0 unless one is asked for. Thread-safe, allocates nothing on
 * the device.
 */
public final class CudaKernels {
    /** The most vectors of one {@link #matvec}. */
    public static final int MAX_BATCH = GossetCuda.GOSSET_MAX_BATCH();

    /** Element types of a transform. */
    public enum Type {
        F32(4),
        F16(2);

        final int bytes;

        Type(int bytes) {
            this.bytes = bytes;
        }
    }

    private CudaKernels() {}

    static long all(DeviceMemory buffer, long bytes) {
        return buffer.address(0, bytes);
    }

    static long orNull(DeviceMemory buffer, long bytes) {
        return buffer == null ? 0 : buffer.address(0, bytes);
    }

    /**
     * {@code out = scale post * U (pre * x)}, or {@code U^T}, row by row, U orthogonal.
     *
     * @param pre n floats, or null
     * @param post n floats, or null
     * @param work at least {@link DeviceTransform#workBytes} bytes; null where that is 0
     */
    public static void transform(
            CudaStream stream,
            DeviceTransform t,
            boolean transpose,
            int rows,
            DeviceMemory x,
            Type xType,
            DeviceMemory out,
            Type outType,
            DeviceMemory pre,
            DeviceMemory post,
            float scale,
            DeviceMemory work) {
        int n = t.n();
        long workBytes = t.workBytes(rows);
        CudaLibrary.check(GossetCuda.gosset_transform(
                all(x, (long) xType.bytes * n * rows),
                xType.ordinal(),
                all(out, (long) outType.bytes * n * rows),
                outType.ordinal(),
                n,
                t.k(),
                rows,
                t.kind(),
                t.smallAddress(),
                transpose ? 1 : 0,
                orNull(pre, 4L * n),
                orNull(post, 4L * n),
                scale / t.transform().norm(),
                workBytes == 0 ? 0 : all(work, workBytes),
                stream.handle()));
    }

    /** Bytes of a code matrix in the kernels' own layout. */
    public static long packedBytes(Codebook codebook, int m, int n) {
        return positive(GossetCuda.gosset_packed_bytes(codebook.bits(), m, n), m + " x " + n + " codes");
    }

    /** Bytes of a batch of vectors in the kernels' own layout. */
    public static long activationBytes(int n, int batch) {
        return positive(GossetCuda.gosset_activation_bytes(n, batch), batch + " vectors of " + n);
    }

    static long positive(long bytes, String what) {
        if (bytes <= 0) {
            throw new IllegalArgumentException("the kernels do not take " + what);
        }
        return bytes;
    }

    /** Repacks the planes of a {@link CodeMatrix}. */
    public static void pack(
            CudaStream stream, Codebook codebook, int m, int n, DeviceMemory codes, DeviceMemory packed) {
        CudaLibrary.check(GossetCuda.gosset_pack(
                codebook.bits(),
                m,
                n,
                all(codes, CodeMatrix.bytes(codebook, m, n)),
                all(packed, packedBytes(codebook, m, n)),
                stream.handle()));
    }

    /** Rounds {@code batch} rows of n floats to 16 bits. */
    public static void quantizeActivations(
            CudaStream stream, int n, int batch, DeviceMemory x, DeviceMemory activations, DeviceMemory scale) {
        CudaLibrary.check(GossetCuda.gosset_quantize_activations(
                all(x, 4L * n * batch),
                n,
                batch,
                all(activations, activationBytes(n, batch)),
                all(scale, 4L * batch),
                stream.handle()));
    }

    /** {@code y = Q x} for 1 to {@link #MAX_BATCH} rounded vectors; y is batch x m float. */
    public static void matvec(
            CudaStream stream,
            Codebook codebook,
            int m,
            int n,
            int batch,
            DeviceMemory packed,
            DeviceMemory activations,
            DeviceMemory scale,
            DeviceMemory y) {
        CudaLibrary.check(GossetCuda.gosset_matvec(
                codebook.bits(),
                m,
                n,
                batch,
                all(packed, packedBytes(codebook, m, n)),
                all(activations, activationBytes(n, batch)),
                all(scale, 4L * batch),
                (float) codebook.residualScale(),
                all(y, 4L * m * batch),
                stream.handle()));
    }

    /** Rows {@code firstRow .. firstRow + rows - 1} of Q as F16, {@code 8 ceil(n / 8)} columns. */
    public static void decode(
            CudaStream stream,
            Codebook codebook,
            int m,
            int n,
            DeviceMemory packed,
            int firstRow,
            int rows,
            DeviceMemory out) {
        CudaLibrary.check(GossetCuda.gosset_decode(
                codebook.bits(),
                m,
                n,
                all(packed, packedBytes(codebook, m, n)),
                firstRow,
                rows,
                (float) codebook.residualScale(),
                all(out, 16L * CodeMatrix.groups(n) * rows),
                stream.handle()));
    }

    /** What stands between two products; see {@link #between}. */
    public enum Between {
        /** {@code t = h}. */
        PLAIN,
        /** {@code residual += h}, t its RMS norm times a weight. */
        NORM,
        /** {@code t = silu(second half of h) * first half}. */
        GATE
    }

    /**
     * Output transform of a product, norm or gate, input transform of the next one and rounding, in one launch.
     *
     * @param z the product: batch x (m of {@code out}) floats; h as it is where {@code out} is null
     * @param out the output transform, or null
     * @param post SV, as many floats as {@code out} is long; null without it
     * @param residual NORM: batch x n floats, changed; else null
     * @param weight NORM: n floats; else null
     * @param in the next input transform, of length n
     * @param pre its SU, n floats
     * @throws CudaException with status {@code GOSSET_UNSUPPORTED} where the vectors are too long for one launch
     */
    public static void between(
            CudaStream stream,
            Between kind,
            int batch,
            DeviceMemory z,
            DeviceTransform out,
            DeviceMemory post,
            DeviceMemory residual,
            DeviceMemory weight,
            float epsilon,
            DeviceTransform in,
            DeviceMemory pre,
            DeviceMemory activations,
            DeviceMemory scale) {
        int n = in.n();
        int m = out == null ? 0 : out.n();
        long incoming = m > 0 ? m : kind == Between.GATE ? 2L * n : n;
        CudaLibrary.check(GossetCuda.gosset_between(
                kind.ordinal(),
                orNull(z, 4 * incoming * batch),
                m,
                m == 0 ? 1 : out.k(),
                m == 0 ? 0 : out.kind(),
                m == 0 ? 0 : out.smallAddress(),
                m == 0 ? 0 : all(post, 4L * m),
                orNull(residual, 4L * n * batch),
                orNull(weight, 4L * n),
                epsilon,
                n,
                in.k(),
                in.kind(),
                in.smallAddress(),
                all(pre, 4L * n),
                batch,
                all(activations, activationBytes(n, batch)),
                all(scale, 4L * batch),
                stream.handle()));
    }

    /** Nearest points of {@code count} vectors of 8 floats: their values and their codes (int32). */
    public static void nearest(
            CudaStream stream, Codebook codebook, int count, DeviceMemory x, DeviceMemory values, DeviceMemory codes) {
        CudaLibrary.check(GossetCuda.gosset_nearest(
                codebook.bits(),
                all(x, 32L * count),
                count,
                (float) codebook.residualScale(),
                all(values, 32L * count),
                all(codes, 4L * count),
                stream.handle()));
    }

    /** The inner product of {@code count} floats, as {@code GOSSET_DOT_PARTS} doubles to be added up. */
    static void dot(CudaStream stream, long count, DeviceMemory x, DeviceMemory y, DeviceMemory parts) {
        CudaLibrary.check(GossetCuda.gosset_dot(
                all(x, 4 * count),
                all(y, 4 * count),
                count,
                all(parts, 8L * GossetCuda.GOSSET_DOT_PARTS()),
                stream.handle()));
    }

    /** Adds the columns of x, rows x n floats, to n doubles. */
    static void columnSums(CudaStream stream, int rows, int n, DeviceMemory x, DeviceMemory sums) {
        CudaLibrary.check(
                GossetCuda.gosset_column_sums(all(x, 4L * rows * n), rows, n, all(sums, 8L * n), stream.handle()));
    }

    /** The transpose of rows x columns floats, into other memory. */
    static void transpose(CudaStream stream, int rows, int columns, DeviceMemory x, DeviceMemory out) {
        long bytes = 4L * rows * columns;
        CudaLibrary.check(GossetCuda.gosset_transpose(all(x, bytes), rows, columns, all(out, bytes), stream.handle()));
    }

    /** {@code count} floats into float64. */
    static void widen(CudaStream stream, long count, DeviceMemory x, DeviceMemory out) {
        CudaLibrary.check(GossetCuda.gosset_convert(
                all(x, 4 * count),
                GossetCuda.GOSSET_F32(),
                all(out, 8 * count),
                GossetCuda.GOSSET_F64(),
                count,
                stream.handle()));
    }
}
