package dev.gosset.core.kernel.tables;

import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * Codes as 16-bit words, for processors that permute words of 512 bits but no bytes (AVX-512 F and BW, without VBMI and
 * BITALG); the loops are in {@link WordSums}.
 *
 * <p><b>E8P.</b> The words of the even rows come first, 32 of them, then those of the odd rows. A word is another numbering
 * of the 65536 points, made so that few operations turn it into four indices. The 256 rows of magnitudes are 192 of ones and
 * threes and 64 with a five. Of the 192, 128 are 64 twins, which differ in coordinate 0 alone: those with at most three
 * threes elsewhere. So there are three classes of 64, by bits 14 and 15: twins (bit 15 is 0, bit 14 says whether coordinate
 * 0 is a three), the other 64 (binary 10) and fives (11). Bits 2 to 7 number a row of magnitudes in its class, and select
 * one of 64 words of {@link #FIELDS}, which hold the numbers of the pairs of magnitudes. Bits 0, 1 and 8 to 13 are the signs
 * and the shift.
 *
 * <p>The number of minus signs is even or odd as the number of threes is. So with {@code u} the sign of the first coordinate
 * of a pair and {@code z} the parity of its minus signs and threes, the z of the four pairs sum to an even number, whatever
 * the magnitudes: three of them are stored, and tables that are indexed by u and z need neither signs nor parities.
 *
 * <p><b>E81B.</b> A byte for each row. Bit 7 says that the coordinates are halves; then bit 6 is u of the second pair.
 * Else bit 6 is the upper bit of the number. Bits 0 to 5 select one of 64 words, which are four indices already: index k
 * is bits 4 k to 4 k + 4, so its upper bit is the lowest of the next one. The tables have the pairs twice, under either value of
 * that bit, but for a pair of halves and (0, -2), which share two entries: each stands only before pairs whose lowest bit is the one
 * that it needs.
 */
final class WordCodes implements BlockCodes {
    static final WordCodes INSTANCE = new WordCodes();

    /**
     * Words by bits 2 to 7 of a code of E8P: 64 for the twins, 64 for the other ones and threes, 64 for the fives. Bits 2 to
     * 4 are the number of the second pair of coordinates, bits 5 to 7 of the third, bits 14, 11 and 15 of the first, bits 10,
     * 12 and 13 of the fourth. Then from byte {@link #RESIDUAL_FIELDS} on those of E81B: 64 for integers, 64 for other integers,
     * 64 for halves.
     */
    static final MemorySegment FIELDS = Arena.global().allocate(6 * 128, 64);

    static final int RESIDUAL_FIELDS = 3 * 128;

    /** The bits of a word that are signs or the shift, but for u of the fourth pair; and bit 14. */
    static final int VISIBLE = 0x7703;

    /** The bits of {@link #FIELDS} that are the number of the fourth pair. */
    static final int FOURTH = 0x3400;

    /** The bit of a code of E81B that is a bit of its indices. */
    static final int DIRECT = 0x40;

    /** What the words of the two classes without twins begin with. */
    private static final int OTHERS = 0x8000;

    private static final int FIVES = 0xc000;

    /** The indices of a pair of halves: plus z in bit 1 and u in bit 2. */
    private static final int HALVES = 8;

    /** The index of (0, 0), odd as those of halves are even. */
    private static final int ZERO = 1;

    private static final short[] WORDS = new short[1 << 16];
    private static final byte[] RESIDUAL_CODES = new byte[E81b.POINTS];
    private static final ProductFactors FACTORS = new ProductFactors();
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    static {
        fillPoints();
        fillPointFactors();
        fillResidual();
    }

    private WordCodes() {}

    private static void fillPoints() {
        byte[] doubled = E8p.doubledMagnitudes();
        int[] next = new int[3];
        int[] twins = new int[128];
        for (int a = 0; a < E8p.MAGNITUDES; a++) {
            int[] pair = new int[4];
            for (int p = 0; p < 4; p++) {
                pair[p] = ProductTables.pair(doubled[8 * a + 2 * p], doubled[8 * a + 2 * p + 1]);
            }
            int fields = (pair[0] & 1) << 14 | (pair[0] & 2) << 10 | (pair[0] & 4) << 13;
            fields |= pair[1] << 2 | pair[2] << 5 | (pair[3] & 1) << 10 | (pair[3] & 6) << 11;
            int threes = (pair[0] & 2) << 5 | pair[1] << 4 | pair[2] << 2 | pair[3];
            int word;
            if (Math.max(Math.max(pair[0], pair[1]), Math.max(pair[2], pair[3])) > 3) {
                word = FIVES | next[2] << 2;
                // Bit 14 of the word is added to that of the fields.
                FIELDS.set(SHORT, 256 + 2L * next[2]++, (short) (fields ^ 1 << 14));
            } else if (Integer.bitCount(threes) > 3) {
                word = OTHERS | next[1] << 2;
                FIELDS.set(SHORT, 128 + 2L * next[1]++, (short) fields);
            } else {
                if (twins[threes] == 0) {
                    FIELDS.set(SHORT, 2L * next[0], (short) (fields & ~(1 << 14)));
                    twins[threes] = ++next[0];
                }
                word = fields & 1 << 14 | twins[threes] - 1 << 2;
            }
            for (int b = 0; b < 256; b++) {
                WORDS[a << 8 | b] = (short) (word | signs(a << 8 | b, pair, fields));
            }
        }
        if (next[0] != 64 || next[1] != 64 || next[2] != 64) {
            throw new IllegalStateException("rows of magnitudes: " + next[0] + " twins, " + next[1] + " others, "
                    + next[2] + " fives, expected 64 of each");
        }
    }

    /** The bits of a word that are signs or the shift; where a bit of the fields will be added it is added here too. */
    private static int signs(int code, int[] pair, int fields) {
        double[] v = new double[8];
        E8p.INSTANCE.decode(code, v, 0);
        int shift = Integer.bitCount(code & 0xff) & 1;
        int[] u = new int[4];
        int[] z = new int[4];
        for (int p = 0; p < 4; p++) {
            u[p] = v[2 * p] - (shift == 1 ? -0.25 : 0.25) < 0 ? 1 : 0;
            int second = v[2 * p + 1] - (shift == 1 ? -0.25 : 0.25) < 0 ? 1 : 0;
            z[p] = u[p] ^ second ^ threes(pair[p]);
        }
        int seen = z[1] | u[1] << 1 | u[2] << 8 | z[2] << 9 | z[0] << 10 | u[0] << 12 | shift << 13;
        return (seen ^ fields) & VISIBLE & ~(1 << 14) | u[3] << 11;
    }

    /** The number of threes of a pair, modulo 2. */
    private static int threes(int pair) {
        int[] doubled = ProductTables.PAIRS[pair];
        return (doubled[0] == 3) != (doubled[1] == 3) ? 1 : 0;
    }

    private static void fillPointFactors() {
        for (int i = 0; i < 64; i++) {
            int pair = i >> 4 & 1 | i & 2 | i >> 3 & 4;
            int u = i >> 2 & 1;
            FACTORS.first(i, ProductTables.PAIRS[pair], u, i & 1 ^ u ^ threes(pair), i >> 3 & 1);
        }
        for (int i = 0; i < 32; i++) {
            setFactors(1, i, i >> 2, i >> 1 & 1, i & 1);
            setFactors(2, i, i & 7, i >> 3 & 1, i >> 4);
            setFactors(3, i, i >> 1 & 1 | i >> 2 & 6, i >> 2 & 1, i & 1);
        }
    }

    private static void setFactors(int place, int entry, int pair, int u, int z) {
        FACTORS.point(place, entry, ProductTables.PAIRS[pair], u, u ^ z ^ threes(pair));
    }

    private static void fillResidual() {
        List<List<Integer>> indices = residualIndices();
        byte[] doubled = E81b.doubledPoints();
        List<Integer> halves = new ArrayList<>();
        int integers = 0;
        for (int code = 0; code < E81b.POINTS; code++) {
            int fields = 0;
            for (int p = 3; p >= 0; p--) {
                int index =
                        indices.indexOf(List.of((int) doubled[8 * code + 2 * p], (int) doubled[8 * code + 2 * p + 1]));
                int above = fields & 1;
                // What has but one index must stand where the next pair's is as it wants; the fourth reads four bits.
                if (p == 3 ? index > 15 : index == HALVES && above == 1 || index > 15 && above == 0) {
                    throw new IllegalStateException("pair " + p + " of E81B code " + code + " has no index");
                }
                fields = fields << 4 | index & 15;
            }
            if ((doubled[8 * code] & 1) == 1) {
                int direct = fields & DIRECT;
                if (!halves.contains(fields ^ direct)) {
                    FIELDS.set(SHORT, RESIDUAL_FIELDS + 256 + 2L * halves.size(), (short) (fields ^ direct));
                    halves.add(fields ^ direct);
                }
                RESIDUAL_CODES[code] = (byte) (0x80 | direct | halves.indexOf(fields ^ direct));
            } else {
                FIELDS.set(SHORT, RESIDUAL_FIELDS + 2L * integers, (short) (fields ^ integers & DIRECT));
                RESIDUAL_CODES[code] = (byte) integers++;
            }
        }
        if (integers != 128 || halves.size() != 64) {
            throw new IllegalStateException("E81B has " + integers + " points of integers and " + halves.size()
                    + " pairs of points of halves, expected 128 and 64");
        }
        for (int p = 0; p < 4; p++) {
            for (int i = 0; i < 32; i++) {
                List<Integer> pair = indices.get(i == 16 + HALVES && p < 3 ? i : i & 15);
                FACTORS.residual(p, i, pair.get(0), pair.get(1));
            }
        }
    }

    /** The doubled pairs of E81B by their indices: four of halves and twelve of integers, and (0, -2) in place 16 + {@link #HALVES}. */
    private static List<List<Integer>> residualIndices() {
        List<List<Integer>> pairs = new ArrayList<>();
        for (int i = 0; i < 32; i++) {
            pairs.add(List.of());
        }
        for (int z = 0; z < 2; z++) {
            for (int u = 0; u < 2; u++) {
                pairs.set(HALVES | z << 1 | u << 2, List.of(1 - 2 * u, 1 - 2 * (u ^ z)));
            }
        }
        pairs.set(ZERO, List.of(0, 0));
        pairs.set(16 + HALVES, List.of(0, -4));
        int[][] others = {{2, 0}, {-2, 0}, {0, 2}, {0, -2}, {2, 2}, {2, -2}, {-2, 2}, {-2, -2}, {4, 0}, {-4, 0}, {0, 4}
        };
        int free = 0;
        for (int[] pair : others) {
            while (!pairs.get(free).isEmpty()) {
                free++;
            }
            pairs.set(free, List.of(pair[0], pair[1]));
        }
        return pairs;
    }

    @Override
    public ProductFactors factors() {
        return FACTORS;
    }

    @Override
    public void packPoint(MemorySegment data, long at, int row, int code) {
        data.set(SHORT, at + ((row & 1) == 0 ? 0 : TableLookups.BLOCK) + (row & -2), WORDS[code]);
    }

    @Override
    public void packResidual(MemorySegment data, long at, int row, int code) {
        data.set(ValueLayout.JAVA_BYTE, at + row, RESIDUAL_CODES[code]);
    }

    @Override
    public void sumPoints(long at, int region, long tables, int groups, long sums) {
        WordSums.sumPoints(at, TableLookups.UNIT, region, tables, groups, sums);
    }

    @Override
    public void sumPointsFromMemory(long at, int region, long tables, int groups, long sums) {
        WordSums.sumPoints(at, TableLookups.UNIT, region, tables, groups, sums);
    }

    @Override
    public void sumPointsTwice(long at, int region, long tables, int groups, long sums) {
        // One loop for both was so large that C2 boxed the last vectors of it in some orders of compilation.
        int unit = TableLookups.UNIT + 1;
        WordSums.sumPoints(at, unit, region, tables, groups, sums);
        WordSums.sumPoints(at + TableLookups.CODE_BYTES, unit, region, tables, groups, sums + TableLookups.SUM_BYTES);
    }

    @Override
    public void indexPoints(long at, int unit, int region, int groups, long planes) {
        WordSums.indexPoints(at, unit, region, groups, planes);
    }

    @Override
    public int residualEntries() {
        return 4;
    }

    @Override
    public int residualTableBytes() {
        return ProductTables.GROUP_BYTES;
    }

    @Override
    public void buildResiduals(long x, int groups, float scale, long tables) {
        ProductTables.residuals(x, groups, FACTORS.data.address(), scale, tables);
    }

    @Override
    public int residualSumBytes() {
        return TableLookups.SUM_BYTES;
    }

    /** {@inheritDoc} Two inputs at a time share the indices of a block. */
    @Override
    public void sumResiduals(
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
            long spare) {
        for (int b = 0; b < blocks; b++) {
            long from = at + (long) TableLookups.BLOCK * (groups * (b & -2) + (b & 1));
            long to = sums + nextBlock * b;
            if (inputs == 1) {
                WordSums.sumResiduals(from, region, tables, groups, to);
            } else {
                WordSums.indexResiduals(from, region, groups, spare);
                TableLookups.lookUpPairs(spare, tables, nextTables, inputs, groups, to, nextSums);
            }
        }
    }

    /** {@inheritDoc} Nothing: sums are ints from the first group on. */
    @Override
    public void foldResiduals(long sums, long nextBlock, int blocks) {}

    @Override
    public int residualSum(MemorySegment sums, long at, int row) {
        return TableLookups.sum(sums, at, row);
    }
}
