package dev.gosset.core.codebook;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The codes of an m x n matrix, row by row, in native memory: Gosset's own storage layout.
 *
 * <p>With {@code groups = ceil(n / 8)}: first a plane of {@code m * groups} unsigned 16-bit E8P codes, little-endian, row
 * by row; then for 3 bits a plane of {@code m * groups} bytes, for 4 bits a second plane of {@code m * groups} 16-bit
 * codes: the residual codes. Where n is not a multiple of 8 the last group of a row has columns beyond n; they are
 * multiplied by zero and mean nothing.
 *
 * <p>An immutable view: whoever allocated the segment closes it.
 *
 * @param codebook the codebook of every code
 * @param rows m, the number of outputs
 * @param cols n, the number of inputs
 * @param data native segment of exactly {@link #bytes} bytes
 */
public record CodeMatrix(Codebook codebook, int rows, int cols, MemorySegment data) {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(java.nio.ByteOrder.LITTLE_ENDIAN);

    public CodeMatrix {
        if (rows <= 0 || cols <= 0 || data.byteSize() != bytes(codebook, rows, cols) || !data.isNative()) {
            throw new IllegalArgumentException(codebook.name() + " codes of a " + rows + " x " + cols
                    + " matrix need a native segment of " + bytes(codebook, rows, cols) + " bytes, found "
                    + data.byteSize());
        }
    }

    /** Bytes that the codes of a {@code rows x cols} matrix occupy. */
    public static long bytes(Codebook codebook, int rows, int cols) {
        return (long) rows * groups(cols) * codebook.bits();
    }

    /** Codes per row of {@code cols} columns. */
    public static int groups(int cols) {
        return Math.ceilDiv(cols, Codebook.DIMENSION);
    }

    public static CodeMatrix allocate(Arena arena, Codebook codebook, int rows, int cols) {
        return new CodeMatrix(codebook, rows, cols, arena.allocate(bytes(codebook, rows, cols), 64));
    }

    public int groups() {
        return groups(cols);
    }

    /** Byte offset of the residual plane; equal to {@code data.byteSize()} for 2 bits. */
    public long residualOffset() {
        return 2L * rows * groups();
    }

    /** The code of columns {@code 8 * group .. 8 * group + 7} of {@code row}. */
    public int code(int row, int group) {
        long i = (long) row * groups() + group;
        int c0 = data.get(SHORT, 2 * i) & 0xffff;
        return switch (codebook.bits()) {
            case 2 -> c0;
            case 3 -> c0 << 16 | (data.get(ValueLayout.JAVA_BYTE, residualOffset() + i) & 0xff);
            default -> c0 << 16 | (data.get(SHORT, residualOffset() + 2 * i) & 0xffff);
        };
    }

    public void setCode(int row, int group, int code) {
        long i = (long) row * groups() + group;
        switch (codebook.bits()) {
            case 2 -> data.set(SHORT, 2 * i, (short) code);
            case 3 -> {
                data.set(SHORT, 2 * i, (short) (code >>> 16));
                data.set(ValueLayout.JAVA_BYTE, residualOffset() + i, (byte) code);
            }
            default -> {
                data.set(SHORT, 2 * i, (short) (code >>> 16));
                data.set(SHORT, residualOffset() + 2 * i, (short) code);
            }
        }
    }
}
