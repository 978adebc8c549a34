package dev.gosset.core.kernel.nibbles;

import static dev.gosset.core.kernel.nibbles.NibbleSums.BLOCK;
import static dev.gosset.core.kernel.nibbles.NibbleSums.CODE_BYTES;
import static dev.gosset.core.kernel.nibbles.NibbleSums.PLANE_BYTES;
import static dev.gosset.core.kernel.nibbles.NibbleSums.SUM_BYTES;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.bounds.Arguments;
import dev.gosset.core.kernel.bounds.ErrorBounds;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.memory.NativeMemory;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;

/**
 * Codes in blocks of 16 rows, for products without multiplications: the bytes of 16 codes become nibbles that index the
 * {@link NibbleTables} of x. The loops are in {@link NibbleSums}.
 *
 * <p><b>Layout.</b> Chunk after chunk of {@value #CHUNK} groups of eight columns, so that the tables of a chunk stay in the
 * first-level cache; in each block after block. A block holds for each group 32 bytes, the magnitude bytes of 16 rows and then
 * their sign bytes, as {@link NibbleCodes} has them; behind those of all groups of the chunk the residual codes, at 3 bits 16
 * bytes for each group, at 4 bits 32 in the form of the points. The rows of the last block beyond the matrix are zero codes.
 *
 * <p>Sums are exact integers, whatever the order.
 */
final class NibbleMatrix implements PreparedMatrix {
    /** With more groups the 32-bit sums could overflow. */
    static final int MOST_GROUPS = 65536;

    /** Groups of a chunk: 12 KB of tables for the points, 8 KB for the residual of 3 bits. */
    private static final int CHUNK = 64;

    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ORDER);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final int PAGE = 4096;

    private final CodeMatrix codes;
    private final MemorySegment data;
    private final int groups;
    private final int bits;
    private final int blocks;

    NibbleMatrix(CodeMatrix codes, Arena arena, ThreadTeam team) {
        this.codes = codes;
        this.groups = codes.groups();
        this.bits = codes.codebook().bits();
        this.blocks = Math.ceilDiv(codes.rows(), BLOCK);
        this.data = arena.allocate((long) blocks * BLOCK * bits * groups, PAGE);
        NativeMemory.run(team, blocks, this::pack, codes.data(), data);
    }

    private int width(int begin) {
        return Math.min(CHUNK, groups - begin);
    }

    /** Where the codes of a block in the chunk lie that begins with a group of columns. */
    private long place(int begin, int block) {
        return (long) BLOCK * bits * ((long) begin * blocks + (long) width(begin) * block);
    }

    private void pack(int block) {
        MemorySegment from = codes.data();
        long residual = codes.residualOffset();
        int first = block * BLOCK;
        int rows = Math.min(BLOCK, codes.rows() - first);
        for (int begin = 0; begin < groups; begin += CHUNK) {
            int count = width(begin);
            long points = place(begin, block);
            long second = points + (long) CODE_BYTES * count;
            for (int r = 0; r < BLOCK; r++) {
                long row = (long) (first + r) * groups + begin;
                boolean real = r < rows;
                for (int g = 0; g < count; g++) {
                    packPoint(real ? from.get(SHORT, 2 * (row + g)) : 0, points + (long) CODE_BYTES * g + r);
                    if (bits == 4) {
                        int code = real ? from.get(SHORT, residual + 2 * (row + g)) : 0;
                        packPoint(code, second + (long) CODE_BYTES * g + r);
                    } else if (bits == 3) {
                        int code = real ? from.get(ValueLayout.JAVA_BYTE, residual + row + g) : 0;
                        data.set(ValueLayout.JAVA_BYTE, second + (long) BLOCK * g + r, NibbleCodes.residual(code));
                    }
                }
            }
        }
    }

    private void packPoint(int code, long to) {
        data.set(ValueLayout.JAVA_BYTE, to, NibbleCodes.magnitudes(code));
        data.set(ValueLayout.JAVA_BYTE, to + BLOCK, NibbleCodes.signs(code));
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
        return BLOCK;
    }

    /**
     * {@inheritDoc} With vectors of 256 bits BLAS overtakes at 3 and 4 bits from two dozen inputs on, to 2.6 times the speed
     * at 512. At 2 bits it does from a hundred on, to 1.2 times the speed: too little for keeping the stored codes too. With
     * vectors of 128 bits it never does.
     */
    @Override
    public int mostInputs() {
        return bits == 2 || FloatVector.SPECIES_PREFERRED.vectorBitSize() < 256 ? Integer.MAX_VALUE : 16;
    }

    @Override
    public double errorBound(MemorySegment x) {
        return NibbleTables.errorBound(codes.codebook(), x, groups) + ErrorBounds.rounding(codes, x);
    }

    @Override
    public double relativeError() {
        return NibbleTables.relativeError(codes.codebook());
    }

    @Override
    public long inputBytes() {
        return NibbleTables.bytes(codes.codebook(), groups);
    }

    @Override
    public long scratchBytes(int count, int rows) {
        return planeBytes() + (SUM_BYTES + sumBytes() * Math.ceilDiv(rows, BLOCK)) * count;
    }

    private static long planeBytes() {
        return (long) CHUNK * PLANE_BYTES;
    }

    /** Bytes of the sums of a block and an input: those of the points and those of the residual. */
    private long sumBytes() {
        return (bits == 2 ? 1 : 2) * (long) SUM_BYTES;
    }

    @Override
    public void prepareInput(MemorySegment x, MemorySegment inputs, long offset) {
        Arguments.checkInput(this, x, inputs, offset);
        NibbleTables.build(codes.codebook(), x, groups, inputs, offset);
    }

    /** {@inheritDoc} The rows' codes of each chunk, which lie together, are touched first. */
    @Override
    public void multiplyFromMemory(
            MemorySegment input, MemorySegment y, int firstRow, int lastRow, MemorySegment scratch) {
        int first = firstRow / BLOCK;
        int last = Math.ceilDiv(lastRow, BLOCK);
        long sum = 0;
        for (int begin = 0; begin < groups; begin += CHUNK) {
            long from = place(begin, first);
            long bytes = place(begin, last) - from;
            sum += NativeMemory.touch(NativeMemory.readable(data, from, bytes), bytes);
        }
        // The sum goes somewhere, or the compiler would drop the reads.
        scratch.set(ValueLayout.JAVA_LONG_UNALIGNED, 0, sum);
        Reference.reachabilityFence(data);
        multiply(input, 1, y, 4L * codes.rows(), firstRow, lastRow, scratch);
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
        // Behind the planes the sums of bytes of one block, then those of all blocks.
        long sumsAt = planeBytes() + (long) SUM_BYTES * count;
        for (long p = sumsAt, end = p + perBlock * (last - first); p < end; p += 8) {
            scratch.set(ValueLayout.JAVA_LONG_UNALIGNED, p, 0);
        }
        try {
            // Chunk by chunk, so that the tables of the inputs stay in the cache.
            for (int begin = 0; begin < groups; begin += CHUNK) {
                for (int block = first; block < last; block++) {
                    long sums = planes + sumsAt + perBlock * (block - first);
                    multiplyChunk(codesAt + place(begin, block), begin, inputsAt, count, planes, sums);
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
                long sums = sumsAt + perBlock * (block - first) + sumBytes() * t;
                finish(scratch, sums, inputs, inputBytes() * t, y, yStride * t, row, rows);
            }
        }
    }

    /**
     * Adds the products of a block's codes in a chunk with all inputs, which share the indices.
     *
     * @param at the address of the codes
     * @param sums the address of the block's sums, those of each input behind those of the one before
     */
    private void multiplyChunk(long at, int begin, long inputs, int count, long planes, long sums) {
        int width = width(begin);
        long tables = inputs + NibbleTables.HEADER + (long) NibbleTables.POINT_BYTES * begin;
        multiplyPoints(at, tables, count, width, planes, sums);
        long residual = at + (long) CODE_BYTES * width;
        if (bits == 4) {
            multiplyPoints(residual, tables, count, width, planes, sums + SUM_BYTES);
        } else if (bits == 3) {
            long bytes = planes + planeBytes();
            tables = inputs
                    + NibbleTables.HEADER
                    + (long) NibbleTables.POINT_BYTES * groups
                    + (long) NibbleTables.RESIDUAL_BYTES * begin;
            for (int t = 0; t < count; t++) {
                NibbleSums.sumResiduals(residual, tables + inputBytes() * t, width, bytes + (long) SUM_BYTES * t);
            }
            NibbleSums.addUp(bytes, count, sums + SUM_BYTES, sumBytes(), NibbleTables.RESIDUAL_RADIX);
        }
    }

    private void multiplyPoints(long at, long tables, int count, int width, long planes, long sums) {
        NibbleSums.indexPoints(at, width, planes);
        long bytes = planes + planeBytes();
        int t = 0;
        for (; t < count - 1; t += 2) {
            long input = tables + inputBytes() * t;
            long to = bytes + (long) SUM_BYTES * t;
            NibbleSums.lookUpTwo(planes, input, input + inputBytes(), width, to, to + SUM_BYTES);
        }
        if (t < count) {
            NibbleSums.lookUp(planes, tables + inputBytes() * t, width, bytes + (long) SUM_BYTES * t);
        }
        NibbleSums.addUp(bytes, count, sums, sumBytes(), NibbleTables.POINT_RADIX);
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
        int offset = NibbleTables.POINT_RADIX * NibbleTables.POINT_BIAS * groups;
        int residualOffset = bits == 3 ? NibbleTables.RESIDUAL_RADIX * NibbleTables.RESIDUAL_BIAS * groups : offset;
        for (int r = 0; r < rows; r++) {
            long i = at + 16L * (r & 3) + (r & ~3);
            double value = (sums.get(INT, i) - offset) * inverse;
            if (bits != 2) {
                value += (sums.get(INT, i + SUM_BYTES) - residualOffset) * second;
            }
            y.set(FLOAT, to + 4L * (row + r), (float) value);
        }
    }
}
