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

    /** {@code y <- after (U (before x))}; null stands for ones. */
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
        for (int row = 0; row < rows; row++) {
            long at = 4L * n * row;
            for (int i = 0; i < n; i++) {
                double value = x.get(JAVA_FLOAT_UNALIGNED, at + 4L * i);
                scratch.set(JAVA_DOUBLE_UNALIGNED, 8L * i, value * factor(before, i));
            }
            transform.apply(scratch, transpose);
            for (int i = 0; i < n; i++) {
                double value = scratch.get(JAVA_DOUBLE_UNALIGNED, 8L * i);
                y.set(JAVA_FLOAT_UNALIGNED, at + 4L * i, (float) (value * factor(after, i)));
            }
        }
    }

    private static double factor(MemorySegment factors, int i) {
        return factors == null ? 1 : factors.get(JAVA_FLOAT_UNALIGNED, 4L * i);
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
