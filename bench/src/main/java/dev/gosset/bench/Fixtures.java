package dev.gosset.bench;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.FloatMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;
import java.util.SplittableRandom;

/** Random data: never zeros, which caches, branch predictors and multipliers treat better than real weights. */
final class Fixtures {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Fixtures() {}

    static void randomBytes(MemorySegment data, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        long at = 0;
        for (; at + 8 <= data.byteSize(); at += 8) {
            data.set(LONG, at, random.nextLong());
        }
        for (; at < data.byteSize(); at++) {
            data.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt());
        }
    }

    /** Independent values of mean 0 and the given standard deviation, near enough to normal: the sum of four uniforms. */
    static MemorySegment normal(Arena arena, long count, double deviation, long seed) {
        MemorySegment data = arena.allocate(4 * count, 64);
        SplittableRandom random = new SplittableRandom(seed);
        double unit = deviation * Math.sqrt(3) / 32768;
        for (long i = 0; i < count; i++) {
            long bits = random.nextLong();
            long sum = (long) (short) bits + (short) (bits >> 16) + (short) (bits >> 32) + (short) (bits >> 48);
            data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (sum * unit / 2));
        }
        return data;
    }

    static FloatMatrix matrix(Arena arena, int rows, int cols, double deviation, long seed) {
        return new FloatMatrix(normal(arena, (long) rows * cols, deviation, seed), rows, cols);
    }

    static CodeMatrix codes(Arena arena, int bits, int rows, int cols, long seed) {
        CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), rows, cols);
        randomBytes(codes.data(), seed);
        return codes;
    }

    /** Random float16 values {@code +-scale}. */
    static MemorySegment signs(Arena arena, int count, double scale, long seed) {
        MemorySegment data = arena.allocate(2L * count, 64);
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < count; i++) {
            data.setAtIndex(HALF, i, Float.floatToFloat16((float) (random.nextBoolean() ? scale : -scale)));
        }
        return data;
    }

    /** A linear of one part with random codes and signs; its outputs are about as large as its inputs. */
    static QuantizedLinear linear(Arena arena, int bits, int rows, int cols, long seed) {
        return new QuantizedLinear(
                codes(arena, bits, rows, cols, seed),
                signs(arena, cols, 1, seed + 1),
                signs(arena, rows, 1 / Math.sqrt(cols), seed + 2),
                List.of(new QuantizedLinear.Part("linear", rows, 1)));
    }
}
