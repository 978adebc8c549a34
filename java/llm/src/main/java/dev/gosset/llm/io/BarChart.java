package dev.gosset.llm.io;

import java.util.List;
import java.util.Locale;

/** Groups of horizontal bars as an SVG, from the top down. One thread at a time. */
public final class BarChart {
    private static final int BAR = 14;
    /** Room for captions to the right of the longest bar. */
    private static final int CAPTION = 260;

    private final int label;
    private final int plot;
    private final int top;
    private final StringBuilder body = new StringBuilder();
    private int y;

    /**
     * @param headings lines above the bars, the first in bold
     * @param label width of the labels of groups, in pixels
     * @param plot length of the longest bar
     */
    public BarChart(List<String> headings, int label, int plot) {
        this.label = label;
        this.plot = plot;
        for (String heading : headings) {
            text(16, y + 22, y == 0 ? "start\" font-weight=\"bold" : "start", heading);
            y += 17;
        }
        top = y + 12;
        y = top + 4;
    }

    /** Begins a group. */
    public BarChart group(String name) {
        y += 8;
        text(label - 8, y + BAR - 4, "end\" font-weight=\"bold", name);
        return this;
    }

    /**
     * Adds a bar.
     *
     * @param length 0 to 1
     * @param colour as SVG writes it
     * @param caption beside its end
     */
    public void bar(double length, String colour, String caption) {
        body.append(String.format(
                Locale.ROOT,
                "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>%n",
                label,
                y,
                plot * length,
                BAR - 1,
                colour));
        text((int) (label + plot * length + 6), y + BAR - 4, "start", caption);
        y += BAR + 1;
    }

    /** Adds a line of text. */
    public void note(String text) {
        text(16, y + BAR - 4, "start", text);
        y += BAR + 1;
    }

    /** A dashed line beside all bars so far. */
    public void mark(double length) {
        double x = label + plot * length;
        body.append(String.format(
                Locale.ROOT,
                "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#2a6f97\" stroke-dasharray=\"3 3\"/>%n",
                x,
                top,
                x,
                y));
    }

    /** The whole as a document. */
    public String svg() {
        return String.format(
                Locale.ROOT,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\""
                        + " font-size=\"11\">%n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>%n%s</svg>%n",
                label + plot + CAPTION,
                y + 20,
                body);
    }

    private void text(int x, int at, String anchor, String text) {
        body.append(String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>%n",
                x,
                at,
                anchor,
                text.replace("&", "&amp;").replace("<", "&lt;")));
    }
}
