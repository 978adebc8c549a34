package dev.gosset.core.kernel.tables;

import dev.gosset.core.codebook.E8p;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Codes as bytes, for processors that permute and count bytes of 512 bits (AVX-512 VBMI and BITALG); the loops are in {@link
 * ByteSums}.
 *
 * <p>Of a group's codes of E8P the magnitude bytes of the 64 rows come first and then their sign bytes. A sign byte holds
 * the true signs of coordinates 4, 5, 1, 2, 3 in bits 0 to 4, in bit 5 whether the shift is -1/4, and the signs of
 * coordinates 6 and 7 in bits 6 and 7; the sign of coordinate 0 follows from them and the parity of the magnitudes.
 *
 * <p>Codes of E81B are stored as they are and looked up in {@link ResidualTables}. A block has {@link
 * TableLookups#SUM_BYTES} bytes of byte sums, and behind them as many of the sums that they are folded to.
 */
final class ByteCodes implements BlockCodes {
    static final ByteCodes INSTANCE = new ByteCodes();

    /**
     * Two tables of 256 bytes indexed by the magnitude byte of an E8P code: bit 0 of the first is the parity of the row of S,
     * bits 1, 3 and 4 the first pair, bits 5 to 7 the second; bits 2 to 4 of the second table are the third pair, bits 5 to 7
     * the fourth.
     */
    static final MemorySegment FIELDS = Arena.global().allocate(512, 64);

    private static final ProductFactors FACTORS = new ProductFactors();
    private static final byte[] SIGNS = new byte[256];
    private static final byte[] PARITY = new byte[256];

    static {
        fillPoints();
        fillSigns();
    }

    private ByteCodes() {}

    private static void fillPoints() {
        byte[] doubled = E8p.doubledMagnitudes();
        for (int a = 0; a < 256; a++) {
            int sum = 0;
            int[] pair = new int[4];
            for (int p = 0; p < 4; p++) {
                int m1 = doubled[8 * a + 2 * p];
                int m2 = doubled[8 * a + 2 * p + 1];
                sum += m1 + m2;
                pair[p] = ProductTables.pair(m1, m2);
            }
            int parity = sum / 2 & 1;
            int first = parity | (pair[0] & 1) << 1 | (pair[0] & 6) << 2 | pair[1] << 5;
            FIELDS.set(ValueLayout.JAVA_BYTE, a, (byte) first);
            FIELDS.set(ValueLayout.JAVA_BYTE, 256 + a, (byte) (pair[2] << 2 | pair[3] << 5));
            // the first table row has an even sum; an odd one negates coordinate 7, whose sign is bit 7
            PARITY[a] = (byte) (parity << 7);
        }
        for (int i = 0; i < 64; i++) {
            // The sign of the first coordinate, bit 0 of the index, is flipped once more for the shift -1/4.
            int shift = i >> 5;
            FACTORS.first(i, ProductTables.PAIRS[(i >> 1 & 1) | (i >> 2 & 6)], i & 1 ^ shift, i >> 2 & 1, shift);
        }
        for (int i = 0; i < 32; i++) {
            for (int pair : new int[] {1, 3}) {
                FACTORS.point(pair, i, ProductTables.PAIRS[i & 7], i >> 3 & 1, i >> 4 & 1);
            }
            FACTORS.point(2, i, ProductTables.PAIRS[i >> 2 & 7], i & 1, i >> 1 & 1);
        }
    }

    private static void fillSigns() {
        double[] v = new double[8];
        int[] bit = {-1, 2, 3, 4, 0, 1, 6, 7};
        for (int b = 0; b < 256; b++) {
            int odd = Integer.bitCount(b) & 1;
            E8p.INSTANCE.decode(b, v, 0);
            int signs = odd << 5;
            for (int c = 1; c < 8; c++) {
                signs |= (v[c] - (odd == 1 ? -0.25 : 0.25) < 0 ? 1 : 0) << bit[c];
            }
            SIGNS[b] = (byte) signs;
        }
    }

    @Override
    public ProductFactors factors() {
        return FACTORS;
    }

    @Override
    public void packPoint(MemorySegment data, long at, int row, int code) {
        int a = code >>> 8;
        data.set(ValueLayout.JAVA_BYTE, at + row, (byte) a);
        data.set(ValueLayout.JAVA_BYTE, at + row + TableLookups.BLOCK, (byte) (SIGNS[code & 0xff] ^ PARITY[a]));
    }

    @Override
    public void packResidual(MemorySegment data, long at, int row, int code) {
        data.set(ValueLayout.JAVA_BYTE, at + row, (byte) code);
    }

    @Override
    public void sumPoints(long at, int region, long tables, int groups, long sums) {
        ByteSums.sumPoints(at, region, tables, groups / 2, sums);
        if (groups % 2 == 1) {
            long last = groups - 1L;
            long codes = at + TableLookups.CODE_BYTES * last;
            ByteSums.sumPointsFromMemory(codes, region, tables + ProductTables.GROUP_BYTES * last, 1, sums);
        }
    }

    @Override
    public void sumPointsFromMemory(long at, int region, long tables, int groups, long sums) {
        ByteSums.sumPointsFromMemory(at, region, tables, groups, sums);
    }

    @Override
    public void sumPointsTwice(long at, int region, long tables, int groups, long sums) {
        ByteSums.sumPointsTwice(at, region, tables, groups, sums);
    }

    @Override
    public void indexPoints(long at, int unit, int region, int groups, long planes) {
        ByteSums.indexPoints(at, unit, region, groups, planes);
    }

    @Override
    public int residualEntries() {
        return 2;
    }

    @Override
    public int residualTableBytes() {
        return ResidualTables.GROUP_BYTES;
    }

    @Override
    public void buildResiduals(long x, int groups, float scale, long tables) {
        ResidualTables.build(x, groups, scale, tables);
    }

    @Override
    public int residualSumBytes() {
        return 2 * TableLookups.SUM_BYTES;
    }

    /** {@inheritDoc} Two blocks at a time share the loads of the tables. */
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
        for (int t = 0; t < inputs; t++) {
            for (int b = 0; b < blocks; b += 2) {
                long to = sums + nextSums * t + nextBlock * b;
                long codes = at + (long) TableLookups.BLOCK * groups * b;
                long second = b + 1 < blocks ? to + nextBlock : spare;
                ByteSums.sumResiduals(codes, region, tables + nextTables * t, groups, to, second);
            }
        }
    }

    @Override
    public void foldResiduals(long sums, long nextBlock, int blocks) {
        ByteSums.foldBytes(sums, nextBlock, blocks);
    }

    @Override
    public int residualSum(MemorySegment sums, long at, int row) {
        return ByteSums.foldedSum(sums, at + TableLookups.SUM_BYTES, row);
    }
}
