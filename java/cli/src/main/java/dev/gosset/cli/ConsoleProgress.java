package dev.gosset.cli;

import dev.gosset.llm.Progress;
import java.time.Duration;
import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** Progress on stderr: a bar with the time left on a terminal, a plain line every few seconds otherwise. */
final class ConsoleProgress implements Progress, AutoCloseable {
    private static final Duration BETWEEN_LINES = Duration.ofSeconds(5);

    private final boolean terminal =
            System.console() != null && System.console().isTerminal();
    private ProgressBar bar;
    private String job = "";
    private long steps;
    private long done;
    private long started;
    private long lastLine;

    @Override
    public void start(String job, long steps) {
        close();
        this.job = job;
        this.steps = steps;
        this.done = 0;
        this.started = System.nanoTime();
        this.lastLine = started;
        if (terminal) {
            bar = new ProgressBarBuilder()
                    .setTaskName(job)
                    .setInitialMax(steps)
                    .setStyle(ProgressBarStyle.ASCII)
                    .setUpdateIntervalMillis(200)
                    .build();
        } else {
            System.err.println(job + ": " + steps + " steps");
        }
    }

    @Override
    public void step(String detail) {
        done++;
        if (bar != null) {
            bar.step();
            bar.setExtraMessage(detail);
            return;
        }
        long now = System.nanoTime();
        if (now - lastLine > BETWEEN_LINES.toNanos() && done < steps) {
            lastLine = now;
            double elapsed = (now - started) / 1e9;
            System.err.printf(
                    Locale.ROOT,
                    "%s: %d of %d, %s left%s%n",
                    job,
                    done,
                    steps,
                    duration(elapsed * (steps - done) / done),
                    detail.isEmpty() ? "" : " (" + detail + ")");
        }
    }

    @Override
    public void note(String text) {
        if (bar != null) {
            bar.setExtraMessage(text);
        } else {
            System.err.println(job + ": " + text);
        }
    }

    @Override
    public void end() {
        if (bar == null && steps > 0) {
            System.err.printf(Locale.ROOT, "%s: done in %s%n", job, duration((System.nanoTime() - started) / 1e9));
        }
        close();
    }

    static String duration(double seconds) {
        if (seconds < 100) {
            return String.format(Locale.ROOT, "%.1f s", seconds);
        }
        long s = Math.round(seconds);
        return s < 6000 ? s / 60 + " min " + s % 60 + " s" : s / 3600 + " h " + s / 60 % 60 + " min";
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
            bar = null;
        }
        steps = 0;
    }
}
