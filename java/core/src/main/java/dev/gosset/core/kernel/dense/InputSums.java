package dev.gosset.core.kernel.dense;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * One row of stored weights times four inputs, lane by lane: the loops of {@link DenseProduct} and {@link ByteProduct} for
 * several inputs, which share the conversion of weights. Each input's sums are formed in the order of the loops for one input
 * there, so that they have the same bits.
 *
 * <p>Everywhere {@code x} is the first input, {@code xRow} bytes before the next; {@code more} inputs stand behind it, 3 or less;
 * the sums of input i go to byte {@code 4 * LANES * i} of {@code sums}. Addresses were checked by the caller.
 */
final class InputSums {
    private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> I =
            VectorSpecies.of(int.class, VectorShape.forBitSize(F.vectorBitSize()));
    private static final VectorSpecies<Byte> B =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, F.vectorBitSize() / 4)));

    /** Inputs of one call. */
    static final int INPUTS = 4;

    static final int LANES = F.length();

    /** Bytes of the sums of one call. */
    static final long BYTES = 4L * INPUTS * LANES;

    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ByteOrder NATIVE = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final MemorySegment ALL = NativeMemory.ALL;
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private InputSums() {}

    /** The sum of the lanes of one vector in memory. */
    static float ofLanes(long sums) {
        float a = 0;
        float b = 0;
        float c = 0;
        float d = 0;
        for (long p = sums, end = sums + 4L * LANES; p < end; p += 16) {
            a += ALL.get(FLOAT, p);
            b += ALL.get(FLOAT, p + 4);
            c += ALL.get(FLOAT, p + 8);
            d += ALL.get(FLOAT, p + 12);
        }
        return (a + b) + (c + d);
    }

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing
    // but the Vector API, so that C2 compiles it on its own and boxes nothing.

    /** F32. */
    static void ofFloats(long w, long x, long xRow, int more, int cols, long sums) {
        // Less than four inputs: the last of them again, and stored again.
        int i1 = Math.min(1, more);
        int i2 = Math.min(2, more);
        int i3 = Math.min(3, more);
        long x1 = x + xRow * i1;
        long x2 = x + xRow * i2;
        long x3 = x + xRow * i3;
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        int j = 0;
        for (; j <= cols - 2 * LANES; j += 2 * LANES) {
            FloatVector u = FloatVector.fromMemorySegment(F, ALL, w + 4L * j & ADDRESS, ORDER);
            FloatVector v = FloatVector.fromMemorySegment(F, ALL, w + 4L * (j + LANES) & ADDRESS, ORDER);
            s0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s0);
            t0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t0);
            s1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s1);
            t1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t1);
            s2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s2);
            t2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t2);
            s3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s3);
            t3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t3);
        }
        if (j < cols) {
            FloatVector u = FloatVector.fromMemorySegment(F, ALL, w + 4L * j & ADDRESS, ORDER);
            s0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s0);
            s1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s1);
            s2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s2);
            s3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums & ADDRESS, NATIVE);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES * i1 & ADDRESS, NATIVE);
        s2.add(t2).intoMemorySegment(ALL, sums + 4L * LANES * i2 & ADDRESS, NATIVE);
        s3.add(t3).intoMemorySegment(ALL, sums + 4L * LANES * i3 & ADDRESS, NATIVE);
    }

    /** BF16, inputs split into even and odd columns. */
    static void ofBfloats(long w, long x, long xRow, int more, int cols, long sums) {
        // Less than four inputs: the last of them again, and stored again.
        int i1 = Math.min(1, more);
        int i2 = Math.min(2, more);
        int i3 = Math.min(3, more);
        long x1 = x + xRow * i1;
        long x2 = x + xRow * i2;
        long x3 = x + xRow * i3;
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        for (int j = 0; j < cols; j += 2 * LANES) {
            IntVector a = IntVector.fromMemorySegment(I, ALL, w + 2L * j & ADDRESS, ORDER);
            FloatVector u = a.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v = a.and(0xffff0000).reinterpretAsFloats();
            s0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s0);
            t0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t0);
            s1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s1);
            t1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t1);
            s2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s2);
            t2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t2);
            s3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s3);
            t3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums & ADDRESS, NATIVE);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES * i1 & ADDRESS, NATIVE);
        s2.add(t2).intoMemorySegment(ALL, sums + 4L * LANES * i2 & ADDRESS, NATIVE);
        s3.add(t3).intoMemorySegment(ALL, sums + 4L * LANES * i3 & ADDRESS, NATIVE);
    }

    /** F16 without infinity and NaN, inputs split into even and odd columns. */
    static void ofHalves(long w, long x, long xRow, int more, int cols, long sums) {
        // Less than four inputs: the last of them again, and stored again.
        int i1 = Math.min(1, more);
        int i2 = Math.min(2, more);
        int i3 = Math.min(3, more);
        long x1 = x + xRow * i1;
        long x2 = x + xRow * i2;
        long x3 = x + xRow * i3;
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        for (int j = 0; j < cols; j += 2 * LANES) {
            IntVector a = IntVector.fromMemorySegment(I, ALL, w + 2L * j & ADDRESS, ORDER);
            FloatVector u = a.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(DenseProduct.HALF_BITS)
                    .reinterpretAsFloats();
            FloatVector v = a.lanewise(VectorOperators.ASHR, 3)
                    .and(DenseProduct.HALF_BITS)
                    .reinterpretAsFloats();
            s0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s0);
            t0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t0);
            s1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s1);
            t1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t1);
            s2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s2);
            t2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t2);
            s3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s3);
            t3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums & ADDRESS, NATIVE);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES * i1 & ADDRESS, NATIVE);
        s2.add(t2).intoMemorySegment(ALL, sums + 4L * LANES * i2 & ADDRESS, NATIVE);
        s3.add(t3).intoMemorySegment(ALL, sums + 4L * LANES * i3 & ADDRESS, NATIVE);
    }

    /**
     * {@link #ofHalves} for the two rows from {@code w} and {@code w2} on, which share the reading of inputs: for processors with 32
     * vector registers. The sums of the second row lie {@link #BYTES} behind those of the first.
     */
    static void ofTwoHalves(long w, long w2, long x, long xRow, int more, int cols, long sums) {
        // Less than four inputs: the last of them again, and stored again.
        int i1 = Math.min(1, more);
        int i2 = Math.min(2, more);
        int i3 = Math.min(3, more);
        long x1 = x + xRow * i1;
        long x2 = x + xRow * i2;
        long x3 = x + xRow * i3;
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        FloatVector p0 = s0;
        FloatVector p1 = s0;
        FloatVector p2 = s0;
        FloatVector p3 = s0;
        FloatVector q0 = s0;
        FloatVector q1 = s0;
        FloatVector q2 = s0;
        FloatVector q3 = s0;
        for (int j = 0; j < cols; j += 2 * LANES) {
            IntVector a = IntVector.fromMemorySegment(I, ALL, w + 2L * j & ADDRESS, ORDER);
            FloatVector u = a.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(DenseProduct.HALF_BITS)
                    .reinterpretAsFloats();
            FloatVector v = a.lanewise(VectorOperators.ASHR, 3)
                    .and(DenseProduct.HALF_BITS)
                    .reinterpretAsFloats();
            IntVector b = IntVector.fromMemorySegment(I, ALL, w2 + 2L * j & ADDRESS, ORDER);
            FloatVector d = b.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(DenseProduct.HALF_BITS)
                    .reinterpretAsFloats();
            FloatVector e = b.lanewise(VectorOperators.ASHR, 3)
                    .and(DenseProduct.HALF_BITS)
                    .reinterpretAsFloats();
            FloatVector y;
            y = FloatVector.fromMemorySegment(F, ALL, x + 4L * j & ADDRESS, NATIVE);
            s0 = y.fma(u, s0);
            p0 = y.fma(d, p0);
            y = FloatVector.fromMemorySegment(F, ALL, x + 4L * (j + LANES) & ADDRESS, NATIVE);
            t0 = y.fma(v, t0);
            q0 = y.fma(e, q0);
            y = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * j & ADDRESS, NATIVE);
            s1 = y.fma(u, s1);
            p1 = y.fma(d, p1);
            y = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * (j + LANES) & ADDRESS, NATIVE);
            t1 = y.fma(v, t1);
            q1 = y.fma(e, q1);
            y = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * j & ADDRESS, NATIVE);
            s2 = y.fma(u, s2);
            p2 = y.fma(d, p2);
            y = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * (j + LANES) & ADDRESS, NATIVE);
            t2 = y.fma(v, t2);
            q2 = y.fma(e, q2);
            y = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * j & ADDRESS, NATIVE);
            s3 = y.fma(u, s3);
            p3 = y.fma(d, p3);
            y = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * (j + LANES) & ADDRESS, NATIVE);
            t3 = y.fma(v, t3);
            q3 = y.fma(e, q3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums & ADDRESS, NATIVE);
        p0.add(q0).intoMemorySegment(ALL, sums + BYTES & ADDRESS, NATIVE);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES * i1 & ADDRESS, NATIVE);
        p1.add(q1).intoMemorySegment(ALL, sums + BYTES + 4L * LANES * i1 & ADDRESS, NATIVE);
        s2.add(t2).intoMemorySegment(ALL, sums + 4L * LANES * i2 & ADDRESS, NATIVE);
        p2.add(q2).intoMemorySegment(ALL, sums + BYTES + 4L * LANES * i2 & ADDRESS, NATIVE);
        s3.add(t3).intoMemorySegment(ALL, sums + 4L * LANES * i3 & ADDRESS, NATIVE);
        p3.add(q3).intoMemorySegment(ALL, sums + BYTES + 4L * LANES * i3 & ADDRESS, NATIVE);
    }

    /** I8, without scale. */
    static void ofBytes(long w, long x, long xRow, int more, int cols, long sums) {
        // Less than four inputs: the last of them again, and stored again.
        int i1 = Math.min(1, more);
        int i2 = Math.min(2, more);
        int i3 = Math.min(3, more);
        long x1 = x + xRow * i1;
        long x2 = x + xRow * i2;
        long x3 = x + xRow * i3;
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector t0 = s0;
        FloatVector t1 = s0;
        FloatVector t2 = s0;
        FloatVector t3 = s0;
        int j = 0;
        for (; j <= cols - 2 * LANES; j += 2 * LANES) {
            FloatVector u = (FloatVector) ByteVector.fromMemorySegment(B, ALL, w + j & ADDRESS, ORDER)
                    .convertShape(VectorOperators.B2F, F, 0);
            FloatVector v = (FloatVector) ByteVector.fromMemorySegment(B, ALL, w + j + LANES & ADDRESS, ORDER)
                    .convertShape(VectorOperators.B2F, F, 0);
            s0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s0);
            t0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t0);
            s1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s1);
            t1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t1);
            s2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s2);
            t2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t2);
            s3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s3);
            t3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * (j + LANES) & ADDRESS, NATIVE)
                    .fma(v, t3);
        }
        if (j < cols) {
            FloatVector u = (FloatVector) ByteVector.fromMemorySegment(B, ALL, w + j & ADDRESS, ORDER)
                    .convertShape(VectorOperators.B2F, F, 0);
            s0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s0);
            s1 = FloatVector.fromMemorySegment(F, ALL, x1 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s1);
            s2 = FloatVector.fromMemorySegment(F, ALL, x2 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s2);
            s3 = FloatVector.fromMemorySegment(F, ALL, x3 + 4L * j & ADDRESS, NATIVE)
                    .fma(u, s3);
        }
        s0.add(t0).intoMemorySegment(ALL, sums & ADDRESS, NATIVE);
        s1.add(t1).intoMemorySegment(ALL, sums + 4L * LANES * i1 & ADDRESS, NATIVE);
        s2.add(t2).intoMemorySegment(ALL, sums + 4L * LANES * i2 & ADDRESS, NATIVE);
        s3.add(t3).intoMemorySegment(ALL, sums + 4L * LANES * i3 & ADDRESS, NATIVE);
    }
}
