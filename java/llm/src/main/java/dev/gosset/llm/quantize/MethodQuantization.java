package dev.gosset.llm.quantize;

import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.methods.MethodSettings;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.llm.Progress;
import dev.gosset.llm.calibration.CalibrationActivations;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.calibration.HessianFiles;
import dev.gosset.llm.io.SafetensorsWriter;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.quantize.QuantizationReport.LinearReport;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A whole model by a method of QuIP. The result is a model in the layout of the original, its rounded linears as float32 matrices, for
 * no kernel multiplies with such codes; what the codes would take stands in its report. It appears whole or not at all.
 */
public final class MethodQuantization {
    private MethodQuantization() {}

    /**
     * Quantizes.
     *
     * @param model directory of the original model
     * @param tokenizer a directory with tokenizer.json
     * @param out absent or an empty directory
     * @param text that makes the Hessians; null where they are given
     * @param hessians a directory of Hessians; null where there is a text
     */
    public static QuantizationReport run(
            Path model,
            Path tokenizer,
            Path out,
            Map<String, Object> names,
            MethodSettings settings,
            long seed,
            CalibrationText text,
            Path hessians,
            ThreadTeam team,
            Progress progress) {
        long started = System.nanoTime();
        StagedDirectory.requireFree(out);
        try (SourceModel source = SourceModel.open(model, team)) {
            CopiedFiles files = CopiedFiles.read(model, tokenizer);
            List<int[]> sequences = source.sequences(text, tokenizer, out, team, progress);
            source.check(team, progress);
            MethodRounding rounding = new MethodRounding(settings, seed, team);
            List<LinearReport> reports = new ArrayList<>();
            try (StagedDirectory staged = StagedDirectory.create(out)) {
                int layers = source.config().layers();
                try (SafetensorsWriter writer = SafetensorsWriter.create(
                                staged.path().resolve("model.safetensors"),
                                declarations(source),
                                Map.of("format", "pt"));
                        Workspace workspace = new Workspace(team);
                        CalibrationActivations activations = sequences.isEmpty()
                                ? null
                                : new CalibrationActivations(source.model().transformer(), sequences, staged.path())) {
                    for (SourceModel.Kept kept : source.kept()) {
                        writer.write(kept.tensor().name(), kept.tensor().data());
                    }
                    progress.start("quantizing", (long) layers * (sequences.size() + 1));
                    for (BlockPlan block : source.plan().blocks()) {
                        String detail = "block " + (block.layer() + 1) + " of " + layers;
                        try (GroupSums sums = activations == null
                                ? new GroupSums()
                                : new GroupSums(block, (index, n) -> CpuQuantizer.sums(n))) {
                            if (activations != null) {
                                activations.advance(
                                        source.model().transformer().block(block.layer()),
                                        sums.all(),
                                        workspace,
                                        () -> progress.step(detail));
                            }
                            for (LinearGroup group : block.groups()) {
                                round(source, group, sums, hessians, rounding, writer, reports);
                            }
                        }
                        progress.step(detail);
                    }
                    progress.end();
                    writer.commit();
                }
                files.write(staged.path());
                CrashSafeFile.write(
                        staged.path().resolve("config.json"),
                        files.config().toPrettyString().getBytes(StandardCharsets.UTF_8));
                Map<String, Object> all = new LinkedHashMap<>(names);
                all.put("seed", seed);
                QuantizationReport report = report(all, rounding, reports, bytes(staged.path()), started);
                CrashSafeFile.write(staged.path().resolve(QuantizationPipeline.REPORT), report.toJson());
                staged.commit();
                return report;
            } catch (IOException e) {
                throw new GossetException(out + ": cannot be written: " + CrashSafeFile.reason(e), e);
            }
        }
    }

    private static long bytes(Path directory) throws IOException {
        return Files.size(directory.resolve("model.safetensors"));
    }

    private static List<SafetensorsWriter.Declaration> declarations(SourceModel source) {
        Map<String, SafetensorsWriter.Declaration> all = new LinkedHashMap<>();
        for (SourceModel.Kept kept : source.kept()) {
            Tensor t = kept.tensor();
            all.put(t.name(), new SafetensorsWriter.Declaration(t.name(), t.dtype(), t.shape()));
        }
        for (LinearGroup group : source.plan().groups()) {
            for (LinearGroup.Part part : group.parts()) {
                all.put(
                        part.weight(),
                        new SafetensorsWriter.Declaration(
                                part.weight(), Dtype.F32, List.of((long) part.allRows(), (long) group.inputs())));
            }
        }
        return List.copyOf(all.values());
    }

    /** The parts of a group in the order of their rows, which is that in which one tensor that holds several is written. */
    private static void round(
            SourceModel source,
            LinearGroup group,
            GroupSums sums,
            Path given,
            MethodRounding rounding,
            SafetensorsWriter writer,
            List<LinearReport> reports) {
        try (Arena arena = Arena.ofShared()) {
            Hessian hessian =
                    given == null ? sums.hessian(group, false, arena) : new HessianFiles(given).read(group, arena);
            List<LinearGroup.Part> ordered = group.parts().stream()
                    .sorted(Comparator.comparingInt(LinearGroup.Part::firstRow))
                    .toList();
            for (LinearGroup.Part part : ordered) {
                long started = System.nanoTime();
                try (Arena one = Arena.ofShared()) {
                    double[] errors = new double[2];
                    Tensor rounded = rounding.round(
                            part,
                            source.weight(group, part),
                            hessian,
                            (p, r) -> {
                                errors[0] = r.proxyError();
                                errors[1] = r.frobeniusError();
                            },
                            one);
                    writer.write(part.weight(), rounded.data());
                    reports.add(new LinearReport(
                            part.name(),
                            part.rows(),
                            group.inputs(),
                            (int) rounding.settings().grid().rate() + " bits",
                            errors[0],
                            errors[1],
                            true,
                            hessian.tokens(),
                            group.reach() != LinearGroup.Reach.EVERY_TOKEN && hessian.tokens() < group.inputs(),
                            null,
                            (System.nanoTime() - started) / 1e9));
                }
            }
        }
    }

    private static QuantizationReport report(
            Map<String, Object> settings,
            MethodRounding rounding,
            List<LinearReport> linears,
            long bytes,
            long started) {
        long weights = 0;
        double bits = 0;
        for (LinearReport l : linears) {
            long count = (long) l.rows() * l.cols();
            weights += count;
            bits += count * rounding.bitsPerWeight(l.rows(), l.cols());
        }
        return new QuantizationReport(
                settings,
                linears,
                weights,
                bits / weights,
                linears.stream().mapToDouble(LinearReport::proxyError).average().orElse(0),
                linears.stream()
                        .mapToDouble(LinearReport::frobeniusError)
                        .average()
                        .orElse(0),
                bytes,
                (System.nanoTime() - started) / 1e9,
                List.of(),
                List.of());
    }
}
