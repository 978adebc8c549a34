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
 * <p><b>Layout.</b> For each block and each group of eight columns 128 bytes: the magnitude bytes of 64 rows, then their
 * sign bytes. A sign byte holds the true signs of coordinates 4, 5, 1, 2, 3, 6, 7 in bits 0 to 6 and in bit 7 whether the
 * shift is -1/4; the sign of coordinate 0 follows from them and the parity of the magnitudes. With 3 bits each block's
 * points are followed by 64 bytes a group of residual codes; with 4 bits by its residual codes in the form of the points.
 * The rows of the last block beyond the matrix are zero codes.
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

    /** Groups of columns whose indices are kept for several inputs, 8 KB of them. */
    private static final int CHUNK = 32;

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
    private final long blockBytes;

    TableMatrix(CodeMatrix codes, Arena arena) {
        this.codes = codes;
        this.groups = codes.groups();
        this.bits = codes.codebook().bits();
        this.blockBytes = (long) BLOCK * bits * groups;
        int blocks = Math.ceilDiv(codes.rows(), BLOCK);
        this.data = arena.allocate(blocks * blockBytes, 64);
        // Memory of a confined arena is open to this thread alone.
        Thread other = Thread.ofPlatform().unstarted(() -> {});
        IntStream all = IntStream.range(0, blocks);
        boolean shared = codes.data().isAccessibleBy(other) && data.isAccessibleBy(other);
        (shared ? all.parallel() : all).forEach(this::pack);
    }

    private void pack(int block) {
        MemorySegment from = codes.data();
        long residual = codes.residualOffset();
        int first = block * BLOCK;
        int rows = Math.min(BLOCK, codes.rows() - first);
        long points = block * blockBytes;
        long second = points + (long) CODE_BYTES * groups;
        // By pieces of columns, so that the lines written to stay in the cache.
        for (int begin = 0; begin < groups; begin += CHUNK) {
            int end = Math.min(groups, begin + CHUNK);
            for (int r = 0; r < rows; r++) {
                long row = (long) (first + r) * groups;
                packPoints(from, 2 * row, begin, end, points + r);
                if (bits == 4) {
                    packPoints(from, residual + 2 * row, begin, end, second + r);
                } else if (bits == 3) {
                    for (int g = begin; g < end; g++) {
                        data.set(
                                ValueLayout.JAVA_BYTE,
                                second + r + (long) BLOCK * g,
                                from.get(ValueLayout.JAVA_BYTE, residual + row + g));
                    }
                }
            }
        }
    }

    private void packPoints(MemorySegment from, long at, int begin, int end, long to) {
        for (int g = begin; g < end; g++) {
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
        return count == 1 ? sums : (long) CHUNK * PLANE_BYTES + sums * count * Math.ceilDiv(rows, BLOCK);
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
        if (firstRow == lastRow) {
            return;
        }
        if (count != 1) {
            multiplyMany(inputs, count, y, yStride, firstRow, lastRow, scratch);
            return;
        }
        long points = ProductTables.HEADER;
        long residuals = points + (long) ProductTables.POINT_BYTES * groups;
        for (int row = firstRow; row < lastRow; row += BLOCK) {
            long at = row / BLOCK * blockBytes;
            long second = at + (long) CODE_BYTES * groups;
            sumPoints(data, at, inputs, points, groups, scratch, 0);
            if (bits == 4) {
                sumPoints(data, second, inputs, points, groups, scratch, SUM_BYTES);
            } else if (bits == 3) {
                sumResiduals(data, second, inputs, residuals, groups, scratch, SUM_BYTES);
            }
            finish(scratch, 0, inputs, 0, y, 0, row, Math.min(BLOCK, lastRow - row));
        }
    }

    /** By chunks of columns: a block's indices are formed once and looked up in the tables of each input. */
    private void multiplyMany(
            MemorySegment inputs,
            int count,
            MemorySegment y,
            long yStride,
            int firstRow,
            int lastRow,
            MemorySegment scratch) {
        long sums = (long) CHUNK * PLANE_BYTES;
        int passes = bits == 2 ? 1 : 2;
        int blocks = Math.ceilDiv(lastRow - firstRow, BLOCK);
        long end = sums + (long) SUM_BYTES * passes * count * blocks;
        for (long at = sums; at < end; at += 8) {
            scratch.set(ValueLayout.JAVA_LONG_UNALIGNED, at, 0);
        }
        for (int begin = 0; begin < groups; begin += CHUNK) {
            int chunk = Math.min(CHUNK, groups - begin);
            for (int b = 0; b < blocks; b++) {
                for (int pass = 0; pass < passes; pass++) {
                    boolean bytes = pass == 1 && bits == 3;
                    long at = (firstRow / BLOCK + b) * blockBytes + (long) pass * CODE_BYTES * groups;
                    if (bytes) {
                        indexResiduals(data, at + (long) BLOCK * begin, chunk, scratch);
                    } else {
                        indexPoints(data, at + (long) CODE_BYTES * begin, chunk, scratch);
                    }
                    for (int t = 0; t < count; t++) {
                        long input = inputBytes() * t + ProductTables.HEADER;
                        long to = sums + (long) SUM_BYTES * (((long) b * count + t) * passes + pass);
                        if (bytes) {
                            input += (long) ProductTables.POINT_BYTES * groups;
                            lookUpResiduals(
                                    scratch, inputs, input + (long) ProductTables.RESIDUAL_BYTES * begin, chunk, to);
                        } else {
                            lookUpPoints(scratch, inputs, input + (long) ProductTables.POINT_BYTES * begin, chunk, to);
                        }
                    }
                }
            }
        }
        for (int b = 0; b < blocks; b++) {
            int row = firstRow + b * BLOCK;
            for (int t = 0; t < count; t++) {
                finish(
                        scratch,
                        sums + (long) SUM_BYTES * passes * ((long) b * count + t),
                        inputs,
                        inputBytes() * t,
                        y,
                        yStride * t,
                        row,
                        Math.min(BLOCK, lastRow - row));
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
     * The sums of a block, four vectors, go to {@code sums}. Per group of columns, 512 weights: four VPERMI2B look up the
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
        IntVector u = IntVector.zero(I);
        IntVector v = u;
        IntVector upperU = u;
        IntVector upperV = u;
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
        IntVector u = IntVector.zero(I);
        IntVector v = u;
        IntVector upperU = u;
        IntVector upperV = u;
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
