package dev.gosset.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The figures of a {@link ModelBenchmark} as an SVG: for prefill and for each batch of decoding, a bar of tokens a second for
 * every device, on a logarithmic scale, because processor and GPU may be a hundredfold apart.
 */
final class ModelChart {
    private static final int LABEL = 170;
    private static final int PLOT = 420;
    private static final int BAR = 16;
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
        double highest = figures.stream()
                .filter(f -> f.reason() == null)
                .mapToDouble(ModelBenchmark.Figure::rate)
                .max()
                .orElse(1);
        double lowest = figures.stream()
                .filter(f -> f.reason() == null)
                .mapToDouble(ModelBenchmark.Figure::rate)
                .min()
                .orElse(1);
        int from = (int) Math.floor(Math.log10(lowest)) - 1;
        Function<Double, Double> length = rate -> PLOT * (Math.log10(rate) - from) / (Math.log10(highest) - from);
        StringBuilder bars = new StringBuilder();
        int y = 56;
        for (Map.Entry<String, List<ModelBenchmark.Figure>> row : rows.entrySet()) {
            text(bars, LABEL - 8, y + BAR - 4, "end", row.getKey());
            for (ModelBenchmark.Figure f : row.getValue()) {
                String colour = colours.computeIfAbsent(f.device(), d -> COLOURS[colours.size() % COLOURS.length]);
                bars.append(String.format(
                        Locale.ROOT,
                        "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>%n",
                        LABEL,
                        y,
                        length.apply(f.rate()),
                        BAR - 2,
                        colour));
                text(bars, (int) (LABEL + length.apply(f.rate()) + 6), y + BAR - 5, "start", caption(f));
                y += BAR;
            }
            y += 8;
        }
        for (ModelBenchmark.Figure f : figures) {
            if (f.reason() != null) {
                text(bars, 16, y + BAR - 4, "start", f.line());
                y += BAR;
            }
        }
        StringBuilder svg = new StringBuilder(String.format(
                Locale.ROOT,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\""
                        + " font-size=\"11\">%n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>%n",
                LABEL + PLOT + 260,
                y + 20));
        text(svg, 16, 22, "start", title);
        text(
                svg,
                16,
                40,
                "start",
                String.format(
                        Locale.ROOT,
                        "Tokens a second, logarithmic from %s; with the part of what reading the weights at the measured"
                                + " bandwidth would allow",
                        number(Math.pow(10, from))));
        return svg.append(bars).append("</svg>\n").toString();
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

    private static void text(StringBuilder svg, int x, int y, String anchor, String text) {
        svg.append(String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>%n",
                x,
                y,
                anchor,
                text.replace("&", "&amp;").replace("<", "&lt;")));
    }
}
