package dev.gosset.core.kernel.encode;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.kernel.bounds.Arguments;
import dev.gosset.core.kernel.contract.EncodeKernel;
import dev.gosset.core.kernel.memory.NativeMemory;
import dev.gosset.core.kernel.oracle.ScalarEncode;
import dev.gosset.core.kernel.points.PointTables;
import dev.gosset.core.kernel.points.VectorMatvec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Nearest codebook points by the Vector API: one input vector per lane, no search over the 65536 points.
 *
 * <p><b>E8P.</b> For a shift of +-1/4 let {@code z = x - shift} and {@code w = |z|}. A magnitude row a of the codebook
 * gains {@code <w, a> - |a|^2 / 2} when the number of its minus signs may be that of z; else the sign that costs least is
 * flipped. Relative to the row of eight 1/2, and with w sorted in descending order:
 *
 * <ul>
 *   <li>The rows with {@code |a|^2 <= 10} are all arrangements of seven patterns, of which the best puts large magnitudes
 *       where w is large: k times 3/2 for k = 0..4 gains {@code w1 + .. + wk - k}, one 5/2 gains {@code 2 w1 - 3}, one 5/2
 *       and one 3/2 gain {@code 2 w1 + w2 - 4}. The parity of the number of minus signs is that of the number of 3/2; a
 *       wrong one costs the smallest w, since every pattern has a 1/2 left for it.
 *   <li>The 29 rows with {@code |a|^2 = 12} have five 3/2 and are taken one by one: with C the coordinates of the three
 *       1/2, the gain is {@code sum of w outside C - 5}, less, for a wrong parity, the minimum of w over C and of 3 w
 *       elsewhere.
 * </ul>
 *
 * Four stages over lanes follow one another, joined by scratch memory, because C2 boxes vectors in methods that are too
 * large: {@link #transpose}, {@link #ball}, {@link #shell}, {@link #choose}. Every w carries its coordinate in the three
 * lowest bits of its mantissa, so that no two are equal: comparing with the k-th largest finds exactly k coordinates.
 *
 * <p><b>E81B</b> has four patterns of the same kind: zero, two +-1, eight +-1/2, and one +-2.
 *
 * <p>The points are those of the float64 oracle except where two are equally near within float rounding. For inputs
 * beyond 1e15 and for those that are not finite, some code is delivered.
 *
 * <p>Thread-safe; scratch memory of 14 KB for each thread, allocated when it first calls. Allocates nothing afterwards.
 * Source: spec/quip-sharp.md, sections 4.1 to 4.5.
 */
public final class VectorEncode implements EncodeKernel {
    private static final boolean WIDEST = FloatVector.SPECIES_PREFERRED.length() >= 16;
    private static final VectorSpecies<Float> F = WIDEST ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> I = WIDEST ? IntVector.SPECIES_512 : IntVector.SPECIES_PREFERRED;
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final MemorySegment ALL = NativeMemory.ALL;
    private static final int LANES = F.length();

    /** 128 bits: what SSE4 and AVX can do. */
    private static final boolean NARROW = LANES == 4;

    private static final int DIMENSION = Codebook.DIMENSION;
    private static final int ROW = PointTables.ROW;

    /** For codebooks whose points are not in the tables. */
    private static final ScalarEncode PLAIN = new ScalarEncode();

    /** Vectors that pass through the stages together. */
    private static final int CHUNK = 64;

    /** Bytes of one plane: a value for each vector of the chunk. */
    private static final int PLANE = 4 * CHUNK;

    private static final int VECTOR = 4 * LANES;

    // Scratch memory, in bytes: the stages have its address. X to PLUS are planes, in the order of a code's sign bits;
    // the rest is as named.
    private static final int X = 0;
    private static final int W = X + 8 * PLANE;
    private static final int FLIPS = W + 8 * PLANE;
    private static final int MINUS = FLIPS + 8 * PLANE;
    private static final int PLUS = MINUS + 7 * PLANE;
    private static final int FOUND = PLUS + 7 * PLANE;
    private static final int CODES = FOUND + PLANE;
    private static final int INPUT = CODES + PLANE;
    private static final int POINTS = INPUT + CHUNK * ROW;
    private static final int SCRATCH = POINTS + CHUNK * ROW;

    // What is known of one shift, planes at MINUS or PLUS: the best gain, the squared distance up to a constant, the
    // sum
    // of w, the least w that gets 3/2, the least that gets 5/2, the sign bit to flip or NO_FLIP, the key of a row of
    // norm
    // 12 or 0.
    private static final int GAIN = 0;
    private static final int DISTANCE = PLANE;
    private static final int SUM = 2 * PLANE;
    private static final int THREE = 3 * PLANE;
    private static final int FIVE = 4 * PLANE;
    private static final int FLIP = 5 * PLANE;
    private static final int SHELL = 6 * PLANE;

    private static final int NO_FLIP = 8;

    /** The bits of a w that say which coordinate it is. */
    private static final int TAG = 7;

    private static final int UNTAGGED = Integer.MAX_VALUE & ~TAG;

    private static final VectorShuffle<Float> SWAP_1 = VectorShuffle.fromOp(F, l -> l ^ 1);
    private static final VectorShuffle<Float> SWAP_2 = VectorShuffle.fromOp(F, l -> l ^ 2);
    private static final VectorShuffle<Float> SWAP_4 = VectorShuffle.fromOp(F, l -> (l ^ 4) & (LANES - 1));
    private static final VectorMask<Float> UPPER_1 = upper(1);
    private static final VectorMask<Float> UPPER_2 = upper(2);
    private static final VectorMask<Float> UPPER_4 = upper(4);

    /** With 16 lanes, {@link #transpose} leaves vector {@code 2 i + j} in lane {@code i + 8 j}. */
    private static final VectorShuffle<Integer> IN_ORDER =
            VectorShuffle.fromOp(I, l -> LANES == 16 ? l / 2 + 8 * (l % 2) : l);

    // The rows of norm 12: the planes of their three 1/2, and their keys.
    private static final int[] SHELL_A = shell(0);
    private static final int[] SHELL_B = shell(1);
    private static final int[] SHELL_C = shell(2);
    private static final int[] SHELL_KEY = shell(3);

    /** By key: {@code a << 8}, with bit 7 set where the sum of row a is odd. */
    private static final short[] E8P_CODE = new short[6561];

    /**
     * E81B codes, by 32 i + 4 j + 2 (v_i < 0) + (v_j < 0) for roots with nonzero coordinates of sign bits i and j; by 256 +
     * sign bits for +-1/2; by 512 + i + 8 (v_i < 0) for +-2; at 528 for zero.
     */
    private static final short[] E81B_CODE = new short[529];

    private static final int HALVES = 256;
    private static final int TWO = 512;
    private static final int ZERO = 528;

    static {
        byte[] rows = E8p.doubledMagnitudes();
        for (int a = 0; a < E8p.MAGNITUDES; a++) {
            int sum = 0;
            for (int c = 0; c < DIMENSION; c++) {
                sum += rows[a * DIMENSION + c];
            }
            E8P_CODE[key(rows, a)] = (short) (a << 8 | (sum / 2 & 1) << 7);
        }
        byte[] points = E81b.doubledPoints();
        for (int code = 0; code < E81b.POINTS; code++) {
            int signs = 0;
            int[] nonzero = new int[DIMENSION + 1];
            int count = 0;
            int largest = 0;
            for (int k = 0; k < DIMENSION; k++) {
                int v = points[code * DIMENSION + E8p.coordinate(k)];
                signs |= (v < 0 ? 1 : 0) << k;
                if (v != 0) {
                    nonzero[count++] = k;
                }
                largest = Math.max(largest, Math.abs(v));
            }
            int i = nonzero[0];
            int j = nonzero[1];
            int si = signs >> i & 1;
            int sj = signs >> j & 1;
            switch (largest) {
                case 0 -> E81B_CODE[ZERO] = (short) code;
                case 1 -> E81B_CODE[HALVES + signs] = (short) code;
                case 2 -> {
                    E81B_CODE[32 * i + 4 * j + 2 * si + sj] = (short) code;
                    E81B_CODE[32 * j + 4 * i + 2 * sj + si] = (short) code;
                }
                default -> E81B_CODE[TWO + i + 8 * si] = (short) code;
            }
        }
    }

    private static final ThreadLocal<MemorySegment> SCRATCHES =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(SCRATCH, 64));

    private static VectorMask<Float> upper(int bit) {
        long mask = 0;
        for (int l = 0; l < LANES; l++) {
            mask |= (l & bit) != 0 ? 1L << l : 0;
        }
        return VectorMask.fromLong(F, mask);
    }

    /** A number for the magnitudes of row a: in base 3, digit k is 0, 1, 2 for 1/2, 3/2, 5/2 at sign bit k. */
    private static int key(byte[] rows, int a) {
        int key = 0;
        for (int k = DIMENSION - 1; k >= 0; k--) {
            key = 3 * key + rows[a * DIMENSION + E8p.coordinate(k)] / 2;
        }
        return key;
    }

    /** For the rows of norm 12: the plane of the {@code which}-th 1/2, or the key where {@code which} is 3. */
    private static int[] shell(int which) {
        byte[] rows = E8p.doubledMagnitudes();
        int[] found = new int[E8p.MAGNITUDES];
        int count = 0;
        for (int a = 0; a < E8p.MAGNITUDES; a++) {
            int norm = 0;
            int[] planes = new int[DIMENSION + 1];
            int halves = 0;
            for (int k = 0; k < DIMENSION; k++) {
                int v = rows[a * DIMENSION + E8p.coordinate(k)];
                norm += v * v;
                if (v == 1) {
                    planes[halves++] = k * PLANE;
                }
            }
            if (norm == 4 * 12) {
                found[count++] = which == 3 ? key(rows, a) : planes[which];
            }
        }
        return Arrays.copyOf(found, count);
    }

    @Override
    public void nearest(Codebook codebook, MemorySegment x, int count, MemorySegment values, MemorySegment codes) {
        Arguments.check(x, count, values, codes);
        if (!PointTables.holdScaled(codebook)) {
            PLAIN.nearest(codebook, x, count, values, codes);
            return;
        }
        MemorySegment s = SCRATCHES.get();
        long at = NativeMemory.writable(s, 0, SCRATCH);
        int bits = codebook.bits();
        for (int start = 0; start < count; start += CHUNK) {
            int n = Math.min(CHUNK, count - start);
            int end = Math.ceilDiv(n, LANES) * VECTOR;
            MemorySegment.copy(x, (long) ROW * start, s, INPUT, (long) ROW * n);
            transpose(at, end);
            searchE8p(at, end);
            finishE8p(s, n);
            if (bits != 2) {
                enlargeResidual(at, end, bits);
                transpose(at, end);
                if (bits == 4) {
                    searchE8p(at, end);
                    finishTwice(s, n);
                } else {
                    if (NARROW) {
                        searchE81bOneByOne(s, n);
                    } else {
                        searchE81b(at, end);
                    }
                    finishWithByte(s, n);
                }
            }
            MemorySegment.copy(s, CODES, codes, 4L * start, 4L * n);
            MemorySegment.copy(s, POINTS, values, (long) ROW * start, (long) ROW * n);
        }
        Reference.reachabilityFence(s);
    }

    private static void searchE8p(long s, int end) {
        ball(s, end, -0.25f, MINUS);
        shell(s, end, MINUS);
        ball(s, end, 0.25f, PLUS);
        shell(s, end, PLUS);
        choose(s, end);
    }

    /** INPUT becomes (INPUT - POINTS) times the residual scale. */
    private static void enlargeResidual(long s, int end, int bits) {
        FloatVector scale =
                FloatVector.fromMemorySegment(F, PointTables.SCALES, (long) PointTables.SCALE_ROW * bits, ORDER);
        for (int o = 0; o < DIMENSION * end; o += VECTOR) {
            floats(s, INPUT + o)
                    .sub(floats(s, POINTS + o))
                    .mul(scale)
                    .intoMemorySegment(ALL, s + INPUT + o & NativeMemory.ADDRESS, ORDER);
        }
    }

    private static void finishE8p(MemorySegment s, int n) {
        for (int i = 0; i < n; i++) {
            int code = e8pCode(s, i);
            s.set(INT, CODES + 4L * i, code);
            VectorMatvec.storePoint(code, s, POINTS + (long) ROW * i);
        }
    }

    private static void finishTwice(MemorySegment s, int n) {
        for (int i = 0; i < n; i++) {
            int c1 = e8pCode(s, i);
            s.set(INT, FOUND + 4L * i, c1);
            VectorMatvec.storeQuotient(c1, s, POINTS + (long) ROW * i);
        }
        addFirst(s, n);
    }

    private static void finishWithByte(MemorySegment s, int n) {
        for (int i = 0; i < n; i++) {
            int c1 = E81B_CODE[s.get(INT, FOUND + 4L * i)];
            s.set(INT, FOUND + 4L * i, c1);
            VectorMatvec.storeQuotientOfByte(c1, s, POINTS + (long) ROW * i);
        }
        addFirst(s, n);
    }

    /** Adds to each residual point the first point, and to its code in FOUND the first code. */
    private static void addFirst(MemorySegment s, int n) {
        for (int i = 0; i < n; i++) {
            int c0 = s.get(INT, CODES + 4L * i);
            s.set(INT, CODES + 4L * i, c0 << 16 | s.get(INT, FOUND + 4L * i));
            VectorMatvec.addPoint(c0, s, POINTS + (long) ROW * i);
        }
    }

    /** From a key and, below it, the sign bits of a point: coordinate 7 has one more flip where the row's sum is odd. */
    private static int e8pCode(MemorySegment s, int i) {
        int found = s.get(INT, FOUND + 4L * i);
        return (E8P_CODE[found >>> 8] ^ found & 0xff) & 0xffff;
    }

    private static FloatVector floats(long s, long at) {
        return FloatVector.fromMemorySegment(F, ALL, s + at & NativeMemory.ADDRESS, ORDER);
    }

    private static IntVector ints(long s, long at) {
        return IntVector.fromMemorySegment(I, ALL, s + at & NativeMemory.ADDRESS, ORDER);
    }

    /** Plane k of X receives the coordinate of sign bit k of every vector of INPUT. */
    private static void transpose(long s, int end) {
        for (int o = 0; o < end; o += VECTOR) {
            transposeBatch(s, INPUT + DIMENSION * o, X + o);
        }
    }

    /**
     * Eight registers hold LANES vectors. Each step exchanges one bit of the lane number with one of the register number,
     * so that afterwards the register number is the coordinate.
     */
    private static void transposeBatch(long s, long from, long to) {
        if (LANES == 4) {
            for (int half = 0; half < 2; half++) {
                transposeHalf(s, from + (long) half * VECTOR, to, 4 * half);
            }
        } else {
            transposeEight(s, from, to);
        }
    }

    private static void transposeEight(long s, long from, long to) {
        FloatVector r0 = floats(s, from);
        FloatVector r1 = floats(s, from + VECTOR);
        FloatVector r2 = floats(s, from + 2L * VECTOR);
        FloatVector r3 = floats(s, from + 3L * VECTOR);
        FloatVector r4 = floats(s, from + 4L * VECTOR);
        FloatVector r5 = floats(s, from + 5L * VECTOR);
        FloatVector r6 = floats(s, from + 6L * VECTOR);
        FloatVector r7 = floats(s, from + 7L * VECTOR);
        FloatVector a0 = lower1(r0, r1);
        FloatVector a1 = upper1(r0, r1);
        FloatVector a2 = lower1(r2, r3);
        FloatVector a3 = upper1(r2, r3);
        FloatVector a4 = lower1(r4, r5);
        FloatVector a5 = upper1(r4, r5);
        FloatVector a6 = lower1(r6, r7);
        FloatVector a7 = upper1(r6, r7);
        store(s, to, lower2(a0, a2), lower2(a4, a6), 0);
        store(s, to, lower2(a1, a3), lower2(a5, a7), 1);
        store(s, to, upper2(a0, a2), upper2(a4, a6), 2);
        store(s, to, upper2(a1, a3), upper2(a5, a7), 3);
    }

    private static void store(long s, long to, FloatVector a, FloatVector b, int coordinate) {
        a.blend(b.rearrange(SWAP_4), UPPER_4)
                .intoMemorySegment(ALL, s + to + plane(coordinate) & NativeMemory.ADDRESS, ORDER);
        a.rearrange(SWAP_4)
                .blend(b, UPPER_4)
                .intoMemorySegment(ALL, s + to + plane(coordinate + 4) & NativeMemory.ADDRESS, ORDER);
    }

    /** Four vectors, of which four coordinates lie in every second register of four lanes. */
    private static void transposeHalf(long s, long from, long to, int coordinate) {
        FloatVector r0 = floats(s, from);
        FloatVector r1 = floats(s, from + 2L * VECTOR);
        FloatVector r2 = floats(s, from + 4L * VECTOR);
        FloatVector r3 = floats(s, from + 6L * VECTOR);
        FloatVector a0 = lower1(r0, r1);
        FloatVector a1 = upper1(r0, r1);
        FloatVector a2 = lower1(r2, r3);
        FloatVector a3 = upper1(r2, r3);
        lower2(a0, a2).intoMemorySegment(ALL, s + to + plane(coordinate) & NativeMemory.ADDRESS, ORDER);
        lower2(a1, a3).intoMemorySegment(ALL, s + to + plane(coordinate + 1) & NativeMemory.ADDRESS, ORDER);
        upper2(a0, a2).intoMemorySegment(ALL, s + to + plane(coordinate + 2) & NativeMemory.ADDRESS, ORDER);
        upper2(a1, a3).intoMemorySegment(ALL, s + to + plane(coordinate + 3) & NativeMemory.ADDRESS, ORDER);
    }

    /** Offset of the plane of a coordinate: the inverse of {@link E8p#coordinate}. */
    private static int plane(int coordinate) {
        return ((coordinate & 1) * 4 + (coordinate >> 1)) * PLANE;
    }

    private static FloatVector lower1(FloatVector a, FloatVector b) {
        return a.blend(b.rearrange(SWAP_1), UPPER_1);
    }

    private static FloatVector upper1(FloatVector a, FloatVector b) {
        return a.rearrange(SWAP_1).blend(b, UPPER_1);
    }

    private static FloatVector lower2(FloatVector a, FloatVector b) {
        return a.blend(b.rearrange(SWAP_2), UPPER_2);
    }

    private static FloatVector upper2(FloatVector a, FloatVector b) {
        return a.rearrange(SWAP_2).blend(b, UPPER_2);
    }

    /** The best row with {@code |a|^2 <= 10}. Leaves w in W, and in FLIPS what shell needs. */
    private static void ball(long s, int end, float shift, int record) {
        for (int o = 0; o < end; o += VECTOR) {
            magnitudes(s, o, shift, record + o);
            sorted(s, o, record + o);
            gains(s, o, record + o);
            flips(s, o, record + o);
        }
    }

    // Between magnitudes, sorted, gains and flips the planes of a record hold other things, named here: the largest
    // four w
    // in descending order, the smallest, and a word whose sign is the parity of the number of minus signs.
    private static final int LARGEST = GAIN;
    private static final int SECOND = THREE;
    private static final int THIRD = FIVE;
    private static final int FOURTH = FLIP;
    private static final int LEAST = SHELL;

    private static void magnitudes(long s, int o, float shift, int r) {
        IntVector parity = IntVector.zero(I);
        FloatVector sumOfX = FloatVector.zero(F);
        FloatVector sum = sumOfX;
        for (int k = 0; k < DIMENSION; k++) {
            FloatVector x = floats(s, X + o + k * PLANE);
            IntVector z = x.sub(shift).reinterpretAsInts();
            IntVector w = z.and(UNTAGGED).or(k);
            w.intoMemorySegment(ALL, s + W + o + (long) k * PLANE & NativeMemory.ADDRESS, ORDER);
            parity = parity.lanewise(VectorOperators.XOR, z);
            sumOfX = sumOfX.add(x);
            sum = sum.add(z.and(Integer.MAX_VALUE).reinterpretAsFloats());
        }
        sum.intoMemorySegment(ALL, s + r + SUM & NativeMemory.ADDRESS, ORDER);
        sumOfX.mul(-2 * shift).sub(sum).intoMemorySegment(ALL, s + r + DISTANCE & NativeMemory.ADDRESS, ORDER);
        parity.intoMemorySegment(ALL, s + FOUND + o & NativeMemory.ADDRESS, ORDER);
    }

    /** The four largest of the eight w, in order, and the smallest. All comparisons are vpmaxsd and vpminsd. */
    private static void sorted(long s, int o, int r) {
        IntVector w0 = ints(s, W + o);
        IntVector w1 = ints(s, W + o + PLANE);
        IntVector w2 = ints(s, W + o + 2 * PLANE);
        IntVector w3 = ints(s, W + o + 3 * PLANE);
        IntVector a0 = w0.max(w1);
        IntVector a1 = w0.min(w1);
        IntVector a2 = w2.max(w3);
        IntVector a3 = w2.min(w3);
        IntVector high = a0.max(a2);
        IntVector up = a0.min(a2);
        IntVector down = a1.max(a3);
        IntVector low = a1.min(a3);
        IntVector second = up.max(down);
        IntVector third = up.min(down);

        w0 = ints(s, W + o + 4 * PLANE);
        w1 = ints(s, W + o + 5 * PLANE);
        w2 = ints(s, W + o + 6 * PLANE);
        w3 = ints(s, W + o + 7 * PLANE);
        a0 = w0.max(w1);
        a1 = w0.min(w1);
        a2 = w2.max(w3);
        a3 = w2.min(w3);
        up = a0.min(a2);
        down = a1.max(a3);
        // The larger of each pair of opposite ranks: the four largest of all, ascending and then descending.
        IntVector m3 = low.max(a0.max(a2));
        IntVector m2 = third.max(up.max(down));
        IntVector m1 = second.max(up.min(down));
        IntVector m0 = high.max(a1.min(a3));
        low.min(a1.min(a3)).intoMemorySegment(ALL, s + r + LEAST & NativeMemory.ADDRESS, ORDER);

        a0 = m0.max(m2);
        a2 = m0.min(m2);
        a1 = m1.max(m3);
        a3 = m1.min(m3);
        a0.max(a1).intoMemorySegment(ALL, s + r + LARGEST & NativeMemory.ADDRESS, ORDER);
        a0.min(a1).intoMemorySegment(ALL, s + r + SECOND & NativeMemory.ADDRESS, ORDER);
        a2.max(a3).intoMemorySegment(ALL, s + r + THIRD & NativeMemory.ADDRESS, ORDER);
        a2.min(a3).intoMemorySegment(ALL, s + r + FOURTH & NativeMemory.ADDRESS, ORDER);
    }

    /** The best of the seven patterns. */
    private static void gains(long s, int o, int r) {
        IntVector w1 = ints(s, r + LARGEST);
        IntVector w2 = ints(s, r + SECOND);
        IntVector w3 = ints(s, r + THIRD);
        IntVector w4 = ints(s, r + FOURTH);
        IntVector least = ints(s, r + LEAST);
        FloatVector f1 = w1.reinterpretAsFloats();
        FloatVector f2 = w2.reinterpretAsFloats();
        FloatVector f3 = w3.reinterpretAsFloats();
        VectorMask<Integer> odd = ints(s, FOUND + o).lt(0);
        IntVector none = IntVector.broadcast(I, Integer.MAX_VALUE);

        // An even number of minus signs: no 3/2, two, four, or one 5/2.
        FloatVector two = f1.add(f2).sub(2);
        FloatVector four = two.add(f3.add(w4.reinterpretAsFloats()).sub(2));
        FloatVector one = f1.sub(1);
        FloatVector five = one.add(one).sub(1);
        FloatVector even = two.lanewise(VectorOperators.MAX, 0);
        VectorMask<Float> better = two.compare(VectorOperators.GT, 0);
        IntVector three = none.blend(w2, better.cast(I));
        better = four.compare(VectorOperators.GT, even);
        even = even.blend(four, better);
        three = three.blend(w4, better.cast(I));
        better = five.compare(VectorOperators.GT, even);
        even = even.blend(five, better);
        three = three.blend(w1, better.cast(I));
        IntVector fives = none.blend(w1, better.cast(I));
        even = even.sub(least.reinterpretAsFloats(), odd.cast(F));

        // An odd number: one 3/2, three, or a 5/2 and a 3/2.
        FloatVector oneThree = one.add(f2.add(f3).sub(2));
        FloatVector fiveThree = five.add(f2).sub(1);
        better = oneThree.compare(VectorOperators.GT, one);
        FloatVector uneven = one.blend(oneThree, better);
        IntVector threeOfOdd = w1.blend(w3, better.cast(I));
        better = fiveThree.compare(VectorOperators.GT, uneven);
        uneven = uneven.blend(fiveThree, better);
        threeOfOdd = threeOfOdd.blend(w2, better.cast(I));
        IntVector fivesOfOdd = none.blend(w1, better.cast(I));
        uneven = uneven.sub(least.reinterpretAsFloats(), odd.not().cast(F));

        better = uneven.compare(VectorOperators.GT, even);
        VectorMask<Integer> isOdd = better.cast(I);
        even.blend(uneven, better).intoMemorySegment(ALL, s + r + GAIN & NativeMemory.ADDRESS, ORDER);
        three.blend(threeOfOdd, isOdd).intoMemorySegment(ALL, s + r + THREE & NativeMemory.ADDRESS, ORDER);
        fives.blend(fivesOfOdd, isOdd).intoMemorySegment(ALL, s + r + FIVE & NativeMemory.ADDRESS, ORDER);
        IntVector.broadcast(I, NO_FLIP)
                .blend(least.and(TAG), isOdd.xor(odd))
                .intoMemorySegment(ALL, s + r + FLIP & NativeMemory.ADDRESS, ORDER);
    }

    /**
     * What flipping costs a row of norm 12, whose number of minus signs is odd: for each coordinate that may hold a 1/2,
     * the lesser of its w and three times the least w, tagged with the coordinate that is flipped; zero where the number is
     * odd anyhow.
     */
    private static void flips(long s, int o, int r) {
        IntVector least = ints(s, r + LEAST);
        IntVector three = least.reinterpretAsFloats()
                .mul(3)
                .reinterpretAsInts()
                .and(UNTAGGED)
                .or(least.and(TAG));
        // All ones where the number is even.
        IntVector even = ints(s, FOUND + o).lanewise(VectorOperators.ASHR, 31).not();
        for (int k = 0; k < DIMENSION; k++) {
            ints(s, W + o + k * PLANE)
                    .min(three)
                    .and(even)
                    .intoMemorySegment(ALL, s + FLIPS + o + (long) k * PLANE & NativeMemory.ADDRESS, ORDER);
        }
    }

    /** The best row with {@code |a|^2 = 12}, where it is better than the best of the ball; and the squared distance. */
    private static void shell(long s, int end, int record) {
        for (int o = 0; o < end; o += VECTOR) {
            shellBatch(s, o, record + o);
        }
    }

    private static void shellBatch(long s, int o, int r) {
        FloatVector least = FloatVector.broadcast(F, Float.MAX_VALUE);
        IntVector key = IntVector.zero(I);
        IntVector flip = key;
        for (int i = 0; i < SHELL_KEY.length; i++) {
            int a = SHELL_A[i] + o;
            int b = SHELL_B[i] + o;
            int c = SHELL_C[i] + o;
            IntVector flips = ints(s, FLIPS + a).min(ints(s, FLIPS + b)).min(ints(s, FLIPS + c));
            FloatVector cost =
                    floats(s, W + a).add(floats(s, W + b)).add(floats(s, W + c)).add(flips.reinterpretAsFloats());
            VectorMask<Float> better = cost.compare(VectorOperators.LT, least);
            least = least.blend(cost, better);
            key = key.blend(SHELL_KEY[i], better.cast(I));
            flip = flip.blend(flips, better.cast(I));
        }
        FloatVector gain = floats(s, r + SUM).sub(least).sub(5);
        FloatVector ball = floats(s, r + GAIN);
        VectorMask<Float> better = gain.compare(VectorOperators.GT, ball);
        VectorMask<Integer> isShell = better.cast(I);
        FloatVector best = ball.blend(gain, better);
        floats(s, r + DISTANCE)
                .sub(best.add(best))
                .intoMemorySegment(ALL, s + r + DISTANCE & NativeMemory.ADDRESS, ORDER);
        IntVector.zero(I).blend(key, isShell).intoMemorySegment(ALL, s + r + SHELL & NativeMemory.ADDRESS, ORDER);
        VectorMask<Integer> flipped = ints(s, FOUND + o).compare(VectorOperators.GE, 0);
        IntVector flippedBit = IntVector.broadcast(I, NO_FLIP).blend(flip.and(TAG), flipped);
        ints(s, r + FLIP).blend(flippedBit, isShell).intoMemorySegment(ALL, s + r + FLIP & NativeMemory.ADDRESS, ORDER);
    }

    /**
     * Two to the power of each lane, 0 to 8, in its nine lowest bits; the others may be set. Processors without AVX2 shift
     * all lanes by one count only, so it is read from a float whose exponent is the lane, added to one whose last bit is
     * worth 1.
     */
    private static IntVector powerOfTwo(IntVector exponent) {
        return exponent.add(127)
                .lanewise(VectorOperators.LSHL, 23)
                .reinterpretAsFloats()
                .add(0x1p23f)
                .reinterpretAsInts();
    }

    /** The better shift; FOUND receives {@code key << 8 | sign bits}, in the order of the vectors. */
    private static void choose(long s, int end) {
        for (int o = 0; o < end; o += VECTOR) {
            chooseBatch(s, o);
        }
    }

    private static void chooseBatch(long s, int o) {
        VectorMask<Float> isMinus =
                floats(s, MINUS + o + DISTANCE).compare(VectorOperators.LT, floats(s, PLUS + o + DISTANCE));
        VectorMask<Integer> minus = isMinus.cast(I);
        FloatVector shift = FloatVector.broadcast(F, 0.25f).blend(-0.25f, isMinus);
        IntVector three = ints(s, PLUS + o + THREE).blend(ints(s, MINUS + o + THREE), minus);
        IntVector five = ints(s, PLUS + o + FIVE).blend(ints(s, MINUS + o + FIVE), minus);
        IntVector flip = ints(s, PLUS + o + FLIP).blend(ints(s, MINUS + o + FLIP), minus);
        IntVector shell = ints(s, PLUS + o + SHELL).blend(ints(s, MINUS + o + SHELL), minus);
        IntVector key = IntVector.zero(I);
        IntVector signs = IntVector.zero(I).blend(1, minus);
        for (int k = 0, power = 1; k < DIMENSION; k++, power *= 3) {
            IntVector z = floats(s, X + o + k * PLANE).sub(shift).reinterpretAsInts();
            IntVector w = z.and(UNTAGGED).or(k);
            key = key.add(power, w.compare(VectorOperators.GE, three)).add(power, w.compare(VectorOperators.GE, five));
            signs = signs.lanewise(
                    VectorOperators.XOR, z.lanewise(VectorOperators.LSHR, 31).lanewise(VectorOperators.LSHL, k));
        }
        key = key.blend(shell, shell.compare(VectorOperators.NE, 0));
        signs = signs.lanewise(
                VectorOperators.XOR,
                (NARROW ? powerOfTwo(flip) : IntVector.broadcast(I, 1).lanewise(VectorOperators.LSHL, flip)).and(255));
        key.lanewise(VectorOperators.LSHL, 8)
                .or(signs)
                .rearrange(IN_ORDER)
                .intoMemorySegment(ALL, s + FOUND + o & NativeMemory.ADDRESS, ORDER);
    }

    /** FOUND receives indices of {@link #E81B_CODE}, in the order of the vectors. */
    private static void searchE81b(long s, int end) {
        for (int o = 0; o < end; o += VECTOR) {
            searchE81bBatch(s, o);
        }
    }

    /** The same without vectors: processors without AVX2 lack shifts by lane, and C2 boxes what takes their place. */
    private static void searchE81bOneByOne(MemorySegment s, int n) {
        for (int v = 0; v < n; v++) {
            int first = 0;
            int second = 0;
            int signs = 0;
            int least = Integer.MAX_VALUE;
            int ofTwo = 0;
            float sum = 0;
            for (int k = 0; k < DIMENSION; k++) {
                int z = s.get(INT, X + k * PLANE + 4L * v);
                int w = z & UNTAGGED | k;
                second = Math.max(second, Math.min(first, w));
                first = Math.max(first, w);
                least = Math.min(least, w);
                sum += Float.intBitsToFloat(w);
                signs |= z >>> 31 << k;
                ofTwo = Math.max(ofTwo, k == DIMENSION - 1 && z < 0 ? k : w);
            }
            int odd = Integer.bitCount(signs) & 1;
            float root = Float.intBitsToFloat(first) + Float.intBitsToFloat(second) - 1;
            float halves = sum * 0.5f - 1 - odd * Float.intBitsToFloat(least);
            float two = 2 * Float.intBitsToFloat(ofTwo) - 2;
            int found = ZERO;
            float best = 0;
            if (root > best) {
                int i = first & TAG;
                int j = second & TAG;
                best = root;
                found = 32 * i + 4 * j + 2 * (signs >> i & 1) + (signs >> j & 1);
            }
            if (halves > best) {
                best = halves;
                found = HALVES + (signs ^ odd << (least & TAG));
            }
            if (two > best) {
                int i = ofTwo & TAG;
                found = TWO + i + 8 * (signs >> i & 1);
            }
            s.set(INT, FOUND + 4L * v, found);
        }
    }

    private static void searchE81bBatch(long s, int o) {
        IntVector first = IntVector.zero(I);
        IntVector second = first;
        IntVector signs = first;
        IntVector least = IntVector.broadcast(I, Integer.MAX_VALUE);
        IntVector ofTwo = first;
        FloatVector sum = FloatVector.zero(F);
        for (int k = 0; k < DIMENSION; k++) {
            IntVector z = ints(s, X + o + k * PLANE);
            IntVector w = z.and(UNTAGGED).or(k);
            second = second.max(first.min(w));
            first = first.max(w);
            least = least.min(w);
            sum = sum.add(w.reinterpretAsFloats());
            signs = signs.or(z.lanewise(VectorOperators.LSHR, 31).lanewise(VectorOperators.LSHL, k));
            // -2 e_7 is no point of the codebook; coordinate 7 is the last.
            ofTwo = ofTwo.max(k == DIMENSION - 1 ? w.blend(k, z.lt(0)) : w);
        }
        FloatVector f1 = first.reinterpretAsFloats();
        FloatVector root = f1.add(second.reinterpretAsFloats()).sub(1);
        FloatVector two = ofTwo.reinterpretAsFloats();
        two = two.add(two).sub(2);
        IntVector parity = signs.lanewise(VectorOperators.XOR, signs.lanewise(VectorOperators.LSHR, 4));
        parity = parity.lanewise(VectorOperators.XOR, parity.lanewise(VectorOperators.LSHR, 2));
        parity = parity.lanewise(VectorOperators.XOR, parity.lanewise(VectorOperators.LSHR, 1))
                .and(1);
        VectorMask<Integer> odd = parity.compare(VectorOperators.NE, 0);
        FloatVector halves = sum.mul(0.5f).sub(1).sub(least.reinterpretAsFloats(), odd.cast(F));

        IntVector i = first.and(TAG);
        IntVector j = second.and(TAG);
        IntVector signOfI = signs.lanewise(VectorOperators.LSHR, i).and(1);
        IntVector signOfJ = signs.lanewise(VectorOperators.LSHR, j).and(1);
        IntVector found = IntVector.broadcast(I, ZERO);
        FloatVector best = FloatVector.zero(F);
        VectorMask<Float> better = root.compare(VectorOperators.GT, best);
        best = best.blend(root, better);
        IntVector index = i.mul(32).add(j.mul(4)).add(signOfI.add(signOfI)).add(signOfJ);
        found = found.blend(index, better.cast(I));

        better = halves.compare(VectorOperators.GT, best);
        best = best.blend(halves, better);
        index = signs.lanewise(VectorOperators.XOR, parity.lanewise(VectorOperators.LSHL, least.and(TAG)))
                .or(HALVES);
        found = found.blend(index, better.cast(I));

        better = two.compare(VectorOperators.GT, best);
        i = ofTwo.and(TAG);
        index = signs.lanewise(VectorOperators.LSHR, i).and(1).mul(8).add(i).add(TWO);
        found = found.blend(index, better.cast(I));
        found.rearrange(IN_ORDER).intoMemorySegment(ALL, s + FOUND + o & NativeMemory.ADDRESS, ORDER);
    }
}
