package dev.gosset.core.kernel.transform;

import static dev.gosset.core.kernel.memory.NativeMemory.ALL;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Stages of Sylvester's transform across vector registers, one to four of them in a pass over the data, at absolute addresses ({@link
 * NativeMemory}). Rounding: one per stage. Stateless, thread-safe, allocates nothing.
 */
final class RadixPasses {
    private static final VectorSpecies<Float> S =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;

    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final int LANES = S.length();
    /** Bytes of a vector. */
    private static final long V = 4L * LANES;

    /** Masks that tell C2 what addresses and strides are: see {@link VectorSylvester}. */
    private static final long ADDRESS = NativeMemory.ADDRESS;

    private static final long STRIDE = (1L << 40) - 1;

    private RadixPasses() {}

    /** The stages from h on of strips of p floats, {@code size} in all; h at least four vectors. */
    static void across(long x, int size, int p, int h) {
        while (h < p) {
            int left = p / h;
            if (left >= 16 && LANES == 16 && size <= VectorSylvester.BLOCK) {
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

    /** As {@link #radix4}, and then {@code x <- f x}. */
    static void radix4ThenMultiply(long x, long f, int size, int h) {
        long step = 4L * h;
        long s1 = step & STRIDE;
        long s2 = 2 * step & STRIDE;
        long s3 = 3 * step & STRIDE;
        for (int t = 0; t < size / 4; t += 2 * LANES) {
            int low = t & (h - 1);
            long at = 4L * (low + 4 * (t - low));
            long j = x + at & ADDRESS;
            long k = f + at & ADDRESS;
            FloatVector a0 = FloatVector.fromMemorySegment(S, ALL, j, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, ALL, j + s1, ORDER);
            FloatVector a2 = FloatVector.fromMemorySegment(S, ALL, j + s2, ORDER);
            FloatVector a3 = FloatVector.fromMemorySegment(S, ALL, j + s3, ORDER);
            FloatVector e0 = a0.add(a1);
            FloatVector e1 = a0.sub(a1);
            FloatVector e2 = a2.add(a3);
            FloatVector e3 = a2.sub(a3);
            e0.add(e2).mul(FloatVector.fromMemorySegment(S, ALL, k, ORDER)).intoMemorySegment(ALL, j, ORDER);
            e1.add(e3).mul(FloatVector.fromMemorySegment(S, ALL, k + s1, ORDER)).intoMemorySegment(ALL, j + s1, ORDER);
            e0.sub(e2).mul(FloatVector.fromMemorySegment(S, ALL, k + s2, ORDER)).intoMemorySegment(ALL, j + s2, ORDER);
            e1.sub(e3).mul(FloatVector.fromMemorySegment(S, ALL, k + s3, ORDER)).intoMemorySegment(ALL, j + s3, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, ALL, j + V, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(S, ALL, j + V + s1, ORDER);
            FloatVector b2 = FloatVector.fromMemorySegment(S, ALL, j + V + s2, ORDER);
            FloatVector b3 = FloatVector.fromMemorySegment(S, ALL, j + V + s3, ORDER);
            FloatVector f0 = b0.add(b1);
            FloatVector f1 = b0.sub(b1);
            FloatVector f2 = b2.add(b3);
            FloatVector f3 = b2.sub(b3);
            f0.add(f2).mul(FloatVector.fromMemorySegment(S, ALL, k + V, ORDER)).intoMemorySegment(ALL, j + V, ORDER);
            f1.add(f3)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + V + s1, ORDER))
                    .intoMemorySegment(ALL, j + V + s1, ORDER);
            f0.sub(f2)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + V + s2, ORDER))
                    .intoMemorySegment(ALL, j + V + s2, ORDER);
            f1.sub(f3)
                    .mul(FloatVector.fromMemorySegment(S, ALL, k + V + s3, ORDER))
                    .intoMemorySegment(ALL, j + V + s3, ORDER);
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
