package dev.gosset.llm.evaluate;

import dev.gosset.core.FormatException;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.llm.Progress;
import dev.gosset.llm.device.LoadedModel;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Perplexity of a text: the tokens are cut into chunks of {@code context} that do not overlap, the incomplete tail is
 * dropped, and {@code perplexity = exp(mean over chunks of the mean cross entropy of its context - 1 predictions)}.
 * Source: spec/quip-sharp.md, section 8.
 *
 * @param perplexity the result
 * @param chunks how many chunks were counted
 * @param context tokens per chunk
 * @param tokens tokens in the counted chunks
 * @param seconds wall time
 */
public record Perplexity(double perplexity, int chunks, int context, long tokens, double seconds) {
    /**
     * Measures.
     *
     * @param tokens the whole text, the begin-of-text token once in front where the model has one
     * @param context tokens per chunk, at least 2
     * @param source what the tokens came from, for messages
     * @throws FormatException where the text does not fill one chunk
     */
    public static Perplexity measure(LoadedModel model, int[] tokens, int context, String source, Progress progress) {
        int chunks = chunks(tokens, context, source);
        long started = System.nanoTime();
        progress.start("perplexity", chunks);
        double sum = 0;
        for (int c = 0; c < chunks; c++) {
            int[] chunk = Arrays.copyOfRange(tokens, c * context, (c + 1) * context);
            sum += crossEntropy(model, chunk, 1) / (context - 1);
            progress.step("");
        }
        progress.end();
        return new Perplexity(
                Math.exp(sum / chunks), chunks, context, (long) chunks * context, (System.nanoTime() - started) / 1e9);
    }

    /** How many chunks of {@code context} tokens there are; fails where that is none. */
    public static int chunks(int[] tokens, int context, String source) {
        if (context < 2) {
            throw new IllegalArgumentException("a context of " + context + " predicts nothing: at least 2 are needed");
        }
        int chunks = tokens.length / context;
        if (chunks == 0) {
            throw new FormatException(source + ": text too short: its " + tokens.length
                    + " tokens do not fill one chunk of " + context + "; give more text, or take a shorter context");
        }
        return chunks;
    }

    /**
     * The sum of {@code -log p(tokens[t] | tokens[0..t-1])} over {@code t = from .. tokens.length - 1}.
     *
     * @param from the first predicted token, at least 1
     */
    static double crossEntropy(LoadedModel model, int[] tokens, int from) {
        double[] losses = new double[tokens.length];
        losses(model, tokens, from, losses);
        double sum = 0;
        for (double loss : losses) {
            sum += loss;
        }
        return sum;
    }

    /**
     * The terms of {@link #crossEntropy}.
     *
     * @param losses as many as tokens; those from {@code from} on are written
     * @return whether each of those tokens is the most likely one
     */
    static boolean losses(LoadedModel model, int[] tokens, int from, double[] losses) {
        Kernels.requireVectorApi("perplexity");
        int vocabulary = model.config().vocabularySize();
        AtomicBoolean greedy = new AtomicBoolean(true);
        model.logits(
                tokens,
                from - 1,
                tokens.length - 1,
                (first, logits) -> model.team().run(logits.rows(), r -> {
                    int target = tokens[first + r + 1];
                    losses[first + r + 1] = VectorMath.logSumExp(logits.data(), 4L * r * vocabulary, vocabulary)
                            - logits.get(r, target);
                    // No more likely than log 1/2 says that another may be more likely.
                    if (losses[first + r + 1] > Math.log(2) - 1e-3 && !isLargest(logits, r, target)) {
                        greedy.set(false);
                    }
                }));
        return greedy.get();
    }

    private static boolean isLargest(FloatMatrix logits, int row, int target) {
        for (int i = 0; i < logits.cols(); i++) {
            if (logits.get(row, i) > logits.get(row, target)) {
                return false;
            }
        }
        return true;
    }
}
