package dev.gosset.llm.finetune;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.dense.VectorGradients;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.finetune.Parameters.Parameter;

/**
 * The end of a model with its way back: final norm, head, and the divergence KL(teacher || student) of the next token, averaged over
 * all tokens but the last of each sequence. The teacher's distribution is formed again from its normalized hidden states, so that no
 * logits are kept; they are worked through in chunks of tokens. Source: spec/fine-tuning.md, section 4.
 *
 * @param norm the final norm
 * @param head vocabulary x width
 * @param teacherHead the teacher's
 */
record TeacherLoss(Parameter norm, float epsilon, Parameter head, FloatMatrix teacherHead) {
    /** Tokens of a chunk. */
    private static final int CHUNK = 256;

    /**
     * @param hidden sequences * tokens x width, the last block's output; replaced by its gradient where {@code backward}
     * @param teacher as many rows, the teacher's normalized hidden states
     * @param share of one token in the mean that the gradient is of
     * @return the sum of the divergences of all tokens that count
     */
    double apply(
            FloatMatrix hidden, FloatMatrix teacher, int tokens, double share, boolean backward, Workspace workspace) {
        int width = hidden.cols();
        int vocabulary = teacherHead.rows();
        double sum = 0;
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix n = frame.matrix(hidden.rows(), width);
            FloatMatrix dn = frame.matrix(hidden.rows(), width);
            int chunk = Math.min(CHUNK, hidden.rows());
            FloatMatrix all = frame.matrix(chunk, vocabulary);
            FloatMatrix allTeacher = frame.matrix(chunk, vocabulary);
            double[] losses = new double[chunk];
            Rows.normalize(hidden, norm.value(), epsilon, n, workspace);
            for (int first = 0; first < hidden.rows(); first += CHUNK) {
                int count = Math.min(CHUNK, hidden.rows() - first);
                int start = first;
                FloatMatrix logits = all.rows(0, count);
                FloatMatrix teacherLogits = allTeacher.rows(0, count);
                FloatMatrix nPart = n.rows(first, first + count);
                product(nPart, head.value(), logits, workspace);
                product(teacher.rows(first, first + count), teacherHead, teacherLogits, workspace);
                workspace.team().run(count, t -> {
                    boolean counts = (start + t) % tokens != tokens - 1;
                    long at = 4L * t * vocabulary;
                    float tLog = (float) VectorMath.logSumExp(teacherLogits.data(), at, vocabulary);
                    float lLog = (float) VectorMath.logSumExp(logits.data(), at, vocabulary);
                    double loss = VectorGradients.divergence(
                            teacherLogits.data(),
                            at,
                            tLog,
                            counts ? (float) share : 0,
                            logits.data(),
                            at,
                            lLog,
                            vocabulary);
                    losses[t] = counts ? loss : 0;
                });
                for (int t = 0; t < count; t++) {
                    sum += losses[t];
                }
                if (backward) {
                    if (head.isTuned()) {
                        Blas.gemm(
                                workspace.team(),
                                1,
                                Operand.of(logits).transpose(),
                                Operand.of(nPart),
                                1,
                                Operand.of(head.gradient()));
                    }
                    Blas.gemm(
                            workspace.team(),
                            1,
                            Operand.of(logits),
                            Operand.of(head.value()),
                            0,
                            Operand.of(dn.rows(first, first + count)));
                }
            }
            if (backward) {
                // n has served: the gradient goes there, since hidden is still needed for that of the norm.
                Rows.normalizeGradient(hidden, norm, epsilon, dn, 0, n, workspace);
                hidden.data().copyFrom(n.data());
            }
        }
        return sum;
    }

    private static void product(FloatMatrix x, FloatMatrix w, FloatMatrix y, Workspace workspace) {
        Blas.gemm(workspace.team(), 1, Operand.of(x), Operand.of(w).transpose(), 0, Operand.of(y));
    }
}
