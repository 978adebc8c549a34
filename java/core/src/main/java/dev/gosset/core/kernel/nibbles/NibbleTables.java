package dev.gosset.core.kernel.nibbles;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.bounds.ErrorBounds;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The products that the nibbles of {@link NibbleSums} can have with an input x, as integers in tables of 16 bytes.
 *
 * <p>An integer is {@code radix * upper + lower} with {@code 0 <= lower < radix}, its two bytes are in two tables. The radix is
 * the largest with which the lower bytes of all lookups of a group sum up to no more than 255; upper bytes are sums modulo
 * 256, biased so that those of a group come to 0 to 255.
 *
 * <p><b>Layout of a prepared input.</b> 64 bytes: the double {@code 1 / scale} of the points at 0 and of the residual at 8.
 * Then for each group of eight columns {@value #POINT_BYTES} bytes, 16 upper and 16 lower bytes of each of: sum of {@code
 * (1 - 2 bit) x} over the lower four and over the upper four coordinates; sum of {@code (bit - 1/2) x} over the lower four and
 * the upper four; a quarter of the sum of x, by bit 0 plus or minus, and by bit 1 less the first entry of the next; {@code 2
 * x_p}, negative for odd entries, at 2 p. For 3 bits then for each group {@value #RESIDUAL_BYTES} bytes, by the numbering of
 * {@link NibbleCodes}: plus or minus x_c; sum of {@code (1/2 - bit) x} over the lower four coordinates, over the next three by
 * bits 0 to 2; half of x_7, negative for an even number of bits.
 *
 * <p><b>Error.</b> {@code scale = L / max_g p_g} with p_g a bound on the products of points with the group's x, close to the
 * largest of them, and L = {@value #POINT_LIMIT} for E8P and {@value #RESIDUAL_LIMIT} for E81B. An entry is wrong by at most
 * 0.51 of its unit, so a row of G groups by at most {@code 6 * 0.51 G / scale}, with the residual {@code 3 * 0.51 G / scale}
 * divided by the residual scale more. For random roundings it is of the order of {@code 0.7 sqrt(G) / scale}.
 */
final class NibbleTables {
    /** Bytes before the tables of a prepared input. */
    static final int HEADER = 64;

    /** Bytes of a group's tables for E8P. */
    static final int POINT_BYTES = 192;

    /** Bytes of a group's tables for E81B. */
    static final int RESIDUAL_BYTES = 128;

    /** Six lower bytes: 6 * 42 = 252. */
    static final int POINT_RADIX = 43;

    /** Three lower bytes: 3 * 85 = 255. */
    static final int RESIDUAL_RADIX = 86;

    /** Upper bytes of a group are too large by this: then {@code (-L - 3 - 252) / 43} to {@code (L + 3) / 43} come to 0 to 255. */
    static final int POINT_BIAS = 131;

    static final int RESIDUAL_BIAS = 130;

    /** The largest product of a point, in units. */
    static final double POINT_LIMIT = 5350;

    static final double RESIDUAL_LIMIT = 10830;

    /** Entries that the product of a point adds up. */
    private static final int POINT_ENTRIES = 6;

    private static final int RESIDUAL_ENTRIES = 3;

    private static final VectorSpecies<Float> F = FloatVector.SPECIES_128;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final MemorySegment MEMORY = NativeMemory.ALL;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private static final int POINT_TABLES = 6;
    private static final int RESIDUAL_TABLES = 4;

    /** Bytes of the entries of a table as floats. */
    private static final int VALUE_BYTES = 64;

    /** Groups whose entries are formed before they are split into bytes. */
    private static final int STAGE = 16;

    private static final ThreadLocal<MemorySegment> VALUES =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate((long) VALUE_BYTES * POINT_TABLES * STAGE, 64));

    /** Added to a float so that its low bits are the nearest integer. */
    private static final float ROUND = 12582912f;

    /**
     * Rows of four floats. Entry {@code 4 j + k} of a table is byte k of lane j, so lanes are bits 2 and 3 of the entry: their
     * signs; a one in each lane for 0 to 3; the signs of the parity of j; a one in lane 0 less one in lane 2, the same of
     * lanes 1 and 3.
     */
    private static final MemorySegment LANES = Arena.global().allocate(9 * 16, 64);

    static {
        for (int j = 0; j < 4; j++) {
            LANES.setAtIndex(FLOAT, j, 1 - 2 * (j & 1));
            LANES.setAtIndex(FLOAT, 4 + j, 1 - (j & 2));
            LANES.setAtIndex(FLOAT, 8 + 5L * j, 1);
            LANES.setAtIndex(FLOAT, 24 + j, 1 - 2 * (Integer.bitCount(j) & 1));
        }
        LANES.setAtIndex(FLOAT, 28, 1);
        LANES.setAtIndex(FLOAT, 30, -1);
        LANES.setAtIndex(FLOAT, 33, 1);
        LANES.setAtIndex(FLOAT, 35, -1);
    }

    private NibbleTables() {}

    /** Bytes of the prepared form of one x. */
    static long bytes(Codebook codebook, int groups) {
        return HEADER + (long) groups * (POINT_BYTES + (codebook.bits() == 3 ? RESIDUAL_BYTES : 0));
    }

    /**
     * Builds the tables of one x.
     *
     * @param x {@code 32 * groups} bytes of floats
     * @param out {@link #bytes} bytes from {@code at} on
     */
    static void build(Codebook codebook, MemorySegment x, int groups, MemorySegment out, long at) {
        // A scale that float32 cannot hold is cut: what is lost then is below 1e-25.
        double scale = Math.min(POINT_LIMIT / largestPoint(x, groups), 0x1p100);
        double residualScale =
                codebook.bits() == 3 ? Math.min(RESIDUAL_LIMIT / largestResidual(x, groups), 0x1p100) : 0;
        out.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, at, inverse(scale));
        out.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, at + 8, inverse(residualScale));
        long from = NativeMemory.readable(x, 0, 32L * groups);
        long to = NativeMemory.writable(out, at, bytes(codebook, groups)) + HEADER;
        long second = to + (long) POINT_BYTES * groups;
        MemorySegment values = VALUES.get();
        long staged = values.address();
        for (int g = 0; g < groups; g += STAGE) {
            int count = Math.min(STAGE, groups - g);
            pointValues(from + 32L * g, count, (float) scale, staged);
            split(staged, POINT_TABLES * count, POINT_RADIX, to + (long) POINT_BYTES * g);
            if (codebook.bits() == 3) {
                residualValues(from + 32L * g, count, (float) residualScale, staged);
                split(staged, RESIDUAL_TABLES * count, RESIDUAL_RADIX, second + (long) RESIDUAL_BYTES * g);
            }
        }
        Reference.reachabilityFence(values);
        NativeMemory.keep(x, out);
    }

    /** {@link PreparedMatrix#errorBound} but for the last rounding. */
    static double errorBound(Codebook codebook, MemorySegment x, int groups) {
        double points = POINT_ENTRIES * largestPoint(x, groups) / POINT_LIMIT;
        double residuals = switch (codebook.bits()) {
            case 2 -> 0;
            case 3 -> RESIDUAL_ENTRIES * largestResidual(x, groups) / RESIDUAL_LIMIT;
            default -> points;
        };
        return groups * ErrorBounds.ENTRY * (points + residuals / codebook.residualScale());
    }

    /** {@link PreparedMatrix#relativeError}: largest products are taken for as large as norms allow. */
    static double relativeError(Codebook codebook) {
        double unit = ErrorBounds.POINT_NORM / POINT_LIMIT;
        return switch (codebook.bits()) {
            case 2 -> ErrorBounds.ofTables(POINT_ENTRIES, unit, 0, 0);
            case 3 ->
                ErrorBounds.ofTables(
                        POINT_ENTRIES,
                        unit,
                        RESIDUAL_ENTRIES,
                        ErrorBounds.RESIDUAL_NORM / RESIDUAL_LIMIT / codebook.residualScale());
            default -> ErrorBounds.ofTables(POINT_ENTRIES, unit, POINT_ENTRIES, unit / codebook.residualScale());
        };
    }

    /** Infinite or NaN inputs give NaN, as a sum over all columns would. */
    private static double inverse(double scale) {
        return scale > 0 ? 1 / (double) (float) scale : Double.NaN;
    }

    /**
     * {@code max_g} of what the product of a point of E8P with x_g can be at most: {@code |x| = sum |x_c|} weighs 1/2, the five
     * largest or the largest twice and the second one more, and the shift a quarter of the sum. Infinite or NaN where an x is.
     */
    private static double largestPoint(MemorySegment x, int groups) {
        double max = 0;
        for (int g = 0; g < groups; g++) {
            double sum = 0;
            double absolute = 0;
            // As bits, floats of one sign are in order. The three smallest and the two largest:
            int low = Integer.MAX_VALUE;
            int low2 = Integer.MAX_VALUE;
            int low3 = Integer.MAX_VALUE;
            int high = 0;
            int high2 = 0;
            for (long p = 32L * g; p < 32L * g + 32; p += 4) {
                float v = x.get(FLOAT, p);
                sum += v;
                absolute += Math.abs(v);
                int bits = Float.floatToRawIntBits(v) & Integer.MAX_VALUE;
                low3 = Math.min(low3, Math.max(low2, bits));
                low2 = Math.min(low2, Math.max(low, bits));
                low = Math.min(low, bits);
                high2 = Math.max(high2, Math.min(high, bits));
                high = Math.max(high, bits);
            }
            double five = absolute
                    - ((double) Float.intBitsToFloat(low) + Float.intBitsToFloat(low2) + Float.intBitsToFloat(low3));
            double two = 2.0 * Float.intBitsToFloat(high) + Float.intBitsToFloat(high2);
            max = Math.max(max, 0.5 * absolute + Math.max(five, two) + 0.25 * Math.abs(sum));
        }
        return max;
    }

    /** As {@link #largestPoint} for E81B: the largest twice, or half of all. */
    private static double largestResidual(MemorySegment x, int groups) {
        double max = 0;
        for (int g = 0; g < groups; g++) {
            double absolute = 0;
            double largest = 0;
            for (long p = 32L * g; p < 32L * g + 32; p += 4) {
                double v = Math.abs(x.get(FLOAT, p));
                absolute += v;
                largest = Math.max(largest, v);
            }
            max = Math.max(max, Math.max(0.5 * absolute, 2 * largest));
        }
        return max;
    }

    // As in NibbleSums: every method that holds a vector is longer than 325 bytecodes, loops inside and calls nothing
    // but the
    // Vector API, so that C2 compiles it on its own and boxes nothing. Values of entries pass through memory: with
    // branches
    // between them and the vectors that they become, C2 boxes them.

    /** Writes the entries of the points' tables as floats, 64 bytes a table. */
    private static void pointValues(long x, int groups, float scale, long to) {
        long lanes = LANES.address();
        for (int g = 0; g < groups; g++) {
            long p = x + 32L * g & ADDRESS;
            long q = to + (long) VALUE_BYTES * POINT_TABLES * g & ADDRESS;
            FloatVector bit2 = FloatVector.fromMemorySegment(F, MEMORY, lanes, ORDER);
            FloatVector bit3 = FloatVector.fromMemorySegment(F, MEMORY, lanes + 16, ORDER);
            for (int table = 0; table < 4; table++) {
                long r = p + 16L * (table & 1);
                long out = q + (long) VALUE_BYTES * table;
                float factor = table < 2 ? scale : -0.5f * scale;
                float x0 = MEMORY.get(FLOAT, r) * factor;
                float x1 = MEMORY.get(FLOAT, r + 4) * factor;
                FloatVector upper =
                        bit2.mul(MEMORY.get(FLOAT, r + 8) * factor).add(bit3.mul(MEMORY.get(FLOAT, r + 12) * factor));
                upper.add(x0 + x1).intoMemorySegment(MEMORY, out, ORDER);
                upper.add(x1 - x0).intoMemorySegment(MEMORY, out + 16, ORDER);
                upper.add(x0 - x1).intoMemorySegment(MEMORY, out + 32, ORDER);
                upper.sub(x0 + x1).intoMemorySegment(MEMORY, out + 48, ORDER);
            }
            float x0 = MEMORY.get(FLOAT, p) * scale;
            float x1 = MEMORY.get(FLOAT, p + 4) * scale;
            float x2 = MEMORY.get(FLOAT, p + 8) * scale;
            float x3 = MEMORY.get(FLOAT, p + 12) * scale;
            float x4 = MEMORY.get(FLOAT, p + 16) * scale;
            float x5 = MEMORY.get(FLOAT, p + 20) * scale;
            float x6 = MEMORY.get(FLOAT, p + 24) * scale;
            float x7 = MEMORY.get(FLOAT, p + 28) * scale;
            float shift = (0.25f * (((x0 + x1) + (x2 + x3)) + ((x4 + x5) + (x6 + x7))) + ROUND) - ROUND;
            // what the table of 2 x_p will have for x_0, which masks look up too
            float first = (2 * x0 + ROUND) - ROUND;
            float bias = POINT_RADIX * POINT_BIAS;
            FloatVector.broadcast(F, bias + shift).intoMemorySegment(MEMORY, q + 256, ORDER);
            FloatVector.broadcast(F, bias - shift).intoMemorySegment(MEMORY, q + 272, ORDER);
            FloatVector.broadcast(F, bias + shift - first).intoMemorySegment(MEMORY, q + 288, ORDER);
            FloatVector.broadcast(F, bias - shift - first).intoMemorySegment(MEMORY, q + 304, ORDER);
            FloatVector lane0 = FloatVector.fromMemorySegment(F, MEMORY, lanes + 32, ORDER);
            FloatVector lane1 = FloatVector.fromMemorySegment(F, MEMORY, lanes + 48, ORDER);
            FloatVector lane2 = FloatVector.fromMemorySegment(F, MEMORY, lanes + 64, ORDER);
            FloatVector lane3 = FloatVector.fromMemorySegment(F, MEMORY, lanes + 80, ORDER);
            FloatVector even = lane0.mul(2 * x0)
                    .add(lane1.mul(2 * x2))
                    .add(lane2.mul(2 * x4).add(lane3.mul(2 * x6)));
            FloatVector odd = lane0.mul(2 * x1)
                    .add(lane1.mul(2 * x3))
                    .add(lane2.mul(2 * x5).add(lane3.mul(2 * x7)));
            even.intoMemorySegment(MEMORY, q + 320, ORDER);
            even.neg().intoMemorySegment(MEMORY, q + 336, ORDER);
            odd.intoMemorySegment(MEMORY, q + 352, ORDER);
            odd.neg().intoMemorySegment(MEMORY, q + 368, ORDER);
        }
    }

    /** Writes the entries of the residual's tables as floats, 64 bytes a table. */
    private static void residualValues(long x, int groups, float scale, long to) {
        long lanes = LANES.address();
        for (int g = 0; g < groups; g++) {
            long p = x + 32L * g & ADDRESS;
            long q = to + (long) VALUE_BYTES * RESIDUAL_TABLES * g & ADDRESS;
            float x0 = MEMORY.get(FLOAT, p) * scale;
            float x1 = MEMORY.get(FLOAT, p + 4) * scale;
            float x2 = MEMORY.get(FLOAT, p + 8) * scale;
            float x3 = MEMORY.get(FLOAT, p + 12) * scale;
            float x4 = MEMORY.get(FLOAT, p + 16) * scale;
            float x5 = MEMORY.get(FLOAT, p + 20) * scale;
            float x6 = MEMORY.get(FLOAT, p + 24) * scale;
            float x7 = MEMORY.get(FLOAT, p + 28) * scale;
            // the bias: half with each of two units, all with the lower four halves
            float bias = RESIDUAL_RADIX * RESIDUAL_BIAS;
            FloatVector even = FloatVector.fromMemorySegment(F, MEMORY, lanes + 112, ORDER);
            FloatVector odd = FloatVector.fromMemorySegment(F, MEMORY, lanes + 128, ORDER);
            even.mul(x0).add(odd.mul(x4)).add(0.5f * bias).intoMemorySegment(MEMORY, q, ORDER);
            even.mul(x1).add(odd.mul(x5)).add(0.5f * bias).intoMemorySegment(MEMORY, q + 16, ORDER);
            even.mul(x2).add(odd.mul(x6)).add(0.5f * bias).intoMemorySegment(MEMORY, q + 32, ORDER);
            even.mul(x3).add(odd.mul(x7)).add(0.5f * bias).intoMemorySegment(MEMORY, q + 48, ORDER);
            FloatVector bit2 = FloatVector.fromMemorySegment(F, MEMORY, lanes, ORDER);
            FloatVector bit3 = FloatVector.fromMemorySegment(F, MEMORY, lanes + 16, ORDER);
            FloatVector upper = bit2.mul(0.5f * x2).add(bit3.mul(0.5f * x3)).add(bias);
            upper.add(0.5f * (x0 + x1)).intoMemorySegment(MEMORY, q + 64, ORDER);
            upper.add(0.5f * (x1 - x0)).intoMemorySegment(MEMORY, q + 80, ORDER);
            upper.add(0.5f * (x0 - x1)).intoMemorySegment(MEMORY, q + 96, ORDER);
            upper.sub(0.5f * (x0 + x1)).intoMemorySegment(MEMORY, q + 112, ORDER);
            FloatVector rest = bit2.mul(0.5f * x6);
            rest.add(0.5f * (x4 + x5)).intoMemorySegment(MEMORY, q + 128, ORDER);
            rest.add(0.5f * (x5 - x4)).intoMemorySegment(MEMORY, q + 144, ORDER);
            rest.add(0.5f * (x4 - x5)).intoMemorySegment(MEMORY, q + 160, ORDER);
            rest.sub(0.5f * (x4 + x5)).intoMemorySegment(MEMORY, q + 176, ORDER);
            FloatVector last =
                    FloatVector.fromMemorySegment(F, MEMORY, lanes + 96, ORDER).mul(0.5f * x7);
            last.neg().intoMemorySegment(MEMORY, q + 192, ORDER);
            last.intoMemorySegment(MEMORY, q + 208, ORDER);
            last.intoMemorySegment(MEMORY, q + 224, ORDER);
            last.neg().intoMemorySegment(MEMORY, q + 240, ORDER);
        }
    }

    /**
     * From entries to tables of 16 upper and 16 lower bytes: r is an entry rounded, {@code h = floor(r / radix)} is {@code (r +
     * 1/2) / radix - 1/2} rounded, and {@code l = r - radix h}.
     */
    private static void split(long values, int tables, float radix, long to) {
        float inverse = 1 / radix;
        for (int table = 0; table < tables; table++) {
            long p = values + (long) VALUE_BYTES * table & ADDRESS;
            long q = to + 32L * table & ADDRESS;
            FloatVector r0 = FloatVector.fromMemorySegment(F, MEMORY, p, ORDER)
                    .add(ROUND)
                    .sub(ROUND);
            FloatVector r1 = FloatVector.fromMemorySegment(F, MEMORY, p + 16, ORDER)
                    .add(ROUND)
                    .sub(ROUND);
            FloatVector r2 = FloatVector.fromMemorySegment(F, MEMORY, p + 32, ORDER)
                    .add(ROUND)
                    .sub(ROUND);
            FloatVector r3 = FloatVector.fromMemorySegment(F, MEMORY, p + 48, ORDER)
                    .add(ROUND)
                    .sub(ROUND);
            FloatVector h0 = r0.add(0.5f).mul(inverse).sub(0.5f).add(ROUND);
            FloatVector h1 = r1.add(0.5f).mul(inverse).sub(0.5f).add(ROUND);
            FloatVector h2 = r2.add(0.5f).mul(inverse).sub(0.5f).add(ROUND);
            FloatVector h3 = r3.add(0.5f).mul(inverse).sub(0.5f).add(ROUND);
            IntVector l0 = r0.sub(h0.sub(ROUND).mul(radix)).add(ROUND).reinterpretAsInts();
            IntVector l1 = r1.sub(h1.sub(ROUND).mul(radix)).add(ROUND).reinterpretAsInts();
            IntVector l2 = r2.sub(h2.sub(ROUND).mul(radix)).add(ROUND).reinterpretAsInts();
            IntVector l3 = r3.sub(h3.sub(ROUND).mul(radix)).add(ROUND).reinterpretAsInts();
            h0.reinterpretAsInts()
                    .and(0xff)
                    .or(h1.reinterpretAsInts().and(0xff).lanewise(VectorOperators.LSHL, 8))
                    .or(h2.reinterpretAsInts().and(0xff).lanewise(VectorOperators.LSHL, 16))
                    .or(h3.reinterpretAsInts().lanewise(VectorOperators.LSHL, 24))
                    .intoMemorySegment(MEMORY, q, ORDER);
            l0.and(0xff)
                    .or(l1.and(0xff).lanewise(VectorOperators.LSHL, 8))
                    .or(l2.and(0xff).lanewise(VectorOperators.LSHL, 16))
                    .or(l3.lanewise(VectorOperators.LSHL, 24))
                    .intoMemorySegment(MEMORY, q + 16, ORDER);
        }
    }
}
