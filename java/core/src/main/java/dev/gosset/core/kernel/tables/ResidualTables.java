package dev.gosset.core.kernel.tables;

import dev.gosset.core.codebook.E81b;
import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The products of all 256 points of E81B with each eight of an input x: the residual code of 3 bits is looked up as it is.
 *
 * <p><b>Layout.</b> For each group of eight columns {@value #GROUP_BYTES} bytes: the lower bytes of the entries of codes 0
 * to 255, then their upper bytes. An entry is {@code round(scale * product)} plus 32768, as an unsigned 16-bit integer.
 *
 * <p>A point has 57 different first halves, of four coordinates, and the same 57 second halves. So an entry is the sum of
 * two rounded products of halves: wrong by at most 1.02 of its unit, with the scale {@code 32700 / (2 max_g |x_g|)}.
 */
final class ResidualTables {
    /** Bytes of the tables of one group of eight columns. */
    static final int GROUP_BYTES = 512;

    private static final VectorSpecies<Float> F = FloatVector.SPECIES_512;
    private static final VectorSpecies<Short> S = ShortVector.SPECIES_512;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final MemorySegment MEMORY = NativeMemory.ALL;

    /** Halves of points, with room for as many as two VPERMI2W registers hold. */
    private static final int HALVES = 64;

    /**
     * The coordinates of the halves: coordinate 0 of halves 0, 2, .. 30, then its coordinates 1, 2 and 3; the same of
     * halves 1, 3, .. 31; of 32, 34, .. 62 and of 33, 35, .. 63.
     */
    private static final MemorySegment FACTORS = Arena.global().allocate(16L * HALVES, 64);

    /**
     * Which halves the codes have, as shorts. For each 64 codes: the first halves of the even codes, their second halves,
     * and the same of the odd codes.
     */
    private static final MemorySegment INDICES = Arena.global().allocate(2L * 2 * E81b.POINTS, 64);

    private static final long FACTORS_AT = FACTORS.address();
    private static final long INDICES_AT = INDICES.address();

    /** Added to a float so that its low bits are the nearest integer. */
    private static final float ROUND = 12582912f;

    /** Which bits of an int are those of the odd codes, when the bytes of even and odd codes are put together. */
    private static final int ODD = 0xff00ff00;

    static {
        byte[] doubled = E81b.doubledPoints();
        List<List<Byte>> known = new ArrayList<>();
        for (int code = 0; code < E81b.POINTS; code++) {
            for (int h = 0; h < 2; h++) {
                List<Byte> half = new ArrayList<>();
                for (int c = 0; c < 4; c++) {
                    half.add(doubled[8 * code + 4 * h + c]);
                }
                if (!known.contains(half)) {
                    known.add(half);
                }
                long at = 256L * (code / 64) + 128L * (code & 1) + 64L * h + (code % 64 & -2);
                INDICES.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, (short) known.indexOf(half));
            }
        }
        for (int i = 0; i < known.size(); i++) {
            for (int c = 0; c < 4; c++) {
                long at = 512L * (i / 32) + 256L * (i & 1) + 64L * c + 4L * (i % 32 / 2);
                FACTORS.set(FLOAT, at, 0.5f * known.get(i).get(c));
            }
        }
    }

    private ResidualTables() {}

    /**
     * Builds the tables of one x.
     *
     * @param x the address of {@code 8 * groups} floats
     * @param out that of {@code groups * } {@value #GROUP_BYTES} bytes
     */
    // One long method without calls, see ByteSums. Four FMAs, the addition that rounds and half a pair of shorts for
    // 16 halves; two VPERMI2W and an addition for 32 codes.
    static void build(long x, int groups, float scale, long out) {
        FloatVector round = FloatVector.broadcast(F, ROUND);
        FloatVector biased = FloatVector.broadcast(F, ROUND + ProductTables.OFFSET);
        for (int g = 0; g < groups; g++) {
            long p = x + 32L * g & NativeMemory.ADDRESS;
            long q = out + (long) GROUP_BYTES * g & NativeMemory.ADDRESS;
            FloatVector v0 = FloatVector.broadcast(F, MEMORY.get(FLOAT, p) * scale);
            FloatVector v1 = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 4) * scale);
            FloatVector v2 = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 8) * scale);
            FloatVector v3 = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 12) * scale);
            FloatVector w0 = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 16) * scale);
            FloatVector w1 = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 20) * scale);
            FloatVector w2 = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 24) * scale);
            FloatVector w3 = FloatVector.broadcast(F, MEMORY.get(FLOAT, p + 28) * scale);
            FloatVector f0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT, ORDER);
            FloatVector f1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 64, ORDER);
            FloatVector f2 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 128, ORDER);
            FloatVector f3 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 192, ORDER);
            IntVector a0 =
                    v0.fma(f0, v1.fma(f1, v2.fma(f2, v3.mul(f3)))).add(biased).reinterpretAsInts();
            IntVector b0 =
                    w0.fma(f0, w1.fma(f1, w2.fma(f2, w3.mul(f3)))).add(round).reinterpretAsInts();
            f0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 256, ORDER);
            f1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 320, ORDER);
            f2 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 384, ORDER);
            f3 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 448, ORDER);
            ShortVector a = v0.fma(f0, v1.fma(f1, v2.fma(f2, v3.mul(f3))))
                    .add(biased)
                    .reinterpretAsInts()
                    .lanewise(VectorOperators.LSHL, 16)
                    .or(a0.and(0xffff))
                    .reinterpretAsShorts();
            ShortVector b = w0.fma(f0, w1.fma(f1, w2.fma(f2, w3.mul(f3))))
                    .add(round)
                    .reinterpretAsInts()
                    .lanewise(VectorOperators.LSHL, 16)
                    .or(b0.and(0xffff))
                    .reinterpretAsShorts();
            f0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 512, ORDER);
            f1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 576, ORDER);
            f2 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 640, ORDER);
            f3 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 704, ORDER);
            a0 = v0.fma(f0, v1.fma(f1, v2.fma(f2, v3.mul(f3)))).add(biased).reinterpretAsInts();
            b0 = w0.fma(f0, w1.fma(f1, w2.fma(f2, w3.mul(f3)))).add(round).reinterpretAsInts();
            f0 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 768, ORDER);
            f1 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 832, ORDER);
            f2 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 896, ORDER);
            f3 = FloatVector.fromMemorySegment(F, MEMORY, FACTORS_AT + 960, ORDER);
            ShortVector a2 = v0.fma(f0, v1.fma(f1, v2.fma(f2, v3.mul(f3))))
                    .add(biased)
                    .reinterpretAsInts()
                    .lanewise(VectorOperators.LSHL, 16)
                    .or(a0.and(0xffff))
                    .reinterpretAsShorts();
            ShortVector b2 = w0.fma(f0, w1.fma(f1, w2.fma(f2, w3.mul(f3))))
                    .add(round)
                    .reinterpretAsInts()
                    .lanewise(VectorOperators.LSHL, 16)
                    .or(b0.and(0xffff))
                    .reinterpretAsShorts();
            for (int k = 0; k < 4; k++) {
                long i = INDICES_AT + 256L * k;
                long r = q + 64L * k & NativeMemory.ADDRESS;
                IntVector even = ShortVector.fromMemorySegment(S, MEMORY, i, ORDER)
                        .selectFrom(a, a2)
                        .add(ShortVector.fromMemorySegment(S, MEMORY, i + 64, ORDER)
                                .selectFrom(b, b2))
                        .reinterpretAsInts();
                IntVector odd = ShortVector.fromMemorySegment(S, MEMORY, i + 128, ORDER)
                        .selectFrom(a, a2)
                        .add(ShortVector.fromMemorySegment(S, MEMORY, i + 192, ORDER)
                                .selectFrom(b, b2))
                        .reinterpretAsInts();
                even.lanewise(VectorOperators.BITWISE_BLEND, odd.lanewise(VectorOperators.LSHL, 8), ODD)
                        .intoMemorySegment(MEMORY, r, ORDER);
                even.lanewise(VectorOperators.LSHR, 8)
                        .lanewise(VectorOperators.BITWISE_BLEND, odd, ODD)
                        .intoMemorySegment(MEMORY, r + 256, ORDER);
            }
        }
    }
}
