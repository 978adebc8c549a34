package dev.gosset.core.kernel.oracle;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The exact meaning of a quantized linear, in plain float64 Java: {@code y = diag(part scales) D(SV)^T U_m Q U_n^T
 * D(SU) x}. Slow; every faster evaluation is tested against it. Source: spec/quip-sharp.md, section 6.
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
        double[] input = x.clone();
        linear.inputs().multiply(halves(linear.su(), n), input, false);
        linear.inputs().apply(input, 0, true);
        input = Arrays.copyOf(input, Codebook.DIMENSION * codes.groups());
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
        linear.outputs().apply(y, 0, false);
        linear.outputs().multiply(halves(linear.sv(), m), y, true);
        int row = 0;
        for (QuantizedLinear.Part part : linear.parts()) {
            for (int i = 0; i < part.rows(); i++, row++) {
                y[row] *= part.scale();
            }
        }
        return y;
    }

    private static double[] halves(MemorySegment s, int count) {
        double[] wide = new double[count];
        for (int i = 0; i < count; i++) {
            wide[i] = Float.float16ToFloat(s.get(HALF, 2L * i));
        }
        return wide;
    }
}
