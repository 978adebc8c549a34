package dev.gosset.core.codebook;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.Golden;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The codebooks and layouts of the first published checkpoints, against the golden tables and their own inverses. */
class HistoricCodebooksTest {
    @Test
    void everyPointOfVersion0IsAPointOfVersion1() {
        double[] grid = Golden.open("codebooks.safetensors")
                .get("e8p_v0_grid_x4_by_uint16")
                .doubles();
        double[] v = new double[8];
        for (int code = 0; code < 65536; code++) {
            E8p.INSTANCE.decode(E8pVersion0.toVersion1(code), v, 0);
            for (int c = 0; c < 8; c++) {
                assertThat(4 * v[c]).as("code %d", code).isEqualTo(grid[8 * code + c]);
            }
        }
    }

    @Test
    void version1TranslatesBackButForTheTwins() {
        int twins = 0;
        for (int code = 0; code < 65536; code++) {
            int back = E8pVersion0.fromVersion1(E8pVersion0.toVersion1(code));
            twins += back == code ? 0 : 1;
            assertThat(back >>> 8).isEqualTo(code >>> 8 == 254 ? 248 : code >>> 8);
        }
        assertThat(twins).isEqualTo(256);
        assertThatThrownBy(() -> E8pVersion0.fromVersion1(254 << 8 | 3))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("0xfe03");
    }

    @Test
    void d4HasThePublishedPoints() {
        double[] grid = Golden.open("codebooks.safetensors").get("d4_grid_x2").doubles();
        double[] v = new double[8];
        Set<List<Double>> points = new HashSet<>();
        for (int code = 0; code < 256; code++) {
            D4.INSTANCE.decode(code << 8 | 255 - code, v, 0);
            for (int c = 0; c < 4; c++) {
                assertThat(2 * v[c]).as("code %d", code).isEqualTo(grid[4 * code + c]);
                assertThat(2 * v[4 + c]).isEqualTo(grid[4 * (255 - code) + c]);
            }
            points.add(List.of(v[0], v[1], v[2], v[3]));
            assertThat(D4.INSTANCE.nearest(v, 0)).isEqualTo(code << 8 | 255 - code);
        }
        assertThat(points).hasSize(256);
    }

    @Test
    void halfIntegersAreThePublishedOnes() {
        double[] grid =
                Golden.open("codebooks.safetensors").get("hi4b1c_grid_x2").doubles();
        double[] v = new double[8];
        HalfInteger.INSTANCE.decode(0x01234567, v, 0);
        for (int c = 0; c < 8; c++) {
            assertThat(2 * v[c]).isEqualTo(grid[c]);
        }
        HalfInteger.INSTANCE.decode(0x89abcdef, v, 0);
        for (int c = 0; c < 8; c++) {
            assertThat(2 * v[c]).isEqualTo(grid[8 + c]);
        }
        assertThat(HalfInteger.INSTANCE.nearest(new double[] {-100, -7.4, -0.2, 0.2, 1.9, 2.1, 7.4, 100}, 0))
                .isEqualTo(0x00789aff);
    }

    @Test
    void goldenNibbles() {
        Golden golden = Golden.open("packed.safetensors");
        long[] codes = golden.get("hi4b1c_codes").longs();
        long[] expected = golden.get("hi4b1c_Qidxs").longs();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment qidxs = arena.allocate(4L * expected.length);
            for (int i = 0; i < expected.length; i++) {
                qidxs.setAtIndex(ValueLayout.JAVA_INT, i, (int) expected[i]);
            }
            CodeMatrix matrix = CodeMatrix.allocate(arena, HalfInteger.INSTANCE, 4, 32);
            QidxsLayout.NIBBLES.unpack(qidxs, matrix, 0, 4);
            for (int i = 0; i < codes.length; i++) {
                int nibble = matrix.code(i / 32, i % 32 / 8) >>> (28 - i % 8 * 4) & 15;
                assertThat(nibble).as("row %d column %d", i / 32, i % 32).isEqualTo((int) codes[i]);
            }
        }
    }

    @Test
    void stripsOfD4() {
        int m = 6;
        int n = 48;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment qidxs = arena.allocate(m * n / 4);
            for (int i = 0; i < qidxs.byteSize(); i++) {
                qidxs.set(ValueLayout.JAVA_BYTE, i, (byte) (37 * i));
            }
            CodeMatrix matrix = CodeMatrix.allocate(arena, D4.INSTANCE, m, n);
            QidxsLayout.D4_STRIPS.unpack(qidxs, matrix, 0, m);
            for (int r = 0; r < m; r++) {
                for (int column = 0; column < n / 4; column++) {
                    int flat = (column / 4 * m + r) * 4 + column % 4;
                    int code = matrix.code(r, column / 2) >>> (column % 2 == 0 ? 8 : 0) & 0xff;
                    assertThat((byte) code).isEqualTo((byte) (37 * flat));
                }
            }
        }
    }

    private static Codebook codebook(QidxsLayout layout) {
        return switch (layout) {
            case TILES, E8P_VERSION_0 -> E8p.INSTANCE;
            case D4_STRIPS -> D4.INSTANCE;
            case NIBBLES, BYTES -> HalfInteger.INSTANCE;
        };
    }

    /** In ranges of rows, at an odd address: packed again it is the same tensor. */
    @ParameterizedTest
    @EnumSource
    void everyLayoutGoesThereAndBack(QidxsLayout layout) {
        Codebook codebook = codebook(layout);
        int m = layout == QidxsLayout.TILES ? 80 : 70;
        int n = 192;
        SplittableRandom random = new SplittableRandom(5);
        try (Arena arena = Arena.ofConfined()) {
            long bytes = layout.bytes(codebook, m, n);
            MemorySegment qidxs = arena.allocate(bytes + 1).asSlice(1);
            for (long i = 0; i < bytes; i++) {
                int b = random.nextInt(layout == QidxsLayout.BYTES ? 16 : 256);
                // The rows above 253 of the magnitudes have twins.
                boolean row = layout == QidxsLayout.E8P_VERSION_0 && i % 2 == 1;
                qidxs.set(ValueLayout.JAVA_BYTE, i, (byte) (row ? random.nextInt(254) - 128 : b));
            }
            CodeMatrix codes = CodeMatrix.allocate(arena, codebook, m, n);
            layout.unpack(qidxs, codes, 48, m);
            layout.unpack(qidxs, codes, 0, 16);
            layout.unpack(qidxs, codes, 16, 48);
            MemorySegment back = arena.allocate(bytes);
            layout.pack(codes, back, 16, m);
            layout.pack(codes, back, 0, 16);
            assertThat(back.mismatch(qidxs)).isEqualTo(-1);
            assertThat(layout.shape(codebook, m, n).get(0)).isEqualTo(m);
            assertThatThrownBy(() -> layout.unpack(qidxs, codes, 8, 16)).hasMessageContaining("rows 8 to 16");
        }
    }

    @Test
    void layoutsAreKnownByCodebookVersionAndType() {
        assertThat(QidxsLayout.of(E8p.INSTANCE, 1, "I64")).contains(QidxsLayout.TILES);
        assertThat(QidxsLayout.of(E8p.INSTANCE, 0, "I16")).contains(QidxsLayout.E8P_VERSION_0);
        assertThat(QidxsLayout.of(E8p.INSTANCE, 0, "I64")).isEmpty();
        assertThat(QidxsLayout.of(E8p.INSTANCE, 1, "I16")).isEmpty();
        assertThat(QidxsLayout.of(E8pResidual.RVQ3B, 0, "I64")).contains(QidxsLayout.TILES);
        assertThat(QidxsLayout.of(E8pResidual.RVQ4B, 0, "I64")).isEmpty();
        assertThat(QidxsLayout.of(D4.INSTANCE, 0, "U8")).contains(QidxsLayout.D4_STRIPS);
        assertThat(QidxsLayout.of(HalfInteger.INSTANCE, 0, "I32")).contains(QidxsLayout.NIBBLES);
        assertThat(QidxsLayout.of(HalfInteger.INSTANCE, 0, "U8")).contains(QidxsLayout.BYTES);
    }

    @Test
    void namesCarryAnUnusualResidualScale() {
        E8pResidual other = E8pResidual.RVQ3B.withResidualScale(2.5);
        assertThat(other.name()).isEqualTo("E8P12RVQ3B:2.5");
        assertThat(Codebook.named(other.name()).residualScale()).isEqualTo(2.5);
        assertThat(other.withResidualScale(2.04)).isSameAs(E8pResidual.RVQ3B);
        assertThat(Codebook.named("D4")).isSameAs(D4.INSTANCE);
        assertThat(Codebook.named("HI4B1C")).isSameAs(HalfInteger.INSTANCE);
        for (String wrong : List.of("E8P12:3", "E8P12RVQ3B:x", "E8P12RVQ3B:-1", "E9", ":3")) {
            assertThatThrownBy(() -> Codebook.named(wrong)).isInstanceOf(IllegalArgumentException.class);
        }
    }
}
