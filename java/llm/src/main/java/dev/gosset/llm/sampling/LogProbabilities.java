package dev.gosset.llm.sampling;

import java.util.ArrayList;
import java.util.List;

/**
 * How likely a drawn token was by the model itself: natural logarithms of the softmax of its logits, before penalties,
 * masks and temperature.
 *
 * @param token the token that was drawn
 * @param logProbability its own
 * @param top the most likely tokens, as many as were asked for, the likeliest first; the first of equals goes first
 */
public record LogProbabilities(int token, double logProbability, List<Alternative> top) {
    /** A token that could have come. */
    public record Alternative(int token, double logProbability) {}

    /**
     * @param logits of the whole vocabulary, as the model gave them
     * @param count how many of the most likely tokens
     */
    static LogProbabilities of(float[] logits, int token, int count) {
        double max = Double.NEGATIVE_INFINITY;
        for (float l : logits) {
            max = Math.max(max, l);
        }
        double sum = 0;
        for (float l : logits) {
            sum += Math.exp(l - max);
        }
        double norm = max + Math.log(sum);
        int n = Math.min(count, logits.length);
        int[] best = new int[n];
        int found = 0;
        for (int i = 0; n > 0 && i < logits.length; i++) {
            if (found == n && !(logits[i] > logits[best[n - 1]])) {
                continue;
            }
            int at = found < n ? found++ : n - 1;
            while (at > 0 && logits[i] > logits[best[at - 1]]) {
                best[at] = best[at - 1];
                at--;
            }
            best[at] = i;
        }
        List<Alternative> top = new ArrayList<>();
        for (int i : best) {
            top.add(new Alternative(i, logits[i] - norm));
        }
        return new LogProbabilities(token, logits[token] - norm, List.copyOf(top));
    }
}
