package dev.gosset.llm.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.cpu.Linear;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.cpu.TransformerBlock;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * What a model says where its quantized linears are evaluated in float64, whatever kernels this JVM has: what those and devices
 * are compared with. Logits are compared along one sequence of tokens, and tokens only as far as logits decide them:
 * two kernels that both keep their bounds may well continue a near tie with different words.
 */
public final class ExactModel implements AutoCloseable {
    /** Draws with logits a little off that a token must survive to count as decided. */
    private static final int DRAWS = 64;

    private final Model model;
    private final CpuModel cpu;
    private final double tolerance;

    /** The tolerance of logits that tokens were sampled from, always by way of such caches. */
    private final double sampled;

    /** What keys and values in float16 add to the tolerance, each wrong by up to 2^-11 of itself; {@code AgreementTest} takes as much. */
    private static final double HALF_CACHES = 2e-3;

    /** What float32 adds. */
    private static final double FLOATS = 1e-4;

    /**
     * @param relativeError of the linears of the model that is compared, see {@link Linear#relativeError}
     * @param halfCaches whether logits of that model come by way of keys and values in float16
     */
    public ExactModel(Path directory, ThreadTeam team, double relativeError, boolean halfCaches) {
        model = Model.open(directory, StorageOptions.defaults(), team, Kernels.scalar());
        cpu = new CpuModel(model.transformer(), team);
        tolerance = tolerance(model.config().layers(), relativeError, halfCaches);
        sampled = tolerance(model.config().layers(), relativeError, true);
    }

    /**
     * How far logits may be off, as a part of the largest of their row. The errors of the four linears of each block are independent of each
     * other, so they add as squares do; what lies between them passes errors on about as they are; the largest error of a row is
     * to its root mean square about as the largest logit to theirs. Single rows may have three times as much.
     */
    public static double tolerance(int layers, double relativeError, boolean halfCaches) {
        return 3 * Math.sqrt(4.0 * layers) * relativeError + (halfCaches ? HALF_CACHES : FLOATS);
    }

    /** The largest relative error of the linears of a model on the processor. */
    public static double relativeError(Model model) {
        double largest = 0;
        for (TransformerBlock block : model.transformer().blocks()) {
            for (LinearGroup group : block.plan().groups()) {
                largest = Math.max(largest, block.linear(group).relativeError());
            }
        }
        return largest;
    }

    /** How far logits may be off, as a part of the largest of their row. */
    public double tolerance() {
        return tolerance;
    }

    /** The model itself, on the processor. */
    public LoadedModel loaded() {
        return cpu;
    }

    /** The logits after some tokens of a sequence. */
    public static float[][] logits(LoadedModel model, int[] tokens, int from, int to) {
        float[][] rows = new float[to - from][];
        model.logits(tokens, from, to, (first, logits) -> {
            for (int r = 0; r < logits.rows(); r++) {
                rows[first - from + r] = row(logits, r);
            }
        });
        return rows;
    }

    private static float[] row(FloatMatrix logits, int r) {
        float[] row = new float[logits.cols()];
        for (int j = 0; j < row.length; j++) {
            row[j] = logits.get(r, j);
        }
        return row;
    }

    /** Logits that another model has after the tokens from {@code from} on of a sequence are this one's. */
    public void assertLogits(float[][] found, int[] tokens, int from) {
        float[][] expected = logits(cpu, tokens, from, from + found.length);
        for (int r = 0; r < found.length; r++) {
            double worst = 0;
            for (int j = 0; j < expected[r].length; j++) {
                double d = Math.abs(found[r][j] - expected[r][j]);
                worst = Double.isNaN(d) ? Double.POSITIVE_INFINITY : Math.max(worst, d);
            }
            assertThat(worst / largest(expected[r]))
                    .as("logits after token %d", from + r)
                    .isLessThan(tolerance);
        }
    }

    private static double largest(float[] row) {
        double largest = 0;
        for (float v : row) {
            largest = Math.max(largest, Math.abs(v));
        }
        return largest;
    }

    /**
     * Tokens that another model sampled are among those that logits within the tolerance lead to, each after the tokens before it.
     *
     * @return how many of them could have been no others
     */
    public int assertSampled(int[] prompt, List<Integer> sampled, Sampling sampling) {
        int[] all = Arrays.copyOf(prompt, prompt.length + sampled.size());
        for (int i = 0; i < sampled.size(); i++) {
            all[prompt.length + i] = sampled.get(i);
        }
        List<Set<Integer>> possible =
                possible(logits(cpu, all, prompt.length - 1, all.length - 1), prompt, sampled, sampling);
        int decided = 0;
        for (int i = 0; i < sampled.size() && !possible.get(i).isEmpty(); i++) {
            assertThat(possible.get(i)).as("token %d", i).contains(sampled.get(i));
            decided += possible.get(i).size() == 1 ? 1 : 0;
        }
        return decided;
    }

    /** The tokens with which every model within the tolerance continues a prompt, up to the first that is not decided. */
    public List<Integer> decided(int[] prompt, Sampling sampling, int most, Set<Integer> end) {
        List<Integer> decided = new ArrayList<>();
        int[] all = prompt;
        while (decided.size() < most && (decided.isEmpty() || !end.contains(decided.getLast()))) {
            Set<Integer> next = possible(logits(cpu, all, prompt.length - 1, all.length), prompt, decided, sampling)
                    .getLast();
            if (next.size() > 1) {
                break;
            }
            decided.addAll(next);
            all = Arrays.copyOf(all, all.length + 1);
            all[all.length - 1] = decided.getLast();
        }
        return decided;
    }

    /**
     * What may be drawn at each row after the tokens {@code taken} before it; empty where no draw came that far, for a draw that took
     * another token would have penalties of another text.
     */
    private List<Set<Integer>> possible(float[][] rows, int[] prompt, List<Integer> taken, Sampling sampling) {
        SplittableRandom random = new SplittableRandom(1);
        List<Set<Integer>> possible = new ArrayList<>();
        for (int i = 0; i < rows.length; i++) {
            possible.add(new HashSet<>());
        }
        for (int draw = 0; draw < DRAWS; draw++) {
            Sampler sampler = new Sampler(sampling, prompt, null, -1);
            boolean same = true;
            for (int i = 0; i < rows.length && same; i++) {
                float[] near = rows[i].clone();
                double off = draw == 0 ? 0 : sampled * largest(near);
                for (int j = 0; j < near.length; j++) {
                    near[j] += (float) (off * (2 * random.nextDouble() - 1));
                }
                int token = sampler.next(near);
                possible.get(i).add(token);
                same = sampling.isPlain() || i == taken.size() || token == taken.get(i);
            }
        }
        return possible;
    }

    @Override
    public void close() {
        cpu.close();
        model.close();
    }
}
