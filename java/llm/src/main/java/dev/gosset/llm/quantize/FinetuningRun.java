package dev.gosset.llm.quantize;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.Checksum;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.finetune.ModelTuning;
import dev.gosset.llm.finetune.TuningReport;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.tokenizer.Tokenizer;
import dev.gosset.llm.weights.GossetWeights;
import dev.gosset.llm.weights.ModelDirectory;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * End-to-end fine-tuning of a quantized model against its original, from directory to directory. The result appears whole or not at
 * all; a run that was killed goes on after its last finished epoch and gives the bytes of an unbroken one, whatever the number of
 * threads.
 */
public final class FinetuningRun {
    /** The report that lies beside the weight file. */
    public static final String REPORT = "finetuning.json";

    /** Ending of the tensors that only the way back to a published checkpoint reads: those of sign vectors are old ones now. */
    private static final List<String> REPLACED = List.of(".SU", ".SV");

    private FinetuningRun() {}

    /**
     * Tunes a model.
     *
     * @param model a model that Gosset quantized
     * @param teacher its original
     * @param tokenizer a directory with tokenizer.json
     * @param text whose sequences tune; those that made the Hessians are best left out
     * @param out absent or empty before, whole after
     * @param resume goes on from the last finished epoch of an unfinished run of the same inputs
     * @throws FormatException where the input holds something it must not, the teacher is another model's or has another tokenizer
     */
    public static TuningReport run(
            Path model,
            Path teacher,
            Path tokenizer,
            CalibrationText text,
            TuningSettings settings,
            Path out,
            boolean resume,
            ThreadTeam team,
            Progress progress) {
        Kernels.requireVectorApi("fine-tuning");
        boolean maybeFinished = resume && Files.exists(out.resolve(REPORT));
        if (!maybeFinished) {
            StagedDirectory.requireFree(out);
        }
        ModelDirectory directory = ModelDirectory.open(model);
        ModelDirectory.Kind kind = directory.kind();
        if (kind != ModelDirectory.Kind.GOSSET) {
            throw new FormatException(model + ": expected a model that Gosset quantized, found "
                    + (kind == ModelDirectory.Kind.ORIGINAL
                            ? "an original one: quantize it first"
                            : "a published QuIP# checkpoint: convert it first"));
        }
        ModelTuning.requireKnown(directory.config().plan());
        try (SourceModel original = SourceModel.open(teacher, team);
                Model student = Model.openStored(model, team)) {
            requireSameShape(model, student.config(), teacher, original.config());
            List<int[]> sequences = sequences(text, tokenizer, teacher, student.config());
            CopiedFiles files = CopiedFiles.read(model, tokenizer);
            WeightFile weights = ((GossetWeights) student.weights()).file();
            RunRecord record =
                    record(settings, text, student.config(), sequences, weights, files, original, team, progress);
            if (maybeFinished) {
                TuningReport report = finished(out, record);
                WorkDirectory.removeLeftOver(out);
                return report;
            }
            try (WorkDirectory work = WorkDirectory.open(out, record, resume)) {
                try (ModelTuning tuning =
                        new ModelTuning(student, original.model(), sequences, settings, work.path(), team, progress)) {
                    TuningReport report = tuning.run(work.tuningState(), progress);
                    write(work.model(), weights, files, record, report, tuning.tuned());
                    work.publish();
                    work.discard();
                    return report;
                } catch (Throwable e) {
                    boolean begun = Files.exists(work.tuningState());
                    if (!begun) {
                        discard(work, e);
                    }
                    if (begun && e instanceof GossetException) {
                        throw new GossetException(
                                e.getMessage() + "; the finished epochs are kept in " + work.path()
                                        + ": resume the run, or delete them",
                                e);
                    }
                    throw e;
                }
            }
        }
    }

    private static void discard(WorkDirectory work, Throwable failure) {
        try {
            work.discard();
        } catch (GossetException e) {
            failure.addSuppressed(e);
        }
    }

    private static void requireSameShape(Path model, ModelConfig student, Path teacher, ModelConfig original) {
        Map<String, Object> is = shape(original);
        shape(student).forEach((name, value) -> {
            if (!value.equals(is.get(name))) {
                throw new FormatException(teacher + ": is not the original of " + model + ": has " + name + " = "
                        + is.get(name) + ", the quantized model " + value);
            }
        });
    }

    private static Map<String, Object> shape(ModelConfig c) {
        Map<String, Object> shape = new LinkedHashMap<>();
        shape.put("architecture", c.family().architecture());
        shape.putAll(c.sizes());
        return shape;
    }

    private static List<int[]> sequences(CalibrationText text, Path tokenizer, Path teacher, ModelConfig config) {
        List<int[]> sequences;
        try (Tokenizer words = Tokenizer.open(tokenizer)) {
            sequences = text.tokenize(words, config);
        }
        if (sequences.size() < 2) {
            throw new FormatException(
                    text.files().getFirst() + ": fine-tuning needs at least 2 sequences, one to tune on and one to"
                            + " validate, found " + sequences.size());
        }
        if (Files.exists(teacher.resolve("tokenizer.json"))) {
            try (Tokenizer words = Tokenizer.open(teacher)) {
                List<int[]> others = text.tokenize(words, config);
                for (int s = 0; s < sequences.size(); s++) {
                    if (!Arrays.equals(sequences.get(s), others.get(s))) {
                        throw new FormatException(teacher + ": its tokenizer gives other tokens for "
                                + text.files().getFirst() + " than that of " + tokenizer + ", expected the same");
                    }
                }
            }
        }
        return sequences;
    }

    private static RunRecord record(
            TuningSettings settings,
            CalibrationText text,
            ModelConfig config,
            List<int[]> sequences,
            WeightFile weights,
            CopiedFiles files,
            SourceModel original,
            ThreadTeam team,
            Progress progress) {
        List<Tensor> tensors =
                weights.weights().stream().map(w -> w.requireIntact().tensor()).toList();
        long[] sums = tensors.stream().mapToLong(t -> Checksum.of(t.data())).toArray();
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("quantized_crc32c", SourceModel.checksum(tensors, sums));
        fields.put("model_crc32c", original.check(team, progress));
        fields.putAll(settings.fields());
        fields.put("sequences", sequences.size());
        fields.put("context", text.contextFor(config));
        fields.put("tokens_crc32c", RunRecord.checksum(sequences));
        fields.put("files_crc32c", files.checksums());
        fields.put("computed_with", RunRecord.computedWith());
        return new RunRecord(fields);
    }

    /** The report of a result that is there already and was made of the same. */
    private static TuningReport finished(Path out, RunRecord record) {
        JsonNode found = Json.readObject(out.resolve(REPORT));
        record.inputDifferenceTo(found.path("settings")).ifPresent(difference -> {
            throw new FormatException(out + ": the finished model here was made with " + difference
                    + "; name another output, or delete it");
        });
        try {
            return QuantizationReport.JSON.treeToValue(found.path("tuning"), TuningReport.class);
        } catch (JsonProcessingException e) {
            throw new FormatException(
                    out.resolve(REPORT) + ": is not the report of a fine-tuning: " + e.getOriginalMessage(), e);
        }
    }

    private static void write(
            Path out,
            WeightFile weights,
            CopiedFiles files,
            RunRecord record,
            TuningReport report,
            Map<String, byte[]> tuned) {
        Map<String, String> added = new LinkedHashMap<>();
        record.texts().forEach((name, value) -> added.put("gosset.finetune." + name, value));
        writeWeights(out, weights, added, tuned);
        ObjectNode config = files.config().deepCopy();
        ObjectNode quantization = (ObjectNode) config.get("quantization_config");
        quantization.set("finetune", QuantizationReport.JSON.valueToTree(record.texts()));
        CrashSafeFile.write(out.resolve("config.json"), QuantizationReport.bytes(config));
        files.write(out);
        // In one order, whatever the process.
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("settings", record.fields());
        all.put("tuning", report);
        CrashSafeFile.write(out.resolve(REPORT), QuantizationReport.bytes(all));
    }

    /**
     * Writes a weight file again with what was tuned.
     *
     * @param added metadata, besides what the file has
     * @return its size in bytes
     */
    static long writeWeights(Path out, WeightFile weights, Map<String, String> added, Map<String, byte[]> tuned) {
        Map<String, String> metadata = new LinkedHashMap<>(weights.metadata());
        metadata.keySet().removeIf(key -> key.equals("format") || key.equals("format_version"));
        metadata.putAll(added);
        try (WeightFileWriter writer = WeightFileWriter.create(out.resolve(GossetWeights.FILE), metadata)) {
            for (WeightFile.Weight weight : weights.weights()) {
                byte[] changed = tuned.get(weight.name());
                if (changed != null) {
                    writer.add(
                            weight.name(),
                            weight.role(),
                            Dtype.F16,
                            weight.tensor().shape(),
                            Optional.empty(),
                            MemorySegment.ofArray(changed));
                } else if (!weight.role().equals("published")
                        || REPLACED.stream().noneMatch(weight.name()::endsWith)) {
                    writer.add(
                            weight.name(),
                            weight.role(),
                            weight.tensor().dtype(),
                            weight.tensor().shape(),
                            weight.codebook(),
                            weight.tensor().data());
                }
            }
            writer.commit();
            return writer.position();
        }
    }
}
