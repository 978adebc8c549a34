package dev.gosset.cuda;

import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The sums of {@code x x^T} and of x over tokens, in float64 on the device: products by cuBLAS. What the CPU's accumulator
 * does with them afterwards (division by the number of tokens, regularization) is the same. One thread at a time.
 */
public final class CudaHessian implements AutoCloseable {
    /** Tokens that are made float64 at a time. */
    private static final int TOKENS = 1024;

    private final CudaContext context;
    private final int n;
    private final Resources owned = new Resources();
    private final CudaStream stream;
    private final CublasHandle cublas;
    private final DeviceBuffer sum;
    private final DeviceBuffer columns;
    /** Where activations are made float64, a number of tokens at a time. */
    private final DeviceBuffer wide;

    private long tokens;

    public CudaHessian(CudaContext context, int n) {
        this.context = context;
        this.n = n;
        context.requireFree(neededBytes(n), "a Hessian sum of " + n + " inputs");
        try (Construction construction = new Construction(owned::close)) {
            stream = owned.own(context.stream());
            cublas = owned.own(context.cublas(stream));
            sum = owned.own(context.allocate(8L * n * n, "a Hessian sum of " + n + " inputs"));
            columns = owned.own(context.allocate(8L * n, "sums of " + n + " inputs"));
            wide = owned.own(context.allocate(8L * n * TOKENS, "activations in float64"));
            sum.fill(0, stream);
            columns.fill(0, stream);
            construction.done();
        }
    }

    /** Bytes of device memory that the sums of n inputs need, activations not counted. */
    public static long neededBytes(int n) {
        return 8L * n * n + 8L * n + 8L * n * TOKENS;
    }

    /** The number of inputs. */
    public int n() {
        return n;
    }

    /** How many tokens were added. */
    public long tokens() {
        return tokens;
    }

    /** Adds the tokens in the rows of {@code x}, tokens x n, and waits. */
    public void add(FloatMatrix x) {
        if (x.cols() != n) {
            throw new IllegalArgumentException("the Hessian has " + n + " inputs, found " + x.cols());
        }
        long bytes = 4L * n * x.rows();
        try (DeviceBuffer narrow = context.allocate(bytes, "activations")) {
            try (DeviceUpload upload = new DeviceUpload(stream, Math.min(8 << 20, bytes))) {
                upload.copy(x.data(), narrow, 0);
            }
            add(narrow, x.rows());
        }
    }

    /** Adds {@code rows} x n floats that are on the device, complete, and waits. */
    public void add(DeviceMemory x, int rows) {
        for (int from = 0; from < rows; from += TOKENS) {
            int count = Math.min(TOKENS, rows - from);
            DeviceSlice part = x.slice(4L * n * from, 4L * n * count);
            CudaKernels.widen(stream, (long) n * count, part, wide);
            cublas.addSquares(n, count, wide.address(0, 8L * n * count), sum.address(0, 8L * n * n));
        }
        CudaKernels.columnSums(stream, rows, n, x, columns);
        stream.synchronize();
        tokens += rows;
    }

    /** Writes the sums of the inputs themselves: n doubles. */
    public void readColumns(double[] out) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(8L * n, 16);
            columns.copyTo(host, 0, stream);
            stream.synchronize();
            MemorySegment.copy(host, ValueLayout.JAVA_DOUBLE, 0, out, 0, n);
        }
    }

    /** Writes the sums of the products of inputs: n x n doubles, of which the lower triangle counts. */
    public void readLower(DoubleMatrix out) {
        if (out.rows() != n || out.cols() != n) {
            throw new IllegalArgumentException("the sum is " + n + " x " + n);
        }
        sum.copyTo(out.data(), 0, stream);
        stream.synchronize();
    }

    /** Frees it; the second time nothing happens. */
    @Override
    public void close() {
        owned.close();
    }
}
