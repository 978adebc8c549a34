package dev.gosset.llm.quantize;

import com.fasterxml.jackson.core.JsonProcessingException;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.finetune.BlockTuning;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.quantize.QuantizationReport.BlockReport;
import dev.gosset.llm.quantize.QuantizationReport.LinearReport;
import dev.gosset.llm.quantize.QuantizationReport.TunedReport;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Consumer;

/**
 * Blocks that are quantized linear by linear, each followed by a run of tuning, after which the block is set aside. A run that was
 * killed goes on after the last finished epoch. Not thread-safe.
 */
final class TunedBlocks {
    private final Model model;
    private final TuningSettings settings;
    private final int sequences;
    private final WorkDirectory work;

    /** Rounds a group of linears. */
    @FunctionalInterface
    interface Rounding {
        /**
         * @param weights of a part as they stand; the arena is theirs
         */
        GroupResult apply(int layer, LinearGroup group, BiFunction<LinearGroup.Part, Arena, FloatMatrix> weights);
    }

    /**
     * @param model the original
     * @param sequences that tune and validate
     */
    TunedBlocks(Model model, TuningSettings settings, int sequences, WorkDirectory work) {
        this.model = model;
        this.settings = settings;
        this.sequences = sequences;
        this.work = work;
    }

    /** How often {@link #quantize} reports a step, besides {@code units} times for the rounding. */
    int steps(BlockPlan block) {
        return block.groups().size() * stepsOfRun();
    }

    private int stepsOfRun() {
        return settings.epochs() * BlockTuning.stepsOf(sequences, settings);
    }

    /**
     * Quantizes one.
     *
     * @param units steps that are reported of the rounding of all linears
     * @param step is told each step, with a few words
     */
    void quantize(
            int layer,
            TuningActivations activations,
            Rounding rounding,
            Workspace workspace,
            int units,
            Consumer<String> step) {
        List<LinearReport> reports = new ArrayList<>();
        List<TunedReport> runs = new ArrayList<>();
        List<LinearGroup> groups = model.plan().block(layer).groups();
        try (BlockTuning block = new BlockTuning(model, layer, workspace)) {
            readPart(layer, block, reports, runs);
            steps(units * block.rounded() / groups.size() + block.rounded() * stepsOfRun(), step);
            for (int i = block.rounded(); i < groups.size(); i++) {
                LinearGroup group = groups.get(i);
                try (GroupResult result = rounding.apply(layer, group, (part, arena) -> block.weights(group, part))) {
                    block.round(group, result.linear());
                    reports.add(result.report());
                }
                steps(units * (i + 1) / groups.size() - units * i / groups.size(), step);
                runs.add(new TunedReport(
                        group.name(),
                        block.tune(
                                activations.inputs(),
                                activations.targets(),
                                settings.withSeed(31 * (31 * settings.seed() + layer) + i),
                                work.tuningState(layer, i + 1),
                                step)));
                if (i < groups.size() - 1) {
                    write(
                            work.partFile(layer),
                            block,
                            Map.of(
                                    QuantizationPipeline.REPORT,
                                    new String(
                                            QuantizationReport.bytes(new BlockReport(reports, runs)),
                                            StandardCharsets.UTF_8)));
                }
            }
            CrashSafeFile.write(work.blockReport(layer), QuantizationReport.bytes(new BlockReport(reports, runs)));
            write(work.blockFile(layer), block, Map.of());
        }
        work.removeParts(layer);
    }

    private static void steps(int count, Consumer<String> step) {
        for (int i = 0; i < count; i++) {
            step.accept("");
        }
    }

    private static void write(Path file, BlockTuning block, Map<String, String> metadata) {
        try (WeightFileWriter writer = WeightFileWriter.create(file, metadata)) {
            block.write(writer);
            writer.commit();
        }
    }

    /** Takes up what was set aside of a block, where a run was killed in it. */
    private void readPart(int layer, BlockTuning block, List<LinearReport> reports, List<TunedReport> runs) {
        Path file = work.partFile(layer);
        if (!Files.exists(file)) {
            return;
        }
        try (Arena arena = Arena.ofShared()) {
            WeightFile part = WeightFile.open(file, arena);
            BlockReport report = QuantizationReport.JSON.readValue(
                    part.metadata().getOrDefault(QuantizationPipeline.REPORT, ""), BlockReport.class);
            block.read(part);
            reports.addAll(report.linears());
            runs.addAll(report.tuning());
        } catch (JsonProcessingException e) {
            throw new FormatException(file + ": is damaged: " + e.getOriginalMessage(), e);
        }
    }
}
