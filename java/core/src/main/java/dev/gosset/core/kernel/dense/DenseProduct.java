package dev.gosset.core.kernel.dense;

import dev.gosset.core.FormatException;
import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.memory.NativeMemory;
import dev.gosset.core.kernel.memory.OpenMemory;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * {@code y = x W^T} in float32 with an m x n matrix W that stays as it is stored: F32, F16 or BF16. Rows of x are
 * multiplied straight from the stored weights, each with the bits it would have alone; or, where there are many and that does
 * not matter, by tiles of W that are widened into scratch and handed to BLAS. The tiles depend on the shapes alone, so a
 * result does not depend on the number of threads.
 *
 * <p>An immutable view, thread-safe; whoever opened the weights closes them.
 */
public final class DenseProduct {
    /** The root mean square of the errors of y, as a part of that of y, for a normal x of up to 65536 columns. */
    public static final double RELATIVE_ERROR = 2e-6;

    private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> INTS =
            VectorSpecies.of(int.class, VectorShape.forBitSize(FLOATS.vectorBitSize()));
    private static final int LANES = FLOATS.length();
    /** Rows that share the loads of x. */
    private static final int BLOCK = 4;

    /** Sums of a block, or of two rows with {@link InputSums#INPUTS} inputs each. */
    private static final long SUM_BYTES = Math.max(4L * BLOCK * LANES, 2 * InputSums.BYTES);

    /** With vectors of 512 bits there are 32 registers, room for the sums of two rows. */
    private static final boolean TWO_ROWS = FLOATS.vectorBitSize() == 512;

    /** Inputs that share the reading of weights. */
    private static final int BATCH = 16;

    private static final MemorySegment ALL = NativeMemory.ALL;

    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ORDER);
    private static final ByteOrder NATIVE = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT_NATIVE = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);

    /** A half's bits, sign-extended and moved to a float's place: the float is 2^-112 of the half, as their biases differ. */
    static final int HALF_BITS = 0x8fffe000;

    /**
     * What inputs are multiplied with for halves, so that products stay clear of subnormal floats: what they lose is below
     * 2^-68. Inputs must be below 2^95, or they come out as infinity.
     */
    private static final float INPUT_SCALE = 0x1p32f;

    /** Makes up for {@link #INPUT_SCALE} and the biases. */
    private static final float HALF_SCALE = 0x1p80f;

    private static final byte FINITE = 1;
    private static final byte NOT_FINITE = 2;

    private final Tensor weight;
    private final MemorySegment data;
    private final Dtype dtype;
    private final int rows;
    private final int cols;
    /** Whether BLAS can read the weights where they lie. */
    private final boolean direct;

    private final int tile;

    /** Whether all halves of a tile are finite, as far as that was looked up; threads that meet find the same. */
    private final byte[] finite;

    /**
     * @param weight a matrix of F32, F16 or BF16
     * @throws FormatException for any other tensor
     */
    public DenseProduct(Tensor weight) {
        this.weight = weight;
        this.data = weight.data();
        this.dtype = weight.dtype();
        if (dtype != Dtype.F32 && dtype != Dtype.F16 && dtype != Dtype.BF16) {
            throw new FormatException(weight + " is " + dtype + ", expected F32, F16 or BF16");
        }
        if (weight.shape().size() != 2) {
            throw new FormatException(weight + " has the shape " + weight.shape() + ", expected a matrix");
        }
        this.rows = weight.dim(0);
        this.cols = weight.dim(1);
        this.direct = dtype == Dtype.F32 && ByteOrder.nativeOrder() == ORDER && data.address() % 4 == 0;
        this.tile = Math.max(8, (1 << 16) / cols);
        this.finite = new byte[dtype == Dtype.F16 ? Math.ceilDiv(rows, tile) : 0];
    }

    /** m, the number of outputs. */
    public int rows() {
        return rows;
    }

    /** n, the number of inputs. */
    public int cols() {
        return cols;
    }

    /** The stored matrix. */
    public Tensor weight() {
        return weight;
    }

    /**
     * Writes columns {@code column .. column + m - 1} of y. Each row of y has the same bits whatever the other rows are.
     *
     * @param x t x n
     * @param y t rows of at least {@code column + m} columns; its other columns are left alone
     */
    public void apply(FloatMatrix x, FloatMatrix y, int column, Workspace workspace) {
        check(x, y, column);
        for (int from = 0; from < x.rows(); from += BATCH) {
            FloatMatrix in = x.rows(from, Math.min(x.rows(), from + BATCH));
            FloatMatrix out = y.rows(from, from + in.rows());
            OpenMemory.during(in.data(), out.data(), data, data, () -> multiply(in, out, column, workspace));
        }
    }

    /** {@link #apply} by BLAS where there are several rows, which is up to twice as fast and changes the last bits. */
    public void applyMany(FloatMatrix x, FloatMatrix y, int column, Workspace workspace) {
        if (x.rows() < 2) {
            apply(x, y, column, workspace);
            return;
        }
        check(x, y, column);
        int tile = rows >= 2048 ? 256 : 128;
        long scratch = direct ? 0 : 4L * tile * cols;
        OpenMemory.during(
                x.data(),
                y.data(),
                data,
                data,
                () -> workspace.run(Math.ceilDiv(rows, tile), scratch, (i, floats) -> {
                    int from = i * tile;
                    int count = Math.min(rows - from, tile);
                    gemm(x, y, column, from, count, floats);
                }));
    }

    private void check(FloatMatrix x, FloatMatrix y, int column) {
        if (x.cols() != cols || y.rows() != x.rows() || column < 0 || y.cols() - column < rows) {
            throw new IllegalArgumentException("a product with a " + rows + " x " + cols + " matrix cannot take "
                    + x.rows() + " x " + x.cols() + " to columns from " + column + " of " + y.rows() + " x "
                    + y.cols());
        }
    }

    private void multiply(FloatMatrix x, FloatMatrix y, int column, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix inputs = dtype == Dtype.F32 ? x : frame.matrix(x.rows(), cols);
            for (int t = 0; t < x.rows() && dtype != Dtype.F32; t++) {
                split(x.row(t), inputs.row(t));
            }
            workspace.run(Math.ceilDiv(rows, tile), SUM_BYTES, (i, sums) -> {
                if (x.rows() == 1) {
                    matvec(x.data(), inputs.data(), y.data(), column, i, sums);
                } else {
                    matvecs(x, inputs, y, column, i, sums);
                }
            });
        }
    }

    /** A tile times several inputs, which share the conversion of weights. */
    private void matvecs(
            FloatMatrix xs, FloatMatrix inputs, FloatMatrix ys, int column, int task, MemorySegment scratch) {
        int from = task * tile;
        int count = Math.min(tile, rows - from);
        long rowBytes = (long) dtype.bytes() * cols;
        long w = NativeMemory.readable(data, rowBytes * from, rowBytes * count);
        long x = NativeMemory.readable(xs.data(), 0, 4L * xs.rows() * cols);
        long vectors = NativeMemory.readable(inputs.data(), 0, 4L * xs.rows() * cols);
        long y = NativeMemory.writable(ys.data(), 0, 4L * ((long) ys.rows() - 1) * ys.cols() + 4L * (column + rows));
        long sums = NativeMemory.writable(scratch, 0, SUM_BYTES);
        int whole = dtype != Dtype.F16 || isFinite(task, w, (long) count * cols) ? whole() : 0;
        float scale = dtype == Dtype.F16 ? HALF_SCALE : 1;
        scratch.set(ValueLayout.JAVA_LONG_UNALIGNED, 0, NativeMemory.touch(w, rowBytes * count));
        for (int t = 0; t < xs.rows(); t += InputSums.INPUTS) {
            int more = Math.min(InputSums.INPUTS, xs.rows() - t) - 1;
            for (int row = 0; row < count; ) {
                long at = w + rowBytes * row;
                long four = vectors + 4L * t * cols;
                int together = TWO_ROWS && dtype == Dtype.F16 && row + 1 < count ? 2 : 1;
                switch (dtype) {
                    case F32 -> InputSums.ofFloats(at, four, 4L * cols, more, whole, sums);
                    case F16 -> {
                        if (together == 2) {
                            InputSums.ofTwoHalves(at, at + rowBytes, four, 4L * cols, more, whole, sums);
                        } else {
                            InputSums.ofHalves(at, four, 4L * cols, more, whole, sums);
                        }
                    }
                    default -> InputSums.ofBfloats(at, four, 4L * cols, more, whole, sums);
                }
                for (int end = row + together, r = 0; row < end; row++, r++) {
                    for (int i = 0; i <= more; i++) {
                        long to = y + 4L * ((long) (t + i) * ys.cols() + column + from + row);
                        long own = sums + InputSums.BYTES * r + 4L * i * LANES;
                        finish(w + rowBytes * row, whole, x + 4L * (t + i) * cols, own, scale, to);
                    }
                }
            }
        }
        NativeMemory.keep(xs.data(), ys.data());
        NativeMemory.keep(inputs.data(), scratch);
        Reference.reachabilityFence(data);
    }

    private void gemm(FloatMatrix x, FloatMatrix y, int column, int from, int count, MemorySegment scratch) {
        MemorySegment w;
        if (direct) {
            w = data.asSlice(4L * from * cols, 4L * count * cols);
        } else {
            w = scratch;
            weight.toFloats((long) from * cols, (long) count * cols, w);
        }
        Operand out = Operand.of(y).block(0, column + from, x.rows(), count);
        Blas.gemm(1, Operand.of(x), Operand.floats(w, count, cols).transpose(), 0, out);
    }

    /** Columns that the loops over vectors take; the rest is added one by one. */
    private int whole() {
        int step = dtype == Dtype.F32 ? LANES : 2 * LANES;
        return cols / step * step;
    }

    /** Of every two vectors of inputs first the even columns, then the odd ones: as they lie in an int of two weights. */
    private void split(MemorySegment xs, MemorySegment inputs) {
        long x = NativeMemory.readable(xs, 0, 4L * cols);
        long out = NativeMemory.writable(inputs, 0, 4L * cols);
        float scale = dtype == Dtype.F16 ? INPUT_SCALE : 1;
        for (int j = 0; j < whole(); j += 2 * LANES) {
            for (int lane = 0; lane < LANES; lane++) {
                long from = x + 4L * (j + 2 * lane);
                ALL.set(FLOAT_NATIVE, out + 4L * (j + lane), ALL.get(FLOAT_NATIVE, from) * scale);
                ALL.set(FLOAT_NATIVE, out + 4L * (j + LANES + lane), ALL.get(FLOAT_NATIVE, from + 4) * scale);
            }
        }
        NativeMemory.keep(xs, inputs);
    }

    private void matvec(
            MemorySegment xs, MemorySegment inputs, MemorySegment ys, int column, int task, MemorySegment scratch) {
        int from = task * tile;
        int count = Math.min(tile, rows - from);
        long rowBytes = (long) dtype.bytes() * cols;
        long w = NativeMemory.readable(data, rowBytes * from, rowBytes * count);
        long x = NativeMemory.readable(xs, 0, 4L * cols);
        long vectors = NativeMemory.readable(inputs, 0, 4L * cols);
        long y = NativeMemory.writable(ys, 4L * (column + from), 4L * count);
        long sums = NativeMemory.writable(scratch, 0, SUM_BYTES);
        boolean vectorized = dtype != Dtype.F16 || isFinite(task, w, (long) count * cols);
        int whole = vectorized ? whole() : 0;
        float scale = dtype == Dtype.F16 ? HALF_SCALE : 1;
        // The rows of a block are one of each quarter of the tile, then come those that are left, alone.
        int quarter = count / BLOCK;
        for (int i = 0; i < quarter; i++) {
            sum(w + rowBytes * i, rowBytes * quarter, whole, vectors, sums);
            for (int r = 0; r < BLOCK; r++) {
                int row = i + r * quarter;
                finish(w + rowBytes * row, whole, x, sums + 4L * r * LANES, scale, y + 4L * row);
            }
        }
        for (int row = BLOCK * quarter; row < count; row++) {
            sum(w + rowBytes * row, 0, whole, vectors, sums);
            finish(w + rowBytes * row, whole, x, sums, scale, y + 4L * row);
        }
        NativeMemory.keep(xs, ys);
        NativeMemory.keep(inputs, scratch);
        Reference.reachabilityFence(data);
    }

    /** Writes the element of y of a row from its sums, one for each lane, and its last columns. */
    private void finish(long row, int whole, long x, long sums, float scale, long y) {
        float sum = InputSums.ofLanes(sums) * scale;
        for (int j = whole; j < cols; j++) {
            sum = Math.fma(element(row, j), ALL.get(FLOAT_NATIVE, x + 4L * j), sum);
        }
        ALL.set(FLOAT_NATIVE, y, sum);
    }

    private void sum(long at, long stride, int whole, long x, long sums) {
        switch (dtype) {
            case F32 -> sumFloats(at, stride, whole, x, sums);
            case F16 -> sumHalves(at, stride, whole, x, sums);
            default -> sumBfloats(at, stride, whole, x, sums);
        }
    }

    /** Whether a tile has neither infinity nor NaN. Its halves are read once, when the tile is first multiplied. */
    private boolean isFinite(int task, long w, long count) {
        if (finite[task] == 0) {
            int sums = 0;
            for (long p = w, end = w + 2 * count; p < end; p += 2) {
                // One more in an exponent of all ones carries into the sign.
                sums |= (ALL.get(SHORT, p) & 0x7fff) + 0x0400;
            }
            finite[task] = (sums & 0x8000) == 0 ? FINITE : NOT_FINITE;
        }
        return finite[task] == FINITE;
    }

    private float element(long row, int j) {
        return switch (dtype) {
            case F32 -> ALL.get(FLOAT, row + 4L * j);
            case F16 -> Float.float16ToFloat(ALL.get(SHORT, row + 2L * j));
            default -> Float.intBitsToFloat(ALL.get(SHORT, row + 2L * j) << 16);
        };
    }

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing
    // but the Vector API, so that C2 compiles it on its own and boxes nothing. Four rows share the loads of x.

    private static void sumFloats(long at, long stride, int cols, long x, long sums) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        int j = 0;
        for (; j <= cols - 2 * LANES; j += 2 * LANES) {
            long p = at + 4L * j;
            long q = p + 4L * LANES;
            FloatVector v = FloatVector.fromMemorySegment(FLOATS, ALL, x + 4L * j, NATIVE);
            FloatVector w = FloatVector.fromMemorySegment(FLOATS, ALL, x + 4L * (j + LANES), NATIVE);
            s0 = FloatVector.fromMemorySegment(FLOATS, ALL, p, ORDER).fma(v, s0);
            t0 = FloatVector.fromMemorySegment(FLOATS, ALL, q, ORDER).fma(w, t0);
            s1 = FloatVector.fromMemorySegment(FLOATS, ALL, p + stride, ORDER).fma(v, s1);
            t1 = FloatVector.fromMemorySegment(FLOATS, ALL, q + stride, ORDER).fma(w, t1);
            s2 = FloatVector.fromMemorySegment(FLOATS, ALL, p + 2 * stride, ORDER)
                    .fma(v, s2);
            t2 = FloatVector.fromMemorySegment(FLOATS, ALL, q + 2 * stride, ORDER)
                    .fma(w, t2);
            s3 = FloatVector.fromMemorySegment(FLOATS, ALL, p + 3 * stride, ORDER)
                    .fma(v, s3);
            t3 = FloatVector.fromMemorySegment(FLOATS, ALL, q + 3 * stride, ORDER)
                    .fma(w, t3);
        }
        if (j < cols) {
            long p = at + 4L * j;
            FloatVector v = FloatVector.fromMemorySegment(FLOATS, ALL, x + 4L * j, NATIVE);
            s0 = FloatVector.fromMemorySegment(FLOATS, ALL, p, ORDER).fma(v, s0);
            s1 = FloatVector.fromMemorySegment(FLOATS, ALL, p + stride, ORDER).fma(v, s1);
            s2 = FloatVector.fromMemorySegment(FLOATS, ALL, p + 2 * stride, ORDER)
                    .fma(v, s2);
            s3 = FloatVector.fromMemorySegment(FLOATS, ALL, p + 3 * stride, ORDER)
                    .fma(v, s3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums, NATIVE);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES, NATIVE);
        s2.add(t2).intoMemorySegment(ALL, sums + 8L * LANES, NATIVE);
        s3.add(t3).intoMemorySegment(ALL, sums + 12L * LANES, NATIVE);
    }

    /** A bfloat is the upper half of a float: an int of two becomes two floats by vpslld and by vpandd. */
    private static void sumBfloats(long at, long stride, int cols, long x, long sums) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        for (int j = 0; j < cols; j += 2 * LANES) {
            long p = at + 2L * j;
            FloatVector v = FloatVector.fromMemorySegment(FLOATS, ALL, x + 4L * j, NATIVE);
            FloatVector w = FloatVector.fromMemorySegment(FLOATS, ALL, x + 4L * (j + LANES), NATIVE);
            IntVector a = IntVector.fromMemorySegment(INTS, ALL, p, ORDER);
            IntVector b = IntVector.fromMemorySegment(INTS, ALL, p + stride, ORDER);
            IntVector c = IntVector.fromMemorySegment(INTS, ALL, p + 2 * stride, ORDER);
            IntVector d = IntVector.fromMemorySegment(INTS, ALL, p + 3 * stride, ORDER);
            s0 = a.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(v, s0);
            t0 = a.and(0xffff0000).reinterpretAsFloats().fma(w, t0);
            s1 = b.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(v, s1);
            t1 = b.and(0xffff0000).reinterpretAsFloats().fma(w, t1);
            s2 = c.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(v, s2);
            t2 = c.and(0xffff0000).reinterpretAsFloats().fma(w, t2);
            s3 = d.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(v, s3);
            t3 = d.and(0xffff0000).reinterpretAsFloats().fma(w, t3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums, NATIVE);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES, NATIVE);
        s2.add(t2).intoMemorySegment(ALL, sums + 8L * LANES, NATIVE);
        s3.add(t3).intoMemorySegment(ALL, sums + 12L * LANES, NATIVE);
    }

    /**
     * An int of two halves becomes two floats, the sign in its place and the other bits at the top of mantissa and exponent:
     * vpsrad and vpandd, for the lower half vpslld before. Exact, subnormals included; infinity and NaN would be numbers.
     */
    private static void sumHalves(long at, long stride, int cols, long x, long sums) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        for (int j = 0; j < cols; j += 2 * LANES) {
            long p = at + 2L * j;
            FloatVector v = FloatVector.fromMemorySegment(FLOATS, ALL, x + 4L * j, NATIVE);
            FloatVector w = FloatVector.fromMemorySegment(FLOATS, ALL, x + 4L * (j + LANES), NATIVE);
            IntVector a = IntVector.fromMemorySegment(INTS, ALL, p, ORDER);
            IntVector b = IntVector.fromMemorySegment(INTS, ALL, p + stride, ORDER);
            IntVector c = IntVector.fromMemorySegment(INTS, ALL, p + 2 * stride, ORDER);
            IntVector d = IntVector.fromMemorySegment(INTS, ALL, p + 3 * stride, ORDER);
            s0 = a.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(HALF_BITS)
                    .reinterpretAsFloats()
                    .fma(v, s0);
            t0 = a.lanewise(VectorOperators.ASHR, 3)
                    .and(HALF_BITS)
                    .reinterpretAsFloats()
                    .fma(w, t0);
            s1 = b.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(HALF_BITS)
                    .reinterpretAsFloats()
                    .fma(v, s1);
            t1 = b.lanewise(VectorOperators.ASHR, 3)
                    .and(HALF_BITS)
                    .reinterpretAsFloats()
                    .fma(w, t1);
            s2 = c.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(HALF_BITS)
                    .reinterpretAsFloats()
                    .fma(v, s2);
            t2 = c.lanewise(VectorOperators.ASHR, 3)
                    .and(HALF_BITS)
                    .reinterpretAsFloats()
                    .fma(w, t2);
            s3 = d.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(HALF_BITS)
                    .reinterpretAsFloats()
                    .fma(v, s3);
            t3 = d.lanewise(VectorOperators.ASHR, 3)
                    .and(HALF_BITS)
                    .reinterpretAsFloats()
                    .fma(w, t3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums, NATIVE);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES, NATIVE);
        s2.add(t2).intoMemorySegment(ALL, sums + 8L * LANES, NATIVE);
        s3.add(t3).intoMemorySegment(ALL, sums + 12L * LANES, NATIVE);
    }
}
