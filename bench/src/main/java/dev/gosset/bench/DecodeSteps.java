package dev.gosset.bench;

import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.kernel.dense.ByteProduct;
import dev.gosset.core.kernel.dense.DenseProduct;
import dev.gosset.core.kernel.dense.VectorAttention;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.Attention;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.KeyValuePool;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;

/** What a token costs beside the quantized linears: the head, attention over stored keys and values, the small steps, sampling. */
public final class DecodeSteps {
    static final String REST = "rest of decode";

    /** Two products of OpenBLAS over keys and values in float32, with our softmax between them. */
    static final String TWO_SGEMV = "2 SGEMV";

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Tokens that stand out from random logits, as they do in a model's. */
    private static final int LIKELY = 20;

    /** Half the dimension of a head, for the rotary embedding. */
    private static final int HALF = 64;

    private static final float[] COS = new float[HALF];
    private static final float[] SIN = new float[HALF];

    static {
        for (int i = 0; i < HALF; i++) {
            double angle = 321 * Math.pow(10000, -i / (double) HALF);
            COS[i] = (float) Math.cos(angle);
            SIN[i] = (float) Math.sin(angle);
        }
    }

    private DecodeSteps() {}

    /**
     * The head: one row times a matrix of random weights. Work: weights.
     *
     * @param dtype how the weights are stored: F16, or I8 with a scale for each row
     */
    static Case head(Dtype dtype, int vocabulary, int hidden, int threads) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        ThreadTeam team = resources.keep(new ThreadTeam(threads));
        Workspace workspace = resources.keep(new Workspace(team));
        long count = (long) vocabulary * hidden;
        MemorySegment floats = Fixtures.normal(arena, count, 1, 1);
        MemorySegment halves = arena.allocate(2 * count, 64);
        for (int i = 0; i < vocabulary; i++) {
            VectorAttention.narrow(floats, 4L * i * hidden, halves, 2L * i * hidden, hidden);
        }
        Tensor weight =
                new Tensor("head", Dtype.F16, List.of((long) vocabulary, (long) hidden), halves, Path.of("random"));
        FloatMatrix x = Fixtures.matrix(arena, 1, hidden, 1, 2);
        FloatMatrix y = FloatMatrix.allocate(arena, 1, vocabulary);
        Runnable ours;
        if (dtype == Dtype.F16) {
            DenseProduct head = new DenseProduct(weight);
            ours = () -> head.apply(x, y, 0, workspace);
        } else {
            ByteProduct head = new ByteProduct(weight, arena, team);
            ours = () -> head.apply(x, y, workspace);
        }
        List<Case.Contender> contenders = new ArrayList<>();
        contenders.add(new Case.Contender(Case.OURS, count, ours));
        int few = Math.min(vocabulary, 64);
        contenders.add(new Case.Contender(Case.ORACLE, (double) few * hidden, () -> {
            for (int i = 0; i < few; i++) {
                y.set(0, i, (float) dot(floats, (long) i * hidden, x.data(), hidden));
            }
        }));
        if (threads == 1) {
            contenders.add(new Case.Contender(
                    Cases.SGEMV,
                    count,
                    () -> Blas.gemv(Operand.floats(floats, vocabulary, hidden), x.data(), y.data())));
        }
        MemorySegment stored = halves.asSlice(0, dtype.bytes() * count);
        contenders.add(new Case.Contender(Case.LIMIT + "read", count, Cases.read(team, stored)));
        String size = "head " + name(dtype) + " " + vocabulary + "x" + hidden;
        return new Case(REST, size, threads, "weights", contenders, resources);
    }

    private static String name(Dtype dtype) {
        return dtype == Dtype.I8 ? "int8" : dtype.name().toLowerCase(Locale.ROOT);
    }

    /**
     * Attention of one token over stored keys and values, softmax included. Work: products of a query's and a key's number,
     * and as many of values.
     *
     * @param dtype how keys and values are stored: F16, I8 or F32
     * @param heads of queries
     * @param keyValueHeads of keys and values
     * @param positions how many there are
     * @param dim the dimension of a head
     */
    static Case attention(Dtype dtype, int heads, int keyValueHeads, int positions, int dim) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        ThreadTeam team = resources.keep(new ThreadTeam(1));
        Workspace workspace = resources.keep(new Workspace(team));
        int rows = keyValueHeads * positions;
        MemorySegment k = Fixtures.normal(arena, (long) rows * dim, 1, 1);
        MemorySegment v = Fixtures.normal(arena, (long) rows * dim, 1, 2);
        KeyValuePool pool = resources.keep(
                new KeyValuePool(1, keyValueHeads, dim, KeyValuePool.blocksFor(positions), dtype, Integer.MAX_VALUE));
        KeyValueCache cache = pool.reserve(new int[0], positions).orElseThrow();
        for (int j = 0; j < rows; j++) {
            cache.store(0, j / positions, j % positions, k, 4L * j * dim, v, 4L * j * dim);
        }
        FloatMatrix q = Fixtures.matrix(arena, 1, heads * dim, 1, 3);
        FloatMatrix out = FloatMatrix.allocate(arena, 1, heads * dim);
        MemorySegment scores = arena.allocate(4L * positions, 64);
        Attention attention = new Attention(heads, keyValueHeads, dim, 0);
        List<Attention.Span> last = List.of(new Attention.Span(0, 1, positions - 1, cache));
        double work = 2.0 * heads * positions * dim;
        MemorySegment both = arena.allocate(2L * dtype.bytes() * rows * dim, 64);
        Fixtures.randomBytes(both, 4);
        List<Case.Contender> contenders = List.of(
                new Case.Contender(Case.OURS, work, () -> attention.attend(q, last, 0, out, workspace)),
                new Case.Contender(
                        Case.ORACLE, work / heads, () -> attend(q.data(), k, v, positions, dim, scores, out.data())),
                new Case.Contender(TWO_SGEMV, work, () -> {
                    for (int head = 0; head < heads; head++) {
                        long from = 4L * (head / (heads / keyValueHeads)) * positions * dim;
                        MemorySegment query = q.data().asSlice(4L * head * dim);
                        MemorySegment result = out.data().asSlice(4L * head * dim);
                        Blas.gemv(Operand.floats(k.asSlice(from), positions, dim), query, scores);
                        VectorMath.softmax(scores, 0, positions);
                        Blas.gemv(
                                Operand.floats(v.asSlice(from), positions, dim).transpose(), scores, result);
                    }
                }),
                new Case.Contender(Case.LIMIT + "read", work, Cases.read(team, both)));
        String size = "attention " + name(dtype) + " " + heads + "/" + keyValueHeads + "x" + positions + "x" + dim;
        return new Case(REST, size, 1, "floats", contenders, resources);
    }

    private static void attend(
            MemorySegment q,
            MemorySegment keys,
            MemorySegment values,
            int positions,
            int dim,
            MemorySegment scores,
            MemorySegment out) {
        for (int j = 0; j < positions; j++) {
            scores.setAtIndex(FLOAT, j, (float) dot(keys, (long) j * dim, q, dim));
        }
        softmax(scores, positions);
        for (int d = 0; d < dim; d++) {
            double sum = 0;
            for (int j = 0; j < positions; j++) {
                sum += (double) at(scores, j) * at(values, (long) j * dim + d);
            }
            out.setAtIndex(FLOAT, d, (float) sum);
        }
    }

    /** A small step between the linears, with the sizes of Llama-2-7B. */
    public enum Step {
        RMS_NORM("rms norm 4096", 4096),
        ROPE("rope 32x128", 4096),
        SWIGLU("swiglu 11008", 11008),
        SOFTMAX("softmax 4096", 4096);

        private final String size;
        private final int n;

        Step(String size, int n) {
            this.size = size;
            this.n = n;
        }
    }

    /** A small step over n floats of x, n random floats of w and n floats of y. */
    @FunctionalInterface
    private interface Body {
        void run(MemorySegment x, MemorySegment w, MemorySegment y, int n);
    }

    /** One of the small steps beside plain loops and a copy of as many floats. Work: floats. */
    static Case step(Step step) {
        Body ours = switch (step) {
            case RMS_NORM -> (x, w, y, n) -> VectorMath.rmsNorm(x, 0, w, 1e-5f, y, 0, n);
            case ROPE ->
                (x, w, y, n) -> {
                    for (long head = 0; head < n; head += 2 * HALF) {
                        VectorMath.rotate(x, 4 * head, HALF, COS, SIN, 0);
                    }
                };
            case SWIGLU -> (x, w, y, n) -> VectorMath.swiGlu(x, 0, w, 0, y, 0, n);
            // Of what it left behind: each run takes as long.
            case SOFTMAX -> (x, w, y, n) -> VectorMath.softmax(x, 0, n);
        };
        Body oracle = switch (step) {
            case RMS_NORM -> DecodeSteps::norm;
            case ROPE -> (x, w, y, n) -> rotate(x, n);
            case SWIGLU -> DecodeSteps::swiGlu;
            case SOFTMAX -> (x, w, y, n) -> softmax(x, n);
        };
        int n = step.n;
        Resources resources = new Resources();
        Arena arena = resources.arena();
        MemorySegment x = Fixtures.normal(arena, n, 1, 1);
        MemorySegment w = Fixtures.normal(arena, n, 1, 2);
        MemorySegment y = arena.allocate(4L * n, 64);
        List<Case.Contender> contenders = List.of(
                new Case.Contender(Case.OURS, n, () -> ours.run(x, w, y, n)),
                new Case.Contender(Case.ORACLE, n, () -> oracle.run(x, w, y, n)),
                new Case.Contender(Case.LIMIT + "memcpy", n, () -> y.copyFrom(x)));
        return new Case(REST, step.size, 1, "floats", contenders, resources);
    }

    private static void norm(MemorySegment x, MemorySegment w, MemorySegment y, int n) {
        float f = (float) (1 / Math.sqrt(dot(x, 0, x, n) / n + 1e-5));
        for (int i = 0; i < n; i++) {
            y.setAtIndex(FLOAT, i, at(x, i) * f * at(w, i));
        }
    }

    private static void rotate(MemorySegment x, int n) {
        for (int head = 0; head < n; head += 2 * HALF) {
            for (int i = head; i < head + HALF; i++) {
                float a = at(x, i);
                float b = at(x, i + HALF);
                float cos = COS[i - head];
                float sin = SIN[i - head];
                x.setAtIndex(FLOAT, i, a * cos - b * sin);
                x.setAtIndex(FLOAT, i + HALF, b * cos + a * sin);
            }
        }
    }

    private static void swiGlu(MemorySegment u, MemorySegment g, MemorySegment y, int n) {
        for (int i = 0; i < n; i++) {
            y.setAtIndex(FLOAT, i, (float) (at(u, i) * at(g, i) / (1 + Math.exp(-at(g, i)))));
        }
    }

    private static void softmax(MemorySegment x, int n) {
        double max = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < n; i++) {
            max = Math.max(max, at(x, i));
        }
        double sum = 0;
        for (int i = 0; i < n; i++) {
            double e = Math.exp(at(x, i) - max);
            x.setAtIndex(FLOAT, i, (float) e);
            sum += e;
        }
        for (int i = 0; i < n; i++) {
            x.setAtIndex(FLOAT, i, (float) (at(x, i) / sum));
        }
    }

    private static double dot(MemorySegment a, long from, MemorySegment b, int n) {
        double sum = 0;
        for (int i = 0; i < n; i++) {
            sum += (double) at(a, from + i) * at(b, i);
        }
        return sum;
    }

    private static float at(MemorySegment x, long i) {
        return x.getAtIndex(FLOAT, i);
    }

    /**
     * Draws one token. The oracle sorts the whole vocabulary. Work: logits.
     *
     * @param temperature 0 takes the most likely token
     * @param topP keeps the smallest set of most likely tokens whose probabilities add up to it
     */
    static Case sampling(int vocabulary, double temperature, double topP) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        MemorySegment floats = Fixtures.normal(arena, vocabulary, 2, 1);
        MemorySegment copy = arena.allocate(4L * vocabulary, 64);
        float[] logits = floats.toArray(ValueLayout.JAVA_FLOAT);
        for (int i = 0; i < LIKELY; i++) {
            logits[i * (vocabulary / LIKELY)] += 10;
        }
        Sampler sampler = new Sampler(Sampling.of(temperature, 0, topP, 1));
        SplittableRandom random = new SplittableRandom(1);
        int[] drawn = new int[1];
        List<Case.Contender> contenders = List.of(
                new Case.Contender(Case.OURS, vocabulary, () -> drawn[0] += sampler.next(logits)),
                new Case.Contender(
                        Case.ORACLE, vocabulary, () -> drawn[0] += sorted(logits, temperature, topP, random)),
                new Case.Contender(Case.LIMIT + "memcpy", vocabulary, () -> copy.copyFrom(floats)));
        String size = "sampling " + vocabulary + (temperature == 0 ? ", greedy" : ", top-p " + topP);
        return new Case(REST, size, 1, "floats", contenders, resources);
    }

    private static int sorted(float[] logits, double temperature, double topP, SplittableRandom random) {
        Integer[] order = new Integer[logits.length];
        Arrays.setAll(order, i -> i);
        Arrays.sort(order, Comparator.comparing((Integer i) -> -logits[i]));
        if (temperature == 0) {
            return order[0];
        }
        double[] weights = new double[order.length];
        double sum = 0;
        for (int i = 0; i < order.length; i++) {
            weights[i] = Math.exp((logits[order[i]] - logits[order[0]]) / temperature);
            sum += weights[i];
        }
        int kept = 0;
        double mass = 0;
        while (kept < order.length && mass < topP * sum) {
            mass += weights[kept++];
        }
        double u = random.nextDouble() * mass;
        int i = 0;
        while (i < kept - 1 && (u -= weights[i]) >= 0) {
            i++;
        }
        return order[i];
    }
}
