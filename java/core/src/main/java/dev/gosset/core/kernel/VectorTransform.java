package dev.gosset.core.kernel;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * The transform in the Vector API, float32 throughout: {@code U = (M_K (x) S_p) / sqrt(n)} with p = n / K.
 *
 * <p>A row is K strips of p floats. Each strip gets its Sylvester product: the first stages inside registers (one
 * permutation and one FMA each) fused with two stages across four registers, the rest radix-4 and -2 passes, in blocks that
 * stay in the L1 cache: radix 8 holds so many operations that C2 boxes some of them once it has seen segments of several
 * kinds of arena. Then M_K mixes the strips: a tile of columns, copied to scratch so that no two streams
 * collide in the cache, is multiplied four rows at a time. The entries +-1 of a Hadamard matrix go through the same FMA as
 * those of a Hartley matrix: it is exact, and no slower than an addition. The factor 1/sqrt(n) enters with the first load.
 *
 * <p>Each row's result depends on the row alone, not on its neighbours or their number. Stateless, thread-safe, allocates
 * nothing. Needs the module jdk.incubator.vector: reach it through {@link Kernels}. Source: spec/quip-sharp.md section 1.3.
 */
public final class VectorTransform implements TransformKernel {
    /** At most 512 bit: the stages inside a register are written out for up to 16 lanes. */
    private static final VectorSpecies<Float> S =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;

    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final int LANES = S.length();
    /** Bytes of a vector. */
    private static final long V = 4L * LANES;
    /** Floats of the block that is transformed in full before stages across blocks: 16 KiB, half of a small L1 cache. */
    private static final int BLOCK = 4096;
    /** Columns of a tile of the small product: two vectors. */
    private static final int TILE = 2 * LANES;

    private static final VectorShuffle<Float> SWAP1 = swap(1);
    private static final VectorShuffle<Float> SWAP2 = swap(2);
    private static final VectorShuffle<Float> SWAP4 = swap(4);
    private static final VectorShuffle<Float> SWAP8 = swap(8);
    private static final FloatVector SIGN1 = sign(1);
    private static final FloatVector SIGN2 = sign(2);
    private static final FloatVector SIGN4 = sign(4);
    private static final FloatVector SIGN8 = sign(8);

    private final ScalarTransform scalar = new ScalarTransform();

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
    public int vectorBits() {
        return S.vectorBitSize();
    }

    /** K = 3 (n is 3 or 6) is too small for four rows at a time; beyond the stored matrices a fast Hartley transform wins. */
    private static boolean byScalar(HadamardTransform transform) {
        return transform.k() == 3 || !transform.hasSmallMatrix();
    }

    @Override
    public long scratchBytes(HadamardTransform transform) {
        int k = transform.k();
        if (k == 1) {
            return 0;
        }
        if (byScalar(transform)) {
            return scalar.scratchBytes(transform);
        }
        // a tile of the input, and of the output too where a strip is narrower than a tile
        return 4L * k * TILE * (transform.n() / k < TILE ? 2 : 1);
    }

    @Override
    public void apply(
            HadamardTransform transform, boolean transpose, MemorySegment x, int rows, MemorySegment scratch) {
        if (byScalar(transform)) {
            scalar.apply(transform, transpose, x, rows, scratch);
            return;
        }
        ScalarTransform.check(transform, x, rows, scratch, scratchBytes(transform));
        int n = transform.n();
        int k = transform.k();
        int p = n / k;
        float scale = 1 / transform.norm();
        if (k > 1 && p < TILE) {
            narrow(transform, transpose, x, rows, scratch, scale);
            return;
        }
        for (int row = 0; row < rows; row++) {
            long at = 4L * n * row;
            for (int strip = 0; strip < k; strip++) {
                sylvester(x, at + 4L * p * strip, p, scale);
            }
            if (k > 1) {
                MemorySegment matrix = transform.smallMatrix();
                for (int column = 0; column < p; column += TILE) {
                    long corner = at + 4L * column;
                    gather(x, corner, 4L * p, k, scratch);
                    multiply(matrix, transpose, k, scratch, x, corner, 4L * p);
                }
            }
        }
    }

    /** Strips narrower than a tile: the strips of several rows lie side by side in one. */
    private static void narrow(
            HadamardTransform transform,
            boolean transpose,
            MemorySegment x,
            int rows,
            MemorySegment scratch,
            float scale) {
        int n = transform.n();
        int k = transform.k();
        int p = n / k;
        MemorySegment matrix = transform.smallMatrix();
        long out = 4L * k * TILE;
        for (int first = 0; first < rows; first += TILE / p) {
            int group = Math.min(TILE / p, rows - first);
            for (int row = first; row < first + group; row++) {
                for (int strip = 0; strip < k; strip++) {
                    sylvester(x, 4L * n * row + 4L * p * strip, p, scale);
                }
            }
            for (int strip = 0; strip < k; strip++) {
                long tile = 4L * TILE * strip;
                for (int i = 0; i < group * p; i++) {
                    long at = 4L * n * (first + i / p) + 4L * (p * strip + i % p);
                    scratch.set(JAVA_FLOAT_UNALIGNED, tile + 4L * i, x.get(JAVA_FLOAT_UNALIGNED, at));
                }
                for (int i = group * p; i < TILE; i++) {
                    scratch.set(JAVA_FLOAT_UNALIGNED, tile + 4L * i, 0);
                }
            }
            multiply(matrix, transpose, k, scratch, scratch, out, 4L * TILE);
            for (int strip = 0; strip < k; strip++) {
                long tile = out + 4L * TILE * strip;
                for (int i = 0; i < group * p; i++) {
                    long at = 4L * n * (first + i / p) + 4L * (p * strip + i % p);
                    x.set(JAVA_FLOAT_UNALIGNED, at, scratch.get(JAVA_FLOAT_UNALIGNED, tile + 4L * i));
                }
            }
        }
    }

    /** {@code x <- scale S_p x} for the p floats at byte {@code at}. */
    private static void sylvester(MemorySegment x, long at, int p, float scale) {
        if (p < LANES) {
            small(x, at, p, scale);
        } else if (p < 4 * LANES) {
            oneOrTwo(x, at, p, scale);
        } else {
            int block = Math.min(p, BLOCK);
            for (int first = 0; first < p; first += block) {
                block(x, at + 4L * first, block, scale);
            }
            int h = block;
            for (; h <= p / 4; h *= 4) {
                radix4(x, at, p, h);
            }
            if (h < p) {
                radix2(x, at, p, h);
            }
        }
    }

    private static void small(MemorySegment x, long at, int p, float scale) {
        for (int i = 0; i < p; i++) {
            x.set(JAVA_FLOAT_UNALIGNED, at + 4L * i, x.get(JAVA_FLOAT_UNALIGNED, at + 4L * i) * scale);
        }
        for (int h = 1; h < p; h *= 2) {
            for (int i = 0; i < p; i++) {
                if ((i & h) == 0) {
                    float a = x.get(JAVA_FLOAT_UNALIGNED, at + 4L * i);
                    float b = x.get(JAVA_FLOAT_UNALIGNED, at + 4L * (i + h));
                    x.set(JAVA_FLOAT_UNALIGNED, at + 4L * i, a + b);
                    x.set(JAVA_FLOAT_UNALIGNED, at + 4L * (i + h), a - b);
                }
            }
        }
    }

    /** {@code x <- scale S x} for a block in L1 of at least four vectors. */
    private static void block(MemorySegment x, long at, int size, float scale) {
        fours(x, at, size, scale);
        int h = 4 * LANES;
        for (; h <= size / 4; h *= 4) {
            radix4(x, at, size, h);
        }
        if (h < size) {
            radix2(x, at, size, h);
        }
    }

    // Every method from here on that holds a vector is longer than 325 bytecodes (FreqInlineSize), has its loop inside
    // and
    // calls nothing but the Vector API, which is always inlined. So C2 compiles each on its own and never several into
    // one
    // caller, where they would pass its node budget (NodeCountInliningCutoff) and vectors would silently be boxed.
    // Unrolling serves that end. A test reads the lengths.

    /**
     * All stages of a strip of one or two vectors. Inside a register, lane i gets v[i] + v[i ^ bit] where that bit of i is
     * 0 and v[i ^ bit] - v[i] where it is 1: VPERMILPS or VPERMPS, and VFMADD.
     */
    private static void oneOrTwo(MemorySegment x, long at, int p, float scale) {
        if (p == LANES) {
            FloatVector a = FloatVector.fromMemorySegment(S, x, at, ORDER).mul(scale);
            a = a.fma(SIGN1, a.rearrange(SWAP1));
            a = a.fma(SIGN2, a.rearrange(SWAP2));
            if (LANES > 4) {
                a = a.fma(SIGN4, a.rearrange(SWAP4));
            }
            if (LANES > 8) {
                a = a.fma(SIGN8, a.rearrange(SWAP8));
            }
            a.intoMemorySegment(x, at, ORDER);
        } else {
            FloatVector a = FloatVector.fromMemorySegment(S, x, at, ORDER).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, x, at + V, ORDER).mul(scale);
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
            a.add(b).intoMemorySegment(x, at, ORDER);
            a.sub(b).intoMemorySegment(x, at + V, ORDER);
        }
    }

    /** The stages inside a register, and two across four registers. */
    private static void fours(MemorySegment x, long at, int size, float scale) {
        for (int i = 0; i < size; i += 4 * LANES) {
            long j = at + 4L * i;
            FloatVector a = FloatVector.fromMemorySegment(S, x, j, ORDER).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(S, x, j + V, ORDER).mul(scale);
            FloatVector c =
                    FloatVector.fromMemorySegment(S, x, j + 2 * V, ORDER).mul(scale);
            FloatVector d =
                    FloatVector.fromMemorySegment(S, x, j + 3 * V, ORDER).mul(scale);
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
            e.add(g).intoMemorySegment(x, j, ORDER);
            f.add(h).intoMemorySegment(x, j + V, ORDER);
            e.sub(g).intoMemorySegment(x, j + 2 * V, ORDER);
            f.sub(h).intoMemorySegment(x, j + 3 * V, ORDER);
        }
    }

    /** The stage h, h at least four vectors. */
    private static void radix2(MemorySegment x, long at, int size, int h) {
        long step = 4L * h;
        for (int first = 0; first < size; first += 2 * h) {
            for (int i = first; i < first + h; i += 4 * LANES) {
                long j = at + 4L * i;
                FloatVector a0 = FloatVector.fromMemorySegment(S, x, j, ORDER);
                FloatVector a1 = FloatVector.fromMemorySegment(S, x, j + step, ORDER);
                FloatVector b0 = FloatVector.fromMemorySegment(S, x, j + V, ORDER);
                FloatVector b1 = FloatVector.fromMemorySegment(S, x, j + step + V, ORDER);
                FloatVector c0 = FloatVector.fromMemorySegment(S, x, j + 2 * V, ORDER);
                FloatVector c1 = FloatVector.fromMemorySegment(S, x, j + step + 2 * V, ORDER);
                FloatVector d0 = FloatVector.fromMemorySegment(S, x, j + 3 * V, ORDER);
                FloatVector d1 = FloatVector.fromMemorySegment(S, x, j + step + 3 * V, ORDER);
                a0.add(a1).intoMemorySegment(x, j, ORDER);
                a0.sub(a1).intoMemorySegment(x, j + step, ORDER);
                b0.add(b1).intoMemorySegment(x, j + V, ORDER);
                b0.sub(b1).intoMemorySegment(x, j + step + V, ORDER);
                c0.add(c1).intoMemorySegment(x, j + 2 * V, ORDER);
                c0.sub(c1).intoMemorySegment(x, j + step + 2 * V, ORDER);
                d0.add(d1).intoMemorySegment(x, j + 3 * V, ORDER);
                d0.sub(d1).intoMemorySegment(x, j + step + 3 * V, ORDER);
            }
        }
    }

    /** The stages h and 2 h, h at least two vectors. */
    private static void radix4(MemorySegment x, long at, int size, int h) {
        long step = 4L * h;
        for (int first = 0; first < size; first += 4 * h) {
            for (int i = first; i < first + h; i += 2 * LANES) {
                long j = at + 4L * i;
                FloatVector a0 = FloatVector.fromMemorySegment(S, x, j, ORDER);
                FloatVector b0 = FloatVector.fromMemorySegment(S, x, j + step, ORDER);
                FloatVector c0 = FloatVector.fromMemorySegment(S, x, j + 2 * step, ORDER);
                FloatVector d0 = FloatVector.fromMemorySegment(S, x, j + 3 * step, ORDER);
                long k = at + 4L * i + V;
                FloatVector a1 = FloatVector.fromMemorySegment(S, x, k, ORDER);
                FloatVector b1 = FloatVector.fromMemorySegment(S, x, k + step, ORDER);
                FloatVector c1 = FloatVector.fromMemorySegment(S, x, k + 2 * step, ORDER);
                FloatVector d1 = FloatVector.fromMemorySegment(S, x, k + 3 * step, ORDER);
                FloatVector e0 = a0.add(b0);
                FloatVector f0 = a0.sub(b0);
                FloatVector g0 = c0.add(d0);
                FloatVector h0 = c0.sub(d0);
                e0.add(g0).intoMemorySegment(x, j, ORDER);
                f0.add(h0).intoMemorySegment(x, j + step, ORDER);
                e0.sub(g0).intoMemorySegment(x, j + 2 * step, ORDER);
                f0.sub(h0).intoMemorySegment(x, j + 3 * step, ORDER);
                FloatVector e1 = a1.add(b1);
                FloatVector f1 = a1.sub(b1);
                FloatVector g1 = c1.add(d1);
                FloatVector h1 = c1.sub(d1);
                e1.add(g1).intoMemorySegment(x, k, ORDER);
                f1.add(h1).intoMemorySegment(x, k + step, ORDER);
                e1.sub(g1).intoMemorySegment(x, k + 2 * step, ORDER);
                f1.sub(h1).intoMemorySegment(x, k + 3 * step, ORDER);
            }
        }
    }

    /** Copies the k x TILE floats whose rows lie {@code stride} bytes apart from {@code at} on; k at least 4. */
    private static void gather(MemorySegment x, long at, long stride, int k, MemorySegment tile) {
        for (int block = 0; block < k; block += 4) {
            int j = Math.min(block, k - 4);
            long from = at + j * stride;
            long to = 2 * V * j;
            FloatVector a0 = FloatVector.fromMemorySegment(S, x, from, ORDER);
            FloatVector a1 = FloatVector.fromMemorySegment(S, x, from + V, ORDER);
            FloatVector b0 = FloatVector.fromMemorySegment(S, x, from + stride, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(S, x, from + stride + V, ORDER);
            FloatVector c0 = FloatVector.fromMemorySegment(S, x, from + 2 * stride, ORDER);
            FloatVector c1 = FloatVector.fromMemorySegment(S, x, from + 2 * stride + V, ORDER);
            FloatVector d0 = FloatVector.fromMemorySegment(S, x, from + 3 * stride, ORDER);
            FloatVector d1 = FloatVector.fromMemorySegment(S, x, from + 3 * stride + V, ORDER);
            a0.intoMemorySegment(tile, to, ORDER);
            a1.intoMemorySegment(tile, to + V, ORDER);
            b0.intoMemorySegment(tile, to + 2 * V, ORDER);
            b1.intoMemorySegment(tile, to + 3 * V, ORDER);
            c0.intoMemorySegment(tile, to + 4 * V, ORDER);
            c1.intoMemorySegment(tile, to + 5 * V, ORDER);
            d0.intoMemorySegment(tile, to + 6 * V, ORDER);
            d1.intoMemorySegment(tile, to + 7 * V, ORDER);
        }
    }

    /**
     * {@code y <- M tile}, or {@code M^T tile}, k at least 4; the rows of y lie {@code stride} bytes apart from {@code at}
     * on. Where 4 does not divide k the last rows are computed twice.
     */
    private static void multiply(
            MemorySegment matrix, boolean transpose, int k, MemorySegment tile, MemorySegment y, long at, long stride) {
        long down = transpose ? 4 : 4L * k;
        long across = transpose ? 4L * k : 4;
        for (int block = 0; block < k; block += 4) {
            int i = Math.min(block, k - 4);
            fourRows(matrix, i * down, down, across, k, tile, y, at + i * stride, stride);
        }
    }

    /** Four rows of the product: per entry of a column four broadcasts, two loads and eight FMAs. */
    private static void fourRows(
            MemorySegment matrix,
            long entry,
            long down,
            long across,
            int k,
            MemorySegment tile,
            MemorySegment y,
            long at,
            long stride) {
        FloatVector a0 = FloatVector.zero(S);
        FloatVector a1 = a0;
        FloatVector b0 = a0;
        FloatVector b1 = a0;
        FloatVector c0 = a0;
        FloatVector c1 = a0;
        FloatVector d0 = a0;
        FloatVector d1 = a0;
        for (int j = 0; j < k; j++) {
            FloatVector x0 = FloatVector.fromMemorySegment(S, tile, 2 * V * j, ORDER);
            FloatVector x1 = FloatVector.fromMemorySegment(S, tile, 2 * V * j + V, ORDER);
            long m = entry + j * across;
            FloatVector r = FloatVector.broadcast(S, matrix.get(JAVA_FLOAT_UNALIGNED, m));
            a0 = x0.fma(r, a0);
            a1 = x1.fma(r, a1);
            r = FloatVector.broadcast(S, matrix.get(JAVA_FLOAT_UNALIGNED, m + down));
            b0 = x0.fma(r, b0);
            b1 = x1.fma(r, b1);
            r = FloatVector.broadcast(S, matrix.get(JAVA_FLOAT_UNALIGNED, m + 2 * down));
            c0 = x0.fma(r, c0);
            c1 = x1.fma(r, c1);
            r = FloatVector.broadcast(S, matrix.get(JAVA_FLOAT_UNALIGNED, m + 3 * down));
            d0 = x0.fma(r, d0);
            d1 = x1.fma(r, d1);
        }
        a0.intoMemorySegment(y, at, ORDER);
        a1.intoMemorySegment(y, at + V, ORDER);
        b0.intoMemorySegment(y, at + stride, ORDER);
        b1.intoMemorySegment(y, at + stride + V, ORDER);
        c0.intoMemorySegment(y, at + 2 * stride, ORDER);
        c1.intoMemorySegment(y, at + 2 * stride + V, ORDER);
        d0.intoMemorySegment(y, at + 3 * stride, ORDER);
        d1.intoMemorySegment(y, at + 3 * stride + V, ORDER);
    }
}
