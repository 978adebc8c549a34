package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.rounding.NotPositiveDefiniteException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Block LDLQ on the device, as {@link dev.gosset.core.rounding.Ldlq} does it on the CPU in float32: the same sweeps over
 * groups of 128 columns, large products by cuBLAS, the column loop and the search by our kernel. Codes may differ from the
 * CPU's where a search is within rounding of a tie, and then in what follows; losses agree.
 */
public final class CudaRounding implements AutoCloseable {
    private static final int GROUP = 128;
    private static final int BLOCK = 8;
    private static final int CHOLESKY = 64;

    private final Resources owned = new Resources();
    private final CudaStream stream;
    private final CublasHandle cublas;
    private final Codebook codebook;
    private final int m;
    private final int n;
    private final DeviceBuffer matrix;
    private final DeviceBuffer base;
    private final DeviceBuffer found;
    private final DeviceBuffer planes;
    private final DeviceBuffer failure;

    /** Room for rounding one m x n matrix, n a multiple of 8, on the stream that {@code cublas} works on. */
    CudaRounding(CudaStream stream, CublasHandle cublas, Codebook codebook, int m, int n) {
        this.stream = stream;
        this.cublas = cublas;
        this.codebook = codebook;
        this.m = m;
        this.n = n;
        CudaContext context = stream.context();
        try (Construction construction = new Construction(owned::close)) {
            matrix = owned.own(context.allocate(4L * n * n, "a factor of " + n));
            base = owned.own(context.allocate(4L * m * GROUP, "a group of columns"));
            found = owned.own(context.allocate(4L * m * (n / BLOCK), "codes"));
            planes = owned.own(context.allocate(CodeMatrix.bytes(codebook, m, n), "codes"));
            failure = owned.own(context.allocate(4, "a flag"));
            construction.done();
        }
    }

    /** Bytes of device memory beside x, h, e and the factor. */
    static long smallBytes(Codebook codebook, int m, int n) {
        return 4L * m * GROUP + 4L * m * (n / BLOCK) + CodeMatrix.bytes(codebook, m, n) + 4;
    }

    /** n x n floats that nobody needs before {@link #round}. */
    DeviceBuffer matrix() {
        return matrix;
    }

    /**
     * Rounds X.
     *
     * @param x m x n with n a multiple of 8, in units of the codebook
     * @param h n x n, symmetric positive definite
     * @param greedyPasses how many greedy passes follow the feedback pass
     * @param codes receives the codes; m x n
     * @param error receives {@code X - Q}; m x n
     * @throws NotPositiveDefiniteException where H has no Cholesky factor in float32
     */
    public static void round(
            CudaContext context, FloatMatrix x, FloatMatrix h, int greedyPasses, CodeMatrix codes, FloatMatrix error) {
        int m = x.rows();
        int n = x.cols();
        if (n % BLOCK != 0 || h.rows() != n || h.cols() != n || codes.rows() != m || codes.cols() != n) {
            throw new IllegalArgumentException("X is " + m + " x " + n + ", H " + h.rows() + " x " + h.cols()
                    + ", the codes " + codes.rows() + " x " + codes.cols() + "; columns must be a multiple of 8");
        }
        try (CudaStream stream = context.stream();
                CublasHandle cublas = context.cublas(stream);
                DeviceBuffer dx = context.allocate(4L * m * n, "weights to round");
                DeviceBuffer de = context.allocate(4L * m * n, "rounding errors");
                DeviceBuffer dh = context.allocate(4L * n * n, "a Hessian of " + n);
                CudaRounding rounding = new CudaRounding(stream, cublas, codes.codebook(), m, n)) {
            try (DeviceUpload upload = new DeviceUpload(stream, 8 << 20)) {
                upload.copy(x.data(), dx, 0);
                upload.copy(h.data(), dh, 0);
            }
            rounding.round(dx, dh, greedyPasses, de, codes);
            de.copyTo(error.data(), 0, stream);
            stream.synchronize();
        }
    }

    /** {@link #round(CudaContext, FloatMatrix, FloatMatrix, int, CodeMatrix, FloatMatrix)} of what is on the device. */
    void round(DeviceBuffer x, DeviceBuffer h, int greedyPasses, DeviceBuffer e, CodeMatrix codes) {
        long matrixBytes = 4L * n * n;
        e.fill(0, stream);
        matrix.copyFrom(h, 0, 0, matrixBytes, stream);
        blockLdl(stream, cublas, matrix, n, failure);
        sweep(stream, cublas, codebook, m, n, x, matrix, true, e, base, greedyPasses == 0 ? found : null);
        if (greedyPasses > 0) {
            failure.fill(0, stream);
            CudaLibrary.check(GossetCuda.gosset_greedy_matrix(
                    h.address(0, matrixBytes),
                    matrix.address(0, matrixBytes),
                    n,
                    failure.address(0, 4),
                    stream.handle()));
            checkFailure(stream, failure, n);
            for (int pass = 1; pass <= greedyPasses; pass++) {
                DeviceBuffer last = pass == greedyPasses ? found : null;
                sweep(stream, cublas, codebook, m, n, x, matrix, false, e, base, last);
            }
        }
        CudaLibrary.check(GossetCuda.gosset_codes_to_planes(
                codebook.bits(),
                m,
                n,
                found.address(0, found.bytes()),
                planes.address(0, planes.bytes()),
                stream.handle()));
        planes.copyTo(codes.data(), 0, stream);
        stream.synchronize();
    }

    @Override
    public void close() {
        owned.close();
    }

    /** The L of the block LDL decomposition in the place of H: blocked Cholesky, then the blocks of 8. */
    static void blockLdl(CudaStream stream, CublasHandle cublas, DeviceBuffer matrix, int n, DeviceBuffer failure) {
        failure.fill(0, stream);
        for (int k = 0; k < n; k += CHOLESKY) {
            int width = Math.min(CHOLESKY, n - k);
            long whole = 4L * n * n;
            CudaLibrary.check(GossetCuda.gosset_cholesky_block(
                    matrix.address(0, whole), n, k, width, failure.address(0, 4), stream.handle()));
            int below = n - k - width;
            if (below > 0) {
                long diagonal = 4 * ((long) k * n + k);
                long panel = diagonal + 4L * width * n;
                long l = matrix.address(diagonal, whole - diagonal);
                long p = matrix.address(panel, whole - panel);
                cublas.solveTransposed(below, width, l, p, n);
                cublas.subtractProduct(below, width, p, matrix.address(panel + 4L * width, 4), n);
            }
        }
        checkFailure(stream, failure, n);
        CudaLibrary.check(GossetCuda.gosset_block_ldl(matrix.address(0, 4L * n * n), n, stream.handle()));
    }

    private static void checkFailure(CudaStream stream, DeviceBuffer failure, int n) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment row = arena.allocate(ValueLayout.JAVA_INT);
            failure.copyTo(row, 0, stream);
            stream.synchronize();
            int found = row.get(ValueLayout.JAVA_INT, 0);
            if (found != 0) {
                throw new NotPositiveDefiniteException("the Hessian of " + n
                        + " inputs is not positive definite: Cholesky in float32 on the device stopped at row "
                        + (found - 1) + "; a larger sigma on its diagonal helps");
            }
        }
    }

    private static void sweep(
            CudaStream stream,
            CublasHandle cublas,
            Codebook codebook,
            int m,
            int n,
            DeviceBuffer x,
            DeviceBuffer matrix,
            boolean feedback,
            DeviceBuffer e,
            DeviceBuffer base,
            DeviceBuffer codes) {
        for (int end = n; end > 0; ) {
            int start = (end - 1) / GROUP * GROUP;
            int width = end - start;
            int above = feedback ? end : 0;
            if (above < n) {
                long rows = 4 * ((long) above * n + start);
                cublas.gemm(
                        m,
                        width,
                        n - above,
                        e.address(4L * above, 4),
                        n,
                        matrix.address(rows, 4),
                        n,
                        base.address(0, 4L * m * width),
                        width);
            }
            CudaLibrary.check(GossetCuda.gosset_ldlq_group(
                    codebook.bits(),
                    m,
                    n,
                    start,
                    width,
                    x.address(0, 4L * m * n),
                    matrix.address(0, 4L * n * n),
                    above < n ? base.address(0, 4L * m * width) : 0,
                    e.address(0, 4L * m * n),
                    (float) codebook.residualScale(),
                    codes == null ? 0 : codes.address(0, codes.bytes()),
                    stream.handle()));
            end = start;
        }
    }
}
