package dev.gosset.core.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The two products of attention for one query over rows of keys or values stored as float16, little-endian, and the
 * conversions to and from that storage. Sums in float32. Halves that are infinite or NaN do not come out as such: {@link
 * #narrow} stores none, it stops at the largest half.
 *
 * <p>Stateless, thread-safe, allocates nothing. All segments are native.
 */
public final class VectorAttention {
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
    private static final int BITS = 0x8fffe000;
    private static final float SCALE = 0x1p112f;

    private VectorAttention() {}

    /** Stores n floats as halves, rounded to nearest even; beyond the largest half as that. NaN becomes zero: the token that has one shows it in its own hidden state. */
    public static void narrow(MemorySegment x, long at, MemorySegment halves, long to, int n) {
        for (int i = 0; i < n; i++) {
            float v = x.get(FLOAT, at + 4L * i);
            float bounded = Math.max(-LARGEST, Math.min(LARGEST, v));
            halves.set(HALF, to + 2L * i, Float.floatToFloat16(Float.isNaN(v) ? 0 : bounded));
        }
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
        int whole = dim / LANES * LANES;
        sums(q, qAt, keys, at, count, whole, 2L * dim, scores, to);
        if (whole < dim) {
            for (int j = 0; j < count; j++) {
                float sum = scores.get(FLOAT, to + 4L * j);
                for (int d = whole; d < dim; d++) {
                    sum = Math.fma(q.get(FLOAT, qAt + 4L * d), half(keys, at + 2L * ((long) dim * j + d)), sum);
                }
                scores.set(FLOAT, to + 4L * j, sum);
            }
        }
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
        int whole = dim / LANES * LANES;
        for (int d = 0; d < whole; d += 4 * LANES) {
            // Less than four vectors: the last of them again, and stored again.
            int last = whole - LANES;
            mixFour(
                    weights,
                    wAt,
                    values,
                    at,
                    count,
                    2L * dim,
                    d,
                    Math.min(d + LANES, last),
                    Math.min(d + 2 * LANES, last),
                    Math.min(d + 3 * LANES, last),
                    out,
                    to);
        }
        for (int d = whole; d < dim; d++) {
            float sum = 0;
            for (int j = 0; j < count; j++) {
                sum = Math.fma(weights.get(FLOAT, wAt + 4L * j), half(values, at + 2L * ((long) dim * j + d)), sum);
            }
            out.set(FLOAT, to + 4L * d, sum);
        }
    }

    /** n halves from byte {@code at} on as floats. */
    public static void widen(MemorySegment halves, long at, MemorySegment out, long to, int n) {
        int whole = n / (4 * LANES) * (4 * LANES);
        widenFours(halves, at, out, to, whole);
        for (int i = whole; i < n; i++) {
            out.set(FLOAT, to + 4L * i, half(halves, at + 2L * i));
        }
    }

    private static float half(MemorySegment halves, long at) {
        return Float.float16ToFloat(halves.get(HALF, at));
    }

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing
    // but the Vector API, so that C2 compiles it on its own and boxes nothing. A half becomes a float by vpmovsxwd,
    // vpslld,
    // vpandd and vmulps.

    private static void sums(
            MemorySegment q,
            long qAt,
            MemorySegment keys,
            long at,
            int count,
            int dim,
            long row,
            MemorySegment scores,
            long to) {
        for (int j = 0; j < count; j += 4) {
            // Less than four rows: the last of them again.
            long p0 = at + row * j;
            long p1 = at + row * Math.min(j + 1, count - 1);
            long p2 = at + row * Math.min(j + 2, count - 1);
            long p3 = at + row * Math.min(j + 3, count - 1);
            FloatVector s0 = FloatVector.zero(F);
            FloatVector s1 = s0;
            FloatVector s2 = s0;
            FloatVector s3 = s0;
            for (int d = 0; d < dim; d += LANES) {
                FloatVector v = FloatVector.fromMemorySegment(F, q, qAt + 4L * d, NATIVE);
                s0 = ((IntVector) ShortVector.fromMemorySegment(S, keys, p0 + 2L * d, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .mul(SCALE)
                        .fma(v, s0);
                s1 = ((IntVector) ShortVector.fromMemorySegment(S, keys, p1 + 2L * d, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .mul(SCALE)
                        .fma(v, s1);
                s2 = ((IntVector) ShortVector.fromMemorySegment(S, keys, p2 + 2L * d, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .mul(SCALE)
                        .fma(v, s2);
                s3 = ((IntVector) ShortVector.fromMemorySegment(S, keys, p3 + 2L * d, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .mul(SCALE)
                        .fma(v, s3);
            }
            float f0 = s0.reduceLanes(VectorOperators.ADD);
            float f1 = s1.reduceLanes(VectorOperators.ADD);
            float f2 = s2.reduceLanes(VectorOperators.ADD);
            float f3 = s3.reduceLanes(VectorOperators.ADD);
            scores.set(FLOAT, to + 4L * j, f0);
            scores.set(FLOAT, to + 4L * Math.min(j + 1, count - 1), f1);
            scores.set(FLOAT, to + 4L * Math.min(j + 2, count - 1), f2);
            scores.set(FLOAT, to + 4L * Math.min(j + 3, count - 1), f3);
        }
    }

    private static void mixFour(
            MemorySegment weights,
            long wAt,
            MemorySegment values,
            long at,
            int count,
            long row,
            int d0,
            int d1,
            int d2,
            int d3,
            MemorySegment out,
            long to) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int j = 0; j < count; j++) {
            long p = at + row * j;
            FloatVector w = FloatVector.broadcast(F, weights.get(FLOAT, wAt + 4L * j) * SCALE);
            s0 = ((IntVector) ShortVector.fromMemorySegment(S, values, p + 2L * d0, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s0);
            s1 = ((IntVector) ShortVector.fromMemorySegment(S, values, p + 2L * d1, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s1);
            s2 = ((IntVector) ShortVector.fromMemorySegment(S, values, p + 2L * d2, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s2);
            s3 = ((IntVector) ShortVector.fromMemorySegment(S, values, p + 2L * d3, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s3);
        }
        s0.intoMemorySegment(out, to + 4L * d0, NATIVE);
        s1.intoMemorySegment(out, to + 4L * d1, NATIVE);
        s2.intoMemorySegment(out, to + 4L * d2, NATIVE);
        s3.intoMemorySegment(out, to + 4L * d3, NATIVE);
    }

    private static void widenFours(MemorySegment halves, long at, MemorySegment out, long to, int n) {
        for (int i = 0; i < n; i += 4 * LANES) {
            long p = at + 2L * i;
            long p1 = p + 2L * LANES;
            long p2 = p + 4L * LANES;
            long p3 = p + 6L * LANES;
            long q = to + 4L * i;
            ((IntVector) ShortVector.fromMemorySegment(S, halves, p, ORDER).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .mul(SCALE)
                    .intoMemorySegment(out, q, NATIVE);
            ((IntVector) ShortVector.fromMemorySegment(S, halves, p1, ORDER).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .mul(SCALE)
                    .intoMemorySegment(out, q + 4L * LANES, NATIVE);
            ((IntVector) ShortVector.fromMemorySegment(S, halves, p2, ORDER).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .mul(SCALE)
                    .intoMemorySegment(out, q + 8L * LANES, NATIVE);
            ((IntVector) ShortVector.fromMemorySegment(S, halves, p3, ORDER).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .mul(SCALE)
                    .intoMemorySegment(out, q + 12L * LANES, NATIVE);
        }
    }
}
