package dev.gosset.core.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * The float32 loops of a transformer over rows in native memory. Offsets are in bytes, counts in floats; every result
 * depends on nothing but the values and the vector width of the machine. Nothing is allocated. Thread-safe.
 */
public final class VectorMath {
    private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
    private static final int LANES = SPECIES.length();
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();

    // Lane i meets lane i ^ 8, then i ^ 4, i ^ 2, i ^ 1; a shuffle wider than the vector is not used.
    private static final VectorShuffle<Float> FLIP_8 = flip(8);
    private static final VectorShuffle<Float> FLIP_4 = flip(4);
    private static final VectorShuffle<Float> FLIP_2 = flip(2);
    private static final VectorShuffle<Float> FLIP_1 = flip(1);

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    // exp(x) = 2^k * e^r with k = round(x / ln 2) and |r| <= ln(2) / 2, where a polynomial of degree 7 (Cephes, expf)
    // is good to about 1e-7. Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
    private static final float LOG2_E = 1.44269504f;
    private static final float LN2_HIGH = 0.693359375f;
    private static final float LN2_LOW = -2.12194440e-4f;
    private static final float ROUND = 12582912f;
    private static final int ROUND_BITS = Float.floatToRawIntBits(ROUND);
    private static final float LOWEST = -87f;
    private static final float HIGHEST = 88f;
    private static final float P0 = 1.9875691500e-4f;
    private static final float P1 = 1.3981999507e-3f;
    private static final float P2 = 8.3334519073e-3f;
    private static final float P3 = 4.1665795894e-2f;
    private static final float P4 = 1.6666665459e-1f;
    private static final float P5 = 5.0000001201e-1f;

    private VectorMath() {}

    private static VectorShuffle<Float> flip(int distance) {
        return VectorShuffle.fromOp(SPECIES, i -> (i ^ distance) % LANES);
    }

    /**
     * The sum of the lanes of a vector of the preferred species, always in the same order. {@code reduceLanes} promises
     * none: the interpreter and the compiler add differently, and a result would change while a method warms up.
     */
    static float sum(FloatVector v) {
        FloatVector s = v;
        if (LANES > 8) {
            s = s.add(s.rearrange(FLIP_8));
        }
        if (LANES > 4) {
            s = s.add(s.rearrange(FLIP_4));
        }
        if (LANES > 2) {
            s = s.add(s.rearrange(FLIP_2));
        }
        return s.add(s.rearrange(FLIP_1)).lane(0);
    }

    /** {@code sum_i a[i] b[i]}. */
    public static float dot(MemorySegment a, long aOffset, MemorySegment b, long bOffset, int n) {
        FloatVector s0 = FloatVector.zero(SPECIES);
        FloatVector s1 = FloatVector.zero(SPECIES);
        int i = 0;
        for (; i <= n - 2 * LANES; i += 2 * LANES) {
            s0 = load(a, aOffset, i).fma(load(b, bOffset, i), s0);
            s1 = load(a, aOffset, i + LANES).fma(load(b, bOffset, i + LANES), s1);
        }
        for (; i <= n - LANES; i += LANES) {
            s0 = load(a, aOffset, i).fma(load(b, bOffset, i), s0);
        }
        float sum = sum(s0.add(s1));
        for (; i < n; i++) {
            sum = Math.fma(get(a, aOffset, i), get(b, bOffset, i), sum);
        }
        return sum;
    }

    /** {@code y += factor * x}. */
    public static void addScaled(float factor, MemorySegment x, long xOffset, MemorySegment y, long yOffset, int n) {
        FloatVector f = FloatVector.broadcast(SPECIES, factor);
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            store(load(x, xOffset, i).fma(f, load(y, yOffset, i)), y, yOffset, i);
        }
        for (; i < n; i++) {
            set(y, yOffset, i, Math.fma(get(x, xOffset, i), factor, get(y, yOffset, i)));
        }
    }

    /** {@code y += x}. */
    public static void add(MemorySegment x, long xOffset, MemorySegment y, long yOffset, int n) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            store(load(x, xOffset, i).add(load(y, yOffset, i)), y, yOffset, i);
        }
        for (; i < n; i++) {
            set(y, yOffset, i, get(x, xOffset, i) + get(y, yOffset, i));
        }
    }

    /** {@code y = factor * x}; x and y may be the same place. */
    public static void scale(float factor, MemorySegment x, long xOffset, MemorySegment y, long yOffset, int n) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            store(load(x, xOffset, i).mul(factor), y, yOffset, i);
        }
        for (; i < n; i++) {
            set(y, yOffset, i, get(x, xOffset, i) * factor);
        }
    }

    /** {@code y = x * w} elementwise; x and y may be the same place. */
    public static void multiply(
            MemorySegment x, long xOffset, MemorySegment w, long wOffset, MemorySegment y, long yOffset, int n) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            store(load(x, xOffset, i).mul(load(w, wOffset, i)), y, yOffset, i);
        }
        for (; i < n; i++) {
            set(y, yOffset, i, get(x, xOffset, i) * get(w, wOffset, i));
        }
    }

    /** {@code y = x / sqrt(mean(x^2) + epsilon) * w}; x and y may be the same place. */
    public static void rmsNorm(
            MemorySegment x, long xOffset, MemorySegment w, float epsilon, MemorySegment y, long yOffset, int n) {
        float factor = (float) (1 / Math.sqrt(dot(x, xOffset, x, xOffset, n) / n + epsilon));
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            store(load(x, xOffset, i).mul(factor).mul(load(w, 0, i)), y, yOffset, i);
        }
        for (; i < n; i++) {
            set(y, yOffset, i, get(x, xOffset, i) * factor * get(w, 0, i));
        }
    }

    /** {@code y = u * g / (1 + exp(-g))}: the gated SiLU; y may be u or g. */
    public static void swiGlu(
            MemorySegment u, long uOffset, MemorySegment g, long gOffset, MemorySegment y, long yOffset, int n) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector gate = load(g, gOffset, i);
            store(load(u, uOffset, i).mul(gate).div(exp(gate.neg()).add(1)), y, yOffset, i);
        }
        for (; i < n; i++) {
            float gate = get(g, gOffset, i);
            set(y, yOffset, i, get(u, uOffset, i) * gate / (exp(-gate) + 1));
        }
    }

    /** In place: {@code x <- exp(x - max) / sum exp(x - max)}. */
    public static void softmax(MemorySegment x, long offset, int n) {
        exponentials(x, offset, n, max(x, offset, n));
        scale(1 / total(x, offset, n), x, offset, x, offset, n);
    }

    // One loop with the exponential and the sum goes past C2's node budget at 128 bits, and then boxes.

    /** In place: {@code x <- exp(x - shift)}. */
    private static void exponentials(MemorySegment x, long offset, int n, float shift) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            store(exp(load(x, offset, i).sub(shift)), x, offset, i);
        }
        for (; i < n; i++) {
            set(x, offset, i, exp(get(x, offset, i) - shift));
        }
    }

    private static float total(MemorySegment x, long offset, int n) {
        FloatVector sums = FloatVector.zero(SPECIES);
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            sums = sums.add(load(x, offset, i));
        }
        float sum = sum(sums);
        for (; i < n; i++) {
            sum += get(x, offset, i);
        }
        return sum;
    }

    /** {@code log sum_i exp(x[i])}, the lanes summed in float32, good to about 1e-6. */
    public static double logSumExp(MemorySegment x, long offset, int n) {
        float max = max(x, offset, n);
        FloatVector sums = FloatVector.zero(SPECIES);
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            sums = sums.add(exp(load(x, offset, i).sub(max)));
        }
        double sum = sum(sums);
        for (; i < n; i++) {
            sum += exp(get(x, offset, i) - max);
        }
        return max + Math.log(sum);
    }

    /** The greatest of n floats; negative infinity for none. */
    public static float max(MemorySegment x, long offset, int n) {
        FloatVector m = FloatVector.broadcast(SPECIES, Float.NEGATIVE_INFINITY);
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            m = m.max(load(x, offset, i));
        }
        float max = m.reduceLanes(VectorOperators.MAX);
        for (; i < n; i++) {
            max = Math.max(max, get(x, offset, i));
        }
        return max;
    }

    /**
     * The rotary embedding of one head, in place: for {@code i < half} the pair {@code (x[i], x[i + half])} turns by the
     * angle whose cosine and sine are {@code cos[at + i]} and {@code sin[at + i]}.
     */
    public static void rotate(MemorySegment x, long offset, int half, float[] cos, float[] sin, int at) {
        long upper = offset + 4L * half;
        int i = 0;
        for (; i <= half - LANES; i += LANES) {
            FloatVector c = FloatVector.fromArray(SPECIES, cos, at + i);
            FloatVector s = FloatVector.fromArray(SPECIES, sin, at + i);
            FloatVector a = load(x, offset, i);
            FloatVector b = load(x, upper, i);
            store(a.mul(c).sub(b.mul(s)), x, offset, i);
            store(b.mul(c).add(a.mul(s)), x, upper, i);
        }
        for (; i < half; i++) {
            float a = get(x, offset, i);
            float b = get(x, upper, i);
            set(x, offset, i, a * cos[at + i] - b * sin[at + i]);
            set(x, upper, i, b * cos[at + i] + a * sin[at + i]);
        }
    }

    /** The vector form of {@link #exp(float)}, lane for lane the same value. */
    private static FloatVector exp(FloatVector x) {
        FloatVector v = x.max(LOWEST).min(HIGHEST);
        FloatVector t = v.fma(FloatVector.broadcast(SPECIES, LOG2_E), FloatVector.broadcast(SPECIES, ROUND));
        FloatVector k = t.sub(ROUND);
        FloatVector r = k.fma(FloatVector.broadcast(SPECIES, -LN2_HIGH), v);
        r = k.fma(FloatVector.broadcast(SPECIES, -LN2_LOW), r);
        FloatVector p = r.fma(FloatVector.broadcast(SPECIES, P0), FloatVector.broadcast(SPECIES, P1));
        p = p.fma(r, FloatVector.broadcast(SPECIES, P2));
        p = p.fma(r, FloatVector.broadcast(SPECIES, P3));
        p = p.fma(r, FloatVector.broadcast(SPECIES, P4));
        p = p.fma(r, FloatVector.broadcast(SPECIES, P5));
        FloatVector e = p.fma(r.mul(r), r).add(1);
        IntVector bits = t.reinterpretAsInts().sub(ROUND_BITS).add(127).lanewise(VectorOperators.LSHL, 23);
        FloatVector y = e.mul(bits.reinterpretAsFloats());
        return y.blend(0, x.compare(VectorOperators.LT, LOWEST));
    }

    /**
     * {@code e^x} to about 1e-7 of itself; 0 below -87, {@code e^88} above 88. NaN stays NaN.
     */
    public static float exp(float x) {
        if (x < LOWEST) {
            return 0;
        }
        float v = Math.min(x, HIGHEST);
        float t = Math.fma(v, LOG2_E, ROUND);
        float k = t - ROUND;
        float r = Math.fma(k, -LN2_LOW, Math.fma(k, -LN2_HIGH, v));
        float p = Math.fma(r, P0, P1);
        p = Math.fma(p, r, P2);
        p = Math.fma(p, r, P3);
        p = Math.fma(p, r, P4);
        p = Math.fma(p, r, P5);
        float e = Math.fma(p, r * r, r) + 1;
        return e * Float.intBitsToFloat((Float.floatToRawIntBits(t) - ROUND_BITS + 127) << 23);
    }

    private static FloatVector load(MemorySegment x, long offset, int i) {
        return FloatVector.fromMemorySegment(SPECIES, x, offset + 4L * i, ORDER);
    }

    private static void store(FloatVector v, MemorySegment x, long offset, int i) {
        v.intoMemorySegment(x, offset + 4L * i, ORDER);
    }

    private static float get(MemorySegment x, long offset, int i) {
        return x.get(FLOAT, offset + 4L * i);
    }

    private static void set(MemorySegment x, long offset, int i, float v) {
        x.set(FLOAT, offset + 4L * i, v);
    }
}
