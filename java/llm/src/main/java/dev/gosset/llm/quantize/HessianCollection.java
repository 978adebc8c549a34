package dev.gosset.llm.quantize;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.Progress;
import dev.gosset.llm.calibration.CalibrationActivations;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.calibration.HessianFiles;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The Hessians of a whole model, written as {@link HessianFiles}. The directory appears only when all are there.
 *
 * @param files how many were written
 * @param tokens how many tokens each has seen
 * @param seconds wall time
 */
public record HessianCollection(int files, long tokens, double seconds) {
    /**
     * Collects.
     *
     * @param model directory of the original model
     * @param out absent or an empty directory
     * @throws dev.gosset.core.FormatException where the input holds something it must not; nothing is left behind then
     */
    public static HessianCollection run(
            Path model, CalibrationText text, Path out, ThreadTeam team, Progress progress) {
        return run(model, model, text, out, team, progress);
    }

    /**
     * Collects with the tokenizer of another directory.
     *
     * @param tokenizer a directory with tokenizer.json
     */
    public static HessianCollection run(
            Path model, Path tokenizer, CalibrationText text, Path out, ThreadTeam team, Progress progress) {
        long started = System.nanoTime();
        StagedDirectory.requireFree(out);
        try (SourceModel source = SourceModel.open(model, team)) {
            List<int[]> sequences = source.sequences(text, tokenizer, out, team, progress);
            source.check(team, progress);
            int layers = source.config().layers();
            try (StagedDirectory staged = StagedDirectory.create(out);
                    Workspace workspace = new Workspace(team);
                    CalibrationActivations activations =
                            new CalibrationActivations(source.model().transformer(), sequences, staged.path())) {
                progress.start("collecting Hessians", (long) layers * sequences.size());
                HessianFiles files = new HessianFiles(staged.path());
                Set<String> written = new HashSet<>();
                for (BlockPlan block : source.plan().blocks()) {
                    String detail = "block " + (block.layer() + 1) + " of " + layers;
                    try (GroupSums sums = new GroupSums(block, (index, n) -> CpuQuantizer.sums(n))) {
                        activations.advance(
                                source.model().transformer().block(block.layer()),
                                sums.all(),
                                workspace,
                                () -> progress.step(detail));
                        for (LinearGroup group : block.groups()) {
                            if (written.add(group.hessian())) {
                                try (Arena arena = Arena.ofShared()) {
                                    files.write(group, sums.hessian(group, true, arena));
                                }
                            }
                        }
                    }
                }
                progress.end();
                staged.commit();
            }
            return new HessianCollection(
                    (int) source.plan().groups().stream()
                            .map(LinearGroup::hessian)
                            .distinct()
                            .count(),
                    sequences.stream().mapToLong(s -> s.length).sum(),
                    (System.nanoTime() - started) / 1e9);
        }
    }
}
