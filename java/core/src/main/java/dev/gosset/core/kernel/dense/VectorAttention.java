package dev.gosset.core.kernel.dense;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The two products of attention for queries over the rows of keys or values that they share, and the conversions to and from
 * that storage, which is one of two:
 *
 * <ul>
 *   <li>float16, little-endian. Halves that are infinite or NaN do not come out as such: {@link #narrow} stores none, it
 *       stops at the largest half.
 *   <li>bytes from -127 to 127 with one float32 scale a row, in memory of their own: {@link #narrowToBytes}. Behind the last
 *       row {@value #BEHIND} bytes must be readable: narrow vectors are loaded with what follows them.
 * </ul>
 *
 * <p>Sums in float32, always in the same order. Stateless, thread-safe, allocates nothing. All segments are native, checked
 * as in {@link VectorMath}.
 */
public final class VectorAttention {
    /** Bytes behind the last row of bytes that must be readable. */
    public static final int BEHIND = 8;

    /** Queries that share the conversion of a row. */
    private static final int QUERIES = 4;

    /** The largest finite half. */
    private static final float LARGEST = 65504;

    private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> I =
            VectorSpecies.of(int.class, VectorShape.forBitSize(F.vectorBitSize()));
    private static final VectorSpecies<Short> S =
            VectorSpecies.of(short.class, VectorShape.forBitSize(F.vectorBitSize() / 2));

    private static final int LANES = F.length();
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ByteOrder NATIVE = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);
    private static final MemorySegment ALL = NativeMemory.ALL;
    private static final int BITS = 0x8fffe000;
    private static final float SCALE = 0x1p112f;

    private VectorAttention() {}

    /** Stores n floats as halves, rounded to nearest even; beyond the largest half as that. NaN becomes zero: the token that has one shows it in its own hidden state. */
    public static void narrow(MemorySegment x, long at, MemorySegment halves, long to, int n) {
        long from = NativeMemory.readable(x, at, 4L * n);
        long out = NativeMemory.writable(halves, to, 2L * n);
        for (int i = 0; i < n; i++) {
            float v = ALL.get(FLOAT, from + 4L * i);
            float bounded = Math.max(-LARGEST, Math.min(LARGEST, v));
            ALL.set(HALF, out + 2L * i, Float.floatToFloat16(Float.isNaN(v) ? 0 : bounded));
        }
        NativeMemory.keep(x, halves);
    }

    /**
     * Stores n floats as bytes {@code q} and one scale {@code s}: {@code x = s q}, with s the largest magnitude / 127, so
     * that each is wrong by at most s / 2. NaN becomes zero, and infinity the largest float.
     *
     * @param scale receives s, a float at byte {@code scaleAt}
     */
    public static void narrowToBytes(
            MemorySegment x, long at, MemorySegment bytes, long to, MemorySegment scale, long scaleAt, int n) {
        long from = NativeMemory.readable(x, at, 4L * n);
        long out = NativeMemory.writable(bytes, to, n);
        float max = 0;
        for (int i = 0; i < n; i++) {
            float v = Math.abs(ALL.get(FLOAT, from + 4L * i));
            max = v > max ? v : max;
        }
        float s = Math.min(max, Float.MAX_VALUE) / 127;
        // A scale that is zero or has no inverse: numbers below 1e-36, kept as zeros.
        float inverse = s < 1e-36f ? 0 : 1 / s;
        ALL.set(FLOAT, NativeMemory.writable(scale, scaleAt, 4), s);
        for (int i = 0; i < n; i++) {
            float v = ALL.get(FLOAT, from + 4L * i) * inverse;
            // The conversion of NaN is zero.
            int q = (int) Math.rint(v);
            ALL.set(ValueLayout.JAVA_BYTE, out + i, (byte) Math.max(-127, Math.min(127, q)));
        }
        NativeMemory.keep(x, bytes);
        Reference.reachabilityFence(scale);
    }

    /**
     * {@code scores[i][j] = sum_d q[i][d] keys[j][d]} for {@code 0 <= i < queries} and {@code 0 <= j < count}: the queries that
     * share a head of keys and values. Each score has the same bits whatever the other queries are.
     *
     * @param q {@code queries} rows of dim floats from byte {@code qAt} on
     * @param keys {@code count} rows of dim halves from byte {@code at} on
     * @param scores {@code queries} rows of count floats from byte {@code to} on
     * @param stride bytes from the scores of a query to those of the next
     */
    public static void scores(
            MemorySegment q,
            long qAt,
            int queries,
            MemorySegment keys,
            long at,
            int count,
            int dim,
            MemorySegment scores,
            long to,
            long stride) {
        long query = NativeMemory.readable(q, qAt, 4L * queries * dim);
        long rows = NativeMemory.readable(keys, at, 2L * count * dim);
        long out = NativeMemory.writable(scores, to, stride * (queries - 1) + 4L * count);
        int whole = dim / LANES * LANES;
        int step = count > 1 ? QUERIES : 1;
        for (int i = 0; i < queries; i += step) {
            long q0 = query + 4L * i * dim;
            long o0 = out + stride * i;
            if (step == 1 || i + 1 == queries) {
                AttentionSums.sums(q0, rows, count, whole, 2L * dim, o0);
            } else {
                int more = Math.min(3, queries - 1 - i);
                AttentionSums.sumsForFour(q0, 4L * dim, o0, stride, more, rows, count, whole, 2L * dim);
            }
        }
        for (int i = 0; whole < dim && i < queries; i++) {
            for (int j = 0; j < count; j++) {
                long score = out + stride * i + 4L * j;
                float sum = ALL.get(FLOAT, score);
                for (int d = whole; d < dim; d++) {
                    sum = Math.fma(
                            ALL.get(FLOAT, query + 4L * ((long) i * dim + d)),
                            half(rows + 2L * ((long) dim * j + d)),
                            sum);
                }
                ALL.set(FLOAT, score, sum);
            }
        }
        NativeMemory.keep(q, keys);
        Reference.reachabilityFence(scores);
    }

    /**
     * As {@link #scores} for keys stored as bytes.
     *
     * @param keys {@code count} rows of dim bytes from byte {@code at} on, and {@value #BEHIND} bytes more
     * @param scales their count scales from byte {@code scalesAt} on
     */
    public static void scoresOfBytes(
            MemorySegment q,
            long qAt,
            int queries,
            MemorySegment keys,
            long at,
            MemorySegment scales,
            long scalesAt,
            int count,
            int dim,
            MemorySegment scores,
            long to,
            long stride) {
        long query = NativeMemory.readable(q, qAt, 4L * queries * dim);
        long rows = NativeMemory.readable(keys, at, (long) count * dim + BEHIND);
        long scale = NativeMemory.readable(scales, scalesAt, 4L * count);
        long out = NativeMemory.writable(scores, to, stride * (queries - 1) + 4L * count);
        int whole = dim / LANES * LANES;
        int step = count > 1 ? QUERIES : 1;
        for (int i = 0; i < queries; i += step) {
            long q0 = query + 4L * i * dim;
            long o0 = out + stride * i;
            if (step == 1 || i + 1 == queries) {
                AttentionSums.sumsOfBytes(q0, rows, count, whole, dim, o0);
            } else {
                int more = Math.min(3, queries - 1 - i);
                AttentionSums.sumsForFourOfBytes(q0, 4L * dim, o0, stride, more, rows, count, whole, dim);
            }
        }
        for (int i = 0; i < queries; i++) {
            for (int j = 0; j < count; j++) {
                long score = out + stride * i + 4L * j;
                float sum = ALL.get(FLOAT, score);
                for (int d = whole; d < dim; d++) {
                    float key = ALL.get(ValueLayout.JAVA_BYTE, rows + (long) dim * j + d);
                    sum = Math.fma(ALL.get(FLOAT, query + 4L * ((long) i * dim + d)), key, sum);
                }
                ALL.set(FLOAT, score, sum * ALL.get(FLOAT, scale + 4L * j));
            }
        }
        NativeMemory.keep(q, keys);
        NativeMemory.keep(scales, scores);
    }

    /**
     * {@code out[i][d] = sum_j weights[i][j] values[j][d]} for {@code 0 <= i < queries} and {@code 0 <= d < dim}, the rows from
     * the first to the last. With {@code add} they go on from what is in out, with the bits of one call for all rows. Each sum
     * has the same bits whatever the other queries are.
     *
     * @param weights {@code queries} rows of count floats from byte {@code wAt} on
     * @param stride bytes from the weights of a query to those of the next
     * @param values {@code count} rows of dim halves from byte {@code at} on
     * @param out {@code queries} rows of dim floats from byte {@code to} on
     */
    public static void mix(
            MemorySegment weights,
            long wAt,
            long stride,
            int queries,
            MemorySegment values,
            long at,
            int count,
            int dim,
            MemorySegment out,
            long to,
            boolean add) {
        long w = NativeMemory.readable(weights, wAt, stride * (queries - 1) + 4L * count);
        long rows = NativeMemory.readable(values, at, 2L * count * dim);
        long y = NativeMemory.writable(out, to, 4L * queries * dim);
        int whole = dim / LANES * LANES;
        // Less than four vectors of columns, or two: the last of them again, and stored again.
        int last = whole - LANES;
        for (int i = 0; i < queries; i += QUERIES) {
            long w0 = w + stride * i;
            long o0 = y + 4L * i * dim;
            if (i + 1 == queries) {
                for (int d = 0; d < whole; d += 4 * LANES) {
                    int d1 = Math.min(d + LANES, last);
                    int d2 = Math.min(d + 2 * LANES, last);
                    int d3 = Math.min(d + 3 * LANES, last);
                    AttentionSums.mixFour(w0, rows, count, 2L * dim, d, d1, d2, d3, add, o0);
                }
                continue;
            }
            int more = Math.min(3, queries - 1 - i);
            for (int d = 0; d < whole; d += 2 * LANES) {
                AttentionSums.mixForFour(
                        w0, stride, o0, more, 4L * dim, rows, count, 2L * dim, d, Math.min(d + LANES, last), add);
            }
        }
        for (int i = 0; i < queries; i++) {
            for (int d = whole; d < dim; d++) {
                long sumAt = y + 4L * ((long) i * dim + d);
                float sum = add ? ALL.get(FLOAT, sumAt) : 0;
                for (int j = 0; j < count; j++) {
                    float weight = ALL.get(FLOAT, w + stride * i + 4L * j);
                    sum = Math.fma(weight, half(rows + 2L * ((long) dim * j + d)), sum);
                }
                ALL.set(FLOAT, sumAt, sum);
            }
        }
        NativeMemory.keep(weights, values);
        Reference.reachabilityFence(out);
    }

    /**
     * As {@link #mix} for values stored as bytes.
     *
     * @param values {@code count} rows of dim bytes from byte {@code at} on, and {@value #BEHIND} bytes more
     * @param scales their count scales from byte {@code scalesAt} on
     */
    public static void mixBytes(
            MemorySegment weights,
            long wAt,
            long stride,
            int queries,
            MemorySegment values,
            long at,
            MemorySegment scales,
            long scalesAt,
            int count,
            int dim,
            MemorySegment out,
            long to,
            boolean add) {
        long w = NativeMemory.readable(weights, wAt, stride * (queries - 1) + 4L * count);
        long rows = NativeMemory.readable(values, at, (long) count * dim + BEHIND);
        long scale = NativeMemory.readable(scales, scalesAt, 4L * count);
        long y = NativeMemory.writable(out, to, 4L * queries * dim);
        int whole = dim / LANES * LANES;
        int last = whole - LANES;
        for (int i = 0; i < queries; i += QUERIES) {
            long w0 = w + stride * i;
            long o0 = y + 4L * i * dim;
            if (i + 1 == queries) {
                for (int d = 0; d < whole; d += 4 * LANES) {
                    int d1 = Math.min(d + LANES, last);
                    int d2 = Math.min(d + 2 * LANES, last);
                    int d3 = Math.min(d + 3 * LANES, last);
                    AttentionSums.mixFourOfBytes(w0, scale, rows, count, dim, d, d1, d2, d3, add, o0);
                }
                continue;
            }
            int more = Math.min(3, queries - 1 - i);
            for (int d = 0; d < whole; d += 2 * LANES) {
                AttentionSums.mixForFourOfBytes(
                        w0, stride, o0, more, 4L * dim, scale, rows, count, dim, d, Math.min(d + LANES, last), add);
            }
        }
        for (int i = 0; i < queries; i++) {
            for (int d = whole; d < dim; d++) {
                long sumAt = y + 4L * ((long) i * dim + d);
                float sum = add ? ALL.get(FLOAT, sumAt) : 0;
                for (int j = 0; j < count; j++) {
                    float weight = ALL.get(FLOAT, w + stride * i + 4L * j) * ALL.get(FLOAT, scale + 4L * j);
                    sum = Math.fma(weight, ALL.get(ValueLayout.JAVA_BYTE, rows + (long) dim * j + d), sum);
                }
                ALL.set(FLOAT, sumAt, sum);
            }
        }
        NativeMemory.keep(weights, values);
        NativeMemory.keep(scales, out);
    }

    /** n halves from byte {@code at} on as floats. */
    public static void widen(MemorySegment halves, long at, MemorySegment out, long to, int n) {
        long from = NativeMemory.readable(halves, at, 2L * n);
        long floats = NativeMemory.writable(out, to, 4L * n);
        int whole = n / (4 * LANES) * (4 * LANES);
        widenFours(from, floats, whole);
        for (int i = whole; i < n; i++) {
            ALL.set(FLOAT, floats + 4L * i, half(from + 2L * i));
        }
        NativeMemory.keep(halves, out);
    }

    /** {@code count} rows of dim bytes from byte {@code at} on, with their scales, as floats. */
    public static void widenBytes(
            MemorySegment bytes,
            long at,
            MemorySegment scales,
            long scalesAt,
            MemorySegment out,
            long to,
            int count,
            int dim) {
        long from = NativeMemory.readable(bytes, at, (long) count * dim);
        long scale = NativeMemory.readable(scales, scalesAt, 4L * count);
        long floats = NativeMemory.writable(out, to, 4L * count * dim);
        for (int j = 0; j < count; j++) {
            float s = ALL.get(FLOAT, scale + 4L * j);
            long row = (long) dim * j;
            for (int d = 0; d < dim; d++) {
                ALL.set(FLOAT, floats + 4 * (row + d), s * ALL.get(ValueLayout.JAVA_BYTE, from + row + d));
            }
        }
        NativeMemory.keep(bytes, scales);
        Reference.reachabilityFence(out);
    }

    private static float half(long at) {
        return Float.float16ToFloat(ALL.get(HALF, at));
    }

    // Long for the same reason as the methods of AttentionSums.
    private static void widenFours(long at, long to, int n) {
        for (int i = 0; i < n; i += 4 * LANES) {
            long p = at + 2L * i;
            long p1 = p + 2L * LANES;
            long p2 = p + 4L * LANES;
            long p3 = p + 6L * LANES;
            long q = to + 4L * i;
            ((IntVector) ShortVector.fromMemorySegment(S, ALL, p, ORDER).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .mul(SCALE)
                    .intoMemorySegment(ALL, q, NATIVE);
            ((IntVector) ShortVector.fromMemorySegment(S, ALL, p1, ORDER).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .mul(SCALE)
                    .intoMemorySegment(ALL, q + 4L * LANES, NATIVE);
            ((IntVector) ShortVector.fromMemorySegment(S, ALL, p2, ORDER).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .mul(SCALE)
                    .intoMemorySegment(ALL, q + 8L * LANES, NATIVE);
            ((IntVector) ShortVector.fromMemorySegment(S, ALL, p3, ORDER).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .mul(SCALE)
                    .intoMemorySegment(ALL, q + 12L * LANES, NATIVE);
        }
    }
}
