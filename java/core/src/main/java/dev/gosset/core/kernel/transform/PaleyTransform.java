package dev.gosset.core.kernel.transform;

import dev.gosset.core.hadamard.HadamardTransform;

/**
 * {@code x <- scale (H (x) S_p) x} for K = 28 and long strips. All rows of H meet in a column, so the strips cannot stay in the L1
 * cache one by one; and where p is a large power of two, the 28 lines of a column share one or two sets of that cache, where stores
 * find the lines gone that were loaded just before. So H comes first, for a block of 16 vectors of columns at a time, from x to
 * scratch, which stays in the cache; Sylvester's stages, which commute with H, follow there, and the last of them writes to x, line
 * after line. The stage 1 rides on the reading of x ({@link PaleyProduct#applyWithPairs}).
 *
 * <p>Stateless, thread-safe, allocates nothing.
 */
final class PaleyTransform {
    private static final int K = PaleyProduct.K;
    /** Columns of a block: 28 KiB of scratch where vectors have 512 bits. */
    private static final int BLOCK = VectorSylvester.GROUP;

    /** In place of an address: no factors. */
    private static final long NONE = 0;

    private PaleyTransform() {}

    /** Whether {@link #apply} takes this transform: K = 28, and a strip is at least a block. */
    static boolean takes(HadamardTransform transform) {
        return PaleyProduct.serves(transform) && transform.n() / K >= BLOCK && VectorSylvester.vectorBits() >= 256;
    }

    /** Bytes of scratch of {@link #apply}. */
    static long scratchBytes() {
        return 4L * K * BLOCK + PaleyProduct.scratchBytes();
    }

    /** In place on 28 strips of p floats. */
    static void apply(long x, int p, float scale, long scratch) {
        transform(x, NONE, x, NONE, p, scale, scratch);
    }

    /** {@code y <- scale (H (x) S_p) (f x)}; y is x or apart from it. */
    static void applyToProduct(long x, long f, long y, int p, float scale, long scratch) {
        transform(x, f, y, NONE, p, scale, scratch);
    }

    /** {@code x <- f scale (H (x) S_p) x}. */
    static void applyThenMultiply(long x, long f, int p, float scale, long scratch) {
        transform(x, NONE, x, f, p, scale, scratch);
    }

    private static void transform(long x, long before, long y, long after, int p, float scale, long scratch) {
        long stride = 4L * p;
        long tile = scratch + 4L * K * BLOCK;
        for (int block = 0; block < p; block += BLOCK) {
            long at = 4L * block;
            for (int column = 0; column < BLOCK; column += SmallMatrixProduct.TILE) {
                long from = at + 4L * column;
                long to = scratch + 4L * column;
                if (before == NONE) {
                    PaleyProduct.applyWithPairs(x + from, stride, to, 4L * BLOCK, tile);
                } else {
                    PaleyProduct.applyToProductWithPairs(x + from, before + from, stride, to, 4L * BLOCK, tile);
                }
            }
            finish(scratch, y, after, p, block, scale);
        }
        for (int strip = 0; strip < K && p > 2 * BLOCK; strip++) {
            long at = stride * strip;
            if (after == NONE) {
                VectorSylvester.acrossGroups(y + at, p);
            } else {
                VectorSylvester.acrossGroupsThenMultiply(y + at, after + at, p);
            }
        }
    }

    /** Sylvester's stages inside a block of each strip, and where there are two blocks the stage between them. */
    private static void finish(long x, long y, long after, int p, int block, float scale) {
        long stride = 4L * p;
        if (p == 2 * BLOCK && block > 0) {
            if (after == NONE) {
                VectorSylvester.finishSecondGroups(x, K, scale, y, stride);
            } else {
                VectorSylvester.finishSecondGroupsThenMultiply(x, K, scale, after, y, stride);
            }
        } else if (p == BLOCK && after != NONE) {
            VectorSylvester.finishGroupsThenMultiply(x, K, scale, after, y, stride);
        } else {
            VectorSylvester.finishGroups(x, K, scale, y + 4L * block, stride);
        }
    }
}
