package dev.gosset.core.kernel.oracle;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.bounds.Arguments;
import dev.gosset.core.kernel.bounds.ErrorBounds;
import dev.gosset.core.kernel.contract.MatvecKernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The oracle of {@link MatvecKernel}: decodes through {@link Codebook#decode} and sums each row in float64, from left to
 * right. Decoded rows are {@code q0 + q1 / residualScale}, evaluated in float32.
 *
 * <p>Stateless and thread-safe. Allocates a few small arrays in each call.
 */
public final class ScalarMatvec implements MatvecKernel {
    private static final int DIMENSION = Codebook.DIMENSION;

    @Override
    public void matvec(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow) {
        Arguments.check(codes, x, y, firstRow, lastRow);
        double[] value = new double[DIMENSION];
        for (int row = firstRow; row < lastRow; row++) {
            double sum = 0;
            for (int group = 0; group < codes.groups(); group++) {
                codes.codebook().decode(codes.code(row, group), value, 0);
                for (int c = 0; c < DIMENSION; c++) {
                    sum += value[c] * x.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, DIMENSION * (long) group + c);
                }
            }
            y.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, row, (float) sum);
        }
    }

    @Override
    public double errorBound(CodeMatrix codes, MemorySegment x) {
        return ErrorBounds.rounding(codes, x);
    }

    @Override
    public double relativeError(CodeMatrix codes) {
        return ErrorBounds.FLOAT_RMS;
    }

    @Override
    public void decode(CodeMatrix codes, int firstRow, int lastRow, MemorySegment out) {
        Arguments.check(codes, firstRow, lastRow, out);
        double[] scratch = new double[DIMENSION];
        float[] value = new float[DIMENSION];
        long at = 0;
        for (int row = firstRow; row < lastRow; row++) {
            for (int group = 0; group < codes.groups(); group++) {
                ScalarEncode.decode(codes.codebook(), codes.code(row, group), scratch, value);
                for (int c = 0; c < DIMENSION; c++, at += 4) {
                    out.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at, value[c]);
                }
            }
        }
    }
}
