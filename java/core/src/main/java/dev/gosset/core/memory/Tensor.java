package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;

/**
 * A tensor stored in a file: a name, a shape and a read-only view of its bytes inside the memory map of that file.
 *
 * <p>An immutable view, thread-safe: the arena that the file was opened with closes it. The bytes may begin at any
 * address: read them with unaligned layouts.
 *
 * @param name the name in the file
 * @param dtype how the elements lie in the bytes
 * @param shape the dimensions from the slowest to the fastest; empty for a scalar
 * @param data exactly {@code dtype.size(shape)} bytes
 * @param source the file, for messages
 */
public record Tensor(String name, Dtype dtype, List<Long> shape, MemorySegment data, Path source) {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt OUT_INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfFloat OUT_FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Elements per call of an inner loop, so that each is a counted int loop. */
    private static final int BLOCK = 1 << 16;

    public Tensor {
        shape = List.copyOf(shape);
        long expected = dtype.size(shape).orElse(-1);
        if (expected != data.byteSize()) {
            throw new IllegalArgumentException("tensor " + name + " of " + dtype + " " + shape + " needs " + expected
                    + " bytes, found " + data.byteSize());
        }
    }

    /** Number of elements; 1 for a scalar. */
    public long elements() {
        return shape.stream().reduce(1L, (a, b) -> a * b);
    }

    /** One dimension as an int; a {@link FormatException} where there is no such axis or it does not fit. */
    public int dim(int axis) {
        if (axis < 0 || axis >= shape.size() || shape.get(axis) > Integer.MAX_VALUE) {
            throw new FormatException(
                    this + " has the shape " + shape + ", expected axis " + axis + " of at most " + Integer.MAX_VALUE);
        }
        return shape.get(axis).intValue();
    }

    /** This tensor, or a {@link FormatException} where its shape is another one. */
    public Tensor requireShape(long... expected) {
        boolean same = expected.length == shape.size();
        for (int i = 0; same && i < expected.length; i++) {
            same = expected[i] == shape.get(i);
        }
        if (!same) {
            throw new FormatException(
                    this + " has the shape " + shape + ", expected " + java.util.Arrays.toString(expected));
        }
        return this;
    }

    /** This tensor; where it has more than two axes, the matrix of its rows along the last. */
    public Tensor matrix() {
        if (shape.size() <= 2) {
            return this;
        }
        long columns = shape.getLast();
        List<Long> flat = List.of(columns == 0 ? 0 : elements() / columns, columns);
        return new Tensor(name, dtype, flat, data, source);
    }

    /** Rows of a matrix under its name, {@code from .. from + count - 1}; this matrix where they are all. */
    public Tensor rows(int from, int count) {
        if (from == 0 && count == dim(0)) {
            return this;
        }
        long row = data.byteSize() / dim(0);
        return new Tensor(
                name, dtype, List.of((long) count, (long) dim(1)), data.asSlice(from * row, count * row), source);
    }

    /**
     * Converts elements {@code from .. from + count - 1} to float32 in native byte order at {@code out[0 .. 4 * count -
     * 1]}. F16, BF16 and F32 are exact, F64 is rounded to nearest; NaN payloads may change.
     *
     * @throws FormatException if the tensor is not F16, BF16, F32 or F64
     * @throws IndexOutOfBoundsException if the range leaves the tensor or the output
     */
    public void toFloats(long from, long count, MemorySegment out) {
        requireFloating();
        java.util.Objects.checkFromIndexSize(from, count, elements());
        java.util.Objects.checkFromIndexSize(0, count, out.byteSize() / 4);
        int size = dtype.bytes();
        for (long done = 0; done < count; done += BLOCK) {
            int n = (int) Math.min(BLOCK, count - done);
            MemorySegment in = data.asSlice((from + done) * size, (long) n * size);
            MemorySegment block = out.asSlice(done * 4, (long) n * 4);
            switch (dtype) {
                case F16 -> halfToFloats(in, n, block);
                case BF16 -> bfloatToFloats(in, n, block);
                case F64 -> doubleToFloats(in, n, block);
                default -> floatToFloats(in, n, block);
            }
        }
    }

    /** All elements as float32. */
    public void toFloats(MemorySegment out) {
        toFloats(0, elements(), out);
    }

    /** A float32 copy of a matrix, or of a vector as a matrix of one row, 64-byte aligned. */
    public FloatMatrix toFloatMatrix(Arena arena) {
        requireFloating();
        if (shape.isEmpty() || shape.size() > 2) {
            throw new FormatException(this + " has the shape " + shape + ", expected a vector or a matrix");
        }
        int rows = shape.size() == 2 ? dim(0) : 1;
        FloatMatrix m = FloatMatrix.allocate(arena, rows, dim(shape.size() - 1));
        toFloats(m.data());
        return m;
    }

    /** All elements as float32 on the heap. */
    public float[] toFloatArray() {
        requireFloating();
        if (elements() > Integer.MAX_VALUE - 8) {
            throw new FormatException(this + " has " + elements() + " elements: too many for one Java array");
        }
        float[] out = new float[(int) elements()];
        toFloats(MemorySegment.ofArray(out));
        return out;
    }

    /** The single value of a scalar or of a tensor of one element, integer or floating, as a double. */
    public double scalar() {
        if (elements() != 1 || dtype.isCodes()) {
            throw new FormatException(this + " of " + dtype + " has the shape " + shape + ", expected one number");
        }
        return switch (dtype) {
            case F64 -> data.get(DOUBLE, 0);
            case F32 -> Float.intBitsToFloat(data.get(INT, 0));
            case F16 -> Float.float16ToFloat(data.get(SHORT, 0));
            case BF16 -> Float.intBitsToFloat(data.get(SHORT, 0) << 16);
            case I64 -> data.get(LONG, 0);
            case I32 -> data.get(INT, 0);
            case I16 -> data.get(SHORT, 0);
            case I8 -> data.get(ValueLayout.JAVA_BYTE, 0);
            default -> data.get(ValueLayout.JAVA_BYTE, 0) & 0xff;
        };
    }

    /**
     * This tensor, or a {@link FormatException} that names the first NaN or infinity with its index. A tensor of
     * integers or codes has none.
     */
    public Tensor requireFinite() {
        if (!dtype.isFloating()) {
            return this;
        }
        int size = dtype.bytes();
        long count = elements();
        for (long done = 0; done < count; done += BLOCK) {
            int n = (int) Math.min(BLOCK, count - done);
            MemorySegment in = data.asSlice(done * size, (long) n * size);
            boolean finite = switch (dtype) {
                case F16 -> finite16(in, n, 0x0400);
                case BF16 -> finite16(in, n, 0x0080);
                case F32 -> finite32(in, n);
                default -> finite64(in, n);
            };
            if (!finite) {
                for (long i = done; i < done + n; i++) {
                    double v = element(i);
                    if (!Double.isFinite(v)) {
                        throw new FormatException(
                                this + " has " + v + " at " + index(i) + ", expected a finite number");
                    }
                }
            }
        }
        return this;
    }

    private double element(long i) {
        return switch (dtype) {
            case F64 -> data.getAtIndex(DOUBLE, i);
            case F32 -> Float.intBitsToFloat(data.getAtIndex(INT, i));
            case F16 -> Float.float16ToFloat(data.getAtIndex(SHORT, i));
            default -> Float.intBitsToFloat(data.getAtIndex(SHORT, i) << 16);
        };
    }

    /** Index along each axis, such as {@code [3, 17]}. */
    private List<Long> index(long element) {
        Long[] index = new Long[shape.size()];
        for (int axis = index.length - 1; axis >= 0; axis--) {
            index[axis] = element % shape.get(axis);
            element /= shape.get(axis);
        }
        return List.of(index);
    }

    private void requireFloating() {
        if (!dtype.isFloating()) {
            throw new FormatException(this + " is " + dtype + ", expected F16, BF16, F32 or F64");
        }
    }

    /** The beginning of a message: file and tensor. */
    @Override
    public String toString() {
        return source + ": tensor " + Quoted.of(name);
    }

    // The loops below vectorize: vcvtph2ps for halves, a shift of ints for bfloats (a move from int to float would
    // not).

    private static void halfToFloats(MemorySegment in, int n, MemorySegment out) {
        for (int i = 0; i < n; i++) {
            out.set(OUT_FLOAT, 4L * i, Float.float16ToFloat(in.get(SHORT, 2L * i)));
        }
    }

    private static void bfloatToFloats(MemorySegment in, int n, MemorySegment out) {
        for (int i = 0; i < n; i++) {
            out.set(OUT_INT, 4L * i, in.get(SHORT, 2L * i) << 16);
        }
    }

    private static void floatToFloats(MemorySegment in, int n, MemorySegment out) {
        if (ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN) {
            MemorySegment.copy(in, 0, out, 0, 4L * n);
            return;
        }
        for (int i = 0; i < n; i++) {
            out.set(OUT_INT, 4L * i, in.get(INT, 4L * i));
        }
    }

    private static void doubleToFloats(MemorySegment in, int n, MemorySegment out) {
        for (int i = 0; i < n; i++) {
            out.set(OUT_FLOAT, 4L * i, (float) in.get(DOUBLE, 8L * i));
        }
    }

    /** Adding one to an exponent of all ones carries into the sign: the OR of the sums tells whether any did. */
    private static boolean finite16(MemorySegment in, int n, int exponentOne) {
        int sums = 0;
        for (int i = 0; i < n; i++) {
            sums |= (in.get(SHORT, 2L * i) & 0x7fff) + exponentOne;
        }
        return (sums & 0x8000) == 0;
    }

    private static boolean finite32(MemorySegment in, int n) {
        int sums = 0;
        for (int i = 0; i < n; i++) {
            sums |= (in.get(INT, 4L * i) & 0x7fffffff) + 0x0080_0000;
        }
        return sums >= 0;
    }

    private static boolean finite64(MemorySegment in, int n) {
        long sums = 0;
        for (int i = 0; i < n; i++) {
            sums |= (in.get(LONG, 8L * i) & Long.MAX_VALUE) + 0x0010_0000_0000_0000L;
        }
        return sums >= 0;
    }
}
