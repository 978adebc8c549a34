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
    private static final ValueLayout.OfShort CODE = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

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
        check(codebook, rows, cols, words);
        CodeMatrix codes = CodeMatrix.allocate(arena, codebook, rows, cols);
        transfer(codes, words, false);
        return codes;
    }

    /**
     * Writes a {@code Qidxs} tensor.
     *
     * @param words receives {@code 8 * rows * wordsPerRow} bytes, any alignment
     * @throws IllegalArgumentException if the shape is not one that the layout can hold or {@code words} has another size
     */
    public static void pack(CodeMatrix codes, MemorySegment words) {
        check(codes.codebook(), codes.rows(), codes.cols(), words);
        transfer(codes, words, true);
    }

    private static void check(Codebook codebook, int rows, int cols, MemorySegment words) {
        if (!holds(rows, cols)) {
            throw new IllegalArgumentException("the published layout holds matrices with rows a multiple of 16 and"
                    + " columns a multiple of 64, found " + rows + " x " + cols);
        }
        long expected = 8L * rows * wordsPerRow(codebook, cols);
        if (words.byteSize() != expected) {
            throw new IllegalArgumentException("Qidxs of a " + rows + " x " + cols + " " + codebook.name()
                    + " matrix has " + expected + " bytes, found " + words.byteSize());
        }
    }

    private static void transfer(CodeMatrix codes, MemorySegment words, boolean pack) {
        long residual = codes.residualOffset();
        transferE8p(codes, 0, words, 0, pack);
        if (codes.codebook().bits() == 4) {
            transferE8p(codes, residual, words, 8L * (codes.cols() / 32), pack);
        } else if (codes.codebook().bits() == 3) {
            long rowBytes = 8L * wordsPerRow(codes.codebook(), codes.cols());
            int groups = codes.groups();
            for (int row = 0; row < codes.rows(); row++) {
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
     * One plane of 16-bit codes, row-major from byte {@code plane} of the codes on, and the words of one E8P tensor, whose
     * share of each row of {@code words} begins at byte {@code column}.
     */
    private static void transferE8p(CodeMatrix codes, long plane, MemorySegment words, long column, boolean pack) {
        MemorySegment data = codes.data();
        int groups = codes.groups();
        int perRow = codes.cols() / 32;
        long rowBytes = 8L * wordsPerRow(codes.codebook(), codes.cols());
        for (long word = 0, total = (long) codes.rows() * perRow; word < total; word++) {
            long at = word / perRow * rowBytes + column + word % perRow * 8;
            long tile = word / 32;
            long lane = word % 32;
            // The first of the word's four codes; the others are one row below, one group to the right, and both.
            long row = tile / (groups / 8) * 16 + lane / 4 * 2;
            long group = tile % (groups / 8) * 8 + lane % 4 * 2;
            long first = plane + 2 * (row * groups + group);
            long below = first + 2L * groups;
            if (pack) {
                words.set(
                        WORD,
                        at,
                        interleave(data.get(CODE, first), 0)
                                | interleave(data.get(CODE, below), 1)
                                | interleave(data.get(CODE, first + 2), 2)
                                | interleave(data.get(CODE, below + 2), 3));
            } else {
                long w = words.get(WORD, at);
                data.set(CODE, first, extract(w, 0));
                data.set(CODE, below, extract(w, 1));
                data.set(CODE, first + 2, extract(w, 2));
                data.set(CODE, below + 2, extract(w, 3));
            }
        }
    }

    /** Code i of a word: its magnitude is byte i, its sign bit j is bit 32 + 4 j + i. */
    private static short extract(long word, int i) {
        long b = word >>> (32 + i) & 0x11111111L;
        // Every fourth bit to neighbouring bits, by halves.
        b = (b | b >>> 3) & 0x03030303L;
        b = (b | b >>> 6) & 0x000f000fL;
        b = (b | b >>> 12) & 0xff;
        return (short) ((word >>> (8 * i) & 0xff) << 8 | b);
    }

    private static long interleave(short code, int i) {
        long b = code & 0xff;
        b = (b | b << 12) & 0x000f000fL;
        b = (b | b << 6) & 0x03030303L;
        b = (b | b << 3) & 0x11111111L;
        return b << (32 + i) | (long) (code >>> 8 & 0xff) << (8 * i);
    }
}
