package dev.gosset.llm.evaluate;

import dev.gosset.core.FormatException;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.Progress;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Objects;

/**
 * How far a model is from its teacher, the model it was made from: the mean over predicted tokens of the Kullback-Leibler divergence
 * {@code KL(p || q) = sum_v p_v log(p_v / q_v)} in nats, p the teacher's distribution of the next token and q the model's. Chunks and
 * predictions are those of {@link Perplexity}, whose values for both models come with it. 0 for the teacher itself. Unlike a
 * perplexity it cannot fall by luck, and the text's own difficulty cancels: far fewer tokens tell two models apart.
 *
 * @param perplexity the model's, and the chunks
 * @param teacherPerplexity the teacher's
 * @param kl mean divergence per token, in nats
 * @param klError standard error of that mean: the deviation of the chunks' means over the root of their number, for tokens of one
 *     chunk are not independent; NaN for one chunk
 * @param top1Agreement the share of predictions in which both find the same token the most likely
 */
public record Divergence(
        Perplexity perplexity, double teacherPerplexity, double kl, double klError, double top1Agreement) {
    /** Bytes of the teacher's logits that are held: a chunk's, and of large vocabularies a part of a chunk's at a time. */
    private static final long HELD = 1L << 30;

    private static final String EXPECTED = "expected the model that it was made from";

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /**
     * Measures.
     *
     * @param tokens as {@link Perplexity#measure} takes them
     * @param context tokens per chunk, at least 2
     * @param source what the tokens came from, for messages
     * @throws FormatException where the text does not fill one chunk, the vocabularies are not of one size, or logits are no numbers
     */
    public static Divergence measure(
            LoadedModel model, LoadedModel teacher, int[] tokens, int context, String source, Progress progress) {
        return measure(model, teacher, tokens, context, source, progress, HELD);
    }

    /** The same holding other numbers of bytes, for tests. */
    static Divergence measure(
            LoadedModel model,
            LoadedModel teacher,
            int[] tokens,
            int context,
            String source,
            Progress progress,
            long held) {
        Kernels.requireVectorApi("divergence");
        int vocabulary = model.config().vocabularySize();
        if (vocabulary != teacher.config().vocabularySize()) {
            throw new FormatException("the model has a vocabulary of " + vocabulary + ", its teacher one of "
                    + teacher.config().vocabularySize() + "; " + EXPECTED);
        }
        int chunks = Perplexity.chunks(tokens, context, source);
        long started = System.nanoTime();
        progress.start("divergence", chunks);
        int predictions = context - 1;
        int rows = (int) Math.clamp(held / (4L * vocabulary), 1, predictions);
        double[] means = new double[chunks];
        double crossEntropy = 0;
        double teacherCrossEntropy = 0;
        long agreed = 0;
        try (Arena arena = Arena.ofShared()) {
            FloatMatrix p = FloatMatrix.allocate(arena, rows, vocabulary);
            Row[] found = new Row[predictions];
            for (int c = 0; c < chunks; c++) {
                int[] chunk = Arrays.copyOfRange(tokens, c * context, (c + 1) * context);
                for (int from = 0; from < predictions; from += rows) {
                    measure(model, teacher, chunk, from, Math.min(predictions, from + rows), p, found);
                }
                double sum = 0;
                double loss = 0;
                double teacherLoss = 0;
                for (Row row : found) {
                    sum += row.kl;
                    loss += row.loss;
                    teacherLoss += row.teacherLoss;
                    agreed += row.agrees ? 1 : 0;
                }
                means[c] = sum / predictions;
                if (!Double.isFinite(means[c])) {
                    throw new FormatException(source + ": the logits of the model or of its teacher are not all finite"
                            + " numbers in chunk " + (c + 1));
                }
                crossEntropy += loss / predictions;
                teacherCrossEntropy += teacherLoss / predictions;
                progress.step("");
            }
        }
        progress.end();
        double kl = Arrays.stream(means).average().orElseThrow();
        double squares = Arrays.stream(means).map(m -> (m - kl) * (m - kl)).sum();
        return new Divergence(
                new Perplexity(
                        Math.exp(crossEntropy / chunks),
                        chunks,
                        context,
                        (long) chunks * context,
                        (System.nanoTime() - started) / 1e9),
                Math.exp(teacherCrossEntropy / chunks),
                kl,
                chunks == 1 ? Double.NaN : Math.sqrt(squares / (chunks - 1) / chunks),
                (double) agreed / ((long) chunks * predictions));
    }

    /**
     * Predictions {@code from} to {@code to} of a chunk, which both models run.
     *
     * @param p holds the teacher's logits meanwhile
     * @param found receives what they give, at their places
     */
    private static void measure(
            LoadedModel model, LoadedModel teacher, int[] chunk, int from, int to, FloatMatrix p, Row[] found) {
        long bytes = 4L * p.cols();
        teacher.logits(
                chunk,
                from,
                to,
                (first, logits) ->
                        MemorySegment.copy(logits.data(), 0, p.data(), bytes * (first - from), bytes * logits.rows()));
        model.logits(
                chunk,
                from,
                to,
                (first, logits) -> model.team()
                        .run(
                                logits.rows(),
                                r -> found[first + r] = row(p, first - from + r, logits, r, chunk[first + r + 1])));
    }

    /**
     * The tokens of a text for both models; fails where they are not the same: the distributions would be of different things.
     *
     * @param vocabulary the number of tokens
     * @param name what the model is called in messages
     * @param teacherName what its teacher is called
     * @throws FormatException naming what differs
     */
    public static int[] tokenize(
            String text, Tokenizer model, Tokenizer teacher, int vocabulary, String name, String teacherName) {
        for (int id = 0; id < vocabulary; id++) {
            if (!Objects.equals(model.textOf(id), teacher.textOf(id))) {
                throw new FormatException(teacherName + ": token " + id + " is " + quoted(teacher.textOf(id)) + ", in "
                        + name + " it is " + quoted(model.textOf(id)) + "; " + EXPECTED);
            }
        }
        int[] tokens = model.encode(text, true);
        if (!Arrays.equals(tokens, teacher.encode(text, true))) {
            throw new FormatException(
                    teacherName + ": its tokenizer cuts the text otherwise than that of " + name + "; " + EXPECTED);
        }
        return tokens;
    }

    private static String quoted(String text) {
        return text == null ? "nothing" : Quoted.of(text);
    }

    /** The divergence of {@code q} from {@code p}, each the softmax of a row of logits; in float64. */
    public static double of(FloatMatrix p, FloatMatrix q, int row) {
        return row(p, row, q, row, 0).kl;
    }

    /** One prediction: the divergence, both cross entropies, and whether the likeliest token is the same. */
    private record Row(double kl, double loss, double teacherLoss, boolean agrees) {}

    private static Row row(FloatMatrix p, int pRow, FloatMatrix q, int qRow, int target) {
        int n = p.cols();
        long pAt = 4L * n * pRow;
        long qAt = 4L * n * qRow;
        MemorySegment a = p.data();
        MemorySegment b = q.data();
        int topA = argmax(a, pAt, n);
        int topB = argmax(b, qAt, n);
        double maxA = a.get(FLOAT, pAt + 4L * topA);
        double maxB = b.get(FLOAT, qAt + 4L * topB);
        double sumA = 0;
        double sumB = 0;
        double cross = 0;
        for (long i = 0; i < 4L * n; i += 4) {
            double x = a.get(FLOAT, pAt + i);
            double y = b.get(FLOAT, qAt + i);
            double e = Math.exp(x - maxA);
            sumA += e;
            sumB += Math.exp(y - maxB);
            cross += e * (x - y);
        }
        double logA = maxA + Math.log(sumA);
        double logB = maxB + Math.log(sumB);
        return new Row(
                cross / sumA - (logA - logB),
                logB - b.get(FLOAT, qAt + 4L * target),
                logA - a.get(FLOAT, pAt + 4L * target),
                topA == topB);
    }

    private static int argmax(MemorySegment x, long at, int n) {
        int best = 0;
        float max = x.get(FLOAT, at);
        for (int i = 1; i < n; i++) {
            float value = x.get(FLOAT, at + 4L * i);
            if (value > max) {
                max = value;
                best = i;
            }
        }
        return best;
    }
}
