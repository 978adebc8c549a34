package dev.gosset.llm.sampling;

import dev.gosset.core.FormatException;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Draws the next token of one sequence from logits, in the order that {@link dev.gosset.llm.sampling} tells. Not
 * thread-safe: one sampler for each running generation.
 */
public final class Sampler {
    private static final int[] NONE = {};

    private final Sampling settings;
    private final SplittableRandom random;
    private final LogitRules rules;
    private final TokenMask mask;
    private final int top;
    /** Of each token of the prompt but the first; null where they are not told. */
    private final LogProbabilities[] ofPrompt;

    private LogProbabilities last;
    private long drawn;
    private int[] following = NONE;
    /** Logits that rules and mask have changed. */
    private float[] changed = new float[0];

    private int[] order = new int[0];
    private double[] weights = new double[0];

    /** A sampler for a sequence that has no prompt to be repeated. */
    public Sampler(Sampling settings) {
        this(settings, new int[0], null, -1);
    }

    /**
     * @param prompt what the repetition penalty counts beside the generated text
     * @param mask forbids tokens; null where all may come
     * @param logProbabilities how many of the most likely tokens {@link #logProbabilities} has beside the drawn one; -1 for
     *     no log-probabilities at all
     */
    public Sampler(Sampling settings, int[] prompt, TokenMask mask, int logProbabilities) {
        this(settings, prompt, mask, logProbabilities, false);
    }

    /**
     * @param promptToo whether {@link #promptLogProbabilities} tells of the prompt's own tokens, as many as of drawn ones
     */
    public Sampler(Sampling settings, int[] prompt, TokenMask mask, int logProbabilities, boolean promptToo) {
        this.ofPrompt = promptToo ? new LogProbabilities[Math.max(0, prompt.length - 1)] : null;
        this.settings = settings;
        this.random = new SplittableRandom(settings.seed());
        this.rules = settings.changesLogits() ? new LogitRules(settings, prompt) : null;
        this.mask = mask;
        this.top = logProbabilities;
    }

    /** What this draws by. */
    public Sampling settings() {
        return settings;
    }

    /** Whether drawing takes more than temperature, top-k and top-p: then a backend that draws by itself cannot. */
    public boolean needsLogits() {
        return !settings.isPlain() || mask != null || top >= 0;
    }

    /** How likely the last token was; null where that was not asked for, or nothing was drawn yet. */
    public LogProbabilities logProbabilities() {
        return last;
    }

    /** Whether the logits behind every token of the prompt are wanted, not only those behind the last. */
    public boolean readsPrompt() {
        return ofPrompt != null;
    }

    /**
     * Takes the logits behind a token of the prompt. Different tokens may come from different threads.
     *
     * @param next the number of the prompt's token that follows, from 1
     */
    public void readPrompt(int next, int token, float[] logits) {
        ofPrompt[next - 1] = LogProbabilities.of(logits, token, top);
    }

    /**
     * How likely each token of the prompt but the first was, in order: once a token was drawn. Empty where that was not asked
     * for.
     */
    public List<LogProbabilities> promptLogProbabilities() {
        return ofPrompt == null ? List.of() : List.of(ofPrompt);
    }

    /**
     * Tokens that come behind the last one without being drawn, for the mask leaves no choice; to be run as if they had been. None
     * where log-probabilities are told, for these have some as well.
     */
    public int[] following() {
        return following;
    }

    /**
     * The next token: drawn, and drawn again from those that the mask leaves where it must not come. So it is distributed as if the mask came
     * first; where top-k, top-p or min-p cut, nearly so, for the first one is drawn from what they leave of all tokens.
     *
     * @param logits one value for each token of the vocabulary, unchanged by the call; the first of equal maxima wins at
     *     temperature 0
     * @throws FormatException where the logits are not numbers, or nothing is left to draw from
     */
    public int next(float[] logits) {
        drawn++;
        following = NONE;
        if (mask != null && drawn == 1 && top < 0) {
            int[] forced = mask.forced(-1);
            if (forced.length > 0) {
                return take(forced);
            }
        }
        int best = argmax(logits);
        if (best < 0 || logits[best] == Float.POSITIVE_INFINITY) {
            throw noNumbers(drawn);
        }
        float[] from = logits;
        if (rules != null) {
            from = copy(logits);
            rules.apply(from);
            best = best(from);
        }
        int token = pick(from, best);
        boolean copied = rules != null;
        while (mask != null && !mask.allows(token)) {
            from = copied ? from : copy(logits);
            copied = true;
            mask.mask(from);
            token = pick(from, best(from));
        }
        if (top >= 0) {
            last = LogProbabilities.of(logits, token, top);
        }
        return take(mask == null || top >= 0 ? new int[] {token} : mask.forced(token));
    }

    private float[] copy(float[] logits) {
        changed = changed.length == logits.length ? changed : new float[logits.length];
        System.arraycopy(logits, 0, changed, 0, logits.length);
        return changed;
    }

    private int best(float[] logits) {
        int best = argmax(logits);
        if (best < 0 || logits[best] == Float.POSITIVE_INFINITY) {
            throw new FormatException(
                    "token " + drawn + " of the text: biases, penalties and mask leave no token that may come");
        }
        return best;
    }

    private int pick(float[] logits, int best) {
        return settings.temperature() == 0 || settings.topK() == 1 ? best : draw(logits, best);
    }

    private int take(int[] tokens) {
        for (int token : tokens) {
            if (rules != null) {
                rules.accept(token);
            }
            if (mask != null) {
                mask.accept(token);
            }
        }
        following = tokens.length == 1 ? NONE : Arrays.copyOfRange(tokens, 1, tokens.length);
        return tokens[0];
    }

    /**
     * What is thrown where a model computes no numbers.
     *
     * @param token the number of the token in the text, from 1
     */
    public static FormatException noNumbers(long token) {
        return new FormatException(
                "token " + token + " of the text: the model's logits are no probabilities: found what is"
                        + " not a number or infinite, expected finite numbers");
    }

    private int draw(float[] logits, int best) {
        int n = logits.length;
        if (weights.length < n) {
            weights = new double[n];
            order = new int[n];
        }
        double max = logits[best];
        double sum = 0;
        for (int i = 0; i < n; i++) {
            weights[i] = Math.exp((logits[i] - max) / settings.temperature());
            sum += weights[i];
        }
        if (settings.topK() == 0 && settings.topP() == 1 && settings.minP() == 0) {
            return draw(n, sum, false);
        }
        // The greatest weight is 1, so min-p is the least one.
        int kept = settings.topK() == 0 && settings.topP() == 1 ? all(n) : select(n, sum);
        while (kept > 1 && settings.minP() > weights[order[kept - 1]]) {
            kept--;
        }
        double keptSum = 0;
        for (int i = 0; i < kept; i++) {
            keptSum += weights[order[i]];
        }
        return draw(kept, keptSum, true);
    }

    /** Puts the tokens that min-p keeps into {@link #order}; returns how many. */
    private int all(int n) {
        int kept = 0;
        for (int i = 0; i < n; i++) {
            if (weights[i] >= settings.minP()) {
                order[kept++] = i;
            }
        }
        return kept;
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
            int kept = settings.topK() == 0
                    ? take(candidates, Integer.MAX_VALUE, settings.topP() * sum)
                    : take(candidates, settings.topK(), Double.POSITIVE_INFINITY);
            if (kept > 0 || candidates == n) {
                // Rounding may leave the sum of all just short of what was asked.
                kept = kept > 0 ? kept : n;
                return settings.topK() == 0 ? kept : cut(kept);
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
        while (kept < count && (kept == 0 || mass < settings.topP() * all)) {
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

    /** The index of the first maximum; -1 where a logit is not a number or all are minus infinity. */
    public static int argmax(float[] logits) {
        int best = -1;
        float max = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < logits.length; i++) {
            if (!(logits[i] <= max)) {
                if (Float.isNaN(logits[i])) {
                    return -1;
                }
                max = logits[i];
                best = i;
            }
        }
        return best;
    }
}
