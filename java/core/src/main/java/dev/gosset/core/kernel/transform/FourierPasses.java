package dev.gosset.core.kernel.transform;

import static dev.gosset.core.kernel.memory.NativeMemory.ADDRESS;
import static dev.gosset.core.kernel.memory.NativeMemory.ALL;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.gosset.core.hadamard.FourierPlan;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * The passes of a {@link FourierPlan} over complex float32 numbers that lie as pairs, at absolute addresses. A vector holds neighbouring
 * pairs; a turn is two products, one of them with the pairs swapped. The passes of small strides, in which neighbouring pairs go to places
 * apart, put their vectors together by shuffles. Each method is as long as it is, and calls nothing, for the reason told in {@link
 * VectorSylvester}.
 *
 * <p>{@code direction} is 1 for the transform and -1 for its inverse. Stateless, thread-safe, allocates nothing.
 */
final class FourierPasses {
    /** At most 512 bit: {@link FourierPlan} has strides for those. */
    private static final VectorSpecies<Float> S =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;

    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final int LANES = S.length();
    private static final long V = 4L * LANES;

    private static final VectorShuffle<Float> SWAP = VectorShuffle.fromOp(S, i -> i ^ 1);
    private static final VectorShuffle<Float> EVEN = VectorShuffle.fromOp(S, i -> i & -2);
    private static final VectorShuffle<Float> ODD = VectorShuffle.fromOp(S, i -> i | 1);
    /** 1, -1, 1, -1 .. */
    private static final FloatVector ALTERNATING = FloatVector.broadcast(S, 1)
            .lanewise(jdk.incubator.vector.VectorOperators.NEG, VectorMask.fromLong(S, 0xaaaaaaaaL));

    /** Of stride 1 and four pairs or more: where the pairs of a stream lie that vector b of the four takes, pairs 4 i + k of stream k. */
    private static final VectorShuffle<Float> QUARTER0 = quarter(0);

    private static final VectorShuffle<Float> QUARTER1 = quarter(1);
    private static final VectorShuffle<Float> QUARTER2 = quarter(2);
    private static final VectorShuffle<Float> QUARTER3 = quarter(3);
    private static final VectorMask<Float> STREAM1 = stream(1);
    private static final VectorMask<Float> STREAM2 = stream(2);
    private static final VectorMask<Float> STREAM3 = stream(3);
    /** The other half of a vector. */
    private static final VectorShuffle<Float> HALVES = VectorShuffle.fromOp(S, i -> i ^ (LANES / 2));

    private static final VectorMask<Float> UPPER = VectorMask.fromLong(S, -1L << (LANES / 2));

    private FourierPasses() {}

    private static VectorShuffle<Float> quarter(int b) {
        return VectorShuffle.fromOp(S, i -> (b * LANES / 2 + i / 2) / 4 * 2 % LANES + (i & 1));
    }

    private static VectorMask<Float> stream(int k) {
        boolean[] lanes = new boolean[LANES];
        for (int i = 0; i < LANES; i++) {
            lanes[i] = i / 2 % 4 == k;
        }
        return VectorMask.fromArray(S, lanes, 0);
    }

    /** Bytes of scratch of a pass. */
    static long scratchBytes(FourierPlan plan) {
        return 4 * V * (plan.largestRadix() / 2);
    }

    /**
     * One pass.
     *
     * @param x n floats
     * @param y n floats apart from x, written
     * @param table the address of the plan's table
     * @param scale a factor of everything; of the first pass only
     */
    static void apply(
            FourierPlan.Pass pass, long x, long y, int n, long table, float scale, int direction, long scratch) {
        int s = pass.stride();
        switch (pass.radix()) {
            case 4 -> {
                if (16L * s == V) {
                    halvedFour(x, y, n, table + pass.spread(), scale, direction);
                } else if (s == 1) {
                    firstFour(x, y, n, table + pass.spread(), scale, direction);
                } else {
                    four(x, y, n, s, table + pass.turns(), direction);
                }
            }
            case 2 -> two(x, y, n, s, table + pass.turns(), direction);
            default -> {
                int p = pass.radix();
                long step = 4L * n / p;
                for (int i = 0; i < n / 2 / p / s; i++) {
                    long turns = table + pass.turns() + 8L * (p - 1) * i;
                    for (long q = 0; q < 8L * s; q += 2 * V) {
                        long from = x + 8L * s * i + q;
                        long to = y + 8L * s * p * i + q;
                        foldPrime(from, to, p, step, scratch);
                        prime(from, to, p, s, table + pass.coefficients(), turns, direction, scratch);
                    }
                }
            }
        }
    }

    /**
     * {@code y <- f x} of complex numbers, with {@code conjugate} by the conjugates of f.
     *
     * @param y is x or apart from it
     * @param n floats, a multiple of 64
     */
    static void multiply(long x, long f, long y, int n, boolean conjugate) {
        // f.re x + f.im (-x.im, x.re)
        FloatVector sign = ALTERNATING.mul(conjugate ? 1 : -1);
        for (long i = 0; i < 4L * n; i += 4 * V) {
            long from = x + i & ADDRESS;
            long at = f + i & ADDRESS;
            long to = y + i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, from, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, from + V, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, from + 2 * V, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, from + 3 * V, ORDER);
            FloatVector fa = FloatVector.fromMemorySegment(S, ALL, at, ORDER);
            FloatVector fb = FloatVector.fromMemorySegment(S, ALL, at + V, ORDER);
            FloatVector fc = FloatVector.fromMemorySegment(S, ALL, at + 2 * V, ORDER);
            FloatVector fd = FloatVector.fromMemorySegment(S, ALL, at + 3 * V, ORDER);
            FloatVector ta = a.rearrange(SWAP).mul(fa.rearrange(ODD).mul(sign));
            FloatVector tb = b.rearrange(SWAP).mul(fb.rearrange(ODD).mul(sign));
            FloatVector tc = c.rearrange(SWAP).mul(fc.rearrange(ODD).mul(sign));
            FloatVector td = d.rearrange(SWAP).mul(fd.rearrange(ODD).mul(sign));
            a.fma(fa.rearrange(EVEN), ta).intoMemorySegment(ALL, to, ORDER);
            b.fma(fb.rearrange(EVEN), tb).intoMemorySegment(ALL, to + V, ORDER);
            c.fma(fc.rearrange(EVEN), tc).intoMemorySegment(ALL, to + 2 * V, ORDER);
            d.fma(fd.rearrange(EVEN), td).intoMemorySegment(ALL, to + 3 * V, ORDER);
        }
    }

    /** Radix 4 and stride 1, for vectors of four pairs or eight. */
    private static void firstFour(long x, long y, int n, long table, float scale, int direction) {
        FloatVector turn = ALTERNATING.mul(direction);
        FloatVector way = FloatVector.broadcast(S, direction);
        for (long i = 0; i < n; i += V) {
            long from = x + i & ADDRESS;
            long w = table + i & ADDRESS;
            long to = y + 4 * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, from, ORDER).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, from + n & ADDRESS, ORDER)
                    .mul(scale);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, from + 2L * n & ADDRESS, ORDER)
                    .mul(scale);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, from + 3L * n & ADDRESS, ORDER)
                    .mul(scale);
            FloatVector even = a.add(c);
            FloatVector odd = b.add(d);
            FloatVector difference = a.sub(c);
            FloatVector turned = b.sub(d).rearrange(SWAP).mul(turn);
            FloatVector y0 = even.add(odd);
            FloatVector y1 = difference.add(turned);
            FloatVector y2 = even.sub(odd);
            FloatVector y3 = difference.sub(turned);
            FloatVector s1 = FloatVector.fromMemorySegment(S, ALL, w + n & ADDRESS, ORDER)
                    .mul(way);
            FloatVector s2 = FloatVector.fromMemorySegment(S, ALL, w + 3L * n & ADDRESS, ORDER)
                    .mul(way);
            FloatVector s3 = FloatVector.fromMemorySegment(S, ALL, w + 5L * n & ADDRESS, ORDER)
                    .mul(way);
            s1 = s1.mul(y1.rearrange(SWAP));
            s2 = s2.mul(y2.rearrange(SWAP));
            s3 = s3.mul(y3.rearrange(SWAP));
            y1 = y1.fma(FloatVector.fromMemorySegment(S, ALL, w, ORDER), s1);
            y2 = y2.fma(FloatVector.fromMemorySegment(S, ALL, w + 2L * n & ADDRESS, ORDER), s2);
            y3 = y3.fma(FloatVector.fromMemorySegment(S, ALL, w + 4L * n & ADDRESS, ORDER), s3);
            y0.rearrange(QUARTER0)
                    .blend(y1.rearrange(QUARTER0), STREAM1)
                    .blend(y2.rearrange(QUARTER0), STREAM2)
                    .blend(y3.rearrange(QUARTER0), STREAM3)
                    .intoMemorySegment(ALL, to, ORDER);
            y0.rearrange(QUARTER1)
                    .blend(y1.rearrange(QUARTER1), STREAM1)
                    .blend(y2.rearrange(QUARTER1), STREAM2)
                    .blend(y3.rearrange(QUARTER1), STREAM3)
                    .intoMemorySegment(ALL, to + V, ORDER);
            y0.rearrange(QUARTER2)
                    .blend(y1.rearrange(QUARTER2), STREAM1)
                    .blend(y2.rearrange(QUARTER2), STREAM2)
                    .blend(y3.rearrange(QUARTER2), STREAM3)
                    .intoMemorySegment(ALL, to + 2 * V, ORDER);
            y0.rearrange(QUARTER3)
                    .blend(y1.rearrange(QUARTER3), STREAM1)
                    .blend(y2.rearrange(QUARTER3), STREAM2)
                    .blend(y3.rearrange(QUARTER3), STREAM3)
                    .intoMemorySegment(ALL, to + 3 * V, ORDER);
        }
    }

    /** Radix 4 and a stride of half a vector. */
    private static void halvedFour(long x, long y, int n, long table, float scale, int direction) {
        FloatVector turn = ALTERNATING.mul(direction);
        FloatVector way = FloatVector.broadcast(S, direction);
        for (long i = 0; i < n; i += V) {
            long from = x + i & ADDRESS;
            long w = table + i & ADDRESS;
            long to = y + 4 * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, from, ORDER).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, from + n & ADDRESS, ORDER)
                    .mul(scale);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, from + 2L * n & ADDRESS, ORDER)
                    .mul(scale);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, from + 3L * n & ADDRESS, ORDER)
                    .mul(scale);
            FloatVector even = a.add(c);
            FloatVector odd = b.add(d);
            FloatVector difference = a.sub(c);
            FloatVector turned = b.sub(d).rearrange(SWAP).mul(turn);
            FloatVector y0 = even.add(odd);
            FloatVector y1 = difference.add(turned);
            FloatVector y2 = even.sub(odd);
            FloatVector y3 = difference.sub(turned);
            FloatVector s1 = FloatVector.fromMemorySegment(S, ALL, w + n & ADDRESS, ORDER)
                    .mul(way);
            FloatVector s2 = FloatVector.fromMemorySegment(S, ALL, w + 3L * n & ADDRESS, ORDER)
                    .mul(way);
            FloatVector s3 = FloatVector.fromMemorySegment(S, ALL, w + 5L * n & ADDRESS, ORDER)
                    .mul(way);
            s1 = s1.mul(y1.rearrange(SWAP));
            s2 = s2.mul(y2.rearrange(SWAP));
            s3 = s3.mul(y3.rearrange(SWAP));
            y1 = y1.fma(FloatVector.fromMemorySegment(S, ALL, w, ORDER), s1);
            y2 = y2.fma(FloatVector.fromMemorySegment(S, ALL, w + 2L * n & ADDRESS, ORDER), s2);
            y3 = y3.fma(FloatVector.fromMemorySegment(S, ALL, w + 4L * n & ADDRESS, ORDER), s3);
            y0.blend(y1.rearrange(HALVES), UPPER).intoMemorySegment(ALL, to, ORDER);
            y2.blend(y3.rearrange(HALVES), UPPER).intoMemorySegment(ALL, to + V, ORDER);
            y0.rearrange(HALVES).blend(y1, UPPER).intoMemorySegment(ALL, to + 2 * V, ORDER);
            y2.rearrange(HALVES).blend(y3, UPPER).intoMemorySegment(ALL, to + 3 * V, ORDER);
        }
    }

    /** Radix 4 and a stride of whole vectors. */
    private static void four(long x, long y, int n, int s, long table, int direction) {
        FloatVector turn = ALTERNATING.mul(direction);
        long stride = 8L * s & ADDRESS;
        for (int i = 0; i < n / 8 / s; i++) {
            long w = table + 32L * i & ADDRESS;
            float c1 = ALL.get(JAVA_FLOAT_UNALIGNED, w);
            float c2 = ALL.get(JAVA_FLOAT_UNALIGNED, w + 8);
            float c3 = ALL.get(JAVA_FLOAT_UNALIGNED, w + 16);
            FloatVector s1 = turn.mul(ALL.get(JAVA_FLOAT_UNALIGNED, w + 4));
            FloatVector s2 = turn.mul(ALL.get(JAVA_FLOAT_UNALIGNED, w + 12));
            FloatVector s3 = turn.mul(ALL.get(JAVA_FLOAT_UNALIGNED, w + 20));
            FloatVector re1 = FloatVector.broadcast(S, c1);
            FloatVector re2 = FloatVector.broadcast(S, c2);
            FloatVector re3 = FloatVector.broadcast(S, c3);
            for (long q = 0; q < stride; q += V) {
                long from = x + stride * i + q & ADDRESS;
                long to = y + 4 * stride * i + q & ADDRESS;
                FloatVector a = FloatVector.fromMemorySegment(S, ALL, from, ORDER);
                FloatVector b = FloatVector.fromMemorySegment(S, ALL, from + n & ADDRESS, ORDER);
                FloatVector c = FloatVector.fromMemorySegment(S, ALL, from + 2L * n & ADDRESS, ORDER);
                FloatVector d = FloatVector.fromMemorySegment(S, ALL, from + 3L * n & ADDRESS, ORDER);
                FloatVector even = a.add(c);
                FloatVector odd = b.add(d);
                FloatVector difference = a.sub(c);
                FloatVector turned = b.sub(d).rearrange(SWAP).mul(turn);
                FloatVector y1 = difference.add(turned);
                FloatVector y2 = even.sub(odd);
                FloatVector y3 = difference.sub(turned);
                even.add(odd).intoMemorySegment(ALL, to, ORDER);
                FloatVector t1 = y1.rearrange(SWAP).mul(s1);
                FloatVector t2 = y2.rearrange(SWAP).mul(s2);
                FloatVector t3 = y3.rearrange(SWAP).mul(s3);
                y1.fma(re1, t1).intoMemorySegment(ALL, to + stride & ADDRESS, ORDER);
                y2.fma(re2, t2).intoMemorySegment(ALL, to + 2 * stride & ADDRESS, ORDER);
                y3.fma(re3, t3).intoMemorySegment(ALL, to + 3 * stride & ADDRESS, ORDER);
            }
        }
    }

    /** Radix 2 and a stride of whole pairs of vectors. */
    private static void two(long x, long y, int n, int s, long table, int direction) {
        FloatVector turn = ALTERNATING.mul(direction);
        long stride = 8L * s & ADDRESS;
        for (int i = 0; i < n / 4 / s; i++) {
            long w = table + 32L * i & ADDRESS;
            FloatVector re = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, w));
            FloatVector im = turn.mul(ALL.get(JAVA_FLOAT_UNALIGNED, w + 4));
            for (long q = 0; q < stride; q += 2 * V) {
                long from = x + stride * i + q & ADDRESS;
                long to = y + 2 * stride * i + q & ADDRESS;
                FloatVector a = FloatVector.fromMemorySegment(S, ALL, from, ORDER);
                FloatVector b = FloatVector.fromMemorySegment(S, ALL, from + V, ORDER);
                FloatVector c = FloatVector.fromMemorySegment(S, ALL, from + 2L * n & ADDRESS, ORDER);
                FloatVector d = FloatVector.fromMemorySegment(S, ALL, from + 2L * n + V & ADDRESS, ORDER);
                FloatVector e = a.sub(c);
                FloatVector f = b.sub(d);
                a.add(c).intoMemorySegment(ALL, to, ORDER);
                b.add(d).intoMemorySegment(ALL, to + V, ORDER);
                FloatVector g = e.rearrange(SWAP).mul(im);
                FloatVector h = f.rearrange(SWAP).mul(im);
                e.fma(re, g).intoMemorySegment(ALL, to + stride & ADDRESS, ORDER);
                f.fma(re, h).intoMemorySegment(ALL, to + stride + V & ADDRESS, ORDER);
            }
        }
    }

    /**
     * Of a transform of odd prime length p of two vectors: the sums {@code x_r + x_(p-r)} and the differences, two vectors each, to the scratch;
     * and y_0, the sum of all.
     */
    private static void foldPrime(long x, long y, int p, long step, long scratch) {
        FloatVector sum = FloatVector.fromMemorySegment(S, ALL, x & ADDRESS, ORDER);
        FloatVector other = FloatVector.fromMemorySegment(S, ALL, x + V & ADDRESS, ORDER);
        long up = x;
        long down = x + step * p;
        long to = scratch;
        for (int r = 1; r <= p / 2; r++, to += 4 * V) {
            up += step;
            down -= step;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, up & ADDRESS, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, up + V & ADDRESS, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, down & ADDRESS, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, down + V & ADDRESS, ORDER);
            FloatVector e = a.add(c);
            FloatVector f = b.add(d);
            sum = sum.add(e);
            other = other.add(f);
            e.intoMemorySegment(ALL, to & ADDRESS, ORDER);
            f.intoMemorySegment(ALL, to + V & ADDRESS, ORDER);
            a.sub(c).intoMemorySegment(ALL, to + 2 * V & ADDRESS, ORDER);
            b.sub(d).intoMemorySegment(ALL, to + 3 * V & ADDRESS, ORDER);
        }
        sum.intoMemorySegment(ALL, y & ADDRESS, ORDER);
        other.intoMemorySegment(ALL, y + V & ADDRESS, ORDER);
    }

    /** What {@link #foldPrime} leaves: y_k and y_(p-k), two k at a time, from cosines of the sums and sines of the differences. */
    private static void prime(
            long x, long y, int p, int s, long coefficients, long turns, int direction, long scratch) {
        FloatVector turn = ALTERNATING.mul(direction);
        FloatVector x0 = FloatVector.fromMemorySegment(S, ALL, x & ADDRESS, ORDER);
        FloatVector x1 = FloatVector.fromMemorySegment(S, ALL, x + V & ADDRESS, ORDER);
        int half = p / 2;
        long at = coefficients;
        for (int k = 1; k <= half; k += 2) {
            FloatVector c00 = x0;
            FloatVector c01 = x1;
            FloatVector c10 = x0;
            FloatVector c11 = x1;
            FloatVector s00 = FloatVector.zero(S);
            FloatVector s01 = FloatVector.zero(S);
            FloatVector s10 = FloatVector.zero(S);
            FloatVector s11 = FloatVector.zero(S);
            for (int r = 0; r < half; r++, at += 16) {
                long from = scratch + 4 * V * r & ADDRESS;
                long co = at & ADDRESS;
                FloatVector cos0 = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, co));
                FloatVector cos1 = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, co + 4));
                FloatVector sin0 = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, co + 8));
                FloatVector sin1 = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, co + 12));
                FloatVector a = FloatVector.fromMemorySegment(S, ALL, from, ORDER);
                FloatVector b = FloatVector.fromMemorySegment(S, ALL, from + V, ORDER);
                c00 = a.fma(cos0, c00);
                c01 = b.fma(cos0, c01);
                c10 = a.fma(cos1, c10);
                c11 = b.fma(cos1, c11);
                a = FloatVector.fromMemorySegment(S, ALL, from + 2 * V, ORDER);
                b = FloatVector.fromMemorySegment(S, ALL, from + 3 * V, ORDER);
                s00 = a.fma(sin0, s00);
                s01 = b.fma(sin0, s01);
                s10 = a.fma(sin1, s10);
                s11 = b.fma(sin1, s11);
            }
            for (int pair = 0; pair < 2; pair++) {
                int kk = Math.min(k + pair, half);
                FloatVector c0 = pair == 0 ? c00 : c10;
                FloatVector c1 = pair == 0 ? c01 : c11;
                FloatVector t0 = (pair == 0 ? s00 : s10).rearrange(SWAP).mul(turn);
                FloatVector t1 = (pair == 0 ? s01 : s11).rearrange(SWAP).mul(turn);
                for (int sign = 1; sign >= -1; sign -= 2) {
                    int to = sign > 0 ? kk : p - kk;
                    long w = turns + 8L * (to - 1) & ADDRESS;
                    FloatVector re = FloatVector.broadcast(S, ALL.get(JAVA_FLOAT_UNALIGNED, w));
                    FloatVector im = turn.mul(ALL.get(JAVA_FLOAT_UNALIGNED, w + 4));
                    FloatVector way = FloatVector.broadcast(S, sign);
                    FloatVector y0 = t0.fma(way, c0);
                    FloatVector y1 = t1.fma(way, c1);
                    long out = y + 8L * s * to & ADDRESS;
                    FloatVector u0 = y0.rearrange(SWAP).mul(im);
                    FloatVector u1 = y1.rearrange(SWAP).mul(im);
                    y0.fma(re, u0).intoMemorySegment(ALL, out, ORDER);
                    y1.fma(re, u1).intoMemorySegment(ALL, out + V, ORDER);
                }
            }
        }
    }
}
