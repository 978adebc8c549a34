package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.plan.FeedForwardPlan.Experts;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A mixture of experts. Tokens are grouped by the experts that they go through, and an expert that no token goes through is not
 * read. What a token's result is depends on the token alone: experts are added in the order of their numbers.
 */
final class ExpertMixture implements FeedForward {
    private final Experts plan;
    private final Linear router;
    private final List<GatedMlp> experts;
    private final GatedMlp shared;
    private final Linear sharedGate;

    /**
     * @param router from hidden states to one number for each expert
     * @param shared the expert for all tokens, or null
     * @param sharedGate from hidden states to its one number, or null
     */
    ExpertMixture(Experts plan, Linear router, List<GatedMlp> experts, GatedMlp shared, Linear sharedGate) {
        this.plan = plan;
        this.router = router;
        this.experts = List.copyOf(experts);
        this.shared = shared;
        this.sharedGate = sharedGate;
    }

    @Override
    public void forward(FloatMatrix x, FloatMatrix y, boolean many, ActivationTap tap, Workspace workspace) {
        int tokens = x.rows();
        int chosen = plan.chosen();
        int[] choice = new int[tokens * chosen];
        float[] weight = new float[tokens * chosen];
        try (Workspace.Frame frame = workspace.frame()) {
            // The same way for whole sequences and for single tokens, lest these go to other experts.
            FloatMatrix p = frame.matrix(tokens, experts.size());
            router.forward(x, p, workspace);
            TransformerBlock.forRows(tokens, workspace, (from, to) -> {
                for (int t = from; t < to; t++) {
                    choose(p.row(t), choice, weight, t * chosen);
                }
            });
        }
        y.data().fill((byte) 0);
        // Places in choice, by expert and then by token.
        int[] first = new int[experts.size() + 1];
        for (int e : choice) {
            first[e + 1]++;
        }
        for (int e = 0; e < experts.size(); e++) {
            first[e + 1] += first[e];
        }
        int[] next = first.clone();
        int[] places = new int[choice.length];
        for (int i = 0; i < choice.length; i++) {
            places[next[choice[i]]++] = i;
        }
        for (int e = 0; e < experts.size(); e++) {
            int begin = first[e];
            int count = first[e + 1] - begin;
            if (count == 0) {
                continue;
            }
            try (Workspace.Frame frame = workspace.frame()) {
                FloatMatrix own = count == tokens ? x : gathered(x, places, begin, count, frame, workspace);
                FloatMatrix out = frame.matrix(count, y.cols());
                experts.get(e).forward(own, out, many, tap, workspace);
                TransformerBlock.forRows(count, workspace, (from, to) -> {
                    for (int i = from; i < to; i++) {
                        int place = places[begin + i];
                        long row = 4L * y.cols() * (place / chosen);
                        VectorMath.addScaled(weight[place], out.data(), 4L * y.cols() * i, y.data(), row, y.cols());
                    }
                });
            }
        }
        if (shared != null) {
            addShared(x, y, many, tap, workspace);
        }
    }

    private FloatMatrix gathered(
            FloatMatrix x, int[] places, int begin, int count, Workspace.Frame frame, Workspace workspace) {
        FloatMatrix own = frame.matrix(count, x.cols());
        long bytes = 4L * x.cols();
        TransformerBlock.forRows(count, workspace, (from, to) -> {
            for (int i = from; i < to; i++) {
                long row = bytes * (places[begin + i] / plan.chosen());
                MemorySegment.copy(x.data(), row, own.data(), bytes * i, bytes);
            }
        });
        return own;
    }

    /** Writes the experts of one token and their weights from {@code at} on; of equal ones the first come first. */
    private void choose(MemorySegment p, int[] choice, float[] weight, int at) {
        int n = experts.size();
        FloatMatrix row = new FloatMatrix(p, 1, n);
        VectorMath.softmax(p, 0, n);
        float sum = 0;
        for (int k = at; k < at + plan.chosen(); k++) {
            int best = -1;
            for (int e = 0; e < n; e++) {
                // What was chosen is below zero now. What is no number is not greater than anything, but there is
                // always one.
                if (row.get(0, e) != CHOSEN && (best < 0 || row.get(0, e) > row.get(0, best))) {
                    best = e;
                }
            }
            choice[k] = best;
            weight[k] = row.get(0, best);
            sum += weight[k];
            row.set(0, best, CHOSEN);
        }
        for (int k = at; plan.normalized() && k < at + plan.chosen(); k++) {
            weight[k] /= sum;
        }
    }

    private static final float CHOSEN = -1;

    private void addShared(FloatMatrix x, FloatMatrix y, boolean many, ActivationTap tap, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix gate = frame.matrix(x.rows(), 1);
            FloatMatrix out = frame.matrix(x.rows(), y.cols());
            sharedGate.forward(x, gate, workspace);
            shared.forward(x, out, many, tap, workspace);
            TransformerBlock.forRows(x.rows(), workspace, (from, to) -> {
                for (int t = from; t < to; t++) {
                    float share = (float) (1 / (1 + Math.exp(-gate.get(t, 0))));
                    long row = 4L * y.cols() * t;
                    VectorMath.addScaled(share, out.data(), row, y.data(), row, y.cols());
                }
            });
        }
    }
}
