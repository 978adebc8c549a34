package dev.gosset.llm.study;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.Checksum;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.methods.MethodQuantizer;
import dev.gosset.core.methods.PointSet;
import dev.gosset.core.methods.PointSets;
import dev.gosset.core.methods.Processing;
import dev.gosset.core.methods.Spectrum;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.ProxyLoss;
import dev.gosset.core.rounding.QuantizationResult;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.Progress;
import dev.gosset.llm.calibration.HessianFiles;
import dev.gosset.llm.cpu.Preparation;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.evaluate.Divergence;
import dev.gosset.llm.evaluate.Perplexity;
import dev.gosset.llm.finetune.TuningSettings;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.quantize.Finetuning;
import dev.gosset.llm.quantize.HessianCollection;
import dev.gosset.llm.quantize.MethodRounding;
import dev.gosset.llm.quantize.QuantizationDevices;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationReport;
import dev.gosset.llm.quantize.QuantizationSettings;
import dev.gosset.llm.weights.ModelDirectory;
import dev.gosset.llm.weights.StoredLinear;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Runs the rows of a study on one model: rounds its linears, puts them in the place of the original's, and measures the divergence from
 * it. Methods of QuIP and sets of points run from dense float32 weights, codebooks of QuIP# from their codes; only rows that are tuned
 * go through files. One call at a time.
 */
public final class StudyRunner implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Eigenvalues of a linear that a line holds at most: of more, those at logarithmically even places. */
    private static final int EIGENVALUES = 200;

    private final StudyInput input;
    private final LanguageModel teacher;
    private final HessianFiles hessians;
    private final int[] tokens;
    private final int context;
    private final ThreadTeam team;
    private final PointSets sets;
    private final ObjectNode key = JSON.createObjectNode();
    private final Map<String, Spectrum> spectra = new HashMap<>();

    /**
     * Opens a model, and collects its Hessians where there are none.
     *
     * @throws FormatException where the model is quantized already, or the text too short
     */
    public StudyRunner(StudyInput input, PointSets sets, ThreadTeam team, Progress progress) {
        this.input = input;
        this.team = team;
        this.sets = sets;
        ModelDirectory.Kind kind = ModelDirectory.open(input.model()).kind();
        if (kind != ModelDirectory.Kind.ORIGINAL) {
            throw new FormatException(input.model() + ": is already quantized (" + kind
                    + "), expected an original model with full weights");
        }
        teacher = LanguageModel.open(input.model(), input.tokenizer(), StorageOptions.defaults(), team, Device.CPU);
        try {
            String name =
                    input.model().toAbsolutePath().normalize().getFileName().toString();
            key.put("model", name);
            key.put("model_hash", modelHash());
            if (input.text() == null) {
                context = 0;
                tokens = new int[0];
            } else {
                context = input.context() == 0 ? Math.min(2048, teacher.config().maxPositions()) : input.context();
                int[] all = teacher.tokenizer().encode(input.text(), true);
                tokens = Arrays.copyOf(all, (int) Math.min(all.length, (long) input.chunks() * context));
                Perplexity.chunks(tokens, context, input.name());
                key.put("text_hash", Checksum.text(Checksum.of(MemorySegment.ofArray(tokens))));
                key.put("context", context);
            }
            hessians = new HessianFiles(input.hessians() == null ? collected(name, progress) : input.hessians());
            key.put("calibration_hash", hessianHash());
        } catch (RuntimeException e) {
            teacher.close();
            throw e;
        }
    }

    private Path collected(String name, Progress progress) {
        Path directory = input.work()
                .resolve("hessians-" + name + "-" + key.get("model_hash").asText() + "-"
                        + hash(input.calibration().toString()));
        if (!Files.exists(directory)) {
            HessianCollection.run(input.model(), input.tokenizer(), input.calibration(), directory, team, progress);
        }
        return directory;
    }

    private static String hash(String text) {
        return Checksum.text(Checksum.of(MemorySegment.ofArray(text.getBytes(StandardCharsets.UTF_8))));
    }

    private String modelHash() {
        Model model = teacher.model();
        List<MemorySegment> pieces = new ArrayList<>();
        model.plan().tensors().forEach(t -> pieces.add(model.weights().tensor(t).data()));
        for (LinearGroup group : model.plan().groups()) {
            group.parts()
                    .forEach(part ->
                            pieces.add(model.weights().weight(group, part).data()));
        }
        return Checksum.text(Checksum.of(pieces.toArray(MemorySegment[]::new)));
    }

    private String hessianHash() {
        try (Arena arena = Arena.ofConfined()) {
            return Checksum.text(Checksum.of(teacher.model().plan().groups().stream()
                    .map(g -> hessians.read(g, arena).lowerTriangle())
                    .toArray(MemorySegment[]::new)));
        }
    }

    /** What the line of a row says before it is run. */
    public ObjectNode key(StudyRow row) {
        ObjectNode all = key.deepCopy();
        row.write(all);
        if (row.isTuned()) {
            all.put("tuning_hash", hash(input.calibration() + " " + input.tuning() + " " + input.tuningSequences()));
        }
        return all;
    }

    /** What the line of {@link #spectrum} says before it is run. */
    public ObjectNode spectrumKey(StudyRow row, int draws) {
        return key(row).put("study", "spectrum").put("draws", draws);
    }

    /** Runs a row; the result is its line. */
    public ObjectNode run(StudyRow row, Progress progress) {
        long started = System.nanoTime();
        ObjectNode line = key(row);
        ArrayNode linears = JSON.createArrayNode();
        if (row.method().equals(StudyRow.ORIGINAL)) {
            size(line, new double[] {16.0 * weights(), weights()});
            measure(teacher.loaded(), line, progress);
        } else if (row.isTuned()) {
            tuned(row, line, linears, progress);
        } else {
            inMemory(row, line, linears, progress);
        }
        line.put("mean_proxy", mean(linears, "proxy"));
        line.put("mean_frobenius", mean(linears, "frobenius"));
        line.put("seconds", (System.nanoTime() - started) / 1e9);
        line.set("linears", linears);
        return line;
    }

    private void inMemory(StudyRow row, ObjectNode line, ArrayNode linears, Progress progress) {
        long started = System.nanoTime();
        try (Arena arena = Arena.ofShared()) {
            Map<LinearGroup, StoredLinear> rounded = new HashMap<>();
            double[] bits = new double[2];
            List<LinearGroup> groups = teacher.model().plan().groups();
            progress.start("rounding", groups.size());
            for (LinearGroup group : groups) {
                rounded.put(
                        group,
                        row.isCodebook()
                                ? codebook(row, group, linears, bits, arena)
                                : dense(row, group, linears, bits, arena));
                progress.step("");
            }
            progress.end();
            size(line, bits);
            line.put("quantize_seconds", (System.nanoTime() - started) / 1e9);
            Transformer transformer = Transformer.over(
                    teacher.config(),
                    new Replaced(teacher.model().weights(), rounded),
                    StorageOptions.defaults(),
                    new Preparation(Kernels.selected(), arena, team));
            try (CpuModel model = new CpuModel(transformer, team)) {
                measure(model, line, progress);
            }
        }
    }

    private void tuned(StudyRow row, ObjectNode line, ArrayNode linears, Progress progress) {
        Path out = input.work().resolve(row.method() + "-" + row.seed() + "-" + hash(key(row).toString()));
        QuantizationReport report = QuantizationPipeline.run(
                input.model(),
                input.tokenizer(),
                out,
                new QuantizationSettings(
                        row.codebook(),
                        row.seed(),
                        input.calibration(),
                        input.hessians(),
                        new Finetuning(
                                input.tuning(),
                                input.tuningSequences(),
                                TuningSettings.BLOCK,
                                row.method().equals(StudyRow.TUNED) ? TuningSettings.MODEL : null)),
                QuantizationDevices.CPU,
                true,
                team,
                progress);
        report.linears()
                .forEach(l -> linears.addObject()
                        .put("name", l.name())
                        .put("proxy", l.proxyError())
                        .put("frobenius", l.frobeniusError()));
        size(line, new double[] {report.bitsPerWeight() * report.weights(), report.weights()});
        line.put("quantize_seconds", report.seconds());
        try (LanguageModel model =
                LanguageModel.open(out, input.tokenizer(), StorageOptions.defaults(), team, Device.CPU)) {
            measure(model.loaded(), line, progress);
        }
        StagedDirectory.delete(out, List.of());
    }

    private void measure(LoadedModel model, ObjectNode line, Progress progress) {
        Divergence d = Divergence.measure(model, teacher.loaded(), tokens, context, input.name(), progress);
        line.put("perplexity", d.perplexity().perplexity());
        line.put("teacher_perplexity", d.teacherPerplexity());
        line.put("kl", d.kl());
        line.put("kl_error", d.klError());
        line.put("top1_agreement", d.top1Agreement());
        line.put("tokens", d.perplexity().tokens());
    }

    /**
     * The sizes of linears alone, and of the whole model, in which all else has 16 bits.
     *
     * @param bits of all linears, and the number of their weights
     */
    private void size(ObjectNode line, double[] bits) {
        Model model = teacher.model();
        double others = model.plan().tensors().stream()
                .mapToDouble(t -> model.weights().tensor(t).elements())
                .sum();
        line.put("bits_per_weight", bits[0] / bits[1]);
        line.put("linear_bytes", Math.round(bits[0] / 8));
        line.put("bytes", Math.round(bits[0] / 8 + 2 * others));
    }

    private double weights() {
        return teacher.model().plan().groups().stream()
                .flatMap(g -> g.parts().stream().map(p -> (double) p.rows() * g.inputs()))
                .mapToDouble(Double::doubleValue)
                .sum();
    }

    private static double mean(ArrayNode linears, String field) {
        double sum = 0;
        for (var l : linears) {
            sum += l.get(field).doubleValue();
        }
        return linears.isEmpty() ? 0 : sum / linears.size();
    }

    private StoredLinear dense(StudyRow row, LinearGroup group, ArrayNode linears, double[] bits, Arena arena) {
        MethodRounding rounding = new MethodRounding(row.settings(sets), row.seed(), team);
        List<Tensor> parts = new ArrayList<>();
        try (Arena work = Arena.ofShared()) {
            Hessian hessian = hessians.read(group, work);
            for (LinearGroup.Part part : group.parts()) {
                Tensor weight = teacher.model().weights().weight(group, part);
                parts.add(rounding.round(part, weight, hessian, (p, r) -> look(row, p, r, linears.addObject()), arena));
                bits[0] += (double) weight.elements() * rounding.bitsPerWeight(part.rows(), group.inputs());
                bits[1] += weight.elements();
            }
        } catch (IllegalArgumentException e) {
            throw new FormatException(
                    input.model() + ": " + row.method() + " " + row.processing() + ": " + e.getMessage(), e);
        }
        return new StoredLinear.Matrices(parts);
    }

    /** What is known of a rounded linear; theory's numbers are of processing and seed alone, and found once for both. */
    private void look(StudyRow row, LinearGroup.Part part, MethodQuantizer.Result result, ObjectNode to) {
        to.put("name", part.name());
        to.put("proxy", result.proxyError());
        to.put("frobenius", result.frobeniusError());
        Spectrum s = spectra.computeIfAbsent(
                row.processing() + " " + row.seed() + " " + part.name(), unused -> result.spectrum());
        to.put("mu_h", s.muH());
        to.put("mu_w", s.muW());
        to.put("trace_h", s.traceH());
        to.put("trace_d", s.traceD());
        to.put("trace_d_first", s.traceDFirst());
        to.put("trace_root", s.traceRoot());
        to.put("rank", s.rank());
        to.put("rank01", s.rank01());
        to.put("bound_d", s.bound());
        if (!row.isSet()) {
            double whole = ProxyLoss.trace(team, result.processedWeights(), result.processedHessian());
            to.put("predicted_ldlq", s.predictedLdlq(result.levels(), part.rows()) / whole);
            to.put("predicted_nearest", s.predictedNearest(result.levels(), part.rows()) / whole);
            to.put("measured", result.processedProxy(team));
        }
    }

    private StoredLinear codebook(StudyRow row, LinearGroup group, ArrayNode linears, double[] bits, Arena arena) {
        LinearQuantizer quantizer = new LinearQuantizer(
                row.codebook(), Kernels.selected().encode(), Kernels.selected().transform(), team);
        try (Arena work = Arena.ofShared()) {
            List<LinearQuantizer.Part> parts = group.parts().stream()
                    .map(p -> new LinearQuantizer.Part(
                            p.shortName(),
                            teacher.model().weights().weight(group, p).toFloatMatrix(work)))
                    .toList();
            QuantizationResult result =
                    quantizer.quantize(group.name(), parts, hessians.read(group, work), row.seed(), arena);
            QuantizedLinear linear = result.linear();
            linears.addObject()
                    .put("name", group.name())
                    .put("proxy", result.proxyError())
                    .put("frobenius", result.frobeniusError());
            bits[0] += 8.0 * linear.bytes();
            bits[1] += (double) linear.rows() * linear.cols();
            return new StoredLinear.Codes(linear);
        }
    }

    /**
     * Rounds every linear by a row, and tells what theory says of it beside what came; no model is run.
     *
     * @param draws how many draws of the transforms tell how incoherent they make it
     */
    public ObjectNode spectrum(StudyRow row, int draws, Progress progress) {
        long started = System.nanoTime();
        ObjectNode line = spectrumKey(row, draws);
        ArrayNode linears = line.putArray("linears");
        MethodRounding rounding = new MethodRounding(row.settings(sets), row.seed(), team);
        List<LinearGroup> groups = teacher.model().plan().groups();
        progress.start("spectrum " + row.processing(), groups.size());
        for (LinearGroup group : groups) {
            try (Arena work = Arena.ofShared()) {
                Hessian hessian = hessians.read(group, work);
                DoubleMatrix h = (DoubleMatrix) hessian.regularized(0, Precision.FLOAT64, work);
                for (LinearGroup.Part part : group.parts()) {
                    Tensor weight = teacher.model().weights().weight(group, part);
                    ObjectNode found = linears.addObject();
                    double[][] values = new double[1][];
                    rounding.round(
                            part,
                            weight,
                            hessian,
                            (p, r) -> {
                                look(row, p, r, found);
                                values[0] = spectra.get(row.processing() + " " + row.seed() + " " + p.name())
                                        .eigenvalues();
                            },
                            work);
                    eigenvalues(values[0], found);
                    double[][] mu = Spectrum.draws(
                            Processing.named(row.processing()),
                            part.name(),
                            draws,
                            team,
                            MethodRounding.widened(weight, work),
                            h);
                    found.put("mu_h_99", quantile99(mu[0]));
                    found.put("mu_w_99", quantile99(mu[1]));
                    found.put("bound_mu_h", Spectrum.boundH(group.inputs(), 0.01));
                    found.put("bound_mu_w", Spectrum.boundW(part.rows(), group.inputs(), 0.01));
                }
            }
            progress.step("");
        }
        progress.end();
        line.put("seconds", (System.nanoTime() - started) / 1e9);
        return line;
    }

    /** Those at logarithmically even places, with the places counted from 1. */
    private static void eigenvalues(double[] values, ObjectNode to) {
        ArrayNode places = to.putArray("places");
        ArrayNode found = to.putArray("eigenvalues");
        int last = 0;
        for (int i = 0; i < EIGENVALUES; i++) {
            int place = (int) Math.round(Math.pow(values.length, i / (EIGENVALUES - 1.0)));
            if (place > last) {
                last = place;
                places.add(place);
                found.add((float) values[place - 1]);
            }
        }
    }

    /** The least value that 99 % do not exceed. */
    private static double quantile99(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[Math.ceilDiv(99 * sorted.length, 100) - 1];
    }

    /** What the line of {@link #normal} says before it is run. */
    public static ObjectNode normalKey(String set, long seed, int numbers) {
        return JSON.createObjectNode()
                .put("study", "normal")
                .put("codebook", set)
                .put("seed", seed)
                .put("numbers", numbers);
    }

    /** The error of a set at its best scale on standard normal numbers; needs no model. */
    public static ObjectNode normal(PointSets sets, String name, long seed, int numbers) {
        PointSet set = sets.named(name);
        double scale = sets.scale(set);
        return normalKey(name, seed, numbers)
                .put("bits", set.bits())
                .put("scale", scale)
                .put("error", sets.error(set, scale, numbers / set.dimension(), seed));
    }

    /** A model's weights with linears of ours in the place of its own. */
    private record Replaced(WeightSource original, Map<LinearGroup, StoredLinear> linears) implements WeightSource {
        @Override
        public Path path() {
            return original.path();
        }

        @Override
        public Optional<Tensor> find(String name) {
            return original.find(name);
        }

        @Override
        public StoredLinear linear(LinearGroup group) {
            return linears.get(group);
        }
    }

    @Override
    public void close() {
        teacher.close();
    }
}
