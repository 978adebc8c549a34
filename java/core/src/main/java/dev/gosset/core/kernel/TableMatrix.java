package dev.gosset.core.kernel;

import static dev.gosset.core.kernel.TableSums.BLOCK;
import static dev.gosset.core.kernel.TableSums.CODE_BYTES;
import static dev.gosset.core.kernel.TableSums.PLANE_BYTES;
import static dev.gosset.core.kernel.TableSums.SUM_BYTES;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.E8p;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import java.util.stream.IntStream;

/**
 * Codes in blocks of 64 rows, for products without multiplications: the bits of 64 codes become indices into the
 * {@link ProductTables} of x, four lookups for eight weights. The loops are in {@link TableSums}.
 *
 * <p><b>Layout.</b> Block after block, in each chunk after chunk of groups of eight columns: 32 groups at 2 and 3 bits, 16
 * at 4 bits. A chunk holds for each group 128 bytes, the magnitude bytes of 64 rows and then their sign bytes; behind those
 * of all groups the residual codes, at 3 bits 64 bytes for each group, at 4 bits 128 in the form of the points. So a product
 * with one input reads its codes from front to back, and the two streams of 4 bits lie in one page. At 3 bits, whose tables
 * are large, chunks of four blocks alternate. The rows of the last block beyond the matrix are zero codes.
 *
 * <p>A sign byte holds the true signs of coordinates 4, 5, 1, 2, 3 in bits 0 to 4, in bit 5 whether the shift is -1/4, and
 * the signs of coordinates 6 and 7 in bits 6 and 7; the sign of coordinate 0 follows from them and the parity of the
 * magnitudes. Residual codes of 8 bits are those of E81B.
 *
 * <p>Sums are formed in 16 and 32 bit integers, so they are exact whatever the order.
 */
final class TableMatrix implements PreparedMatrix {
    /** With more groups the 32-bit sums could overflow. */
    static final int MOST_GROUPS = 32767;

    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ORDER);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Bytes of a memory page: prefetchers follow a stream within one. */
    private static final int PAGE = 4096;

    /** Blocks that lie together at 3 bits: what they all need of the tables is in the first-level cache after the first. */
    private static final int SPAN = 4;

    private static final byte[] SIGNS = new byte[256];
    private static final byte[] PARITY = new byte[256];

    static {
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
            // the first table row has an even sum; an odd one negates coordinate 7, whose sign is bit 7
            PARITY[b] = (byte) ((ProductTables.FIELDS.get(ValueLayout.JAVA_BYTE, b) & 1) << 7);
        }
    }

    private final CodeMatrix codes;
    private final MemorySegment data;
    private final int groups;
    private final int bits;
    private final int blocks;
    private final int chunk;

    /** How many blocks lie together, a power of two. */
    private final int span;

    TableMatrix(CodeMatrix codes, Arena arena) {
        this.codes = codes;
        this.groups = codes.groups();
        this.bits = codes.codebook().bits();
        this.blocks = Math.ceilDiv(codes.rows(), BLOCK);
        // 4 KB of codes, but 6 KB at 3 bits: shorter loops are felt there, each chunk takes two.
        this.chunk = bits == 4 ? 16 : 32;
        this.span = bits == 3 ? SPAN : 1;
        this.data = arena.allocate((long) blocks * BLOCK * bits * groups, PAGE);
        // Memory of a confined arena is open to this thread alone.
        Thread other = Thread.ofPlatform().unstarted(() -> {});
        IntStream all = IntStream.range(0, blocks);
        boolean shared = codes.data().isAccessibleBy(other) && data.isAccessibleBy(other);
        (shared ? all.parallel() : all).forEach(this::pack);
    }

    /** Where the chunk of a block lies that begins with a group of columns. */
    private long place(int block, int begin) {
        int base = block & -span;
        long before = (long) base * groups + (long) begin * Math.min(span, blocks - base);
        return (long) BLOCK * bits * (before + (long) (block - base) * Math.min(chunk, groups - begin));
    }

    private void pack(int block) {
        MemorySegment from = codes.data();
        long residual = codes.residualOffset();
        int first = block * BLOCK;
        int rows = Math.min(BLOCK, codes.rows() - first);
        for (int begin = 0; begin < groups; begin += chunk) {
            int count = Math.min(chunk, groups - begin);
            long points = place(block, begin);
            long second = points + (long) CODE_BYTES * count;
            for (int r = 0; r < rows; r++) {
                long row = (long) (first + r) * groups + begin;
                packPoints(from, 2 * row, count, points + r);
                if (bits == 4) {
                    packPoints(from, residual + 2 * row, count, second + r);
                } else if (bits == 3) {
                    for (int g = 0; g < count; g++) {
                        byte code = from.get(ValueLayout.JAVA_BYTE, residual + row + g);
                        data.set(ValueLayout.JAVA_BYTE, second + r + (long) BLOCK * g, code);
                    }
                }
            }
        }
    }

    private void packPoints(MemorySegment from, long at, int count, long to) {
        for (int g = 0; g < count; g++) {
            byte b = from.get(ValueLayout.JAVA_BYTE, at + 2L * g);
            byte a = from.get(ValueLayout.JAVA_BYTE, at + 2L * g + 1);
            data.set(ValueLayout.JAVA_BYTE, to + (long) CODE_BYTES * g, a);
            data.set(ValueLayout.JAVA_BYTE, to + (long) CODE_BYTES * g + BLOCK, (byte)
                    (SIGNS[b & 0xff] ^ PARITY[a & 0xff]));
        }
    }

    @Override
    public CodeMatrix codes() {
        return codes;
    }

    @Override
    public long bytes() {
        return data.byteSize();
    }

    @Override
    public int rowStep() {
        return BLOCK * span;
    }

    /** {@inheritDoc} Never: a lookup serves two products, BLAS needs an FMA for each. */
    @Override
    public int mostInputs() {
        return Integer.MAX_VALUE;
    }

    @Override
    public long inputBytes() {
        return ProductTables.bytes(codes.codebook(), groups);
    }

    @Override
    public long scratchBytes(int count, int rows) {
        return planeBytes() + sumBytes() * count * Math.ceilDiv(rows, BLOCK);
    }

    private long planeBytes() {
        return (long) chunk * PLANE_BYTES;
    }

    /** Bytes of the sums of a block and an input: those of the points, at 3 bits the residual's byte sums, and its sums. */
    private long sumBytes() {
        return (bits == 2 ? 1 : bits == 3 ? 3 : 2) * (long) SUM_BYTES;
    }

    @Override
    public void prepareInput(MemorySegment x, MemorySegment inputs, long offset) {
        if (x.byteSize() < 32L * groups || inputs.byteSize() - offset < inputBytes()) {
            throw new IllegalArgumentException("an input of " + codes.cols() + " columns needs x of " + 32L * groups
                    + " bytes and room for " + inputBytes() + ", found " + x.byteSize() + " and "
                    + (inputs.byteSize() - offset));
        }
        ProductTables.build(codes.codebook(), x, groups, inputs, offset);
    }

    /** {@inheritDoc} Not at 4 bits, whose product asks for no more than memory delivers to it as it is. */
    @Override
    public void fetch(int firstRow, int lastRow, MemorySegment scratch) {
        if (bits == 4) {
            return;
        }
        int first = firstRow / BLOCK;
        long from = place(first, 0);
        long bytes = (long) BLOCK * bits * groups * (Math.ceilDiv(lastRow, BLOCK) - first);
        // The sum goes somewhere, or the compiler would drop the reads.
        scratch.set(
                ValueLayout.JAVA_LONG_UNALIGNED,
                0,
                NativeMemory.touch(NativeMemory.readable(data, from, bytes), bytes));
        Reference.reachabilityFence(data);
    }

    @Override
    public void multiply(
            MemorySegment inputs,
            int count,
            MemorySegment y,
            long yStride,
            int firstRow,
            int lastRow,
            MemorySegment scratch) {
        check(inputs, count, y, yStride, firstRow, lastRow, scratch);
        int last = Math.ceilDiv(lastRow, BLOCK);
        int first = firstRow / BLOCK;
        long codesAt = NativeMemory.readable(data, 0, data.byteSize());
        long inputsAt = NativeMemory.readable(inputs, 0, inputBytes() * count);
        long planes = NativeMemory.writable(scratch, 0, scratchBytes(count, lastRow - firstRow));
        long perBlock = sumBytes() * count;
        scratch.asSlice(planeBytes(), perBlock * (last - first)).fill((byte) 0);
        try {
            long sums = planes + planeBytes();
            int pairs = count & -2;
            if (pairs > 0) {
                // Chunk by chunk, so that the tables of all inputs stay in the cache.
                for (int begin = 0; begin < groups; begin += chunk) {
                    for (int block = first; block < last; block++) {
                        long at = codesAt + place(block, begin);
                        multiplyPairs(at, begin, inputsAt, pairs, planes, sums + perBlock * (block - first));
                    }
                    if (bits == 3) {
                        addResiduals(codesAt, first, last, begin, inputsAt, pairs, sums, perBlock, planes);
                    }
                }
            }
            if (pairs < count) {
                long input = inputsAt + inputBytes() * pairs;
                for (int block = first; block < last; block += span) {
                    long to = sums + perBlock * (block - first) + sumBytes() * pairs;
                    multiplyOne(codesAt, block, Math.min(block + span, last), input, to, perBlock, planes);
                }
            }
        } finally {
            Reference.reachabilityFence(data);
            Reference.reachabilityFence(inputs);
            Reference.reachabilityFence(scratch);
        }
        for (int block = first; block < last; block++) {
            int row = block * BLOCK;
            int rows = Math.min(BLOCK, lastRow - row);
            for (int t = 0; t < count; t++) {
                long sums = planeBytes() + perBlock * (block - first) + sumBytes() * t;
                finish(scratch, sums, inputs, inputBytes() * t, y, yStride * t, row, rows);
            }
        }
    }

    /**
     * Adds the products of the blocks that lie together with one input.
     *
     * @param sums the address of the first block's sums, {@code perBlock} bytes before those of the second
     * @param spare that of {@link TableSums#SUM_BYTES} bytes of scratch
     */
    private void multiplyOne(long codesAt, int first, int last, long input, long sums, long perBlock, long spare) {
        long tables = input + ProductTables.HEADER;
        if (bits == 2) {
            for (int block = first; block < last; block++) {
                sumHalves(codesAt + place(block, 0), tables, sums + perBlock * (block - first));
            }
            return;
        }
        for (int begin = 0; begin < groups; begin += chunk) {
            int width = Math.min(chunk, groups - begin);
            for (int block = first; block < last; block++) {
                long at = codesAt + place(block, begin);
                long to = sums + perBlock * (block - first);
                long tablesAt = tables + (long) ProductTables.GROUP_BYTES * begin;
                if (bits == 4) {
                    TableSums.sumPointsTwice(at, tablesAt, width, to);
                } else {
                    TableSums.sumPoints(at, tablesAt, width, to);
                }
            }
            if (bits == 3) {
                addResiduals(codesAt, first, last, begin, input, 1, sums, perBlock, spare);
            }
        }
    }

    private void sumHalves(long at, long tables, long sums) {
        int half = groups / 2;
        TableSums.sumPointsOfHalves(at, tables, half, sums);
        if (2 * half < groups) {
            long rest = tables + (long) ProductTables.GROUP_BYTES * 2 * half;
            TableSums.sumPoints(at + (long) CODE_BYTES * 2 * half, rest, 1, sums);
        }
    }

    /** Adds the products of the 8-bit residual codes in a chunk of some blocks, of which two at a time share the tables. */
    private void addResiduals(
            long codesAt,
            int first,
            int last,
            int begin,
            long inputs,
            int count,
            long sums,
            long perBlock,
            long spare) {
        int width = Math.min(chunk, groups - begin);
        long behind = (long) CODE_BYTES * width;
        long tables = inputs
                + ProductTables.HEADER
                + (long) ProductTables.GROUP_BYTES * groups
                + (long) ResidualTables.GROUP_BYTES * begin;
        for (int block = first; block < last; block += 2) {
            boolean single = block + 1 == last;
            long at = codesAt + place(block, begin) + behind;
            long at2 = single ? at : codesAt + place(block + 1, begin) + behind;
            for (int t = 0; t < count; t++) {
                long to = sums + perBlock * (block - first) + sumBytes() * t + SUM_BYTES;
                long to2 = single ? spare : to + perBlock;
                TableSums.sumResiduals(at, at2, tables + inputBytes() * t, width, to, to2);
            }
        }
        if (begin + width == groups || (begin + width) % TableSums.MOST_BYTES == 0) {
            for (int t = 0; t < count; t++) {
                TableSums.foldBytes(sums + sumBytes() * t + SUM_BYTES, perBlock, last - first);
            }
        }
    }

    /**
     * Adds the products of a chunk with an even number of inputs, of which two at a time share the indices; those are formed
     * once.
     *
     * @param at the address of the chunk
     * @param sums the address of the block's sums, those of each input behind those of the one before
     */
    private void multiplyPairs(long at, int begin, long inputs, int count, long planes, long sums) {
        int width = Math.min(chunk, groups - begin);
        long tables = inputs + ProductTables.HEADER + (long) ProductTables.GROUP_BYTES * begin;
        TableSums.indexPoints(at, width, planes);
        lookUp(tables, count, width, planes, sums);
        if (bits == 4) {
            TableSums.indexPoints(at + (long) CODE_BYTES * width, width, planes);
            lookUp(tables, count, width, planes, sums + SUM_BYTES);
        }
    }

    private void lookUp(long tables, int count, int width, long planes, long sums) {
        for (int t = 0; t < count; t += 2) {
            long input = tables + inputBytes() * t;
            long to = sums + sumBytes() * t;
            TableSums.lookUpTwo(planes, input, input + inputBytes(), width, to, to + sumBytes());
        }
    }

    private void check(
            MemorySegment inputs,
            int count,
            MemorySegment y,
            long yStride,
            int firstRow,
            int lastRow,
            MemorySegment scratch) {
        if (count < 1
                || firstRow < 0
                || firstRow % rowStep() != 0
                || lastRow < firstRow
                || lastRow > codes.rows()
                || (lastRow % rowStep() != 0 && lastRow != codes.rows())) {
            throw new IllegalArgumentException(count + " products with rows " + firstRow + " to " + lastRow + " of "
                    + codes.rows() + ": ranges begin and end at multiples of " + rowStep());
        }
        if (inputs.byteSize() < inputBytes() * count
                || y.byteSize() < yStride * (count - 1) + 4L * lastRow
                || scratch.byteSize() < scratchBytes(count, lastRow - firstRow)) {
            throw new IllegalArgumentException(count + " products with " + codes.rows() + " x " + codes.cols()
                    + " codes need inputs of " + inputBytes() * count + " bytes, y of "
                    + (yStride * (count - 1) + 4L * lastRow) + " and scratch of "
                    + scratchBytes(count, lastRow - firstRow) + ", found " + inputs.byteSize() + ", " + y.byteSize()
                    + " and " + scratch.byteSize());
        }
    }

    /**
     * From the sums of a block to y. Row 4 i is {@code u[i] - (upperU[i] << 16)}, row 4 i + 1 the same of v, row 4 i + 2 is
     * {@code upperU[i]} and row 4 i + 3 is {@code upperV[i]}.
     */
    private void finish(
            MemorySegment sums,
            long at,
            MemorySegment inputs,
            long input,
            MemorySegment y,
            long to,
            int row,
            int rows) {
        double inverse = inputs.get(ValueLayout.JAVA_DOUBLE_UNALIGNED, input);
        double second = bits == 2
                ? 0
                : inputs.get(ValueLayout.JAVA_DOUBLE_UNALIGNED, bits == 3 ? input + 8 : input)
                        / codes.codebook().residualScale();
        int offset = ProductTables.OFFSET * groups;
        for (int r = 0; r < rows; r++) {
            double value = (sum(sums, at, r) - offset) * inverse;
            if (bits == 3) {
                value += (foldedSum(sums, at + 2 * SUM_BYTES, r) - offset) * second;
            } else if (bits == 4) {
                value += (sum(sums, at + SUM_BYTES, r) - offset) * second;
            }
            y.set(FLOAT, to + 4L * (row + r), (float) value);
        }
    }

    private static int sum(MemorySegment sums, long at, int r) {
        long i = at + 64L * (r & 1) + (r & ~3);
        int upper = sums.get(INT, i + 128);
        return (r & 2) != 0 ? upper : sums.get(INT, i) - (upper << 16);
    }

    /** As {@link TableSums#foldBytes} leaves it: row 4 i + j in int i of vector j. */
    private static int foldedSum(MemorySegment sums, long at, int r) {
        return sums.get(INT, at + 64L * (r & 3) + (r & ~3));
    }
}
