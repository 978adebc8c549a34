package dev.gosset.core.kernel;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.oracle.LinearOracle;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The measure in which products with quantized linears are compared with the oracle. */
public final class Products {
    private Products() {}

    /**
     * The root mean square of the errors of y, as a part of what y has for a random x of this norm; SV and the part scales are taken off first.
     * This is what {@link QuantizedProduct#relativeError} promises; a product of a few rows or columns may have two or three
     * times as much.
     */
    public static double relativeError(QuantizedLinear linear, double[] x, float[] y) {
        double[] expected = LinearOracle.apply(linear, x);
        double error = 0;
        int i = 0;
        for (QuantizedLinear.Part part : linear.parts()) {
            for (int end = i + part.rows(); i < end; i++) {
                error += Math.pow((y[i] - expected[i]) / (half(linear.sv(), i) * part.scale()), 2);
            }
        }
        double norm = 0;
        for (int j = 0; j < x.length; j++) {
            norm += Math.pow(x[j] * half(linear.su(), j), 2);
        }
        return Math.sqrt(error / (norm * squares(linear.codes()) / linear.cols()));
    }

    private static float half(MemorySegment s, int i) {
        return Float.float16ToFloat(s.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i));
    }

    /** The sum of the squares of all values. */
    private static double squares(CodeMatrix codes) {
        double sum = 0;
        double[] point = new double[Codebook.DIMENSION];
        for (int i = 0; i < codes.rows(); i++) {
            for (int g = 0; g < codes.groups(); g++) {
                codes.codebook().decode(codes.code(i, g), point, 0);
                for (double v : point) {
                    sum += v * v;
                }
            }
        }
        return sum;
    }
}
