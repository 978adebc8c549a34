package dev.gosset.bench;

import dev.gosset.llm.io.BarChart;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The run as an SVG: for each row the speed of everyone, ours being 1. */
final class Chart {
    /** Speed at the right edge; longer bars are cut there and say so. */
    private static final double EDGE = 3;

    private Chart() {}

    static String of(Map<String, Object> run, List<Entry> entries) {
        BarChart chart = new BarChart(
                List.of(
                        "Speed of the peers and limits where Gosset is 1 (line): shorter is slower",
                        run.get("date") + ", " + run.get("cpu model name") + ", " + run.get("jvm"),
                        "blue: Gosset; orange: peers; grey: physical limits. Cut at 3."),
                300,
                520);
        for (Entry e : entries) {
            List<String> names = e.nanos().keySet().stream()
                    .filter(name -> !name.equals(Case.OURS) && !name.equals(Case.ORACLE))
                    .toList();
            if (names.isEmpty()) {
                continue;
            }
            chart.group(e.what() + " " + e.size() + (e.threads() > 1 ? ", 2 threads" : ""))
                    .bar(1 / EDGE, "#2a6f97", "gosset " + Table.ours(e));
            for (String name : names) {
                boolean limit = name.startsWith(Case.LIMIT);
                double speed = 1 / e.ratio(name);
                String shown = limit ? name.substring(Case.LIMIT.length()) : name;
                chart.bar(
                        Math.min(speed, EDGE) / EDGE,
                        limit ? "#bbbbbb" : "#e9a03b",
                        String.format(Locale.ROOT, "%s %.2f", shown, speed));
            }
        }
        chart.mark(1 / EDGE);
        return chart.svg();
    }
}
