package dev.gosset.core.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * The two products of attention for one query over stored rows of keys or values, and the conversions to and from that
 * storage, which is one of two:
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

    /** The largest finite half. */
    private static final float LARGEST = 65504;

    private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> I =
            VectorSpecies.of(int.class, VectorShape.forBitSize(F.vectorBitSize()));
    private static final VectorSpecies<Short> S =
            VectorSpecies.of(short.class, VectorShape.forBitSize(F.vectorBitSize() / 2));
    /** There is no vector of 32 bits: with floats of 128 bits the upper half of 64 is not used. */
    private static final VectorSpecies<Byte> B =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, F.vectorBitSize() / 4)));

    private static final int LANES = F.length();
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ByteOrder NATIVE = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);
    private static final MemorySegment ALL = NativeMemory.ALL;
    private static final int BITS = 0x8fffe000;
    private static final float SCALE = 0x1p112f;

    private static final VectorMask<Float> HALVES = upper(LANES / 2);
    private static final VectorMask<Float> QUARTERS = upper(LANES / 4);
    private static final VectorShuffle<Float> FLIP_HALVES = flip(LANES / 2);
    private static final VectorShuffle<Float> FLIP_QUARTERS = flip(LANES / 4);
    private static final VectorShuffle<Float> FLIP_2 = flip(2);
    private static final VectorShuffle<Float> FLIP_1 = flip(1);

    private VectorAttention() {}

    private static VectorMask<Float> upper(int bit) {
        boolean[] set = new boolean[LANES];
        for (int i = 0; i < LANES; i++) {
            set[i] = (i & bit) != 0;
        }
        return VectorMask.fromArray(F, set, 0);
    }

    private static VectorShuffle<Float> flip(int bit) {
        return VectorShuffle.fromOp(F, i -> (i ^ bit) % LANES);
    }

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
     * {@code scores[j] = sum_d q[d] keys[j][d]} for {@code 0 <= j < count}.
     *
     * @param q dim floats from byte {@code qAt} on
     * @param keys {@code count} rows of dim halves from byte {@code at} on
     * @param scores count floats from byte {@code to} on
     */
    public static void scores(
            MemorySegment q, long qAt, MemorySegment keys, long at, int count, int dim, MemorySegment scores, long to) {
        long query = NativeMemory.readable(q, qAt, 4L * dim);
        long rows = NativeMemory.readable(keys, at, 2L * count * dim);
        long out = NativeMemory.writable(scores, to, 4L * count);
        int whole = dim / LANES * LANES;
        sums(query, rows, count, whole, 2L * dim, out);
        if (whole < dim) {
            for (int j = 0; j < count; j++) {
                float sum = ALL.get(FLOAT, out + 4L * j);
                for (int d = whole; d < dim; d++) {
                    sum = Math.fma(ALL.get(FLOAT, query + 4L * d), half(rows + 2L * ((long) dim * j + d)), sum);
                }
                ALL.set(FLOAT, out + 4L * j, sum);
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
            MemorySegment keys,
            long at,
            MemorySegment scales,
            long scalesAt,
            int count,
            int dim,
            MemorySegment scores,
            long to) {
        long query = NativeMemory.readable(q, qAt, 4L * dim);
        long rows = NativeMemory.readable(keys, at, (long) count * dim + BEHIND);
        long scale = NativeMemory.readable(scales, scalesAt, 4L * count);
        long out = NativeMemory.writable(scores, to, 4L * count);
        int whole = dim / LANES * LANES;
        sumsOfBytes(query, rows, count, whole, dim, out);
        for (int j = 0; j < count; j++) {
            float sum = ALL.get(FLOAT, out + 4L * j);
            for (int d = whole; d < dim; d++) {
                float key = ALL.get(ValueLayout.JAVA_BYTE, rows + (long) dim * j + d);
                sum = Math.fma(ALL.get(FLOAT, query + 4L * d), key, sum);
            }
            ALL.set(FLOAT, out + 4L * j, sum * ALL.get(FLOAT, scale + 4L * j));
        }
        NativeMemory.keep(q, keys);
        NativeMemory.keep(scales, scores);
    }

    /**
     * {@code out[d] = sum_j weights[j] values[j][d]} for {@code 0 <= d < dim}, the rows from the first to the last.
     *
     * @param weights count floats from byte {@code wAt} on
     * @param values {@code count} rows of dim halves from byte {@code at} on
     * @param out dim floats from byte {@code to} on
     */
    public static void mix(
            MemorySegment weights,
            long wAt,
            MemorySegment values,
            long at,
            int count,
            int dim,
            MemorySegment out,
            long to) {
        long w = NativeMemory.readable(weights, wAt, 4L * count);
        long rows = NativeMemory.readable(values, at, 2L * count * dim);
        long y = NativeMemory.writable(out, to, 4L * dim);
        int whole = dim / LANES * LANES;
        for (int d = 0; d < whole; d += 4 * LANES) {
            // Less than four vectors: the last of them again, and stored again.
            int last = whole - LANES;
            int d1 = Math.min(d + LANES, last);
            int d2 = Math.min(d + 2 * LANES, last);
            int d3 = Math.min(d + 3 * LANES, last);
            mixFour(w, rows, count, 2L * dim, d, d1, d2, d3, y);
        }
        for (int d = whole; d < dim; d++) {
            float sum = 0;
            for (int j = 0; j < count; j++) {
                sum = Math.fma(ALL.get(FLOAT, w + 4L * j), half(rows + 2L * ((long) dim * j + d)), sum);
            }
            ALL.set(FLOAT, y + 4L * d, sum);
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
            MemorySegment values,
            long at,
            MemorySegment scales,
            long scalesAt,
            int count,
            int dim,
            MemorySegment out,
            long to) {
        long w = NativeMemory.readable(weights, wAt, 4L * count);
        long rows = NativeMemory.readable(values, at, (long) count * dim + BEHIND);
        long scale = NativeMemory.readable(scales, scalesAt, 4L * count);
        long y = NativeMemory.writable(out, to, 4L * dim);
        int whole = dim / LANES * LANES;
        for (int d = 0; d < whole; d += 4 * LANES) {
            int last = whole - LANES;
            int d1 = Math.min(d + LANES, last);
            int d2 = Math.min(d + 2 * LANES, last);
            int d3 = Math.min(d + 3 * LANES, last);
            mixFourOfBytes(w, scale, rows, count, dim, d, d1, d2, d3, y);
        }
        for (int d = whole; d < dim; d++) {
            float sum = 0;
            for (int j = 0; j < count; j++) {
                float weight = ALL.get(FLOAT, w + 4L * j) * ALL.get(FLOAT, scale + 4L * j);
                sum = Math.fma(weight, ALL.get(ValueLayout.JAVA_BYTE, rows + (long) dim * j + d), sum);
            }
            ALL.set(FLOAT, y + 4L * d, sum);
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

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing but the Vector API, so that C2 compiles it on its own and boxes nothing. A half becomes a float by
    // vpmovsxwd, vpslld, vpandd and vmulps, a byte by vpmovsxbd and vcvtdq2ps.

    /** Sums over the first {@code dim} columns of each row of halves. */
    private static void sums(long q, long keys, int count, int dim, long row, long scores) {
        for (int j = 0; j < count; j += 4) {
            // Less than four rows: the last of them again, and stored again.
            long p0 = keys + row * j;
            long p1 = keys + row * Math.min(j + 1, count - 1);
            long p2 = keys + row * Math.min(j + 2, count - 1);
            long p3 = keys + row * Math.min(j + 3, count - 1);
            FloatVector s0 = FloatVector.zero(F);
            FloatVector s1 = s0;
            FloatVector s2 = s0;
            FloatVector s3 = s0;
            for (int d = 0; d < dim; d += LANES) {
                FloatVector v = FloatVector.fromMemorySegment(F, ALL, q + 4L * d, NATIVE)
                        .mul(SCALE);
                s0 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p0 + 2L * d, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .fma(v, s0);
                s1 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p1 + 2L * d, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .fma(v, s1);
                s2 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p2 + 2L * d, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .fma(v, s2);
                s3 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p3 + 2L * d, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .fma(v, s3);
            }
            // The sums of four vectors in one: first halves of vectors are added, then quarters, in a fixed order.
            FloatVector a = s0.blend(s1, HALVES).add(s1.blend(s0, HALVES).rearrange(FLIP_HALVES));
            FloatVector b = s2.blend(s3, HALVES).add(s3.blend(s2, HALVES).rearrange(FLIP_HALVES));
            FloatVector c = a.blend(b, QUARTERS).add(b.blend(a, QUARTERS).rearrange(FLIP_QUARTERS));
            if (LANES > 8) {
                c = c.add(c.rearrange(FLIP_2));
            }
            if (LANES > 4) {
                c = c.add(c.rearrange(FLIP_1));
            }
            ALL.set(FLOAT, scores + 4L * j, c.lane(0));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 1, count - 1), c.lane(LANES / 2));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 2, count - 1), c.lane(LANES / 4));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 3, count - 1), c.lane(LANES / 2 + LANES / 4));
        }
    }

    /** Sums over the first {@code dim} columns of each row of bytes, without their scales. */
    private static void sumsOfBytes(long q, long keys, int count, int dim, long row, long scores) {
        for (int j = 0; j < count; j += 4) {
            // Less than four rows: the last of them again, and stored again.
            long p0 = keys + row * j;
            long p1 = keys + row * Math.min(j + 1, count - 1);
            long p2 = keys + row * Math.min(j + 2, count - 1);
            long p3 = keys + row * Math.min(j + 3, count - 1);
            FloatVector s0 = FloatVector.zero(F);
            FloatVector s1 = s0;
            FloatVector s2 = s0;
            FloatVector s3 = s0;
            for (int d = 0; d < dim; d += LANES) {
                FloatVector v = FloatVector.fromMemorySegment(F, ALL, q + 4L * d, NATIVE);
                s0 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p0 + d, ORDER)
                                .convertShape(VectorOperators.B2F, F, 0))
                        .fma(v, s0);
                s1 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p1 + d, ORDER)
                                .convertShape(VectorOperators.B2F, F, 0))
                        .fma(v, s1);
                s2 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p2 + d, ORDER)
                                .convertShape(VectorOperators.B2F, F, 0))
                        .fma(v, s2);
                s3 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p3 + d, ORDER)
                                .convertShape(VectorOperators.B2F, F, 0))
                        .fma(v, s3);
            }
            // The sums of four vectors in one: first halves of vectors are added, then quarters, in a fixed order.
            FloatVector a = s0.blend(s1, HALVES).add(s1.blend(s0, HALVES).rearrange(FLIP_HALVES));
            FloatVector b = s2.blend(s3, HALVES).add(s3.blend(s2, HALVES).rearrange(FLIP_HALVES));
            FloatVector c = a.blend(b, QUARTERS).add(b.blend(a, QUARTERS).rearrange(FLIP_QUARTERS));
            if (LANES > 8) {
                c = c.add(c.rearrange(FLIP_2));
            }
            if (LANES > 4) {
                c = c.add(c.rearrange(FLIP_1));
            }
            ALL.set(FLOAT, scores + 4L * j, c.lane(0));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 1, count - 1), c.lane(LANES / 2));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 2, count - 1), c.lane(LANES / 4));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 3, count - 1), c.lane(LANES / 2 + LANES / 4));
        }
    }

    /** Four vectors of columns. */
    private static void mixFour(
            long weights, long values, int count, long row, int d0, int d1, int d2, int d3, long out) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int j = 0; j < count; j++) {
            long p = values + row * j;
            FloatVector w = FloatVector.broadcast(F, ALL.get(FLOAT, weights + 4L * j) * SCALE);
            s0 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d0, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s0);
            s1 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d1, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s1);
            s2 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d2, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s2);
            s3 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d3, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s3);
        }
        s0.intoMemorySegment(ALL, out + 4L * d0, NATIVE);
        s1.intoMemorySegment(ALL, out + 4L * d1, NATIVE);
        s2.intoMemorySegment(ALL, out + 4L * d2, NATIVE);
        s3.intoMemorySegment(ALL, out + 4L * d3, NATIVE);
    }

    /** Four vectors of columns of bytes. */
    private static void mixFourOfBytes(
            long weights, long scales, long values, int count, long row, int d0, int d1, int d2, int d3, long out) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int j = 0; j < count; j++) {
            long p = values + row * j;
            FloatVector w =
                    FloatVector.broadcast(F, ALL.get(FLOAT, weights + 4L * j) * ALL.get(FLOAT, scales + 4L * j));
            s0 = ((FloatVector)
                            ByteVector.fromMemorySegment(B, ALL, p + d0, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, s0);
            s1 = ((FloatVector)
                            ByteVector.fromMemorySegment(B, ALL, p + d1, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, s1);
            s2 = ((FloatVector)
                            ByteVector.fromMemorySegment(B, ALL, p + d2, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, s2);
            s3 = ((FloatVector)
                            ByteVector.fromMemorySegment(B, ALL, p + d3, ORDER).convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, s3);
        }
        s0.intoMemorySegment(ALL, out + 4L * d0, NATIVE);
        s1.intoMemorySegment(ALL, out + 4L * d1, NATIVE);
        s2.intoMemorySegment(ALL, out + 4L * d2, NATIVE);
        s3.intoMemorySegment(ALL, out + 4L * d3, NATIVE);
    }

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
