package dev.gosset.core.hadamard;

import java.util.Arrays;

/**
 * The Hadamard matrices of the QuIP# format, constructed: {@code H H^T = K I}, entries +-1, row-major. Each equals the
 * reference's matrix entry by entry; the sign conventions are those of spec/quip-sharp.md, section 1.2.
 */
final class HadamardMatrices {
    private HadamardMatrices() {}

    /** Whether the format has a matrix of this order (1, the trivial one, included). */
    static boolean exists(int k) {
        return switch (k) {
            case 1, 12, 20, 28, 36, 52, 60, 108, 116, 124, 140, 156, 172 -> true;
            default -> false;
        };
    }

    /** Whether the matrix of order k is Williamson's array. */
    static boolean isWilliamson(int k) {
        return switch (k) {
            case 52, 116, 124, 156, 172 -> true;
            default -> false;
        };
    }

    /** The matrix of order k, a fresh array. */
    static byte[] of(int k) {
        return switch (k) {
            case 1 -> new byte[] {1};
            case 12, 20, 60, 108, 140 -> paleyOne(k);
            case 28, 36 -> paleyTwo(k);
            case 52 -> williamson(13, 0x65, 0x71, 0x4b, 0x21);
            case 116 -> williamson(29, 0x6e93, 0x716f, 0x74c5, 0x14c7);
            case 124 -> williamson(31, 0x84b9, 0x84b9, 0x95c1, 0x6a3f);
            case 156 -> williamson(39, 0x320a7, 0x50c8f, 0x25167, 0xb82b1);
            case 172 -> williamson(43, 0x1baf31, 0x2ca1fb, 0xbd4d7, 0x325e3);
            default -> throw new IllegalArgumentException("no Hadamard matrix of order " + k + " in the format");
        };
    }

    /** Paley's first construction, q = k - 1 prime and 3 modulo 4: not symmetric. */
    private static byte[] paleyOne(int k) {
        int q = k - 1;
        byte[] chi = legendre(q);
        byte[] h = new byte[k * k];
        for (int j = 0; j < k; j++) {
            h[j] = (byte) (j == 0 ? 1 : -1);
        }
        for (int i = 0; i < q; i++) {
            int row = (i + 1) * k;
            h[row] = 1;
            for (int j = 0; j < q; j++) {
                h[row + 1 + j] = i == j ? 1 : chi[Math.floorMod(i - j, q)];
            }
        }
        return h;
    }

    /** Paley's second construction, q = k/2 - 1 prime and 1 modulo 4: [[C+I, C-I], [C-I, -C-I]], symmetric. */
    private static byte[] paleyTwo(int k) {
        int half = k / 2;
        int q = half - 1;
        byte[] chi = legendre(q);
        byte[] h = new byte[k * k];
        for (int i = 0; i < half; i++) {
            for (int j = 0; j < half; j++) {
                int c = i == 0 || j == 0 ? 1 : chi[Math.floorMod(i - j, q)];
                if (i == j) {
                    c = 0;
                }
                int one = i == j ? 1 : 0;
                h[i * k + j] = (byte) (c + one);
                h[i * k + half + j] = (byte) (c - one);
                h[(half + i) * k + j] = (byte) (c - one);
                h[(half + i) * k + half + j] = (byte) (-c - one);
            }
        }
        return h;
    }

    /**
     * Williamson's array {@code [[A,B,C,D],[-B,A,-D,C],[-C,D,A,-B],[-D,-C,B,A]]} of circulant symmetric blocks of odd
     * order s. Bit d of a block's word is 1 where entry d of its first row is +1, for d = 0..(s-1)/2.
     */
    private static byte[] williamson(int s, int a, int b, int c, int d) {
        int[] words = {a, b, c, d};
        int[][] block = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}};
        int[][] sign = {{1, 1, 1, 1}, {-1, 1, -1, 1}, {-1, 1, 1, -1}, {-1, -1, 1, 1}};
        int k = 4 * s;
        byte[] h = new byte[k * k];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                int distance = Math.floorMod(j % s - i % s, s);
                int bit = words[block[i / s][j / s]] >>> Math.min(distance, s - distance) & 1;
                h[i * k + j] = (byte) (sign[i / s][j / s] * (2 * bit - 1));
            }
        }
        return h;
    }

    /** chi(0..q-1): 0 at 0, +1 at the squares modulo the prime q, -1 elsewhere. */
    private static byte[] legendre(int q) {
        byte[] chi = new byte[q];
        Arrays.fill(chi, (byte) -1);
        chi[0] = 0;
        for (int i = 1; i < q; i++) {
            chi[i * i % q] = 1;
        }
        return chi;
    }
}
