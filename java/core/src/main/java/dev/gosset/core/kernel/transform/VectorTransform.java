package dev.gosset.core.kernel.transform;

import static dev.gosset.core.kernel.memory.NativeMemory.ALL;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.kernel.memory.NativeMemory;
import dev.gosset.core.kernel.oracle.ScalarTransform;
import java.lang.foreign.MemorySegment;

/**
 * The transform in the Vector API, float32 throughout: {@code U = (M_K (x) S_p) / sqrt(n)} with p = n / K.
 *
 * <p>A row is K strips of p floats. Each strip gets its Sylvester product ({@link VectorSylvester}), the factor 1/sqrt(n)
 * with the first load; then M_K mixes the strips, a tile of columns at a time ({@link SmallMatrixProduct}). Long strips of K = 28
 * go the other way round ({@link PaleyTransform}).
 *
 * <p>A Fourier transform has passes of its own ({@link VectorFourier}), for the lengths that are multiples of 64; the others go through the
 * oracle.
 *
 * <p>Accuracy: {@link #roundings} are log2 p + 2 where K = 1, log2 p + K / 4 + 6 for a Hadamard matrix, 2 log2 p + 2 K + 6 for
 * a Hartley matrix, and for a Fourier transform 8 and for each pass 8 and its radix.
 *
 * <p>Each row's result depends on the row alone, not on its neighbours or their number. Stateless, thread-safe, allocates
 * nothing. The arenas of its segments must stay open while a call runs: they are looked at once, at its beginning. Needs
 * the module jdk.incubator.vector: reach it through {@code Kernels}. Source: spec/quip-sharp.md section 1.3.
 */
public final class VectorTransform implements TransformKernel {
    private static final int TILE = SmallMatrixProduct.TILE;

    private final ScalarTransform scalar = new ScalarTransform();

    /** The width in bits of the vectors in use. */
    public int vectorBits() {
        return VectorSylvester.vectorBits();
    }

    /**
     * K = 3 (n is 3 or 6) is too small for four rows at a time; beyond the stored matrices a fast Hartley transform wins. A Fourier
     * transform needs its passes.
     */
    private static boolean byScalar(HadamardTransform transform) {
        if (transform.kind() == HadamardTransform.Kind.FOURIER) {
            return !transform.hasFourierPlan();
        }
        return transform.k() == 3 || !transform.hasSmallMatrix();
    }

    @Override
    public double roundings(HadamardTransform transform) {
        int k = transform.k();
        int stages = Integer.numberOfTrailingZeros(transform.n() / k);
        if (byScalar(transform)) {
            return scalar.roundings(transform);
        }
        if (transform.hasFourierPlan()) {
            return VectorFourier.roundings(transform);
        }
        if (k == 1) {
            return stages + 2;
        }
        return transform.kind() == HadamardTransform.Kind.HADAMARD ? stages + k / 4.0 + 6 : 2 * stages + 2 * k + 6;
    }

    @Override
    public long scratchBytes(HadamardTransform transform) {
        int k = transform.k();
        if (byScalar(transform)) {
            return scalar.scratchBytes(transform);
        }
        if (transform.hasFourierPlan()) {
            return VectorFourier.scratchBytes(transform);
        }
        if (k == 1) {
            return 0;
        }
        if (PaleyTransform.takes(transform)) {
            return PaleyTransform.scratchBytes();
        }
        // where a strip is narrower than a tile, a tile of the strips of several rows besides
        long rows = transform.n() / k < TILE ? 4L * k * TILE : 0;
        return SmallMatrixProduct.scratchBytes(transform) + rows;
    }

    /**
     * {@inheritDoc}
     *
     * @throws IllegalStateException where the arena of a segment is closed
     * @throws WrongThreadException where it is confined to another thread
     */
    @Override
    public void apply(
            HadamardTransform transform, boolean transpose, MemorySegment x, int rows, MemorySegment scratch) {
        if (byScalar(transform)) {
            scalar.apply(transform, transpose, x, rows, scratch);
            return;
        }
        ScalarTransform.check(transform, x, rows, scratch, scratchBytes(transform));
        long data = NativeMemory.writable(x, 0, 4L * transform.n() * rows);
        long work = NativeMemory.writable(scratch, 0, scratchBytes(transform));
        try {
            transform(transform, transpose, data, rows, work);
        } finally {
            NativeMemory.keep(x, scratch);
        }
    }

    /** {@inheritDoc} The factors enter with the first load where a strip has four vectors or more. Throws as {@link #apply}. */
    @Override
    public void applyToProduct(
            HadamardTransform transform,
            boolean transpose,
            MemorySegment x,
            MemorySegment f,
            MemorySegment y,
            int rows,
            MemorySegment scratch) {
        if (byScalar(transform)) {
            scalar.applyToProduct(transform, transpose, x, f, y, rows, scratch);
            return;
        }
        ScalarTransform.check(transform, x, rows, scratch, scratchBytes(transform));
        ScalarTransform.check(transform, y, rows, scratch, scratchBytes(transform));
        ScalarTransform.checkFactors(transform, f);
        int n = transform.n();
        long from = NativeMemory.readable(x, 0, 4L * n * rows);
        long factors = NativeMemory.readable(f, 0, 4L * n);
        long to = NativeMemory.writable(y, 0, 4L * n * rows);
        long work = NativeMemory.writable(scratch, 0, scratchBytes(transform));
        try {
            int k = transform.k();
            int p = n / k;
            float scale = 1 / transform.norm();
            boolean paley = PaleyTransform.takes(transform);
            boolean fourier = transform.hasFourierPlan();
            boolean folded = VectorSylvester.takesFactors(p);
            for (int row = 0; row < rows; row++) {
                long at = 4L * n * row;
                if (fourier) {
                    VectorFourier.apply(transform, transpose, from + at, factors, to + at, 0, work);
                } else if (paley) {
                    PaleyTransform.applyToProduct(from + at, factors, to + at, p, scale, work);
                } else if (folded) {
                    VectorSylvester.applyToProduct(from + at, factors, to + at, p, k, scale);
                } else {
                    VectorSylvester.multiply(from + at, factors, to + at, n);
                }
            }
            if (!paley && !fourier && !folded) {
                transform(transform, transpose, to, rows, work);
            } else if (!paley && !fourier) {
                mix(transform, transpose, to, rows, work);
            }
        } finally {
            NativeMemory.keep(x, f);
            NativeMemory.keep(y, scratch);
        }
    }

    /**
     * {@inheritDoc} The factors enter with the last store where a strip has four vectors or more: M_K and the stages across vectors come
     * before the last stages inside them, with which they commute. Throws as {@link #apply}.
     */
    @Override
    public void applyThenMultiply(
            HadamardTransform transform,
            boolean transpose,
            MemorySegment x,
            MemorySegment f,
            int rows,
            MemorySegment scratch) {
        if (byScalar(transform)) {
            scalar.applyThenMultiply(transform, transpose, x, f, rows, scratch);
            return;
        }
        ScalarTransform.check(transform, x, rows, scratch, scratchBytes(transform));
        ScalarTransform.checkFactors(transform, f);
        int n = transform.n();
        int k = transform.k();
        int p = n / k;
        long data = NativeMemory.writable(x, 0, 4L * n * rows);
        long factors = NativeMemory.readable(f, 0, 4L * n);
        long work = NativeMemory.writable(scratch, 0, scratchBytes(transform));
        try {
            float scale = 1 / transform.norm();
            boolean paley = PaleyTransform.takes(transform);
            boolean folded = VectorSylvester.takesFactors(p);
            // strips narrower than a tile are mixed several rows at a time
            int step = p < TILE ? rows : 1;
            boolean fourier = transform.hasFourierPlan();
            for (int row = 0; row < rows; row += step) {
                long at = data + 4L * n * row;
                if (fourier) {
                    VectorFourier.apply(transform, transpose, at, 0, at, factors, work);
                } else if (paley) {
                    PaleyTransform.applyThenMultiply(at, factors, p, scale, work);
                } else if (folded) {
                    VectorSylvester.applyAllButLast(at, p, k, scale);
                    mix(transform, transpose, at, 1, work);
                    VectorSylvester.finishThenMultiply(at, factors, p, n);
                } else {
                    transform(transform, transpose, at, step, work);
                    for (int done = 0; done < step; done++) {
                        long of = at + 4L * n * done;
                        VectorSylvester.multiply(of, factors, of, n);
                    }
                }
            }
        } finally {
            NativeMemory.keep(x, f);
            NativeMemory.keep(scratch, scratch);
        }
    }

    private static void transform(HadamardTransform transform, boolean transpose, long x, int rows, long scratch) {
        int k = transform.k();
        int p = transform.n() / k;
        float scale = 1 / transform.norm();
        if (transform.hasFourierPlan()) {
            for (int row = 0; row < rows; row++) {
                long at = x + 4L * transform.n() * row;
                VectorFourier.apply(transform, transpose, at, 0, at, 0, scratch);
            }
            return;
        }
        if (PaleyTransform.takes(transform)) {
            for (int row = 0; row < rows; row++) {
                PaleyTransform.apply(x + 4L * transform.n() * row, p, scale, scratch);
            }
            return;
        }
        VectorSylvester.apply(x, p, (long) rows * k, scale);
        mix(transform, transpose, x, rows, scratch);
    }

    /** {@code x <- (M_K (x) I_p) x} for each row. */
    private static void mix(HadamardTransform transform, boolean transpose, long x, int rows, long scratch) {
        int n = transform.n();
        int p = n / transform.k();
        if (p == n) {
            return;
        }
        MemorySegment form = SmallMatrixProduct.form(transform, transpose);
        if (p < TILE) {
            mixNarrow(transform, transpose, form.address(), x, rows, scratch);
        } else {
            for (int row = 0; row < rows; row++) {
                for (int column = 0; column < p; column += TILE) {
                    SmallMatrixProduct.apply(
                            transform, transpose, form.address(), x + 4L * n * row + 4L * column, 4L * p, scratch);
                }
            }
        }
        NativeMemory.keep(form, form);
    }

    /** As {@link #mix} where p is less than a tile: the strips of several rows lie side by side in one. */
    private static void mixNarrow(
            HadamardTransform transform, boolean transpose, long form, long x, int rows, long scratch) {
        int k = transform.k();
        int p = transform.n() / k;
        long tile = scratch + SmallMatrixProduct.scratchBytes(transform);
        for (int first = 0; first < rows; first += TILE / p) {
            int group = Math.min(TILE / p, rows - first);
            copyStrips(x, k, p, first, group, tile, true);
            SmallMatrixProduct.apply(transform, transpose, form, tile, 4L * TILE, scratch);
            copyStrips(x, k, p, first, group, tile, false);
        }
    }

    /** Between rows {@code first} to {@code first + group - 1} of x and the tile, whose other columns become zero. */
    private static void copyStrips(long x, int k, int p, int first, int group, long tile, boolean in) {
        for (int strip = 0; strip < k; strip++) {
            long t = tile + 4L * TILE * strip;
            for (int i = 0; i < group * p; i++) {
                long at = x + 4L * p * ((long) k * (first + i / p) + strip) + 4L * (i % p);
                long from = in ? at : t + 4L * i;
                long to = in ? t + 4L * i : at;
                ALL.set(JAVA_INT_UNALIGNED, to, ALL.get(JAVA_INT_UNALIGNED, from));
            }
            for (int i = group * p; in && i < TILE; i++) {
                ALL.set(JAVA_INT_UNALIGNED, t + 4L * i, 0);
            }
        }
    }
}
