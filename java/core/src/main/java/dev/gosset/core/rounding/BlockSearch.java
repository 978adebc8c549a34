package dev.gosset.core.rounding;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.D4;
import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.codebook.HalfInteger;
import dev.gosset.core.kernel.encode.RootRanking;
import dev.gosset.core.kernel.memory.VectorApi;
import dev.gosset.core.memory.Matrix;
import java.util.Arrays;

/**
 * Points near a target by the metric of its block: {@code (t - q) D (t - q)^T} with D symmetric, 8 x 8, where {@link Codebook#nearest}
 * asks for {@code |t - q|^2}.
 *
 * <p>The codebooks are cut out of the lattice E8, moved by 1/4, and the points of E8 around a point are its 240 roots: the 112 {@code
 * +-e_i +- e_j} and the 128 vectors of +-1/2 with an even number of minus signs. From a code and {@code g = D (t - q)}, the root r adds
 * {@code r D r - 2 r g} to the cost. All roots are ranked for many targets at once and the four cheapest points kept, the one begun with
 * among them; roots that lead out of the codebook are none (neither are those to its 29 longest magnitudes, at 2 and 4 bits). With a
 * residual codebook the residual point moves, a root being divided by the residual scale.
 *
 * <p>The ranking is in float32, its costs in whole numbers of the mean of D's diagonal / 2^14; what is kept is costed in float64. The
 * same results on every processor, with vectors ({@link RootRanking}) and without. One thread at a time.
 */
final class BlockSearch {
    /** Points kept for a target. */
    static final int KEPT = 4;

    private static final int DIMENSION = Codebook.DIMENSION;

    /** Targets that are ranked together. */
    static final int CHUNK = 64;

    private static final int ROOTS = 240;

    /** The tag of the point itself. */
    private static final int ITSELF = 255;

    private static final int MOST = (1 << 23) - 1;

    /** Twice the roots. Roots 2 p and 2 p + 1 are opposite. */
    private static final byte[][] DOUBLED = new byte[ROOTS][DIMENSION];

    // Planes of DOTS and NORMS: g and its negative, then sums over halves of the coordinates with signs.
    private static final int NEGATED = DIMENSION;
    private static final int FIRST_HALF = 2 * DIMENSION;
    private static final int SECOND_HALF = FIRST_HALF + 8;
    private static final int PLANES = SECOND_HALF + 16;

    /** The two planes whose sum is the product with root 2 p. */
    private static final int[] LEFT = new int[ROOTS / 2];

    private static final int[] RIGHT = new int[ROOTS / 2];
    private static final int PAIRS = 56;

    static {
        int p = 0;
        for (int i = 0; i < DIMENSION; i++) {
            for (int j = i + 1; j < DIMENSION; j++) {
                for (int sign = 1; sign >= -1; sign -= 2, p++) {
                    DOUBLED[2 * p][i] = 2;
                    DOUBLED[2 * p][j] = (byte) (2 * sign);
                    LEFT[p] = i;
                    RIGHT[p] = sign > 0 ? j : NEGATED + j;
                }
            }
        }
        for (int a = 0; a < 8; a++) {
            for (int b = 0; b < 16; b++) {
                if ((Integer.bitCount(a) + Integer.bitCount(b) & 1) == 0) {
                    for (int c = 0; c < DIMENSION; c++) {
                        // Coordinate 0 is positive: its opposite is the other root of the two.
                        boolean minus = c < 4 ? (a << 1 >>> c & 1) != 0 : (b >>> c - 4 & 1) != 0;
                        DOUBLED[2 * p][c] = (byte) (minus ? -1 : 1);
                    }
                    LEFT[p] = FIRST_HALF + a;
                    RIGHT[p] = SECOND_HALF + b;
                    p++;
                }
            }
        }
        for (p = 0; p < ROOTS / 2; p++) {
            for (int c = 0; c < DIMENSION; c++) {
                DOUBLED[2 * p + 1][c] = (byte) -DOUBLED[2 * p][c];
            }
        }
    }

    private final Codebook codebook;
    private final boolean vectors;
    /** What a root is multiplied by. */
    private final double step;

    private final boolean isShifted;
    private final int largestNorm;

    private final double[] d = new double[DIMENSION * DIMENSION];
    private final double[] rootCost = new double[ROOTS];
    private final float[] rankedCost = new float[ROOTS];
    private double unit;

    private final float[] dots = new float[PLANES * CHUNK];
    /** Whole numbers. */
    private final float[] norms = new float[PLANES * CHUNK];

    private final float[] base = new float[CHUNK];
    /** How much four times the norm may grow, less 8: without and with change of the shift. */
    private final float[] room = new float[2 * CHUNK];

    private final int[] best = new int[KEPT * CHUNK];
    private final double[] baseCost = new double[CHUNK];
    private final double[] gradient = new double[DIMENSION * CHUNK];
    private final int[] codes = new int[CHUNK];

    private final float[] pairDots = new float[4];
    private final int[] pairNorms = new int[4];
    private final double[] value = new double[DIMENSION];
    private final double[] moving = new double[DIMENSION];
    private final int[] moved = new int[DIMENSION];
    private final byte[] movedByte = new byte[DIMENSION];

    /**
     * @throws IllegalArgumentException for codebooks that are not made of E8P
     */
    BlockSearch(Codebook codebook) {
        this(codebook, VectorApi.isPresent());
    }

    /** With vectors or without. */
    BlockSearch(Codebook codebook, boolean vectors) {
        this.codebook = codebook;
        this.vectors = vectors;
        this.step = 1 / codebook.residualScale();
        switch (codebook) {
            case E8p _ -> isShifted = true;
            case E8pResidual _ -> isShifted = codebook.bits() == 4;
            case D4 _, HalfInteger _ ->
                throw new IllegalArgumentException("codebook " + codebook.name()
                        + " is searched for nearest points only: no search by the metric of blocks knows it");
        }
        this.largestNorm = 4 * (isShifted ? 10 : 2);
    }

    /** Sets the metric: rows {@code from} to {@code from + 7}, columns {@code col} to {@code col + 7} of a matrix. */
    void metric(Matrix of, int from, int col) {
        double trace = 0;
        for (int i = 0; i < DIMENSION; i++) {
            for (int j = 0; j < DIMENSION; j++) {
                d[DIMENSION * i + j] = of.at(from + i, col + j);
            }
            trace += d[(DIMENSION + 1) * i];
        }
        unit = trace > 0 ? (1 << 14) * DIMENSION / trace : 0;
        for (int r = 0; r < ROOTS; r++) {
            for (int c = 0; c < DIMENSION; c++) {
                moving[c] = DOUBLED[r][c] * 0.5 * step;
            }
            rootCost[r] = cost(moving);
            rankedCost[r] = (float) (unit * rootCost[r]);
        }
    }

    /** {@code e D e^T}. */
    double cost(double[] e) {
        double sum = 0;
        for (int i = 0; i < DIMENSION; i++) {
            double row = 0;
            for (int j = 0; j < DIMENSION; j++) {
                row += d[DIMENSION * i + j] * e[j];
            }
            sum += row * e[i];
        }
        return sum;
    }

    /**
     * Takes a target and the code to begin with.
     *
     * @param item of this chunk, below {@link #CHUNK}
     */
    void put(int item, double[] target, int code) {
        codes[item] = code;
        codebook.decode(code, value, 0);
        decodeMoving(code);
        double sum = 0;
        for (int i = 0; i < DIMENSION; i++) {
            double row = 0;
            for (int j = 0; j < DIMENSION; j++) {
                row += d[DIMENSION * i + j] * (target[j] - value[j]);
            }
            gradient[DIMENSION * item + i] = row;
            sum += row * (target[i] - value[i]);
        }
        baseCost[item] = sum;
        base[item] = (float) (unit * sum);
        double shift = shift(code);
        int stays = 8;
        int changes = 8;
        for (int c = 0; c < DIMENSION; c++) {
            float g = (float) (2 * unit * step * gradient[DIMENSION * item + c]);
            int v = (int) (2 * (moving[c] - shift));
            int u = (int) (2 * (moving[c] + shift));
            dots[c * CHUNK + item] = g;
            dots[(NEGATED + c) * CHUNK + item] = -g;
            norms[c * CHUNK + item] = 4 * v;
            norms[(NEGATED + c) * CHUNK + item] = -4 * v;
            stays += v * v;
            changes += u * u;
            moved[c] = 2 * u;
        }
        room[item] = largestNorm - stays;
        room[CHUNK + item] = largestNorm - changes;
        sumHalves(item, 0, FIRST_HALF, 1);
        sumHalves(item, 4, SECOND_HALF, 0);
    }

    /**
     * Sums of four coordinates with signs: bit c of the number of a plane is a minus of the c-th.
     *
     * @param dropped how many of the lowest bits, which are 0 then, the number of a plane leaves out
     */
    private void sumHalves(int item, int first, int plane, int dropped) {
        for (int low = 0; low < 4; low++) {
            pairDots[low] =
                    signed(dots[first * CHUNK + item], low & 1) + signed(dots[(first + 1) * CHUNK + item], low >> 1);
            pairNorms[low] = signed(moved[first], low & 1) + signed(moved[first + 1], low >> 1);
        }
        for (int high = 0; high < 4; high++) {
            float dot = signed(dots[(first + 2) * CHUNK + item], high & 1)
                    + signed(dots[(first + 3) * CHUNK + item], high >> 1);
            int n = signed(moved[first + 2], high & 1) + signed(moved[first + 3], high >> 1);
            for (int low = 0; low < 4; low += 1 << dropped) {
                int at = (plane + (4 * high + low >> dropped)) * CHUNK + item;
                dots[at] = 0.5f * (pairDots[low] + dot);
                norms[at] = pairNorms[low] + n;
            }
        }
    }

    private static float signed(float value, int minus) {
        return minus == 0 ? value : -value;
    }

    private static int signed(int value, int minus) {
        return minus == 0 ? value : -value;
    }

    /** Ranks the points around all targets that were put. */
    void rank() {
        for (int i = 0; i < CHUNK; i++) {
            best[i] = Math.clamp((int) base[i], 0, MOST) << 8 | ITSELF;
        }
        Arrays.fill(best, CHUNK, KEPT * CHUNK, Integer.MAX_VALUE);
        for (int shift = 0; shift < 2; shift++) {
            int roomAt = shift * CHUNK;
            int from = shift == 0 ? 0 : PAIRS;
            int to = shift == 0 ? PAIRS : ROOTS / 2;
            if (vectors) {
                RootRanking.insert(
                        CHUNK, dots, norms, base, room, roomAt, best, LEFT, RIGHT, rankedCost, from, to, MOST);
            } else {
                for (int p = from; p < to; p++) {
                    insert(LEFT[p] * CHUNK, RIGHT[p] * CHUNK, roomAt, rankedCost[2 * p], 2 * p);
                }
            }
        }
    }

    /** Puts a root and its opposite into the sorted lists. */
    private void insert(int left, int right, int roomAt, float cost, int tag) {
        float[] d = dots;
        float[] w = norms;
        int[] b = best;
        for (int i = 0; i < CHUNK; i++) {
            float dot = d[left + i] + d[right + i];
            float change = w[left + i] + w[right + i];
            float free = room[roomAt + i];
            float both = base[i] + cost;
            // All ones, so that it comes last, where the point is too long.
            int out = (int) (free - change) >> 31 >>> 1;
            int candidate = Math.min(Math.max((int) (both - dot), 0), MOST) << 8 | tag | out;
            int outOpposite = (int) (free + change) >> 31 >>> 1;
            int opposite = Math.min(Math.max((int) (both + dot), 0), MOST) << 8 | tag + 1 | outOpposite;
            // Of two opposite roots at most one is among the nearest: the other would be dearer than the point itself.
            int k = Math.min(candidate, opposite);
            int b0 = b[i];
            int b1 = b[CHUNK + i];
            int b2 = b[2 * CHUNK + i];
            int b3 = b[3 * CHUNK + i];
            int m0 = Math.max(b0, k);
            int m1 = Math.max(b1, m0);
            int m2 = Math.max(b2, m1);
            b[i] = Math.min(b0, k);
            b[CHUNK + i] = Math.min(b1, m0);
            b[2 * CHUNK + i] = Math.min(b2, m1);
            b[3 * CHUNK + i] = Math.min(b3, m2);
        }
    }

    /** How many points were kept for a target. */
    int kept(int item) {
        int kept = KEPT;
        while (kept > 1 && best[(kept - 1) * CHUNK + item] == Integer.MAX_VALUE) {
            kept--;
        }
        return kept;
    }

    /** The cost of the rank-th point kept. */
    double cost(int item, int rank) {
        int tag = best[rank * CHUNK + item] & 255;
        if (tag == ITSELF) {
            return baseCost[item];
        }
        double dot = 0;
        for (int c = 0; c < DIMENSION; c++) {
            dot += DOUBLED[tag][c] * gradient[DIMENSION * item + c];
        }
        return Math.max(0, baseCost[item] + rootCost[tag] - step * dot);
    }

    /** The code of the rank-th point kept. */
    int code(int item, int rank) {
        int code = codes[item];
        int tag = best[rank * CHUNK + item] & 255;
        if (tag == ITSELF) {
            return code;
        }
        decodeMoving(code);
        double shift = shift(code);
        boolean changes = tag >= 2 * PAIRS;
        if (!isShifted) {
            for (int c = 0; c < DIMENSION; c++) {
                movedByte[c] = (byte) (2 * moving[c] + DOUBLED[tag][c]);
            }
            return code & 0xffff0000 | E81b.codeOf(movedByte);
        }
        double newShift = changes ? -shift : shift;
        for (int c = 0; c < DIMENSION; c++) {
            moved[c] = (int) (2 * (moving[c] - newShift)) + DOUBLED[tag][c];
        }
        int found = E8p.INSTANCE.codeOf(moved, newShift < 0);
        return codebook.bits() == 2 ? found : code & 0xffff0000 | found;
    }

    /** The point that roots move: the only one, or the residual's. */
    private void decodeMoving(int code) {
        if (codebook instanceof E8pResidual residual) {
            residual.decodeResidual(code, moving, 0);
        } else {
            codebook.decode(code, moving, 0);
        }
    }

    private double shift(int code) {
        return !isShifted ? 0 : (Integer.bitCount(code & 0xff) & 1) == 1 ? -0.25 : 0.25;
    }
}
