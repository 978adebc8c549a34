package dev.gosset.cli;

import dev.gosset.llm.io.BarChart;
import java.util.DoubleSummaryStatistics;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * The figures of a {@link ModelBenchmark} as an SVG: for prefill and for each batch of decoding, a bar of tokens a second for
 * every device, on a logarithmic scale, because processor and GPU may be a hundredfold apart.
 */
final class ModelChart {
    private static final String[] COLOURS = {"#2a6f97", "#e9a03b", "#6a994e", "#9b5de5"};

    private ModelChart() {}

    /**
     * Draws.
     *
     * @param title above the bars
     * @param figures in the order of {@link ModelBenchmark#measure}; those that say why nothing was measured become a line of
     *     text
     */
    static String svg(String title, List<ModelBenchmark.Figure> figures) {
        Map<String, String> colours = new LinkedHashMap<>();
        Map<String, List<ModelBenchmark.Figure>> rows = figures.stream()
                .filter(f -> f.reason() == null)
                .collect(Collectors.groupingBy(ModelChart::row, LinkedHashMap::new, Collectors.toList()));
        DoubleSummaryStatistics rates = rows.values().stream()
                .flatMap(List::stream)
                .mapToDouble(f -> Math.log10(f.rate()))
                .summaryStatistics();
        double from = rates.getCount() == 0 ? 0 : Math.floor(rates.getMin()) - 1;
        BarChart chart = new BarChart(
                List.of(
                        title,
                        "Tokens a second, logarithmic from " + number(Math.pow(10, from))
                                + "; with the part of what reading the weights at the measured bandwidth would allow"),
                170,
                420);
        rows.forEach((row, measured) -> {
            chart.group(row);
            for (ModelBenchmark.Figure f : measured) {
                String colour = colours.computeIfAbsent(f.device(), d -> COLOURS[colours.size() % COLOURS.length]);
                chart.bar((Math.log10(f.rate()) - from) / (rates.getMax() - from), colour, caption(f));
            }
        });
        figures.stream().filter(f -> f.reason() != null).forEach(f -> chart.note(f.line()));
        return chart.svg();
    }

    private static String row(ModelBenchmark.Figure f) {
        return f.what().equals("prefill") ? "prefill" : "decode, batch " + f.batch();
    }

    private static String caption(ModelBenchmark.Figure f) {
        return f.device() + "  " + number(f.rate())
                + (Double.isNaN(f.ofBandwidth()) ? "" : String.format(Locale.ROOT, ", %.0f%%", 100 * f.ofBandwidth()));
    }

    private static String number(double rate) {
        return String.format(Locale.ROOT, rate < 10 ? "%.2g" : "%.0f", rate);
    }
}
