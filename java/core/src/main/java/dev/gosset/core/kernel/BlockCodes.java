package dev.gosset.core.kernel;

import java.lang.foreign.MemorySegment;

/**
 * A form of the codes in the blocks of {@link TableMatrix}, and the loops over it: what one processor can take apart fast
 * another cannot. Every form has {@link TableSums#CODE_BYTES} bytes for the 64 codes of E8P that a block has in one group of
 * columns, and {@link TableSums#BLOCK} for those of E81B. Stateless, thread-safe.
 *
 * <p>The loops take addresses of {@link NativeMemory}, checked by the caller: of the codes of a group, of its tables of x, of
 * the sums of a block. The next group's codes and tables follow those of the one before.
 */
interface BlockCodes {
    /** The order of the entries of the tables of x that the indices of this form ask for. */
    ProductFactors factors();

    /**
     * Stores a code of E8P.
     *
     * @param at where the codes of its block and group begin
     * @param row its row in the block
     */
    void packPoint(MemorySegment data, long at, int row, int code);

    /** Stores a code of E81B, as {@link #packPoint}. */
    void packResidual(MemorySegment data, long at, int row, int code);

    /** Adds the products of E8P codes to the sums of a block. */
    void sumPoints(long at, long tables, int groups, long sums);

    /** The same for {@code 2 * half} groups, of which the second half is read together with the first. */
    void sumPointsOfHalves(long at, long tables, int half, long sums);

    /** The same for two runs of codes, one behind the other, which share the tables; the sums of the second are behind the first's. */
    void sumPointsTwice(long at, long tables, int groups, long sums);

    /** Adds the products of E81B codes to the sums of a block. */
    void sumResiduals(long at, long tables, int groups, long sums);

    /** Writes the planes of E8P codes for {@link TableSums#lookUpTwo}. */
    void indexPoints(long at, int groups, long planes);

    /** Writes the planes of E81B codes. */
    void indexResiduals(long at, int groups, long planes);
}
