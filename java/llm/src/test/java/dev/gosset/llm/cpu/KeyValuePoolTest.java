package dev.gosset.llm.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.gosset.core.memory.Dtype;
import dev.gosset.llm.cache.BlockPool;
import dev.gosset.llm.cache.BlockTable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Which blocks sequences get, share and give back. */
class KeyValuePoolTest {
    private static final int BLOCK = KeyValuePool.BLOCK;

    private static KeyValuePool pool(int blocks) {
        return pool(blocks, Integer.MAX_VALUE);
    }

    private static KeyValuePool pool(int blocks, int sharedLength) {
        return new KeyValuePool(1, 1, 8, blocks, Dtype.F16, sharedLength);
    }

    private static int[] tokens(int seed, int count) {
        return new SplittableRandom(seed).ints(count, 0, 50).toArray();
    }

    private static int[] joined(int[] a, int[] b) {
        int[] all = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, all, a.length, b.length);
        return all;
    }

    /** Runs all tokens of a prompt, in pieces. */
    private static KeyValueCache run(KeyValuePool pool, int[] prompt, int capacity) {
        KeyValueCache cache = pool.reserve(prompt, capacity).orElseThrow();
        while (cache.length() < prompt.length) {
            int to = Math.min(prompt.length, cache.length() + 37);
            cache.advance(Arrays.copyOfRange(prompt, cache.length(), to));
        }
        return cache;
    }

    @Test
    void fullBlocksOfEqualPrefixesAreShared() {
        try (KeyValuePool pool = pool(10)) {
            int[] prefix = tokens(1, 2 * BLOCK);
            int[] one = joined(prefix, tokens(2, 10));
            KeyValueCache first = run(pool, one, one.length);
            assertThat(pool.blocksInUse()).isEqualTo(3);
            KeyValueCache second =
                    pool.reserve(joined(prefix, tokens(3, 10)), one.length).orElseThrow();
            assertThat(second.length()).isEqualTo(2 * BLOCK);
            assertThat(pool.blocksInUse()).isEqualTo(4);
            for (int p = 0; p < 2 * BLOCK; p += BLOCK) {
                assertThat(second.block(p)).isEqualTo(first.block(p));
            }
            assertThat(second.block(2 * BLOCK)).isNotEqualTo(first.block(2 * BLOCK));
            first.close();
            assertThat(pool.blocksInUse()).isEqualTo(3);
            second.close();
            assertThat(pool.blocksInUse()).isZero();
            // The last token is always run, so of two whole blocks one is found.
            try (KeyValueCache third = pool.reserve(prefix, prefix.length).orElseThrow()) {
                assertThat(third.length()).isEqualTo(BLOCK);
            }
            // The same tokens behind others are something else.
            int[] moved = joined(tokens(4, BLOCK), Arrays.copyOfRange(prefix, BLOCK, 2 * BLOCK + 1));
            try (KeyValueCache fourth =
                    pool.reserve(moved, moved.length + BLOCK).orElseThrow()) {
                assertThat(fourth.length()).isZero();
            }
        }
    }

    @Test
    void whatIsDrawnIsSharedToo() {
        try (KeyValuePool pool = pool(4)) {
            int[] prompt = tokens(5, 60);
            KeyValueCache cache = run(pool, prompt, 2 * BLOCK);
            int[] drawn = tokens(6, 20);
            for (int token : drawn) {
                cache.advance(new int[] {token});
            }
            cache.close();
            try (KeyValueCache next =
                    pool.reserve(joined(prompt, drawn), 2 * BLOCK).orElseThrow()) {
                assertThat(next.length()).isEqualTo(BLOCK);
            }
        }
    }

    @Test
    void theLeastRecentlyUsedIsOverwritten() {
        try (KeyValuePool pool = pool(4)) {
            int[] a = tokens(7, BLOCK + 1);
            int[] b = tokens(8, BLOCK + 1);
            run(pool, a, a.length).close();
            run(pool, b, b.length).close();
            // a is used again, so b goes first when three new blocks are needed: two hold nothing.
            pool.reserve(a, a.length).orElseThrow().close();
            try (KeyValueCache other = pool.reserve(tokens(9, 1), 3 * BLOCK).orElseThrow();
                    KeyValueCache known = pool.reserve(a, BLOCK).orElseThrow()) {
                assertThat(other.length()).isZero();
                assertThat(known.length()).isEqualTo(BLOCK);
                assertThat(pool.reserve(new int[] {1}, 1)).isEmpty();
            }
            try (KeyValueCache gone = pool.reserve(b, b.length).orElseThrow()) {
                assertThat(gone.length()).isZero();
            }
        }
    }

    @Test
    void allIsReservedOrNothing() {
        try (KeyValuePool pool = pool(4)) {
            KeyValueCache cache = pool.reserve(new int[] {1}, 3 * BLOCK).orElseThrow();
            assertThat(pool.reserve(new int[] {1}, BLOCK + 1)).isEmpty();
            assertThat(pool.blocksInUse()).isEqualTo(3);
            assertThatIllegalArgumentException().isThrownBy(() -> cache.requireRoom(3 * BLOCK + 1));
            cache.close();
            cache.close();
            assertThat(pool.blocksInUse()).isZero();
            assertThat(pool.reserve(new int[] {1}, 4 * BLOCK + 1)).isEmpty();
        }
    }

    @Test
    void longSequencesWhoseKeysDependOnTheirLengthShareNothing() {
        try (KeyValuePool pool = pool(8, 2 * BLOCK)) {
            int[] prompt = tokens(10, BLOCK + 5);
            run(pool, prompt, prompt.length).close();
            int[] longer = joined(prompt, tokens(11, BLOCK));
            try (KeyValueCache cache = pool.reserve(longer, longer.length).orElseThrow()) {
                assertThat(cache.length()).isZero();
            }
            try (KeyValueCache cache = pool.reserve(prompt, prompt.length).orElseThrow()) {
                assertThat(cache.length()).isEqualTo(BLOCK);
            }
        }
    }

    /** A backend that runs prompts in larger pieces goes on only where one of them begins. */
    @Test
    void sequencesGoOnAtWholeUnits() {
        BlockPool pool = new BlockPool(12, 2 * BLOCK, Integer.MAX_VALUE);
        int[] prompt = tokens(12, 3 * BLOCK + 5);
        try (BlockTable first = pool.reserve(prompt, prompt.length).orElseThrow()) {
            first.advance(Arrays.copyOf(prompt, 3 * BLOCK));
            first.advance(Arrays.copyOfRange(prompt, 3 * BLOCK, prompt.length));
            try (BlockTable second = pool.reserve(prompt, prompt.length).orElseThrow()) {
                assertThat(second.length()).isEqualTo(2 * BLOCK);
                assertThat(second.block(1)).isEqualTo(first.block(1));
                assertThat(second.block(2)).isNotEqualTo(first.block(2));
                assertThat(pool.blocksInUse()).isEqualTo(6);
            }
        }
        assertThat(pool.blocksInUse()).isZero();
    }

    /** What was computed otherwise than as a prompt is not shared, and neither is what comes behind it. */
    @Test
    void whatWasComputedOtherwiseIsNotShared() {
        BlockPool pool = new BlockPool(12, BLOCK, Integer.MAX_VALUE);
        int[] prompt = tokens(13, 3 * BLOCK + 5);
        try (BlockTable first = pool.reserve(prompt, prompt.length).orElseThrow()) {
            first.advance(Arrays.copyOf(prompt, BLOCK));
            first.advanceAlone(prompt[BLOCK]);
            first.advance(Arrays.copyOfRange(prompt, BLOCK + 1, prompt.length));
            try (BlockTable second = pool.reserve(prompt, prompt.length).orElseThrow()) {
                assertThat(second.length()).isEqualTo(BLOCK);
            }
        }
    }

    /** Many sequences at random: a block has one content, and nothing is lost. */
    @Test
    void atRandom() {
        long seed = System.nanoTime();
        System.out.println("KeyValuePoolTest.atRandom seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        try (KeyValuePool pool = pool(20)) {
            List<KeyValueCache> open = new ArrayList<>();
            List<int[]> prompts = new ArrayList<>();
            // What the block of a shared position must hold: all tokens up to its end.
            int[][] written = new int[20][];
            for (int i = 0; i < 3000; i++) {
                if (!open.isEmpty() && random.nextInt(3) == 0) {
                    int at = random.nextInt(open.size());
                    open.remove(at).close();
                    prompts.remove(at);
                    continue;
                }
                int[] prompt = joined(tokens(random.nextInt(4), BLOCK * (1 + random.nextInt(3))), tokens(i, 5));
                pool.reserve(prompt, prompt.length).ifPresent(cache -> {
                    for (int p = 0; p < cache.length(); p += BLOCK) {
                        assertThat(written[cache.block(p)]).isEqualTo(Arrays.copyOf(prompt, p + BLOCK));
                    }
                    for (int p = cache.length(); p < prompt.length; p += BLOCK) {
                        written[cache.block(p)] = Arrays.copyOf(prompt, Math.min(prompt.length, p + BLOCK));
                    }
                    cache.advance(Arrays.copyOfRange(prompt, cache.length(), prompt.length));
                    open.add(cache);
                    prompts.add(prompt);
                });
                for (int s = 0; s < open.size(); s++) {
                    for (int p = 0; p < prompts.get(s).length; p += BLOCK) {
                        assertThat(written[open.get(s).block(p)])
                                .isEqualTo(Arrays.copyOf(prompts.get(s), Math.min(prompts.get(s).length, p + BLOCK)));
                    }
                }
            }
            open.forEach(KeyValueCache::close);
            assertThat(pool.blocksInUse()).isZero();
        }
    }
}
