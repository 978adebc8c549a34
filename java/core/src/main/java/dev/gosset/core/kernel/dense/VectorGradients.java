package dev.gosset.core.kernel.dense;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The float32 loops of training: gradients of what {@link VectorMath} computes, losses, and Adam's step. Offsets, counts,
 * errors and threads as there; nothing is allocated. Source: spec/fine-tuning.md, sections 2 to 4.
 */
public final class VectorGradients {
    private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
    private static final int LANES = SPECIES.length();
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final MemorySegment ALL = NativeMemory.ALL;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Bytes of a vector. */
    private static final long V = 4L * LANES;

    // exp as in VectorMath.
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

    private VectorGradients() {}

    /**
     * The gradient of factors of columns: {@code sums[j] += sum_t f[t] a[t][j] b[t][j]}.
     *
     * @param a rows that begin {@code aStride} bytes after each other
     * @param b rows that begin {@code bStride} bytes after each other
     * @param factors one for each row; null for ones
     * @param rows how many
     * @param sums n floats
     */
    public static void addColumnProducts(
            MemorySegment a,
            long aOffset,
            long aStride,
            MemorySegment b,
            long bOffset,
            long bStride,
            MemorySegment factors,
            long factorsOffset,
            int rows,
            MemorySegment sums,
            long sumsOffset,
            int n) {
        if (rows < 1) {
            return;
        }
        addColumnProducts(
                NativeMemory.readable(a, aOffset, (rows - 1) * aStride + 4L * n),
                aStride,
                NativeMemory.readable(b, bOffset, (rows - 1) * bStride + 4L * n),
                bStride,
                factors == null ? 0 : NativeMemory.readable(factors, factorsOffset, 4L * rows),
                rows,
                NativeMemory.writable(sums, sumsOffset, 4L * n),
                n);
        NativeMemory.keep(a, b);
        NativeMemory.keep(factors, sums);
    }

    /**
     * The gradient of {@link VectorMath#rmsNorm} by its input: with {@code r = 1 / sqrt(mean(x^2) + epsilon)} and {@code g = w dy},
     * {@code dx <- keep dx + r (g - x r^2 mean(g x))}.
     *
     * @param keep 1 to add to dx, 0 to write it; dx may be the same place as dy then
     * @return r; the gradient by w is {@code r x dy}
     */
    public static float rmsNormGradient(
            MemorySegment x,
            long xOffset,
            MemorySegment w,
            float epsilon,
            MemorySegment dy,
            long dyOffset,
            float keep,
            MemorySegment dx,
            long dxOffset,
            int n) {
        float r = rmsNormGradient(
                NativeMemory.readable(x, xOffset, 4L * n),
                NativeMemory.readable(w, 0, 4L * n),
                epsilon,
                NativeMemory.readable(dy, dyOffset, 4L * n),
                keep,
                NativeMemory.writable(dx, dxOffset, 4L * n),
                n);
        NativeMemory.keep(x, w);
        NativeMemory.keep(dy, dx);
        return r;
    }

    /**
     * The gradient of {@link VectorMath#swiGlu}: {@code du = df g s} and {@code dg = df u s (1 + g (1 - s))} with {@code s = 1 / (1 +
     * exp(-g))}. du may be u and dg may be g.
     */
    public static void swiGluGradient(
            MemorySegment u,
            long uOffset,
            MemorySegment g,
            long gOffset,
            MemorySegment df,
            long dfOffset,
            MemorySegment du,
            long duOffset,
            MemorySegment dg,
            long dgOffset,
            int n) {
        swiGluGradient(
                NativeMemory.readable(u, uOffset, 4L * n),
                NativeMemory.readable(g, gOffset, 4L * n),
                NativeMemory.readable(df, dfOffset, 4L * n),
                NativeMemory.writable(du, duOffset, 4L * n),
                NativeMemory.writable(dg, dgOffset, 4L * n),
                n);
        NativeMemory.keep(u, g);
        NativeMemory.keep(du, dg);
        Reference.reachabilityFence(df);
    }

    /** The gradient of softmax: {@code dp <- p (dp - delta)} with {@code delta = sum p dp}, which the caller knows. */
    public static void softmaxGradient(
            MemorySegment p, long pOffset, float delta, MemorySegment dp, long dpOffset, int n) {
        softmaxGradient(
                NativeMemory.readable(p, pOffset, 4L * n), delta, NativeMemory.writable(dp, dpOffset, 4L * n), n);
        NativeMemory.keep(p, dp);
    }

    /** {@code y <- factor (y - target)}; returns the sum of the squares of {@code y - target}. */
    public static double squaredError(
            MemorySegment target, long targetOffset, float factor, MemorySegment y, long yOffset, int n) {
        double sum = squaredError(
                NativeMemory.readable(target, targetOffset, 4L * n),
                factor,
                NativeMemory.writable(y, yOffset, 4L * n),
                n);
        NativeMemory.keep(target, y);
        return sum;
    }

    /**
     * The divergence KL(p || q) of the distributions that two rows of logits stand for, and its gradient: {@code l <- factor (q - p)}.
     *
     * @param t logits of p
     * @param tLog the log of the sum of their exponentials
     * @param l logits of q
     * @param lLog the log of the sum of their exponentials
     * @return the divergence; its terms are summed in float32 by lane
     */
    public static double divergence(
            MemorySegment t, long tOffset, float tLog, float factor, MemorySegment l, long lOffset, float lLog, int n) {
        double sum = divergence(
                NativeMemory.readable(t, tOffset, 4L * n),
                tLog,
                factor,
                NativeMemory.writable(l, lOffset, 4L * n),
                lLog,
                n);
        NativeMemory.keep(t, l);
        return sum;
    }

    /**
     * How a step of Adam goes.
     *
     * @param b1 what remains of the mean of gradients, {@code b2} of that of their squares
     * @param rate of learning, with the correction of m
     * @param root the correction of v, under the root
     */
    public record AdamStep(float b1, float b2, float rate, float root, float epsilon) {}

    /**
     * One step of Adam: {@code m <- m + (1 - b1) (g - m)}, {@code v <- v + (1 - b2) (g^2 - v)}, {@code x <- x - rate m / (sqrt(v)
     * root + epsilon)}.
     *
     * @param scale a second factor of the gradient, for each element: {@code g = gradient scale}; null for ones
     */
    public static void adam(
            MemorySegment gradient,
            MemorySegment scale,
            MemorySegment m,
            MemorySegment v,
            MemorySegment x,
            long offset,
            int n,
            AdamStep step) {
        adam(
                NativeMemory.readable(gradient, offset, 4L * n),
                scale == null ? 0 : NativeMemory.readable(scale, offset, 4L * n),
                NativeMemory.writable(m, offset, 4L * n),
                NativeMemory.writable(v, offset, 4L * n),
                NativeMemory.writable(x, offset, 4L * n),
                n,
                step);
        NativeMemory.keep(gradient, scale);
        NativeMemory.keep(m, v);
        Reference.reachabilityFence(x);
    }

    // As in VectorMath: every method that holds a vector is longer than 325 bytecodes and calls nothing but the Vector
    // API.

    private static void addColumnProducts(
            long a, long aStride, long b, long bStride, long factors, int rows, long sums, int n) {
        int j = 0;
        for (; j <= n - 4 * LANES; j += 4 * LANES) {
            long at = sums + 4L * j;
            long p = a + 4L * j;
            long q = b + 4L * j;
            FloatVector s0 = FloatVector.zero(SPECIES);
            FloatVector s1 = s0;
            FloatVector s2 = s0;
            FloatVector s3 = s0;
            for (int t = 0; t < rows; t++, p += aStride, q += bStride) {
                FloatVector f = FloatVector.broadcast(SPECIES, factors == 0 ? 1 : ALL.get(FLOAT, factors + 4L * t));
                s0 = FloatVector.fromMemorySegment(SPECIES, ALL, p, ORDER)
                        .mul(f)
                        .fma(FloatVector.fromMemorySegment(SPECIES, ALL, q, ORDER), s0);
                s1 = FloatVector.fromMemorySegment(SPECIES, ALL, p + V, ORDER)
                        .mul(f)
                        .fma(FloatVector.fromMemorySegment(SPECIES, ALL, q + V, ORDER), s1);
                s2 = FloatVector.fromMemorySegment(SPECIES, ALL, p + 2 * V, ORDER)
                        .mul(f)
                        .fma(FloatVector.fromMemorySegment(SPECIES, ALL, q + 2 * V, ORDER), s2);
                s3 = FloatVector.fromMemorySegment(SPECIES, ALL, p + 3 * V, ORDER)
                        .mul(f)
                        .fma(FloatVector.fromMemorySegment(SPECIES, ALL, q + 3 * V, ORDER), s3);
            }
            s0.add(FloatVector.fromMemorySegment(SPECIES, ALL, at, ORDER)).intoMemorySegment(ALL, at, ORDER);
            s1.add(FloatVector.fromMemorySegment(SPECIES, ALL, at + V, ORDER)).intoMemorySegment(ALL, at + V, ORDER);
            s2.add(FloatVector.fromMemorySegment(SPECIES, ALL, at + 2 * V, ORDER))
                    .intoMemorySegment(ALL, at + 2 * V, ORDER);
            s3.add(FloatVector.fromMemorySegment(SPECIES, ALL, at + 3 * V, ORDER))
                    .intoMemorySegment(ALL, at + 3 * V, ORDER);
        }
        for (; j < n; j++) {
            float sum = 0;
            for (int t = 0; t < rows; t++) {
                float f = factors == 0 ? 1 : ALL.get(FLOAT, factors + 4L * t);
                sum = Math.fma(
                        ALL.get(FLOAT, a + t * aStride + 4L * j) * f, ALL.get(FLOAT, b + t * bStride + 4L * j), sum);
            }
            ALL.set(FLOAT, sums + 4L * j, ALL.get(FLOAT, sums + 4L * j) + sum);
        }
    }

    private static float rmsNormGradient(long x, long w, float epsilon, long dy, float keep, long dx, int n) {
        FloatVector s0 = FloatVector.zero(SPECIES);
        FloatVector s1 = s0;
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector v = FloatVector.fromMemorySegment(SPECIES, ALL, x + 4L * i, ORDER);
            s0 = v.fma(v, s0);
            s1 = FloatVector.fromMemorySegment(SPECIES, ALL, dy + 4L * i, ORDER)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, w + 4L * i, ORDER))
                    .fma(v, s1);
        }
        if (LANES > 8) {
            s0 = s0.add(s0.rearrange(VectorMath.FLIP_8));
        }
        if (LANES > 4) {
            s0 = s0.add(s0.rearrange(VectorMath.FLIP_4));
        }
        if (LANES > 2) {
            s0 = s0.add(s0.rearrange(VectorMath.FLIP_2));
        }
        if (LANES > 8) {
            s1 = s1.add(s1.rearrange(VectorMath.FLIP_8));
        }
        if (LANES > 4) {
            s1 = s1.add(s1.rearrange(VectorMath.FLIP_4));
        }
        if (LANES > 2) {
            s1 = s1.add(s1.rearrange(VectorMath.FLIP_2));
        }
        double squares = s0.add(s0.rearrange(VectorMath.FLIP_1)).lane(0);
        double products = s1.add(s1.rearrange(VectorMath.FLIP_1)).lane(0);
        for (; i < n; i++) {
            float v = ALL.get(FLOAT, x + 4L * i);
            squares += v * v;
            products += ALL.get(FLOAT, dy + 4L * i) * ALL.get(FLOAT, w + 4L * i) * v;
        }
        float r = (float) (1 / Math.sqrt(squares / n + epsilon));
        float back = (float) (-products / n * r * r * r);
        FloatVector vr = FloatVector.broadcast(SPECIES, r);
        FloatVector vBack = FloatVector.broadcast(SPECIES, back);
        FloatVector vKeep = FloatVector.broadcast(SPECIES, keep);
        i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector g = FloatVector.fromMemorySegment(SPECIES, ALL, dy + 4L * i, ORDER)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, w + 4L * i, ORDER))
                    .mul(vr);
            g = FloatVector.fromMemorySegment(SPECIES, ALL, x + 4L * i, ORDER).fma(vBack, g);
            if (keep != 0) {
                g = FloatVector.fromMemorySegment(SPECIES, ALL, dx + 4L * i, ORDER)
                        .fma(vKeep, g);
            }
            g.intoMemorySegment(ALL, dx + 4L * i, ORDER);
        }
        for (; i < n; i++) {
            float g = ALL.get(FLOAT, dy + 4L * i) * ALL.get(FLOAT, w + 4L * i) * r;
            g = Math.fma(ALL.get(FLOAT, x + 4L * i), back, g);
            ALL.set(FLOAT, dx + 4L * i, keep == 0 ? g : Math.fma(ALL.get(FLOAT, dx + 4L * i), keep, g));
        }
        return r;
    }

    private static void swiGluGradient(long u, long g, long df, long du, long dg, int n) {
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
            FloatVector one = FloatVector.broadcast(SPECIES, 1);
            FloatVector s = one.div(e.add(1));
            FloatVector f = FloatVector.fromMemorySegment(SPECIES, ALL, df + 4L * i, ORDER)
                    .mul(s);
            FloatVector up = FloatVector.fromMemorySegment(SPECIES, ALL, u + 4L * i, ORDER);
            f.mul(gate).intoMemorySegment(ALL, du + 4L * i, ORDER);
            f.mul(up).mul(gate.fma(one.sub(s), one)).intoMemorySegment(ALL, dg + 4L * i, ORDER);
        }
        for (; i < n; i++) {
            float gate = ALL.get(FLOAT, g + 4L * i);
            float up = ALL.get(FLOAT, u + 4L * i);
            float s = 1 / (VectorMath.exp(-gate) + 1);
            float f = ALL.get(FLOAT, df + 4L * i) * s;
            ALL.set(FLOAT, du + 4L * i, f * gate);
            ALL.set(FLOAT, dg + 4L * i, f * up * (1 + gate * (1 - s)));
        }
    }

    private static void softmaxGradient(long p, float delta, long dp, int n) {
        FloatVector d = FloatVector.broadcast(SPECIES, delta);
        int i = 0;
        for (; i <= n - 4 * LANES; i += 4 * LANES) {
            long j = 4L * i;
            FloatVector.fromMemorySegment(SPECIES, ALL, dp + j, ORDER)
                    .sub(d)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, p + j, ORDER))
                    .intoMemorySegment(ALL, dp + j, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, dp + j + V, ORDER)
                    .sub(d)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, p + j + V, ORDER))
                    .intoMemorySegment(ALL, dp + j + V, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, dp + j + 2 * V, ORDER)
                    .sub(d)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, p + j + 2 * V, ORDER))
                    .intoMemorySegment(ALL, dp + j + 2 * V, ORDER);
            FloatVector.fromMemorySegment(SPECIES, ALL, dp + j + 3 * V, ORDER)
                    .sub(d)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, p + j + 3 * V, ORDER))
                    .intoMemorySegment(ALL, dp + j + 3 * V, ORDER);
        }
        for (; i <= n - LANES; i += LANES) {
            long j = 4L * i;
            FloatVector.fromMemorySegment(SPECIES, ALL, dp + j, ORDER)
                    .sub(d)
                    .mul(FloatVector.fromMemorySegment(SPECIES, ALL, p + j, ORDER))
                    .intoMemorySegment(ALL, dp + j, ORDER);
        }
        for (; i < n; i++) {
            long j = 4L * i;
            ALL.set(FLOAT, dp + j, (ALL.get(FLOAT, dp + j) - delta) * ALL.get(FLOAT, p + j));
        }
    }

    private static double squaredError(long target, float factor, long y, int n) {
        FloatVector s0 = FloatVector.zero(SPECIES);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector f = FloatVector.broadcast(SPECIES, factor);
        int i = 0;
        for (; i <= n - 4 * LANES; i += 4 * LANES) {
            long p = y + 4L * i;
            long q = target + 4L * i;
            FloatVector d0 = FloatVector.fromMemorySegment(SPECIES, ALL, p, ORDER)
                    .sub(FloatVector.fromMemorySegment(SPECIES, ALL, q, ORDER));
            FloatVector d1 = FloatVector.fromMemorySegment(SPECIES, ALL, p + V, ORDER)
                    .sub(FloatVector.fromMemorySegment(SPECIES, ALL, q + V, ORDER));
            FloatVector d2 = FloatVector.fromMemorySegment(SPECIES, ALL, p + 2 * V, ORDER)
                    .sub(FloatVector.fromMemorySegment(SPECIES, ALL, q + 2 * V, ORDER));
            FloatVector d3 = FloatVector.fromMemorySegment(SPECIES, ALL, p + 3 * V, ORDER)
                    .sub(FloatVector.fromMemorySegment(SPECIES, ALL, q + 3 * V, ORDER));
            s0 = d0.fma(d0, s0);
            s1 = d1.fma(d1, s1);
            s2 = d2.fma(d2, s2);
            s3 = d3.fma(d3, s3);
            d0.mul(f).intoMemorySegment(ALL, p, ORDER);
            d1.mul(f).intoMemorySegment(ALL, p + V, ORDER);
            d2.mul(f).intoMemorySegment(ALL, p + 2 * V, ORDER);
            d3.mul(f).intoMemorySegment(ALL, p + 3 * V, ORDER);
        }
        s0 = s0.add(s1).add(s2.add(s3));
        if (LANES > 8) {
            s0 = s0.add(s0.rearrange(VectorMath.FLIP_8));
        }
        if (LANES > 4) {
            s0 = s0.add(s0.rearrange(VectorMath.FLIP_4));
        }
        if (LANES > 2) {
            s0 = s0.add(s0.rearrange(VectorMath.FLIP_2));
        }
        double sum = s0.add(s0.rearrange(VectorMath.FLIP_1)).lane(0);
        for (; i < n; i++) {
            float d = ALL.get(FLOAT, y + 4L * i) - ALL.get(FLOAT, target + 4L * i);
            sum += (double) d * d;
            ALL.set(FLOAT, y + 4L * i, d * factor);
        }
        return sum;
    }

    private static double divergence(long t, float tLog, float factor, long l, float lLog, int n) {
        FloatVector sums = FloatVector.zero(SPECIES);
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            FloatVector a = FloatVector.fromMemorySegment(SPECIES, ALL, t + 4L * i, ORDER)
                    .sub(tLog);
            FloatVector b = FloatVector.fromMemorySegment(SPECIES, ALL, l + 4L * i, ORDER)
                    .sub(lLog);
            FloatVector v = a.max(LOWEST).min(HIGHEST);
            FloatVector x = v.fma(FloatVector.broadcast(SPECIES, LOG2_E), FloatVector.broadcast(SPECIES, ROUND));
            FloatVector k = x.sub(ROUND);
            FloatVector r = k.fma(FloatVector.broadcast(SPECIES, -LN2_HIGH), v);
            r = k.fma(FloatVector.broadcast(SPECIES, -LN2_LOW), r);
            FloatVector p = r.fma(FloatVector.broadcast(SPECIES, P0), FloatVector.broadcast(SPECIES, P1));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P2));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P3));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P4));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P5));
            FloatVector e = p.fma(r.mul(r), r)
                    .add(1)
                    .mul(x.reinterpretAsInts()
                            .sub(ROUND_BITS)
                            .add(127)
                            .lanewise(VectorOperators.LSHL, 23)
                            .reinterpretAsFloats())
                    .blend(0, a.compare(VectorOperators.LT, LOWEST));
            sums = a.sub(b).fma(e, sums);
            v = b.max(LOWEST).min(HIGHEST);
            x = v.fma(FloatVector.broadcast(SPECIES, LOG2_E), FloatVector.broadcast(SPECIES, ROUND));
            k = x.sub(ROUND);
            r = k.fma(FloatVector.broadcast(SPECIES, -LN2_HIGH), v);
            r = k.fma(FloatVector.broadcast(SPECIES, -LN2_LOW), r);
            p = r.fma(FloatVector.broadcast(SPECIES, P0), FloatVector.broadcast(SPECIES, P1));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P2));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P3));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P4));
            p = p.fma(r, FloatVector.broadcast(SPECIES, P5));
            p.fma(r.mul(r), r)
                    .add(1)
                    .mul(x.reinterpretAsInts()
                            .sub(ROUND_BITS)
                            .add(127)
                            .lanewise(VectorOperators.LSHL, 23)
                            .reinterpretAsFloats())
                    .blend(0, b.compare(VectorOperators.LT, LOWEST))
                    .sub(e)
                    .mul(factor)
                    .intoMemorySegment(ALL, l + 4L * i, ORDER);
        }
        if (LANES > 8) {
            sums = sums.add(sums.rearrange(VectorMath.FLIP_8));
        }
        if (LANES > 4) {
            sums = sums.add(sums.rearrange(VectorMath.FLIP_4));
        }
        if (LANES > 2) {
            sums = sums.add(sums.rearrange(VectorMath.FLIP_2));
        }
        double sum = sums.add(sums.rearrange(VectorMath.FLIP_1)).lane(0);
        for (; i < n; i++) {
            float a = ALL.get(FLOAT, t + 4L * i) - tLog;
            float b = ALL.get(FLOAT, l + 4L * i) - lLog;
            float p = VectorMath.exp(a);
            sum += p * (a - b);
            ALL.set(FLOAT, l + 4L * i, (VectorMath.exp(b) - p) * factor);
        }
        return sum;
    }

    private static void adam(long gradient, long scale, long m, long v, long x, int n, AdamStep step) {
        float toGradient = 1 - step.b1;
        float toSquare = 1 - step.b2;
        float rate = step.rate;
        float root = step.root;
        float epsilon = step.epsilon;
        FloatVector c1 = FloatVector.broadcast(SPECIES, toGradient);
        FloatVector c2 = FloatVector.broadcast(SPECIES, toSquare);
        FloatVector vRoot = FloatVector.broadcast(SPECIES, root);
        FloatVector vRate = FloatVector.broadcast(SPECIES, -rate);
        int i = 0;
        for (; i <= n - LANES; i += LANES) {
            long j = 4L * i;
            FloatVector g = FloatVector.fromMemorySegment(SPECIES, ALL, gradient + j, ORDER);
            if (scale != 0) {
                g = g.mul(FloatVector.fromMemorySegment(SPECIES, ALL, scale + j, ORDER));
            }
            FloatVector first = FloatVector.fromMemorySegment(SPECIES, ALL, m + j, ORDER);
            FloatVector second = FloatVector.fromMemorySegment(SPECIES, ALL, v + j, ORDER);
            first = g.sub(first).fma(c1, first);
            second = g.mul(g).sub(second).fma(c2, second);
            first.intoMemorySegment(ALL, m + j, ORDER);
            second.intoMemorySegment(ALL, v + j, ORDER);
            first.div(second.max(0).sqrt().fma(vRoot, FloatVector.broadcast(SPECIES, epsilon)))
                    .fma(vRate, FloatVector.fromMemorySegment(SPECIES, ALL, x + j, ORDER))
                    .intoMemorySegment(ALL, x + j, ORDER);
        }
        for (; i < n; i++) {
            long j = 4L * i;
            float g = ALL.get(FLOAT, gradient + j) * (scale == 0 ? 1 : ALL.get(FLOAT, scale + j));
            float first = ALL.get(FLOAT, m + j);
            float second = ALL.get(FLOAT, v + j);
            first = Math.fma(g - first, toGradient, first);
            second = Math.fma(g * g - second, toSquare, second);
            ALL.set(FLOAT, m + j, first);
            ALL.set(FLOAT, v + j, second);
            float change = first / Math.fma((float) Math.sqrt(Math.max(second, 0)), root, epsilon);
            ALL.set(FLOAT, x + j, Math.fma(change, -rate, ALL.get(FLOAT, x + j)));
        }
    }
}
