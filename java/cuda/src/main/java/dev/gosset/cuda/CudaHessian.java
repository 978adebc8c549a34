package dev.gosset.cuda;

import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import java.lang.foreign.ValueLayout;

/**
 * The sum of {@code x x^T} over tokens, in float64 on the device by cuBLAS. What the CPU's accumulator does with it
 * afterwards (division by the number of tokens, regularization) is the same. One thread at a time.
 */
public final class CudaHessian implements AutoCloseable {
    private final CudaContext context;
    private final int n;
    private final CudaStream stream;
    private final CublasHandle cublas;
    private final DeviceBuffer sum;

    public CudaHessian(CudaContext context, int n) {
        this.context = context;
        this.n = n;
        stream = context.stream();
        cublas = context.cublas(stream);
        sum = context.allocate(8L * n * n, "a Hessian sum of " + n + " inputs");
        sum.fill(0, stream);
    }

    /** Adds the tokens in the rows of {@code x}, tokens x n, and waits. */
    public void add(FloatMatrix x) {
        if (x.cols() != n) {
            throw new IllegalArgumentException("the Hessian has " + n + " inputs, found " + x.cols());
        }
        long count = (long) x.rows() * n;
        try (DeviceBuffer narrow = context.allocate(4 * count, "activations");
                DeviceBuffer wide = context.allocate(8 * count, "activations in float64")) {
            try (DeviceUpload upload = new DeviceUpload(stream, Math.min(8 << 20, 4 * count))) {
                upload.copy(x.data(), narrow, 0);
            }
            CudaKernels.widen(stream, count, narrow, wide);
            cublas.addSquares(n, x.rows(), wide.address(0, 8 * count), sum.address(0, 8L * n * n));
            stream.synchronize();
        }
    }

    /** Writes the sum, both triangles. */
    public void read(DoubleMatrix out) {
        if (out.rows() != n || out.cols() != n) {
            throw new IllegalArgumentException("the sum is " + n + " x " + n);
        }
        sum.copyTo(out.data(), 0, stream);
        stream.synchronize();
        for (long i = 0; i < n; i++) {
            for (long j = 0; j < i; j++) {
                double v = out.data().getAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, i * n + j);
                out.data().setAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, j * n + i, v);
            }
        }
    }

    @Override
    public void close() {
        sum.close();
        cublas.close();
        stream.close();
    }
}
