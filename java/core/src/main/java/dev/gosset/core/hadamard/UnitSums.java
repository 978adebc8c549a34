package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The product with a Hadamard matrix of Williamson's in fewer additions than by {@link SignedSums}.
 *
 * <p>Take the rows of the four circulant blocks, of order s, by groups: group i is the rows i, s + i, 2 s + i and 3 s + i, and group j
 * of the columns likewise. Groups i and j meet in a 4 x 4 matrix B_d that depends on d = j - i modulo s alone; it multiplies by a
 * quaternion (+-1, +-1, +-1, +-1). For every d but 0 the number of its minus signs has the same parity, and two such quaternions differ by
 * a factor +-1, +-i, +-j or +-k. So with N = B_1 each B_d is U_d N, where U_d is a permutation with signs, and B_0 becomes such a
 * one where the sign of its real part changes: B_0 = U_0 N + 2 t I, t = +-1. Hence
 *
 * <pre>
 * y_i = 2 t x_i + sum over j of U_(j-i) x'_j      x'_j = N x_j
 * </pre>
 *
 * <p>where each row takes one of the four x' of each j. Two groups of rows share their sums: each x' stands in one of four rows of
 * the first and in one of four of the second. Let P be the sum of those of rows (r, r') with the same sign in both and N of the others;
 * then row r gets P + N and row r' gets P - N. The lists of a row r are padded to one length; how far the two groups are apart is
 * chosen so that this costs least. For K = 172 that makes 31 additions for each element, besides the 4 of N.
 *
 * <p>Layout, native byte order: the 16 elements of N, row-major, 2 t and 0, each as float32 sixteen times over; from byte {@value #LISTS} on uint16: for each pair of groups
 * their numbers i and i', the same where i' has been formed before; then for r = 0 .. 3 the length of its lists, and for each
 * place in a list the entries of P and N for r' = 0, of P and N for r' = 1, and so on. Element c of x' stands as c where its sign in
 * row r is +1 and as K + c where it is -1: an index into x' followed by -x'; nothing as 2 K.
 */
final class UnitSums {
    /** Bytes before the lists. */
    private static final int LISTS = 64 * 18;

    private UnitSums() {}

    /** The table of the Hadamard matrix of order k with these entries, row-major, or of its transpose; 4 divides k. */
    static MemorySegment of(byte[] signs, int k, boolean transpose) {
        int s = k / 4;
        int[][] n = block(signs, k, transpose, 0, 1);
        // units[d][r] = 1 + c, or -(1 + c): row r of U_d takes x'_c with that sign
        int[][] units = new int[s][];
        for (int d = 0; d < s; d++) {
            int[][] b = block(signs, k, transpose, 0, d);
            for (int i = 1; i < s; i++) {
                check(Arrays.deepEquals(b, block(signs, k, transpose, i, d)), k, d);
            }
            for (int r = 0; d == 0 && r < 4; r++) {
                b[r][r] = -b[r][r];
            }
            units[d] = unit(b, n, k, d);
        }
        int apart = apart(units);
        int pairs = (s + 1) / 2;
        MemorySegment table = Arena.ofAuto().allocate(LISTS + 2L * pairs * (2 + 4 + 8L * padded(units, apart)), 64);
        for (int i = 0; i < 16; i++) {
            fill(table, i, n[i / 4][i % 4]);
        }
        fill(table, 16, 2 * signs[0]);
        fill(table, 17, 0);
        long at = LISTS;
        for (int pair = 0; pair < pairs; pair++) {
            int i = 2 * pair * apart % s;
            at = put(table, at, i);
            at = put(table, at, pair < s / 2 ? (i + apart) % s : i);
            for (int r = 0; r < 4; r++) {
                int[][] lists = lists(units, apart, r);
                int length = longest(lists);
                at = put(table, at, length);
                for (int entry = 0; entry < length; entry++) {
                    for (int[] list : lists) {
                        int d = entry < list.length ? list[entry] : -1;
                        int unit = d < 0 ? 0 : units[d][r];
                        int column = d < 0 ? 2 * k : (Math.abs(unit) - 1) * s + (i + d) % s;
                        at = put(table, at, unit < 0 ? k + column : column);
                    }
                }
            }
        }
        return table.asReadOnly();
    }

    private static void fill(MemorySegment table, int row, float value) {
        for (int i = 16 * row; i < 16 * row + 16; i++) {
            table.setAtIndex(JAVA_FLOAT_UNALIGNED, i, value);
        }
    }

    /** How far the groups of a pair are apart: prime to s, so that every group comes in a pair, and with the shortest lists. */
    private static int apart(int[][] units) {
        int best = 1;
        for (int apart = 2; apart < units.length; apart++) {
            boolean prime = BigInteger.valueOf(apart)
                    .gcd(BigInteger.valueOf(units.length))
                    .equals(BigInteger.ONE);
            best = prime && padded(units, apart) < padded(units, best) ? apart : best;
        }
        return best;
    }

    private static long put(MemorySegment table, long at, int value) {
        table.set(JAVA_SHORT_UNALIGNED, at, (short) value);
        return at + 2;
    }

    /** For row r of a group and r' = 0 .. 3 of that {@code apart} later: the offsets d of P, then of N. */
    private static int[][] lists(int[][] units, int apart, int r) {
        int s = units.length;
        int[][] lists = new int[8][];
        for (int list = 0; list < 8; list++) {
            int other = list / 2;
            int sign = list % 2 == 0 ? 1 : -1;
            lists[list] = IntStream.range(0, s)
                    .filter(d -> units[d][r] == sign * units[Math.floorMod(d - apart, s)][other])
                    .toArray();
        }
        return lists;
    }

    private static int longest(int[][] lists) {
        return Stream.of(lists).mapToInt(list -> list.length).max().orElse(0);
    }

    /** The lengths of the lists of all rows of a group together, each as long as the longest of its row. */
    private static int padded(int[][] units, int apart) {
        return IntStream.range(0, 4).map(r -> longest(lists(units, apart, r))).sum();
    }

    /** What rows i and columns i + d of the circulant blocks hold. */
    private static int[][] block(byte[] signs, int k, boolean transpose, int i, int d) {
        int s = k / 4;
        int j = (i + d) % s;
        int[][] b = new int[4][4];
        for (int r = 0; r < 4; r++) {
            for (int c = 0; c < 4; c++) {
                b[r][c] = transpose ? signs[(c * s + j) * k + r * s + i] : signs[(r * s + i) * k + c * s + j];
            }
        }
        return b;
    }

    /** U of B = U N. */
    private static int[] unit(int[][] b, int[][] n, int k, int d) {
        int[] unit = new int[4];
        for (int r = 0; r < 4; r++) {
            for (int c = 0; c < 4; c++) {
                int dot = 0;
                for (int i = 0; i < 4; i++) {
                    dot += b[r][i] * n[c][i];
                }
                if (Math.abs(dot) == 4) {
                    unit[r] = dot > 0 ? 1 + c : -1 - c;
                }
            }
            check(unit[r] != 0, k, d);
        }
        return unit;
    }

    private static void check(boolean holds, int k, int d) {
        if (!holds) {
            throw new IllegalArgumentException("offset " + d + " of the matrix of order " + k
                    + " is not the same unit times offset 1 in all rows, as it is in Williamson's");
        }
    }
}
