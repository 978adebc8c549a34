package dev.gosset.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The run as an SVG: for each row the speed of everyone, ours being 1. */
final class Chart {
    private static final int LABEL = 300;
    private static final int PLOT = 520;
    private static final int BAR = 13;
    /** Speed at the right edge; longer bars are cut there and say so. */
    private static final double EDGE = 3;

    private Chart() {}

    static String of(Map<String, Object> run, List<Entry> entries) {
        StringBuilder bars = new StringBuilder();
        int y = 70;
        for (Entry e : entries) {
            List<String> names = new ArrayList<>();
            for (String name : e.nanos().keySet()) {
                if (!name.equals(Case.OURS) && !name.equals(Case.ORACLE)) {
                    names.add(name);
                }
            }
            if (names.isEmpty()) {
                continue;
            }
            text(
                    bars,
                    LABEL - 8,
                    y + 11,
                    "end",
                    "bold",
                    e.what() + " " + e.size() + (e.threads() > 1 ? ", 2 threads" : ""));
            bar(bars, y, "gosset " + Table.ours(e), 1, "#2a6f97");
            y += BAR + 2;
            for (String name : names) {
                boolean limit = name.startsWith(Case.LIMIT);
                double speed = 1 / e.ratio(name);
                bar(
                        bars,
                        y,
                        String.format(
                                Locale.ROOT, "%s %.2f", limit ? name.substring(Case.LIMIT.length()) : name, speed),
                        speed,
                        limit ? "#bbbbbb" : "#e9a03b");
                y += BAR + 2;
            }
            y += 8;
        }
        int width = LABEL + PLOT + 40;
        double one = LABEL + PLOT / EDGE;
        StringBuilder svg = new StringBuilder();
        svg.append(String.format(
                Locale.ROOT,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"11\">%n",
                width,
                y + 20));
        svg.append("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
        text(svg, 16, 24, "start", "bold", "Speed of the peers and limits where Gosset is 1 (line): shorter is slower");
        text(
                svg,
                16,
                42,
                "start",
                "normal",
                run.get("date") + ", " + run.get("cpu model name") + ", " + run.get("jvm"));
        text(svg, 16, 57, "start", "normal", "blue: Gosset; orange: peers; grey: physical limits. Cut at 3.");
        svg.append(bars);
        svg.append(String.format(
                Locale.ROOT,
                "<line x1=\"%.1f\" y1=\"64\" x2=\"%.1f\" y2=\"%d\" stroke=\"#2a6f97\" stroke-dasharray=\"3 3\"/>%n",
                one,
                one,
                y));
        return svg.append("</svg>\n").toString();
    }

    private static void bar(StringBuilder svg, int y, String label, double speed, String colour) {
        double length = PLOT * Math.min(speed, EDGE) / EDGE;
        svg.append(String.format(
                Locale.ROOT,
                "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>%n",
                LABEL,
                y,
                length,
                BAR,
                colour));
        text(svg, LABEL + 5, y + 10, "start", "normal", label);
    }

    private static void text(StringBuilder svg, int x, int y, String anchor, String weight, String text) {
        svg.append(String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\" font-weight=\"%s\">%s</text>%n",
                x,
                y,
                anchor,
                weight,
                text.replace("&", "&amp;").replace("<", "&lt;")));
    }
}
