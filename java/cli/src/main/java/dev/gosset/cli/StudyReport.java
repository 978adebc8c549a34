package dev.gosset.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.llm.study.StudyRow;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Tables and pictures of a study, from the lines of its runs only. */
final class StudyReport {
    private static final String KL = "KL, nats per token";

    private final String study;
    private final Path out;

    StudyReport(String study, Path out) {
        this.study = study;
        this.out = out;
    }

    /** The file of the table in Markdown. */
    Path table() {
        return out.resolve(study + ".md");
    }

    void write(List<ObjectNode> lines) {
        Map<String, List<ObjectNode>> kinds = lines.stream()
                .collect(Collectors.groupingBy(
                        l -> l.path("study").asText("models"), LinkedHashMap::new, Collectors.toList()));
        Tables tables = new Tables();
        kinds.forEach((kind, of) -> {
            switch (kind) {
                case "normal" -> normal(of, tables);
                case "spectrum" -> spectrum(of, tables);
                default -> models(of, tables);
            }
        });
        CrashSafeFile.write(table(), tables.markdown.toString().getBytes(StandardCharsets.UTF_8));
        CrashSafeFile.write(out.resolve(study + ".csv"), tables.csv.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** One table after the other, rounded for readers in Markdown and whole in CSV. */
    private static final class Tables {
        final StringBuilder markdown = new StringBuilder();
        final StringBuilder csv = new StringBuilder();

        /** Columns with a ± in front have the deviation behind the mean, in CSV as a column of its own. */
        void head(String... columns) {
            String gap = markdown.isEmpty() ? "" : "\n";
            markdown.append(gap)
                    .append("| ")
                    .append(String.join(" | ", columns).replace("±", ""))
                    .append(" |\n");
            markdown.append("|---".repeat(columns.length)).append("|\n");
            csv.append(gap)
                    .append(Arrays.stream(columns)
                            .map(c -> c.startsWith("±") ? c.substring(1) + "," + c.substring(1) + " deviation" : c)
                            .map(c -> c.replace(", ", " "))
                            .collect(Collectors.joining(",")))
                    .append('\n');
        }

        /** Cells are texts, numbers with their format in front of them, and {@link StudyPictures.Point}s likewise. */
        void row(Object... cells) {
            List<String> shown = new ArrayList<>();
            List<String> whole = new ArrayList<>();
            for (int i = 0; i < cells.length; i++) {
                if (i + 1 < cells.length && cells[i + 1] instanceof StudyPictures.Point p) {
                    String format = (String) cells[i];
                    shown.add(String.format(Locale.ROOT, format, p.value())
                            + (p.draws() == 1 ? "" : " ± " + String.format(Locale.ROOT, format, p.deviation())));
                    whole.add(String.valueOf(p.value()));
                    whole.add(String.valueOf(p.deviation()));
                    i++;
                } else if (i + 1 < cells.length && cells[i + 1] instanceof Double v) {
                    shown.add(String.format(Locale.ROOT, (String) cells[i], v));
                    whole.add(v.toString());
                    i++;
                } else {
                    shown.add(cells[i].toString());
                    whole.add(cells[i].toString());
                }
            }
            markdown.append("| ").append(String.join(" | ", shown)).append(" |\n");
            csv.append(String.join(",", whole)).append('\n');
        }
    }

    private static JsonNode field(JsonNode line, String name) {
        JsonNode found = line.path(name);
        if (found.isMissingNode()) {
            throw new FormatException(
                    "runs.jsonl: a line of this study has no \"" + name + "\": delete it to run it again");
        }
        return found;
    }

    private static double number(JsonNode line, String name) {
        JsonNode found = field(line, name);
        if (!found.isNumber()) {
            throw new FormatException("runs.jsonl: \"" + name + "\" of a line of this study is " + found
                    + ", expected a number: delete it to run it again");
        }
        return found.doubleValue();
    }

    /** Lines that differ in their seeds only. */
    private record Group(List<ObjectNode> lines) {
        String text(String field) {
            return field(lines.getFirst(), field).asText();
        }

        /** Mean and standard deviation over the draws. */
        StudyPictures.Point of(String field) {
            double[] values = lines.stream().mapToDouble(l -> number(l, field)).toArray();
            double mean = Arrays.stream(values).average().orElseThrow();
            double squares =
                    Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum();
            return new StudyPictures.Point(
                    mean, values.length == 1 ? 0 : Math.sqrt(squares / (values.length - 1)), values.length);
        }

        Double mean(String field) {
            return of(field).value();
        }
    }

    private static List<Group> groups(List<ObjectNode> lines, Function<ObjectNode, String> key) {
        return lines.stream()
                .collect(Collectors.groupingBy(key, LinkedHashMap::new, Collectors.toList()))
                .values()
                .stream()
                .map(Group::new)
                .toList();
    }

    private static String name(Group g) {
        return g.text("method").equals(StudyRow.ORIGINAL)
                ? StudyRow.ORIGINAL
                : g.text("method") + " " + g.text("processing");
    }

    // ------------------------------------------------------------------------------------------------ models

    private void models(List<ObjectNode> lines, Tables tables) {
        List<Group> groups = groups(
                lines,
                l -> l.get("model") + " " + l.get("model_hash") + " " + l.get("bits") + " " + l.get("method") + " "
                        + l.get("processing"));
        tables.head(
                "model",
                "bits",
                "method",
                "processing",
                "draws",
                "bits per weight",
                "bytes",
                "mean proxy",
                "±KL",
                "±perplexity",
                "original's",
                "same first token",
                "seconds");
        for (Group g : groups) {
            tables.row(
                    g.text("model"),
                    g.text("bits"),
                    g.text("method"),
                    g.text("processing"),
                    g.lines.size(),
                    "%.3f",
                    g.mean("bits_per_weight"),
                    "%.0f",
                    g.mean("bytes"),
                    "%.5f",
                    g.mean("mean_proxy"),
                    "%.4f",
                    g.of("kl"),
                    "%.3f",
                    g.of("perplexity"),
                    "%.3f",
                    g.mean("teacher_perplexity"),
                    "%.4f",
                    g.mean("top1_agreement"),
                    "%.1f",
                    g.mean("seconds"));
        }
        if (study.equals("scaling")) {
            scaling(groups);
        } else {
            bars(groups);
        }
    }

    /** Two pictures for each model and rate: processings beside each other for each method, or the rows themselves. */
    private void bars(List<Group> groups) {
        Map<String, List<Group>> pictures = new TreeMap<>();
        groups.forEach(g -> pictures.computeIfAbsent(
                        g.text("model") + "-" + g.text("bits") + "bit", unused -> new ArrayList<>())
                .add(g));
        pictures.forEach((picture, rows) -> {
            for (String field : List.of("kl", "perplexity")) {
                String unit = field.equals("kl") ? KL : field;
                List<String> categories = new ArrayList<>();
                Map<String, Map<String, StudyPictures.Point>> series = new LinkedHashMap<>();
                for (Group g : rows) {
                    boolean crossed = study.equals("methods");
                    String category = crossed ? g.text("method") : name(g);
                    if (!categories.contains(category)) {
                        categories.add(category);
                    }
                    series.computeIfAbsent(crossed ? g.text("processing") : unit, unused -> new LinkedHashMap<>())
                            .put(category, g.of(field));
                }
                StudyPictures.bars(
                        out.resolve(study + "-" + picture + "-" + field),
                        picture.replaceFirst("-(\\d+)bit$", ", $1 bits"),
                        unit,
                        categories,
                        series);
            }
        });
    }

    private void scaling(List<Group> groups) {
        for (String field : List.of("kl", "perplexity")) {
            StudyPictures.Curves curves = new StudyPictures.Curves();
            for (Group g : groups) {
                if (!field.equals("kl") || !g.text("method").equals(StudyRow.ORIGINAL)) {
                    curves.add(name(g) + ", " + g.text("bits") + " bits", g.mean("bytes") / (1 << 20), g.of(field));
                }
            }
            curves.draw(
                    out.resolve("scaling-" + field),
                    "Models against their size",
                    "MiB, what is not a linear in 16 bits",
                    field.equals("kl") ? KL : field,
                    StudyPictures.Form.LINES,
                    true,
                    true);
        }
    }

    // ------------------------------------------------------------------------------------------------ normal numbers

    /** Codebooks beside the least error that any code of the rate has: {@code 2^(-2 bits)}. */
    private void normal(List<ObjectNode> lines, Tables tables) {
        StudyPictures.Curves curves = new StudyPictures.Curves();
        tables.head("codebook", "bits per weight", "best scale", "draws", "±squared error", "least possible", "ratio");
        double most = 0;
        for (Group g : groups(lines, l -> l.get("codebook").asText())) {
            double bits = g.mean("bits");
            double least = Math.pow(4, -bits);
            most = Math.max(most, bits);
            StudyPictures.Point error = g.of("error");
            tables.row(
                    g.text("codebook"),
                    "%.3f",
                    bits,
                    "%.3f",
                    g.mean("scale"),
                    g.lines.size(),
                    "%.5f",
                    error,
                    "%.5f",
                    least,
                    "%.3f",
                    error.value() / least);
            curves.add(g.text("codebook").replaceFirst("(-[0-9.]+|12(rvq.b)?)$", ""), bits, error);
        }
        for (double bits = 0.75; bits <= most + 0.25; bits += 0.25) {
            curves.add("least possible", bits, new StudyPictures.Point(Math.pow(4, -bits), 0, 1));
        }
        curves.draw(
                out.resolve("codebooks-normal"),
                "Codebooks on normal numbers",
                "bits per weight",
                "squared error",
                StudyPictures.Form.LINES,
                false,
                true);
    }

    // ------------------------------------------------------------------------------------------------ spectrum

    /** QuIP's summary: each linear before and after processing, and what LDLQ makes of it at 2 bits. */
    private void spectrum(List<ObjectNode> lines, Tables tables) {
        Map<String, double[]> sums = new LinkedHashMap<>();
        Map<String, StudyPictures.Curves> scatters = new LinkedHashMap<>();
        tables.head(
                "model",
                "linear",
                "processing",
                "mu H",
                "99 % of draws",
                "bound",
                "mu W",
                "99 % of draws",
                "bound",
                "tr D / tr H",
                "first column first",
                "rank",
                "rank, above 0.01",
                "bound on tr D",
                "LDLQ at 2 bits, predicted",
                "measured",
                "nearest, predicted");
        for (ObjectNode line : lines) {
            String model = line.get("model").asText();
            String processing = line.get("processing").asText();
            double[] sum = sums.computeIfAbsent(model + "," + processing, unused -> new double[4]);
            StudyPictures.Curves curves = new StudyPictures.Curves();
            for (JsonNode l : field(line, "linears")) {
                Function<String, Double> of = field -> number(l, field);
                tables.row(
                        model,
                        l.get("name").asText(),
                        processing,
                        "%.2f",
                        of.apply("mu_h"),
                        "%.2f",
                        of.apply("mu_h_99"),
                        "%.2f",
                        of.apply("bound_mu_h"),
                        "%.2f",
                        of.apply("mu_w"),
                        "%.2f",
                        of.apply("mu_w_99"),
                        "%.2f",
                        of.apply("bound_mu_w"),
                        "%.4f",
                        of.apply("trace_d") / of.apply("trace_h"),
                        "%.4f",
                        of.apply("trace_d_first") / of.apply("trace_h"),
                        "%.3f",
                        of.apply("rank"),
                        "%.3f",
                        of.apply("rank01"),
                        "%.2f",
                        of.apply("bound_d") / of.apply("trace_d"),
                        "%.5f",
                        of.apply("predicted_ldlq"),
                        "%.5f",
                        of.apply("measured"),
                        "%.5f",
                        of.apply("predicted_nearest"));
                sum[0] += of.apply("predicted_ldlq");
                sum[1] += of.apply("measured");
                sum[2] += of.apply("trace_d") / of.apply("trace_h");
                sum[3]++;
                JsonNode values = field(l, "eigenvalues");
                for (int i = 0; i < values.size(); i++) {
                    double share = values.get(i).doubleValue() / values.get(0).doubleValue();
                    if (share > 0) {
                        curves.add(
                                l.get("name").asText(),
                                l.get("places").get(i).doubleValue(),
                                new StudyPictures.Point(share, 0, 1));
                    }
                }
                scatters.computeIfAbsent(model, unused -> new StudyPictures.Curves())
                        .add(processing, of.apply("mu_h"), new StudyPictures.Point(of.apply("mu_w"), 0, 1));
            }
            curves.draw(
                    out.resolve("spectrum-" + model + "-" + processing),
                    model + ", eigenvalues of the Hessians, processing " + processing,
                    "number",
                    "part of the largest",
                    StudyPictures.Form.MANY_LINES,
                    true,
                    true);
        }
        scatters.forEach((model, scatter) -> scatter.draw(
                out.resolve("spectrum-" + model + "-mu"),
                model + ", incoherence of linears",
                "mu of H",
                "mu of W",
                StudyPictures.Form.POINTS,
                true,
                true));
        tables.head(
                "model",
                "processing",
                "mean tr D / tr H",
                "LDLQ at 2 bits, predicted, mean",
                "measured, mean",
                "measured / predicted");
        sums.forEach((key, sum) -> tables.row(
                key.substring(0, key.lastIndexOf(',')),
                key.substring(key.lastIndexOf(',') + 1),
                "%.4f",
                sum[2] / sum[3],
                "%.5f",
                sum[0] / sum[3],
                "%.5f",
                sum[1] / sum[3],
                "%.3f",
                sum[1] / sum[0]));
    }
}
