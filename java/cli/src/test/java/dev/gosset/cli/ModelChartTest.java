package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

class ModelChartTest {
    private static ModelBenchmark.Figure decode(String device, int batch, double rate) {
        return new ModelBenchmark.Figure(device, "decode", batch, rate, 1e6, 0.5, 0, null);
    }

    private static Document parse(String svg) throws Exception {
        return DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)));
    }

    private static List<Double> bars(Document svg) {
        List<Double> widths = new ArrayList<>();
        NodeList rects = svg.getElementsByTagName("rect");
        // The first is the background.
        for (int i = 1; i < rects.getLength(); i++) {
            widths.add(Double.parseDouble(((Element) rects.item(i)).getAttribute("width")));
        }
        return widths;
    }

    @Test
    void tenTimesTheRateIsTheSameStepWhereverItIs() throws Exception {
        Document svg = parse(ModelChart.svg(
                "a < b & c",
                List.of(
                        new ModelBenchmark.Figure("cpu", "prefill", 1, 200, Double.NaN, Double.NaN, 0, null),
                        decode("cpu", 1, 20),
                        decode("cuda:0", 1, 2000))));
        List<Double> bars = bars(svg);
        assertThat(bars).hasSize(3).allMatch(w -> w > 0);
        // Rows stand together: prefill, then the two of decode.
        double decade = bars.get(0) - bars.get(1);
        assertThat(decade).isPositive();
        assertThat(bars.get(2) - bars.get(0)).isCloseTo(decade, org.assertj.core.data.Offset.offset(0.2));
        assertThat(svg.getDocumentElement().getTextContent())
                .contains("a < b & c", "prefill", "decode, batch 1", "cuda:0  2000, 50%");
    }

    @Test
    void whatWasNotMeasuredSaysWhy() throws Exception {
        Document svg = parse(ModelChart.svg(
                "m", List.of(decode("cpu", 4, 3.5), ModelBenchmark.Figure.missing("cuda", "no CUDA: no driver"))));
        assertThat(bars(svg)).hasSize(1);
        assertThat(svg.getDocumentElement().getTextContent()).contains("no CUDA: no driver");
    }
}
