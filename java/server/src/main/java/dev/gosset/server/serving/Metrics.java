package dev.gosset.server.serving;

import dev.gosset.llm.session.EngineLoad;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.DoubleAdder;
import java.util.concurrent.atomic.LongAdder;

/** What the server counts, as Prometheus reads it. Thread-safe. */
public final class Metrics {
    private static final double[] SECONDS = {
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
    };

    private final long began = System.nanoTime();
    private final Map<String, LongAdder> requests = new ConcurrentSkipListMap<>();
    private final LongAdder promptTokens = new LongAdder();
    private final LongAdder cachedTokens = new LongAdder();
    private final LongAdder stuckSteps = new LongAdder();
    private final Histogram firstToken = new Histogram();
    private final Histogram gap = new Histogram();

    private static final class Histogram {
        final LongAdder[] counts = new LongAdder[SECONDS.length + 1];
        final DoubleAdder sum = new DoubleAdder();

        Histogram() {
            for (int i = 0; i < counts.length; i++) {
                counts[i] = new LongAdder();
            }
        }

        void add(double seconds) {
            int i = 0;
            while (i < SECONDS.length && seconds > SECONDS[i]) {
                i++;
            }
            counts[i].increment();
            sum.add(seconds);
        }
    }

    /** Counts an answer. */
    public void answered(String endpoint, int status) {
        requests.computeIfAbsent("endpoint=\"" + endpoint + "\",status=\"" + status + "\"", k -> new LongAdder())
                .increment();
    }

    /** Counts a step that did not end in time. */
    public void stuck() {
        stuckSteps.increment();
    }

    /** Counts a token: the first one from the request on, others from the one before on. */
    void drawn(boolean first, double seconds) {
        (first ? firstToken : gap).add(seconds);
    }

    void prompt(int tokens, int cached) {
        promptTokens.add(tokens);
        cachedTokens.add(cached);
    }

    /** About how long the queue takes at the rate so far, from 1 to 60. */
    int secondsToServe(EngineLoad load) {
        double rate = (load.drawn() + promptTokens.sum()) / ((System.nanoTime() - began) / 1e9);
        return (int) Math.clamp(load.waitingTokens() / Math.max(rate, 1), 1.0, 60.0);
    }

    /**
     * All of it in Prometheus' text format.
     *
     * @param load null where no model is loaded
     */
    public String text(EngineLoad load) {
        StringBuilder out = new StringBuilder();
        head(out, "requests_total", "counter", "Answers by endpoint and HTTP status.");
        requests.forEach((labels, count) -> line(out, "requests_total{" + labels + "}", count.sum()));
        if (load != null) {
            one(out, "queue_sequences", "gauge", "Sequences that wait.", load.waiting());
            one(out, "queue_tokens", "gauge", "Tokens that they may come to.", load.waitingTokens());
            one(out, "batch_sequences", "gauge", "Sequences that run together.", load.running());
            one(out, "cache_blocks", "gauge", "Blocks for keys and values.", load.memory());
            one(out, "cache_blocks_in_use", "gauge", "Of these, what sequences have.", load.memoryInUse());
            one(out, "steps_total", "counter", "Steps of the engine.", load.steps());
            one(out, "drawn_tokens_total", "counter", "Tokens that were drawn.", load.drawn());
            one(out, "stuck_steps_total", "counter", "Steps that did not end in time.", stuckSteps.sum());
            one(out, "step_seconds", "gauge", "How long the step in progress has taken.", load.stepSeconds());
        }
        one(out, "prompt_tokens_total", "counter", "Tokens of prompts that were read.", promptTokens.sum());
        one(out, "cached_prompt_tokens_total", "counter", "Of these, found in the prefix cache.", cachedTokens.sum());
        histogram(out, "first_token_seconds", "From the request to its first token.", firstToken);
        histogram(out, "token_gap_seconds", "Between two tokens of a sequence.", gap);
        return out.toString();
    }

    private static void head(StringBuilder out, String name, String type, String help) {
        out.append("# HELP gosset_").append(name).append(' ').append(help).append('\n');
        out.append("# TYPE gosset_").append(name).append(' ').append(type).append('\n');
    }

    private static void line(StringBuilder out, String name, Object value) {
        out.append("gosset_").append(name).append(' ').append(value).append('\n');
    }

    private static void one(StringBuilder out, String name, String type, String help, Object value) {
        head(out, name, type, help);
        line(out, name, value);
    }

    private static void histogram(StringBuilder out, String name, String help, Histogram h) {
        head(out, name, "histogram", help);
        long sum = 0;
        for (int i = 0; i < h.counts.length; i++) {
            sum += h.counts[i].sum();
            line(out, name + "_bucket{le=\"" + (i < SECONDS.length ? SECONDS[i] : "+Inf") + "\"}", sum);
        }
        line(out, name + "_sum", h.sum.sum());
        line(out, name + "_count", sum);
    }
}
