package dev.gosset.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The table of a run as text. */
final class Table {
    private static final String[] HEAD = {"what", "size", "thr", "ours", "scalar", "peers", "of limit", "target"};

    private Table() {}

    static String of(Map<String, Object> run, List<Entry> entries) {
        List<String[]> rows = new ArrayList<>();
        rows.add(HEAD);
        for (Entry e : entries) {
            List<String> targets = e.targets().stream().map(Table::target).toList();
            rows.add(new String[] {
                e.what(),
                e.size(),
                Integer.toString(e.threads()),
                ours(e),
                ratio(e.ratio(Case.ORACLE)),
                peers(e),
                limit(e),
                targets.isEmpty() ? "" : targets.getFirst()
            });
            for (int i = 1; i < targets.size(); i++) {
                rows.add(new String[] {"", "", "", "", "", "", "", targets.get(i)});
            }
        }
        int[] widths = new int[HEAD.length];
        for (String[] row : rows) {
            for (int i = 0; i < row.length; i++) {
                widths[i] = Math.max(widths[i], row[i].length());
            }
        }
        StringBuilder text = new StringBuilder();
        run.forEach((key, value) -> text.append(key).append(": ").append(value).append('\n'));
        text.append("\nscalar and peers: how many times as fast as they we are\n\n");
        for (String[] row : rows) {
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < row.length; i++) {
                line.append(row[i]).append(" ".repeat(widths[i] - row[i].length() + 2));
            }
            text.append(line.toString().stripTrailing()).append('\n');
        }
        long met = count(entries, Boolean.TRUE);
        long missed = count(entries, Boolean.FALSE);
        long undecided = count(entries, null);
        text.append(
                String.format(Locale.ROOT, "%ntargets: %d met, %d missed, %d not measured%n", met, missed, undecided));
        entries.stream()
                .flatMap(e -> e.absent().entrySet().stream())
                .map(a -> a.getKey() + ": " + a.getValue())
                .distinct()
                .forEach(line -> text.append("absent: ").append(line).append('\n'));
        entries.stream()
                .flatMap(e -> e.notes().stream())
                .distinct()
                .forEach(line -> text.append("note: ").append(line).append('\n'));
        return text.toString();
    }

    private static long count(List<Entry> entries, Boolean met) {
        return entries.stream()
                .flatMap(e -> e.targets().stream())
                .filter(t -> java.util.Objects.equals(t.met(), met))
                .count();
    }

    private static String target(Entry.Target t) {
        return t.text() + ": " + t.measured() + (t.met() == null ? "" : t.met() ? ", met" : ", MISSED");
    }

    /** A rate, or the time of one run where that says more. */
    static String ours(Entry e) {
        double nanos = e.ours();
        return switch (e.unit()) {
            case "floats" -> time(nanos * e.run());
            case "bytes" -> String.format(Locale.ROOT, "%.1f GB/s", 1 / nanos);
            case "cycles" -> String.format(Locale.ROOT, "%.2f GHz", 1 / nanos);
            case "tokens" -> String.format(Locale.ROOT, "%.1f tokens/s", 1e9 / nanos);
            default ->
                e.what().equals(Cases.QUANTIZE)
                        ? time(nanos * e.run())
                        : String.format(Locale.ROOT, "%.3g Gweights/s", 1 / nanos);
        };
    }

    private static String time(double nanos) {
        return nanos < 1e6
                ? String.format(Locale.ROOT, "%.2f us", nanos / 1e3)
                : nanos < 1e9
                        ? String.format(Locale.ROOT, "%.1f ms", nanos / 1e6)
                        : String.format(Locale.ROOT, "%.1f s", nanos / 1e9);
    }

    private static String ratio(double ratio) {
        return Double.isNaN(ratio) ? "" : String.format(Locale.ROOT, ratio < 10 ? "%.2fx" : "%.0fx", ratio);
    }

    private static String peers(Entry e) {
        List<String> peers = new ArrayList<>();
        for (String name : e.nanos().keySet()) {
            if (!name.equals(Case.OURS) && !name.equals(Case.ORACLE) && !name.startsWith(Case.LIMIT)) {
                peers.add(name + " " + ratio(e.ratio(name)));
            }
        }
        e.absent().keySet().forEach(name -> peers.add(name + " absent"));
        return String.join(", ", peers);
    }

    private static String limit(Entry e) {
        for (String name : e.nanos().keySet()) {
            if (name.startsWith(Case.LIMIT)) {
                return String.format(
                        Locale.ROOT, "%.0f%% of %s", 100 * e.ratio(name), name.substring(Case.LIMIT.length()));
            }
        }
        return "";
    }
}
