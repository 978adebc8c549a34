package dev.gosset.core.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class TensorTest {
    private static final Path FILE = Path.of("some.file");

    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);

    private static MemorySegment segment(Arena arena, int misalignment, byte[] bytes) {
        MemorySegment s = arena.allocate(bytes.length + 64L, 64).asSlice(misalignment, bytes.length);
        return s.copyFrom(MemorySegment.ofArray(bytes));
    }

    private static double value(Dtype dtype, ByteBuffer b, int i) {
        return switch (dtype) {
            case F64 -> b.getDouble(8 * i);
            case F32 -> b.getFloat(4 * i);
            case F16 -> Float.float16ToFloat(b.getShort(2 * i));
            case BF16 -> Float.intBitsToFloat((b.getShort(2 * i) & 0xffff) << 16);
            default -> throw new IllegalArgumentException();
        };
    }

    @ParameterizedTest
    @EnumSource(names = {"F64", "F32", "F16", "BF16"})
    void convertsAnyRangeAtAnyAlignment(Dtype dtype) {
        try (Arena arena = Arena.ofConfined()) {
            for (int n : new int[] {1, 7, 64, 65_535, 65_536, 200_001}) {
                byte[] bytes = new byte[n * dtype.bytes()];
                random.nextBytes(bytes);
                ByteBuffer b = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
                Tensor t = new Tensor("t", dtype, List.of((long) n), segment(arena, random.nextInt(9), bytes), FILE);
                int from = random.nextInt(n);
                int count = random.nextInt(n - from + 1);
                MemorySegment out =
                        segment(arena, random.nextInt(9), new byte[4 * n]).fill((byte) 0x5a);
                t.toFloats(from, count, out);
                ByteBuffer got = out.asByteBuffer().order(ByteOrder.nativeOrder());
                for (int i = 0; i < n; i++) {
                    float expected = i < count ? (float) value(dtype, b, from + i) : Float.intBitsToFloat(0x5a5a5a5a);
                    if (Float.compare(got.getFloat(4 * i), expected) != 0) {
                        assertThat(got.getFloat(4 * i))
                                .as("seed " + seed + " n " + n + " i " + i)
                                .isEqualTo(expected);
                    }
                }
                assertThatThrownBy(() -> t.toFloats(0, n + 1L, out)).isInstanceOf(IndexOutOfBoundsException.class);
                assertThatThrownBy(() -> t.toFloats(-1, 1, out)).isInstanceOf(IndexOutOfBoundsException.class);
                assertThatThrownBy(() -> t.toFloats(0, n, out.asSlice(4)))
                        .isInstanceOf(IndexOutOfBoundsException.class);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F64", "F32", "F16", "BF16"})
    void findsTheFirstValueThatIsNotFinite(Dtype dtype) {
        try (Arena arena = Arena.ofConfined()) {
            int rows = 37;
            int cols = 5_003;
            byte[] bytes = new byte[rows * cols * dtype.bytes()];
            ByteBuffer b = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            MemorySegment data = segment(arena, 3, bytes);
            Tensor t = new Tensor("model.w", dtype, List.of((long) rows, (long) cols), data, FILE);
            for (int i = 0; i < rows * cols; i++) {
                set(dtype, b, i, random.nextBoolean() ? largest(dtype) : -random.nextDouble());
            }
            data.copyFrom(MemorySegment.ofArray(bytes));
            assertThat(t.requireFinite()).isSameAs(t);
            for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
                int at = random.nextInt(rows * cols);
                byte[] clean = bytes.clone();
                set(dtype, b, at, bad);
                set(dtype, b, rows * cols - 1, at == rows * cols - 1 ? bad : Double.NaN);
                data.copyFrom(MemorySegment.ofArray(bytes));
                assertThatThrownBy(t::requireFinite)
                        .as("seed " + seed)
                        .isInstanceOf(FormatException.class)
                        .hasMessageContainingAll(
                                "some.file", "'model.w'", "has " + bad + " at [" + at / cols + ", " + at % cols + "]");
                System.arraycopy(clean, 0, bytes, 0, bytes.length);
            }
        }
    }

    private static double largest(Dtype dtype) {
        return switch (dtype) {
            case F64 -> Double.MAX_VALUE;
            case F32 -> Float.MAX_VALUE;
            case F16 -> 65504;
            default -> Float.intBitsToFloat(0x7f7f0000);
        };
    }

    private static void set(Dtype dtype, ByteBuffer b, int i, double v) {
        switch (dtype) {
            case F64 -> b.putDouble(8 * i, v);
            case F32 -> b.putFloat(4 * i, (float) v);
            case F16 -> b.putShort(2 * i, Float.floatToFloat16((float) v));
            default -> b.putShort(2 * i, (short) (Float.floatToRawIntBits((float) v) >>> 16));
        }
    }

    @Test
    void refusesWhatIsNoFloatingTensor() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor t = new Tensor("ids", Dtype.I64, List.of(2L), arena.allocate(16), FILE);
            assertThat(t.requireFinite()).isSameAs(t);
            assertThatThrownBy(t::toFloatArray)
                    .isInstanceOf(FormatException.class)
                    .hasMessageContainingAll("some.file", "'ids'", "I64", "F16");
            assertThatThrownBy(() -> t.requireShape(2, 1))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContainingAll("[2]", "[2, 1]");
            assertThat(t.requireShape(2)).isSameAs(t);
            assertThatThrownBy(t::scalar).isInstanceOf(FormatException.class);
            assertThatThrownBy(() -> t.dim(1)).isInstanceOf(FormatException.class);
        }
    }

    @Test
    void sizesNeverOverflow() {
        assertThat(Dtype.F32.size(List.of())).hasValue(4);
        assertThat(Dtype.F32.size(List.of(3L, 5L))).hasValue(60);
        assertThat(Dtype.U8.size(List.of(Long.MAX_VALUE))).hasValue(Long.MAX_VALUE);
        assertThat(Dtype.U8.size(List.of(0L, 7L))).hasValue(0);
        assertThat(Dtype.U8.size(List.of(0L, Long.MAX_VALUE, 2L))).isEqualTo(OptionalLong.empty());
        assertThat(Dtype.F16.size(List.of(Long.MAX_VALUE))).isEmpty();
        assertThat(Dtype.F64.size(List.of(1L << 31, 1L << 31))).isEmpty();
        assertThat(Dtype.F64.size(List.of(-1L, -8L))).isEmpty();
        assertThat(Dtype.GROUP8_U16.size(List.of(8L))).isEmpty();
        assertThat(Dtype.GROUP8_U16.size(List.of(0L, 8L))).isEmpty();
        assertThat(Dtype.GROUP8_U16.size(List.of(1L << 31, 8L))).isEmpty();
        for (int bits = 2; bits <= 4; bits++) {
            Codebook codebook = Codebook.ofBits(bits);
            for (int cols : new int[] {1, 8, 9, 172, Integer.MAX_VALUE}) {
                assertThat(Dtype.ofCodes(codebook).size(List.of(5L, (long) cols)))
                        .hasValue(CodeMatrix.bytes(codebook, 5, cols));
            }
        }
    }
}
