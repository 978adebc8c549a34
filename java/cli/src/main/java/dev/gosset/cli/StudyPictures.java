package dev.gosset.cli;

import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.VectorGraphicsEncoder;
import org.knowm.xchart.VectorGraphicsEncoder.VectorGraphicsFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler;

/** Pictures of a study as PNG and SVG, by XChart. */
final class StudyPictures {
    private static final int WIDTH = 900;
    private static final int HEIGHT = 520;

    static {
        System.setProperty("java.awt.headless", "true");
    }

    private StudyPictures() {}

    /** The mean of draws with their deviation. */
    record Point(double value, double deviation, int draws) {}

    /** How points of a series are drawn. */
    enum Form {
        LINES,
        MANY_LINES,
        POINTS
    }

    /**
     * Bars side by side, with error bars.
     *
     * @param series by name, each a value for some of the categories; the others have no bar
     */
    static void bars(
            Path file, String title, String unit, List<String> categories, Map<String, Map<String, Point>> series) {
        CategoryChart chart = new CategoryChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .yAxisTitle(unit)
                .build();
        chart.getStyler().setXAxisLabelRotation(categories.size() > 6 ? 30 : 0);
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
        series.forEach((name, points) -> chart.addSeries(
                name,
                categories,
                categories.stream()
                        .map(c -> points.containsKey(c) ? points.get(c).value : 0)
                        .toList(),
                categories.stream()
                        .map(c -> points.containsKey(c) ? points.get(c).deviation : 0)
                        .toList()));
        write(file, chart);
    }

    /** Points with error bars. */
    static final class Curves {
        private final Map<String, List<double[]>> series = new LinkedHashMap<>();

        void add(String name, double x, Point y) {
            series.computeIfAbsent(name, unused -> new ArrayList<>()).add(new double[] {x, y.value, y.deviation});
        }

        /**
         * Draws them.
         *
         * @param form many lines have neither marks nor a legend
         */
        void draw(Path file, String title, String xTitle, String yTitle, Form form, boolean logX, boolean logY) {
            XYChart chart = new XYChartBuilder()
                    .width(WIDTH)
                    .height(HEIGHT)
                    .title(title)
                    .xAxisTitle(xTitle)
                    .yAxisTitle(yTitle)
                    .build();
            chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
            chart.getStyler().setXAxisLogarithmic(logX);
            chart.getStyler().setYAxisLogarithmic(logY);
            if (form == Form.MANY_LINES) {
                chart.getStyler().setLegendVisible(false);
                chart.getStyler().setMarkerSize(0);
            }
            if (form == Form.POINTS) {
                chart.getStyler().setDefaultSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.Scatter);
            }
            series.forEach((name, points) -> {
                points.sort((a, b) -> Double.compare(a[0], b[0]));
                // On a logarithmic axis bars must not reach 0.
                double[] errors = points.stream()
                        .mapToDouble(p -> logY ? Math.min(p[2], 0.99 * p[1]) : p[2])
                        .toArray();
                if (Arrays.stream(errors).allMatch(e -> e == 0)) {
                    chart.addSeries(name, column(points, 0), column(points, 1));
                } else {
                    chart.addSeries(name, column(points, 0), column(points, 1), errors);
                }
            });
            write(file, chart);
        }

        private static double[] column(List<double[]> points, int i) {
            return points.stream().mapToDouble(p -> p[i]).toArray();
        }
    }

    private static void write(Path file, Chart<?, ?> chart) {
        try {
            BitmapEncoder.saveBitmap(chart, file.toString(), BitmapFormat.PNG);
            VectorGraphicsEncoder.saveVectorGraphic(chart, file.toString(), VectorGraphicsFormat.SVG);
        } catch (IOException e) {
            throw new GossetException(file + ": cannot be written: " + CrashSafeFile.reason(e), e);
        } catch (LinkageError | InternalError e) {
            // The JVM draws text with the system's fontconfig and freetype.
            System.err.println(file + ": no picture, for this machine's Java cannot draw text: " + e.getMessage());
        }
    }
}
