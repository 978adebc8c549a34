package dev.gosset.core.kernel;

import static dev.gosset.core.kernel.TableSums.BLOCK;
import static dev.gosset.core.kernel.TableSums.CODE_BYTES;
import static dev.gosset.core.kernel.TableSums.PLANE_BYTES;
import static dev.gosset.core.kernel.TableSums.SUM_BYTES;

import dev.gosset.core.codebook.CodeMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;

/**
 * Codes in blocks of 64 rows, for products without multiplications: the bits of 64 codes become indices into the
 * {@link ProductTables} of x, four lookups for eight weights. How they do is up to the {@link BlockCodes}.
 *
 * <p><b>Layout.</b> Block after block, in each chunk after chunk of groups of eight columns: 32 groups at 2 and 3 bits, 16
 * at 4 bits. A chunk holds for each group 128 bytes, the codes of the points of 64 rows; behind those of all groups the
 * residual codes, at 3 bits 64 bytes for each group, at 4 bits 128 in the form of the points. So a product
 * with one input reads its codes from front to back, and the two streams of 4 bits lie in one page. At 3 bits the chunks of
 * several blocks may alternate, see {@link BlockCodes#residualSpan}. The rows of the last block beyond the matrix are zeros.
 *
 * <p>Sums are formed in 16 and 32 bit integers, so they are exact whatever the order.
 */
final class TableMatrix implements PreparedMatrix {
    /** With more groups the 32-bit sums could overflow. */
    static final int MOST_GROUPS = 32767;

    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Bytes of a memory page: prefetchers follow a stream within one. */
    private static final int PAGE = 4096;

    private final CodeMatrix codes;
    private final BlockCodes form;
    private final MemorySegment data;
    private final int groups;
    private final int bits;
    private final int blocks;
    private final int chunk;

    /** How many blocks lie together, a power of two. */
    private final int span;

    TableMatrix(CodeMatrix codes, BlockCodes form, Arena arena) {
        this.codes = codes;
        this.form = form;
        this.groups = codes.groups();
        this.bits = codes.codebook().bits();
        this.blocks = Math.ceilDiv(codes.rows(), BLOCK);
        // 4 KB of codes, but 6 KB at 3 bits: shorter loops are felt there, each chunk takes two.
        this.chunk = bits == 4 ? 16 : 32;
        this.span = bits == 3 ? form.residualSpan() : 1;
        this.data = arena.allocate((long) blocks * BLOCK * bits * groups, PAGE);
        NativeMemory.inParallel(blocks, codes.data(), data).forEach(this::pack);
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
                packPoints(from, 2 * row, count, points, r);
                if (bits == 4) {
                    packPoints(from, residual + 2 * row, count, second, r);
                } else if (bits == 3) {
                    for (int g = 0; g < count; g++) {
                        int code = from.get(ValueLayout.JAVA_BYTE, residual + row + g) & 0xff;
                        form.packResidual(data, second + (long) BLOCK * g, r, code);
                    }
                }
            }
        }
    }

    private void packPoints(MemorySegment from, long at, int count, long to, int row) {
        for (int g = 0; g < count; g++) {
            int code = from.get(SHORT, at + 2L * g) & 0xffff;
            form.packPoint(data, to + (long) CODE_BYTES * g, row, code);
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
        return ProductTables.bytes(codes.codebook(), groups, form);
    }

    @Override
    public long scratchBytes(int count, int rows) {
        return planeBytes() + sumBytes() * count * Math.ceilDiv(rows, BLOCK);
    }

    private long planeBytes() {
        return (long) chunk * PLANE_BYTES;
    }

    /** Bytes of the sums of a block and an input: those of the points and those of the residual. */
    private long sumBytes() {
        return (long) SUM_BYTES + (bits == 2 ? 0 : bits == 3 ? form.residualSumBytes() : SUM_BYTES);
    }

    @Override
    public void prepareInput(MemorySegment x, MemorySegment inputs, long offset) {
        Arguments.checkInput(this, x, inputs, offset);
        ProductTables.build(codes.codebook(), x, groups, form, inputs, offset);
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
        Arguments.checkProducts(this, inputs, count, y, yStride, firstRow, lastRow, scratch);
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
                    for (int block = first; block < last; block += span) {
                        long at = codesAt + place(block, begin);
                        long to = sums + perBlock * (block - first);
                        multiplyPairs(at, Math.min(span, last - block), begin, inputsAt, pairs, planes, to, perBlock);
                    }
                }
            }
            if (pairs < count) {
                long input = inputsAt + inputBytes() * pairs;
                for (int block = first; block < last; block += span) {
                    long at = codesAt + place(block, 0);
                    long to = sums + perBlock * (block - first) + sumBytes() * pairs;
                    multiplyOne(at, Math.min(span, last - block), input, to, perBlock, planes);
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
     * Adds the products of blocks that lie together with one input.
     *
     * @param at the address of the first chunk of the first block
     * @param sums that of the sums of the first block, {@code perBlock} bytes before those of the second
     */
    private void multiplyOne(long at, int count, long input, long sums, long perBlock, long spare) {
        long tables = input + ProductTables.HEADER;
        if (bits == 2) {
            multiplyHalves(at, tables, sums);
            return;
        }
        for (int begin = 0; begin < groups; begin += chunk) {
            int width = Math.min(chunk, groups - begin);
            long chunks = at + (long) BLOCK * bits * count * begin;
            long tablesAt = tables + (long) ProductTables.GROUP_BYTES * begin;
            if (bits == 4) {
                form.sumPointsTwice(chunks, tablesAt, width, sums);
            } else {
                for (int b = 0; b < count; b++) {
                    form.sumPoints(chunks + (long) BLOCK * bits * width * b, tablesAt, width, sums + perBlock * b);
                }
                addResiduals(chunks, count, begin, input, 1, sums, perBlock, spare);
            }
        }
    }

    /** Adds the products of a block of 2-bit codes with one input. */
    private void multiplyHalves(long at, long tables, long sums) {
        int half = groups / 2;
        form.sumPointsOfHalves(at, tables, half, sums);
        if (2 * half < groups) {
            long rest = tables + (long) ProductTables.GROUP_BYTES * 2 * half;
            form.sumPoints(at + (long) CODE_BYTES * 2 * half, rest, 1, sums);
        }
    }

    /**
     * Adds the products of the chunks of blocks that lie together with an even number of inputs, of which two at a time share
     * the indices; those are formed once.
     *
     * @param at the address of the chunk of the first block
     * @param sums that of the sums of the first block, those of each input behind those of the one before
     */
    private void multiplyPairs(
            long at, int count, int begin, long input, int inputs, long planes, long sums, long perBlock) {
        int width = Math.min(chunk, groups - begin);
        long tables = input + ProductTables.HEADER + (long) ProductTables.GROUP_BYTES * begin;
        for (int b = 0; b < count; b++) {
            long points = at + (long) BLOCK * bits * width * b;
            long to = sums + perBlock * b;
            form.indexPoints(points, width, planes);
            TableSums.lookUpPairs(planes, tables, inputBytes(), inputs, width, to, sumBytes());
            if (bits == 4) {
                form.indexPoints(points + (long) CODE_BYTES * width, width, planes);
                TableSums.lookUpPairs(planes, tables, inputBytes(), inputs, width, to + SUM_BYTES, sumBytes());
            }
        }
        if (bits == 3) {
            addResiduals(at, count, begin, input, inputs, sums, perBlock, planes);
        }
    }

    /** Adds the products of the 8-bit residual codes in the chunks of blocks that lie together, as {@link #multiplyPairs}. */
    private void addResiduals(
            long at, int count, int begin, long input, int inputs, long sums, long perBlock, long spare) {
        int width = Math.min(chunk, groups - begin);
        long tables = input
                + ProductTables.HEADER
                + (long) ProductTables.GROUP_BYTES * groups
                + (long) form.residualTableBytes() * begin;
        long residual = at + (long) CODE_BYTES * width;
        long to = sums + SUM_BYTES;
        form.sumResiduals(residual, count, width, tables, inputBytes(), inputs, to, sumBytes(), perBlock, spare);
        if (begin + width == groups || (begin + width) % TableSums.MOST_BYTES == 0) {
            for (int t = 0; t < inputs; t++) {
                form.foldResiduals(to + sumBytes() * t, perBlock, count);
            }
        }
    }

    /** From the sums of a block to y. */
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
            double value = (TableSums.sum(sums, at, r) - offset) * inverse;
            if (bits == 3) {
                value += (form.residualSum(sums, at + SUM_BYTES, r) - offset) * second;
            } else if (bits == 4) {
                value += (TableSums.sum(sums, at + SUM_BYTES, r) - offset) * second;
            }
            y.set(FLOAT, to + 4L * (row + r), (float) value);
        }
    }
}
