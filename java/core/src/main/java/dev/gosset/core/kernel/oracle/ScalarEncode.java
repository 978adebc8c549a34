package dev.gosset.core.kernel.oracle;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.D4;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.codebook.HalfInteger;
import dev.gosset.core.kernel.bounds.Arguments;
import dev.gosset.core.kernel.contract.EncodeKernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The oracle of {@link EncodeKernel}: every vector goes through {@link Codebook#nearest} in float64. The values are
 * {@code q0 + q1 / residualScale}, evaluated in float32.
 *
 * <p>Stateless and thread-safe. Allocates a few small arrays in each call.
 */
public final class ScalarEncode implements EncodeKernel {
    private static final int DIMENSION = Codebook.DIMENSION;

    @Override
    public void nearest(Codebook codebook, MemorySegment x, int count, MemorySegment values, MemorySegment codes) {
        Arguments.check(x, count, values, codes);
        double[] vector = new double[DIMENSION];
        float[] value = new float[DIMENSION];
        for (int i = 0; i < count; i++) {
            long at = 4L * DIMENSION * i;
            for (int c = 0; c < DIMENSION; c++) {
                vector[c] = x.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + 4L * c);
            }
            int code = codebook.nearest(vector, 0);
            codes.set(ValueLayout.JAVA_INT_UNALIGNED, 4L * i, code);
            decode(codebook, code, vector, value);
            for (int c = 0; c < DIMENSION; c++) {
                values.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + 4L * c, value[c]);
            }
        }
    }

    /** The eight float32 values of a code: what every kernel must deliver bit by bit. */
    public static void decode(Codebook codebook, int code, double[] scratch, float[] out) {
        switch (codebook) {
            case E8p _, D4 _, HalfInteger _ -> {
                codebook.decode(code, scratch, 0);
                for (int c = 0; c < DIMENSION; c++) {
                    out[c] = (float) scratch[c];
                }
            }
            case E8pResidual residual -> {
                residual.decodeResidual(code, scratch, 0);
                for (int c = 0; c < DIMENSION; c++) {
                    out[c] = (float) scratch[c] / (float) residual.residualScale();
                }
                E8p.INSTANCE.decode(code >>> 16, scratch, 0);
                for (int c = 0; c < DIMENSION; c++) {
                    out[c] = (float) scratch[c] + out[c];
                }
            }
        }
    }
}
