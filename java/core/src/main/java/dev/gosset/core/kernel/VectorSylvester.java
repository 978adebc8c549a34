package dev.gosset.core.kernel;

import static dev.gosset.core.kernel.NativeMemory.ALL;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * {@code x <- scale S_p x} for p floats, p a power of two, S_p the Sylvester matrix: log2(p) stages of butterflies, at
 * absolute addresses ({@link NativeMemory}).
 *
 * <p>The stages commute, so each pass over the data takes some stages inside its registers (a permutation and an FMA each)
 * along with some across registers: two and two in the first pass and in the second, then four at a time where there are
 * 32 registers, else three. All four inside a register in one pass are slower: such a chain of dependent operations is longer than
 * what the processor looks ahead. Strips beyond {@value #BLOCK} floats are cut into blocks that stay in the L1 cache, and
 * the stages across blocks are the last pass.
 *
 * <p>Rounding: one for the scale and one per stage. Stateless, thread-safe, allocates nothing.
 */
final class VectorSylvester {
    /** At most 512 bit: the stages inside a register are written out for up to 16 lanes. */
    private static final VectorSpecies<Float> S =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;

    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final int LANES = S.length();
    /** Bytes of a vector. */
    private static final long V = 4L * LANES;
    /** Floats that {@link #firstFours} and {@link #secondFours} take through all their stages where there are 8 lanes or more. */
    static final int GROUP = 16 * LANES;

    /** Most floats of a block: 16 KiB, half of a small L1 cache. */
    private static final int BLOCK = 4096;

    static final VectorShuffle<Float> SWAP1 = swap(1);
    private static final VectorShuffle<Float> SWAP2 = swap(2);
    private static final VectorShuffle<Float> SWAP4 = swap(4);
    private static final VectorShuffle<Float> SWAP8 = swap(8);
    static final FloatVector SIGN1 = sign(1);
    private static final FloatVector SIGN2 = sign(2);
    private static final FloatVector SIGN4 = sign(4);
    private static final FloatVector SIGN8 = sign(8);

    /**
     * What addresses and strides are masked with. It changes none, but tells C2 that their sums lie in {@link
     * NativeMemory#ALL}: without it each access in a loop of varying stride keeps a range check.
     */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private static final long STRIDE = (1L << 40) - 1;

    private VectorSylvester() {}

    private static VectorShuffle<Float> swap(int bit) {
        return VectorShuffle.fromOp(S, i -> (i ^ bit) & (LANES - 1));
    }

    private static FloatVector sign(int bit) {
        float[] s = new float[LANES];
        for (int i = 0; i < LANES; i++) {
            s[i] = (i & bit) == 0 ? 1 : -1;
        }
        return FloatVector.fromArray(S, s, 0);
    }

    /** The width in bits of the vectors in use. */
    static int vectorBits() {
        return S.vectorBitSize();
    }

    /**
     * {@code x <- scale S_p x} for each of {@code strips} strips of p floats, one behind the other from address {@code x} on, of
     * any alignment. Short strips go through each pass together, as many as stay in the cache.
     */
    static void apply(long x, int p, long strips, float scale) {
        int together = together(p);
        for (long strip = 0; strip < strips; strip += together) {
            long at = x + 4L * p * strip;
            int size = p * (int) Math.min(together, strips - strip);
            int block = Math.min(size, block(p) * together);
            for (int first = 0; first < size; first += block) {
                within(at + 4L * first, block, Math.min(p, block), scale);
            }
            across(at, size, p, block);
        }
    }

    /** Whether {@link #applyToProduct} takes strips of p floats. */
    static boolean takesFactors(int p) {
        return p >= 16 * LANES;
    }

    /** {@code y <- scale S_p (f x)} for strips of p floats, at least 16 vectors; y is x or apart from it. */
    static void applyToProduct(long x, long f, long y, int p, long strips, float scale) {
        int together = together(p);
        for (long strip = 0; strip < strips; strip += together) {
            long from = 4L * p * strip;
            int size = p * (int) Math.min(together, strips - strip);
            int block = Math.min(size, block(p) * together);
            for (int first = 0; first < size; first += block) {
                long at = from + 4L * first;
                firstFoursOfProduct(x + at, f + at, y + at, block, scale);
                afterFirst(y + at, block, Math.min(p, block));
            }
            across(y + from, size, p, block);
        }
    }

    /**
     * {@code y <- scale S x} but for the stage 1, for groups of 16 vectors, at least 8 lanes each, that follow each other in x and
     * lie {@code stride} bytes apart in y; x is overwritten.
     */
    static void finishGroups(long x, int groups, float scale, long y, long stride) {
        firstThrees(x, GROUP * groups, scale);
        secondFours(x, GROUP * groups, y, stride);
    }

    /**
     * As {@link #finishGroups}, and the stage between two groups: the first of the two lies finished in y, this goes to the 16 vectors
     * behind it.
     */
    static void finishSecondGroups(long x, int groups, float scale, long y, long stride) {
        firstThrees(x, GROUP * groups, scale);
        secondFoursAndPair(x, GROUP * groups, y, stride);
    }

    /** The stages across the groups of a strip of p floats. */
    static void acrossGroups(long x, int p) {
        across(x, p, p, GROUP);
    }

    /** Strips of p floats that one pass goes over: what stays in the L1 cache. */
    private static int together(int p) {
        return Math.max(1, BLOCK / p);
    }

    /** Floats of a block: stages across blocks are few, and the blocks stay in the L1 cache. */
    private static int block(int p) {
        return p <= BLOCK ? p : Math.min(BLOCK, p / 8);
    }

    /** All stages of strips of p floats, {@code size} in all. */
    private static void within(long x, int size, int p, float scale) {
        if (p < 4 * LANES) {
            for (int first = 0; first < size; first += p) {
                if (p < LANES) {
                    small(x + 4L * first, p, scale);
                } else {
                    oneOrTwo(x + 4L * first, p, scale);
                }
            }
        } else if (p < 16 * LANES) {
            fours(x, size, scale);
            across(x, size, p, 4 * LANES);
        } else {
            firstFours(x, size, scale);
            afterFirst(x, size, p);
        }
    }

    /** All stages of strips of p floats but those of {@link #firstFours}; {@code size} floats in all. */
    private static void afterFirst(long x, int size, int p) {
        if (LANES > 4) {
            secondFours(x, size, x, 16 * V);
            across(x, size, p, 16 * LANES);
        } else {
            across(x, size, p, 4 * LANES);
        }
    }

    private static void small(long x, int p, float scale) {
        for (int i = 0; i < p; i++) {
            set(x, i, get(x, i) * scale);
        }
        for (int h = 1; h < p; h *= 2) {
            for (int i = 0; i < p; i++) {
                if ((i & h) == 0) {
                    float a = get(x, i);
                    float b = get(x, i + h);
                    set(x, i, a + b);
                    set(x, i + h, a - b);
                }
            }
        }
    }

    private static float get(long x, int i) {
        return ALL.get(JAVA_FLOAT_UNALIGNED, x + 4L * i);
    }

    private static void set(long x, int i, float value) {
        ALL.set(JAVA_FLOAT_UNALIGNED, x + 4L * i, value);
    }

    /** The stages from h on of strips of p floats, {@code size} in all; h at least four vectors. */
    private static void across(long x, int size, int p, int h) {
        while (h < p) {
            int left = p / h;
            if (left >= 16 && LANES == 16 && size <= BLOCK) {
                radix16(x, size, h);
                h *= 16;
            } else if (left == 8 || left >= 32) {
                radix8(x, size, h);
                h *= 8;
            } else if (left >= 4) {
                radix4(x, size, h);
                h *= 4;
            } else {
                radix2(x, size, h);
                h *= 2;
            }
        }
    }

    // Every method from here on that holds vectors is longer than 325 bytecodes (FreqInlineSize), has its loop inside
    // and calls nothing but the Vector API, which is always inlined. So C2 compiles each on its own and never several
    // into one caller, where they would pass its node budget (NodeCountInliningCutoff) and vectors would silently be
    // boxed. A test reads the lengths.

    /** {@code y <- f x} for n floats; y is x or apart from it. */
    static void multiply(long x, long f, long y, int n) {
        int i = 0;
        for (; i <= n - 8 * LANES; i += 8 * LANES) {
            long j = x + 4L * i & ADDRESS;
            long k = f + 4L * i & ADDRESS;
            long to = y + 4L * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            a.mul(FloatVector.fromMemorySegment(S, ALL, k, ORDER)).intoMemorySegment(ALL, to, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER);
            b.mul(FloatVector.fromMemorySegment(S, ALL, k + V, ORDER)).intoMemorySegment(ALL, to + V, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, j + 2 * V, ORDER);
            c.mul(FloatVector.fromMemorySegment(S, ALL, k + 2 * V, ORDER)).intoMemorySegment(ALL, to + 2 * V, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, j + 3 * V, ORDER);
            d.mul(FloatVector.fromMemorySegment(S, ALL, k + 3 * V, ORDER)).intoMemorySegment(ALL, to + 3 * V, ORDER);
            FloatVector e = FloatVector.fromMemorySegment(S, ALL, j + 4 * V, ORDER);
            e.mul(FloatVector.fromMemorySegment(S, ALL, k + 4 * V, ORDER)).intoMemorySegment(ALL, to + 4 * V, ORDER);
            FloatVector m = FloatVector.fromMemorySegment(S, ALL, j + 5 * V, ORDER);
            m.mul(FloatVector.fromMemorySegment(S, ALL, k + 5 * V, ORDER)).intoMemorySegment(ALL, to + 5 * V, ORDER);
            FloatVector g = FloatVector.fromMemorySegment(S, ALL, j + 6 * V, ORDER);
            g.mul(FloatVector.fromMemorySegment(S, ALL, k + 6 * V, ORDER)).intoMemorySegment(ALL, to + 6 * V, ORDER);
            FloatVector h = FloatVector.fromMemorySegment(S, ALL, j + 7 * V, ORDER);
            h.mul(FloatVector.fromMemorySegment(S, ALL, k + 7 * V, ORDER)).intoMemorySegment(ALL, to + 7 * V, ORDER);
        }
        for (; i < n; i++) {
            ALL.set(
                    JAVA_FLOAT_UNALIGNED,
                    y + 4L * i,
                    ALL.get(JAVA_FLOAT_UNALIGNED, x + 4L * i) * ALL.get(JAVA_FLOAT_UNALIGNED, f + 4L * i));
        }
    }

    /**
     * All stages of a strip of one or two vectors. Inside a register, lane i gets v[i] + v[i ^ bit] where that bit of i is
     * 0 and v[i ^ bit] - v[i] where it is 1: VPERMILPS or VPERMPS, and VFMADD.
     */
    private static void oneOrTwo(long x, int p, float scale) {
        if (p == LANES) {
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, x, ORDER).mul(scale);
            a = a.fma(SIGN1, a.rearrange(SWAP1));
            a = a.fma(SIGN2, a.rearrange(SWAP2));
            if (LANES > 4) {
                a = a.fma(SIGN4, a.rearrange(SWAP4));
            }
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
            }
            a.intoMemorySegment(ALL, x, ORDER);
        } else {
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, x, ORDER).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, x + V, ORDER).mul(scale);
            a = a.fma(SIGN1, a.rearrange(SWAP1));
            a = a.fma(SIGN2, a.rearrange(SWAP2));
            if (LANES > 4) {
                a = a.fma(SIGN4, a.rearrange(SWAP4));
            }
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
            }
            b = b.fma(SIGN1, b.rearrange(SWAP1));
            b = b.fma(SIGN2, b.rearrange(SWAP2));
            if (LANES > 4) {
                b = b.fma(SIGN4, b.rearrange(SWAP4));
            }
            if (LANES > 8) {
                b = b.fma(SIGN8, b.rearrange(SWAP8));
            }
            a.add(b).intoMemorySegment(ALL, x, ORDER);
            a.sub(b).intoMemorySegment(ALL, x + V, ORDER);
        }
    }

    /** The stages inside a register, and two across four registers. */
    private static void fours(long x, int size, float scale) {
        for (int i = 0; i < size; i += 4 * LANES) {
            long j = x + 4L * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER).mul(scale);
            FloatVector c =
                    FloatVector.fromMemorySegment(S, ALL, j + 2 * V, ORDER).mul(scale);
            FloatVector d =
                    FloatVector.fromMemorySegment(S, ALL, j + 3 * V, ORDER).mul(scale);
            a = a.fma(SIGN1, a.rearrange(SWAP1));
            a = a.fma(SIGN2, a.rearrange(SWAP2));
            if (LANES > 4) {
                a = a.fma(SIGN4, a.rearrange(SWAP4));
            }
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
            }
            b = b.fma(SIGN1, b.rearrange(SWAP1));
            b = b.fma(SIGN2, b.rearrange(SWAP2));
            if (LANES > 4) {
                b = b.fma(SIGN4, b.rearrange(SWAP4));
            }
            if (LANES > 8) {
                b = b.fma(SIGN8, b.rearrange(SWAP8));
            }
            c = c.fma(SIGN1, c.rearrange(SWAP1));
            c = c.fma(SIGN2, c.rearrange(SWAP2));
            if (LANES > 4) {
                c = c.fma(SIGN4, c.rearrange(SWAP4));
            }
            if (LANES > 8) {
                c = c.fma(SIGN8, c.rearrange(SWAP8));
            }
            d = d.fma(SIGN1, d.rearrange(SWAP1));
            d = d.fma(SIGN2, d.rearrange(SWAP2));
            if (LANES > 4) {
                d = d.fma(SIGN4, d.rearrange(SWAP4));
            }
            if (LANES > 8) {
                d = d.fma(SIGN8, d.rearrange(SWAP8));
            }
            FloatVector e = a.add(b);
            FloatVector f = a.sub(b);
            FloatVector g = c.add(d);
            FloatVector h = c.sub(d);
            e.add(g).intoMemorySegment(ALL, j, ORDER);
            f.add(h).intoMemorySegment(ALL, j + V, ORDER);
            e.sub(g).intoMemorySegment(ALL, j + 2 * V, ORDER);
            f.sub(h).intoMemorySegment(ALL, j + 3 * V, ORDER);
        }
    }

    /** The stages 1 and 2 inside a register, and the two across four neighbouring registers; at least four vectors. */
    private static void firstFours(long x, int size, float scale) {
        for (int i = 0; i < size; i += 4 * LANES) {
            long j = x + 4L * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER).mul(scale);
            FloatVector c =
                    FloatVector.fromMemorySegment(S, ALL, j + 2 * V, ORDER).mul(scale);
            FloatVector d =
                    FloatVector.fromMemorySegment(S, ALL, j + 3 * V, ORDER).mul(scale);
            if (LANES == 16) {
                LongVector a1 = a.reinterpretAsLongs().lanewise(VectorOperators.ROL, 32);
                a = a.fma(SIGN1, a1.reinterpretAsFloats());
                LongVector b1 = b.reinterpretAsLongs().lanewise(VectorOperators.ROL, 32);
                b = b.fma(SIGN1, b1.reinterpretAsFloats());
                LongVector c1 = c.reinterpretAsLongs().lanewise(VectorOperators.ROL, 32);
                c = c.fma(SIGN1, c1.reinterpretAsFloats());
                LongVector d1 = d.reinterpretAsLongs().lanewise(VectorOperators.ROL, 32);
                d = d.fma(SIGN1, d1.reinterpretAsFloats());
            } else {
                a = a.fma(SIGN1, a.rearrange(SWAP1));
                b = b.fma(SIGN1, b.rearrange(SWAP1));
                c = c.fma(SIGN1, c.rearrange(SWAP1));
                d = d.fma(SIGN1, d.rearrange(SWAP1));
            }
            a = a.fma(SIGN2, a.rearrange(SWAP2));
            b = b.fma(SIGN2, b.rearrange(SWAP2));
            c = c.fma(SIGN2, c.rearrange(SWAP2));
            d = d.fma(SIGN2, d.rearrange(SWAP2));
            FloatVector e = a.add(b);
            FloatVector f = a.sub(b);
            FloatVector g = c.add(d);
            FloatVector h = c.sub(d);
            e.add(g).intoMemorySegment(ALL, j, ORDER);
            f.add(h).intoMemorySegment(ALL, j + V, ORDER);
            e.sub(g).intoMemorySegment(ALL, j + 2 * V, ORDER);
            f.sub(h).intoMemorySegment(ALL, j + 3 * V, ORDER);
        }
    }

    /** As {@link #firstFours} without the stage 1. */
    private static void firstThrees(long x, int size, float scale) {
        for (int i = 0; i < size; i += 4 * LANES) {
            long j = x + 4L * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER).mul(scale);
            FloatVector c =
                    FloatVector.fromMemorySegment(S, ALL, j + 2 * V, ORDER).mul(scale);
            FloatVector d =
                    FloatVector.fromMemorySegment(S, ALL, j + 3 * V, ORDER).mul(scale);
            a = a.fma(SIGN2, a.rearrange(SWAP2));
            b = b.fma(SIGN2, b.rearrange(SWAP2));
            c = c.fma(SIGN2, c.rearrange(SWAP2));
            d = d.fma(SIGN2, d.rearrange(SWAP2));
            FloatVector e = a.add(b);
            FloatVector f = a.sub(b);
            FloatVector g = c.add(d);
            FloatVector h = c.sub(d);
            e.add(g).intoMemorySegment(ALL, j, ORDER);
            f.add(h).intoMemorySegment(ALL, j + V, ORDER);
            e.sub(g).intoMemorySegment(ALL, j + 2 * V, ORDER);
            f.sub(h).intoMemorySegment(ALL, j + 3 * V, ORDER);
        }
    }

    /** As {@link #firstFours}, of f x in place of x and to y. */
    private static void firstFoursOfProduct(long x, long f, long y, int size, float scale) {
        for (int i = 0; i < size; i += 4 * LANES) {
            long j = x + 4L * i & ADDRESS;
            long k = f + 4L * i & ADDRESS;
            long to = y + 4L * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k, ORDER))
                    .mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + V, ORDER))
                    .mul(scale);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, j + 2 * V, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 2 * V, ORDER))
                    .mul(scale);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, j + 3 * V, ORDER)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 3 * V, ORDER))
                    .mul(scale);
            if (LANES == 16) {
                LongVector a1 = a.reinterpretAsLongs().lanewise(VectorOperators.ROL, 32);
                a = a.fma(SIGN1, a1.reinterpretAsFloats());
                LongVector b1 = b.reinterpretAsLongs().lanewise(VectorOperators.ROL, 32);
                b = b.fma(SIGN1, b1.reinterpretAsFloats());
                LongVector c1 = c.reinterpretAsLongs().lanewise(VectorOperators.ROL, 32);
                c = c.fma(SIGN1, c1.reinterpretAsFloats());
                LongVector d1 = d.reinterpretAsLongs().lanewise(VectorOperators.ROL, 32);
                d = d.fma(SIGN1, d1.reinterpretAsFloats());
            } else {
                a = a.fma(SIGN1, a.rearrange(SWAP1));
                b = b.fma(SIGN1, b.rearrange(SWAP1));
                c = c.fma(SIGN1, c.rearrange(SWAP1));
                d = d.fma(SIGN1, d.rearrange(SWAP1));
            }
            a = a.fma(SIGN2, a.rearrange(SWAP2));
            b = b.fma(SIGN2, b.rearrange(SWAP2));
            c = c.fma(SIGN2, c.rearrange(SWAP2));
            d = d.fma(SIGN2, d.rearrange(SWAP2));
            FloatVector e = a.add(b);
            FloatVector m = a.sub(b);
            FloatVector g = c.add(d);
            FloatVector h = c.sub(d);
            e.add(g).intoMemorySegment(ALL, to, ORDER);
            m.add(h).intoMemorySegment(ALL, to + V, ORDER);
            e.sub(g).intoMemorySegment(ALL, to + 2 * V, ORDER);
            m.sub(h).intoMemorySegment(ALL, to + 3 * V, ORDER);
        }
    }

    /**
     * The stages 4 and, where there are 16 lanes, 8 inside a register, and the two across four groups of four registers; at
     * least 16 vectors of 8 lanes or more. Each 16 vectors of the result lie {@code stride} bytes apart in y, which is x or apart
     * from it.
     */
    private static void secondFours(long x, int size, long y, long stride) {
        for (int t = 0; t < size / 4; t += LANES) {
            int low = t & (4 * LANES - 1);
            long j = x + 4L * (low + 4 * (t - low)) & ADDRESS;
            long to = y + 4L * low + t / (4 * LANES) * stride & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + 4 * V, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, j + 8 * V, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, j + 12 * V, ORDER);
            a = a.fma(SIGN4, a.rearrange(SWAP4));
            b = b.fma(SIGN4, b.rearrange(SWAP4));
            c = c.fma(SIGN4, c.rearrange(SWAP4));
            d = d.fma(SIGN4, d.rearrange(SWAP4));
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
                b = b.fma(SIGN8, b.rearrange(SWAP8));
                c = c.fma(SIGN8, c.rearrange(SWAP8));
                d = d.fma(SIGN8, d.rearrange(SWAP8));
            }
            FloatVector e = a.add(b);
            FloatVector f = a.sub(b);
            FloatVector g = c.add(d);
            FloatVector h = c.sub(d);
            e.add(g).intoMemorySegment(ALL, to, ORDER);
            f.add(h).intoMemorySegment(ALL, to + 4 * V, ORDER);
            e.sub(g).intoMemorySegment(ALL, to + 8 * V, ORDER);
            f.sub(h).intoMemorySegment(ALL, to + 12 * V, ORDER);
        }
    }

    /** As {@link #secondFours} to the 16 vectors behind each 16 of y, and then the stage between these two. */
    private static void secondFoursAndPair(long x, int size, long y, long stride) {
        for (int t = 0; t < size / 4; t += LANES) {
            int low = t & (4 * LANES - 1);
            long j = x + 4L * (low + 4 * (t - low)) & ADDRESS;
            long to = y + 4L * low + t / (4 * LANES) * stride & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + 4 * V, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, j + 8 * V, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, j + 12 * V, ORDER);
            a = a.fma(SIGN4, a.rearrange(SWAP4));
            b = b.fma(SIGN4, b.rearrange(SWAP4));
            c = c.fma(SIGN4, c.rearrange(SWAP4));
            d = d.fma(SIGN4, d.rearrange(SWAP4));
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
                b = b.fma(SIGN8, b.rearrange(SWAP8));
                c = c.fma(SIGN8, c.rearrange(SWAP8));
                d = d.fma(SIGN8, d.rearrange(SWAP8));
            }
            FloatVector e = a.add(b);
            FloatVector f = a.sub(b);
            FloatVector g = c.add(d);
            FloatVector h = c.sub(d);
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, to, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, to + 4 * V, ORDER);
            FloatVector c0 = FloatVector.fromMemorySegment(S, ALL, to + 8 * V, ORDER);
            FloatVector d0 = FloatVector.fromMemorySegment(S, ALL, to + 12 * V, ORDER);
            FloatVector a1 = e.add(g);
            FloatVector b1 = f.add(h);
            FloatVector c1 = e.sub(g);
            FloatVector d1 = f.sub(h);
            a0.add(a1).intoMemorySegment(ALL, to, ORDER);
            b0.add(b1).intoMemorySegment(ALL, to + 4 * V, ORDER);
            c0.add(c1).intoMemorySegment(ALL, to + 8 * V, ORDER);
            d0.add(d1).intoMemorySegment(ALL, to + 12 * V, ORDER);
            a0.sub(a1).intoMemorySegment(ALL, to + 16 * V, ORDER);
            b0.sub(b1).intoMemorySegment(ALL, to + 20 * V, ORDER);
            c0.sub(c1).intoMemorySegment(ALL, to + 24 * V, ORDER);
            d0.sub(d1).intoMemorySegment(ALL, to + 28 * V, ORDER);
        }
    }

    /** The stage h, h at least four vectors. */
    private static void radix2(long x, int size, int h) {
        long step = 4L * h;
        long s1 = step & STRIDE;
        for (int t = 0; t < size / 2; t += 4 * LANES) {
            int low = t & (h - 1);
            long j = x + 4L * (low + 2 * (t - low)) & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, j + s1, ORDER);
            a0.add(a1).intoMemorySegment(ALL, j, ORDER);
            a0.sub(a1).intoMemorySegment(ALL, j + s1, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(S, ALL, j + V + s1, ORDER);
            b0.add(b1).intoMemorySegment(ALL, j + V, ORDER);
            b0.sub(b1).intoMemorySegment(ALL, j + V + s1, ORDER);
            FloatVector c0 = FloatVector.fromMemorySegment(S, ALL, j + 2 * V, ORDER);
            FloatVector c1 = FloatVector.fromMemorySegment(S, ALL, j + 2 * V + s1, ORDER);
            c0.add(c1).intoMemorySegment(ALL, j + 2 * V, ORDER);
            c0.sub(c1).intoMemorySegment(ALL, j + 2 * V + s1, ORDER);
            FloatVector d0 = FloatVector.fromMemorySegment(S, ALL, j + 3 * V, ORDER);
            FloatVector d1 = FloatVector.fromMemorySegment(S, ALL, j + 3 * V + s1, ORDER);
            d0.add(d1).intoMemorySegment(ALL, j + 3 * V, ORDER);
            d0.sub(d1).intoMemorySegment(ALL, j + 3 * V + s1, ORDER);
        }
    }

    /** The stages h and 2 h, h at least two vectors. */
    private static void radix4(long x, int size, int h) {
        long step = 4L * h;
        long s1 = step & STRIDE;
        long s2 = 2 * step & STRIDE;
        long s3 = 3 * step & STRIDE;
        for (int t = 0; t < size / 4; t += 2 * LANES) {
            int low = t & (h - 1);
            long j = x + 4L * (low + 4 * (t - low)) & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, j + s1, ORDER);
            FloatVector a2 = FloatVector.fromMemorySegment(S, ALL, j + s2, ORDER);
            FloatVector a3 = FloatVector.fromMemorySegment(S, ALL, j + s3, ORDER);
            FloatVector e0 = a0.add(a1);
            FloatVector e1 = a0.sub(a1);
            FloatVector e2 = a2.add(a3);
            FloatVector e3 = a2.sub(a3);
            e0.add(e2).intoMemorySegment(ALL, j, ORDER);
            e1.add(e3).intoMemorySegment(ALL, j + s1, ORDER);
            e0.sub(e2).intoMemorySegment(ALL, j + s2, ORDER);
            e1.sub(e3).intoMemorySegment(ALL, j + s3, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(S, ALL, j + V + s1, ORDER);
            FloatVector b2 = FloatVector.fromMemorySegment(S, ALL, j + V + s2, ORDER);
            FloatVector b3 = FloatVector.fromMemorySegment(S, ALL, j + V + s3, ORDER);
            FloatVector f0 = b0.add(b1);
            FloatVector f1 = b0.sub(b1);
            FloatVector f2 = b2.add(b3);
            FloatVector f3 = b2.sub(b3);
            f0.add(f2).intoMemorySegment(ALL, j + V, ORDER);
            f1.add(f3).intoMemorySegment(ALL, j + V + s1, ORDER);
            f0.sub(f2).intoMemorySegment(ALL, j + V + s2, ORDER);
            f1.sub(f3).intoMemorySegment(ALL, j + V + s3, ORDER);
        }
    }

    /** Three stages from h on, h at least a vector. */
    private static void radix8(long x, int size, int h) {
        long step = 4L * h;
        long s1 = step & STRIDE;
        long s2 = 2 * step & STRIDE;
        long s3 = 3 * step & STRIDE;
        long s4 = 4 * step & STRIDE;
        long s5 = 5 * step & STRIDE;
        long s6 = 6 * step & STRIDE;
        long s7 = 7 * step & STRIDE;
        for (int t = 0; t < size / 8; t += LANES) {
            int low = t & (h - 1);
            long j = x + 4L * (low + 8 * (t - low)) & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, j + s1, ORDER);
            FloatVector a2 = FloatVector.fromMemorySegment(S, ALL, j + s2, ORDER);
            FloatVector a3 = FloatVector.fromMemorySegment(S, ALL, j + s3, ORDER);
            FloatVector a4 = FloatVector.fromMemorySegment(S, ALL, j + s4, ORDER);
            FloatVector a5 = FloatVector.fromMemorySegment(S, ALL, j + s5, ORDER);
            FloatVector a6 = FloatVector.fromMemorySegment(S, ALL, j + s6, ORDER);
            FloatVector a7 = FloatVector.fromMemorySegment(S, ALL, j + s7, ORDER);
            FloatVector b0 = a0.add(a1);
            FloatVector b1 = a0.sub(a1);
            FloatVector b2 = a2.add(a3);
            FloatVector b3 = a2.sub(a3);
            FloatVector b4 = a4.add(a5);
            FloatVector b5 = a4.sub(a5);
            FloatVector b6 = a6.add(a7);
            FloatVector b7 = a6.sub(a7);
            FloatVector c0 = b0.add(b2);
            FloatVector c2 = b0.sub(b2);
            FloatVector c1 = b1.add(b3);
            FloatVector c3 = b1.sub(b3);
            FloatVector c4 = b4.add(b6);
            FloatVector c6 = b4.sub(b6);
            FloatVector c5 = b5.add(b7);
            FloatVector c7 = b5.sub(b7);
            FloatVector d0 = c0.add(c4);
            FloatVector d4 = c0.sub(c4);
            FloatVector d1 = c1.add(c5);
            FloatVector d5 = c1.sub(c5);
            FloatVector d2 = c2.add(c6);
            FloatVector d6 = c2.sub(c6);
            FloatVector d3 = c3.add(c7);
            FloatVector d7 = c3.sub(c7);
            d0.intoMemorySegment(ALL, j, ORDER);
            d1.intoMemorySegment(ALL, j + s1, ORDER);
            d2.intoMemorySegment(ALL, j + s2, ORDER);
            d3.intoMemorySegment(ALL, j + s3, ORDER);
            d4.intoMemorySegment(ALL, j + s4, ORDER);
            d5.intoMemorySegment(ALL, j + s5, ORDER);
            d6.intoMemorySegment(ALL, j + s6, ORDER);
            d7.intoMemorySegment(ALL, j + s7, ORDER);
        }
    }

    /** Four stages from h on, h at least a vector: sixteen registers for the data alone. */
    private static void radix16(long x, int size, int h) {
        long step = 4L * h;
        long s1 = step & STRIDE;
        long s2 = 2 * step & STRIDE;
        long s3 = 3 * step & STRIDE;
        long s4 = 4 * step & STRIDE;
        long s5 = 5 * step & STRIDE;
        long s6 = 6 * step & STRIDE;
        long s7 = 7 * step & STRIDE;
        long s8 = 8 * step & STRIDE;
        long s9 = 9 * step & STRIDE;
        long s10 = 10 * step & STRIDE;
        long s11 = 11 * step & STRIDE;
        long s12 = 12 * step & STRIDE;
        long s13 = 13 * step & STRIDE;
        long s14 = 14 * step & STRIDE;
        long s15 = 15 * step & STRIDE;
        for (int t = 0; t < size / 16; t += LANES) {
            int low = t & (h - 1);
            long j = x + 4L * (low + 16 * (t - low)) & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, j + s1, ORDER);
            FloatVector a2 = FloatVector.fromMemorySegment(S, ALL, j + s2, ORDER);
            FloatVector a3 = FloatVector.fromMemorySegment(S, ALL, j + s3, ORDER);
            FloatVector a4 = FloatVector.fromMemorySegment(S, ALL, j + s4, ORDER);
            FloatVector a5 = FloatVector.fromMemorySegment(S, ALL, j + s5, ORDER);
            FloatVector a6 = FloatVector.fromMemorySegment(S, ALL, j + s6, ORDER);
            FloatVector a7 = FloatVector.fromMemorySegment(S, ALL, j + s7, ORDER);
            FloatVector a8 = FloatVector.fromMemorySegment(S, ALL, j + s8, ORDER);
            FloatVector a9 = FloatVector.fromMemorySegment(S, ALL, j + s9, ORDER);
            FloatVector a10 = FloatVector.fromMemorySegment(S, ALL, j + s10, ORDER);
            FloatVector a11 = FloatVector.fromMemorySegment(S, ALL, j + s11, ORDER);
            FloatVector a12 = FloatVector.fromMemorySegment(S, ALL, j + s12, ORDER);
            FloatVector a13 = FloatVector.fromMemorySegment(S, ALL, j + s13, ORDER);
            FloatVector a14 = FloatVector.fromMemorySegment(S, ALL, j + s14, ORDER);
            FloatVector a15 = FloatVector.fromMemorySegment(S, ALL, j + s15, ORDER);
            FloatVector b0 = a0.add(a1);
            FloatVector b1 = a0.sub(a1);
            FloatVector b2 = a2.add(a3);
            FloatVector b3 = a2.sub(a3);
            FloatVector b4 = a4.add(a5);
            FloatVector b5 = a4.sub(a5);
            FloatVector b6 = a6.add(a7);
            FloatVector b7 = a6.sub(a7);
            FloatVector b8 = a8.add(a9);
            FloatVector b9 = a8.sub(a9);
            FloatVector b10 = a10.add(a11);
            FloatVector b11 = a10.sub(a11);
            FloatVector b12 = a12.add(a13);
            FloatVector b13 = a12.sub(a13);
            FloatVector b14 = a14.add(a15);
            FloatVector b15 = a14.sub(a15);
            FloatVector c0 = b0.add(b2);
            FloatVector c2 = b0.sub(b2);
            FloatVector c1 = b1.add(b3);
            FloatVector c3 = b1.sub(b3);
            FloatVector c4 = b4.add(b6);
            FloatVector c6 = b4.sub(b6);
            FloatVector c5 = b5.add(b7);
            FloatVector c7 = b5.sub(b7);
            FloatVector c8 = b8.add(b10);
            FloatVector c10 = b8.sub(b10);
            FloatVector c9 = b9.add(b11);
            FloatVector c11 = b9.sub(b11);
            FloatVector c12 = b12.add(b14);
            FloatVector c14 = b12.sub(b14);
            FloatVector c13 = b13.add(b15);
            FloatVector c15 = b13.sub(b15);
            FloatVector d0 = c0.add(c4);
            FloatVector d4 = c0.sub(c4);
            FloatVector d1 = c1.add(c5);
            FloatVector d5 = c1.sub(c5);
            FloatVector d2 = c2.add(c6);
            FloatVector d6 = c2.sub(c6);
            FloatVector d3 = c3.add(c7);
            FloatVector d7 = c3.sub(c7);
            FloatVector d8 = c8.add(c12);
            FloatVector d12 = c8.sub(c12);
            FloatVector d9 = c9.add(c13);
            FloatVector d13 = c9.sub(c13);
            FloatVector d10 = c10.add(c14);
            FloatVector d14 = c10.sub(c14);
            FloatVector d11 = c11.add(c15);
            FloatVector d15 = c11.sub(c15);
            FloatVector e0 = d0.add(d8);
            FloatVector e8 = d0.sub(d8);
            FloatVector e1 = d1.add(d9);
            FloatVector e9 = d1.sub(d9);
            FloatVector e2 = d2.add(d10);
            FloatVector e10 = d2.sub(d10);
            FloatVector e3 = d3.add(d11);
            FloatVector e11 = d3.sub(d11);
            FloatVector e4 = d4.add(d12);
            FloatVector e12 = d4.sub(d12);
            FloatVector e5 = d5.add(d13);
            FloatVector e13 = d5.sub(d13);
            FloatVector e6 = d6.add(d14);
            FloatVector e14 = d6.sub(d14);
            FloatVector e7 = d7.add(d15);
            FloatVector e15 = d7.sub(d15);
            e0.intoMemorySegment(ALL, j, ORDER);
            e1.intoMemorySegment(ALL, j + s1, ORDER);
            e2.intoMemorySegment(ALL, j + s2, ORDER);
            e3.intoMemorySegment(ALL, j + s3, ORDER);
            e4.intoMemorySegment(ALL, j + s4, ORDER);
            e5.intoMemorySegment(ALL, j + s5, ORDER);
            e6.intoMemorySegment(ALL, j + s6, ORDER);
            e7.intoMemorySegment(ALL, j + s7, ORDER);
            e8.intoMemorySegment(ALL, j + s8, ORDER);
            e9.intoMemorySegment(ALL, j + s9, ORDER);
            e10.intoMemorySegment(ALL, j + s10, ORDER);
            e11.intoMemorySegment(ALL, j + s11, ORDER);
            e12.intoMemorySegment(ALL, j + s12, ORDER);
            e13.intoMemorySegment(ALL, j + s13, ORDER);
            e14.intoMemorySegment(ALL, j + s14, ORDER);
            e15.intoMemorySegment(ALL, j + s15, ORDER);
        }
    }
}
