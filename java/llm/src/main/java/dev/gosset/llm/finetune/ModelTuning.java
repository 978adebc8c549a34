package dev.gosset.llm.finetune;

import com.sun.management.OperatingSystemMXBean;
import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.Progress;
import dev.gosset.llm.calibration.CalibrationActivations;
import dev.gosset.llm.cpu.BiasedLinear;
import dev.gosset.llm.cpu.Linear;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.cpu.TransformerBlock;
import dev.gosset.llm.finetune.Parameters.Parameter;
import dev.gosset.llm.finetune.Parameters.Stored;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.plan.TensorPlan;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * End-to-end tuning: sign vectors, norms and head of a quantized model against the distributions of the original. Sequence by
 * sequence, block by block; what fits a quarter of the memory is kept (decoded matrices, activations of all blocks), else it is formed
 * again. Not thread-safe. Source: spec/fine-tuning.md, sections 1, 4 and 5.
 */
public final class ModelTuning implements AutoCloseable {
    /** Rows that run together. */
    static final int ROWS = 4096;

    private final Arena arena = Arena.ofShared();
    private final Parameters parameters = new Parameters();
    private final Workspace workspace;
    private final ThreadTeam team;
    private final ModelConfig config;
    private final Transformer student;
    private final List<int[]> sequences;
    private final int tokens;
    private final int training;
    private final TuningSettings settings;
    private final CalibrationActivations teacher;
    private final List<Map<LinearGroup, QuantizedLinear>> codes = new ArrayList<>();
    private final List<TunableBlock> blocks = new ArrayList<>();
    private final List<Map<LinearGroup, FloatMatrix>> matrices = new ArrayList<>();
    private final List<TunableBlock.Kept> kept = new ArrayList<>();
    private final FloatMatrix[] inputs;
    private final FloatMatrix hidden;
    private final FloatMatrix targets;
    private final int together;
    private final boolean decodedOnce;
    private final boolean allKept;
    private final TeacherLoss loss;
    /** Whose matrices are decoded, where there is room for one block's. */
    private int decodedLayer = -1;

    /**
     * Runs the teacher over the sequences.
     *
     * @param student a quantized model, open as long as this
     * @param teacher the original, of the same shape; not needed afterwards
     * @param sequences all of one length; the last {@link TuningSettings#validating} validate
     * @param directory where activations go that do not fit into memory
     */
    public ModelTuning(
            Model student,
            Model teacher,
            List<int[]> sequences,
            TuningSettings settings,
            Path directory,
            ThreadTeam team,
            Progress progress) {
        this(student, teacher, sequences, settings, directory, team, progress, memory() / 4);
    }

    /**
     * Looks for parts of a model that fine-tuning does not know.
     *
     * @throws dev.gosset.core.UnsupportedModelException where there is one, with its name
     */
    public static void requireKnown(ModelPlan plan) {
        TunableBlock.requireKnown(plan);
    }

    private static long memory() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getTotalMemorySize();
    }

    ModelTuning(
            Model student,
            Model teacher,
            List<int[]> sequences,
            TuningSettings settings,
            Path directory,
            ThreadTeam team,
            Progress progress,
            long budget) {
        requireKnown(student.plan());
        this.team = team;
        this.workspace = new Workspace(team);
        this.student = student.transformer();
        this.config = student.config();
        this.sequences = List.copyOf(sequences);
        this.settings = settings;
        this.tokens = sequences.getFirst().length;
        this.training = sequences.size() - TuningSettings.validating(sequences.size());
        this.together = Math.clamp(ROWS / tokens, 1, settings.batch());
        int rows = together * tokens;
        try (Construction construction = new Construction(this::close)) {
            long weights = 0;
            long activations = 0;
            for (BlockPlan plan : student.plan().blocks()) {
                activations += TunableBlock.Kept.bytesPerRow(plan) * rows;
                for (LinearGroup group : plan.groups()) {
                    weights += 4L * group.outputs() * group.inputs();
                }
            }
            decodedOnce = weights <= budget;
            allKept = activations <= budget;
            for (int layer = 0; layer < config.layers(); layer++) {
                addBlock(student, layer);
                if (allKept || layer == 0) {
                    kept.add(new TunableBlock.Kept(student.plan().block(layer), rows, arena));
                }
            }
            inputs = new FloatMatrix[allKept ? 0 : config.layers()];
            for (int layer = 0; layer < inputs.length; layer++) {
                inputs[layer] = FloatMatrix.allocate(arena, rows, config.hiddenSize());
            }
            hidden = FloatMatrix.allocate(arena, rows, config.hiddenSize());
            targets = FloatMatrix.allocate(arena, rows, config.hiddenSize());
            FloatMatrix teacherHead = head(teacher);
            Parameter norm = parameters.factors(
                    student.plan().finalNorm().weight().name(),
                    student.transformer().finalNorm().toArray(),
                    settings.weightRate(),
                    Stored.FLOAT16);
            FloatMatrix ownHead = head(student);
            Parameter head = parameters.weights(
                    headOf(student).name(),
                    ownHead,
                    config.tiedEmbeddings() ? 0 : settings.weightRate() * rootMeanSquare(ownHead),
                    Stored.FLOAT16);
            loss = new TeacherLoss(norm, config.normEpsilon(), head, teacherHead);
            this.teacher = new CalibrationActivations(teacher.transformer(), sequences, directory);
            runTeacher(teacher.transformer(), progress);
            construction.done();
        }
    }

    private void runTeacher(Transformer original, Progress progress) {
        progress.start("running the original", (long) config.layers() * sequences.size());
        for (TransformerBlock block : original.blocks()) {
            teacher.advance(block, Map.of(), workspace, () -> progress.step(""));
        }
        for (int s = 0; s < sequences.size(); s++) {
            FloatMatrix states = teacher.sequence(s);
            Rows.normalize(states, original.finalNorm(), config.normEpsilon(), states, workspace);
        }
        progress.end();
    }

    private FloatMatrix head(Model model) {
        return model.weights().tensor(headOf(model)).toFloatMatrix(arena);
    }

    /** The head, which may be the embedding. */
    private static TensorPlan headOf(Model model) {
        return model.plan().head().orElse(model.plan().embedding());
    }

    static double rootMeanSquare(FloatMatrix m) {
        double sum = 0;
        for (int i = 0; i < m.rows(); i++) {
            for (int j = 0; j < m.cols(); j++) {
                sum += (double) m.get(i, j) * m.get(i, j);
            }
        }
        return Math.sqrt(sum / ((double) m.rows() * m.cols()));
    }

    private void addBlock(Model model, int layer) {
        TransformerBlock block = student.block(layer);
        Map<LinearGroup, QuantizedLinear> stored = new LinkedHashMap<>();
        Map<LinearGroup, FloatMatrix> decoded = new LinkedHashMap<>();
        Map<LinearGroup, TunableLinear> linears = new LinkedHashMap<>();
        for (LinearGroup group : block.plan().groups()) {
            QuantizedLinear linear = model.weights()
                    .quantizedLinear(group)
                    .orElseThrow(() -> new FormatException(
                            model.weights().path() + ": linear " + group.name() + " is not quantized, expected codes"));
            FloatMatrix matrix = decodedOnce || layer == 0
                    ? FloatMatrix.allocate(arena, linear.rows(), linear.cols())
                    // The first block's, which all others use in turn.
                    : matrices.getFirst().values().stream()
                            .skip(decoded.size())
                            .findFirst()
                            .orElseThrow();
            if (decodedOnce) {
                CodedMatrix.decode(linear, matrix, workspace);
            }
            stored.put(group, linear);
            decoded.put(group, matrix);
            linears.put(
                    group,
                    TunableLinear.quantized(
                            linear.inputs(),
                            linear.outputs(),
                            matrix,
                            vector(group.name() + "." + QuantizedLinears.inputRole(linear), linear.su()),
                            vector(group.name() + "." + QuantizedLinears.outputRole(linear), linear.sv()),
                            bias(block.linear(group))));
        }
        codes.add(stored);
        matrices.add(decoded);
        blocks.add(new TunableBlock(
                block.plan(),
                TunableBlock.Norms.of(block.plan(), block::weight, parameters, settings.weightRate()),
                linears,
                block.rotary()));
    }

    private Parameter vector(String name, MemorySegment halves) {
        return parameters.factors(name, CodedMatrix.floats(halves), settings.factorRate(), Stored.FLOAT16);
    }

    static FloatMatrix bias(Linear linear) {
        return linear instanceof BiasedLinear biased ? biased.bias() : null;
    }

    /**
     * Tunes the model.
     *
     * @param state a file that keeps the state after each epoch, from which a run that was killed goes on; null for none
     */
    public TuningReport run(Path state, Progress progress) {
        progress.start("fine-tuning", (long) settings.epochs() * AdamLoop.stepsOf(training, settings));
        AdamLoop.Work work = new AdamLoop.Work() {
            @Override
            public double train(int[] chosen) {
                return pass(chosen, true);
            }

            @Override
            public double validate() {
                return pass(IntStream.range(training, sequences.size()).toArray(), false);
            }

            @Override
            public void stepped(double loss, double validated) {
                progress.step(String.format(Locale.ROOT, "loss %.5f, validation %.5f", loss, validated));
            }
        };
        TuningReport report = new AdamLoop(parameters, work, settings, team).run(training, "the model", state);
        progress.end();
        return report;
    }

    /** The mean divergence of some sequences, with gradients where wanted. */
    private double pass(int[] chosen, boolean backward) {
        double sum = 0;
        double count = (double) chosen.length * (tokens - 1);
        for (int first = 0; first < chosen.length; first += together) {
            int many = Math.min(together, chosen.length - first);
            int rows = many * tokens;
            FloatMatrix h = hidden.rows(0, rows);
            FloatMatrix goal = targets.rows(0, rows);
            for (int i = 0; i < many; i++) {
                int s = chosen[first + i];
                student.embed(sequences.get(s), h.rows(i * tokens, (i + 1) * tokens));
                goal.rows(i * tokens, (i + 1) * tokens)
                        .data()
                        .copyFrom(teacher.sequence(s).data());
            }
            for (int layer = 0; layer < blocks.size(); layer++) {
                decode(layer);
                if (!allKept) {
                    inputs[layer].rows(0, rows).data().copyFrom(h.data());
                }
                blocks.get(layer).forward(h, tokens, kept(layer).rows(rows), workspace);
            }
            sum += loss.apply(h, goal, tokens, 1 / count, backward, workspace);
            for (int layer = blocks.size() - 1; backward && layer >= 0; layer--) {
                decode(layer);
                if (!allKept && layer != blocks.size() - 1) {
                    try (Workspace.Frame frame = workspace.frame()) {
                        FloatMatrix again = frame.matrix(rows, h.cols());
                        again.data().copyFrom(inputs[layer].rows(0, rows).data());
                        blocks.get(layer).forward(again, tokens, kept(layer).rows(rows), workspace);
                    }
                }
                blocks.get(layer).backward(h, tokens, kept(layer).rows(rows), workspace);
            }
        }
        return sum / count;
    }

    private TunableBlock.Kept kept(int layer) {
        return kept.get(allKept ? layer : 0);
    }

    private void decode(int layer) {
        if (!decodedOnce && decodedLayer != layer) {
            decodedLayer = layer;
            matrices.get(layer)
                    .forEach((group, matrix) ->
                            CodedMatrix.decode(codes.get(layer).get(group), matrix, workspace));
        }
    }

    /** What was tuned, in float16, by the name that it has in the weight file. */
    public Map<String, byte[]> tuned() {
        Map<String, byte[]> out = new LinkedHashMap<>();
        for (Parameter p : parameters.all()) {
            if (p.isTuned()) {
                out.put(p.name(), p.halves());
            }
        }
        return out;
    }

    @Override
    public void close() {
        if (teacher != null) {
            teacher.close();
        }
        parameters.close();
        workspace.close();
        arena.close();
    }
}
