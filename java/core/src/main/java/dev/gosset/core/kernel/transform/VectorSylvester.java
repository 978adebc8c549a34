package dev.gosset.core.kernel.transform;

import static dev.gosset.core.kernel.memory.NativeMemory.ALL;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.gosset.core.kernel.memory.NativeMemory;
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
 * the stages across blocks are the last pass ({@link RadixPasses}). Factors before enter with the first load. Factors after enter with
 * the last store of the second pass, which for them comes last of all.
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
    /** Floats whose stages {@link #firstFours} and {@link #secondFours} have all. */
    static final int GROUP = 16 * LANES;

    /** Most floats of a block: 16 KiB, half of a small L1 cache. */
    static final int BLOCK = 4096;

    static final VectorShuffle<Float> SWAP1 = swap(1);
    private static final VectorShuffle<Float> SWAP2 = swap(2);
    private static final VectorShuffle<Float> SWAP4 = swap(4);
    private static final VectorShuffle<Float> SWAP8 = swap(8);
    static final FloatVector SIGN1 = sign(1);
    private static final FloatVector SIGN2 = sign(2);
    private static final FloatVector SIGN4 = sign(4);
    private static final FloatVector SIGN8 = sign(8);

    /**
     * What addresses are masked with, and elsewhere strides. It changes none, but tells C2 that their sums lie in {@link
     * NativeMemory#ALL}: without it each access in a loop of varying stride keeps a range check.
     */
    private static final long ADDRESS = NativeMemory.ADDRESS;

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
            RadixPasses.across(at, size, p, block);
        }
    }

    /** Whether the methods with factors take strips of p floats. */
    static boolean takesFactors(int p) {
        return p >= 4 * LANES;
    }

    /** {@code y <- scale S_p (f x)} for strips of p floats, at least four vectors; y is x or apart from it. */
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
            RadixPasses.across(y + from, size, p, block);
        }
    }

    /**
     * All stages of {@link #apply} but the last that {@link #finishThenMultiply} has, for strips of p floats, at least four vectors.
     * Whatever commutes with the stages can come between the two.
     */
    static void applyAllButLast(long x, int p, long strips, float scale) {
        int h = p < GROUP ? 4 * LANES : GROUP;
        int together = together(p);
        for (long strip = 0; strip < strips; strip += together) {
            long at = x + 4L * p * strip;
            int size = p * (int) Math.min(together, strips - strip);
            int block = Math.min(size, block(p) * together);
            for (int first = 0; first < size; first += block) {
                firstFours(at + 4L * first, block, scale);
                RadixPasses.across(at + 4L * first, block, Math.min(p, block), h);
            }
            RadixPasses.across(at, size, p, block);
        }
    }

    /** The stages that {@link #applyAllButLast} leaves of strips of p floats, {@code size} in all, and {@code x <- f x} of the result. */
    static void finishThenMultiply(long x, long f, int p, int size) {
        if (p < GROUP) {
            lastInsideThenMultiply(x, f, size);
        } else {
            secondFoursThenMultiply(x, size, f, x, 16 * V);
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

    /** As {@link #finishGroups}, and the result is multiplied by f, which lies as y does. */
    static void finishGroupsThenMultiply(long x, int groups, float scale, long f, long y, long stride) {
        firstThrees(x, GROUP * groups, scale);
        secondFoursThenMultiply(x, GROUP * groups, f, y, stride);
    }

    /** As {@link #finishSecondGroups}, and both groups are multiplied by f, which lies as y does. */
    static void finishSecondGroupsThenMultiply(long x, int groups, float scale, long f, long y, long stride) {
        firstThrees(x, GROUP * groups, scale);
        secondFoursAndPairThenMultiply(x, GROUP * groups, f, y, stride);
    }

    /** The stages across the groups of a strip of p floats. */
    static void acrossGroups(long x, int p) {
        RadixPasses.across(x, p, p, GROUP);
    }

    /** As {@link #acrossGroups}, and then {@code x <- f x}. */
    static void acrossGroupsThenMultiply(long x, long f, int p) {
        if (p == 4 * GROUP) {
            RadixPasses.radix4ThenMultiply(x, f, p, GROUP);
        } else {
            acrossGroups(x, p);
            multiply(x, f, x, p);
        }
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
        } else {
            firstFours(x, size, scale);
            afterFirst(x, size, p);
        }
    }

    /** All stages of strips of p floats but those of {@link #firstFours}; {@code size} floats in all. */
    private static void afterFirst(long x, int size, int p) {
        if (p < GROUP) {
            lastInside(x, size);
            RadixPasses.across(x, size, p, 4 * LANES);
        } else if (LANES > 4) {
            secondFours(x, size, x, 16 * V);
            RadixPasses.across(x, size, p, GROUP);
        } else {
            RadixPasses.across(x, size, p, 4 * LANES);
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

    /** As {@link #secondFours}, of vectors of any length, and the result is multiplied by f, which lies as y does. */
    private static void secondFoursThenMultiply(long x, int size, long f, long y, long stride) {
        for (int t = 0; t < size / 4; t += LANES) {
            int low = t & (4 * LANES - 1);
            long j = x + 4L * (low + 4 * (t - low)) & ADDRESS;
            long at = 4L * low + t / (4 * LANES) * stride;
            long to = y + at & ADDRESS;
            long k = f + at & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + 4 * V, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, j + 8 * V, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, j + 12 * V, ORDER);
            if (LANES > 4) {
                a = a.fma(SIGN4, a.rearrange(SWAP4));
                b = b.fma(SIGN4, b.rearrange(SWAP4));
                c = c.fma(SIGN4, c.rearrange(SWAP4));
                d = d.fma(SIGN4, d.rearrange(SWAP4));
            }
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
                b = b.fma(SIGN8, b.rearrange(SWAP8));
                c = c.fma(SIGN8, c.rearrange(SWAP8));
                d = d.fma(SIGN8, d.rearrange(SWAP8));
            }
            FloatVector e = a.add(b);
            FloatVector m = a.sub(b);
            FloatVector g = c.add(d);
            FloatVector h = c.sub(d);
            FloatVector k0 = FloatVector.fromMemorySegment(S, ALL, k, ORDER);
            FloatVector k1 = FloatVector.fromMemorySegment(S, ALL, k + 4 * V, ORDER);
            FloatVector k2 = FloatVector.fromMemorySegment(S, ALL, k + 8 * V, ORDER);
            FloatVector k3 = FloatVector.fromMemorySegment(S, ALL, k + 12 * V, ORDER);
            e.add(g).mul(k0).intoMemorySegment(ALL, to, ORDER);
            m.add(h).mul(k1).intoMemorySegment(ALL, to + 4 * V, ORDER);
            e.sub(g).mul(k2).intoMemorySegment(ALL, to + 8 * V, ORDER);
            m.sub(h).mul(k3).intoMemorySegment(ALL, to + 12 * V, ORDER);
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

    /** As {@link #secondFoursAndPair}, and both groups are multiplied by f, which lies as y does. */
    private static void secondFoursAndPairThenMultiply(long x, int size, long f, long y, long stride) {
        for (int t = 0; t < size / 4; t += LANES) {
            int low = t & (4 * LANES - 1);
            long j = x + 4L * (low + 4 * (t - low)) & ADDRESS;
            long at = 4L * low + t / (4 * LANES) * stride;
            long to = y + at & ADDRESS;
            long k = f + at & ADDRESS;
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
            FloatVector m = a.sub(b);
            FloatVector g = c.add(d);
            FloatVector h = c.sub(d);
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, to, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, to + 4 * V, ORDER);
            FloatVector c0 = FloatVector.fromMemorySegment(S, ALL, to + 8 * V, ORDER);
            FloatVector d0 = FloatVector.fromMemorySegment(S, ALL, to + 12 * V, ORDER);
            FloatVector a1 = e.add(g);
            FloatVector b1 = m.add(h);
            FloatVector c1 = e.sub(g);
            FloatVector d1 = m.sub(h);
            a0.add(a1).mul(FloatVector.fromMemorySegment(S, ALL, k, ORDER)).intoMemorySegment(ALL, to, ORDER);
            b0.add(b1)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 4 * V, ORDER))
                    .intoMemorySegment(ALL, to + 4 * V, ORDER);
            c0.add(c1)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 8 * V, ORDER))
                    .intoMemorySegment(ALL, to + 8 * V, ORDER);
            d0.add(d1)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 12 * V, ORDER))
                    .intoMemorySegment(ALL, to + 12 * V, ORDER);
            a0.sub(a1)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 16 * V, ORDER))
                    .intoMemorySegment(ALL, to + 16 * V, ORDER);
            b0.sub(b1)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 20 * V, ORDER))
                    .intoMemorySegment(ALL, to + 20 * V, ORDER);
            c0.sub(c1)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 24 * V, ORDER))
                    .intoMemorySegment(ALL, to + 24 * V, ORDER);
            d0.sub(d1)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + 28 * V, ORDER))
                    .intoMemorySegment(ALL, to + 28 * V, ORDER);
        }
    }

    /** The stages 4 and 8 inside a register, as far as it has them; at least four vectors. */
    private static void lastInside(long x, int size) {
        for (int i = 0; i < size; i += 4 * LANES) {
            long j = x + 4L * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, j + 2 * V, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, j + 3 * V, ORDER);
            if (LANES > 4) {
                a = a.fma(SIGN4, a.rearrange(SWAP4));
                b = b.fma(SIGN4, b.rearrange(SWAP4));
                c = c.fma(SIGN4, c.rearrange(SWAP4));
                d = d.fma(SIGN4, d.rearrange(SWAP4));
            }
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
                b = b.fma(SIGN8, b.rearrange(SWAP8));
                c = c.fma(SIGN8, c.rearrange(SWAP8));
                d = d.fma(SIGN8, d.rearrange(SWAP8));
            }
            a.intoMemorySegment(ALL, j, ORDER);
            b.intoMemorySegment(ALL, j + V, ORDER);
            c.intoMemorySegment(ALL, j + 2 * V, ORDER);
            d.intoMemorySegment(ALL, j + 3 * V, ORDER);
        }
    }

    /** As {@link #lastInside}, and the result is multiplied by f. */
    private static void lastInsideThenMultiply(long x, long f, int size) {
        for (int i = 0; i < size; i += 4 * LANES) {
            long j = x + 4L * i & ADDRESS;
            long k = f + 4L * i & ADDRESS;
            FloatVector a = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector b = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER);
            FloatVector c = FloatVector.fromMemorySegment(S, ALL, j + 2 * V, ORDER);
            FloatVector d = FloatVector.fromMemorySegment(S, ALL, j + 3 * V, ORDER);
            if (LANES > 4) {
                a = a.fma(SIGN4, a.rearrange(SWAP4));
                b = b.fma(SIGN4, b.rearrange(SWAP4));
                c = c.fma(SIGN4, c.rearrange(SWAP4));
                d = d.fma(SIGN4, d.rearrange(SWAP4));
            }
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
                b = b.fma(SIGN8, b.rearrange(SWAP8));
                c = c.fma(SIGN8, c.rearrange(SWAP8));
                d = d.fma(SIGN8, d.rearrange(SWAP8));
            }
            a.mul(FloatVector.fromMemorySegment(S, ALL, k, ORDER)).intoMemorySegment(ALL, j, ORDER);
            b.mul(FloatVector.fromMemorySegment(S, ALL, k + V, ORDER)).intoMemorySegment(ALL, j + V, ORDER);
            c.mul(FloatVector.fromMemorySegment(S, ALL, k + 2 * V, ORDER)).intoMemorySegment(ALL, j + 2 * V, ORDER);
            d.mul(FloatVector.fromMemorySegment(S, ALL, k + 3 * V, ORDER)).intoMemorySegment(ALL, j + 3 * V, ORDER);
        }
    }
}
