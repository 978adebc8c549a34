package dev.gosset.llm.finetune;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.Incoherence;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

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
    static void decode(QuantizedLinear linear, FloatMatrix out, Workspace workspace) {
        int m = linear.rows();
        int n = linear.cols();
        int padded = Codebook.DIMENSION * linear.codes().groups();
        Kernels kernels = Kernels.selected();
        workspace.run(Math.ceilDiv(m, ROWS), 4L * ROWS * padded, (task, tile) -> {
            int from = task * ROWS;
            int to = Math.min(m, from + ROWS);
            kernels.matvec().decode(linear.codes(), from, to, tile.asSlice(0, 4L * (to - from) * padded));
            for (int i = from; i < to; i++) {
                MemorySegment.copy(tile, 4L * (i - from) * padded, out.data(), 4L * i * n, 4L * n);
            }
        });
        Incoherence.plain(linear.inputs(), linear.outputs()).weightsBack(kernels.transform(), workspace.team(), out);
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

    /** A stored sign vector. */
    static float[] floats(MemorySegment halves) {
        float[] out = new float[Math.toIntExact(halves.byteSize() / 2)];
        for (int i = 0; i < out.length; i++) {
            out[i] = Float.float16ToFloat(halves.get(HALF, 2L * i));
        }
        return out;
    }
}
