package dev.gosset.cli;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Quoted;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.llm.cpu.KeyValuePool;
import dev.gosset.llm.model.ModelSummary;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.quantize.QuantizationForecast;
import dev.gosset.llm.weights.GossetWeights;
import dev.gosset.llm.weights.ModelDirectory;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gosset inspect}: what a model directory holds. */
@Command(name = "inspect", description = "Shows a model's tensors, and what running and quantizing it take.")
final class InspectCommand implements Runnable {
    @Mixin
    private CommonOptions common;

    @Parameters(
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directory of a model, original or quantized, or the name of a pulled one.")
    private Path model;

    @Option(names = "--brief", description = "Totals only.")
    private boolean brief;

    @Option(
            names = "--verify",
            description = "Read every byte of weights.arrow and compare it with the tensors' checksums.")
    private boolean verify;

    @Override
    public void run() {
        int intact = verify ? verified(model) : 0;
        ModelSummary summary = ModelSummary.of(model);
        if (common.json) {
            printJson(summary, intact);
            return;
        }
        if (!brief) {
            int width = summary.entries().stream()
                    .mapToInt(e -> e.name().length())
                    .max()
                    .orElse(4);
            String row = "%-" + width + "s  %-16s  %-12s  %7s  %10s  %s%n";
            System.out.printf(Locale.ROOT, row, "tensor", "shape", "dtype", "bits", "bytes", "scale");
            for (ModelSummary.Entry e : summary.entries()) {
                System.out.printf(
                        Locale.ROOT,
                        row,
                        e.name(),
                        e.shape().toString().replace(", ", " x "),
                        e.dtype(),
                        String.format(Locale.ROOT, "%.3f", e.bitsPerWeight()),
                        Sizes.bytes(e.bytes()),
                        e.scale().isPresent()
                                ? String.format(Locale.ROOT, "%.5g", e.scale().getAsDouble())
                                : "");
            }
            System.out.println();
        }
        System.out.printf(
                Locale.ROOT,
                "%s: %s, %s, %d layers, hidden %d, intermediate %d, vocabulary %d%n",
                model,
                summary.kind().name().toLowerCase(Locale.ROOT),
                summary.config().family().name(),
                summary.config().layers(),
                summary.config().hiddenSize(),
                summary.config().intermediateSize(),
                summary.config().vocabularySize());
        System.out.printf(
                Locale.ROOT,
                "%d weights in linears at %.3f bits each, scales included; %d parameters in all, %s%n",
                summary.linearWeights(),
                summary.linearBitsPerWeight(),
                summary.parameters(),
                Sizes.bytes(summary.bytes()));
        forecast(summary);
        if (verify) {
            System.out.println("all " + intact + " tensors of the file have their checksums");
        }
    }

    /** What running and quantizing take. */
    private static void forecast(ModelSummary summary) {
        ModelConfig config = summary.config();
        System.out.printf(
                Locale.ROOT,
                "runs from %s, mapped, and %s of keys and values for each token of a context: %s for %d tokens%n",
                Sizes.bytes(summary.bytes()),
                Sizes.bytes(KeyValuePool.blockBytes(config, Dtype.F16) / KeyValuePool.BLOCK),
                Sizes.bytes(KeyValuePool.blockBytes(config, Dtype.F16) * KeyValuePool.blocksFor(config.maxPositions())),
                config.maxPositions());
        quantizations(summary)
                .forEach((bits, forecast) -> System.out.printf(
                        Locale.ROOT,
                        "quantized to %d bits: %s, %s of disk while that runs, up to about %s of memory%n",
                        bits,
                        Sizes.bytes(forecast.bytes()),
                        Sizes.bytes(forecast.workBytes()),
                        Sizes.bytes(forecast.memory())));
    }

    /** What quantizing an original model takes, by the number of bits; of others there is nothing to say. */
    private static Map<Integer, QuantizationForecast> quantizations(ModelSummary summary) {
        Map<Integer, QuantizationForecast> all = new LinkedHashMap<>();
        for (int bits = 2; bits <= 4 && summary.kind() == ModelDirectory.Kind.ORIGINAL; bits++) {
            all.put(
                    bits,
                    QuantizationForecast.of(
                            summary.config(), Codebook.ofBits(bits), summary.bytes() - summary.linearBytes()));
        }
        return all;
    }

    /** The number of tensors, or one line that names every damaged one. */
    private static int verified(Path model) {
        Path weights = model.resolve(GossetWeights.FILE);
        // Before anything else reads the file: opening a model stops at the first damaged tensor that it needs.
        if (!Files.isRegularFile(weights)) {
            throw new FormatException(
                    ModelDirectory.open(model).path()
                            + ": --verify found safetensors, which hold no checksums, expected the weights.arrow of a Gosset model");
        }
        try (Arena arena = Arena.ofConfined()) {
            WeightFile file = WeightFile.open(weights, arena);
            if (!file.hasChecksums()) {
                throw new FormatException(file.source()
                        + ": is of format version 1, which has no checksums to verify: quantize the model again");
            }
            List<String> damaged = file.weights().stream()
                    .filter(w -> !w.isIntact())
                    .map(w -> Quoted.of(w.name()))
                    .toList();
            if (!damaged.isEmpty()) {
                throw new FormatException(file.source() + ": " + damaged.size() + " of "
                        + file.weights().size() + " tensors are damaged, their bytes are not those that were written: "
                        + String.join(", ", damaged));
            }
            return file.weights().size();
        }
    }

    private void printJson(ModelSummary summary, int intact) {
        List<Map<String, Object>> tensors = new ArrayList<>();
        for (ModelSummary.Entry e : summary.entries()) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("name", e.name());
            fields.put("shape", e.shape());
            fields.put("dtype", e.dtype());
            fields.put("bits_per_weight", e.bitsPerWeight());
            fields.put("bytes", e.bytes());
            if (e.scale().isPresent()) {
                fields.put("scale", e.scale().getAsDouble());
            }
            tensors.add(fields);
        }
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("model", model.toString());
        fields.put("kind", summary.kind().name().toLowerCase(Locale.ROOT));
        fields.put("family", summary.config().family().name());
        fields.put("layers", summary.config().layers());
        fields.put("parameters", summary.parameters());
        fields.put("linear_weights", summary.linearWeights());
        fields.put("linear_bits_per_weight", summary.linearBitsPerWeight());
        fields.put("bytes", summary.bytes());
        fields.put("cache_bytes_per_token", KeyValuePool.blockBytes(summary.config(), Dtype.F16) / KeyValuePool.BLOCK);
        List<Map<String, Object>> quantized = new ArrayList<>();
        quantizations(summary).forEach((bits, forecast) -> {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("bits", bits);
            row.put("bytes", forecast.bytes());
            row.put("disk_bytes", forecast.workBytes());
            row.put("memory_bytes", forecast.memory());
            quantized.add(row);
        });
        if (!quantized.isEmpty()) {
            fields.put("quantized", quantized);
        }
        if (verify) {
            fields.put("verified_tensors", intact);
        }
        if (!brief) {
            fields.put("tensors", tensors);
        }
        common.printJson(fields);
    }
}
