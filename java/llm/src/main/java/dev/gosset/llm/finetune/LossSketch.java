package dev.gosset.llm.finetune;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.Closing;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.HessianAccumulator;
import dev.gosset.core.rounding.LossHessian;
import dev.gosset.llm.calibration.CalibrationActivations;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.cpu.TransformerBlock;
import dev.gosset.llm.finetune.Parameters.Parameter;
import dev.gosset.llm.finetune.Parameters.Stored;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelPlan;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * The {@link LossHessian} of every stack of linears of an original model, by one pass forward and one back: behind each token another
 * is drawn from the model's own distribution, and the gradient of its log-probability goes back through the blocks. All sequences go
 * through a block before the next, so that the sums of one block are in memory at once; the hidden states before every block, which the
 * way back needs, share 1 GiB of memory and lie in nameless files beyond that. Source: notes/beyond-e8p.md, section 4.
 */
public final class LossSketch implements AutoCloseable {
    /** Held-out tokens that are kept: so many, and fewer than twice as many. */
    public static final int HELD = 1024;

    private static final int CHUNK = 256;
    private static final long IN_MEMORY = 1L << 30;

    /** Of the tokens that are drawn for the first sequence; the next has the next number. */
    static final long SEED = 0x5eed;

    private final Model model;
    private final Transformer transformer;
    private final List<int[]> sequences;
    private final int used;
    private final Workspace workspace;
    private final Runnable step;
    /** Before each block; at the end the gradients behind the last. */
    private final List<CalibrationActivations> states = new ArrayList<>();

    /** Where the results go. */
    @FunctionalInterface
    public interface Sink {
        /**
         * @param found views, gone after the call
         */
        void accept(int layer, Map<LinearGroup, LossHessian> found);
    }

    private LossSketch(
            Model model, List<int[]> sequences, int used, Path directory, Workspace workspace, Runnable step) {
        this.model = model;
        this.transformer = model.transformer();
        this.sequences = sequences;
        this.used = used;
        this.workspace = workspace;
        this.step = step;
        int layers = model.config().layers();
        try (Construction construction = new Construction(this::close)) {
            for (int i = 0; i <= layers; i++) {
                states.add(new CalibrationActivations(transformer, sequences, directory, IN_MEMORY / (layers + 1)));
            }
            construction.done();
        }
    }

    /** Fails where a model has a part that has no way back, with the part's name. */
    public static void requireKnown(ModelPlan plan) {
        try {
            TunableBlock.requireKnown(plan);
        } catch (UnsupportedModelException e) {
            throw new UnsupportedModelException("two-sided Hessians need fine-tuning's way back, but " + e.getMessage()
                    + "; one-sided ones do not");
        }
    }

    /** Steps of progress for so many sequences. */
    public static int steps(int layers, int sequences) {
        return 2 * layers * sequences;
    }

    /**
     * Makes the sketch.
     *
     * @param model an original one, all of whose parts have a way back
     * @param used how many sequences the Hessians are of, the first ones; the others are held out
     * @param directory for activations that do not fit into memory
     * @param sink called for every block, from the last to the first
     * @param step called {@link #steps} times
     */
    public static void run(
            Model model,
            List<int[]> sequences,
            int used,
            Path directory,
            Workspace workspace,
            Sink sink,
            Runnable step) {
        try (LossSketch sketch = new LossSketch(model, sequences, used, directory, workspace, step)) {
            sketch.run(sink);
        }
    }

    private void run(Sink sink) {
        int layers = states.size() - 1;
        for (int layer = 0; layer < layers; layer++) {
            states.get(layer).advanceInto(states.get(layer + 1), transformer.block(layer), workspace, step);
        }
        CalibrationActivations gradients = states.removeLast();
        try (gradients) {
            lossGradients(gradients);
            for (int layer = layers - 1; layer >= 0; layer--) {
                try (CalibrationActivations inputs = states.removeLast()) {
                    back(layer, inputs, gradients, sink);
                }
            }
        }
    }

    /** The last block's output becomes the gradient of the loss by it. */
    private void lossGradients(CalibrationActivations hidden) {
        try (Arena arena = Arena.ofShared();
                Parameters parameters = new Parameters()) {
            FloatMatrix head = model.weights()
                    .tensor(model.plan().head().orElse(model.plan().embedding()))
                    .toFloatMatrix(arena);
            Parameter norm = parameters.factors("norm", transformer.finalNorm().toArray(), 0, Stored.AS_IT_IS);
            for (int s = 0; s < hidden.count(); s++) {
                lossGradient(hidden.sequence(s), norm, head, new SplittableRandom(SEED + s));
            }
        }
    }

    private void lossGradient(FloatMatrix h, Parameter norm, FloatMatrix head, SplittableRandom random) {
        float epsilon = model.config().normEpsilon();
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix n = frame.matrix(h.rows(), h.cols());
            FloatMatrix dn = frame.matrix(h.rows(), h.cols());
            FloatMatrix all = frame.matrix(Math.min(CHUNK, h.rows()), head.rows());
            Rows.normalize(h, norm.value(), epsilon, n, workspace);
            for (int first = 0; first < h.rows(); first += CHUNK) {
                int count = Math.min(CHUNK, h.rows() - first);
                FloatMatrix logits = all.rows(0, count);
                Blas.gemm(
                        workspace.team(),
                        1,
                        Operand.of(n.rows(first, first + count)),
                        Operand.of(head).transpose(),
                        0,
                        Operand.of(logits));
                double[] drawn = random.doubles(count).toArray();
                workspace.team().run(count, t -> sampled(logits.rows(t, t + 1), drawn[t]));
                Blas.gemm(
                        workspace.team(),
                        1,
                        Operand.of(logits),
                        Operand.of(head),
                        0,
                        Operand.of(dn.rows(first, first + count)));
            }
            Rows.normalizeGradient(h, norm, epsilon, dn, 0, n, workspace);
            h.data().copyFrom(n.data());
        }
    }

    /** Logits become the gradient of the negative log-probability of a token drawn by them. */
    private static void sampled(FloatMatrix logits, double drawn) {
        int vocabulary = logits.cols();
        VectorMath.softmax(logits.data(), 0, vocabulary);
        double left = drawn;
        int token = 0;
        while (token < vocabulary - 1 && (left -= logits.get(0, token)) >= 0) {
            token++;
        }
        logits.set(0, token, logits.get(0, token) - 1);
    }

    private void back(int layer, CalibrationActivations inputs, CalibrationActivations gradients, Sink sink) {
        TransformerBlock original = transformer.block(layer);
        BlockPlan plan = original.plan();
        int longest = inputs.longest();
        try (Arena arena = Arena.ofShared();
                Parameters parameters = new Parameters()) {
            Map<LinearGroup, TunableLinear> linears = new LinkedHashMap<>();
            Map<LinearGroup, Sums> sums = new LinkedHashMap<>();
            int held = 0;
            for (int s = used; s < sequences.size(); s++) {
                held += sequences.get(s).length;
            }
            int stride = Math.max(1, held / HELD);
            for (LinearGroup group : plan.groups()) {
                FloatMatrix weight = FloatMatrix.allocate(arena, group.outputs(), group.inputs());
                int row = 0;
                for (LinearGroup.Part part : group.parts()) {
                    model.weights()
                            .weight(group, part)
                            .toFloats(weight.rows(row, row + part.rows()).data());
                    row += part.rows();
                }
                linears.put(
                        group,
                        TunableLinear.dense(
                                parameters.weights(group.name(), weight, 0, Stored.AS_IT_IS),
                                ModelTuning.bias(original.linear(group))));
                sums.put(group, new Sums(group, Math.ceilDiv(held, stride), stride, arena));
            }
            TunableBlock block = new TunableBlock(
                    plan, TunableBlock.Norms.of(plan, original::weight, parameters, 0), linears, original.rotary());
            TunableBlock.Kept kept = new TunableBlock.Kept(plan, longest, arena);
            FloatMatrix output =
                    FloatMatrix.allocate(arena, longest, model.config().hiddenSize());
            for (int s = 0; s < inputs.count(); s++) {
                int tokens = inputs.sequence(s).rows();
                boolean heldOut = s >= used;
                FloatMatrix h = output.rows(0, tokens);
                h.data().copyFrom(inputs.sequence(s).data());
                block.forward(h, tokens, kept.rows(tokens), workspace);
                block.backward(
                        gradients.sequence(s),
                        tokens,
                        kept.rows(tokens),
                        (group, x, g) -> sums.get(group).add(x, g, heldOut, workspace),
                        workspace);
                step.run();
            }
            try (Arena result = Arena.ofShared()) {
                Map<LinearGroup, LossHessian> found = new LinkedHashMap<>();
                sums.forEach((group, s) -> found.put(group, s.hessian(result)));
                sink.accept(layer, found);
            }
        }
    }

    /** What one stack has seen. */
    private static final class Sums {
        private final HessianAccumulator inputs;
        private final HessianAccumulator outputs;
        private final FloatMatrix heldInputs;
        private final FloatMatrix heldGradients;
        private final int stride;
        private int seen;

        Sums(LinearGroup group, int held, int stride, Arena arena) {
            inputs = new HessianAccumulator(group.inputs(), arena);
            outputs = new HessianAccumulator(group.outputs(), arena);
            heldInputs = FloatMatrix.allocate(arena, held, group.inputs());
            heldGradients = FloatMatrix.allocate(arena, held, group.outputs());
            this.stride = stride;
        }

        void add(FloatMatrix x, FloatMatrix g, boolean heldOut, Workspace workspace) {
            if (heldOut) {
                for (int t = 0; t < x.rows(); t++, seen++) {
                    if (seen % stride == 0) {
                        heldInputs.row(seen / stride).copyFrom(x.row(t));
                        heldGradients.row(seen / stride).copyFrom(g.row(t));
                    }
                }
                return;
            }
            try (Workspace.Frame frame = workspace.frame()) {
                FloatMatrix weighed = frame.matrix(x.rows(), x.cols());
                weigh(x, g, weighed, workspace);
                inputs.add(workspace.team(), weighed);
                weighed = frame.matrix(g.rows(), g.cols());
                weigh(g, x, weighed, workspace);
                outputs.add(workspace.team(), weighed);
            }
        }

        /** {@code |b| a} for every token. */
        private static void weigh(FloatMatrix a, FloatMatrix b, FloatMatrix weighed, Workspace workspace) {
            Rows.run(a.rows(), workspace, (from, to) -> {
                for (int t = from; t < to; t++) {
                    long other = 4L * t * b.cols();
                    long own = 4L * t * a.cols();
                    double norm = Math.sqrt(VectorMath.dot(b.data(), other, b.data(), other, b.cols()));
                    VectorMath.scale((float) norm, a.data(), own, weighed.data(), own, a.cols());
                }
            });
        }

        LossHessian hessian(Arena arena) {
            return new LossHessian(inputs.hessian(arena), outputs.hessian(arena), heldInputs, heldGradients);
        }
    }

    @Override
    public void close() {
        Closing.all(states);
    }
}
