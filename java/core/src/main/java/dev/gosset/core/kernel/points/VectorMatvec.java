package dev.gosset.core.kernel.points;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.bounds.Arguments;
import dev.gosset.core.kernel.bounds.ErrorBounds;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.oracle.ScalarMatvec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Matrix-vector products by the Vector API: each code becomes eight floats by two table rows of 32 bytes (see {@link
 * PointTables}), multiplied into the sum of its row. Four rows share each load of x.
 *
 * <p>Every row is summed in eight lanes, from left to right by fused multiply-add, and the lanes are added as {@code ((0 +
 * 4) + (2 + 6)) + ((1 + 5) + (3 + 7))}; the residual has its own sum, divided by the residual scale at the end. So the
 * bits of y depend neither on how rows are split among calls nor on the vector width: 256 bits where the machine has them,
 * else two halves of 128.
 *
 * <p>Thread-safe; allocates nothing, but for 256 bytes of scratch memory when a thread first calls.
 */
public final class VectorMatvec implements MatvecKernel {
    private static final VectorSpecies<Float> F256 = FloatVector.SPECIES_256;
    private static final VectorSpecies<Integer> I256 = IntVector.SPECIES_256;
    private static final VectorSpecies<Float> F128 = FloatVector.SPECIES_128;
    private static final VectorSpecies<Integer> I128 = IntVector.SPECIES_128;
    private static final boolean WIDE = FloatVector.SPECIES_PREFERRED.length() >= Codebook.DIMENSION;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfShort CODE = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final int ROW = PointTables.ROW;
    private static final int BYTE_ROWS = 255 * ROW;
    private static final int HALF = ROW / 2;

    /** For the codebooks of old checkpoints, which are read but have no kernel of their own. */
    private static final ScalarMatvec PLAIN = new ScalarMatvec();

    /** Rows that share the loads of x. */
    private static final int BLOCK = 4;

    // The partial sums of a block pass through memory: with their addition in one method, C2 boxes them.
    private static final long RESIDUALS = (long) BLOCK * ROW;
    private static final ThreadLocal<MemorySegment> SUMS =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(2 * RESIDUALS, 64));

    /** {@inheritDoc} A lane is a sum of as many products as there are groups; the lanes are added in three steps. */
    @Override
    public double errorBound(CodeMatrix codes, MemorySegment x) {
        return (codes.groups() + 6) * ErrorBounds.rounding(codes, x);
    }

    @Override
    public double relativeError(CodeMatrix codes) {
        return ErrorBounds.FLOAT_RMS * Math.sqrt(0.5 * codes.groups() + 4);
    }

    @Override
    public void matvec(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow) {
        Arguments.check(codes, x, y, firstRow, lastRow);
        if (!PointTables.hold(codes.codebook())) {
            PLAIN.matvec(codes, x, y, firstRow, lastRow);
            return;
        }
        float scale = (float) codes.codebook().residualScale();
        int bits = codes.codebook().bits();
        long residual = codes.residualOffset();
        MemorySegment data = codes.data();
        MemorySegment sums = SUMS.get();
        int groups = codes.groups();
        for (int row = firstRow; row < lastRow; ) {
            int rows = lastRow - row >= BLOCK ? BLOCK : 1;
            long first = (long) row * groups;
            sum(data, 2 * first, rows, groups, x, sums, 0);
            if (bits == 4) {
                sum(data, residual + 2 * first, rows, groups, x, sums, RESIDUALS);
            } else if (bits == 3) {
                sumOfBytes(data, residual + first, rows, groups, x, sums, RESIDUALS);
            }
            for (int r = 0; r < rows; r++, row++) {
                float y0 = lanes(sums, r);
                y.setAtIndex(FLOAT, row, bits == 2 ? y0 : y0 + lanes(sums, BLOCK + r) / scale);
            }
        }
    }

    @Override
    public void decode(CodeMatrix codes, int firstRow, int lastRow, MemorySegment out) {
        Arguments.check(codes, firstRow, lastRow, out);
        if (!PointTables.holdScaled(codes.codebook())) {
            PLAIN.decode(codes, firstRow, lastRow, out);
            return;
        }
        int bits = codes.codebook().bits();
        MemorySegment data = codes.data();
        int groups = codes.groups();
        for (int row = firstRow; row < lastRow; row++) {
            long first = (long) row * groups;
            long at = (long) ROW * groups * (row - firstRow);
            if (bits == 2) {
                decodePoints(data, 2 * first, groups, out, at);
                continue;
            }
            if (bits == 4) {
                decodeQuotients(data, codes.residualOffset() + 2 * first, groups, out, at);
            } else {
                decodeQuotientsOfBytes(data, codes.residualOffset() + first, groups, out, at);
            }
            addPoints(data, 2 * first, groups, out, at);
        }
    }

    // One code: vmovdqu of the magnitude row, vpxor with the sign row, vsubps.

    private static FloatVector point(int code) {
        return IntVector.fromMemorySegment(I256, PointTables.MAGNITUDES, PointTables.magnitudeRow(code), ORDER)
                .lanewise(
                        VectorOperators.XOR,
                        IntVector.fromMemorySegment(I256, PointTables.SIGNS, PointTables.signRow(code), ORDER))
                .reinterpretAsFloats()
                .sub(PointTables.BIAS);
    }

    /** Half of {@link #point}: coordinates 0 to 3 for {@code half} 0, 4 to 7 for {@code half} 16. */
    private static FloatVector half(int code, int half) {
        return IntVector.fromMemorySegment(I128, PointTables.MAGNITUDES, PointTables.magnitudeRow(code) + half, ORDER)
                .lanewise(
                        VectorOperators.XOR,
                        IntVector.fromMemorySegment(I128, PointTables.SIGNS, PointTables.signRow(code) + half, ORDER))
                .reinterpretAsFloats()
                .sub(PointTables.BIAS);
    }

    private static FloatVector residual(int code) {
        return FloatVector.fromMemorySegment(F256, PointTables.RESIDUAL, code << 5 & BYTE_ROWS, ORDER);
    }

    private static FloatVector residualHalf(int code, int half) {
        return FloatVector.fromMemorySegment(F128, PointTables.RESIDUAL, (code << 5 & BYTE_ROWS) + half, ORDER);
    }

    // From memory and not by broadcast: depending on the order of compilation, C2 boxes the broadcast vector.

    private static FloatVector scale(int bits) {
        return FloatVector.fromMemorySegment(F256, PointTables.SCALES, (long) PointTables.SCALE_ROW * bits, ORDER);
    }

    private static FloatVector scaleHalf(int bits) {
        return FloatVector.fromMemorySegment(F128, PointTables.SCALES, (long) PointTables.SCALE_ROW * bits, ORDER);
    }

    /** The eight lanes of one row added in the one order that this class promises; reduceLanes promises none. */
    private static float lanes(MemorySegment sums, int row) {
        long at = (long) ROW * row;
        return ((lane(sums, at) + lane(sums, at + 16)) + (lane(sums, at + 8) + lane(sums, at + 24)))
                + ((lane(sums, at + 4) + lane(sums, at + 20)) + (lane(sums, at + 12) + lane(sums, at + 28)));
    }

    private static float lane(MemorySegment sums, long at) {
        return sums.get(FLOAT, at);
    }

    /** 16-bit E8P codes, those of the first row from byte {@code at} on. Eight partial sums of each of {@code rows} rows, 1 or 4, go to {@code sums}. */
    private static void sum(
            MemorySegment data, long at, int rows, int groups, MemorySegment x, MemorySegment sums, long to) {
        if (WIDE && rows == BLOCK) {
            sumFour(data, at, groups, x, sums, to);
        } else if (WIDE) {
            sumOne(data, at, groups, x, sums, to);
        } else {
            for (int r = 0; r < rows; r++) {
                sumHalves(data, at + 2L * groups * r, groups, x, sums, to + (long) ROW * r);
            }
        }
    }

    private static void sumFour(MemorySegment data, long at, int groups, MemorySegment x, MemorySegment sums, long to) {
        long stride = 2L * groups;
        FloatVector s0 = FloatVector.zero(F256);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int g = 0; g < groups; g++) {
            FloatVector v = FloatVector.fromMemorySegment(F256, x, (long) ROW * g, ORDER);
            long p = at + 2L * g;
            s0 = point(data.get(CODE, p)).fma(v, s0);
            s1 = point(data.get(CODE, p + stride)).fma(v, s1);
            s2 = point(data.get(CODE, p + 2 * stride)).fma(v, s2);
            s3 = point(data.get(CODE, p + 3 * stride)).fma(v, s3);
        }
        s0.intoMemorySegment(sums, to, ORDER);
        s1.intoMemorySegment(sums, to + ROW, ORDER);
        s2.intoMemorySegment(sums, to + 2 * ROW, ORDER);
        s3.intoMemorySegment(sums, to + 3 * ROW, ORDER);
    }

    private static void sumOne(MemorySegment data, long at, int groups, MemorySegment x, MemorySegment sums, long to) {
        FloatVector s = FloatVector.zero(F256);
        for (int g = 0; g < groups; g++) {
            FloatVector v = FloatVector.fromMemorySegment(F256, x, (long) ROW * g, ORDER);
            s = point(data.get(CODE, at + 2L * g)).fma(v, s);
        }
        s.intoMemorySegment(sums, to, ORDER);
    }

    private static void sumHalves(
            MemorySegment data, long at, int groups, MemorySegment x, MemorySegment sums, long to) {
        FloatVector low = FloatVector.zero(F128);
        FloatVector high = low;
        for (int g = 0; g < groups; g++) {
            int code = data.get(CODE, at + 2L * g);
            low = half(code, 0).fma(FloatVector.fromMemorySegment(F128, x, (long) ROW * g, ORDER), low);
            high = half(code, HALF).fma(FloatVector.fromMemorySegment(F128, x, (long) ROW * g + HALF, ORDER), high);
        }
        low.intoMemorySegment(sums, to, ORDER);
        high.intoMemorySegment(sums, to + HALF, ORDER);
    }

    /** 8-bit E81B codes, those of the first row from byte {@code at} on. Eight partial sums of each of {@code rows} rows, 1 or 4, go to {@code sums}. */
    private static void sumOfBytes(
            MemorySegment data, long at, int rows, int groups, MemorySegment x, MemorySegment sums, long to) {
        if (WIDE && rows == BLOCK) {
            sumOfBytesFour(data, at, groups, x, sums, to);
        } else if (WIDE) {
            sumOfBytesOne(data, at, groups, x, sums, to);
        } else {
            for (int r = 0; r < rows; r++) {
                sumOfBytesHalves(data, at + (long) groups * r, groups, x, sums, to + (long) ROW * r);
            }
        }
    }

    private static void sumOfBytesFour(
            MemorySegment data, long at, int groups, MemorySegment x, MemorySegment sums, long to) {
        long stride = groups;
        FloatVector s0 = FloatVector.zero(F256);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int g = 0; g < groups; g++) {
            FloatVector v = FloatVector.fromMemorySegment(F256, x, (long) ROW * g, ORDER);
            long p = at + g;
            s0 = residual(data.get(ValueLayout.JAVA_BYTE, p)).fma(v, s0);
            s1 = residual(data.get(ValueLayout.JAVA_BYTE, p + stride)).fma(v, s1);
            s2 = residual(data.get(ValueLayout.JAVA_BYTE, p + 2 * stride)).fma(v, s2);
            s3 = residual(data.get(ValueLayout.JAVA_BYTE, p + 3 * stride)).fma(v, s3);
        }
        s0.intoMemorySegment(sums, to, ORDER);
        s1.intoMemorySegment(sums, to + ROW, ORDER);
        s2.intoMemorySegment(sums, to + 2 * ROW, ORDER);
        s3.intoMemorySegment(sums, to + 3 * ROW, ORDER);
    }

    private static void sumOfBytesOne(
            MemorySegment data, long at, int groups, MemorySegment x, MemorySegment sums, long to) {
        FloatVector s = FloatVector.zero(F256);
        for (int g = 0; g < groups; g++) {
            FloatVector v = FloatVector.fromMemorySegment(F256, x, (long) ROW * g, ORDER);
            s = residual(data.get(ValueLayout.JAVA_BYTE, at + g)).fma(v, s);
        }
        s.intoMemorySegment(sums, to, ORDER);
    }

    private static void sumOfBytesHalves(
            MemorySegment data, long at, int groups, MemorySegment x, MemorySegment sums, long to) {
        FloatVector low = FloatVector.zero(F128);
        FloatVector high = low;
        for (int g = 0; g < groups; g++) {
            int code = data.get(ValueLayout.JAVA_BYTE, at + g);
            low = residualHalf(code, 0).fma(FloatVector.fromMemorySegment(F128, x, (long) ROW * g, ORDER), low);
            high = residualHalf(code, HALF)
                    .fma(FloatVector.fromMemorySegment(F128, x, (long) ROW * g + HALF, ORDER), high);
        }
        low.intoMemorySegment(sums, to, ORDER);
        high.intoMemorySegment(sums, to + HALF, ORDER);
    }

    private static void decodePoints(MemorySegment data, long at, int groups, MemorySegment out, long to) {
        for (int g = 0; g < groups; g++) {
            storePoint(data.get(CODE, at + 2L * g), out, to + (long) ROW * g);
        }
    }

    private static void decodeQuotients(MemorySegment data, long at, int groups, MemorySegment out, long to) {
        for (int g = 0; g < groups; g++) {
            storeQuotient(data.get(CODE, at + 2L * g), out, to + (long) ROW * g);
        }
    }

    private static void decodeQuotientsOfBytes(MemorySegment data, long at, int groups, MemorySegment out, long to) {
        for (int g = 0; g < groups; g++) {
            storeQuotientOfByte(data.get(ValueLayout.JAVA_BYTE, at + g), out, to + (long) ROW * g);
        }
    }

    private static void addPoints(MemorySegment data, long at, int groups, MemorySegment out, long to) {
        for (int g = 0; g < groups; g++) {
            addPoint(data.get(CODE, at + 2L * g), out, to + (long) ROW * g);
        }
    }

    // One code to 32 bytes of memory. The value of a residual code is put together there, from a quotient and a point:
    // C2
    // boxes vectors in the loops that do both.

    /** Writes {@code E8P(code)}. */
    public static void storePoint(int code, MemorySegment out, long at) {
        if (WIDE) {
            point(code).intoMemorySegment(out, at, ORDER);
        } else {
            half(code, 0).intoMemorySegment(out, at, ORDER);
            half(code, HALF).intoMemorySegment(out, at + HALF, ORDER);
        }
    }

    /** Adds {@code E8P(code)}. */
    public static void addPoint(int code, MemorySegment out, long at) {
        if (WIDE) {
            point(code).add(FloatVector.fromMemorySegment(F256, out, at, ORDER)).intoMemorySegment(out, at, ORDER);
        } else {
            for (int h = 0; h < ROW; h += HALF) {
                half(code, h)
                        .add(FloatVector.fromMemorySegment(F128, out, at + h, ORDER))
                        .intoMemorySegment(out, at + h, ORDER);
            }
        }
    }

    /** Writes {@code E8P(code) / 3.45}, the residual of 4 bits. */
    public static void storeQuotient(int code, MemorySegment out, long at) {
        if (WIDE) {
            point(code).div(scale(4)).intoMemorySegment(out, at, ORDER);
        } else {
            for (int h = 0; h < ROW; h += HALF) {
                half(code, h).div(scaleHalf(4)).intoMemorySegment(out, at + h, ORDER);
            }
        }
    }

    /** Writes {@code E81B(code) / 2.04}, the residual of 3 bits. */
    public static void storeQuotientOfByte(int code, MemorySegment out, long at) {
        if (WIDE) {
            residual(code).div(scale(3)).intoMemorySegment(out, at, ORDER);
        } else {
            for (int h = 0; h < ROW; h += HALF) {
                residualHalf(code, h).div(scaleHalf(3)).intoMemorySegment(out, at + h, ORDER);
            }
        }
    }
}
