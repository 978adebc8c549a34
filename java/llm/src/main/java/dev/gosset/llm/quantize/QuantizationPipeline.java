package dev.gosset.llm.quantize;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.LossHessian;
import dev.gosset.llm.Progress;
import dev.gosset.llm.calibration.CalibrationActivations;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.calibration.HessianFiles;
import dev.gosset.llm.device.DeviceQuantizer;
import dev.gosset.llm.device.DeviceQuantizer.CalibrationBlock;
import dev.gosset.llm.finetune.BlockTuning;
import dev.gosset.llm.finetune.LossSketch;
import dev.gosset.llm.finetune.ModelTuning;
import dev.gosset.llm.finetune.TuningReport;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.plan.NormPlan;
import dev.gosset.llm.quantize.QuantizationReport.BlockReport;
import dev.gosset.llm.quantize.QuantizationReport.LinearReport;
import dev.gosset.llm.quantize.QuantizationReport.TunedReport;
import dev.gosset.llm.weights.GossetWeights;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.BiFunction;

/**
 * The whole way from an original model to a quantized one, block by block: activations of the unquantized model, a Hessian
 * for every group of linears, LDLQ, and the weight file. Never more than one block and its Hessians are in memory at once.
 *
 * <p>The same model, settings and seed give the same bytes, whatever the number of threads and however often a run was
 * killed and resumed. Source: spec/quip-sharp.md, sections 2 and 3.
 */
public final class QuantizationPipeline {
    /** The report that lies beside the weight file. */
    public static final String REPORT = "quantization.json";

    private static final ObjectMapper JSON = QuantizationReport.JSON;

    private final SourceModel source;
    private final CopiedFiles files;
    private final RunRecord record;
    private final QuantizationSettings settings;
    private final List<int[]> sequences;
    private final List<int[]> judging;
    private final List<int[]> tuning;
    private final WorkDirectory work;
    private final List<DeviceQuantizer> quantizers;
    private final ThreadTeam team;
    private final Progress progress;

    private QuantizationPipeline(
            SourceModel source,
            CopiedFiles files,
            RunRecord record,
            QuantizationSettings settings,
            List<int[]> sequences,
            List<int[]> judging,
            List<int[]> tuning,
            WorkDirectory work,
            List<DeviceQuantizer> quantizers,
            ThreadTeam team,
            Progress progress) {
        this.source = source;
        this.files = files;
        this.record = record;
        this.settings = settings;
        this.sequences = sequences;
        this.judging = judging;
        this.tuning = tuning;
        this.work = work;
        this.quantizers = quantizers;
        this.team = team;
        this.progress = progress;
    }

    /**
     * Quantizes a model.
     *
     * @param model directory of the original model
     * @param out directory of the result: absent or empty before, whole after
     * @param resume goes on from the finished blocks of an unfinished run of the same inputs, settings and kernels; where
     *     that run came to its end, or none was begun, that is no error
     * @throws FormatException where the input holds something it must not; nothing is left behind then
     */
    public static QuantizationReport run(
            Path model, Path out, QuantizationSettings settings, boolean resume, ThreadTeam team, Progress progress) {
        return run(model, model, out, settings, QuantizationDevices.CPU, resume, team, progress);
    }

    /**
     * Quantizes a model with the tokenizer of another directory, which the result gets too, and on devices; else as {@link
     * #run(Path, Path, QuantizationSettings, boolean, ThreadTeam, Progress)}.
     *
     * @param tokenizer a directory with tokenizer.json
     * @param devices where; a run that was begun on one kind of device is resumed on the same kind
     * @throws dev.gosset.core.DeviceException where a device is missing or its memory is too small
     */
    public static QuantizationReport run(
            Path model,
            Path tokenizer,
            Path out,
            QuantizationSettings settings,
            QuantizationDevices devices,
            boolean resume,
            ThreadTeam team,
            Progress progress) {
        long started = System.nanoTime();
        boolean maybeFinished = resume && Files.exists(out.resolve(REPORT));
        if (!maybeFinished) {
            StagedDirectory.requireFree(out);
        }
        try (QuantizationDevices.Opened opened = devices.open(settings.rounding(), team);
                SourceModel source = SourceModel.open(model, team)) {
            CopiedFiles files = CopiedFiles.read(model, tokenizer);
            for (LinearGroup group : source.plan().groups()) {
                settings.rounding()
                        .transform()
                        .require(
                                group.name(),
                                group.parts().stream()
                                        .map(LinearGroup.Part::rows)
                                        .toList(),
                                group.inputs());
            }
            if (settings.finetuning() != null) {
                Kernels.requireVectorApi("fine-tuning");
                BlockTuning.requireKnown(source.plan());
            }
            if (settings.twoSided()) {
                Kernels.requireVectorApi("the gradient of two-sided Hessians");
                LossSketch.requireKnown(source.plan());
            }
            CalibrationText text = calibration(settings, source.config());
            List<int[]> all = source.sequences(text, tokenizer, out, team, progress);
            List<int[]> tuning = tuning(settings, source, all, tokenizer, out, team, progress);
            List<int[]> sequences =
                    Objects.equals(text, settings.calibration()) ? all : all.subList(0, all.size() - tuning.size());
            Map<String, String> hessians =
                    settings.hessians() == null ? Map.of() : checkHessians(source.plan(), settings.hessians());
            String checksum = source.check(team, progress);
            RunRecord record = RunRecord.of(
                    settings, source.config(), checksum, files, sequences, tuning, hessians, devices.first());
            int judges = settings.twoSided() ? judges(sequences.size()) : 0;
            if (maybeFinished) {
                QuantizationReport report = finished(out, record);
                WorkDirectory.removeLeftOver(out);
                return report;
            }
            try (WorkDirectory work = WorkDirectory.open(out, record, resume)) {
                QuantizationReport report;
                try {
                    QuantizationPipeline pipeline = new QuantizationPipeline(
                            source,
                            files,
                            record,
                            settings,
                            sequences.subList(0, sequences.size() - judges),
                            sequences.subList(sequences.size() - judges, sequences.size()),
                            tuning,
                            work,
                            opened.quantizers(),
                            team,
                            progress);
                    pipeline.requireSpace();
                    pipeline.quantizeBlocks();
                    report = pipeline.finish(opened, started);
                    work.publish();
                } catch (GossetException e) {
                    throw pickUp(work, source.config().layers(), e);
                } catch (Throwable e) {
                    discardIfNothingIsDone(work, e);
                    throw e;
                }
                try {
                    work.discard();
                } catch (GossetException e) {
                    throw new GossetException(out + ": is whole, but " + e.getMessage(), e);
                }
                return report;
            }
        }
    }

    /** How many of the calibration sequences, the last, judge whether two-sided Hessians are better. */
    private static int judges(int sequences) {
        if (sequences < 2) {
            throw new FormatException("two-sided Hessians need at least 2 calibration sequences, one of them to judge,"
                    + " found " + sequences);
        }
        return Math.max(1, sequences / 16);
    }

    /** The text that calibrates, with the sequences behind it where those tune. */
    private static CalibrationText calibration(QuantizationSettings settings, ModelConfig config) {
        Finetuning finetuning = settings.finetuning();
        return finetuning == null || finetuning.text() != null
                ? settings.calibration()
                : settings.calibration().andMore(finetuning.sequences(), config);
    }

    /** The sequences that tune; none without fine-tuning. */
    private static List<int[]> tuning(
            QuantizationSettings settings,
            SourceModel source,
            List<int[]> all,
            Path tokenizer,
            Path out,
            ThreadTeam team,
            Progress progress) {
        Finetuning finetuning = settings.finetuning();
        if (finetuning == null) {
            return List.of();
        }
        if (finetuning.text() == null) {
            return all.subList(all.size() - finetuning.sequences(), all.size());
        }
        List<int[]> tuning = source.sequences(finetuning.text(), tokenizer, out, team, progress);
        if (tuning.size() < 2) {
            throw new FormatException(finetuning.text().files().getFirst() + ": fine-tuning needs at least 2 sequences,"
                    + " one to tune on and one to validate, found " + tuning.size());
        }
        return tuning;
    }

    /** What is to be done with the work of a run that failed, and what is to be said: nothing finished, nothing kept. */
    private static GossetException pickUp(WorkDirectory work, int layers, GossetException e) {
        return discardIfNothingIsDone(work, e)
                ? e
                : new GossetException(
                        e.getMessage() + "; " + work.blocksDone(layers) + " of " + layers
                                + " finished blocks are kept in " + work.path() + ": resume the run, or delete them",
                        e);
    }

    private static boolean discardIfNothingIsDone(WorkDirectory work, Throwable failure) {
        if (work.isBegun()) {
            return false;
        }
        try {
            work.discard();
        } catch (GossetException e) {
            failure.addSuppressed(e);
        }
        return true;
    }

    /** The checksums of the Hessians that a model needs, by file; fails where one is missing or wrong. */
    private static Map<String, String> checkHessians(ModelPlan plan, Path directory) {
        HessianFiles files = new HessianFiles(directory);
        Map<String, String> sums = new LinkedHashMap<>();
        for (LinearGroup group : plan.groups()) {
            try (Arena arena = Arena.ofConfined()) {
                Hessian hessian = files.read(group, arena);
                sums.put(files.file(group).getFileName().toString(), RunRecord.checksum(hessian));
            }
        }
        return sums;
    }

    /** The report of a result that is there already and was made of the same. */
    private static QuantizationReport finished(Path out, RunRecord record) {
        JsonNode found = Json.readObject(out.resolve(REPORT));
        record.inputDifferenceTo(found.path("settings")).ifPresent(difference -> {
            throw new FormatException(out + ": the finished model here was made with " + difference
                    + "; name another output, or delete it");
        });
        try {
            return JSON.treeToValue(found, QuantizationReport.class);
        } catch (JsonProcessingException e) {
            throw new FormatException(
                    out.resolve(REPORT) + ": is not the report of a quantization: " + e.getOriginalMessage(), e);
        }
    }

    /** Fails now rather than after hours: the finished blocks and the whole file lie on the disk together at the end. */
    private void requireSpace() {
        long others = 0;
        for (SourceModel.Kept kept : source.kept()) {
            others += kept.tensor().data().byteSize();
        }
        QuantizationForecast forecast =
                QuantizationForecast.of(source.config(), settings.rounding().codebook(), others);
        long linears = forecast.linears();
        long needed = forecast.workBytes() + (settings.twoSided() ? LossFiles.bytes(source.plan()) : 0);
        Finetuning finetuning = settings.finetuning();
        if (finetuning != null) {
            // The weights of a block, what Adam keeps of them, and the last state while the next is written.
            long block = source.plan().block(0).groups().stream()
                    .mapToLong(g -> 4L * g.outputs() * g.inputs())
                    .sum();
            needed += 9 * block + (finetuning.model() == null ? 0 : linears + 9 * others);
        }
        try {
            long free = Files.getFileStore(work.path()).getUsableSpace();
            if (free < needed) {
                throw new GossetException(work.path() + ": the disk has " + free
                        + " bytes free, the quantized model and" + " its work files need up to " + needed);
            }
        } catch (IOException e) {
            throw new GossetException(
                    work.path() + ": cannot tell the free space of the disk: " + CrashSafeFile.reason(e), e);
        }
    }

    private void quantizeBlocks() {
        int layers = source.config().layers();
        int last = layers - 1;
        while (last >= 0 && work.blockDone(last)) {
            last--;
        }
        int units = Math.max(1, sequences.size());
        if (settings.twoSided()) {
            sketch();
        }
        progress.start("quantizing", (long) layers * (2 * units + tuningSteps()));
        try (Workspace workspace = new Workspace(team);
                CalibrationActivations activations = sequences.isEmpty()
                        ? null
                        : new CalibrationActivations(source.model().transformer(), sequences, work.path());
                TuningActivations tuned =
                        tuning.isEmpty() ? null : new TuningActivations(source.model(), tuning, work.path())) {
            for (int layer = 0; layer < layers; layer++) {
                boolean done = work.blockDone(layer);
                String detail = "block " + (layer + 1) + " of " + layers;
                boolean advances = activations != null && layer <= last;
                try (CalibrationBlock block = advances ? onDevice(layer, activations.longest()) : null;
                        GroupSums sums = advances && !done ? emptySums(layer, block != null) : new GroupSums()) {
                    if (block != null) {
                        activations.advance(block, sums.all(), () -> progress.step(detail));
                        // Its memory is what rounding needs.
                        block.close();
                    } else if (advances) {
                        activations.advance(
                                source.model().transformer().block(layer),
                                sums.all(),
                                workspace,
                                () -> progress.step(detail));
                    } else {
                        steps(units, detail);
                    }
                    if (tuned != null && layer <= last) {
                        tuned.advance(layer, workspace, () -> progress.step(detail));
                    } else {
                        steps(tuning.size(), detail);
                    }
                    if (done) {
                        steps(units + tuningSteps() - tuning.size(), detail);
                    } else if (tuned != null) {
                        tunedBlocks()
                                .quantize(
                                        layer,
                                        tuned,
                                        (at, group, weights) ->
                                                quantizeGroup(at, group, sums, quantizers.getFirst(), weights),
                                        workspace,
                                        units,
                                        loss -> progress.step(detail + (loss.isEmpty() ? "" : ", " + loss)));
                    } else {
                        quantizeBlock(layer, sums, units, detail);
                    }
                }
            }
        }
        progress.end();
    }

    /** What the loss says about every block that is not done, in files of the work directory. */
    private void sketch() {
        int layers = source.config().layers();
        boolean all = true;
        for (int layer = 0; layer < layers; layer++) {
            all &= work.blockDone(layer) || Files.exists(work.lossFile(layer));
        }
        if (all) {
            return;
        }
        List<int[]> both = new ArrayList<>(sequences);
        both.addAll(judging);
        progress.start("gradients of the loss", LossSketch.steps(layers, both.size()));
        try (Workspace workspace = new Workspace(team)) {
            LossSketch.run(
                    source.model(),
                    both,
                    sequences.size(),
                    work.path(),
                    workspace,
                    (layer, found) -> LossFiles.write(work.lossFile(layer), found),
                    () -> progress.step(""));
        }
        progress.end();
    }

    /** The block on the first device, or null where the processor has to run it. */
    private CalibrationBlock onDevice(int layer, int longest) {
        return quantizers.getFirst().block(source.model(), layer, longest).orElse(null);
    }

    /** Where the activations are, or on the devices in turn. */
    private GroupSums emptySums(int layer, boolean allOnFirst) {
        return new GroupSums(
                source.plan().block(layer),
                (index, n) -> quantizers
                        .get(allOnFirst ? 0 : index % quantizers.size())
                        .accumulator(n));
    }

    private void steps(int count, String detail) {
        for (int i = 0; i < count; i++) {
            progress.step(detail);
        }
    }

    /** Steps of progress that tuning takes in a block. */
    private int tuningSteps() {
        return tuning.isEmpty()
                ? 0
                : tuning.size() + tunedBlocks().steps(source.plan().block(0));
    }

    private TunedBlocks tunedBlocks() {
        return new TunedBlocks(source.model(), settings.finetuning().block(), tuning.size(), work);
    }

    private void quantizeBlock(int layer, GroupSums sums, int units, String detail) {
        List<LinearReport> reports = new ArrayList<>();
        List<LinearGroup> groups = source.plan().block(layer).groups();
        try (WeightFileWriter writer = WeightFileWriter.create(work.blockFile(layer), Map.of());
                GroupRounding rounding = new GroupRounding(quantizers)) {
            for (LinearGroup group : groups) {
                rounding.submit(quantizer -> quantizeGroup(
                        layer,
                        group,
                        sums,
                        quantizer,
                        (part, arena) -> source.weight(group, part).toFloatMatrix(arena)));
            }
            for (int i = 0; i < groups.size(); i++) {
                try (GroupResult result = rounding.next()) {
                    QuantizedLinears.write(writer, groups.get(i).name(), result.linear());
                    reports.add(result.report());
                }
                steps(units * (i + 1) / groups.size() - units * i / groups.size(), detail);
            }
            CrashSafeFile.write(work.blockReport(layer), QuantizationReport.bytes(new BlockReport(reports, List.of())));
            writer.commit();
        }
        work.removeParts(layer);
    }

    /**
     * @param weights of a part; the arena is theirs
     */
    private GroupResult quantizeGroup(
            int layer,
            LinearGroup group,
            GroupSums sums,
            DeviceQuantizer quantizer,
            BiFunction<LinearGroup.Part, Arena, FloatMatrix> weights) {
        GroupResult result = new GroupResult();
        try (Construction construction = new Construction(result::close);
                Arena arena = Arena.ofShared()) {
            Hessian hessian = settings.hessians() == null
                    ? sums.hessian(group, !sums.isShared(group), arena)
                    : givenHessian(group, arena);
            List<LinearQuantizer.Part> parts = new ArrayList<>();
            for (LinearGroup.Part part : group.parts()) {
                parts.add(new LinearQuantizer.Part(part.shortName(), weights.apply(part, arena)));
            }
            LossHessian sides = settings.twoSided() ? LossFiles.read(work.lossFile(layer), group, arena) : null;
            result.quantize(quantizer, group, parts, hessian, sides, settings.seed());
            construction.done();
            return result;
        }
    }

    private Hessian givenHessian(LinearGroup group, Arena arena) {
        HessianFiles files = new HessianFiles(settings.hessians());
        Path file = files.file(group);
        Hessian hessian = files.read(group, arena);
        String expected = record.hessian(file.getFileName().toString());
        String found = RunRecord.checksum(hessian);
        if (!found.equals(expected)) {
            throw new FormatException(
                    file + ": has changed since the run began: has the CRC32C " + found + ", expected " + expected);
        }
        return hessian;
    }

    /** Puts the whole model together in {@link WorkDirectory#model}, tuned as a whole where that is wanted. */
    private QuantizationReport finish(QuantizationDevices.Opened devices, long started) {
        if (settings.finetuning() == null || settings.finetuning().model() == null) {
            return assemble(work.model(), devices, started);
        }
        Path blocks = work.quantized();
        QuantizationReport report = assemble(blocks, devices, started);
        Path out = work.model();
        long bytes;
        TuningReport tuned;
        try (Model student = Model.openStored(blocks, team);
                ModelTuning whole = new ModelTuning(
                        student, source.model(), tuning, settings.finetuning().model(), work.path(), team, progress)) {
            tuned = whole.run(work.tuningState(), progress);
            bytes = FinetuningRun.writeWeights(
                    out, ((GossetWeights) student.weights()).file(), Map.of(), whole.tuned());
        }
        writeConfig(out);
        files.write(out);
        List<TunedReport> runs = new ArrayList<>(report.tuning());
        runs.add(new TunedReport("model", tuned));
        report = report.tuned(runs, bytes, (System.nanoTime() - started) / 1e9);
        CrashSafeFile.write(out.resolve(REPORT), report.toJson());
        return report;
    }

    /** The weights of norms that were tuned, by their names. */
    private static void readNorms(WeightFile block, BlockPlan plan, Map<String, byte[]> norms) {
        for (NormPlan norm : plan.norms()) {
            block.find(norm.weight().name())
                    .ifPresent(w -> norms.put(
                            w.name(), w.requireIntact().tensor().data().toArray(ValueLayout.JAVA_BYTE)));
        }
    }

    private QuantizationReport assemble(Path out, QuantizationDevices.Opened devices, long started) {
        ModelConfig config = source.config();
        Map<String, byte[]> norms = new HashMap<>();
        for (int layer = 0; layer < config.layers() && !tuning.isEmpty(); layer++) {
            try (Arena arena = Arena.ofConfined()) {
                readNorms(
                        WeightFile.open(work.blockFile(layer), arena),
                        source.plan().block(layer),
                        norms);
            }
        }
        List<TunedReport> runs = new ArrayList<>();
        List<LinearReport> linears = new ArrayList<>();
        long weights = 0;
        long linearBytes = 0;
        Map<String, String> metadata = new LinkedHashMap<>();
        record.texts().forEach((name, value) -> metadata.put("gosset." + name, value));
        long bytes;
        try (WeightFileWriter writer = WeightFileWriter.create(out.resolve(GossetWeights.FILE), metadata)) {
            for (SourceModel.Kept kept : source.kept()) {
                addKept(writer, kept, norms.get(kept.tensor().name()));
            }
            for (int layer = 0; layer < config.layers(); layer++) {
                linears.addAll(blockReport(layer).linears());
                runs.addAll(blockReport(layer).tuning());
                try (Arena arena = Arena.ofShared()) {
                    WeightFile block = WeightFile.open(work.blockFile(layer), arena);
                    block.weights().forEach(WeightFile.Weight::requireIntact);
                    for (LinearGroup group : source.plan().block(layer).groups()) {
                        QuantizedLinear linear = QuantizedLinears.read(block, group.name());
                        QuantizedLinears.write(writer, group.name(), linear);
                        weights += (long) linear.rows() * linear.cols();
                        linearBytes += linear.bytes();
                    }
                }
            }
            writer.commit();
            bytes = writer.position();
        }
        writeConfig(out);
        files.write(out);
        QuantizationReport report = new QuantizationReport(
                record.fields(),
                linears,
                weights,
                8.0 * linearBytes / weights,
                linears.stream().mapToDouble(LinearReport::proxyError).average().orElseThrow(),
                linears.stream()
                        .mapToDouble(LinearReport::frobeniusError)
                        .average()
                        .orElseThrow(),
                bytes,
                (System.nanoTime() - started) / 1e9,
                devices.reports(),
                runs);
        CrashSafeFile.write(out.resolve(REPORT), report.toJson());
        return report;
    }

    private BlockReport blockReport(int layer) {
        try {
            return JSON.readValue(Files.readAllBytes(work.blockReport(layer)), BlockReport.class);
        } catch (JsonProcessingException e) {
            throw new FormatException(work.blockReport(layer) + ": is damaged: " + e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new GossetException(work.blockReport(layer) + ": cannot be read: " + CrashSafeFile.reason(e), e);
        }
    }

    /**
     * Halves what is wider than 16 bits, as published checkpoints do, unless float16 cannot hold it.
     *
     * @param tuned what takes its place, in float16; null for nothing
     */
    private static void addKept(WeightFileWriter writer, SourceModel.Kept kept, byte[] tuned) {
        Tensor tensor = kept.tensor();
        if (tuned != null) {
            MemorySegment halves = MemorySegment.ofArray(tuned);
            writer.add(tensor.name(), kept.role(), Dtype.F16, tensor.shape(), Optional.empty(), halves);
            return;
        }
        // What routers choose is all or nothing.
        if (!kept.role().equals("router") && (tensor.dtype() == Dtype.F32 || tensor.dtype() == Dtype.F64)) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment halves = halved(tensor, arena);
                if (halves != null) {
                    writer.add(tensor.name(), kept.role(), Dtype.F16, tensor.shape(), Optional.empty(), halves);
                    return;
                }
            }
        }
        writer.add(tensor.name(), kept.role(), tensor.dtype(), tensor.shape(), Optional.empty(), tensor.data());
    }

    /** The tensor in float16, or null where a value is out of its range. */
    private static MemorySegment halved(Tensor tensor, Arena arena) {
        long count = tensor.elements();
        int block = 1 << 16;
        MemorySegment halves = arena.allocate(2 * count, 64);
        MemorySegment floats = arena.allocate(4L * block, 64);
        for (long at = 0; at < count; at += block) {
            int n = (int) Math.min(block, count - at);
            tensor.toFloats(at, n, floats);
            for (int i = 0; i < n; i++) {
                short half = Float.floatToFloat16(floats.getAtIndex(ValueLayout.JAVA_FLOAT, i));
                if ((half & 0x7c00) == 0x7c00) {
                    return null;
                }
                halves.setAtIndex(ValueLayout.JAVA_SHORT, at + i, half);
            }
        }
        return halves;
    }

    /** The original's config.json with what was done to it. */
    private void writeConfig(Path out) {
        ObjectNode config = files.config().deepCopy();
        source.config().complete(config);
        ObjectNode quantization = config.putObject("quantization_config");
        quantization.put("quant_method", "gosset");
        quantization.put("format_version", 1);
        quantization.put("bits", settings.rounding().codebook().bits());
        quantization.put("codebook", settings.rounding().codebook().name());
        quantization.put("seed", settings.seed());
        if (settings.finetuning() != null) {
            quantization.set("finetune", JSON.valueToTree(settings.finetuning().fields()));
        }
        CrashSafeFile.write(out.resolve("config.json"), QuantizationReport.bytes(config));
    }
}
