package dev.gosset.core.kernel.dense;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.memory.NativeMemory;
import dev.gosset.core.kernel.memory.OpenMemory;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.LazyMemory;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * {@code y = x W^T} in float32 with an m x n matrix W kept as bytes from -127 to 127 and one float32 scale for each row:
 * half of what float16 takes. A weight is wrong by at most half its row's scale, which is the row's largest magnitude /
 * 127. Rows of x are multiplied straight from the bytes, each with the bits it would have alone; or, where there are many and that
 * does not matter, by tiles that are widened and handed to BLAS. The tiles depend on the shapes alone, so a result does not
 * depend on the number of threads.
 *
 * <p>Immutable, thread-safe; products of one row allocate nothing but their frame. Needs the module jdk.incubator.vector.
 */
public final class ByteProduct {
    private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    /** There is no vector of 32 bits: with floats of 128 bits the upper half of 64 is not used. */
    private static final VectorSpecies<Byte> B =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, F.vectorBitSize() / 4)));

    private static final int LANES = F.length();
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final MemorySegment ALL = NativeMemory.ALL;

    /** Rows that share the loads of x. */
    private static final int BLOCK = 4;

    private static final long SUM_BYTES = 4L * BLOCK * LANES;

    /** Inputs that share the reading of weights. */
    private static final int BATCH = 16;

    /** Rows that are rounded together. */
    private static final int ROUNDED = 64;

    private final int rows;
    private final int cols;
    private final int tile;
    private final MemorySegment data;
    private final MemorySegment scales;

    /**
     * Rounds a matrix.
     *
     * @param weight a matrix of F32, F16, BF16 or F64, read once
     * @param arena owns the bytes
     * @param team rounds them, where the arena is open to all its threads; stays the caller's
     * @throws dev.gosset.core.FormatException where the tensor is no such matrix, or has infinity or NaN
     */
    public ByteProduct(Tensor weight, Arena arena, ThreadTeam team) {
        weight.requireFinite();
        this.rows = weight.dim(0);
        this.cols = weight.dim(1);
        this.tile = Math.max(8, (1 << 17) / cols);
        this.data = LazyMemory.allocate(arena, (long) rows * cols + VectorAttention.BEHIND);
        this.scales = LazyMemory.allocate(arena, 4L * rows);
        NativeMemory.run(team, Math.ceilDiv(rows, ROUNDED), i -> round(weight, i * ROUNDED), data, weight.data());
    }

    private void round(Tensor weight, int from) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment row = arena.allocate(4L * cols, 64);
            for (int i = from; i < Math.min(rows, from + ROUNDED); i++) {
                weight.toFloats((long) i * cols, cols, row);
                VectorAttention.narrowToBytes(row, 0, data, (long) i * cols, scales, 4L * i, cols);
            }
        }
    }

    /**
     * The root mean square of the errors of y, as a part of that of y, where rows are of a normal distribution: the largest of 4096 elements
     * is about four times as large as their root mean square and becomes 127.
     */
    public double relativeError() {
        return 4.0 / 127 / Math.sqrt(12);
    }

    /** m, the number of outputs. */
    public int rows() {
        return rows;
    }

    /** n, the number of inputs. */
    public int cols() {
        return cols;
    }

    /**
     * Writes y. Each of its rows has the same bits whatever the other rows are.
     *
     * @param x t x n
     * @param y t x m
     */
    public void apply(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        check(x, y);
        for (int first = 0; first < x.rows(); first += BATCH) {
            FloatMatrix in = x.rows(first, Math.min(x.rows(), first + BATCH));
            FloatMatrix out = y.rows(first, first + in.rows());
            OpenMemory.during(
                    in.data(),
                    out.data(),
                    data,
                    scales,
                    () -> workspace.run(Math.ceilDiv(rows, tile), SUM_BYTES, (i, sums) -> {
                        if (in.rows() == 1) {
                            matvec(in.data(), out.data(), i, sums);
                        } else {
                            matvecs(in, out, i, sums);
                        }
                    }));
        }
    }

    /** {@link #apply} by BLAS where there are several rows, which is up to twice as fast and changes the last bits. */
    public void applyMany(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        if (x.rows() < 2) {
            apply(x, y, workspace);
            return;
        }
        check(x, y);
        int step = rows >= 2048 ? 256 : 128;
        OpenMemory.during(
                x.data(),
                y.data(),
                data,
                scales,
                () -> workspace.run(Math.ceilDiv(rows, step), 4L * step * cols, (i, floats) -> {
                    int from = i * step;
                    gemm(x, y, from, Math.min(rows - from, step), floats);
                }));
    }

    private void check(FloatMatrix x, FloatMatrix y) {
        if (x.cols() != cols || y.cols() != rows || y.rows() != x.rows()) {
            throw new IllegalArgumentException("a product with a " + rows + " x " + cols + " matrix cannot take "
                    + x.rows() + " x " + x.cols() + " to " + y.rows() + " x " + y.cols());
        }
    }

    /** A tile times several inputs, which share the conversion of weights. */
    private void matvecs(FloatMatrix xs, FloatMatrix ys, int task, MemorySegment scratch) {
        int from = task * tile;
        int count = Math.min(tile, rows - from);
        long bytes = (long) count * cols;
        long w = NativeMemory.readable(data, (long) from * cols, bytes + VectorAttention.BEHIND);
        long scale = NativeMemory.readable(scales, 4L * from, 4L * count);
        long x = NativeMemory.readable(xs.data(), 0, 4L * xs.rows() * cols);
        long y = NativeMemory.writable(ys.data(), 0, 4L * ys.rows() * rows);
        long sums = NativeMemory.writable(scratch, 0, SUM_BYTES);
        int whole = cols / LANES * LANES;
        scratch.set(ValueLayout.JAVA_LONG_UNALIGNED, 0, NativeMemory.touch(w, bytes));
        for (int t = 0; t < xs.rows(); t += InputSums.INPUTS) {
            int more = Math.min(InputSums.INPUTS, xs.rows() - t) - 1;
            for (int row = 0; row < count; row++) {
                long at = w + (long) row * cols;
                InputSums.ofBytes(at, x + 4L * t * cols, 4L * cols, more, whole, sums);
                for (int i = 0; i <= more; i++) {
                    long to = y + 4L * ((long) (t + i) * rows + from + row);
                    finish(at, whole, x + 4L * (t + i) * cols, sums + 4L * i * LANES, scale + 4L * row, to);
                }
            }
        }
        NativeMemory.keep(xs.data(), ys.data());
        NativeMemory.keep(data, scales);
        Reference.reachabilityFence(scratch);
    }

    private void gemm(FloatMatrix x, FloatMatrix y, int from, int count, MemorySegment w) {
        VectorAttention.widenBytes(data, (long) from * cols, scales, 4L * from, w, 0, count, cols);
        Operand out = Operand.of(y).block(0, from, x.rows(), count);
        Blas.gemm(1, Operand.of(x), Operand.floats(w, count, cols).transpose(), 0, out);
    }

    private void matvec(MemorySegment xs, MemorySegment ys, int task, MemorySegment scratch) {
        int from = task * tile;
        int count = Math.min(tile, rows - from);
        long w = NativeMemory.readable(data, (long) from * cols, (long) count * cols + VectorAttention.BEHIND);
        long scale = NativeMemory.readable(scales, 4L * from, 4L * count);
        long x = NativeMemory.readable(xs, 0, 4L * cols);
        long y = NativeMemory.writable(ys, 4L * from, 4L * count);
        long sums = NativeMemory.writable(scratch, 0, SUM_BYTES);
        int whole = cols / LANES * LANES;
        // The rows of a block are one of each quarter of the tile, then come those that are left, alone.
        int quarter = count / BLOCK;
        long next = (long) quarter * cols;
        for (int i = 0; i < quarter; i++) {
            long at = w + (long) i * cols;
            sumBytes(at, at + next, at + 2 * next, at + 3 * next, whole, x, sums);
            for (int r = 0; r < BLOCK; r++) {
                int row = i + r * quarter;
                finish(at + r * next, whole, x, sums + 4L * r * LANES, scale + 4L * row, y + 4L * row);
            }
        }
        for (int row = BLOCK * quarter; row < count; row++) {
            long at = w + (long) row * cols;
            sumBytes(at, at, at, at, whole, x, sums);
            finish(at, whole, x, sums, scale + 4L * row, y + 4L * row);
        }
        NativeMemory.keep(xs, ys);
        NativeMemory.keep(data, scales);
        Reference.reachabilityFence(scratch);
    }

    /** Writes the element of y of a row from its sums, one for each lane, and its last columns. */
    private void finish(long row, int whole, long x, long sums, long scale, long y) {
        float sum = InputSums.ofLanes(sums);
        for (int j = whole; j < cols; j++) {
            float weight = ALL.get(ValueLayout.JAVA_BYTE, row + j);
            sum = Math.fma(weight, ALL.get(FLOAT, x + 4L * j), sum);
        }
        ALL.set(FLOAT, y, sum * ALL.get(FLOAT, scale));
    }

    // As in VectorTransform: a method that holds vectors is longer than 325 bytecodes, loops inside and calls nothing
    // but
    // the Vector API, so that C2 compiles it on its own and boxes nothing.

    /** The sums of four rows, lane by lane and without their scales: vpmovsxbd, vcvtdq2ps and vfmadd for a vector. */
    private static void sumBytes(long a, long b, long c, long d, int cols, long x, long sums) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        int j = 0;
        for (; j <= cols - 2 * LANES; j += 2 * LANES) {
            long q = x + 4L * j & NativeMemory.ADDRESS;
            long p0 = a + j & NativeMemory.ADDRESS;
            long p1 = b + j & NativeMemory.ADDRESS;
            long p2 = c + j & NativeMemory.ADDRESS;
            long p3 = d + j & NativeMemory.ADDRESS;
            FloatVector v = FloatVector.fromMemorySegment(F, ALL, q, ORDER);
            FloatVector w = FloatVector.fromMemorySegment(F, ALL, q + 4L * LANES, ORDER);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p0, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(v, s0);
            t0 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p0 + LANES, ORDER)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, t0);
            s1 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p1, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(v, s1);
            t1 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p1 + LANES, ORDER)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, t1);
            s2 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p2, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(v, s2);
            t2 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p2 + LANES, ORDER)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, t2);
            s3 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p3, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(v, s3);
            t3 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p3 + LANES, ORDER)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, t3);
        }
        if (j < cols) {
            FloatVector v = FloatVector.fromMemorySegment(F, ALL, x + 4L * j, ORDER);
            s0 = ((FloatVector)
                            ByteVector.fromMemorySegment(B, ALL, a + j, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(v, s0);
            s1 = ((FloatVector)
                            ByteVector.fromMemorySegment(B, ALL, b + j, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(v, s1);
            s2 = ((FloatVector)
                            ByteVector.fromMemorySegment(B, ALL, c + j, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(v, s2);
            s3 = ((FloatVector)
                            ByteVector.fromMemorySegment(B, ALL, d + j, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(v, s3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums, ORDER);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES, ORDER);
        s2.add(t2).intoMemorySegment(ALL, sums + 8L * LANES, ORDER);
        s3.add(t3).intoMemorySegment(ALL, sums + 12L * LANES, ORDER);
    }
}
