package dev.gosset.core.kernel.oracle;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * The exact meaning of a quantized linear, in plain float64 Java: {@code y = diag(part scales) diag(SV) U_m Q U_n^T
 * diag(SU) x}. Slow; every faster evaluation is tested against it. Source: spec/quip-sharp.md, section 6.
 */
public final class LinearOracle {
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private LinearOracle() {}

    /**
     * One product. Thread-safe.
     *
     * @param x the n inputs; not changed
     * @return the m outputs, the parts one below the other
     */
    public static double[] apply(QuantizedLinear linear, double[] x) {
        int m = linear.rows();
        int n = linear.cols();
        if (x.length != n) {
            throw new IllegalArgumentException("the linear has " + n + " inputs, found " + x.length);
        }
        CodeMatrix codes = linear.codes();
        double[] input = new double[Codebook.DIMENSION * codes.groups()];
        for (int j = 0; j < n; j++) {
            input[j] = x[j] * half(linear.su(), j);
        }
        HadamardTransform.of(n).apply(input, 0, true);
        double[] y = new double[m];
        double[] point = new double[Codebook.DIMENSION];
        for (int i = 0; i < m; i++) {
            double sum = 0;
            for (int group = 0; group < codes.groups(); group++) {
                codes.codebook().decode(codes.code(i, group), point, 0);
                for (int c = 0; c < Codebook.DIMENSION; c++) {
                    sum += point[c] * input[group * Codebook.DIMENSION + c];
                }
            }
            y[i] = sum;
        }
        HadamardTransform.of(m).apply(y, 0, false);
        int row = 0;
        for (QuantizedLinear.Part part : linear.parts()) {
            for (int i = 0; i < part.rows(); i++, row++) {
                y[row] *= half(linear.sv(), row) * part.scale();
            }
        }
        return y;
    }

    private static double half(MemorySegment s, int i) {
        return Float.float16ToFloat(s.get(HALF, 2L * i));
    }
}
