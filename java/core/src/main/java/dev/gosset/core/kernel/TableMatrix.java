package dev.gosset.core.kernel;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.E8p;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.stream.IntStream;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Codes in blocks of 64 rows, for products without multiplications: the bits of 64 codes become indices into the
 * {@link ProductTables} of x, four lookups for eight weights.
 *
 * <p><b>Layout.</b> By chunks of 64 groups of eight columns, whose tables stay in the first-level cache; in each chunk by
 * blocks of 64 rows; for each block and group 128 bytes: the magnitude bytes of 64 rows, then their sign bytes. A sign byte holds the true signs of coordinates 4, 5, 1, 2, 3, 6, 7 in bits 0 to 6 and in bit 7 whether the
 * shift is -1/4; the sign of coordinate 0 follows from them and the parity of the magnitudes. With 3
 * bits all points are followed by the residual codes in the same order, 64 bytes for each block and group; with 4 bits by
 * the residual codes in the form of the points. The rows of the last block beyond the matrix are zero codes.
 *
 * <p>Sums are formed in 16 and 32 bit integers, so they are exact whatever the order.
 */
final class TableMatrix implements PreparedMatrix {
    /** Rows of a block: the bytes of a vector. */
    static final int BLOCK = 64;

    /** With more groups the 32-bit sums could overflow. */
    static final int MOST_GROUPS = 32767;

    private static final VectorSpecies<Byte> B = ByteVector.SPECIES_512;
    private static final VectorSpecies<Short> S = ShortVector.SPECIES_512;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_512;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ORDER);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Bytes of a block's codes for one group of columns: magnitudes and signs. */
    private static final int CODE_BYTES = 2 * BLOCK;

    /** Bytes of the sums of a block: those of even shorts, of odd shorts, and for the odd bytes again. */
    private static final int SUM_BYTES = 4 * BLOCK;

    /** Groups of columns whose tables are looked up by one block after the other, 20 KB of them. */
    private static final int CHUNK = 64;

    /** Groups of columns whose indices are kept for several inputs, 8 KB of them. */
    private static final int PIECE = 32;

    /** Bytes of the indices of a block for one group of columns. */
    private static final int PLANE_BYTES = 4 * BLOCK;

    private static final byte[] SIGNS = new byte[256];
    private static final byte[] PARITY = new byte[256];

    static {
        double[] v = new double[8];
        int[] bit = {-1, 2, 3, 4, 0, 1, 5, 6};
        for (int b = 0; b < 256; b++) {
            int odd = Integer.bitCount(b) & 1;
            E8p.INSTANCE.decode(b, v, 0);
            int signs = odd << 7;
            for (int c = 1; c < 8; c++) {
                signs |= (v[c] - (odd == 1 ? -0.25 : 0.25) < 0 ? 1 : 0) << bit[c];
            }
            SIGNS[b] = (byte) signs;
            // the first table row has an even sum; an odd one negates coordinate 7, whose sign is bit 6
            PARITY[b] = (byte) ((ProductTables.FIELDS.get(ValueLayout.JAVA_BYTE, b) & 1) << 6);
        }
    }

    private final CodeMatrix codes;
    private final MemorySegment data;
    private final int groups;
    private final int bits;
    private final int blocks;

    TableMatrix(CodeMatrix codes, Arena arena) {
        this.codes = codes;
        this.groups = codes.groups();
        this.bits = codes.codebook().bits();
        this.blocks = Math.ceilDiv(codes.rows(), BLOCK);
        this.data = arena.allocate((long) blocks * BLOCK * bits * groups, 64);
        // Memory of a confined arena is open to this thread alone.
        Thread other = Thread.ofPlatform().unstarted(() -> {});
        IntStream all = IntStream.range(0, blocks);
        boolean shared = codes.data().isAccessibleBy(other) && data.isAccessibleBy(other);
        (shared ? all.parallel() : all).forEach(this::pack);
    }

    /** Where the codes of a block lie that belong to the groups from the beginning of a chunk on, in units of groups. */
    private long place(int block, int begin) {
        return (long) blocks * begin + (long) block * Math.min(CHUNK, groups - begin);
    }

    private long residuals() {
        return (long) CODE_BYTES * blocks * groups;
    }

    private void pack(int block) {
        MemorySegment from = codes.data();
        long residual = codes.residualOffset();
        int first = block * BLOCK;
        int rows = Math.min(BLOCK, codes.rows() - first);
        for (int begin = 0; begin < groups; begin += CHUNK) {
            int count = Math.min(CHUNK, groups - begin);
            long points = CODE_BYTES * place(block, begin);
            long second = residuals() + (bits == 3 ? BLOCK : CODE_BYTES) * place(block, begin);
            for (int r = 0; r < rows; r++) {
                long row = (long) (first + r) * groups + begin;
                packPoints(from, 2 * row, count, points + r);
                if (bits == 4) {
                    packPoints(from, residual + 2 * row, count, second + r);
                } else if (bits == 3) {
                    for (int g = 0; g < count; g++) {
                        data.set(
                                ValueLayout.JAVA_BYTE,
                                second + r + (long) BLOCK * g,
                                from.get(ValueLayout.JAVA_BYTE, residual + row + g));
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
        return BLOCK;
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
        long sums = (bits == 2 ? 1 : 2) * (long) SUM_BYTES;
        return PIECE * (long) PLANE_BYTES + sums * count * Math.ceilDiv(rows, BLOCK);
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
        int passes = bits == 2 ? 1 : 2;
        long sums = PIECE * (long) PLANE_BYTES;
        long perBlock = (long) SUM_BYTES * passes * count;
        int last = Math.ceilDiv(lastRow, BLOCK);
        int first = firstRow / BLOCK;
        long end = sums + perBlock * (last - first);
        for (long at = sums; at < end; at += 8) {
            scratch.set(ValueLayout.JAVA_LONG_UNALIGNED, at, 0);
        }
        for (int begin = 0; begin < groups; begin += CHUNK) {
            if (count == 1) {
                scratch.set(ValueLayout.JAVA_LONG_UNALIGNED, 0, touch(first, last, begin));
            }
            for (int block = first; block < last; block++) {
                long to = sums + perBlock * (block - first);
                if (count == 1) {
                    multiplyOne(inputs, block, begin, scratch, to);
                } else {
                    multiplyMany(inputs, count, block, begin, scratch, to);
                }
            }
        }
        for (int block = first; block < last; block++) {
            int row = block * BLOCK;
            for (int t = 0; t < count; t++) {
                finish(
                        scratch,
                        sums + perBlock * (block - first) + (long) SUM_BYTES * passes * t,
                        inputs,
                        inputBytes() * t,
                        y,
                        yStride * t,
                        row,
                        Math.min(BLOCK, lastRow - row));
            }
        }
    }

    /**
     * Reads one word of each cache line of the codes of some blocks and a chunk, which lie in one piece. Hardware
     * prefetchers lose the stream of codes among those of the tables; this loop, which does nothing else, brings them from
     * memory at full speed, the faster the longer the piece: 8 KB at half of what 32 KB reach.
     */
    private long touch(int first, int last, int begin) {
        long at = CODE_BYTES * place(first, begin);
        long end = at + (long) CODE_BYTES * Math.min(CHUNK, groups - begin) * (last - first);
        long sum = 0;
        for (; at < end; at += 64) {
            sum += data.get(ValueLayout.JAVA_LONG_UNALIGNED, at);
        }
        return sum;
    }

    /** Adds the products of a block with one chunk of an input. */
    private void multiplyOne(MemorySegment inputs, int block, int begin, MemorySegment scratch, long to) {
        int count = Math.min(CHUNK, groups - begin);
        long place = place(block, begin);
        long tables = ProductTables.HEADER + (long) ProductTables.POINT_BYTES * begin;
        sumPoints(data, CODE_BYTES * place, inputs, tables, count, scratch, to);
        if (bits == 4) {
            sumPoints(data, residuals() + CODE_BYTES * place, inputs, tables, count, scratch, to + SUM_BYTES);
        } else if (bits == 3) {
            tables = ProductTables.HEADER
                    + (long) ProductTables.POINT_BYTES * groups
                    + (long) ProductTables.RESIDUAL_BYTES * begin;
            sumResiduals(data, residuals() + BLOCK * place, inputs, tables, count, scratch, to + SUM_BYTES);
        }
    }

    /** Adds the products of a block with one chunk of several inputs: indices are formed once and looked up for each. */
    private void multiplyMany(MemorySegment inputs, int count, int block, int chunk, MemorySegment scratch, long sums) {
        int passes = bits == 2 ? 1 : 2;
        int end = Math.min(groups, chunk + CHUNK);
        for (int begin = chunk; begin < end; begin += PIECE) {
            int piece = Math.min(PIECE, end - begin);
            long place = place(block, chunk) + (begin - chunk);
            for (int pass = 0; pass < passes; pass++) {
                boolean bytes = pass == 1 && bits == 3;
                if (bytes) {
                    indexResiduals(data, residuals() + BLOCK * place, piece, scratch);
                } else {
                    indexPoints(data, pass * residuals() + CODE_BYTES * place, piece, scratch);
                }
                for (int t = 0; t < count; t++) {
                    long input = inputBytes() * t + ProductTables.HEADER;
                    long to = sums + (long) SUM_BYTES * (t * passes + pass);
                    if (bytes) {
                        input += (long) ProductTables.POINT_BYTES * groups;
                        lookUpResiduals(
                                scratch, inputs, input + (long) ProductTables.RESIDUAL_BYTES * begin, piece, to);
                    } else {
                        lookUpPoints(scratch, inputs, input + (long) ProductTables.POINT_BYTES * begin, piece, to);
                    }
                }
            }
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
                || firstRow % BLOCK != 0
                || lastRow < firstRow
                || lastRow > codes.rows()
                || (lastRow % BLOCK != 0 && lastRow != codes.rows())) {
            throw new IllegalArgumentException(count + " products with rows " + firstRow + " to " + lastRow + " of "
                    + codes.rows() + ": ranges begin and end at multiples of " + BLOCK);
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
     * From the sums of a block to y. The sums are four vectors of ints: u, v, u' and v' with {@code u = sum of pairs of
     * shorts as one int} and {@code u' = sum of the upper shorts}; u of the even rows, v of the odd ones. So row 4 i is
     * {@code u[i] - (u'[i] << 16)}, row 4 i + 1 the same of v, row 4 i + 2 is u'[i] and row 4 i + 3 is v'[i].
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
            if (bits != 2) {
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

    // As in VectorTransform: every method that holds a vector is longer than 325 bytecodes, loops inside and calls
    // nothing
    // but the Vector API, so that C2 compiles it on its own and boxes nothing.

    /**
     * Adds to the sums of a block, four vectors of {@code sums}. Per group of columns, 512 weights: four VPERMI2B look up the
     * fields of 64 magnitude bytes; masks and shifts put them and the signs together to four planes of indices; six VPERMW
     * and two VPERMI2W look up products.
     */
    private static void sumPoints(
            MemorySegment data, long at, MemorySegment tables, long tablesAt, int groups, MemorySegment sums, long to) {
        ByteVector a0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 0, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 64, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 128, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 192, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 256, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 320, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 384, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 448, ORDER);
        IntVector u = IntVector.fromMemorySegment(I, sums, to, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, sums, to + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, sums, to + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, sums, to + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = at + (long) CODE_BYTES * g;
            long q = tablesAt + (long) ProductTables.POINT_BYTES * g;
            ByteVector a = ByteVector.fromMemorySegment(B, data, p, ORDER);
            ShortVector s = ShortVector.fromMemorySegment(S, data, p + BLOCK, ORDER);
            VectorMask<Byte> high = a.compare(VectorOperators.LT, (byte) 0);
            ShortVector m =
                    a.selectFrom(a0, a1).blend(a.selectFrom(a2, a3), high).reinterpretAsShorts();
            ShortVector n =
                    a.selectFrom(b0, b1).blend(a.selectFrom(b2, b3), high).reinterpretAsShorts();
            ShortVector ones =
                    s.reinterpretAsBytes().lanewise(VectorOperators.BIT_COUNT).reinterpretAsShorts();
            ShortVector s2 = s.lanewise(VectorOperators.LSHR, 2);
            ShortVector p0 = m.and((short) 0x1b1b)
                    .or(s.and((short) 0x0404))
                    .or(s2.and((short) 0x2020))
                    .lanewise(VectorOperators.XOR, ones.and((short) 0x0101));
            ShortVector p1 =
                    m.lanewise(VectorOperators.LSHR, 5).and((short) 0x0707).or(s.and((short) 0x1818));
            ShortVector p2 = n.and((short) 0x1c1c).or(s.and((short) 0x0303));
            ShortVector p3 =
                    n.lanewise(VectorOperators.LSHR, 5).and((short) 0x0707).or(s2.and((short) 0x1818));
            ShortVector x0 = ShortVector.fromMemorySegment(S, tables, q, ORDER);
            ShortVector y0 = ShortVector.fromMemorySegment(S, tables, q + 64, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, tables, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, tables, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, tables, q + 256, ORDER);
            IntVector even = p0.selectFrom(x0, y0)
                    .add(p1.selectFrom(x1))
                    .add(p2.selectFrom(x2).add(p3.selectFrom(x3)))
                    .reinterpretAsInts();
            u = u.add(even);
            upperU = upperU.add(even.lanewise(VectorOperators.LSHR, 16));
            IntVector odd = p0.lanewise(VectorOperators.LSHR, 8)
                    .selectFrom(x0, y0)
                    .add(p1.lanewise(VectorOperators.LSHR, 8).selectFrom(x1))
                    .add(p2.lanewise(VectorOperators.LSHR, 8)
                            .selectFrom(x2)
                            .add(p3.lanewise(VectorOperators.LSHR, 8).selectFrom(x3)))
                    .reinterpretAsInts();
            v = v.add(odd);
            upperV = upperV.add(odd.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(sums, to, ORDER);
        v.intoMemorySegment(sums, to + 64, ORDER);
        upperU.intoMemorySegment(sums, to + 128, ORDER);
        upperV.intoMemorySegment(sums, to + 192, ORDER);
    }

    /** As {@link #sumPoints} for residual codes of 8 bits: eight VPERMI2B and eight VPERMW. */
    private static void sumResiduals(
            MemorySegment data, long at, MemorySegment tables, long tablesAt, int groups, MemorySegment sums, long to) {
        IntVector u = IntVector.fromMemorySegment(I, sums, to, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, sums, to + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, sums, to + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, sums, to + 192, ORDER);
        ByteVector a0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 512, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 576, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 640, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 704, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 768, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 832, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 896, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 960, ORDER);
        ByteVector c0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1024, ORDER);
        ByteVector c1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1088, ORDER);
        ByteVector c2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1152, ORDER);
        ByteVector c3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1216, ORDER);
        ByteVector d0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1280, ORDER);
        ByteVector d1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1344, ORDER);
        ByteVector d2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1408, ORDER);
        ByteVector d3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1472, ORDER);
        for (int g = 0; g < groups; g++) {
            long q = tablesAt + (long) ProductTables.RESIDUAL_BYTES * g;
            ByteVector c = ByteVector.fromMemorySegment(B, data, at + (long) BLOCK * g, ORDER);
            VectorMask<Byte> high = c.compare(VectorOperators.LT, (byte) 0);
            ShortVector p0 =
                    c.selectFrom(a0, a1).blend(c.selectFrom(a2, a3), high).reinterpretAsShorts();
            ShortVector p1 =
                    c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), high).reinterpretAsShorts();
            ShortVector p2 =
                    c.selectFrom(c0, c1).blend(c.selectFrom(c2, c3), high).reinterpretAsShorts();
            ShortVector p3 =
                    c.selectFrom(d0, d1).blend(c.selectFrom(d2, d3), high).reinterpretAsShorts();
            ShortVector x0 = ShortVector.fromMemorySegment(S, tables, q, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, tables, q + 64, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, tables, q + 128, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, tables, q + 192, ORDER);
            IntVector even = p0.selectFrom(x0)
                    .add(p1.selectFrom(x1))
                    .add(p2.selectFrom(x2).add(p3.selectFrom(x3)))
                    .reinterpretAsInts();
            u = u.add(even);
            upperU = upperU.add(even.lanewise(VectorOperators.LSHR, 16));
            IntVector odd = p0.lanewise(VectorOperators.LSHR, 8)
                    .selectFrom(x0)
                    .add(p1.lanewise(VectorOperators.LSHR, 8).selectFrom(x1))
                    .add(p2.lanewise(VectorOperators.LSHR, 8)
                            .selectFrom(x2)
                            .add(p3.lanewise(VectorOperators.LSHR, 8).selectFrom(x3)))
                    .reinterpretAsInts();
            v = v.add(odd);
            upperV = upperV.add(odd.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(sums, to, ORDER);
        v.intoMemorySegment(sums, to + 64, ORDER);
        upperU.intoMemorySegment(sums, to + 128, ORDER);
        upperV.intoMemorySegment(sums, to + 192, ORDER);
    }

    /** The first half of {@link #sumPoints}: the four planes of indices of each group of columns. */
    private static void indexPoints(MemorySegment data, long at, int groups, MemorySegment planes) {
        ByteVector a0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 0, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 64, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 128, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 192, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 256, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 320, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 384, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 448, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = at + (long) CODE_BYTES * g;
            long q = (long) PLANE_BYTES * g;
            ByteVector a = ByteVector.fromMemorySegment(B, data, p, ORDER);
            ShortVector s = ShortVector.fromMemorySegment(S, data, p + BLOCK, ORDER);
            VectorMask<Byte> high = a.compare(VectorOperators.LT, (byte) 0);
            ShortVector m =
                    a.selectFrom(a0, a1).blend(a.selectFrom(a2, a3), high).reinterpretAsShorts();
            ShortVector n =
                    a.selectFrom(b0, b1).blend(a.selectFrom(b2, b3), high).reinterpretAsShorts();
            ShortVector ones =
                    s.reinterpretAsBytes().lanewise(VectorOperators.BIT_COUNT).reinterpretAsShorts();
            ShortVector s2 = s.lanewise(VectorOperators.LSHR, 2);
            m.and((short) 0x1b1b)
                    .or(s.and((short) 0x0404))
                    .or(s2.and((short) 0x2020))
                    .lanewise(VectorOperators.XOR, ones.and((short) 0x0101))
                    .intoMemorySegment(planes, q, ORDER);
            m.lanewise(VectorOperators.LSHR, 5)
                    .and((short) 0x0707)
                    .or(s.and((short) 0x1818))
                    .intoMemorySegment(planes, q + 64, ORDER);
            n.and((short) 0x1c1c).or(s.and((short) 0x0303)).intoMemorySegment(planes, q + 128, ORDER);
            n.lanewise(VectorOperators.LSHR, 5)
                    .and((short) 0x0707)
                    .or(s2.and((short) 0x1818))
                    .intoMemorySegment(planes, q + 192, ORDER);
        }
    }

    /** The first half of {@link #sumResiduals}. */
    private static void indexResiduals(MemorySegment data, long at, int groups, MemorySegment planes) {
        ByteVector a0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 512, ORDER);
        ByteVector a1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 576, ORDER);
        ByteVector a2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 640, ORDER);
        ByteVector a3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 704, ORDER);
        ByteVector b0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 768, ORDER);
        ByteVector b1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 832, ORDER);
        ByteVector b2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 896, ORDER);
        ByteVector b3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 960, ORDER);
        ByteVector c0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1024, ORDER);
        ByteVector c1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1088, ORDER);
        ByteVector c2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1152, ORDER);
        ByteVector c3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1216, ORDER);
        ByteVector d0 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1280, ORDER);
        ByteVector d1 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1344, ORDER);
        ByteVector d2 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1408, ORDER);
        ByteVector d3 = ByteVector.fromMemorySegment(B, ProductTables.FIELDS, 1472, ORDER);
        for (int g = 0; g < groups; g++) {
            long q = (long) PLANE_BYTES * g;
            ByteVector c = ByteVector.fromMemorySegment(B, data, at + (long) BLOCK * g, ORDER);
            VectorMask<Byte> high = c.compare(VectorOperators.LT, (byte) 0);
            c.selectFrom(a0, a1).blend(c.selectFrom(a2, a3), high).intoMemorySegment(planes, q, ORDER);
            c.selectFrom(b0, b1).blend(c.selectFrom(b2, b3), high).intoMemorySegment(planes, q + 64, ORDER);
            c.selectFrom(c0, c1).blend(c.selectFrom(c2, c3), high).intoMemorySegment(planes, q + 128, ORDER);
            c.selectFrom(d0, d1).blend(c.selectFrom(d2, d3), high).intoMemorySegment(planes, q + 192, ORDER);
        }
    }

    /** The second half of {@link #sumPoints}: adds to the sums in memory. The sums lie in the segment of the planes. */
    private static void lookUpPoints(MemorySegment planes, MemorySegment tables, long tablesAt, int groups, long to) {
        IntVector u = IntVector.fromMemorySegment(I, planes, to, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, planes, to + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, planes, to + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, planes, to + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = (long) PLANE_BYTES * g;
            long q = tablesAt + (long) ProductTables.POINT_BYTES * g;
            ShortVector p0 = ShortVector.fromMemorySegment(S, planes, p, ORDER);
            ShortVector p1 = ShortVector.fromMemorySegment(S, planes, p + 64, ORDER);
            ShortVector p2 = ShortVector.fromMemorySegment(S, planes, p + 128, ORDER);
            ShortVector p3 = ShortVector.fromMemorySegment(S, planes, p + 192, ORDER);
            ShortVector x0 = ShortVector.fromMemorySegment(S, tables, q, ORDER);
            ShortVector y0 = ShortVector.fromMemorySegment(S, tables, q + 64, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, tables, q + 128, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, tables, q + 192, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, tables, q + 256, ORDER);
            IntVector even = p0.selectFrom(x0, y0)
                    .add(p1.selectFrom(x1))
                    .add(p2.selectFrom(x2).add(p3.selectFrom(x3)))
                    .reinterpretAsInts();
            u = u.add(even);
            upperU = upperU.add(even.lanewise(VectorOperators.LSHR, 16));
            IntVector odd = p0.lanewise(VectorOperators.LSHR, 8)
                    .selectFrom(x0, y0)
                    .add(p1.lanewise(VectorOperators.LSHR, 8).selectFrom(x1))
                    .add(p2.lanewise(VectorOperators.LSHR, 8)
                            .selectFrom(x2)
                            .add(p3.lanewise(VectorOperators.LSHR, 8).selectFrom(x3)))
                    .reinterpretAsInts();
            v = v.add(odd);
            upperV = upperV.add(odd.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(planes, to, ORDER);
        v.intoMemorySegment(planes, to + 64, ORDER);
        upperU.intoMemorySegment(planes, to + 128, ORDER);
        upperV.intoMemorySegment(planes, to + 192, ORDER);
    }

    /** The second half of {@link #sumResiduals}. */
    private static void lookUpResiduals(
            MemorySegment planes, MemorySegment tables, long tablesAt, int groups, long to) {
        IntVector u = IntVector.fromMemorySegment(I, planes, to, ORDER);
        IntVector v = IntVector.fromMemorySegment(I, planes, to + 64, ORDER);
        IntVector upperU = IntVector.fromMemorySegment(I, planes, to + 128, ORDER);
        IntVector upperV = IntVector.fromMemorySegment(I, planes, to + 192, ORDER);
        for (int g = 0; g < groups; g++) {
            long p = (long) PLANE_BYTES * g;
            long q = tablesAt + (long) ProductTables.RESIDUAL_BYTES * g;
            ShortVector p0 = ShortVector.fromMemorySegment(S, planes, p, ORDER);
            ShortVector p1 = ShortVector.fromMemorySegment(S, planes, p + 64, ORDER);
            ShortVector p2 = ShortVector.fromMemorySegment(S, planes, p + 128, ORDER);
            ShortVector p3 = ShortVector.fromMemorySegment(S, planes, p + 192, ORDER);
            ShortVector x0 = ShortVector.fromMemorySegment(S, tables, q, ORDER);
            ShortVector x1 = ShortVector.fromMemorySegment(S, tables, q + 64, ORDER);
            ShortVector x2 = ShortVector.fromMemorySegment(S, tables, q + 128, ORDER);
            ShortVector x3 = ShortVector.fromMemorySegment(S, tables, q + 192, ORDER);
            IntVector even = p0.selectFrom(x0)
                    .add(p1.selectFrom(x1))
                    .add(p2.selectFrom(x2).add(p3.selectFrom(x3)))
                    .reinterpretAsInts();
            u = u.add(even);
            upperU = upperU.add(even.lanewise(VectorOperators.LSHR, 16));
            IntVector odd = p0.lanewise(VectorOperators.LSHR, 8)
                    .selectFrom(x0)
                    .add(p1.lanewise(VectorOperators.LSHR, 8).selectFrom(x1))
                    .add(p2.lanewise(VectorOperators.LSHR, 8)
                            .selectFrom(x2)
                            .add(p3.lanewise(VectorOperators.LSHR, 8).selectFrom(x3)))
                    .reinterpretAsInts();
            v = v.add(odd);
            upperV = upperV.add(odd.lanewise(VectorOperators.LSHR, 16));
        }
        u.intoMemorySegment(planes, to, ORDER);
        v.intoMemorySegment(planes, to + 64, ORDER);
        upperU.intoMemorySegment(planes, to + 128, ORDER);
        upperV.intoMemorySegment(planes, to + 192, ORDER);
    }
}
