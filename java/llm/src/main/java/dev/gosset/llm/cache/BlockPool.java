package dev.gosset.llm.cache;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;

/**
 * Which sequence has which blocks of a memory for keys and values: a fixed number of blocks, each with room for {@value #BLOCK}
 * positions of one sequence in all layers. Where the memory is, and what lies in a block, is its owner's affair. A
 * {@link BlockTable} takes the blocks that it will need when it is made and gives them back when it is closed.
 *
 * <p>Full blocks are shared: sequences that begin with the same {@value #BLOCK} tokens, or go on with the same ones behind a shared block,
 * read the same block. A block that nobody uses keeps what it holds until it is needed, the least recently used first.
 *
 * <p>One thread at a time.
 */
public final class BlockPool {
    /** Positions of a block. */
    public static final int BLOCK = 64;

    private final int unit;
    private final int sharedLength;

    /** Sequences that use a block. */
    private final int[] users;

    /** What a block holds, where another sequence may find it by that. */
    private final Content[] contents;

    private final Map<Content, Integer> known = new HashMap<>();
    /** Blocks that nobody uses, those first whose content is the least worth keeping. */
    private final LinkedHashSet<Integer> free = new LinkedHashSet<>();

    /**
     * The tokens of a full block behind those of the blocks before it. Two are equal where all tokens are: a chain is compared
     * by the object of its last block, of which there is one.
     */
    static final class Content {
        private final Content before;
        private final int[] tokens;
        private final int hash;

        Content(Content before, int[] tokens) {
            this.before = before;
            this.tokens = tokens;
            this.hash = 31 * System.identityHashCode(before) + Arrays.hashCode(tokens);
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Content c && c.before == before && Arrays.equals(c.tokens, tokens);
        }

        @Override
        public int hashCode() {
            return hash;
        }
    }

    /**
     * @param blocks how many, at least 1
     * @param unit positions, a multiple of {@value #BLOCK}: a sequence goes on behind blocks that it shares only at multiples of it
     * @param sharedLength blocks are shared only among sequences that are known to be no longer than this: beyond it, the keys of some
     *     models depend on how long the sequence was when they came
     */
    public BlockPool(int blocks, int unit, int sharedLength) {
        if (blocks < 1 || unit < BLOCK || unit % BLOCK != 0) {
            throw new IllegalArgumentException("a pool has at least 1 block and a unit of " + BLOCK
                    + " positions or a multiple, found " + blocks + " and " + unit);
        }
        this.unit = unit;
        this.sharedLength = sharedLength;
        this.users = new int[blocks];
        this.contents = new Content[blocks];
        for (int i = 0; i < blocks; i++) {
            free.add(i);
        }
    }

    /** Blocks that hold {@code tokens} positions. */
    public static int blocksFor(int tokens) {
        return Math.ceilDiv(tokens, BLOCK);
    }

    /** All blocks. */
    public int blocks() {
        return users.length;
    }

    /** Blocks that sequences use or have reserved. */
    public int blocksInUse() {
        return users.length - free.size();
    }

    int sharedLength() {
        return sharedLength;
    }

    /**
     * Takes the blocks of a new sequence. What the pool still knows of its first tokens is there already, and
     * {@link BlockTable#length} says how many those are: whole units, and never the last token, so that there is something to run.
     *
     * @param tokens the first tokens of the sequence
     * @param capacity the longest that it gets, in tokens, at least 1
     * @return empty where too few blocks are free now
     */
    public Optional<BlockTable> reserve(int[] tokens, int capacity) {
        if (capacity < 1) {
            throw new IllegalArgumentException("a cache holds at least 1 token, found " + capacity);
        }
        int[] blocks = new int[blocksFor(capacity)];
        int shared = find(tokens, capacity, blocks);
        int unused = 0;
        for (int i = 0; i < shared; i++) {
            unused += users[blocks[i]] == 0 ? 1 : 0;
        }
        if (blocks.length - shared > free.size() - unused) {
            return Optional.empty();
        }
        for (int i = 0; i < shared; i++) {
            use(blocks[i]);
        }
        for (int i = shared; i < blocks.length; i++) {
            blocks[i] = free.getFirst();
            forget(blocks[i]);
            use(blocks[i]);
        }
        Content last = shared == 0 ? null : contents[blocks[shared - 1]];
        return Optional.of(new BlockTable(this, blocks, tokens, shared * BLOCK, capacity, last));
    }

    /** Blocks that hold what a sequence begins with: their number, and which they are. */
    private int find(int[] tokens, int capacity, int[] blocks) {
        int most = tokens.length > sharedLength ? 0 : Math.min(tokens.length - 1, capacity) / BLOCK;
        Content last = null;
        int found = 0;
        while (found < most) {
            int[] own = Arrays.copyOfRange(tokens, found * BLOCK, (found + 1) * BLOCK);
            Integer block = known.get(new Content(last, own));
            if (block == null) {
                break;
            }
            last = contents[block];
            blocks[found++] = block;
        }
        return found - found % (unit / BLOCK);
    }

    private void use(int block) {
        users[block]++;
        free.remove(block);
    }

    private void forget(int block) {
        if (contents[block] != null) {
            known.remove(contents[block]);
            contents[block] = null;
        }
    }

    /** Gives the blocks of a sequence back. */
    void release(int[] blocks) {
        // The last ones first: without those before it a block cannot be found.
        for (int i = blocks.length - 1; i >= 0; i--) {
            int block = blocks[i];
            if (--users[block] > 0) {
                continue;
            }
            if (contents[block] == null) {
                free.addFirst(block);
            } else {
                free.addLast(block);
            }
        }
    }

    /**
     * Says what a block that has become full holds.
     *
     * @return the content as others know it
     */
    Content full(int block, Content before, int[] tokens) {
        Content content = new Content(before, tokens);
        Integer same = known.get(content);
        if (same != null) {
            return contents[same];
        }
        known.put(content, block);
        contents[block] = content;
        return content;
    }
}
