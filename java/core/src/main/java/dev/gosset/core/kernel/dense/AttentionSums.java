package dev.gosset.core.kernel.dense;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * The loops of {@link VectorAttention}, on addresses that were checked there. Each sum is formed in the same order in all of
 * them, so that it has the same bits whether a query is alone or one of four.
 */
final class AttentionSums {
    private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> I =
            VectorSpecies.of(int.class, VectorShape.forBitSize(F.vectorBitSize()));
    private static final VectorSpecies<Short> S =
            VectorSpecies.of(short.class, VectorShape.forBitSize(F.vectorBitSize() / 2));
    /** There is no vector of 32 bits: with floats of 128 bits the upper half of 64 is not used. */
    private static final VectorSpecies<Byte> B =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, F.vectorBitSize() / 4)));

    static final int LANES = F.length();
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ByteOrder NATIVE = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ORDER);
    private static final MemorySegment ALL = NativeMemory.ALL;
    private static final long ADDRESS = NativeMemory.ADDRESS;
    private static final int BITS = 0x8fffe000;
    private static final float SCALE = 0x1p112f;

    private static final VectorMask<Float> HALVES = upper(LANES / 2);
    private static final VectorMask<Float> QUARTERS = upper(LANES / 4);
    private static final VectorMask<Float> ODD = upper(1);
    private static final VectorShuffle<Float> FLIP_HALVES = flip(LANES / 2);
    private static final VectorShuffle<Float> FLIP_QUARTERS = flip(LANES / 4);
    private static final VectorShuffle<Float> FLIP_2 = flip(2);
    private static final VectorShuffle<Float> FLIP_1 = flip(1);

    private AttentionSums() {}

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

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing but the Vector API, so that C2 compiles it on its own and boxes nothing. A half becomes a float by
    // vpmovsxwd, vpslld, vpandd and vmulps, a byte by vpmovsxbd and vcvtdq2ps.

    /** Sums over the first {@code dim} columns of each row of halves. */
    static void sums(long q, long keys, int count, int dim, long row, long scores) {
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
                FloatVector v = FloatVector.fromMemorySegment(F, ALL, q + 4L * d & ADDRESS, NATIVE)
                        .mul(SCALE);
                s0 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p0 + 2L * d & ADDRESS, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .fma(v, s0);
                s1 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p1 + 2L * d & ADDRESS, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .fma(v, s1);
                s2 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p2 + 2L * d & ADDRESS, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .fma(v, s2);
                s3 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p3 + 2L * d & ADDRESS, ORDER)
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
            ALL.set(FLOAT, scores + 4L * j & ADDRESS, c.lane(0));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 1, count - 1) & ADDRESS, c.lane(LANES / 2));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 2, count - 1) & ADDRESS, c.lane(LANES / 4));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 3, count - 1) & ADDRESS, c.lane(LANES / 2 + LANES / 4));
        }
    }

    /** Sums over the first {@code dim} columns of each row of bytes, without their scales. */
    static void sumsOfBytes(long q, long keys, int count, int dim, long row, long scores) {
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
                FloatVector v = FloatVector.fromMemorySegment(F, ALL, q + 4L * d & ADDRESS, NATIVE);
                s0 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p0 + d & ADDRESS, ORDER)
                                .convertShape(VectorOperators.B2F, F, 0))
                        .fma(v, s0);
                s1 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p1 + d & ADDRESS, ORDER)
                                .convertShape(VectorOperators.B2F, F, 0))
                        .fma(v, s1);
                s2 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p2 + d & ADDRESS, ORDER)
                                .convertShape(VectorOperators.B2F, F, 0))
                        .fma(v, s2);
                s3 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p3 + d & ADDRESS, ORDER)
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
            ALL.set(FLOAT, scores + 4L * j & ADDRESS, c.lane(0));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 1, count - 1) & ADDRESS, c.lane(LANES / 2));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 2, count - 1) & ADDRESS, c.lane(LANES / 4));
            ALL.set(FLOAT, scores + 4L * Math.min(j + 3, count - 1) & ADDRESS, c.lane(LANES / 2 + LANES / 4));
        }
    }

    /**
     * Four vectors of columns.
     *
     * @param add whether the sums go on from what is there
     */
    static void mixFour(
            long weights, long values, int count, long row, int d0, int d1, int d2, int d3, boolean add, long out) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        if (add) {
            s0 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d0 & ADDRESS, NATIVE);
            s1 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d1 & ADDRESS, NATIVE);
            s2 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d2 & ADDRESS, NATIVE);
            s3 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d3 & ADDRESS, NATIVE);
        }
        long p = values;
        for (int j = 0; j < count; j++, p += row) {
            FloatVector w = FloatVector.broadcast(F, ALL.get(FLOAT, weights + 4L * j & ADDRESS) * SCALE);
            s0 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d0 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s0);
            s1 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d1 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s1);
            s2 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d2 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s2);
            s3 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d3 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats()
                    .fma(w, s3);
        }
        s0.intoMemorySegment(ALL, out + 4L * d0 & ADDRESS, NATIVE);
        s1.intoMemorySegment(ALL, out + 4L * d1 & ADDRESS, NATIVE);
        s2.intoMemorySegment(ALL, out + 4L * d2 & ADDRESS, NATIVE);
        s3.intoMemorySegment(ALL, out + 4L * d3 & ADDRESS, NATIVE);
    }

    /** Four vectors of columns of bytes. */
    static void mixFourOfBytes(
            long weights,
            long scales,
            long values,
            int count,
            long row,
            int d0,
            int d1,
            int d2,
            int d3,
            boolean add,
            long out) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        if (add) {
            s0 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d0 & ADDRESS, NATIVE);
            s1 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d1 & ADDRESS, NATIVE);
            s2 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d2 & ADDRESS, NATIVE);
            s3 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d3 & ADDRESS, NATIVE);
        }
        long p = values;
        for (int j = 0; j < count; j++, p += row) {
            FloatVector w = FloatVector.broadcast(
                    F, ALL.get(FLOAT, weights + 4L * j & ADDRESS) * ALL.get(FLOAT, scales + 4L * j & ADDRESS));
            s0 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p + d0 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, s0);
            s1 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p + d1 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, s1);
            s2 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p + d2 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, s2);
            s3 = ((FloatVector) ByteVector.fromMemorySegment(B, ALL, p + d3 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(w, s3);
        }
        s0.intoMemorySegment(ALL, out + 4L * d0 & ADDRESS, NATIVE);
        s1.intoMemorySegment(ALL, out + 4L * d1 & ADDRESS, NATIVE);
        s2.intoMemorySegment(ALL, out + 4L * d2 & ADDRESS, NATIVE);
        s3.intoMemorySegment(ALL, out + 4L * d3 & ADDRESS, NATIVE);
    }

    /**
     * {@link #sums} of four queries, which share the conversion of rows; the same bits.
     *
     * @param scoreRow bytes from the scores of a query to those of the next
     * @param more how many queries there are behind the first: 3, or less
     * @param count at least 2
     */
    static void sumsForFour(
            long q, long qRow, long scores, long scoreRow, int more, long keys, int count, int dim, long row) {
        // Less than four queries: the last of them again, and stored again.
        long q1 = q + qRow * Math.min(1, more);
        long q2 = q + qRow * Math.min(2, more);
        long q3 = q + qRow * Math.min(3, more);
        long o1 = scores + scoreRow * Math.min(1, more);
        long o2 = scores + scoreRow * Math.min(2, more);
        long o3 = scores + scoreRow * Math.min(3, more);
        for (int next = 0; next < count; next += 2) {
            // A single row at the end: the one before it again, and stored again.
            int j = Math.min(next, count - 2);
            long p0 = keys + row * j;
            long p1 = p0 + row;
            FloatVector s00 = FloatVector.zero(F);
            FloatVector s01 = s00;
            FloatVector s02 = s00;
            FloatVector s03 = s00;
            FloatVector s10 = s00;
            FloatVector s11 = s00;
            FloatVector s12 = s00;
            FloatVector s13 = s00;
            for (int d = 0; d < dim; d += LANES) {
                FloatVector k0 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p0 + 2L * d & ADDRESS, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .mul(SCALE);
                FloatVector k1 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p1 + 2L * d & ADDRESS, ORDER)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 13)
                        .and(BITS)
                        .reinterpretAsFloats()
                        .mul(SCALE);
                FloatVector v0 = FloatVector.fromMemorySegment(F, ALL, q + 4L * d & ADDRESS, NATIVE);
                FloatVector v1 = FloatVector.fromMemorySegment(F, ALL, q1 + 4L * d & ADDRESS, NATIVE);
                FloatVector v2 = FloatVector.fromMemorySegment(F, ALL, q2 + 4L * d & ADDRESS, NATIVE);
                FloatVector v3 = FloatVector.fromMemorySegment(F, ALL, q3 + 4L * d & ADDRESS, NATIVE);
                s00 = k0.fma(v0, s00);
                s01 = k0.fma(v1, s01);
                s02 = k0.fma(v2, s02);
                s03 = k0.fma(v3, s03);
                s10 = k1.fma(v0, s10);
                s11 = k1.fma(v1, s11);
                s12 = k1.fma(v2, s12);
                s13 = k1.fma(v3, s13);
            }
            FloatVector a0 = s00.blend(s01, HALVES).add(s01.blend(s00, HALVES).rearrange(FLIP_HALVES));
            FloatVector a1 = s10.blend(s11, HALVES).add(s11.blend(s10, HALVES).rearrange(FLIP_HALVES));
            FloatVector b0 = s02.blend(s03, HALVES).add(s03.blend(s02, HALVES).rearrange(FLIP_HALVES));
            FloatVector b1 = s12.blend(s13, HALVES).add(s13.blend(s12, HALVES).rearrange(FLIP_HALVES));
            FloatVector c0 = a0.blend(b0, QUARTERS).add(b0.blend(a0, QUARTERS).rearrange(FLIP_QUARTERS));
            FloatVector c1 = a1.blend(b1, QUARTERS).add(b1.blend(a1, QUARTERS).rearrange(FLIP_QUARTERS));
            if (LANES > 8) {
                c0 = c0.add(c0.rearrange(FLIP_2));
                c1 = c1.add(c1.rearrange(FLIP_2));
            }
            if (LANES > 4) {
                // The two scores of a query side by side.
                LongVector c = c0.blend(c1, ODD)
                        .add(c1.blend(c0, ODD).rearrange(FLIP_1))
                        .reinterpretAsLongs();
                ALL.set(LONG, scores + 4L * j & ADDRESS, c.lane(0));
                ALL.set(LONG, o1 + 4L * j & ADDRESS, c.lane(LANES / 4));
                ALL.set(LONG, o2 + 4L * j & ADDRESS, c.lane(LANES / 8));
                ALL.set(LONG, o3 + 4L * j & ADDRESS, c.lane(LANES / 4 + LANES / 8));
            } else {
                ALL.set(FLOAT, scores + 4L * j & ADDRESS, c0.lane(0));
                ALL.set(FLOAT, scores + 4L * j + 4 & ADDRESS, c1.lane(0));
                ALL.set(FLOAT, o1 + 4L * j & ADDRESS, c0.lane(2));
                ALL.set(FLOAT, o1 + 4L * j + 4 & ADDRESS, c1.lane(2));
                ALL.set(FLOAT, o2 + 4L * j & ADDRESS, c0.lane(1));
                ALL.set(FLOAT, o2 + 4L * j + 4 & ADDRESS, c1.lane(1));
                ALL.set(FLOAT, o3 + 4L * j & ADDRESS, c0.lane(3));
                ALL.set(FLOAT, o3 + 4L * j + 4 & ADDRESS, c1.lane(3));
            }
        }
    }

    /** {@link #sumsForFour} over rows of bytes, without their scales. */
    static void sumsForFourOfBytes(
            long q, long qRow, long scores, long scoreRow, int more, long keys, int count, int dim, long row) {
        // Less than four queries: the last of them again, and stored again.
        long q1 = q + qRow * Math.min(1, more);
        long q2 = q + qRow * Math.min(2, more);
        long q3 = q + qRow * Math.min(3, more);
        long o1 = scores + scoreRow * Math.min(1, more);
        long o2 = scores + scoreRow * Math.min(2, more);
        long o3 = scores + scoreRow * Math.min(3, more);
        for (int next = 0; next < count; next += 2) {
            // A single row at the end: the one before it again, and stored again.
            int j = Math.min(next, count - 2);
            long p0 = keys + row * j;
            long p1 = p0 + row;
            FloatVector s00 = FloatVector.zero(F);
            FloatVector s01 = s00;
            FloatVector s02 = s00;
            FloatVector s03 = s00;
            FloatVector s10 = s00;
            FloatVector s11 = s00;
            FloatVector s12 = s00;
            FloatVector s13 = s00;
            for (int d = 0; d < dim; d += LANES) {
                FloatVector k0 = (FloatVector) ByteVector.fromMemorySegment(B, ALL, p0 + d & ADDRESS, ORDER)
                        .convertShape(VectorOperators.B2F, F, 0);
                FloatVector k1 = (FloatVector) ByteVector.fromMemorySegment(B, ALL, p1 + d & ADDRESS, ORDER)
                        .convertShape(VectorOperators.B2F, F, 0);
                FloatVector v0 = FloatVector.fromMemorySegment(F, ALL, q + 4L * d & ADDRESS, NATIVE);
                FloatVector v1 = FloatVector.fromMemorySegment(F, ALL, q1 + 4L * d & ADDRESS, NATIVE);
                FloatVector v2 = FloatVector.fromMemorySegment(F, ALL, q2 + 4L * d & ADDRESS, NATIVE);
                FloatVector v3 = FloatVector.fromMemorySegment(F, ALL, q3 + 4L * d & ADDRESS, NATIVE);
                s00 = k0.fma(v0, s00);
                s01 = k0.fma(v1, s01);
                s02 = k0.fma(v2, s02);
                s03 = k0.fma(v3, s03);
                s10 = k1.fma(v0, s10);
                s11 = k1.fma(v1, s11);
                s12 = k1.fma(v2, s12);
                s13 = k1.fma(v3, s13);
            }
            FloatVector a0 = s00.blend(s01, HALVES).add(s01.blend(s00, HALVES).rearrange(FLIP_HALVES));
            FloatVector a1 = s10.blend(s11, HALVES).add(s11.blend(s10, HALVES).rearrange(FLIP_HALVES));
            FloatVector b0 = s02.blend(s03, HALVES).add(s03.blend(s02, HALVES).rearrange(FLIP_HALVES));
            FloatVector b1 = s12.blend(s13, HALVES).add(s13.blend(s12, HALVES).rearrange(FLIP_HALVES));
            FloatVector c0 = a0.blend(b0, QUARTERS).add(b0.blend(a0, QUARTERS).rearrange(FLIP_QUARTERS));
            FloatVector c1 = a1.blend(b1, QUARTERS).add(b1.blend(a1, QUARTERS).rearrange(FLIP_QUARTERS));
            if (LANES > 8) {
                c0 = c0.add(c0.rearrange(FLIP_2));
                c1 = c1.add(c1.rearrange(FLIP_2));
            }
            if (LANES > 4) {
                // The two scores of a query side by side.
                LongVector c = c0.blend(c1, ODD)
                        .add(c1.blend(c0, ODD).rearrange(FLIP_1))
                        .reinterpretAsLongs();
                ALL.set(LONG, scores + 4L * j & ADDRESS, c.lane(0));
                ALL.set(LONG, o1 + 4L * j & ADDRESS, c.lane(LANES / 4));
                ALL.set(LONG, o2 + 4L * j & ADDRESS, c.lane(LANES / 8));
                ALL.set(LONG, o3 + 4L * j & ADDRESS, c.lane(LANES / 4 + LANES / 8));
            } else {
                ALL.set(FLOAT, scores + 4L * j & ADDRESS, c0.lane(0));
                ALL.set(FLOAT, scores + 4L * j + 4 & ADDRESS, c1.lane(0));
                ALL.set(FLOAT, o1 + 4L * j & ADDRESS, c0.lane(2));
                ALL.set(FLOAT, o1 + 4L * j + 4 & ADDRESS, c1.lane(2));
                ALL.set(FLOAT, o2 + 4L * j & ADDRESS, c0.lane(1));
                ALL.set(FLOAT, o2 + 4L * j + 4 & ADDRESS, c1.lane(1));
                ALL.set(FLOAT, o3 + 4L * j & ADDRESS, c0.lane(3));
                ALL.set(FLOAT, o3 + 4L * j + 4 & ADDRESS, c1.lane(3));
            }
        }
    }

    /**
     * Two vectors of columns for four queries; the same bits as {@link #mixFour}.
     *
     * @param weightRow bytes from the weights of a query to those of the next
     * @param more how many queries there are behind the first: 3, or less
     */
    static void mixForFour(
            long weights,
            long weightRow,
            long out,
            int more,
            long outRow,
            long values,
            int count,
            long row,
            int d0,
            int d1,
            boolean add) {
        // Less than four queries: the last of them again, and stored again.
        long w1 = weights + weightRow * Math.min(1, more);
        long w2 = weights + weightRow * Math.min(2, more);
        long w3 = weights + weightRow * Math.min(3, more);
        long o1 = out + outRow * Math.min(1, more);
        long o2 = out + outRow * Math.min(2, more);
        long o3 = out + outRow * Math.min(3, more);
        FloatVector s00 = FloatVector.zero(F);
        FloatVector s01 = s00;
        FloatVector s02 = s00;
        FloatVector s03 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s12 = s00;
        FloatVector s13 = s00;
        if (add) {
            s00 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d0 & ADDRESS, NATIVE);
            s01 = FloatVector.fromMemorySegment(F, ALL, o1 + 4L * d0 & ADDRESS, NATIVE);
            s02 = FloatVector.fromMemorySegment(F, ALL, o2 + 4L * d0 & ADDRESS, NATIVE);
            s03 = FloatVector.fromMemorySegment(F, ALL, o3 + 4L * d0 & ADDRESS, NATIVE);
            s10 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d1 & ADDRESS, NATIVE);
            s11 = FloatVector.fromMemorySegment(F, ALL, o1 + 4L * d1 & ADDRESS, NATIVE);
            s12 = FloatVector.fromMemorySegment(F, ALL, o2 + 4L * d1 & ADDRESS, NATIVE);
            s13 = FloatVector.fromMemorySegment(F, ALL, o3 + 4L * d1 & ADDRESS, NATIVE);
        }
        long p = values;
        for (int j = 0; j < count; j++, p += row) {
            FloatVector r0 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d0 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats();
            FloatVector r1 = ((IntVector) ShortVector.fromMemorySegment(S, ALL, p + 2L * d1 & ADDRESS, ORDER)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 13)
                    .and(BITS)
                    .reinterpretAsFloats();
            FloatVector v0 = FloatVector.broadcast(F, ALL.get(FLOAT, weights + 4L * j & ADDRESS) * SCALE);
            FloatVector v1 = FloatVector.broadcast(F, ALL.get(FLOAT, w1 + 4L * j & ADDRESS) * SCALE);
            FloatVector v2 = FloatVector.broadcast(F, ALL.get(FLOAT, w2 + 4L * j & ADDRESS) * SCALE);
            FloatVector v3 = FloatVector.broadcast(F, ALL.get(FLOAT, w3 + 4L * j & ADDRESS) * SCALE);
            s00 = r0.fma(v0, s00);
            s01 = r0.fma(v1, s01);
            s02 = r0.fma(v2, s02);
            s03 = r0.fma(v3, s03);
            s10 = r1.fma(v0, s10);
            s11 = r1.fma(v1, s11);
            s12 = r1.fma(v2, s12);
            s13 = r1.fma(v3, s13);
        }
        s00.intoMemorySegment(ALL, out + 4L * d0 & ADDRESS, NATIVE);
        s01.intoMemorySegment(ALL, o1 + 4L * d0 & ADDRESS, NATIVE);
        s02.intoMemorySegment(ALL, o2 + 4L * d0 & ADDRESS, NATIVE);
        s03.intoMemorySegment(ALL, o3 + 4L * d0 & ADDRESS, NATIVE);
        s10.intoMemorySegment(ALL, out + 4L * d1 & ADDRESS, NATIVE);
        s11.intoMemorySegment(ALL, o1 + 4L * d1 & ADDRESS, NATIVE);
        s12.intoMemorySegment(ALL, o2 + 4L * d1 & ADDRESS, NATIVE);
        s13.intoMemorySegment(ALL, o3 + 4L * d1 & ADDRESS, NATIVE);
    }

    /** {@link #mixForFour} of rows of bytes. */
    static void mixForFourOfBytes(
            long weights,
            long weightRow,
            long out,
            int more,
            long outRow,
            long scales,
            long values,
            int count,
            long row,
            int d0,
            int d1,
            boolean add) {
        // Less than four queries: the last of them again, and stored again.
        long w1 = weights + weightRow * Math.min(1, more);
        long w2 = weights + weightRow * Math.min(2, more);
        long w3 = weights + weightRow * Math.min(3, more);
        long o1 = out + outRow * Math.min(1, more);
        long o2 = out + outRow * Math.min(2, more);
        long o3 = out + outRow * Math.min(3, more);
        FloatVector s00 = FloatVector.zero(F);
        FloatVector s01 = s00;
        FloatVector s02 = s00;
        FloatVector s03 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s12 = s00;
        FloatVector s13 = s00;
        if (add) {
            s00 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d0 & ADDRESS, NATIVE);
            s01 = FloatVector.fromMemorySegment(F, ALL, o1 + 4L * d0 & ADDRESS, NATIVE);
            s02 = FloatVector.fromMemorySegment(F, ALL, o2 + 4L * d0 & ADDRESS, NATIVE);
            s03 = FloatVector.fromMemorySegment(F, ALL, o3 + 4L * d0 & ADDRESS, NATIVE);
            s10 = FloatVector.fromMemorySegment(F, ALL, out + 4L * d1 & ADDRESS, NATIVE);
            s11 = FloatVector.fromMemorySegment(F, ALL, o1 + 4L * d1 & ADDRESS, NATIVE);
            s12 = FloatVector.fromMemorySegment(F, ALL, o2 + 4L * d1 & ADDRESS, NATIVE);
            s13 = FloatVector.fromMemorySegment(F, ALL, o3 + 4L * d1 & ADDRESS, NATIVE);
        }
        long p = values;
        for (int j = 0; j < count; j++, p += row) {
            float scale = ALL.get(FLOAT, scales + 4L * j & ADDRESS);
            FloatVector r0 = (FloatVector) ByteVector.fromMemorySegment(B, ALL, p + d0 & ADDRESS, ORDER)
                    .convertShape(VectorOperators.B2F, F, 0);
            FloatVector r1 = (FloatVector) ByteVector.fromMemorySegment(B, ALL, p + d1 & ADDRESS, ORDER)
                    .convertShape(VectorOperators.B2F, F, 0);
            FloatVector v0 = FloatVector.broadcast(F, ALL.get(FLOAT, weights + 4L * j & ADDRESS) * scale);
            FloatVector v1 = FloatVector.broadcast(F, ALL.get(FLOAT, w1 + 4L * j & ADDRESS) * scale);
            FloatVector v2 = FloatVector.broadcast(F, ALL.get(FLOAT, w2 + 4L * j & ADDRESS) * scale);
            FloatVector v3 = FloatVector.broadcast(F, ALL.get(FLOAT, w3 + 4L * j & ADDRESS) * scale);
            s00 = r0.fma(v0, s00);
            s01 = r0.fma(v1, s01);
            s02 = r0.fma(v2, s02);
            s03 = r0.fma(v3, s03);
            s10 = r1.fma(v0, s10);
            s11 = r1.fma(v1, s11);
            s12 = r1.fma(v2, s12);
            s13 = r1.fma(v3, s13);
        }
        s00.intoMemorySegment(ALL, out + 4L * d0 & ADDRESS, NATIVE);
        s01.intoMemorySegment(ALL, o1 + 4L * d0 & ADDRESS, NATIVE);
        s02.intoMemorySegment(ALL, o2 + 4L * d0 & ADDRESS, NATIVE);
        s03.intoMemorySegment(ALL, o3 + 4L * d0 & ADDRESS, NATIVE);
        s10.intoMemorySegment(ALL, out + 4L * d1 & ADDRESS, NATIVE);
        s11.intoMemorySegment(ALL, o1 + 4L * d1 & ADDRESS, NATIVE);
        s12.intoMemorySegment(ALL, o2 + 4L * d1 & ADDRESS, NATIVE);
        s13.intoMemorySegment(ALL, o3 + 4L * d1 & ADDRESS, NATIVE);
    }
}
