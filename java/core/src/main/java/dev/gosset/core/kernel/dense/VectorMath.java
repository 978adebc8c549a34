package dev.gosset.core.kernel.dense;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * The float32 loops of a transformer over rows in native memory. Offsets are in bytes, counts in floats; every result
 * depends on nothing but the values and the vector width of the machine. Nothing is allocated. Thread-safe; nobody may
 * close an arena while a call runs on its memory.
 *
 * <p>All of them throw an {@link IndexOutOfBoundsException} where a row leaves its segment, an {@link
 * IllegalArgumentException} for a segment on the heap and for a read-only one that would be written, an {@link
 * IllegalStateException} where an arena is closed and a {@link WrongThreadException} where it is another thread's.
 */
public final class VectorMath {
    private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
    private static final int LANES = SPECIES.length();
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final MemorySegment ALL = NativeMemory.ALL;

    /** Bytes of a vector. */
    private static final long V = 4L * LANES;

    // Lane i meets lane i ^ 8, then i ^ 4, i ^ 2, i ^ 1; a shuffle wider than the vector is not used.
    static final VectorShuffle<Float> FLIP_8 = flip(8);
    static final VectorShuffle<Float> FLIP_4 = flip(4);
    static final VectorShuffle<Float> FLIP_2 = flip(2);
    static final VectorShuffle<Float> FLIP_1 = flip(1);

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

    // tanh(y) is y + y^3 times a polynomial of y^2 where that is below this (Cephes, tanhf).
    private static final float SMALL = 0.390625f;
    private static final float T0 = -5.70498872745e-3f;
    private static final float T1 = 2.06390887954e-2f;
    private static final float T2 = -5.37397155531e-2f;
    private static final float T3 = 1.33314422036e-1f;
    private static final float T4 = -3.33332819422e-1f;

    // -2 sqrt(2 / pi), and that times 0.044715.
    private static final float GELU_1 = -1.5957691216f;
    private static final float GELU_3 = -0.0713548162726f;

    private VectorMath() {}

    private static VectorShuffle<Float> flip(int distance) {
        return VectorShuffle.fromOp(SPECIES, i -> (i ^ distance) % LANES);
    }

    // The sum of a vector's lanes is written out where it is needed, in a fixed order. reduceLanes promises none: the
    // interpreter and the compiler add differently, and a result would change while a method warms up.

    /** {@code sum_i a[i] b[i]}. */
    public static float dot(MemorySegment a, long aOffset, MemorySegment b, long bOffset, int n) {
        float dot = dot(NativeMemory.readable(a, aOffset, 4L * n), NativeMemory.readable(b, bOffset, 4L * n), n);
        NativeMemory.keep(a, b);
        return dot;
    }

    /** {@code y += factor * x}. */
    public static void addScaled(float factor, MemorySegment x, long xOffset, MemorySegment y, long yOffset, int n) {
        addScaled(factor, NativeMemory.readable(x, xOffset, 4L * n), NativeMemory.writable(y, yOffset, 4L * n), n);
        NativeMemory.keep(x, y);
    }

    /** {@code y += x}. */
    public static void add(MemorySegment x, long xOffset, MemorySegment y, long yOffset, int n) {
        // A product with 1 is exact.
        addScaled(1, x, xOffset, y, yOffset, n);
    }

    /** {@code y = factor * x}; x and y may be the same place. */
    public static void scale(float factor, MemorySegment x, long xOffset, MemorySegment y, long yOffset, int n) {
        scale(factor, NativeMemory.readable(x, xOffset, 4L * n), NativeMemory.writable(y, yOffset, 4L * n), n);
        NativeMemory.keep(x, y);
    }

    /** {@code y = x * w} elementwise; x and y may be the same place. */
    public static void multiply(
            MemorySegment x, long xOffset, MemorySegment w, long wOffset, MemorySegment y, long yOffset, int n) {
        multiply(
                NativeMemory.readable(x, xOffset, 4L * n),
                NativeMemory.readable(w, wOffset, 4L * n),
                NativeMemory.writable(y, yOffset, 4L * n),
                n);
        NativeMemory.keep(x, y);
        Reference.reachabilityFence(w);
    }

    /** {@code y = x / sqrt(mean(x^2) + epsilon) * w}; x and y may be the same place. */
    public static void rmsNorm(
            MemorySegment x, long xOffset, MemorySegment w, float epsilon, MemorySegment y, long yOffset, int n) {
        rmsNorm(
                NativeMemory.readable(x, xOffset, 4L * n),
                NativeMemory.readable(w, 0, 4L * n),
                epsilon,
                NativeMemory.writable(y, yOffset, 4L * n),
                n);
        NativeMemory.keep(x, y);
        Reference.reachabilityFence(w);
    }

    /** {@code y = x - mean(x)}, the mean in float64; x and y may be the same place. */
    public static void center(MemorySegment x, long xOffset, MemorySegment y, long yOffset, int n) {
        center(NativeMemory.readable(x, xOffset, 4L * n), NativeMemory.writable(y, yOffset, 4L * n), n);
        NativeMemory.keep(x, y);
    }

    /** {@code y = u * g / (1 + exp(-g))}: the gated SiLU; y may be u or g. */
    public static void swiGlu(
            MemorySegment u, long uOffset, MemorySegment g, long gOffset, MemorySegment y, long yOffset, int n) {
        swiGlu(
                NativeMemory.readable(u, uOffset, 4L * n),
                NativeMemory.readable(g, gOffset, 4L * n),
                NativeMemory.writable(y, yOffset, 4L * n),
                n);
        NativeMemory.keep(u, g);
        Reference.reachabilityFence(y);
    }

    /**
     * {@code y = u * gelu(g)}, where {@code gelu(g) = g (1 + tanh z) / 2 = g / (1 + exp(-2 z))} and {@code z = sqrt(2 / pi)
     * (g + 0.044715 g^3)}: the gated GELU in the form with a tanh; y may be u or g.
     */
    public static void geGlu(
            MemorySegment u, long uOffset, MemorySegment g, long gOffset, MemorySegment y, long yOffset, int n) {
        geGlu(
                NativeMemory.readable(u, uOffset, 4L * n),
                NativeMemory.readable(g, gOffset, 4L * n),
                NativeMemory.writable(y, yOffset, 4L * n),
                n);
        NativeMemory.keep(u, g);
        Reference.reachabilityFence(y);
    }

    /** In place: {@code x <- cap tanh(x / cap)}, good to about 2e-7 of itself; cap is above 0. */
    public static void softCap(MemorySegment x, long offset, int n, float cap) {
        softCap(NativeMemory.writable(x, offset, 4L * n), n, cap);
        Reference.reachabilityFence(x);
    }

    /** In place: {@code x <- exp(x - max) / sum exp(x - max)}. */
    public static void softmax(MemorySegment x, long offset, int n) {
        long at = NativeMemory.writable(x, offset, 4L * n);
        exponentials(at, n, max(at, n));
        scale(1 / total(at, n), at, at, n);
        Reference.reachabilityFence(x);
    }

    /** In place: {@code x <- exp(x - shift)}. */
    public static void exponentials(MemorySegment x, long offset, int n, float shift) {
        exponentials(NativeMemory.writable(x, offset, 4L * n), n, shift);
        Reference.reachabilityFence(x);
    }

    /** {@code log sum_i exp(x[i])}, the lanes summed in float32, good to about 1e-6. */
    public static double logSumExp(MemorySegment x, long offset, int n) {
        long at = NativeMemory.readable(x, offset, 4L * n);
        float max = max(at, n);
        double log = max + Math.log(sumOfExponentials(at, n, max));
        Reference.reachabilityFence(x);
        return log;
    }

    /** The greatest of n floats; negative infinity for none. */
    public static float max(MemorySegment x, long offset, int n) {
        float max = max(NativeMemory.readable(x, offset, 4L * n), n);
        Reference.reachabilityFence(x);
        return max;
    }

    /**
     * The rotary embedding of one head, in place: for {@code i < half} the pair {@code (x[i], x[i + half])} turns by the
     * angle whose cosine and sine are {@code cos[at + i]} and {@code sin[at + i]}.
     */
    public static void rotate(MemorySegment x, long offset, int half, float[] cos, float[] sin, int at) {
        rotate(NativeMemory.writable(x, offset, 8L * half), half, cos, sin, at);
        Reference.reachabilityFence(x);
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

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing but the Vector API, so that C2 compiles it on its own and boxes nothing. A test reads the lengths.

    private static float dot(long a, long b, int n) {
        FloatVector s0 = FloatVector.zero(SPECIES);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= n - 4 * LANES; i += 4 * LANES) {
            long p = a + 4L * i;
            long q = b + 4L * i;
            s0 = FloatVector.fromMemorySegment(SPECIES, ALL, p, ORDER)
                    .fma(FloatVector.fromMemorySegment(SPECIES, ALL, q, ORDER), s0);
            s1 = FloatVector.fromMemorySegment(SPECIES, ALL, p + V, ORDER)
                    .fma(FloatVector.fromMemorySegment(SPECIES, ALL, q + V, ORDER), s1);
            s2 = FloatVector.fromMemorySegment(SPECIES, ALL, p + 2 * V, ORDER)
                    .fma(FloatVector.fromMemorySegment(SPECIES, ALL, q + 2 * V, ORDER), s2);
            s3 = FloatVector.fromMemorySegment(SPECIES, ALL, p + 3 * V, ORDER)
                    .fma(FloatVector.fromMemorySegment(SPECIES, ALL, q + 3 * V, ORDER), s3);
        }
        for (; i <= n - LANES; i += LANES) {
            s0 = FloatVector.fromMemorySegment(SPECIES, ALL, a + 4L * i, ORDER)
                    .fma(FloatVector.fromMemorySegment(SPECIES, ALL, b + 4L * i, ORDER), s0);
        }
        s0 = s0.add(s1).add(s2.add(s3));
        if (LANES > 8) {
            s0 = s0.add(s0.rearrange(FLIP_8));
        }
        if (LANES > 4) {
            s0 = s0.add(s0.rearrange(FLIP_4));
        }
        if (LANES > 2) {
            s0 = s0.add(s0.rearrange(FLIP_2));
        }
        float sum = s0.add(s0.rearrange(FLIP_1)).lane(0);
        for (; i < n; i++) {
            sum = Math.fma(ALL.get(FLOAT, a + 4L * i), ALL.get(FLOAT, b + 4L * i), sum);
        }
        return sum;
    }

    private static void addScaled(float factor, long x, long y, int n) {
        FloatVector f = FloatVector.broadcast(SPECIES, factor);
        int i = 0;
        for (; i <= n - 4 * LANES; i += 4 * LANES) {
            long j = 4L * i;
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER)
                    .fma(f, FloatVector.fromMemorySegment(SPECIES, ALL, y + j, ORDER))
                    .intoMemorySegment(ALL, y + j, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + V, ORDER)
                    .fma(f, FloatVector.fromMemorySegment(SPECIES, ALL, y + j + V, ORDER))
                    .intoMemorySegment(ALL, y + j + V, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + 2 * V, ORDER)
                    .fma(f, FloatVector.fromMemorySegment(SPECIES, ALL, y + j + 2 * V, ORDER))
                    .intoMemorySegment(ALL, y + j + 2 * V, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + 3 * V, ORDER)
                    .fma(f, FloatVector.fromMemorySegment(SPECIES, ALL, y + j + 3 * V, ORDER))
                    .intoMemorySegment(ALL, y + j + 3 * V, ORDER);
        }
        for (; i <= n - LANES; i += LANES) {
            long j = 4L * i;
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER)
                    .fma(f, FloatVector.fromMemorySegment(SPECIES, ALL, y + j, ORDER))
                    .intoMemorySegment(ALL, y + j, ORDER);
        }
        for (; i < n; i++) {
            long j = 4L * i;
            ALL.set(FLOAT, y + j, Math.fma(ALL.get(FLOAT, x + j), factor, ALL.get(FLOAT, y + j)));
        }
    }

    private static void scale(float factor, long x, long y, int n) {
        FloatVector f = FloatVector.broadcast(SPECIES, factor);
        int i = 0;
        for (; i <= n - 4 * LANES; i += 4 * LANES) {
            long j = 4L * i;
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER).mul(f).intoMemorySegment(ALL, y + j, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + V, ORDER)
                    .mul(f)
                    .intoMemorySegment(ALL, y + j + V, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + 2 * V, ORDER)
                    .mul(f)
                    .intoMemorySegment(ALL, y + j + 2 * V, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + 3 * V, ORDER)
                    .mul(f)
                    .intoMemorySegment(ALL, y + j + 3 * V, ORDER);
        }
        for (; i <= n - LANES; i += LANES) {
            long j = 4L * i;
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER).mul(f).intoMemorySegment(ALL, y + j, ORDER);
        }
        for (; i < n; i++) {
            long j = 4L * i;
            ALL.set(FLOAT, y + j, ALL.get(FLOAT, x + j) * factor);
        }
    }

    private static void multiply(long x, long w, long y, int n) {
        int i = 0;
        for (; i <= n - 4 * LANES; i += 4 * LANES) {
            long j = 4L * i;
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, w + j, ORDER))
                    .intoMemorySegment(ALL, y + j, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + V, ORDER)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, w + j + V, ORDER))
                    .intoMemorySegment(ALL, y + j + V, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + 2 * V, ORDER)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, w + j + 2 * V, ORDER))
                    .intoMemorySegment(ALL, y + j + 2 * V, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j + 3 * V, ORDER)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, w + j + 3 * V, ORDER))
                    .intoMemorySegment(ALL, y + j + 3 * V, ORDER);
        }
        for (; i <= n - LANES; i += LANES) {
            long j = 4L * i;
            FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, w + j, ORDER))
                    .intoMemorySegment(ALL, y + j, ORDER);
        }
        for (; i < n; i++) {
            long j = 4L * i;
            ALL.set(FLOAT, y + j, ALL.get(FLOAT, x + j) * ALL.get(FLOAT, w + j));
        }
    }

    private static void rmsNorm(long x, long w, float epsilon, long y, int n) {
        FloatVector s0 = FloatVector.zero(SPECIES);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= n - 4 * LANES; i += 4 * LANES) {
            long p = x + 4L * i;
            FloatVector v0 = FloatVector.fromMemorySegment(SPECIES, ALL, p, ORDER);
            FloatVector v1 = FloatVector.fromMemorySegment(SPECIES, ALL, p + V, ORDER);
            FloatVector v2 = FloatVector.fromMemorySegment(SPECIES, ALL, p + 2 * V, ORDER);
            FloatVector v3 = FloatVector.fromMemorySegment(SPECIES, ALL, p + 3 * V, ORDER);
            s0 = v0.fma(v0, s0);
            s1 = v1.fma(v1, s1);
            s2 = v2.fma(v2, s2);
            s3 = v3.fma(v3, s3);
        }
        for (; i <= n - LANES; i += LANES) {
            FloatVector v = FloatVector.fromMemorySegment(SPECIES, ALL, x + 4L * i, ORDER);
            s0 = v.fma(v, s0);
        }
        s0 = s0.add(s1).add(s2.add(s3));
        if (LANES > 8) {
            s0 = s0.add(s0.rearrange(FLIP_8));
        }
        if (LANES > 4) {
            s0 = s0.add(s0.rearrange(FLIP_4));
        }
        if (LANES > 2) {
            s0 = s0.add(s0.rearrange(FLIP_2));
        }
        float sum = s0.add(s0.rearrange(FLIP_1)).lane(0);
        for (; i < n; i++) {
            sum = Math.fma(ALL.get(FLOAT, x + 4L * i), ALL.get(FLOAT, x + 4L * i), sum);
        }
        float factor = (float) (1 / Math.sqrt(sum / n + epsilon));
        for (i = 0; i <= n - LANES; i += LANES) {
            FloatVector.fromMemorySegment(SPECIES, ALL, x + 4L * i, ORDER)
                    .mul(factor)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, w + 4L * i, ORDER))
                    .intoMemorySegment(ALL, y + 4L * i, ORDER);
        }
        for (; i < n; i++) {
            ALL.set(FLOAT, y + 4L * i, ALL.get(FLOAT, x + 4L * i) * factor * ALL.get(FLOAT, w + 4L * i));
        }
    }

    private static void center(long x, long y, int n) {
        double even = 0;
        double odd = 0;
        for (int i = 0; i < n - 1; i += 2) {
            even += ALL.get(FLOAT, x + 4L * i);
            odd += ALL.get(FLOAT, x + 4L * i + 4);
        }
        double mean = (even + odd + (n % 2 == 0 ? 0 : ALL.get(FLOAT, x + 4L * n - 4))) / n;
        for (int i = 0; i < n; i++) {
            ALL.set(FLOAT, y + 4L * i, (float) (ALL.get(FLOAT, x + 4L * i) - mean));
        }
    }

    private static void swiGlu(long u, long g, long y, int n) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector gate = FloatVector.fromMemorySegment(SPECIES, ALL, g + 4L * i, ORDER);
            FloatVector x = gate.neg();
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
            FloatVector e = p.fma(r.mul(r), r)
                    .add(1)
                    .mul(t.reinterpretAsInts()
                            .sub(ROUND_BITS)
                            .add(127)
                            .lanewise(VectorOperators.LSHL, 23)
                            .reinterpretAsFloats())
                    .blend(0, x.compare(VectorOperators.LT, LOWEST));
            FloatVector.fromMemorySegment(SPECIES, ALL, u + 4L * i, ORDER)
                    .mul(gate)
                    .div(e.add(1))
                    .intoMemorySegment(ALL, y + 4L * i, ORDER);
        }
        for (; i < n; i++) {
            float gate = ALL.get(FLOAT, g + 4L * i);
            ALL.set(FLOAT, y + 4L * i, ALL.get(FLOAT, u + 4L * i) * gate / (exp(-gate) + 1));
        }
    }

    private static void geGlu(long u, long g, long y, int n) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector gate = FloatVector.fromMemorySegment(SPECIES, ALL, g + 4L * i, ORDER);
            // -2 z
            FloatVector x = gate.mul(gate)
                    .fma(FloatVector.broadcast(SPECIES, GELU_3), FloatVector.broadcast(SPECIES, GELU_1))
                    .mul(gate);
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
            FloatVector e = p.fma(r.mul(r), r)
                    .add(1)
                    .mul(t.reinterpretAsInts()
                            .sub(ROUND_BITS)
                            .add(127)
                            .lanewise(VectorOperators.LSHL, 23)
                            .reinterpretAsFloats())
                    .blend(0, x.compare(VectorOperators.LT, LOWEST));
            FloatVector.fromMemorySegment(SPECIES, ALL, u + 4L * i, ORDER)
                    .mul(gate)
                    .div(e.add(1))
                    .intoMemorySegment(ALL, y + 4L * i, ORDER);
        }
        for (; i < n; i++) {
            float gate = ALL.get(FLOAT, g + 4L * i);
            ALL.set(
                    FLOAT,
                    y + 4L * i,
                    ALL.get(FLOAT, u + 4L * i) * gate / (exp(Math.fma(gate * gate, GELU_3, GELU_1) * gate) + 1));
        }
    }

    /** In place: {@code x <- exp(x - shift)}. */
    private static void exponentials(long at, int n, float shift) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector x = FloatVector.fromMemorySegment(SPECIES, ALL, at + 4L * i, ORDER)
                    .sub(shift);
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
            FloatVector e = p.fma(r.mul(r), r)
                    .add(1)
                    .mul(t.reinterpretAsInts()
                            .sub(ROUND_BITS)
                            .add(127)
                            .lanewise(VectorOperators.LSHL, 23)
                            .reinterpretAsFloats())
                    .blend(0, x.compare(VectorOperators.LT, LOWEST));
            e.intoMemorySegment(ALL, at + 4L * i, ORDER);
        }
        for (; i < n; i++) {
            ALL.set(FLOAT, at + 4L * i, exp(ALL.get(FLOAT, at + 4L * i) - shift));
        }
    }

    /** In place: {@code x <- cap tanh(x / cap)}. */
    private static void softCap(long at, int n, float cap) {
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector y = FloatVector.fromMemorySegment(SPECIES, ALL, at + 4L * i, ORDER)
                    .div(cap);
            // Beyond 9 the tanh is 1; exp(2 y) is below its bounds then.
            FloatVector v = y.add(y).max(-20).min(20);
            FloatVector t = v.fma(FloatVector.broadcast(SPECIES, LOG2_E), FloatVector.broadcast(SPECIES, ROUND));
            FloatVector k = t.sub(ROUND);
            FloatVector r = k.fma(FloatVector.broadcast(SPECIES, -LN2_HIGH), v);
            r = k.fma(FloatVector.broadcast(SPECIES, -LN2_LOW), r);
            FloatVector p = r.fma(FloatVector.broadcast(SPECIES, P0), FloatVector.broadcast(SPECIES, P1));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P2));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P3));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P4));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P5));
            FloatVector e = p.fma(r.mul(r), r)
                    .add(1)
                    .mul(t.reinterpretAsInts()
                            .sub(ROUND_BITS)
                            .add(127)
                            .lanewise(VectorOperators.LSHL, 23)
                            .reinterpretAsFloats());
            FloatVector s = y.mul(y);
            FloatVector q = s.fma(FloatVector.broadcast(SPECIES, T0), FloatVector.broadcast(SPECIES, T1));
            q = q.fma(s, FloatVector.broadcast(SPECIES, T2));
            q = q.fma(s, FloatVector.broadcast(SPECIES, T3));
            q = q.fma(s, FloatVector.broadcast(SPECIES, T4));
            FloatVector small = q.mul(s).fma(y, y);
            FloatVector.broadcast(SPECIES, 1)
                    .sub(FloatVector.broadcast(SPECIES, 2).div(e.add(1)))
                    .blend(small, s.compare(VectorOperators.LT, SMALL))
                    .mul(cap)
                    .intoMemorySegment(ALL, at + 4L * i, ORDER);
        }
        for (; i < n; i++) {
            float y = ALL.get(FLOAT, at + 4L * i) / cap;
            float s = y * y;
            float q = Math.fma(Math.fma(Math.fma(Math.fma(s, T0, T1), s, T2), s, T3), s, T4);
            float tanh = s < SMALL ? Math.fma(q * s, y, y) : 1 - 2 / (exp(Math.min(Math.max(y + y, -20), 20)) + 1);
            ALL.set(FLOAT, at + 4L * i, tanh * cap);
        }
    }

    /** {@code sum_i exp(x[i] - shift)}. */
    private static double sumOfExponentials(long at, int n, float shift) {
        FloatVector sums = FloatVector.zero(SPECIES);
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector x = FloatVector.fromMemorySegment(SPECIES, ALL, at + 4L * i, ORDER)
                    .sub(shift);
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
            FloatVector e = p.fma(r.mul(r), r)
                    .add(1)
                    .mul(t.reinterpretAsInts()
                            .sub(ROUND_BITS)
                            .add(127)
                            .lanewise(VectorOperators.LSHL, 23)
                            .reinterpretAsFloats())
                    .blend(0, x.compare(VectorOperators.LT, LOWEST));
            sums = sums.add(e);
        }
        if (LANES > 8) {
            sums = sums.add(sums.rearrange(FLIP_8));
        }
        if (LANES > 4) {
            sums = sums.add(sums.rearrange(FLIP_4));
        }
        if (LANES > 2) {
            sums = sums.add(sums.rearrange(FLIP_2));
        }
        double sum = sums.add(sums.rearrange(FLIP_1)).lane(0);
        for (; i < n; i++) {
            sum += exp(ALL.get(FLOAT, at + 4L * i) - shift);
        }
        return sum;
    }

    private static float total(long at, int n) {
        FloatVector s0 = FloatVector.zero(SPECIES);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= n - 4 * LANES; i += 4 * LANES) {
            long p = at + 4L * i;
            s0 = s0.add(FloatVector.fromMemorySegment(SPECIES, ALL, p, ORDER));
            s1 = s1.add(FloatVector.fromMemorySegment(SPECIES, ALL, p + V, ORDER));
            s2 = s2.add(FloatVector.fromMemorySegment(SPECIES, ALL, p + 2 * V, ORDER));
            s3 = s3.add(FloatVector.fromMemorySegment(SPECIES, ALL, p + 3 * V, ORDER));
        }
        for (; i <= n - LANES; i += LANES) {
            s0 = s0.add(FloatVector.fromMemorySegment(SPECIES, ALL, at + 4L * i, ORDER));
        }
        s0 = s0.add(s1).add(s2.add(s3));
        if (LANES > 8) {
            s0 = s0.add(s0.rearrange(FLIP_8));
        }
        if (LANES > 4) {
            s0 = s0.add(s0.rearrange(FLIP_4));
        }
        if (LANES > 2) {
            s0 = s0.add(s0.rearrange(FLIP_2));
        }
        float sum = s0.add(s0.rearrange(FLIP_1)).lane(0);
        for (; i < n; i++) {
            sum += ALL.get(FLOAT, at + 4L * i);
        }
        return sum;
    }

    private static float max(long at, int n) {
        FloatVector m0 = FloatVector.broadcast(SPECIES, Float.NEGATIVE_INFINITY);
        FloatVector m1 = m0;
        FloatVector m2 = m0;
        FloatVector m3 = m0;
        int i = 0;
        for (; i <= n - 8 * LANES; i += 8 * LANES) {
            long p = at + 4L * i;
            m0 = m0.max(FloatVector.fromMemorySegment(SPECIES, ALL, p, ORDER));
            m1 = m1.max(FloatVector.fromMemorySegment(SPECIES, ALL, p + V, ORDER));
            m2 = m2.max(FloatVector.fromMemorySegment(SPECIES, ALL, p + 2 * V, ORDER));
            m3 = m3.max(FloatVector.fromMemorySegment(SPECIES, ALL, p + 3 * V, ORDER));
            m0 = m0.max(FloatVector.fromMemorySegment(SPECIES, ALL, p + 4 * V, ORDER));
            m1 = m1.max(FloatVector.fromMemorySegment(SPECIES, ALL, p + 5 * V, ORDER));
            m2 = m2.max(FloatVector.fromMemorySegment(SPECIES, ALL, p + 6 * V, ORDER));
            m3 = m3.max(FloatVector.fromMemorySegment(SPECIES, ALL, p + 7 * V, ORDER));
        }
        for (; i <= n - LANES; i += LANES) {
            m0 = m0.max(FloatVector.fromMemorySegment(SPECIES, ALL, at + 4L * i, ORDER));
        }
        float max = m0.max(m1).max(m2.max(m3)).reduceLanes(VectorOperators.MAX);
        for (; i < n; i++) {
            max = Math.max(max, ALL.get(FLOAT, at + 4L * i));
        }
        return max;
    }

    private static void rotate(long x, int half, float[] cos, float[] sin, int at) {
        long y = x + 4L * half;
        int i = 0;
        for (; i <= half - 2 * LANES; i += 2 * LANES) {
            long j = 4L * i;
            FloatVector c = FloatVector.fromArray(SPECIES, cos, at + i);
            FloatVector s = FloatVector.fromArray(SPECIES, sin, at + i);
            FloatVector a = FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(SPECIES, ALL, y + j, ORDER);
            FloatVector d = FloatVector.fromArray(SPECIES, cos, at + i + LANES);
            FloatVector t = FloatVector.fromArray(SPECIES, sin, at + i + LANES);
            FloatVector e = FloatVector.fromMemorySegment(SPECIES, ALL, x + j + V, ORDER);
            FloatVector f = FloatVector.fromMemorySegment(SPECIES, ALL, y + j + V, ORDER);
            a.mul(c).sub(b.mul(s)).intoMemorySegment(ALL, x + j, ORDER);
            b.mul(c).add(a.mul(s)).intoMemorySegment(ALL, y + j, ORDER);
            e.mul(d).sub(f.mul(t)).intoMemorySegment(ALL, x + j + V, ORDER);
            f.mul(d).add(e.mul(t)).intoMemorySegment(ALL, y + j + V, ORDER);
        }
        for (; i <= half - LANES; i += LANES) {
            long j = 4L * i;
            FloatVector c = FloatVector.fromArray(SPECIES, cos, at + i);
            FloatVector s = FloatVector.fromArray(SPECIES, sin, at + i);
            FloatVector a = FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(SPECIES, ALL, y + j, ORDER);
            a.mul(c).sub(b.mul(s)).intoMemorySegment(ALL, x + j, ORDER);
            b.mul(c).add(a.mul(s)).intoMemorySegment(ALL, y + j, ORDER);
        }
        for (; i < half; i++) {
            float a = ALL.get(FLOAT, x + 4L * i);
            float b = ALL.get(FLOAT, y + 4L * i);
            ALL.set(FLOAT, x + 4L * i, a * cos[at + i] - b * sin[at + i]);
            ALL.set(FLOAT, y + 4L * i, b * cos[at + i] + a * sin[at + i]);
        }
    }
}
