package dev.gosset.cuda;

import static dev.gosset.bindings.CuBlas.*;

import dev.gosset.bindings.CuBlas;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * cuBLAS on one stream. Every matrix here is row-major, as everywhere in Gosset; the handle turns that into cuBLAS's
 * column-major by exchanging operands. Results are on the device when the stream gets there. One thread at a time.
 */
public final class CublasHandle implements AutoCloseable {
    private static final MemorySegment FLOAT_ONE = constant(1f);
    private static final MemorySegment FLOAT_ZERO = constant(0f);
    private static final MemorySegment FLOAT_MINUS_ONE = constant(-1f);
    private static final MemorySegment DOUBLE_ONE =
            Arena.global().allocateFrom(ValueLayout.JAVA_DOUBLE, 1.0).asReadOnly();

    private final CudaContext context;
    private final CudaContext.Lease lease;
    private final MemorySegment handle;

    CublasHandle(CudaContext context, CudaStream stream) {
        CudaLibrary.requireCublas();
        this.context = context;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            CudaLibrary.checkCublas(cublasCreate_v2(out), "creating a cuBLAS handle");
            handle = out.get(ValueLayout.ADDRESS, 0);
        }
        lease = context.lease("cuBLAS handle", 0);
        CudaLibrary.checkCublas(cublasSetStream_v2(handle, stream.handle()), "choosing the stream of a cuBLAS handle");
    }

    private static MemorySegment constant(float value) {
        return Arena.global().allocateFrom(ValueLayout.JAVA_FLOAT, value).asReadOnly();
    }

    private static MemorySegment at(long address) {
        return MemorySegment.ofAddress(address);
    }

    private MemorySegment handle() {
        lease.requireAlive();
        context.select();
        return handle;
    }

    /**
     * {@code C = A B^T} for A rows x depth and B cols x depth in F16, C rows x cols float32 with {@code stride} elements
     * from row to row; sums in float32.
     */
    void gemmHalf(int rows, int cols, int depth, long a, long b, long c, int stride) {
        CudaLibrary.checkCublas(
                cublasGemmEx(
                        handle(),
                        CUBLAS_OP_T(),
                        CUBLAS_OP_N(),
                        cols,
                        rows,
                        depth,
                        FLOAT_ONE,
                        at(b),
                        CUDA_R_16F(),
                        depth,
                        at(a),
                        CUDA_R_16F(),
                        depth,
                        FLOAT_ZERO,
                        at(c),
                        CUDA_R_32F(),
                        stride,
                        CUBLAS_COMPUTE_32F(),
                        CUBLAS_GEMM_DEFAULT()),
                "cublasGemmEx of " + rows + " x " + depth + " by " + depth + " x " + cols);
    }

    /**
     * Many products of one shape, of F16 into float32: {@code C_i = A_i B_i^T} or {@code C_i = A_i B_i}, with sums in
     * float32. A, B and C are the first matrices; from each to the next it is {@code step} elements, which may be 0 for A and
     * B.
     *
     * @param transposeB whether B is stored cols x depth, else depth x cols
     * @param rows of A and C
     * @param cols of C
     * @param depth columns of A
     * @throws IndexOutOfBoundsException where a matrix is not all inside its memory
     */
    public void gemmHalf(boolean transposeB, int rows, int cols, int depth, Batch a, Batch b, Batch c, int batches) {
        if (rows < 1 || cols < 1 || depth < 1 || batches < 1) {
            throw new IllegalArgumentException(
                    batches + " products of " + rows + " x " + depth + " by " + depth + " x " + cols);
        }
        CudaLibrary.checkCublas(
                cublasGemmStridedBatchedEx(
                        handle(),
                        transposeB ? CUBLAS_OP_T() : CUBLAS_OP_N(),
                        CUBLAS_OP_N(),
                        cols,
                        rows,
                        depth,
                        FLOAT_ONE,
                        at(b.address(transposeB ? cols : depth, transposeB ? depth : cols, batches, 2)),
                        CUDA_R_16F(),
                        b.stride(),
                        b.step(),
                        at(a.address(rows, depth, batches, 2)),
                        CUDA_R_16F(),
                        a.stride(),
                        a.step(),
                        FLOAT_ZERO,
                        at(c.address(rows, cols, batches, 4)),
                        CUDA_R_32F(),
                        c.stride(),
                        c.step(),
                        batches,
                        CUBLAS_COMPUTE_32F(),
                        CUBLAS_GEMM_DEFAULT()),
                "cublasGemmStridedBatchedEx of " + batches + " times " + rows + " x " + depth + " by " + depth + " x "
                        + cols);
    }

    /**
     * Matrices of one shape in device memory.
     *
     * @param memory begins with the first matrix
     * @param stride elements from row to row
     * @param step elements from matrix to matrix
     */
    public record Batch(DeviceMemory memory, int stride, long step) {
        private long address(int rows, int cols, int batches, int elementBytes) {
            if (stride < cols || step < 0) {
                throw new IllegalArgumentException(
                        "rows of " + cols + " elements lie " + stride + " apart, matrices " + step);
            }
            return memory.address(0, elementBytes * (step * (batches - 1) + (long) stride * (rows - 1) + cols));
        }
    }

    /** {@code C = A B} in float32: A rows x depth, B depth x cols, with the given elements from row to row. */
    void gemm(int rows, int cols, int depth, long a, int strideA, long b, int strideB, long c, int strideC) {
        CudaLibrary.checkCublas(
                cublasSgemm_v2(
                        handle(),
                        CUBLAS_OP_N(),
                        CUBLAS_OP_N(),
                        cols,
                        rows,
                        depth,
                        FLOAT_ONE,
                        at(b),
                        strideB,
                        at(a),
                        strideA,
                        FLOAT_ZERO,
                        at(c),
                        strideC),
                "cublasSgemm of " + rows + " x " + depth + " by " + depth + " x " + cols);
    }

    /**
     * {@code C = A B^T} in float32, all packed: what a linear with weights B makes of the rows of A.
     *
     * @param a rows x depth
     * @param b cols x depth
     * @param c rows x cols
     */
    public void gemmTransposed(int rows, int cols, int depth, DeviceMemory a, DeviceMemory b, DeviceMemory c) {
        CudaLibrary.checkCublas(
                cublasSgemm_v2(
                        handle(),
                        CUBLAS_OP_T(),
                        CUBLAS_OP_N(),
                        cols,
                        rows,
                        depth,
                        FLOAT_ONE,
                        at(b.address(0, 4L * cols * depth)),
                        depth,
                        at(a.address(0, 4L * rows * depth)),
                        depth,
                        FLOAT_ZERO,
                        at(c.address(0, 4L * rows * cols)),
                        cols),
                "cublasSgemm of " + rows + " x " + depth + " by the transpose of " + cols + " x " + depth);
    }

    /** {@code A <- A - P P^T} in the lower triangle of the order x order matrix A; P is order x depth; both with stride. */
    void subtractProduct(int order, int depth, long p, long a, int stride) {
        CudaLibrary.checkCublas(
                cublasSsyrk_v2(
                        handle(),
                        CUBLAS_FILL_MODE_UPPER(),
                        CUBLAS_OP_T(),
                        order,
                        depth,
                        FLOAT_MINUS_ONE,
                        at(p),
                        stride,
                        FLOAT_ONE,
                        at(a),
                        stride),
                "cublasSsyrk of order " + order + " and depth " + depth);
    }

    /** {@code B <- B L^-T} for the lower triangular order x order matrix L and B rows x order, both with stride. */
    void solveTransposed(int rows, int order, long l, long b, int stride) {
        CudaLibrary.checkCublas(
                cublasStrsm_v2(
                        handle(),
                        CUBLAS_SIDE_LEFT(),
                        CUBLAS_FILL_MODE_UPPER(),
                        CUBLAS_OP_T(),
                        CUBLAS_DIAG_NON_UNIT(),
                        order,
                        rows,
                        FLOAT_ONE,
                        at(l),
                        stride,
                        at(b),
                        stride),
                "cublasStrsm of order " + order + " and " + rows + " rows");
    }

    /** {@code S <- S + X^T X} in the lower triangle of the n x n float64 matrix S; X is rows x n float64. */
    void addSquares(int n, int rows, long x, long s) {
        CudaLibrary.checkCublas(
                CuBlas.cublasDsyrk_v2(
                        handle(),
                        CUBLAS_FILL_MODE_UPPER(),
                        CUBLAS_OP_N(),
                        n,
                        rows,
                        DOUBLE_ONE,
                        at(x),
                        n,
                        DOUBLE_ONE,
                        at(s),
                        n),
                "cublasDsyrk of order " + n + " and " + rows + " rows");
    }

    @Override
    public void close() {
        if (lease.end()) {
            CudaLibrary.checkCublas(cublasDestroy_v2(handle), "destroying a cuBLAS handle");
        }
    }
}
