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
import jdk.incubator.vector.VectorMask;
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
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ORDER);
    private static final ValueLayout.OfFloat FLOAT_NATIVE = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);

    /** A half's exponent is biased by 15, a float's by 127: their difference as a factor. */
    private static final float HALF_TO_FLOAT = 0x1p112f;

    private static final int HALF_INFINITY = 0x7c00;
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
            workspace.team().run(Math.ceilDiv(rows, tile), i -> {
                int from = i * tile;
                matvec(x.data(), y.data(), column, from, Math.min(rows, from + tile));
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

    private void matvec(MemorySegment x, MemorySegment y, int column, int from, int to) {
        for (int i = from; i < to; i++) {
            float sum = switch (dtype) {
                case F32 -> dotFloat(4L * i * cols, x);
                case F16 -> dotHalf(2L * i * cols, x);
                default -> dotBfloat(2L * i * cols, x);
            };
            y.set(FLOAT_NATIVE, 4L * (column + i), sum);
        }
    }

    private float dotFloat(long w, MemorySegment x) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = FloatVector.zero(FLOATS);
        FloatVector s2 = FloatVector.zero(FLOATS);
        FloatVector s3 = FloatVector.zero(FLOATS);
        int j = 0;
        for (; j <= cols - 4 * LANES; j += 4 * LANES) {
            s0 = floats(w, j).fma(x(x, j), s0);
            s1 = floats(w, j + LANES).fma(x(x, j + LANES), s1);
            s2 = floats(w, j + 2 * LANES).fma(x(x, j + 2 * LANES), s2);
            s3 = floats(w, j + 3 * LANES).fma(x(x, j + 3 * LANES), s3);
        }
        for (; j <= cols - LANES; j += LANES) {
            s0 = floats(w, j).fma(x(x, j), s0);
        }
        float sum = VectorMath.sum(s0.add(s1).add(s2.add(s3)));
        for (; j < cols; j++) {
            sum = Math.fma(data.get(FLOAT, w + 4L * j), x.get(FLOAT_NATIVE, 4L * j), sum);
        }
        return sum;
    }

    private float dotHalf(long w, MemorySegment x) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = FloatVector.zero(FLOATS);
        int j = 0;
        for (; j <= cols - 2 * LANES; j += 2 * LANES) {
            s0 = halves(w, j).fma(x(x, j), s0);
            s1 = halves(w, j + LANES).fma(x(x, j + LANES), s1);
        }
        for (; j <= cols - LANES; j += LANES) {
            s0 = halves(w, j).fma(x(x, j), s0);
        }
        float sum = VectorMath.sum(s0.add(s1));
        for (; j < cols; j++) {
            sum = Math.fma(Float.float16ToFloat(data.get(SHORT, w + 2L * j)), x.get(FLOAT_NATIVE, 4L * j), sum);
        }
        return sum;
    }

    private float dotBfloat(long w, MemorySegment x) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = FloatVector.zero(FLOATS);
        int j = 0;
        for (; j <= cols - 2 * LANES; j += 2 * LANES) {
            s0 = bfloats(w, j).fma(x(x, j), s0);
            s1 = bfloats(w, j + LANES).fma(x(x, j + LANES), s1);
        }
        for (; j <= cols - LANES; j += LANES) {
            s0 = bfloats(w, j).fma(x(x, j), s0);
        }
        float sum = VectorMath.sum(s0.add(s1));
        for (; j < cols; j++) {
            sum = Math.fma(Float.intBitsToFloat(data.get(SHORT, w + 2L * j) << 16), x.get(FLOAT_NATIVE, 4L * j), sum);
        }
        return sum;
    }

    private static FloatVector x(MemorySegment x, int j) {
        return FloatVector.fromMemorySegment(FLOATS, x, 4L * j, ByteOrder.nativeOrder());
    }

    private FloatVector floats(long w, int j) {
        return FloatVector.fromMemorySegment(FLOATS, data, w + 4L * j, ORDER);
    }

    private IntVector shorts(long w, int j) {
        return (IntVector) ShortVector.fromMemorySegment(SHORTS, data, w + 2L * j, ORDER)
                .convertShape(VectorOperators.S2I, INTS, 0);
    }

    /** vpmovsxwd, vpslld: a bfloat is the upper half of a float. */
    private FloatVector bfloats(long w, int j) {
        return shorts(w, j).lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
    }

    /** vpmovsxwd, shifts and masks, vmulps: exact, subnormals included. */
    private FloatVector halves(long w, int j) {
        IntVector h = shorts(w, j);
        IntVector magnitude = h.and(0x7fff);
        FloatVector scaled = magnitude
                .lanewise(VectorOperators.LSHL, 13)
                .reinterpretAsFloats()
                .mul(HALF_TO_FLOAT);
        VectorMask<Integer> special = magnitude.compare(VectorOperators.GE, HALF_INFINITY);
        return scaled.reinterpretAsInts()
                .lanewise(VectorOperators.OR, FLOAT_INFINITY, special)
                .or(h.and(0x80000000))
                .reinterpretAsFloats();
    }
}
