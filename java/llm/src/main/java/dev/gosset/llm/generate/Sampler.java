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
        // Nearly always the tokens that are kept are among the few with a thousandth of the greatest weight, which is
        // 1.
        double least = 1e-3;
        while (true) {
            int candidates = 0;
            for (int i = 0; i < n; i++) {
                // Zero takes all, NaN too.
                if (least == 0 || weights[i] >= least) {
                    order[candidates++] = i;
                }
            }
            int kept = options.topK() == 0
                    ? take(candidates, Integer.MAX_VALUE, options.topP() * sum)
                    : take(candidates, options.topK(), Double.POSITIVE_INFINITY);
            if (kept > 0 || candidates == n) {
                // Rounding may leave the sum of all just short of what was asked.
                kept = kept > 0 ? kept : n;
                return options.topK() == 0 ? kept : cut(kept);
            }
            least = least > 1e-12 ? least * 1e-3 : 0;
        }
    }

    /**
     * Puts the heaviest of the first {@code size} tokens of {@link #order} in front, in order, until there are {@code most} or
     * their weights add up to {@code mass}. A heap gives them one by one, so that only those that are kept are put in order.
     *
     * @return how many; 0 if there were too few, which are all in order then
     */
    private int take(int size, int most, double mass) {
        for (int i = size / 2 - 1; i >= 0; i--) {
            sink(i, size);
        }
        int heap = size;
        double taken = 0;
        boolean enough = false;
        while (heap > 0 && !enough) {
            int top = order[0];
            taken += weights[top];
            order[0] = order[--heap];
            order[heap] = top;
            sink(0, heap);
            enough = size - heap == most || taken >= mass;
        }
        // They stand at the end, the last first.
        for (int i = heap, j = size - 1; i < j; i++, j--) {
            int swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        System.arraycopy(order, heap, order, 0, size - heap);
        return enough ? size - heap : 0;
    }

    /** How many of the first {@code count} tokens of {@link #order}, which top-k left, top-p keeps: it counts among them. */
    private int cut(int count) {
        double all = 0;
        for (int i = 0; i < count; i++) {
            all += weights[order[i]];
        }
        double mass = 0;
        int kept = 0;
        while (kept < count && (kept == 0 || mass < options.topP() * all)) {
            mass += weights[order[kept++]];
        }
        return kept;
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
