package dev.gosset.core.codebook;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.Golden;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The published layout against the golden tensors, its formula and its own inverse. */
class PublishedLayoutTest {
    private static int randomCode(SplittableRandom random, Codebook codebook) {
        return switch (codebook.bits()) {
            case 2 -> random.nextInt(65536);
            case 3 -> random.nextInt(65536) << 16 | random.nextInt(256);
            default -> random.nextInt();
        };
    }

    @Test
    void golden() {
        Golden golden = Golden.open("packed.safetensors");
        String[] prefixes = {"e8p", "rvq3", "rvq4"};
        for (int bits = 2; bits <= 4; bits++) {
            Codebook codebook = Codebook.ofBits(bits);
            long[] codes = golden.get(prefixes[bits - 2] + "_codes").longs();
            Golden.Tensor tensor = golden.get(prefixes[bits - 2] + "_Qidxs");
            long[] expected = tensor.longs();
            assertThat(tensor.shape()).containsExactly(32, PublishedLayout.wordsPerRow(codebook, 128));
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment words = arena.allocate(8L * expected.length);
                MemorySegment.copy(expected, 0, words, ValueLayout.JAVA_LONG, 0, expected.length);
                CodeMatrix unpacked = PublishedLayout.unpack(arena, codebook, 32, 128, words);
                for (int i = 0; i < codes.length; i++) {
                    assertThat(Integer.toUnsignedLong(unpacked.code(i / 16, i % 16)))
                            .as("%d bits, code %d", bits, i)
                            .isEqualTo(codes[i]);
                }
                MemorySegment packed = arena.allocate(words.byteSize());
                PublishedLayout.pack(unpacked, packed);
                assertThat(packed.toArray(ValueLayout.JAVA_LONG)).isEqualTo(expected);
            }
        }
    }

    /** The formula of spec section 4.6 for the E8P part, code by code. */
    @Test
    void everyCodeLiesWhereTheFormulaSays() {
        long seed = System.nanoTime();
        System.out.println("PublishedLayoutTest seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        int m = 48;
        int n = 192;
        for (int bits = 2; bits <= 4; bits++) {
            Codebook codebook = Codebook.ofBits(bits);
            try (Arena arena = Arena.ofConfined()) {
                CodeMatrix codes = CodeMatrix.allocate(arena, codebook, m, n);
                for (int r = 0; r < m; r++) {
                    for (int c = 0; c < n / 8; c++) {
                        codes.setCode(r, c, randomCode(random, codebook));
                    }
                }
                int perRow = PublishedLayout.wordsPerRow(codebook, n);
                MemorySegment words = arena.allocate(8L * m * perRow);
                PublishedLayout.pack(codes, words);
                for (int r = 0; r < m; r++) {
                    for (int c = 0; c < n / 8; c++) {
                        int tile = r / 16 * (n / 64) + c / 8;
                        int lane = r % 16 / 2 * 4 + c % 8 / 2;
                        int flat = tile * 32 + lane;
                        int i = r % 2 + 2 * (c % 2);
                        long at = 8L * ((long) (flat / (n / 32)) * perRow + flat % (n / 32));
                        long word = words.get(ValueLayout.JAVA_LONG, at);
                        int e8p = bits == 2 ? codes.code(r, c) : codes.code(r, c) >>> 16;
                        assertThat(word >>> (8 * i) & 0xff).isEqualTo(e8p >>> 8);
                        for (int j = 0; j < 8; j++) {
                            assertThat(word >>> (32 + 4 * j + i) & 1).isEqualTo(e8p >>> j & 1);
                        }
                        if (bits == 3) {
                            long residual = 8L * ((long) r * perRow + n / 32) + c;
                            assertThat(words.get(ValueLayout.JAVA_BYTE, residual) & 0xff)
                                    .isEqualTo(codes.code(r, c) & 0xff);
                        }
                    }
                }
                CodeMatrix back = PublishedLayout.unpack(arena, codebook, m, n, words);
                assertThat(back.data().mismatch(codes.data())).isEqualTo(-1);
            }
        }
    }

    @Test
    void otherShapesAreRefused() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment words = arena.allocate(8L * 16 * 2);
            assertThatThrownBy(() -> PublishedLayout.unpack(arena, E8p.INSTANCE, 8, 64, words))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("found 8 x 64");
            assertThatThrownBy(() -> PublishedLayout.unpack(arena, E8p.INSTANCE, 16, 96, words))
                    .hasMessageContaining("found 16 x 96");
            assertThatThrownBy(() -> PublishedLayout.unpack(arena, E8p.INSTANCE, 32, 64, words))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("512 bytes, found 256");
            assertThat(PublishedLayout.holds(16, 64)).isTrue();
        }
    }
}
