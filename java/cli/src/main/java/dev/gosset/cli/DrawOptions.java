package dev.gosset.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.evaluate.Divergence;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.quantize.QuantizationReport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.DoubleSummaryStatistics;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The flags that have a quantization measured against its original, over several draws of the sign vectors, and what is said of it. */
final class DrawOptions {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    @Option(
            names = "--eval-text",
            paramLabel = "FILE",
            description =
                    "Measure the result on this text as `gosset eval divergence` does, in chunks of --context tokens.")
    private Path text;

    @Option(names = "--eval-chunks", paramLabel = "N", description = "Measure only the first N chunks of --eval-text.")
    private Integer chunks;

    @Option(
            names = "--draws",
            paramLabel = "N",
            description =
                    "Measure N draws of the sign vectors, of the seeds from --seed on, and give mean and range: of a"
                            + " small model one alone says little. --out has the first; the others are not kept. Default: 1.")
    private int count = 1;

    /**
     * One quantization.
     *
     * @param divergence null before it is measured
     */
    record Draw(long seed, Path directory, QuantizationReport report, Divergence divergence) {
        Draw measured(Divergence found) {
            return new Draw(seed, directory, report, found);
        }
    }

    /** Refuses flags that contradict each other. */
    void check(CommandSpec spec) {
        if (count < 1 || chunks != null && chunks < 1) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--draws and --eval-chunks must be at least 1, found " + count + " and " + chunks);
        }
        if (text == null && (count > 1 || chunks != null)) {
            throw new ParameterException(spec.commandLine(), "--draws and --eval-chunks need --eval-text");
        }
    }

    /** What is measured. */
    EvalCommand.ChunkOptions chunks(int context) {
        return new EvalCommand.ChunkOptions(text, context == 0 ? null : context, chunks);
    }

    /**
     * Measures.
     *
     * @param first the draw that is there
     * @param quantize another, by its seed, into a directory
     * @return none without {@code --eval-text}
     */
    List<Draw> measure(
            Draw first, BiFunction<Long, Path, QuantizationReport> quantize, Function<Path, Divergence> divergence) {
        List<Draw> draws = new ArrayList<>();
        if (text == null) {
            return draws;
        }
        draws.add(first.measured(divergence.apply(first.directory)));
        for (long seed = first.seed + 1; seed < first.seed + count; seed++) {
            Path beside = first.directory.resolveSibling(first.directory.getFileName() + ".draw-" + seed);
            try (StagedDirectory staged = StagedDirectory.create(beside)) {
                QuantizationReport report = quantize.apply(seed, staged.path());
                draws.add(new Draw(seed, null, report, divergence.apply(staged.path())));
            }
        }
        return draws;
    }

    /** What was measured, by name; nothing of none. */
    static Map<String, Object> fields(List<Draw> draws) {
        Map<String, Object> fields = new LinkedHashMap<>();
        if (draws.isEmpty()) {
            return fields;
        }
        put(fields, draws.getFirst());
        if (draws.size() > 1) {
            Map<String, Object> all = new LinkedHashMap<>();
            all.put("kl", summary(draws, d -> d.divergence.kl()));
            all.put("perplexity", summary(draws, DrawOptions::perplexity));
            all.put(
                    "each",
                    draws.stream()
                            .map(d -> {
                                Map<String, Object> one = new LinkedHashMap<>();
                                one.put("seed", d.seed);
                                one.put("mean_proxy_error", d.report.meanProxyError());
                                put(one, d);
                                return one;
                            })
                            .toList());
            fields.put("draws", all);
        }
        return fields;
    }

    private static void put(Map<String, Object> fields, Draw draw) {
        EvalCommand.DivergenceCommand.put(fields, draw.divergence);
        fields.put("perplexity", perplexity(draw));
    }

    private static double perplexity(Draw draw) {
        return draw.divergence.perplexity().perplexity();
    }

    private static Map<String, Object> summary(List<Draw> draws, ToDoubleFunction<Draw> value) {
        DoubleSummaryStatistics all = draws.stream().mapToDouble(value).summaryStatistics();
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("mean", all.getAverage());
        fields.put("min", all.getMin());
        fields.put("max", all.getMax());
        return fields;
    }

    /** The report of a quantization with what was measured, as JSON. */
    static byte[] report(QuantizationReport report, List<Draw> draws) {
        if (draws.isEmpty()) {
            return report.toJson();
        }
        try {
            ObjectNode all = (ObjectNode) JSON.readTree(report.toJson());
            all.set("evaluation", JSON.valueToTree(fields(draws)));
            return JSON.writeValueAsBytes(all);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a report does not convert to JSON", e);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What was measured, for people. */
    static List<String> lines(List<Draw> draws) {
        List<String> lines = new ArrayList<>();
        for (Draw draw : draws) {
            String seed = draws.size() == 1 ? "" : "seed " + draw.seed + ": ";
            lines.add(seed + EvalCommand.DivergenceCommand.text(draw.divergence));
        }
        if (draws.size() > 1) {
            lines.add(draws.size() + " draws: KL " + range("%.5f", draws, d -> d.divergence.kl()) + ", perplexity "
                    + range("%.4f", draws, DrawOptions::perplexity));
        }
        return lines;
    }

    private static String range(String format, List<Draw> draws, ToDoubleFunction<Draw> value) {
        DoubleSummaryStatistics all = draws.stream().mapToDouble(value).summaryStatistics();
        return String.format(
                Locale.ROOT,
                format + " (" + format + " to " + format + ")",
                all.getAverage(),
                all.getMin(),
                all.getMax());
    }
}
