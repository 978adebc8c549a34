package dev.gosset.core.kernel.oracle;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.contract.TransformKernel;
import java.lang.foreign.MemorySegment;

/**
 * The oracle of the transform kernels: each row is widened to float64, transformed by {@link HadamardTransform} and rounded
 * once. Stateless, thread-safe, allocates nothing.
 */
public final class ScalarTransform implements TransformKernel {
    @Override
    public long scratchBytes(HadamardTransform transform) {
        return transform.workBytes();
    }

    @Override
    public double roundings(HadamardTransform transform) {
        return 1;
    }

    @Override
    public void apply(
            HadamardTransform transform, boolean transpose, MemorySegment x, int rows, MemorySegment scratch) {
        check(transform, x, rows, scratch, scratchBytes(transform));
        rows(transform, transpose, x, null, x, null, rows, scratch);
    }

    @Override
    public void applyToProduct(
            HadamardTransform transform,
            boolean transpose,
            MemorySegment x,
            MemorySegment f,
            MemorySegment y,
            int rows,
            MemorySegment scratch) {
        check(transform, x, rows, scratch, scratchBytes(transform));
        check(transform, y, rows, scratch, scratchBytes(transform));
        checkFactors(transform, f);
        rows(transform, transpose, x, f, y, null, rows, scratch);
    }

    @Override
    public void applyThenMultiply(
            HadamardTransform transform,
            boolean transpose,
            MemorySegment x,
            MemorySegment f,
            int rows,
            MemorySegment scratch) {
        check(transform, x, rows, scratch, scratchBytes(transform));
        checkFactors(transform, f);
        rows(transform, transpose, x, null, x, f, rows, scratch);
    }

    /** {@code y <- D_after^T U D_before x}; null stands for ones. */
    private static void rows(
            HadamardTransform transform,
            boolean transpose,
            MemorySegment x,
            MemorySegment before,
            MemorySegment y,
            MemorySegment after,
            int rows,
            MemorySegment scratch) {
        int n = transform.n();
        boolean pairs = transform.kind() == HadamardTransform.Kind.FOURIER;
        for (int row = 0; row < rows; row++) {
            long at = 4L * n * row;
            for (int i = 0; i < n; i++) {
                scratch.set(JAVA_DOUBLE_UNALIGNED, 8L * i, x.get(JAVA_FLOAT_UNALIGNED, at + 4L * i));
            }
            multiply(scratch, before, pairs, 1, n);
            transform.apply(scratch, transpose);
            multiply(scratch, after, pairs, -1, n);
            for (int i = 0; i < n; i++) {
                y.set(JAVA_FLOAT_UNALIGNED, at + 4L * i, (float) scratch.get(JAVA_DOUBLE_UNALIGNED, 8L * i));
            }
        }
    }

    /** As {@link HadamardTransform#multiply}; sign is -1 for the transposed. */
    private static void multiply(MemorySegment x, MemorySegment f, boolean pairs, int sign, int n) {
        for (int i = 0; f != null && i < n; i += pairs ? 2 : 1) {
            double re = x.get(JAVA_DOUBLE_UNALIGNED, 8L * i);
            double c = f.get(JAVA_FLOAT_UNALIGNED, 4L * i);
            if (pairs) {
                double im = x.get(JAVA_DOUBLE_UNALIGNED, 8L * i + 8);
                double s = sign * f.get(JAVA_FLOAT_UNALIGNED, 4L * i + 4);
                x.set(JAVA_DOUBLE_UNALIGNED, 8L * i, re * c - im * s);
                x.set(JAVA_DOUBLE_UNALIGNED, 8L * i + 8, re * s + im * c);
            } else {
                x.set(JAVA_DOUBLE_UNALIGNED, 8L * i, re * c);
            }
        }
    }

    /** Refuses factors that are too few, or not native. */
    public static void checkFactors(HadamardTransform transform, MemorySegment f) {
        if (f.byteSize() < 4L * transform.n()) {
            throw new IllegalArgumentException(
                    transform.n() + " factors need " + 4L * transform.n() + " bytes, found " + f.byteSize());
        }
        if (!f.isNative()) {
            throw new IllegalArgumentException("a kernel works on native segments, found factors on the heap");
        }
    }

    /** Refuses segments that are too short, or not native. */
    public static void check(
            HadamardTransform transform, MemorySegment x, int rows, MemorySegment scratch, long scratchBytes) {
        long bytes = 4L * transform.n() * rows;
        if (rows < 0 || x.byteSize() < bytes || scratch.byteSize() < scratchBytes) {
            throw new IllegalArgumentException(rows + " rows of " + transform.n() + " floats need " + bytes
                    + " bytes and " + scratchBytes + " of scratch, found " + x.byteSize() + " and "
                    + scratch.byteSize());
        }
        if (!x.isNative() || !scratch.isNative()) {
            throw new IllegalArgumentException("a kernel works on native segments, found one on the heap");
        }
    }
}
