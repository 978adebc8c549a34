package dev.gosset.core.kernel;

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
        long stride = 4L * p;
        long tile = scratch + 4L * K * BLOCK;
        for (int block = 0; block < p; block += BLOCK) {
            long at = x + 4L * block;
            for (int column = 0; column < BLOCK; column += SmallMatrixProduct.TILE) {
                PaleyProduct.applyWithPairs(at + 4L * column, stride, scratch + 4L * column, 4L * BLOCK, tile);
            }
            if (p == 2 * BLOCK && block > 0) {
                VectorSylvester.finishSecondGroups(scratch, K, scale, x, stride);
            } else {
                VectorSylvester.finishGroups(scratch, K, scale, at, stride);
            }
        }
        for (int strip = 0; strip < K && p > 2 * BLOCK; strip++) {
            VectorSylvester.acrossGroups(x + stride * strip, p);
        }
    }
}
