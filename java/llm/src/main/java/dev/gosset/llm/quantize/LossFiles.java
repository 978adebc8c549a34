package dev.gosset.llm.quantize;

import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.LossHessian;
import dev.gosset.llm.finetune.LossSketch;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelPlan;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Files of what the loss says about the stacks of a block, which live in a work directory until the block is finished. */
final class LossFiles {
    private static final String INPUTS = ".inputs";
    private static final String OUTPUTS = ".outputs";
    private static final String MEAN = ".mean";
    private static final String TOKENS = "tokens";
    private static final String HELD = ".held";

    private LossFiles() {}

    /** Writes a file, whole or not at all. */
    static void write(Path file, Map<LinearGroup, LossHessian> found) {
        long tokens = found.values().iterator().next().inputs().tokens();
        try (WeightFileWriter writer = WeightFileWriter.create(file, Map.of(TOKENS, Long.toString(tokens)))) {
            found.forEach((group, sides) -> {
                add(writer, group.name() + INPUTS, sides.inputs());
                add(writer, group.name() + OUTPUTS, sides.outputs());
                add(writer, group.name() + INPUTS + HELD, sides.heldInputs());
                add(writer, group.name() + OUTPUTS + HELD, sides.heldGradients());
            });
            writer.commit();
        }
    }

    private static void add(WeightFileWriter writer, String name, Hessian hessian) {
        add(writer, name, List.of(Hessian.triangle(hessian.n())), hessian.lowerTriangle());
        add(writer, name + MEAN, List.of((long) hessian.n()), hessian.mu());
    }

    private static void add(WeightFileWriter writer, String name, FloatMatrix rows) {
        add(writer, name, List.of((long) rows.rows(), (long) rows.cols()), rows.data());
    }

    private static void add(WeightFileWriter writer, String name, List<Long> shape, MemorySegment data) {
        writer.add(name, "loss", Dtype.F32, shape, Optional.empty(), data);
    }

    /**
     * Reads what is said about a stack.
     *
     * @param arena owns the file's map, of which the result is a view
     */
    static LossHessian read(Path file, LinearGroup group, Arena arena) {
        WeightFile all = WeightFile.open(file, arena);
        long tokens = Long.parseLong(all.metadata().get(TOKENS));
        return new LossHessian(
                hessian(all, group.name() + INPUTS, group.inputs(), tokens),
                hessian(all, group.name() + OUTPUTS, group.outputs(), tokens),
                rows(all, group.name() + INPUTS + HELD, group.inputs()),
                rows(all, group.name() + OUTPUTS + HELD, group.outputs()));
    }

    private static Hessian hessian(WeightFile file, String name, int n, long tokens) {
        return new Hessian(n, data(file, name), data(file, name + MEAN), tokens);
    }

    private static FloatMatrix rows(WeightFile file, String name, int cols) {
        MemorySegment data = data(file, name);
        return new FloatMatrix(data, Math.toIntExact(data.byteSize() / (4L * cols)), cols);
    }

    private static MemorySegment data(WeightFile file, String name) {
        return file.get(name).requireIntact().tensor().data();
    }

    /** About how many bytes the files of a model take. */
    static long bytes(ModelPlan plan) {
        long sum = 0;
        for (LinearGroup group : plan.groups()) {
            sum += 4 * (Hessian.triangle(group.inputs()) + Hessian.triangle(group.outputs()))
                    + 8L * LossSketch.HELD * (group.inputs() + group.outputs());
        }
        return sum;
    }
}
