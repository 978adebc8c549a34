package dev.gosset.llm.generate;

import java.util.SplittableRandom;

/**
 * Draws the next token from logits: temperature, then top-k, then top-p, as in Hugging Face's sampler. Not thread-safe:
 * one sampler for each running generation.
 */
public final class Sampler {
    private final GenerationOptions options;
    private final SplittableRandom random;
    private int[] order = new int[0];
    private double[] weights = new double[0];

    public Sampler(GenerationOptions options) {
        this.options = options;
        this.random = new SplittableRandom(options.seed());
    }

    /**
     * The next token.
     *
     * @param logits one value for each token of the vocabulary, unchanged by the call; the first of equal maxima wins at
     *     temperature 0
     */
    public int next(float[] logits) {
        int best = argmax(logits);
        if (options.temperature() == 0 || options.topK() == 1) {
            return best;
        }
        int n = logits.length;
        if (weights.length < n) {
            weights = new double[n];
            order = new int[n];
        }
        double max = logits[best];
        double sum = 0;
        for (int i = 0; i < n; i++) {
            weights[i] = Math.exp((logits[i] - max) / options.temperature());
            sum += weights[i];
        }
        if (options.topK() == 0 && options.topP() == 1) {
            return draw(n, sum, false);
        }
        int kept = select(n, sum);
        double keptSum = 0;
        for (int i = 0; i < kept; i++) {
            keptSum += weights[order[i]];
        }
        return draw(kept, keptSum, true);
    }

    /** Puts the tokens that top-k and top-p keep in front of {@link #order}, heaviest first; returns how many. */
    private int select(int n, double sum) {
        for (int i = 0; i < n; i++) {
            order[i] = i;
        }
        int k = options.topK() == 0 ? n : Math.min(options.topK(), n);
        // A heap gives the heaviest tokens one by one, so that only those that are kept are put in order.
        for (int i = n / 2 - 1; i >= 0; i--) {
            sink(i, n);
        }
        int heap = n;
        double total = options.topK() == 0 ? sum : 0;
        int[] taken = new int[k];
        int count = 0;
        double mass = 0;
        while (count < k) {
            int top = order[0];
            taken[count++] = top;
            mass += weights[top];
            order[0] = order[--heap];
            sink(0, heap);
            if (options.topK() == 0 && mass >= options.topP() * total) {
                break;
            }
        }
        if (options.topK() > 0) {
            // Top-p counts among the tokens that top-k left.
            double all = mass;
            mass = 0;
            int kept = 0;
            while (kept < count) {
                mass += weights[taken[kept++]];
                if (mass >= options.topP() * all) {
                    break;
                }
            }
            count = kept;
        }
        System.arraycopy(taken, 0, order, 0, count);
        return count;
    }

    private boolean heavier(int a, int b) {
        return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
    }

    private void sink(int i, int size) {
        while (2 * i + 1 < size) {
            int child = 2 * i + 1;
            if (child + 1 < size && heavier(order[child + 1], order[child])) {
                child++;
            }
            if (!heavier(order[child], order[i])) {
                return;
            }
            int swap = order[i];
            order[i] = order[child];
            order[child] = swap;
            i = child;
        }
    }

    private int draw(int count, double sum, boolean ordered) {
        double u = random.nextDouble() * sum;
        int token = 0;
        for (int i = 0; i < count; i++) {
            token = ordered ? order[i] : i;
            u -= weights[token];
            if (u < 0) {
                break;
            }
        }
        return token;
    }

    /** The index of the first maximum. */
    public static int argmax(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            if (logits[i] > logits[best]) {
                best = i;
            }
        }
        return best;
    }
}
