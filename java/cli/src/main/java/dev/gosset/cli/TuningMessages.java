package dev.gosset.cli;

import dev.gosset.llm.finetune.TuningReport;
import dev.gosset.llm.quantize.QuantizationReport.TunedReport;
import java.util.List;
import java.util.Locale;

/** What is said about fine-tuning. */
final class TuningMessages {
    private TuningMessages() {}

    /** Of a run that left steps out. */
    static String skipped(TuningReport result) {
        return result.skipped() + " steps were left out, as their loss or gradient was not finite"
                + (result.skipped() < 5 ? "" : ": tuning ended there, with the best state before");
    }

    /** Of all runs of a quantization. */
    static String summary(List<TunedReport> runs) {
        TunedReport last = runs.getLast();
        boolean whole = last.name().equals("model");
        List<TunedReport> blocks = whole ? runs.subList(0, runs.size() - 1) : runs;
        double ratio = blocks.stream()
                .mapToDouble(r -> r.result().after() / r.result().before())
                .filter(Double::isFinite)
                .average()
                .orElse(1);
        String text = String.format(
                Locale.ROOT,
                "tuned: each run leaves %.3f of a block's error on average, %s",
                ratio,
                ConsoleProgress.duration(
                        runs.stream().mapToDouble(r -> r.result().seconds()).sum()));
        return whole
                ? text
                        + String.format(
                                Locale.ROOT,
                                "; divergence from the original %.5f -> %.5f on the validating sequences",
                                last.result().before(),
                                last.result().after())
                : text;
    }
}
