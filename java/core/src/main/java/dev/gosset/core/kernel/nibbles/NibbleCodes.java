package dev.gosset.core.kernel.nibbles;

import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * The bytes that stand for codes in {@link NibbleMatrix}, chosen so that tables of 16 entries decode them.
 *
 * <p><b>Magnitudes.</b> With v a row of S, t = v - 1/2 has entries 0, 1 and 2. 192 rows are masks of zeros and ones, of four
 * ones or fewer but for 29 of five; 64 are 2 e_p or 2 e_p + e_q. A mask is its own byte, coordinate c in bit c. So 64 bytes,
 * of five ones and more, are free for the others. Whether a byte is one of those says a sum of two entries, {@code s =
 * LOWER[low nibble] + UPPER[high nibble]}: it is negative for masks and otherwise holds p in bits 0 to 2 and, through {@link
 * #SECOND}, q; q = p stands for 2 e_p alone. Of the 256 bytes one fits no such sum: {@link #MOVED} has a sum like those 64,
 * so that mask lives at {@link #MOVED_TO}.
 *
 * <p>The sums come about like this. Free bytes have three ones or more in the high nibble and two or more in the low one
 * (five rows of eleven, less two), or 15 in the low nibble and one or two ones in the high one (ten), or are {@link
 * #MOVED_TO}. The five rows' entries are 0 to 4 and the low nibbles' lie five apart, so their sums fill an interval; those
 * of low nibble 3 lie below it but for one, which is a mask; and those of low nibble 15 so far above it that the ten, whose
 * rows' entries are very negative, come to 4 to 13.
 *
 * <p><b>Signs.</b> A point is {@code sign * (1/2 + t) + shift}. Bit c of a sign byte is the sign of coordinate c,
 * but for bit 0, which is flipped where the shift is -1/4. As the number of minus signs is even or odd as the sum of t is,
 * the parity of the sign byte and the mask (which for 2 e_p + e_q is e_q, for 2 e_p none) tells whether it was.
 *
 * <p><b>E81B.</b> Bytes 0 to 127 are sums of two of the 16 vectors +-e_c, numbered c for plus and c + 8 for minus: byte
 * {@code 16 d + u} is the sum of numbers u and u + d modulo 16, which are never opposite. But {@link #ZERO}, in this
 * numbering -2 e_7, is zero. Of the bytes from 128 on, points of halves, bits 0 to 6 are the signs of coordinates 0 to 6;
 * the last makes their number even.
 */
final class NibbleCodes {
    /** A mask that stands elsewhere, and the byte that stands for it. */
    static final byte MOVED = (byte) 0xec;

    static final byte MOVED_TO = (byte) 0xcd;

    /** The byte of the zero vector of E81B. */
    static final byte ZERO = 0x0f;

    /** The number of +e_7, which with -e_7 makes the zero vector. */
    static final byte PLUS_LAST = 7;

    /**
     * Tables of 16 bytes. What the low and the high nibble of a magnitude byte add to s; by the low nibble of s all bits but
     * p, and twice p; by bits 3 to 6 of s the bit q; the parity of a nibble. Then bytes all of one value, because C2 keeps
     * loaded vectors in registers and makes broadcast ones anew in each round of a loop.
     */
    static final MemorySegment TABLES = Arena.global().allocate(12 * 16, 64);

    static final int LOWER = 0;
    static final int UPPER = 16;
    static final int FIRST = 32;
    static final int TWICE = 48;
    static final int SECOND = 64;
    static final int PARITY = 80;
    static final int ALL_MOVED = 96;
    static final int ALL_MOVED_TO = 112;
    static final int ALL_BUT_ONE = 128;
    static final int TWO = 144;
    static final int ALL_ZERO = 160;
    static final int ALL_LAST = 176;

    /** The byte of each row of S. */
    private static final byte[] MAGNITUDES = new byte[E8p.MAGNITUDES];

    /** The sign byte of each lower byte of a code whose row has an even sum. */
    private static final byte[] SIGNS = new byte[256];

    /** What is added to that for each row: the sign of coordinate 7 where the sum is odd. */
    private static final byte[] ODD = new byte[E8p.MAGNITUDES];

    private static final byte[] RESIDUALS = new byte[E81b.POINTS];

    static {
        fillTables();
        fillMagnitudes();
        fillSigns();
        fillResiduals();
    }

    private NibbleCodes() {}

    private static void fillTables() {
        int next = 14;
        int row = 0;
        int negative = -71;
        for (int n = 0; n < 16; n++) {
            int ones = Integer.bitCount(n);
            int low;
            if (ones < 2) {
                low = -10;
            } else if (n == 3) {
                low = -1;
            } else if (n == 15) {
                low = 75;
            } else {
                low = next;
                next += 5;
            }
            set(LOWER + n, low);
            set(UPPER + n, ones == 0 ? -80 : ones < 3 ? negative++ : row++);
            set(FIRST + n, ~(1 << (n & 7)));
            set(TWICE + n, 2 * (n & 7));
            set(SECOND + n, 1 << Math.min(n, 7));
            set(PARITY + n, ones & 1);
            set(ALL_MOVED + n, MOVED);
            set(ALL_MOVED_TO + n, MOVED_TO);
            set(ALL_BUT_ONE + n, 0xfe);
            set(TWO + n, 2);
            set(ALL_ZERO + n, ZERO);
            set(ALL_LAST + n, PLUS_LAST);
        }
    }

    private static void set(int at, int value) {
        TABLES.set(ValueLayout.JAVA_BYTE, at, (byte) value);
    }

    private static int get(int at) {
        return TABLES.get(ValueLayout.JAVA_BYTE, at);
    }

    /** Doubled magnitudes, 1, 3 or 5, that a byte stands for, as {@link NibbleSums} decodes it. */
    static void decodeMagnitudes(int code, byte[] out) {
        int s = (byte) (get(LOWER + (code & 15)) + get(UPPER + (code >>> 4 & 15)));
        int mask = code & 0xff;
        if (mask == (MOVED_TO & 0xff)) {
            mask = MOVED & 0xff;
        } else if (s >= 0) {
            mask = get(SECOND + (s >>> 3 & 15)) & get(FIRST + (s & 15));
        }
        for (int c = 0; c < 8; c++) {
            out[c] = (byte) (1 + 2 * (mask >>> c & 1));
        }
        if (s >= 0) {
            out[s & 7] += 4;
        }
    }

    private static void fillMagnitudes() {
        byte[] doubled = E8p.doubledMagnitudes();
        boolean[] known = new boolean[E8p.MAGNITUDES];
        byte[] v = new byte[8];
        for (int code = 0; code < 256; code++) {
            decodeMagnitudes(code, v);
            for (int a = 0; a < E8p.MAGNITUDES; a++) {
                if (Arrays.equals(v, 0, 8, doubled, 8 * a, 8 * a + 8)) {
                    known[a] = true;
                    MAGNITUDES[a] = (byte) code;
                }
            }
        }
        for (int a = 0; a < E8p.MAGNITUDES; a++) {
            if (!known[a]) {
                throw new IllegalStateException("no byte stands for row " + a + " of S");
            }
            int sum = 0;
            for (int c = 0; c < 8; c++) {
                sum += doubled[8 * a + c];
            }
            ODD[a] = (byte) ((sum / 2 & 1) << 7);
        }
    }

    private static void fillSigns() {
        // Row 0 of S is 1/2 everywhere, its sum even.
        double[] v = new double[8];
        for (int b = 0; b < 256; b++) {
            E8p.INSTANCE.decode(b, v, 0);
            int odd = Integer.bitCount(b) & 1;
            int signs = odd;
            for (int c = 0; c < 8; c++) {
                signs ^= (v[c] - (odd == 1 ? -0.25 : 0.25) < 0 ? 1 : 0) << c;
            }
            SIGNS[b] = (byte) signs;
        }
    }

    /** The doubled point of E81B that a byte stands for, as {@link NibbleSums} decodes it. */
    static void decodeResidual(int code, byte[] out) {
        Arrays.fill(out, (byte) 0);
        if ((code & 0x80) != 0) {
            int signs = code & 0x7f;
            signs |= (Integer.bitCount(signs) & 1) << 7;
            for (int c = 0; c < 8; c++) {
                out[c] = (byte) (1 - 2 * (signs >>> c & 1));
            }
            return;
        }
        addUnit(code & 15, out);
        addUnit(code == ZERO ? PLUS_LAST : (code & 15) + (code >>> 4) & 15, out);
    }

    private static void addUnit(int number, byte[] out) {
        out[number & 7] += (byte) (number < 8 ? 2 : -2);
    }

    private static void fillResiduals() {
        byte[] doubled = E81b.doubledPoints();
        boolean[] known = new boolean[E81b.POINTS];
        byte[] v = new byte[8];
        for (int code = 0; code < 256; code++) {
            decodeResidual(code, v);
            for (int i = 0; i < E81b.POINTS; i++) {
                if (Arrays.equals(v, 0, 8, doubled, 8 * i, 8 * i + 8)) {
                    known[i] = true;
                    RESIDUALS[i] = (byte) code;
                }
            }
        }
        for (int i = 0; i < E81b.POINTS; i++) {
            if (!known[i]) {
                throw new IllegalStateException("no byte stands for point " + i + " of E81B");
            }
        }
    }

    /** The magnitude byte of an E8P code. */
    static byte magnitudes(int code) {
        return MAGNITUDES[code >>> 8 & 0xff];
    }

    /** The sign byte of an E8P code. */
    static byte signs(int code) {
        return (byte) (SIGNS[code & 0xff] ^ ODD[code >>> 8 & 0xff]);
    }

    /** The byte of an E81B code. */
    static byte residual(int code) {
        return RESIDUALS[code & 0xff];
    }
}
