package dev.gosset.core.kernel.tables;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.MemorySegment;

/**
 * A form of the codes in the blocks of {@link TableMatrix}, and the loops over it: what one processor can take apart fast
 * another cannot. Every form has {@link TableLookups#CODE_BYTES} bytes for the 64 codes of E8P that a block has in one group of
 * columns, and {@link TableLookups#BLOCK} for those of E81B. Stateless, thread-safe.
 *
 * <p>The loops take addresses of {@link NativeMemory}, checked by the caller: of the codes of a group, of its tables of x, of
 * the sums of a block. The next group's codes and tables follow those of the one before, the codes as {@link CodeRegions#place} says.
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

    /** Adds the products of E8P codes to the sums of a block; the first group is an even unit. */
    void sumPoints(long at, int region, long tables, int groups, long sums);

    /** The same in the order that is best for codes that come from memory. */
    void sumPointsFromMemory(long at, int region, long tables, int groups, long sums);

    /**
     * The same for two codes of each group, one behind the other in a unit, which share the tables; the sums of the second are behind
     * the first's.
     */
    void sumPointsTwice(long at, int region, long tables, int groups, long sums);

    /**
     * Writes the planes of E8P codes for {@link TableLookups#lookUpTwo}.
     *
     * @param unit log2 of the bytes from one group to the next
     */
    void indexPoints(long at, int unit, int region, int groups, long planes);

    /** Rounded entries that the product of a point of E81B adds up. */
    int residualEntries();

    /** Bytes of the tables of E81B for one group of columns. */
    int residualTableBytes();

    /**
     * Builds the tables of E81B for one x.
     *
     * @param x the address of {@code 8 * groups} floats
     * @param scale what products are multiplied by before they are rounded
     * @param tables the address of {@code groups} times {@link #residualTableBytes} bytes
     */
    void buildResiduals(long x, int groups, float scale, long tables);

    /** Bytes of the sums of E81B of a block and an input. */
    int residualSumBytes();

    /**
     * Adds the products of E81B codes in a chunk of blocks that lie together. {@link #foldResiduals} has to follow after
     * {@link TableLookups#MOST_BYTES} groups at most, and after the last.
     *
     * @param at the codes of the first two blocks, those of a group in one unit; those of the next two follow a chunk later
     * @param blocks their number; where it is odd, codes of nothing lie beside the last
     * @param tables of the first input
     * @param nextTables bytes to those of the next input
     * @param inputs their number: 1, or an even one
     * @param sums of the first block and input
     * @param nextSums bytes to those of the next input
     * @param nextBlock bytes to those of the next block
     * @param spare scratch, {@link TableLookups#PLANE_BYTES} for each group
     */
    void sumResiduals(
            long at,
            int region,
            int blocks,
            int groups,
            long tables,
            long nextTables,
            int inputs,
            long sums,
            long nextSums,
            long nextBlock,
            long spare);

    /** Makes room for further sums of E81B of one input in some blocks. */
    void foldResiduals(long sums, long nextBlock, int blocks);

    /**
     * The sum of E81B of a row of a block, {@link ProductTables#OFFSET} for each group too large.
     *
     * @param at where the sums of the block begin
     */
    int residualSum(MemorySegment sums, long at, int row);
}
