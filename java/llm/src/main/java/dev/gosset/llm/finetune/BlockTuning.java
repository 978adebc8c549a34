package dev.gosset.llm.finetune;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.calibration.CalibrationActivations;
import dev.gosset.llm.cpu.TransformerBlock;
import dev.gosset.llm.finetune.Parameters.Parameter;
import dev.gosset.llm.finetune.Parameters.Stored;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.plan.NormPlan;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * A block on its way from the original to the quantized form: its groups of linears are rounded one after the other, and after each
 * of them everything that can still move makes up for it: the sign vectors of what is rounded, the weights of what is not, and
 * the norms. The goal is what the original block makes of the original's hidden states. Between runs of tuning everything is as it is
 * stored. Not thread-safe. Source: spec/fine-tuning.md, sections 1.1 and 6.
 */
public final class BlockTuning implements AutoCloseable {
    private static final String WEIGHT = ".weight";

    private final Arena arena = Arena.ofShared();
    private final BlockPlan plan;
    private final TransformerBlock original;
    private final Map<LinearGroup, FloatMatrix> matrices = new LinkedHashMap<>();
    private final Map<LinearGroup, QuantizedLinear> rounded = new LinkedHashMap<>();
    private final Map<NormPlan, FloatMatrix> norms = new LinkedHashMap<>();
    private final Workspace workspace;

    /**
     * Begins with the original block.
     *
     * @param model open as long as this
     */
    public BlockTuning(Model model, int layer, Workspace workspace) {
        this.workspace = workspace;
        original = model.transformer().block(layer);
        plan = original.plan();
        try (Construction construction = new Construction(this::close)) {
            plan.norms().forEach(norm -> norms.put(norm, original.weight(norm).copy(arena)));
            for (LinearGroup group : plan.groups()) {
                FloatMatrix all = FloatMatrix.allocate(arena, group.outputs(), group.inputs());
                int row = 0;
                for (LinearGroup.Part part : group.parts()) {
                    model.weights()
                            .weight(group, part)
                            .toFloats(all.rows(row, row + part.rows()).data());
                    row += part.rows();
                }
                matrices.put(group, all);
            }
            construction.done();
        }
    }

    /** Fails where a model has a part that has no way back, with the part's name. */
    public static void requireKnown(ModelPlan model) {
        TunableBlock.requireKnown(model);
    }

    /** The weights of a part as they stand, of a group that is not rounded yet; a view. */
    public FloatMatrix weights(LinearGroup group, LinearGroup.Part part) {
        int row = 0;
        for (LinearGroup.Part p : group.parts()) {
            if (p.equals(part)) {
                return matrices.get(group).rows(row, row + p.rows());
            }
            row += p.rows();
        }
        throw new IllegalArgumentException(group.name() + " has no part " + part.name());
    }

    /**
     * From now on the group is this linear.
     *
     * @param linear copied
     */
    public void round(LinearGroup group, QuantizedLinear linear) {
        CodeMatrix codes = CodeMatrix.allocate(arena, linear.codes().codebook(), linear.rows(), linear.cols());
        codes.data().copyFrom(linear.codes().data());
        rounded.put(
                group,
                new QuantizedLinear(
                        codes,
                        copy(linear.su()),
                        copy(linear.sv()),
                        linear.parts(),
                        linear.inputs(),
                        linear.outputs()));
        CodedMatrix.decode(linear, matrices.get(group), workspace);
    }

    private MemorySegment copy(MemorySegment vector) {
        return arena.allocate(vector.byteSize(), 64).copyFrom(vector);
    }

    /** How many groups are rounded: the first ones. */
    public int rounded() {
        return rounded.size();
    }

    /** Writes the block as it stands: rounded linears, weights of those that are not, and norms. */
    public void write(WeightFileWriter writer) {
        for (Map.Entry<LinearGroup, FloatMatrix> entry : matrices.entrySet()) {
            LinearGroup group = entry.getKey();
            if (rounded.containsKey(group)) {
                QuantizedLinears.write(writer, group.name(), rounded.get(group));
            } else {
                writer.add(
                        group.name() + WEIGHT,
                        "weight",
                        Dtype.F32,
                        List.of((long) group.outputs(), (long) group.inputs()),
                        Optional.empty(),
                        entry.getValue().data());
            }
        }
        norms.forEach((norm, values) -> writer.add(
                norm.weight().name(),
                norm.weight().role(),
                Dtype.F16,
                norm.weight().shape(),
                Optional.empty(),
                MemorySegment.ofArray(Parameters.halves(values))));
    }

    /** Takes up what {@link #write} wrote. */
    public void read(WeightFile file) {
        for (LinearGroup group : plan.groups()) {
            if (file.find(group.name() + WEIGHT).isPresent()) {
                file.get(group.name() + WEIGHT)
                        .requireIntact()
                        .tensor()
                        .requireShape(group.outputs(), group.inputs())
                        .toFloats(matrices.get(group).data());
            } else {
                file.get(group.name() + "." + QuantizedLinears.CODES).requireIntact();
                round(group, QuantizedLinears.read(file, group.name()));
            }
        }
        norms.forEach((norm, values) -> file.get(norm.weight().name())
                .requireIntact()
                .tensor()
                .requireShape(values.cols())
                .toFloats(values.data()));
    }

    /**
     * Tunes what can move.
     *
     * @param inputs the original's hidden states before the block; all sequences of one length, of which the last {@link
     *     TuningSettings#validating} validate
     * @param targets those behind it
     * @param state a file that keeps the state after each epoch, from which a run that was killed goes on
     * @param step called after each of {@link TuningSettings#epochs} times {@link #stepsOf} steps, with a few words
     */
    public TuningReport tune(
            CalibrationActivations inputs,
            CalibrationActivations targets,
            TuningSettings settings,
            Path state,
            Consumer<String> step) {
        try (Run run = new Run(inputs, targets, settings)) {
            return run.tune(state, step);
        }
    }

    /** Steps of an epoch over so many sequences, those that validate among them. */
    public static int stepsOf(int sequences, TuningSettings settings) {
        return AdamLoop.stepsOf(sequences - TuningSettings.validating(sequences), settings);
    }

    /** What one run needs beside the block. */
    private final class Run implements AdamLoop.Work, AutoCloseable {
        private final Arena memory = Arena.ofShared();
        private final Parameters parameters = new Parameters();
        private final CalibrationActivations inputs;
        private final CalibrationActivations targets;
        private final TuningSettings settings;
        private final Map<LinearGroup, Parameter> su = new LinkedHashMap<>();
        private final Map<LinearGroup, Parameter> sv = new LinkedHashMap<>();
        private final TunableBlock block;
        private final TunableBlock.Kept kept;
        private final FloatMatrix hidden;
        private final FloatMatrix goal;
        private final int tokens;
        private final int training;
        private final int together;
        private final double[] changes;
        private Consumer<String> after;
        private int steps;

        Run(CalibrationActivations inputs, CalibrationActivations targets, TuningSettings settings) {
            this.inputs = inputs;
            this.targets = targets;
            this.settings = settings;
            tokens = inputs.longest();
            training = inputs.count() - TuningSettings.validating(inputs.count());
            together = Math.clamp(ModelTuning.ROWS / tokens, 1, settings.batch());
            try (Construction construction = new Construction(this::close)) {
                TunableBlock.Norms tunedNorms =
                        TunableBlock.Norms.of(plan, norms::get, parameters, settings.weightRate());
                Map<LinearGroup, TunableLinear> linears = new LinkedHashMap<>();
                matrices.forEach((group, matrix) -> linears.put(group, linear(group, matrix)));
                block = new TunableBlock(plan, tunedNorms, linears, original.rotary());
                int rows = together * tokens;
                int width = inputs.sequence(0).cols();
                kept = new TunableBlock.Kept(plan, rows, memory);
                hidden = FloatMatrix.allocate(memory, rows, width);
                goal = FloatMatrix.allocate(memory, rows, width);
                changes = changes();
                construction.done();
            }
        }

        private TunableLinear linear(LinearGroup group, FloatMatrix matrix) {
            FloatMatrix bias = ModelTuning.bias(original.linear(group));
            QuantizedLinear codes = rounded.get(group);
            if (codes == null) {
                double rate = settings.weightRate() * ModelTuning.rootMeanSquare(matrix);
                return TunableLinear.dense(
                        parameters.weights(group.name() + WEIGHT, matrix, rate, Stored.AS_IT_IS), bias);
            }
            su.put(group, vector(group.name() + "." + QuantizedLinears.inputRole(codes), codes.su()));
            sv.put(group, vector(group.name() + "." + QuantizedLinears.outputRole(codes), codes.sv()));
            return TunableLinear.quantized(codes.inputs(), codes.outputs(), matrix, su.get(group), sv.get(group), bias);
        }

        private Parameter vector(String name, MemorySegment halves) {
            return parameters.factors(name, CodedMatrix.floats(halves), settings.factorRate(), Stored.FLOAT16);
        }

        /**
         * How far the original block moves the hidden states, summed over training and over validating sequences: errors are given in
         * parts of it, which keeps Adam's steps clear of its epsilon and says something to who reads them.
         */
        private double[] changes() {
            double[] sums = new double[2];
            for (int s = 0; s < inputs.count(); s++) {
                FloatMatrix x = hidden.rows(0, tokens);
                x.data().copyFrom(inputs.sequence(s).data());
                sums[s < training ? 0 : 1] += SquaredLoss.apply(x, targets.sequence(s), 0, workspace);
            }
            return sums;
        }

        TuningReport tune(Path state, Consumer<String> step) {
            after = step;
            TuningReport report = new AdamLoop(parameters, this, settings, workspace.team())
                    .run(training, "block " + (plan.layer() + 1), state);
            for (; steps < settings.epochs() * AdamLoop.stepsOf(training, settings); steps++) {
                step.accept("");
            }
            su.forEach((group, p) -> store(p, rounded.get(group).su()));
            sv.forEach((group, p) -> store(p, rounded.get(group).sv()));
            norms.forEach((norm, values) -> values.data()
                    .copyFrom(parameters.get(norm.weight().name()).value().data()));
            return report;
        }

        private static void store(Parameter p, MemorySegment halves) {
            halves.copyFrom(MemorySegment.ofArray(p.halves()));
        }

        @Override
        public double train(int[] sequences) {
            return pass(sequences, true);
        }

        @Override
        public double validate() {
            return pass(IntStream.range(training, inputs.count()).toArray(), false);
        }

        @Override
        public void stepped(double loss, double validated) {
            steps++;
            after.accept(String.format(Locale.ROOT, "error %.5f, validation %.5f", loss, validated));
        }

        /** The squared error of some sequences as a part of what the block changes, with gradients where wanted. */
        private double pass(int[] chosen, boolean backward) {
            double sum = 0;
            double all = backward ? changes[0] / training : changes[1] / (inputs.count() - training);
            double change = all > 0 ? all * chosen.length : 1;
            for (int first = 0; first < chosen.length; first += together) {
                int many = Math.min(together, chosen.length - first);
                FloatMatrix h = hidden.rows(0, many * tokens);
                FloatMatrix target = goal.rows(0, many * tokens);
                for (int i = 0; i < many; i++) {
                    int s = chosen[first + i];
                    h.rows(i * tokens, (i + 1) * tokens)
                            .data()
                            .copyFrom(inputs.sequence(s).data());
                    target.rows(i * tokens, (i + 1) * tokens)
                            .data()
                            .copyFrom(targets.sequence(s).data());
                }
                TunableBlock.Kept part = kept.rows(many * tokens);
                block.forward(h, tokens, part, workspace);
                sum += SquaredLoss.apply(h, target, 1 / change, workspace);
                if (backward) {
                    block.backward(h, tokens, part, workspace);
                }
            }
            return sum / change;
        }

        @Override
        public void close() {
            parameters.close();
            memory.close();
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
