package dev.gosset.core.codebook;

import java.util.Arrays;

/**
 * E81B, one bit per weight: the 256 short points of the lattice E8 that the 3-bit scheme uses for its residual.
 *
 * <p>Codes 0 to 112 are the vectors of {-1, 0, 1} with even sum and {@code |v|^2 <= 2} in lexicographic order (code 56 is
 * zero); 113 to 240 those of {-1/2, 1/2} with an even sum, in lexicographic order; 241 to 248 are {@code 2 e_0 .. 2 e_7}
 * and 249 to 255 {@code -2 e_0 .. -2 e_6}.
 *
 * <p>Immutable, thread-safe, allocates nothing. Source: spec/quip-sharp.md, section 4.5.
 */
public final class E81b {
    /** Number of points. */
    public static final int POINTS = 256;

    /** The code of zero, and of the first point of halves. */
    private static final int ZERO = 56;

    private static final int HALVES = 113;

    private static final int DIMENSION = Codebook.DIMENSION;
    private static final double[] GRID = new double[POINTS * DIMENSION];
    private static final double[] SQUARED_NORM = new double[POINTS];

    /** The codes of vectors with two entries of +-1, at i, j: by {@code 32 i + 4 j + 2 (v_i < 0) + (v_j < 0)}, i below j. */
    private static final short[] OF_PAIR = new short[256];

    static {
        byte[] doubled = doubledPoints();
        for (int i = 0; i < GRID.length; i++) {
            GRID[i] = doubled[i] / 2.0;
            SQUARED_NORM[i / DIMENSION] += GRID[i] * GRID[i];
        }
        for (int code = 0; code < HALVES; code++) {
            if (SQUARED_NORM[code] == 2) {
                OF_PAIR[pair(doubled, code * DIMENSION)] = (short) code;
            }
        }
    }

    private E81b() {}

    /** A fresh copy of the points times 2, 256 x 8, row by row. */
    public static byte[] doubledPoints() {
        byte[] table = new byte[POINTS * DIMENSION];
        int code = 0;
        for (int number = 0; number < 6561; number++) {
            int norm = 0;
            for (int c = DIMENSION - 1, rest = number; c >= 0; c--, rest /= 3) {
                int v = rest % 3 - 1;
                norm += v * v;
                table[code * DIMENSION + c] = (byte) (2 * v);
            }
            // Entries of -1, 0 and 1: the sum has the parity of the squared norm.
            if (norm == 0 || norm == 2) {
                code++;
            }
        }
        for (int bits = 0; bits < 256; bits++) {
            if ((Integer.bitCount(bits) & 1) == 0) {
                for (int c = 0; c < DIMENSION; c++) {
                    table[code * DIMENSION + c] = (byte) (2 * (bits >>> (DIMENSION - 1 - c) & 1) - 1);
                }
                code++;
            }
        }
        for (int i = 0; code < POINTS; i++, code++) {
            Arrays.fill(table, code * DIMENSION, (code + 1) * DIMENSION, (byte) 0);
            table[code * DIMENSION + i % DIMENSION] = (byte) (i < DIMENSION ? 4 : -4);
        }
        return table;
    }

    /** Writes the point of {@code code} (its low 8 bits) to {@code out[offset..offset+7]}. */
    public static void decode(int code, double[] out, int offset) {
        System.arraycopy(GRID, (code & 0xff) * DIMENSION, out, offset, DIMENSION);
    }

    private static int pair(byte[] doubled, int offset) {
        int index = 0;
        for (int c = 0, place = 3; c < DIMENSION; c++) {
            int v = doubled[offset + c];
            if (v != 0) {
                index += place == 3 ? 32 * c + (v < 0 ? 2 : 0) : 4 * c + (v < 0 ? 1 : 0);
                place = 2;
            }
        }
        return index;
    }

    /**
     * The code of a point of E8 with squared norm 0 or 2.
     *
     * @param doubled the point times 2
     */
    public static int codeOf(byte[] doubled) {
        if ((doubled[0] & 1) != 0) {
            int bits = 0;
            for (int c = 0; c < DIMENSION; c++) {
                bits = bits << 1 | (doubled[c] > 0 ? 1 : 0);
            }
            // Of two neighbouring numbers one has an even sum of bits.
            return HALVES + (bits >>> 1);
        }
        for (int c = 0; c < DIMENSION; c++) {
            if (doubled[c] != 0) {
                return OF_PAIR[pair(doubled, 0)];
            }
        }
        return ZERO;
    }

    /** The code of the point nearest to {@code x[offset..offset+7]}, the lowest one at equal distance. */
    public static int nearest(double[] x, int offset) {
        double best = Double.NEGATIVE_INFINITY;
        int nearest = 0;
        for (int code = 0; code < POINTS; code++) {
            double dot = 0;
            for (int c = 0; c < DIMENSION; c++) {
                dot += x[offset + c] * GRID[code * DIMENSION + c];
            }
            double score = 2 * dot - SQUARED_NORM[code];
            if (score > best) {
                best = score;
                nearest = code;
            }
        }
        return nearest;
    }
}
