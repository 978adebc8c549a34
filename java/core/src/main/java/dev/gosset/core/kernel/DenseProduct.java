package dev.gosset.core.kernel;

import dev.gosset.core.FormatException;
import dev.gosset.core.blas.Blas;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * {@code y = x W^T} in float32 with an m x n matrix W that stays as it is stored: F32, F16 or BF16. One row of x is
 * multiplied straight from the stored weights; several rows by tiles of W that are widened into scratch and handed to
 * BLAS. The tiles depend on the shapes alone, so a result does not depend on the number of threads.
 *
 * <p>An immutable view, thread-safe; whoever opened the weights closes them.
 */
public final class DenseProduct {
    private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> INTS =
            VectorSpecies.of(int.class, VectorShape.forBitSize(FLOATS.vectorBitSize()));
    private static final VectorSpecies<Short> SHORTS =
            VectorSpecies.of(short.class, VectorShape.forBitSize(FLOATS.vectorBitSize() / 2));
    private static final int LANES = FLOATS.length();
    /** Rows that share the loads of x. */
    private static final int BLOCK = 4;

    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ORDER);
    private static final ByteOrder NATIVE = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT_NATIVE = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);

    /** A half's exponent is biased by 15, a float's by 127: their difference as a factor. */
    private static final float HALF_TO_FLOAT = 0x1p112f;

    /** A half's bits, sign-extended and moved to a float's place. */
    private static final int HALF_BITS = 0x8fffe000;

    /** The exponent among them, all ones for infinity and NaN. */
    private static final int HALF_EXPONENT = 0x0f800000;

    private static final int FLOAT_INFINITY = 0x7f800000;

    private final Tensor weight;
    private final MemorySegment data;
    private final Dtype dtype;
    private final int rows;
    private final int cols;
    /** Whether BLAS can read the weights where they lie. */
    private final boolean direct;

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
     * Writes columns {@code column .. column + m - 1} of y.
     *
     * @param x t x n
     * @param y t rows of at least {@code column + m} columns; its other columns are left alone
     */
    public void apply(FloatMatrix x, FloatMatrix y, int column, Workspace workspace) {
        if (x.cols() != cols || y.rows() != x.rows() || column < 0 || y.cols() - column < rows) {
            throw new IllegalArgumentException("a product with a " + rows + " x " + cols + " matrix cannot take "
                    + x.rows() + " x " + x.cols() + " to columns from " + column + " of " + y.rows() + " x "
                    + y.cols());
        }
        if (x.rows() == 1) {
            int tile = Math.max(8, (1 << 16) / cols);
            workspace.run(Math.ceilDiv(rows, tile), 4L * BLOCK * LANES, (i, sums) -> {
                int from = i * tile;
                matvec(x.data(), y.data(), column, from, Math.min(rows, from + tile), sums);
            });
        } else if (x.rows() > 1) {
            int tile = rows >= 2048 ? 256 : 128;
            long scratch = direct ? 0 : 4L * tile * cols;
            workspace.run(Math.ceilDiv(rows, tile), scratch, (i, floats) -> {
                int from = i * tile;
                int count = Math.min(rows - from, tile);
                gemm(x, y, column, from, count, floats);
            });
        }
    }

    private void gemm(FloatMatrix x, FloatMatrix y, int column, int from, int count, MemorySegment scratch) {
        MemorySegment w;
        if (direct) {
            w = data.asSlice(4L * from * cols, 4L * count * cols);
        } else {
            w = scratch;
            weight.toFloats((long) from * cols, (long) count * cols, w);
        }
        Blas.sgemm(
                false,
                true,
                x.rows(),
                count,
                cols,
                1,
                x.data(),
                cols,
                w,
                cols,
                0,
                y.data().asSlice(4L * (column + from)),
                y.cols());
    }

    private void matvec(MemorySegment x, MemorySegment y, int column, int from, int to, MemorySegment sums) {
        long rowBytes = (long) dtype.bytes() * cols;
        int whole = cols / LANES * LANES;
        for (int i = from; i < to; i += BLOCK) {
            int count = Math.min(BLOCK, to - i);
            long at = rowBytes * i;
            // Where less than four rows are left their sums are those of one row, four times.
            long stride = count == BLOCK ? rowBytes : 0;
            for (int r = 0; r < count; r++) {
                if (r == 0 || stride == 0) {
                    switch (dtype) {
                        case F32 -> sumFloats(data, at + rowBytes * r, stride, whole, x, sums);
                        case F16 -> sumHalves(data, at + rowBytes * r, stride, whole, x, sums);
                        default -> sumBfloats(data, at + rowBytes * r, stride, whole, x, sums);
                    }
                }
                float sum = 0;
                for (int lane = 0; lane < LANES; lane++) {
                    sum += sums.get(FLOAT_NATIVE, 4L * ((stride == 0 ? 0 : r) * LANES + lane));
                }
                for (int j = whole; j < cols; j++) {
                    sum = Math.fma(element(at + rowBytes * r, j), x.get(FLOAT_NATIVE, 4L * j), sum);
                }
                y.set(FLOAT_NATIVE, 4L * (column + i + r), sum);
            }
        }
    }

    private float element(long row, int j) {
        return switch (dtype) {
            case F32 -> data.get(FLOAT, row + 4L * j);
            case F16 -> Float.float16ToFloat(data.get(SHORT, row + 2L * j));
            default -> Float.intBitsToFloat(data.get(SHORT, row + 2L * j) << 16);
        };
    }

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing
    // but the Vector API, so that C2 compiles it on its own and boxes nothing. Four rows share the loads of x.

    private static void sumFloats(
            MemorySegment data, long at, long stride, int cols, MemorySegment x, MemorySegment sums) {
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
            FloatVector v = FloatVector.fromMemorySegment(FLOATS, x, 4L * j, NATIVE);
            FloatVector w = FloatVector.fromMemorySegment(FLOATS, x, 4L * (j + LANES), NATIVE);
            s0 = FloatVector.fromMemorySegment(FLOATS, data, p, ORDER).fma(v, s0);
            t0 = FloatVector.fromMemorySegment(FLOATS, data, q, ORDER).fma(w, t0);
            s1 = FloatVector.fromMemorySegment(FLOATS, data, p + stride, ORDER).fma(v, s1);
            t1 = FloatVector.fromMemorySegment(FLOATS, data, q + stride, ORDER).fma(w, t1);
            s2 = FloatVector.fromMemorySegment(FLOATS, data, p + 2 * stride, ORDER)
                    .fma(v, s2);
            t2 = FloatVector.fromMemorySegment(FLOATS, data, q + 2 * stride, ORDER)
                    .fma(w, t2);
            s3 = FloatVector.fromMemorySegment(FLOATS, data, p + 3 * stride, ORDER)
                    .fma(v, s3);
            t3 = FloatVector.fromMemorySegment(FLOATS, data, q + 3 * stride, ORDER)
                    .fma(w, t3);
        }
        if (j < cols) {
            long p = at + 4L * j;
            FloatVector v = FloatVector.fromMemorySegment(FLOATS, x, 4L * j, NATIVE);
            s0 = FloatVector.fromMemorySegment(FLOATS, data, p, ORDER).fma(v, s0);
            s1 = FloatVector.fromMemorySegment(FLOATS, data, p + stride, ORDER).fma(v, s1);
            s2 = FloatVector.fromMemorySegment(FLOATS, data, p + 2 * stride, ORDER)
                    .fma(v, s2);
            s3 = FloatVector.fromMemorySegment(FLOATS, data, p + 3 * stride, ORDER)
                    .fma(v, s3);
        }
        s0.add(t0).intoMemorySegment(sums, 0, NATIVE);
        s1.add(t1).intoMemorySegment(sums, 4L * LANES, NATIVE);
        s2.add(t2).intoMemorySegment(sums, 8L * LANES, NATIVE);
        s3.add(t3).intoMemorySegment(sums, 12L * LANES, NATIVE);
    }

    /** vpmovsxwd, vpslld: a bfloat is the upper half of a float. */
    private static void sumBfloats(
            MemorySegment data, long at, long stride, int cols, MemorySegment x, MemorySegment sums) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int j = 0; j < cols; j += LANES) {
            long p = at + 2L * j;
            FloatVector v = FloatVector.fromMemorySegment(FLOATS, x, 4L * j, NATIVE);
            IntVector a = (IntVector)
                    ShortVector.fromMemorySegment(SHORTS, data, p, ORDER).convertShape(VectorOperators.S2I, INTS, 0);
            IntVector b = (IntVector) ShortVector.fromMemorySegment(SHORTS, data, p + stride, ORDER)
                    .convertShape(VectorOperators.S2I, INTS, 0);
            IntVector c = (IntVector) ShortVector.fromMemorySegment(SHORTS, data, p + 2 * stride, ORDER)
                    .convertShape(VectorOperators.S2I, INTS, 0);
            IntVector d = (IntVector) ShortVector.fromMemorySegment(SHORTS, data, p + 3 * stride, ORDER)
                    .convertShape(VectorOperators.S2I, INTS, 0);
            s0 = a.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(v, s0);
            s1 = b.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(v, s1);
            s2 = c.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(v, s2);
            s3 = d.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(v, s3);
        }
        s0.intoMemorySegment(sums, 0, NATIVE);
        s1.intoMemorySegment(sums, 4L * LANES, NATIVE);
        s2.intoMemorySegment(sums, 8L * LANES, NATIVE);
        s3.intoMemorySegment(sums, 12L * LANES, NATIVE);
    }

    /**
     * vpmovsxwd, vpslld, vpandd: the sign in its place and the other bits at the top of a float's mantissa and exponent,
     * then vmulps: exact, subnormals included. Infinity and NaN get a float's largest exponent.
     */
    private static void sumHalves(
            MemorySegment data, long at, long stride, int cols, MemorySegment x, MemorySegment sums) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int j = 0; j < cols; j += LANES) {
            long p = at + 2L * j;
            FloatVector v = FloatVector.fromMemorySegment(FLOATS, x, 4L * j, NATIVE);
            IntVector a = ((IntVector) ShortVector.fromMemorySegment(SHORTS, data, p, ORDER)
                            .convertShape(VectorOperators.S2I, INTS, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(HALF_BITS);
            IntVector b = ((IntVector) ShortVector.fromMemorySegment(SHORTS, data, p + stride, ORDER)
                            .convertShape(VectorOperators.S2I, INTS, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(HALF_BITS);
            IntVector c = ((IntVector) ShortVector.fromMemorySegment(SHORTS, data, p + 2 * stride, ORDER)
                            .convertShape(VectorOperators.S2I, INTS, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(HALF_BITS);
            IntVector d = ((IntVector) ShortVector.fromMemorySegment(SHORTS, data, p + 3 * stride, ORDER)
                            .convertShape(VectorOperators.S2I, INTS, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(HALF_BITS);
            FloatVector e = a.reinterpretAsFloats().mul(HALF_TO_FLOAT);
            FloatVector f = b.reinterpretAsFloats().mul(HALF_TO_FLOAT);
            FloatVector g = c.reinterpretAsFloats().mul(HALF_TO_FLOAT);
            FloatVector h = d.reinterpretAsFloats().mul(HALF_TO_FLOAT);
            // finite halves are below 65536
            IntVector any = a.and(HALF_EXPONENT)
                    .max(b.and(HALF_EXPONENT))
                    .max(c.and(HALF_EXPONENT).max(d.and(HALF_EXPONENT)));
            if (any.compare(VectorOperators.EQ, HALF_EXPONENT).anyTrue()) {
                e = e.reinterpretAsInts()
                        .lanewise(
                                VectorOperators.OR,
                                FLOAT_INFINITY,
                                a.and(HALF_EXPONENT).compare(VectorOperators.EQ, HALF_EXPONENT))
                        .reinterpretAsFloats();
                f = f.reinterpretAsInts()
                        .lanewise(
                                VectorOperators.OR,
                                FLOAT_INFINITY,
                                b.and(HALF_EXPONENT).compare(VectorOperators.EQ, HALF_EXPONENT))
                        .reinterpretAsFloats();
                g = g.reinterpretAsInts()
                        .lanewise(
                                VectorOperators.OR,
                                FLOAT_INFINITY,
                                c.and(HALF_EXPONENT).compare(VectorOperators.EQ, HALF_EXPONENT))
                        .reinterpretAsFloats();
                h = h.reinterpretAsInts()
                        .lanewise(
                                VectorOperators.OR,
                                FLOAT_INFINITY,
                                d.and(HALF_EXPONENT).compare(VectorOperators.EQ, HALF_EXPONENT))
                        .reinterpretAsFloats();
            }
            s0 = e.fma(v, s0);
            s1 = f.fma(v, s1);
            s2 = g.fma(v, s2);
            s3 = h.fma(v, s3);
        }
        s0.intoMemorySegment(sums, 0, NATIVE);
        s1.intoMemorySegment(sums, 4L * LANES, NATIVE);
        s2.intoMemorySegment(sums, 8L * LANES, NATIVE);
        s3.intoMemorySegment(sums, 12L * LANES, NATIVE);
    }
}
