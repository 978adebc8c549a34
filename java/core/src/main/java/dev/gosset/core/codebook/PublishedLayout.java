package dev.gosset.core.codebook;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * The {@code Qidxs} tensor of published QuIP# checkpoints: codes in little-endian int64 words, in the order in which the
 * tensor-core kernel reads them.
 *
 * <p>An m x n matrix needs m a multiple of 16 and n a multiple of 64. The tensor has m rows of {@link #wordsPerRow} words:
 *
 * <ul>
 *   <li>2 bits: n / 32 words a row. The rows mean nothing: the words are one sequence {@code [m / 16][n / 64][8][4]}, in
 *       which a tile of 16 rows and 64 columns is 32 words and a word holds 4 codes, of two rows and two neighbouring
 *       groups of 8 columns. The low half of a word is four magnitude bytes, the high half the four sign bytes
 *       interleaved by bit.
 *   <li>4 bits: n / 16 words a row: the first half of every row belongs to the tensor of the first codes, the second to
 *       that of the residual codes, each then laid out as for 2 bits.
 *   <li>3 bits: 3 n / 64 words a row: n / 32 of the first codes, as for 2 bits, then n / 64 words that hold one residual
 *       byte for each group of columns, in order.
 * </ul>
 *
 * <p>Source: spec/quip-sharp.md, section 4.6.
 */
public final class PublishedLayout {
    private static final ValueLayout.OfLong WORD = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt CODES = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private PublishedLayout() {}

    /** Words of one row of the tensor: n bits / 64. The tensor's shape is {@code [rows, wordsPerRow]}. */
    public static int wordsPerRow(Codebook codebook, int cols) {
        return cols / 64 * codebook.bits();
    }

    /** Whether the layout can hold a matrix of this shape: rows a multiple of 16 and columns of 64. */
    public static boolean holds(int rows, int cols) {
        return rows > 0 && cols > 0 && rows % 16 == 0 && cols % 64 == 0;
    }

    /**
     * Reads a {@code Qidxs} tensor.
     *
     * @param words {@code 8 * rows * wordsPerRow} bytes, any alignment
     * @param arena owns the codes that are returned
     * @throws IllegalArgumentException if the shape is not one that the layout can hold or {@code words} has another size
     */
    public static CodeMatrix unpack(Arena arena, Codebook codebook, int rows, int cols, MemorySegment words) {
        CodeMatrix codes = CodeMatrix.allocate(arena, codebook, rows, cols);
        QidxsLayout.TILES.unpack(words, codes, 0, rows);
        return codes;
    }

    /**
     * Writes a {@code Qidxs} tensor.
     *
     * @param words receives {@code 8 * rows * wordsPerRow} bytes, any alignment
     * @throws IllegalArgumentException if the shape is not one that the layout can hold or {@code words} has another size
     */
    public static void pack(CodeMatrix codes, MemorySegment words) {
        QidxsLayout.TILES.pack(codes, words, 0, codes.rows());
    }

    /** Rows {@code from .. to - 1}, both multiples of 16. All arguments are checked. */
    static void transfer(CodeMatrix codes, MemorySegment words, int from, int to, boolean pack) {
        long residual = codes.residualOffset();
        int bits = codes.codebook().bits();
        long rowBytes = 8L * wordsPerRow(codes.codebook(), codes.cols());
        for (int row = from; row < to; row += 16) {
            strip(codes.data(), codes.groups(), 0, row, words, row * rowBytes, rowBytes, pack);
            if (bits == 4) {
                long second = row * rowBytes + 8L * (codes.cols() / 32);
                strip(codes.data(), codes.groups(), residual, row, words, second, rowBytes, pack);
            }
        }
        if (bits == 3) {
            int groups = codes.groups();
            for (int row = from; row < to; row++) {
                long at = row * rowBytes + 8L * (codes.cols() / 32);
                if (pack) {
                    MemorySegment.copy(codes.data(), residual + (long) row * groups, words, at, groups);
                } else {
                    MemorySegment.copy(words, at, codes.data(), residual + (long) row * groups, groups);
                }
            }
        }
    }

    /**
     * 16 rows of one plane of 16-bit codes. A strip of n / 64 tiles fills exactly 16 rows of n / 32 words of the tensor.
     *
     * @param plane byte offset of the plane in {@code data}
     * @param at byte offset of the strip's first word; the next row of words is {@code rowBytes} on
     */
    private static void strip(
            MemorySegment data,
            int groups,
            long plane,
            int firstRow,
            MemorySegment words,
            long at,
            long rowBytes,
            boolean pack) {
        int perRow = groups / 4;
        long first = plane + 2L * firstRow * groups;
        for (int r = 0; r < 16; r++) {
            if (pack) {
                packRow(data, first, groups, words, at + r * rowBytes, r * perRow, perRow);
            } else {
                unpackRow(data, first, groups, words, at + r * rowBytes, r * perRow, perRow);
            }
        }
    }

    // Word w of a strip: tile w / 32, lane w % 32. The first of its four codes is in row lane / 4 * 2 of the strip and
    // group
    // tile * 8 + lane % 4 * 2; the others are one row below, one group to the right, and both. So its four codes are
    // two
    // ints, one below the other.

    private static void unpackRow(
            MemorySegment data, long first, int groups, MemorySegment words, long at, int firstWord, int count) {
        long below = 2L * groups;
        for (int j = 0; j < count; j++) {
            int w = firstWord + j;
            long out = first + (w >>> 2 & 7) * 2L * below + (w >>> 5) * 16L + (w & 3) * 4L;
            long word = words.get(WORD, at + 8L * j);
            data.set(CODES, out, pair(word));
            data.set(CODES, out + below, pair(word >>> 8 & 0x00ff_ffffL | word >>> 33 << 32));
        }
    }

    private static void packRow(
            MemorySegment data, long first, int groups, MemorySegment words, long at, int firstWord, int count) {
        long below = 2L * groups;
        for (int j = 0; j < count; j++) {
            int w = firstWord + j;
            long in = first + (w >>> 2 & 7) * 2L * below + (w >>> 5) * 16L + (w & 3) * 4L;
            long upper = unpair(data.get(CODES, in));
            long lower = unpair(data.get(CODES, in + below));
            words.set(WORD, at + 8L * j, upper | (lower & 0x00ff_00ffL) << 8 | (lower >>> 32) << 33);
        }
    }

    /**
     * Codes 0 and 2 of a word, the second in the upper half: magnitudes are bytes 0 and 2, sign bits j are bits 32 + 4 j and
     * 34 + 4 j.
     */
    private static int pair(long word) {
        // Every fourth bit to neighbouring bits, by halves, for both codes at once.
        long b = word >>> 32 & 0x1111_1111L | (word >>> 34 & 0x1111_1111L) << 32;
        b = (b | b >>> 3) & 0x0303_0303_0303_0303L;
        b = (b | b >>> 6) & 0x000f_000f_000f_000fL;
        b = (b | b >>> 12) & 0xff_0000_00ffL;
        return (int) (word << 8 & 0xff00_ff00L | b | b >>> 16);
    }

    /** The inverse: the bits of a word that belong to codes 0 and 2. */
    private static long unpair(int pair) {
        long b = pair & 0xffL | (pair & 0xff_0000L) << 16;
        b = (b | b << 12) & 0x000f_000f_000f_000fL;
        b = (b | b << 6) & 0x0303_0303_0303_0303L;
        b = (b | b << 3) & 0x1111_1111_1111_1111L;
        return pair >>> 8 & 0xff_00ffL | (b & 0xffff_ffffL) << 32 | b >>> 32 << 34;
    }
}
