package dev.gosset.llm.finetune;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Incoherence;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/** The matrix that the codes of a quantized linear stand for. */
final class CodedMatrix {
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final int ROWS = 16;

    private CodedMatrix() {}

    /**
     * {@code diag(part scales) U_m Q U_n^T}: all of the linear but SU and SV.
     *
     * @param out m x n, written
     */
    static void decode(QuantizedLinear linear, FloatMatrix out, ThreadTeam team) {
        int m = linear.rows();
        int n = linear.cols();
        Codebook codebook = linear.codes().codebook();
        int groups = linear.codes().groups();
        team.run(Math.ceilDiv(m, ROWS), task -> {
            double[] point = new double[Codebook.DIMENSION];
            for (int i = task * ROWS; i < Math.min(m, (task + 1) * ROWS); i++) {
                for (int g = 0; g < groups; g++) {
                    codebook.decode(linear.codes().code(i, g), point, 0);
                    int first = g * Codebook.DIMENSION;
                    for (int j = first; j < Math.min(n, first + Codebook.DIMENSION); j++) {
                        out.set(i, j, (float) point[j - first]);
                    }
                }
            }
        });
        new Incoherence(ones(n), ones(m)).weightsBack(Kernels.selected().transform(), team, out);
        int row = 0;
        for (QuantizedLinear.Part part : linear.parts()) {
            for (int i = row; i < row + part.rows(); i++) {
                for (int j = 0; j < n; j++) {
                    out.set(i, j, out.get(i, j) * part.scale());
                }
            }
            row += part.rows();
        }
    }

    private static byte[] ones(int count) {
        byte[] ones = new byte[count];
        Arrays.fill(ones, (byte) 1);
        return ones;
    }

    /** A stored sign vector. */
    static float[] floats(MemorySegment halves) {
        float[] out = new float[Math.toIntExact(halves.byteSize() / 2)];
        for (int i = 0; i < out.length; i++) {
            out[i] = Float.float16ToFloat(halves.get(HALF, 2L * i));
        }
        return out;
    }
}
