package dev.gosset.llm.plan;

import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Cosines and sines of the rotary embedding, times the attention factor, computed as far as they were asked for.
 * Thread-safe.
 *
 * <p>Where frequencies change with the length of a sequence, tokens are turned as that length was when they came: what is
 * in a cache stays as it is, as in transformers. Unlike there, nothing depends on other sequences that ran before.
 */
public final class RotaryTable {
    /**
     * Angles of positions from {@code first} on.
     *
     * @param cos entry {@code at(position) + i} belongs to pair i of a head
     * @param sin the same
     */
    public record Angles(float[] cos, float[] sin, int first, int half) {
        /** Where the entries of a position begin. */
        public int at(int position) {
            return (position - first) * half;
        }
    }

    private record Range(int from, int to, int length) {}

    /** Ranges of a few sequences at once; the layers of a model ask for the same ones. */
    private static final int RECENT = 64;

    private final int dim;
    private final double theta;
    private final RotaryScaling scaling;
    private final float[] frequencies;
    private volatile Angles angles;
    private final Map<Range, Angles> recent = new ConcurrentHashMap<>();

    public RotaryTable(PositionPlan.Rotary plan) {
        this(plan.dim(), plan.theta(), plan.scaling());
    }

    RotaryTable(int dim, double theta, RotaryScaling scaling) {
        this.dim = dim;
        this.theta = theta;
        this.scaling = scaling;
        this.frequencies = frequencies(0);
        this.angles = new Angles(new float[0], new float[0], 0, half());
    }

    private float[] frequencies(int length) {
        double[] exact = scaling.frequencies(theta, dim, length);
        float[] rounded = new float[exact.length];
        for (int i = 0; i < rounded.length; i++) {
            rounded[i] = (float) exact[i];
        }
        return rounded;
    }

    /** Half the dimension of a head: the entries of one position. */
    public int half() {
        return dim / 2;
    }

    /** Sequences up to this length are all turned by the same angles. */
    public int fixedLength() {
        return scaling.fixedLength();
    }

    /**
     * Angles of at least the positions {@code from .. to-1} of a sequence.
     *
     * @param length tokens that the sequence is known to have, {@code to} or more
     */
    public Angles angles(int from, int to, int length) {
        if (length <= fixedLength()) {
            Angles a = angles;
            return a.cos.length >= (long) to * half() ? a : extend(to);
        }
        Range range = new Range(from, to, length);
        Angles known = recent.get(range);
        if (known == null) {
            if (recent.size() >= RECENT) {
                recent.clear();
            }
            known = new Angles(new float[(to - from) * half()], new float[(to - from) * half()], from, half());
            fill(known, from, to, frequencies(length));
            recent.put(range, known);
        }
        return known;
    }

    /** Angles of the positions {@code from .. to-1}, each as of a sequence that ends with it: what decoding turns by. */
    public Angles ofLastTokens(int from, int to) {
        Angles out = new Angles(new float[(to - from) * half()], new float[(to - from) * half()], from, half());
        int fixed = Math.clamp(fixedLength(), from, to);
        fill(out, from, fixed, frequencies);
        for (int p = fixed; p < to; p++) {
            fill(out, p, p + 1, frequencies(p + 1));
        }
        return out;
    }

    private synchronized Angles extend(int positions) {
        int known = angles.cos.length / half();
        int wanted = Math.max(positions, Math.min(2 * known, Integer.MAX_VALUE / half()));
        if (known >= positions) {
            return angles;
        }
        float[] cos = Arrays.copyOf(angles.cos, Math.multiplyExact(wanted, half()));
        float[] sin = Arrays.copyOf(angles.sin, wanted * half());
        Angles more = new Angles(cos, sin, 0, half());
        fill(more, known, wanted, frequencies);
        angles = more;
        return more;
    }

    private void fill(Angles out, int from, int to, float[] frequencies) {
        float factor = (float) scaling.attentionFactor();
        for (int p = from; p < to; p++) {
            for (int i = 0; i < frequencies.length; i++) {
                // The reference forms the angle in float32, so that is what models were trained with.
                float angle = p * frequencies[i];
                out.cos[out.at(p) + i] = (float) Math.cos(angle) * factor;
                out.sin[out.at(p) + i] = (float) Math.sin(angle) * factor;
            }
        }
    }
}
