package dev.gosset.core.codebook;

import java.util.Arrays;

/**
 * The E8P codebook, 2 bits per weight (E8P12, version 1): 65536 points of the lattice E8 + 1/4.
 *
 * <p>With S a table of 256 vectors of positive half-integers, a 16-bit code {@code (a << 8) | b} is the point {@code s *
 * S[a] + shift}: {@code shift} is +1/4 in all coordinates where b has an even number of set bits and -1/4 where it is
 * odd; the signs s are the bits of b in the order of the coordinates 0, 2, 4, 6, 1, 3, 5, 7, after bit 0 is flipped for
 * an odd b, and coordinate 7 is negated once more where the sum of S[a] is odd. So {@code s * S[a]} always has an even
 * sum: it lies in the lattice D8 + 1/2.
 *
 * <p>S holds first all 227 such vectors with {@code |v|^2 <= 10} in lexicographic order and then 29 of {@code |v|^2 =
 * 12}, which are constants of the format.
 *
 * <p>Immutable, thread-safe, allocates nothing. Source: spec/quip-sharp.md, sections 4.1 to 4.3.
 */
public final class E8p implements Codebook {
    /** Entries of the table S. */
    public static final int MAGNITUDES = 256;

    public static final E8p INSTANCE = new E8p();

    private static final double SHIFT = 0.25;

    /** Twice the vectors of squared norm 12, entries 227 to 255. */
    private static final String NORM_12 = "31113333 13113333 11313333 11133333 33313311 33313131 33311331 33313113 "
            + "33311313 33311133 33133311 33133131 33131331 33133113 33131313 33131133 31333311 31333131 31331331 "
            + "31333113 31331313 13331133 13333311 13333131 13331331 13333113 13331313 11331333 33113331";

    /** S, row by row. */
    private final double[] magnitudes = new double[MAGNITUDES * DIMENSION];

    private final double[] squaredNorm = new double[MAGNITUDES];

    /** The sum of each row of S, modulo 2. */
    private final int[] parity = new int[MAGNITUDES];

    /** The row of S by its entries as digits in base 3, coordinate 0 first: 0, 1, 2 for 1/2, 3/2, 5/2; -1 where there is none. */
    private final short[] rows = new short[6561];

    private E8p() {
        byte[] doubled = doubledMagnitudes();
        Arrays.fill(rows, (short) -1);
        for (int a = 0; a < MAGNITUDES; a++) {
            double sum = 0;
            int key = 0;
            for (int c = 0; c < DIMENSION; c++) {
                key = 3 * key + doubled[a * DIMENSION + c] / 2;
                double v = doubled[a * DIMENSION + c] / 2.0;
                magnitudes[a * DIMENSION + c] = v;
                squaredNorm[a] += v * v;
                sum += v;
            }
            parity[a] = (int) sum & 1;
            rows[key] = (short) a;
        }
    }

    @Override
    public String name() {
        return "E8P12";
    }

    @Override
    public int id() {
        return 7;
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public int bits() {
        return 2;
    }

    @Override
    public double optimalScale() {
        return 1.03;
    }

    @Override
    public double defaultScale() {
        return 0.9;
    }

    @Override
    public double residualScale() {
        return 1;
    }

    @Override
    public double largestNorm() {
        return Math.sqrt(17);
    }

    /** A fresh copy of {@code 2 S}, 256 x 8, row by row: every entry is 1, 3 or 5. */
    public static byte[] doubledMagnitudes() {
        byte[] table = new byte[MAGNITUDES * DIMENSION];
        int filled = 0;
        // Counting in base 3 from the most significant coordinate enumerates {1, 3, 5}^8 in lexicographic order.
        for (int number = 0; number < 6561; number++) {
            int norm = 0;
            for (int c = DIMENSION - 1, rest = number; c >= 0; c--, rest /= 3) {
                byte v = (byte) (2 * (rest % 3) + 1);
                norm += v * v;
                if (filled + c < table.length) {
                    table[filled + c] = v;
                }
            }
            if (norm <= 4 * 10) {
                filled += DIMENSION;
            }
        }
        for (String vector : NORM_12.split(" ")) {
            for (int c = 0; c < DIMENSION; c++) {
                table[filled++] = (byte) (vector.charAt(c) - '0');
            }
        }
        if (filled != table.length) {
            throw new IllegalStateException("the E8P table has " + filled + " entries, expected " + table.length);
        }
        return table;
    }

    /** The sum of row a of S, modulo 2. */
    int parity(int a) {
        return parity[a];
    }

    /** The coordinate whose sign bit k of a code is: 0, 2, 4, 6, 1, 3, 5, 7. */
    public static int coordinate(int bit) {
        return bit < 4 ? 2 * bit : 2 * bit - 7;
    }

    /** {@inheritDoc} Only the low 16 bits of {@code code} are read. */
    @Override
    public void decode(int code, double[] out, int offset) {
        int a = (code >>> 8) & 0xff;
        int odd = Integer.bitCount(code & 0xff) & 1;
        int signs = (code & 0xff) ^ odd;
        double shift = odd == 1 ? -SHIFT : SHIFT;
        for (int k = 0; k < DIMENSION; k++) {
            int c = coordinate(k);
            int negative = (signs >>> k) & 1 ^ (c == 7 ? parity[a] : 0);
            double v = magnitudes[a * DIMENSION + c];
            out[offset + c] = (negative == 1 ? -v : v) + shift;
        }
    }

    /**
     * The code of the point {@code doubled / 2 + shift}, or -1 where the codebook has no such point.
     *
     * @param doubled eight odd numbers whose sum is a multiple of 4: a point of D8 + 1/2, times 2
     * @param negativeShift whether the shift is -1/4
     */
    public int codeOf(int[] doubled, boolean negativeShift) {
        int key = 0;
        for (int c = 0; c < DIMENSION; c++) {
            int magnitude = Math.abs(doubled[c]);
            if (magnitude > 5) {
                return -1;
            }
            key = 3 * key + magnitude / 2;
        }
        int a = rows[key];
        if (a < 0) {
            return -1;
        }
        int b = parity[a] << 7 ^ (negativeShift ? 1 : 0);
        for (int k = 0; k < DIMENSION; k++) {
            b ^= doubled[coordinate(k)] < 0 ? 1 << k : 0;
        }
        return a << 8 | b;
    }

    /**
     * {@inheritDoc}
     *
     * <p>Exact: for each of the two shifts and each row of S the best signs are those of {@code z = x - shift}; where
     * their number has the wrong parity, the sign that costs least is flipped. So 2 x 256 rows decide among 65536
     * points. At equal distance the +1/4 shift and then the lower row of S win. Infinite or NaN inputs give some valid
     * code.
     */
    @Override
    public int nearest(double[] x, int offset) {
        int plus = nearestRow(x, offset, -SHIFT);
        int minus = nearestRow(x, offset, SHIFT);
        // "Plus" in the sense of the published search, which adds 1/4 to x: the point then carries the shift -1/4.
        boolean odd = squaredDistance(x, offset, -SHIFT, plus) < squaredDistance(x, offset, SHIFT, minus);
        double shift = odd ? -SHIFT : SHIFT;
        int a = odd ? plus : minus;
        int flipped = flippedCoordinate(x, offset, shift, a);
        int b = 0;
        for (int k = 0; k < DIMENSION; k++) {
            int c = coordinate(k);
            boolean negative = (x[offset + c] - shift < 0) != (c == flipped);
            b |= (negative ? 1 : 0) << k;
        }
        b ^= parity[a] << 7 ^ (odd ? 1 : 0);
        return a << 8 | b;
    }

    /** The row with the greatest {@code 2 <w, a> - |a|^2}, w = |x - shift|, less the cost of a flip where one is due. */
    private int nearestRow(double[] x, int offset, double shift) {
        int negatives = negatives(x, offset, shift);
        double w0 = Math.abs(x[offset] - shift);
        double w1 = Math.abs(x[offset + 1] - shift);
        double w2 = Math.abs(x[offset + 2] - shift);
        double w3 = Math.abs(x[offset + 3] - shift);
        double w4 = Math.abs(x[offset + 4] - shift);
        double w5 = Math.abs(x[offset + 5] - shift);
        double w6 = Math.abs(x[offset + 6] - shift);
        double w7 = Math.abs(x[offset + 7] - shift);
        double best = Double.NEGATIVE_INFINITY;
        int row = 0;
        for (int a = 0; a < MAGNITUDES; a++) {
            int m = DIMENSION * a;
            double dot = w0 * magnitudes[m]
                    + w1 * magnitudes[m + 1]
                    + w2 * magnitudes[m + 2]
                    + w3 * magnitudes[m + 3]
                    + w4 * magnitudes[m + 4]
                    + w5 * magnitudes[m + 5]
                    + w6 * magnitudes[m + 6]
                    + w7 * magnitudes[m + 7];
            double score = 2 * dot - squaredNorm[a];
            // The flip only lowers the score, so that most rows are out before it is known.
            if (score > best && parity[a] != negatives) {
                score -= 4 * leastProduct(x, offset, shift, a);
            }
            if (score > best) {
                best = score;
                row = a;
            }
        }
        return row;
    }

    private double leastProduct(double[] x, int offset, double shift, int a) {
        double least = Double.POSITIVE_INFINITY;
        for (int c = 0; c < DIMENSION; c++) {
            double product = Math.abs(x[offset + c] - shift) * magnitudes[a * DIMENSION + c];
            least = product < least ? product : least;
        }
        return least;
    }

    /** The coordinate whose sign differs from that of x - shift, or -1. */
    private int flippedCoordinate(double[] x, int offset, double shift, int a) {
        if (parity[a] == negatives(x, offset, shift)) {
            return -1;
        }
        int flipped = 0;
        double least = Double.POSITIVE_INFINITY;
        for (int c = 0; c < DIMENSION; c++) {
            double product = Math.abs(x[offset + c] - shift) * magnitudes[a * DIMENSION + c];
            if (product < least) {
                least = product;
                flipped = c;
            }
        }
        return flipped;
    }

    private double squaredDistance(double[] x, int offset, double shift, int a) {
        int flipped = flippedCoordinate(x, offset, shift, a);
        double sum = 0;
        for (int c = 0; c < DIMENSION; c++) {
            double v = magnitudes[a * DIMENSION + c];
            double d = Math.abs(x[offset + c] - shift) - (c == flipped ? -v : v);
            sum += d * d;
        }
        return sum;
    }

    /** The number of negative coordinates of x - shift, modulo 2. */
    private static int negatives(double[] x, int offset, double shift) {
        int n = 0;
        for (int c = 0; c < DIMENSION; c++) {
            n += x[offset + c] - shift < 0 ? 1 : 0;
        }
        return n & 1;
    }
}
