package dev.gosset.core.kernel.tables;

/**
 * Where the codes of a {@link TableMatrix} lie that a product takes one after the other. They are units of {@code 2^unit} bytes, and four
 * units that follow each other lie in the four quarters of a region of {@code 2^region} bytes. So a product can read four streams, which
 * bring codes from memory about twice as fast as one, whose prefetchers lose it among the tables of x. Quarters of 16 KiB are
 * best by far, others help little: see bench/LOG.md, "A fourth round".
 *
 * <p>In the address of a unit bits {@code unit} and {@code unit + 1} become the highest two below {@code region}, those between move down.
 * The loops over codes do this for themselves: they hold vectors and call nothing. Where {@code region == unit + 2} nothing moves.
 */
final class CodeRegions {
    /** Regions of 64 KiB. */
    private static final int LARGEST = 16;

    /** The part of a matrix by which it may grow so that its regions are whole. */
    private static final int MOST_PADDING = 16;

    private CodeRegions() {}

    /** The largest region that does not make {@code bytes} bytes of codes much larger. */
    static int region(long bytes, int unit) {
        int region = LARGEST;
        while (region > unit + 2 && size(bytes, region) - bytes > bytes / MOST_PADDING) {
            region--;
        }
        return region;
    }

    /** Bytes of whole regions for so many bytes of codes; the memory has to be aligned to a region. */
    static long size(long bytes, int region) {
        return bytes + (1L << region) - 1 & -1L << region;
    }

    /**
     * Where a byte lies.
     *
     * @param at its place if all units followed each other, an address or an offset from the beginning
     */
    static long place(long at, int unit, int region) {
        return at & (top(region) | (1L << unit) - 1)
                | (at & 3L << unit) << up(unit, region)
                | (at & middle(unit, region)) >>> 2;
    }

    /** The bits of an address that say in which region it lies. */
    static long top(int region) {
        return -1L << region;
    }

    /** The bits of an address that move down by two. */
    static long middle(int unit, int region) {
        return ~top(region) & -1L << unit + 2;
    }

    /** By how much the two bits above {@code unit} move up. */
    static int up(int unit, int region) {
        return region - 2 - unit;
    }
}
