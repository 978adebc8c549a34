package dev.gosset.core.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The product with a Hadamard matrix in a quarter of the additions, by tables of which entries to add.
 *
 * <p>Take four rows r0 .. r3. By the signs of r0 r1 and r0 r2 the columns fall into four classes q: (+,+), (+,-), (-,+),
 * (-,-). Because the rows are orthogonal each class has K / 4 columns. In m of them r3 = r0 r1 r2, in the others r3 = -r0 r1 r2,
 * and again by orthogonality m is the same for all classes. Let P_q be the sum of r0[j] x[j] over the first columns of class
 * q and N_q over the others, T = P + N and D = P - N. Then
 *
 * <pre>
 * y0 = T0 + T1 + T2 + T3      y1 = T0 + T1 - T2 - T3
 * y2 = T0 - T1 + T2 - T3      y3 = D0 - D1 - D2 + D3
 * </pre>
 *
 * <p>so that each x[j] is added once for four rows.
 *
 * <p>Layout, uint16 in native byte order, for rows 0 .. 3, 4 .. 7 and so on: m; then m times one column for each of P_0 .. P_3; then
 * K / 4 - m times one column for each of N_0 .. N_3. Column j stands as j where r0[j] is +1 and as K + j where it is -1:
 * an index into x followed by -x. In all K (K + 1) / 4 numbers.
 */
final class SignedSums {
    private SignedSums() {}

    /** The table of the Hadamard matrix of order k with these entries, row-major, or of its transpose; 4 divides k. */
    static MemorySegment of(byte[] signs, int k, boolean transpose) {
        int down = transpose ? 1 : k;
        int across = transpose ? k : 1;
        MemorySegment table = Arena.ofAuto().allocate(2L * k * (k + 1) / 4, 64);
        long at = 0;
        int[][] columns = new int[8][k / 4 + 1];
        for (int row = 0; row < k; row += 4) {
            int[] found = new int[8];
            for (int j = 0; j < k; j++) {
                int first = row * down + j * across;
                int s = signs[first];
                int s1 = s * signs[first + down];
                int s2 = s * signs[first + 2 * down];
                int s3 = s * signs[first + 3 * down];
                int sum = (s1 < 0 ? 2 : 0) + (s2 < 0 ? 1 : 0) + (s3 == s1 * s2 ? 0 : 4);
                int count = found[sum]++;
                checkClass(count < k / 4, k, row);
                columns[sum][count] = s > 0 ? j : k + j;
            }
            int m = found[0];
            for (int q = 0; q < 4; q++) {
                checkClass(found[q] == m && found[q + 4] == k / 4 - m, k, row);
            }
            table.set(JAVA_SHORT_UNALIGNED, at, (short) m);
            at += 2;
            for (int sums = 0; sums < 8; sums += 4) {
                for (int i = 0; i < found[sums]; i++) {
                    for (int q = 0; q < 4; q++) {
                        table.set(JAVA_SHORT_UNALIGNED, at, (short) columns[sums + q][i]);
                        at += 2;
                    }
                }
            }
        }
        return table.asReadOnly();
    }

    private static void checkClass(boolean holds, int k, int row) {
        if (!holds) {
            throw new IllegalArgumentException(
                    "rows " + row + " to " + (row + 3) + " of the matrix of order " + k + " are not orthogonal");
        }
    }
}
