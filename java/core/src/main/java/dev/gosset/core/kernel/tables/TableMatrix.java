package dev.gosset.core.kernel.tables;

import static dev.gosset.core.kernel.tables.TableLookups.BLOCK;
import static dev.gosset.core.kernel.tables.TableLookups.CODE_BYTES;
import static dev.gosset.core.kernel.tables.TableLookups.PLANE_BYTES;
import static dev.gosset.core.kernel.tables.TableLookups.SUM_BYTES;
import static dev.gosset.core.kernel.tables.TableLookups.UNIT;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.bounds.Arguments;
import dev.gosset.core.kernel.bounds.ErrorBounds;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.memory.NativeMemory;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Codes in blocks of 64 rows, for products without multiplications: the bits of 64 codes become indices into the
 * {@link ProductTables} of x, four lookups for eight weights. How they do is up to the {@link BlockCodes}.
 *
 * <p><b>Layout.</b> Codes lie in the order in which a product with one input reads them, as {@link CodeRegions} says. At 2 and 3 bits a
 * unit holds the codes of the points of 64 rows for a group of eight columns, 128 bytes; at 4 bits the residual codes lie behind them, 256
 * bytes. Group follows group and block follows block, at an even number of units. At 3 bits the residual codes lie apart: 64 bytes for each
 * of two neighbouring blocks are a unit, and four blocks lie together, chunk after chunk of {@value #CHUNK} groups, so that what all need of
 * the tables of a chunk, which are large, stays in the first-level cache. What the last blocks and regions have beyond the
 * matrix are zeros.
 *
 * <p>Sums are formed in 16 and 32 bit integers, so they are exact whatever the order.
 */
final class TableMatrix implements PreparedMatrix {
    /** With more groups the 32-bit sums could overflow. */
    static final int MOST_GROUPS = 32767;

    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Groups whose planes, and tables of residual codes, stay in the first-level cache. */
    private static final int CHUNK = 32;

    /** Bytes of tables of several inputs that a small second-level cache has room for. */
    private static final int TABLES = 1 << 19;

    /** Bytes of codes that a second-level cache keeps until several inputs have used them. */
    private static final long TOUCHED = 1 << 19;

    /** Blocks whose residual codes lie together at 3 bits. */
    private static final int SPAN = 4;

    private final CodeMatrix codes;
    private final BlockCodes form;
    private final int groups;
    private final int bits;
    private final int blocks;

    /** The points, at 4 bits with the residual codes beside them. */
    private final MemorySegment points;

    /** log2 of the bytes of a unit of the points. */
    private final int unit;

    private final int region;

    /** The residual codes of 3 bits, else empty; their units have {@link TableLookups#CODE_BYTES} bytes. */
    private final MemorySegment residuals;

    private final int residualRegion;

    TableMatrix(CodeMatrix codes, BlockCodes form, Arena arena, ThreadTeam team) {
        this.codes = codes;
        this.form = form;
        this.groups = codes.groups();
        this.bits = codes.codebook().bits();
        this.blocks = Math.ceilDiv(codes.rows(), BLOCK);
        this.unit = bits == 4 ? UNIT + 1 : UNIT;
        long bytes = pointsOf(blocks);
        this.region = CodeRegions.region(bytes, unit);
        this.points = arena.allocate(CodeRegions.size(bytes, region), 1L << region);
        bytes = bits == 3 ? residualsOf(blocks + (blocks & 1), 0) : 0;
        this.residualRegion = CodeRegions.region(bytes, UNIT);
        this.residuals = arena.allocate(CodeRegions.size(bytes, residualRegion), 1L << residualRegion);
        int spans = Math.ceilDiv(blocks, SPAN);
        NativeMemory.run(team, spans, this::pack, codes.data(), points, residuals);
    }

    /** Where the points of a block begin. */
    private long pointsOf(int block) {
        return (long) block * (groups + (groups & 1)) << unit;
    }

    /** Where the residual codes of 3 bits begin, of the blocks that lie together from this one on, in the chunk that begins with a group. */
    private long residualsOf(int block, int begin) {
        int together = Math.min(SPAN, blocks - block);
        return (long) BLOCK * ((long) block * groups + (long) begin * (together + (together & 1)));
    }

    /** Neighbouring blocks share the units of residual codes, so one thread packs all that lie together. */
    private void pack(int span) {
        for (int block = span * SPAN; block < Math.min(blocks, (span + 1) * SPAN); block++) {
            int first = block * BLOCK;
            for (int r = 0; r < Math.min(BLOCK, codes.rows() - first); r++) {
                long row = (long) (first + r) * groups;
                packPoints(2 * row, pointsOf(block), r);
                if (bits == 4) {
                    packPoints(codes.residualOffset() + 2 * row, pointsOf(block) + CODE_BYTES, r);
                } else if (bits == 3) {
                    packResiduals(codes.residualOffset() + row, block, r);
                }
            }
        }
    }

    private void packPoints(long from, long to, int row) {
        for (int g = 0; g < groups; g++) {
            int code = codes.data().get(SHORT, from + 2L * g) & 0xffff;
            form.packPoint(points, CodeRegions.place(to + ((long) g << unit), unit, region), row, code);
        }
    }

    private void packResiduals(long from, int block, int row) {
        int first = block & -SPAN;
        int among = block - first;
        for (int begin = 0; begin < groups; begin += CHUNK) {
            int width = Math.min(CHUNK, groups - begin);
            long to = residualsOf(first, begin) + (long) BLOCK * (width * (among & -2) + (among & 1));
            for (int g = 0; g < width; g++) {
                int code = codes.data().get(ValueLayout.JAVA_BYTE, from + begin + g) & 0xff;
                long place = CodeRegions.place(to + (long) CODE_BYTES * g, UNIT, residualRegion);
                form.packResidual(residuals, place, row, code);
            }
        }
    }

    @Override
    public CodeMatrix codes() {
        return codes;
    }

    @Override
    public long bytes() {
        return points.byteSize() + residuals.byteSize();
    }

    @Override
    public int rowStep() {
        return bits == 3 ? BLOCK * SPAN : BLOCK;
    }

    /** {@inheritDoc} Never: a lookup serves two products, BLAS needs an FMA for each. */
    @Override
    public int mostInputs() {
        return Integer.MAX_VALUE;
    }

    @Override
    public double errorBound(MemorySegment x) {
        return ProductTables.errorBound(codes.codebook(), x, groups, form) + ErrorBounds.rounding(codes, x);
    }

    @Override
    public double relativeError() {
        return ProductTables.relativeError(codes.codebook(), form);
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
        return (long) CHUNK * PLANE_BYTES;
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

    @Override
    public void multiply(
            MemorySegment inputs,
            int count,
            MemorySegment y,
            long yStride,
            int firstRow,
            int lastRow,
            MemorySegment scratch) {
        multiply(inputs, count, y, yStride, firstRow, lastRow, scratch, false);
    }

    @Override
    public void multiplyFromMemory(
            MemorySegment input, MemorySegment y, int firstRow, int lastRow, MemorySegment scratch) {
        multiply(input, 1, y, 4L * codes.rows(), firstRow, lastRow, scratch, true);
    }

    private void multiply(
            MemorySegment inputs,
            int count,
            MemorySegment y,
            long yStride,
            int firstRow,
            int lastRow,
            MemorySegment scratch,
            boolean fromMemory) {
        Arguments.checkProducts(this, inputs, count, y, yStride, firstRow, lastRow, scratch);
        int last = Math.ceilDiv(lastRow, BLOCK);
        int first = firstRow / BLOCK;
        NativeMemory.readable(points, 0, points.byteSize());
        NativeMemory.readable(residuals, 0, residuals.byteSize());
        long inputsAt = NativeMemory.readable(inputs, 0, inputBytes() * count);
        long planes = NativeMemory.writable(scratch, 0, scratchBytes(count, lastRow - firstRow));
        long perBlock = sumBytes() * count;
        scratch.asSlice(planeBytes(), perBlock * (last - first)).fill((byte) 0);
        try {
            long sums = planes + planeBytes();
            int pairs = count & -2;
            if (pairs > 0) {
                if ((long) BLOCK * bits * groups * (last - first) <= TOUCHED) {
                    touch(first, last, planes);
                }
                int wide = Math.max(1, TABLES / (ProductTables.GROUP_BYTES * CHUNK * pairs)) * CHUNK;
                for (int begin = 0; begin < groups; begin += wide) {
                    int end = Math.min(groups, begin + wide);
                    multiplyPairs(first, last, begin, end, inputsAt, pairs, perBlock, sums, planes);
                }
            }
            if (pairs < count) {
                long input = inputsAt + inputBytes() * pairs;
                multiplyOne(first, last, input, perBlock, sums + sumBytes() * pairs, planes, fromMemory);
            }
        } finally {
            NativeMemory.keep(points, residuals);
            NativeMemory.keep(inputs, scratch);
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
     * Brings the codes of some blocks into the cache, a word a line: where several inputs share the indices, loops over codes are too short
     * for prefetchers.
     *
     * @param scratch where the sum of the words goes, or the compiler would drop the reads
     */
    private void touch(int first, int last, long scratch) {
        long from = pointsOf(first) & CodeRegions.top(region);
        long sum = NativeMemory.touch(points.address() + from, CodeRegions.size(pointsOf(last), region) - from);
        if (bits == 3) {
            from = residualsOf(first, 0) & CodeRegions.top(residualRegion);
            long end = residualsOf(last == blocks ? last + (last & 1) : last, 0);
            sum += NativeMemory.touch(residuals.address() + from, CodeRegions.size(end, residualRegion) - from);
        }
        NativeMemory.ALL.set(ValueLayout.JAVA_LONG_UNALIGNED, scratch, sum);
    }

    /** Adds the products of some blocks with one input. */
    private void multiplyOne(
            int first, int last, long input, long perBlock, long sums, long spare, boolean fromMemory) {
        long tables = input + ProductTables.HEADER;
        for (int block = first; block < last; block++) {
            long at = points.address() + pointsOf(block);
            long to = sums + perBlock * (block - first);
            if (bits == 4) {
                form.sumPointsTwice(at, region, tables, groups, to);
            } else if (fromMemory) {
                form.sumPointsFromMemory(at, region, tables, groups, to);
            } else {
                form.sumPoints(at, region, tables, groups, to);
            }
        }
        if (bits == 3) {
            addResiduals(first, last, 0, groups, input, 1, perBlock, sums, spare);
        }
    }

    /**
     * Adds the products of some groups of some blocks with an even number of inputs, of which two at a time share the indices; those are
     * formed once.
     *
     * @param end the last group and one
     * @param sums of the first block, those of each input behind those of the one before
     * @param planes scratch, {@link #planeBytes}
     */
    private void multiplyPairs(
            int first, int last, int begin, int end, long input, int inputs, long perBlock, long sums, long planes) {
        for (int block = first; block < last; block++) {
            for (int g = begin; g < end; g += CHUNK) {
                int width = Math.min(CHUNK, end - g);
                long at = points.address() + pointsOf(block) + ((long) g << unit);
                long tables = input + ProductTables.HEADER + (long) ProductTables.GROUP_BYTES * g;
                long to = sums + perBlock * (block - first);
                form.indexPoints(at, unit, region, width, planes);
                TableLookups.lookUpPairs(planes, tables, inputBytes(), inputs, width, to, sumBytes());
                if (bits == 4) {
                    form.indexPoints(at + CODE_BYTES, unit, region, width, planes);
                    TableLookups.lookUpPairs(planes, tables, inputBytes(), inputs, width, to + SUM_BYTES, sumBytes());
                }
            }
        }
        if (bits == 3) {
            addResiduals(first, last, begin, end, input, inputs, perBlock, sums, planes);
        }
    }

    /** Adds the products of the 8-bit residual codes of some groups of some blocks, as the methods before. */
    private void addResiduals(
            int first, int last, int begin, int end, long input, int inputs, long perBlock, long sums, long spare) {
        for (int block = first; block < last; block += SPAN) {
            for (int g = begin; g < end; g += CHUNK) {
                long to = sums + perBlock * (block - first);
                addResiduals(block, Math.min(SPAN, last - block), g, input, inputs, to, perBlock, spare);
            }
        }
    }

    /**
     * Adds the products of the 8-bit residual codes in a chunk of blocks that lie together with one input or an even number of them.
     *
     * @param block the first of them
     * @param count their number
     * @param sums of the first block, {@code perBlock} bytes before those of the second
     */
    private void addResiduals(
            int block, int count, int begin, long input, int inputs, long sums, long perBlock, long spare) {
        int width = Math.min(CHUNK, groups - begin);
        long tables = input
                + ProductTables.HEADER
                + (long) ProductTables.GROUP_BYTES * groups
                + (long) form.residualTableBytes() * begin;
        long at = residuals.address() + residualsOf(block, begin);
        long to = sums + SUM_BYTES;
        form.sumResiduals(
                at, residualRegion, count, width, tables, inputBytes(), inputs, to, sumBytes(), perBlock, spare);
        if (begin + width == groups || (begin + width) % TableLookups.MOST_BYTES == 0) {
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
            double value = (TableLookups.sum(sums, at, r) - offset) * inverse;
            if (bits == 3) {
                value += (form.residualSum(sums, at + SUM_BYTES, r) - offset) * second;
            } else if (bits == 4) {
                value += (TableLookups.sum(sums, at + SUM_BYTES, r) - offset) * second;
            }
            y.set(FLOAT, to + 4L * (row + r), (float) value);
        }
    }
}
