package dev.gosset.core.kernel.dense;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.kernel.Allocation;
import dev.gosset.core.kernel.VectorMethods;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Attention over float16 storage against sums in float64. */
@Tag("kernel")
class VectorAttentionTest {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    @Test
    void scoresAndMixtures() {
        long seed = System.nanoTime();
        System.out.println("VectorAttentionTest.scoresAndMixtures seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        for (int dim : new int[] {1, 4, 8, 16, 20, 48, 64, 80, 96, 128, 256}) {
            for (int count : new int[] {1, 2, 3, 4, 5, 33}) {
                try (Arena arena = Arena.ofConfined()) {
                    int n = dim * count;
                    MemorySegment x = arena.allocate(4L * n);
                    MemorySegment rows = arena.allocate(2L * n + 6);
                    MemorySegment q = arena.allocate(4L * dim + 4);
                    MemorySegment weights = arena.allocate(4L * count);
                    for (int i = 0; i < n; i++) {
                        // subnormal halves too
                        x.setAtIndex(FLOAT, i, (float) random.nextGaussian() * (i % 7 == 0 ? 1e-6f : 1));
                    }
                    VectorAttention.narrow(x, 0, rows, 6, n);
                    MemorySegment wide = arena.allocate(4L * n);
                    VectorAttention.widen(rows, 6, wide, 0, n);
                    for (int i = 0; i < n; i++) {
                        assertThat(wide.getAtIndex(FLOAT, i))
                                .isEqualTo(Float.float16ToFloat(Float.floatToFloat16(x.getAtIndex(FLOAT, i))));
                    }
                    for (int d = 0; d < dim; d++) {
                        q.set(FLOAT, 4L * d + 4, (float) random.nextGaussian());
                    }
                    MemorySegment scores = arena.allocate(4L * count + 8);
                    VectorAttention.scores(q, 4, 1, rows, 6, count, dim, scores, 4, 4L * count);
                    for (int j = 0; j < count; j++) {
                        double sum = 0;
                        double size = 0;
                        for (int d = 0; d < dim; d++) {
                            double term =
                                    (double) q.get(FLOAT, 4L * d + 4) * wide.getAtIndex(FLOAT, (long) dim * j + d);
                            sum += term;
                            size += Math.abs(term);
                        }
                        assertThat((double) scores.get(FLOAT, 4L * j + 4)).isCloseTo(sum, within(1e-6 * size + 1e-30));
                        weights.setAtIndex(FLOAT, j, random.nextFloat());
                    }
                    assertThat(scores.get(FLOAT, 0)).isZero();
                    assertThat(scores.get(FLOAT, 4L * count + 4)).isZero();
                    MemorySegment out = arena.allocate(4L * dim + 8);
                    VectorAttention.mix(weights, 0, 4L * count, 1, rows, 6, count, dim, out, 4, false);
                    for (int d = 0; d < dim; d++) {
                        double sum = 0;
                        double size = 0;
                        for (int j = 0; j < count; j++) {
                            double term =
                                    (double) weights.getAtIndex(FLOAT, j) * wide.getAtIndex(FLOAT, (long) dim * j + d);
                            sum += term;
                            size += Math.abs(term);
                        }
                        assertThat((double) out.get(FLOAT, 4L * d + 4)).isCloseTo(sum, within(1e-6 * size + 1e-30));
                    }
                    assertThat(out.get(FLOAT, 4L * dim + 4)).isZero();
                }
            }
        }
    }

    @Test
    void scoresAndMixturesOfBytes() {
        long seed = System.nanoTime();
        System.out.println("VectorAttentionTest.scoresAndMixturesOfBytes seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        for (int dim : new int[] {1, 4, 8, 16, 20, 48, 64, 80, 96, 128, 256}) {
            for (int count : new int[] {1, 2, 3, 4, 5, 33}) {
                try (Arena arena = Arena.ofConfined()) {
                    int n = dim * count;
                    MemorySegment x = arena.allocate(4L * n);
                    // from an odd byte on
                    MemorySegment rows = arena.allocate(n + 3L + VectorAttention.BEHIND);
                    MemorySegment scales = arena.allocate(4L * count + 4);
                    MemorySegment q = arena.allocate(4L * dim + 4);
                    MemorySegment weights = arena.allocate(4L * count);
                    for (int i = 0; i < n; i++) {
                        x.setAtIndex(FLOAT, i, (float) (random.nextGaussian() * Math.pow(10, i / dim % 7 - 3)));
                    }
                    for (int j = 0; j < count; j++) {
                        VectorAttention.narrowToBytes(
                                x, 4L * dim * j, rows, 3 + (long) dim * j, scales, 4L * j + 4, dim);
                    }
                    MemorySegment wide = arena.allocate(4L * n);
                    VectorAttention.widenBytes(rows, 3, scales, 4, wide, 0, count, dim);
                    for (int j = 0; j < count; j++) {
                        double max = 0;
                        for (int d = 0; d < dim; d++) {
                            max = Math.max(max, Math.abs(x.getAtIndex(FLOAT, (long) dim * j + d)));
                        }
                        for (int d = 0; d < dim; d++) {
                            double exact = x.getAtIndex(FLOAT, (long) dim * j + d);
                            assertThat((double) wide.getAtIndex(FLOAT, (long) dim * j + d))
                                    .isCloseTo(exact, within(max / 253.9));
                        }
                    }
                    for (int d = 0; d < dim; d++) {
                        q.set(FLOAT, 4L * d + 4, (float) random.nextGaussian());
                    }
                    MemorySegment scores = arena.allocate(4L * count + 8);
                    VectorAttention.scoresOfBytes(q, 4, 1, rows, 3, scales, 4, count, dim, scores, 4, 4L * count);
                    for (int j = 0; j < count; j++) {
                        double sum = 0;
                        double size = 0;
                        for (int d = 0; d < dim; d++) {
                            double term =
                                    (double) q.get(FLOAT, 4L * d + 4) * wide.getAtIndex(FLOAT, (long) dim * j + d);
                            sum += term;
                            size += Math.abs(term);
                        }
                        assertThat((double) scores.get(FLOAT, 4L * j + 4)).isCloseTo(sum, within(1e-6 * size));
                        weights.setAtIndex(FLOAT, j, random.nextFloat());
                    }
                    assertThat(scores.get(FLOAT, 0)).isZero();
                    assertThat(scores.get(FLOAT, 4L * count + 4)).isZero();
                    MemorySegment out = arena.allocate(4L * dim + 8);
                    VectorAttention.mixBytes(weights, 0, 4L * count, 1, rows, 3, scales, 4, count, dim, out, 4, false);
                    for (int d = 0; d < dim; d++) {
                        double sum = 0;
                        double size = 0;
                        for (int j = 0; j < count; j++) {
                            double term =
                                    (double) weights.getAtIndex(FLOAT, j) * wide.getAtIndex(FLOAT, (long) dim * j + d);
                            sum += term;
                            size += Math.abs(term);
                        }
                        assertThat((double) out.get(FLOAT, 4L * d + 4)).isCloseTo(sum, within(1e-6 * size));
                    }
                    assertThat(out.get(FLOAT, 0)).isZero();
                    assertThat(out.get(FLOAT, 4L * dim + 4)).isZero();
                }
            }
        }
    }

    @Test
    void severalQueriesHaveTheBitsOfEach() {
        long seed = System.nanoTime();
        System.out.println("VectorAttentionTest.severalQueriesHaveTheBitsOfEach seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        for (int dim : new int[] {1, 8, 16, 20, 64, 80, 128}) {
            for (int count : new int[] {1, 2, 3, 34}) {
                for (int queries = 2; queries <= 9; queries++) {
                    try (Arena arena = Arena.ofConfined()) {
                        int n = dim * count;
                        MemorySegment x = normal(arena, n, random);
                        MemorySegment halves = arena.allocate(2L * n);
                        MemorySegment bytes = arena.allocate((long) n + VectorAttention.BEHIND);
                        MemorySegment scales = arena.allocate(4L * count);
                        VectorAttention.narrow(x, 0, halves, 0, n);
                        for (int j = 0; j < count; j++) {
                            VectorAttention.narrowToBytes(x, 4L * dim * j, bytes, (long) dim * j, scales, 4L * j, dim);
                        }
                        MemorySegment q = normal(arena, queries * dim, random);
                        MemorySegment w = normal(arena, queries * count, random);
                        // one float behind each result must stay zero
                        MemorySegment scores = arena.allocate(4L * queries * count + 4);
                        MemorySegment ofBytes = arena.allocate(4L * queries * count + 4);
                        MemorySegment out = arena.allocate(4L * queries * dim + 4);
                        MemorySegment outOfBytes = arena.allocate(4L * queries * dim + 4);
                        VectorAttention.scores(q, 0, queries, halves, 0, count, dim, scores, 0, 4L * count);
                        VectorAttention.scoresOfBytes(
                                q, 0, queries, bytes, 0, scales, 0, count, dim, ofBytes, 0, 4L * count);
                        VectorAttention.mix(w, 0, 4L * count, queries, halves, 0, count, dim, out, 0, false);
                        VectorAttention.mixBytes(
                                w, 0, 4L * count, queries, bytes, 0, scales, 0, count, dim, outOfBytes, 0, false);
                        MemorySegment one = arena.allocate(4L * Math.max(count, dim));
                        for (int i = 0; i < queries; i++) {
                            VectorAttention.scores(q, 4L * i * dim, 1, halves, 0, count, dim, one, 0, 4L * count);
                            assertSame(scores, (long) i * count, one, count);
                            VectorAttention.scoresOfBytes(
                                    q, 4L * i * dim, 1, bytes, 0, scales, 0, count, dim, one, 0, 4L * count);
                            assertSame(ofBytes, (long) i * count, one, count);
                            VectorAttention.mix(w, 4L * i * count, 4L * count, 1, halves, 0, count, dim, one, 0, false);
                            assertSame(out, (long) i * dim, one, dim);
                            VectorAttention.mixBytes(
                                    w, 4L * i * count, 4L * count, 1, bytes, 0, scales, 0, count, dim, one, 0, false);
                            assertSame(outOfBytes, (long) i * dim, one, dim);
                        }
                        assertThat(scores.getAtIndex(FLOAT, (long) queries * count))
                                .isZero();
                        assertThat(ofBytes.getAtIndex(FLOAT, (long) queries * count))
                                .isZero();
                        assertThat(out.getAtIndex(FLOAT, (long) queries * dim)).isZero();
                        assertThat(outOfBytes.getAtIndex(FLOAT, (long) queries * dim))
                                .isZero();
                    }
                }
            }
        }
    }

    private static MemorySegment normal(Arena arena, int n, SplittableRandom random) {
        MemorySegment x = arena.allocate(4L * n);
        for (int i = 0; i < n; i++) {
            x.setAtIndex(FLOAT, i, (float) random.nextGaussian());
        }
        return x;
    }

    private static void assertSame(MemorySegment all, long from, MemorySegment one, int n) {
        for (int i = 0; i < n; i++) {
            assertThat(all.getAtIndex(FLOAT, from + i)).isEqualTo(one.getAtIndex(FLOAT, i));
        }
    }

    @Test
    void bytesOfExtremes() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocateFrom(FLOAT, Float.NEGATIVE_INFINITY, 1, Float.NaN, Float.MAX_VALUE);
            MemorySegment bytes = arena.allocate(4);
            MemorySegment scale = arena.allocate(4);
            VectorAttention.narrowToBytes(x, 0, bytes, 0, scale, 0, 4);
            assertThat(bytes.toArray(ValueLayout.JAVA_BYTE)).containsExactly(-127, 0, 0, 127);
            assertThat(scale.get(FLOAT, 0)).isEqualTo(Float.MAX_VALUE / 127);
            VectorAttention.narrowToBytes(arena.allocate(16), 0, bytes, 0, scale, 0, 4);
            assertThat(bytes.toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
            assertThat(scale.get(FLOAT, 0)).isZero();
            VectorAttention.narrowToBytes(arena.allocateFrom(FLOAT, 1e-40f), 0, bytes, 0, scale, 0, 1);
            assertThat(bytes.get(ValueLayout.JAVA_BYTE, 0)).isZero();
        }
    }

    @Test
    void narrowingStopsAtTheLargestHalf() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocateFrom(FLOAT, 1e9f, Float.NEGATIVE_INFINITY, Float.NaN, 65504);
            MemorySegment halves = arena.allocate(8);
            VectorAttention.narrow(x, 0, halves, 0, 4);
            MemorySegment out = arena.allocate(16);
            VectorAttention.widen(halves, 0, out, 0, 4);
            assertThat(out.toArray(FLOAT)).containsExactly(65504, -65504, 0, 65504);
        }
    }

    @Test
    @Tag("allocation")
    void allocatesNothing() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment rows = arena.allocate(2L * 64 * 100);
            MemorySegment q = arena.allocate(4 * 256);
            MemorySegment scores = arena.allocate(4 * 400);
            MemorySegment wide = arena.allocate(4L * 64 * 100);
            MemorySegment bytes = arena.allocate(64 * 100 + VectorAttention.BEHIND);
            for (int n : new int[] {1, 3, 4}) {
                Allocation.assertNone(
                        "scores", () -> VectorAttention.scores(q, 0, n, rows, 0, 100, 64, scores, 0, 400));
                Allocation.assertNone(
                        "mixture", () -> VectorAttention.mix(scores, 0, 400, n, rows, 0, 100, 64, q, 0, false));
                Allocation.assertNone(
                        "scores of bytes",
                        () -> VectorAttention.scoresOfBytes(q, 0, n, bytes, 0, scores, 0, 100, 64, wide, 0, 400));
                Allocation.assertNone(
                        "mixture of bytes",
                        () -> VectorAttention.mixBytes(wide, 0, 400, n, bytes, 0, scores, 0, 100, 64, q, 0, false));
            }
            Allocation.assertNone(
                    "narrowing to bytes", () -> VectorAttention.narrowToBytes(wide, 0, bytes, 0, scores, 0, 64));
            Allocation.assertNone("widening", () -> VectorAttention.widen(rows, 0, wide, 0, 6400));
        }
    }

    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(VectorAttention.class))
                .isEmpty();
        assertThat(VectorMethods.shorterThanTheInliningLimit(AttentionSums.class))
                .isEmpty();
    }
}
