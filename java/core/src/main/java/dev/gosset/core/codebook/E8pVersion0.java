package dev.gosset.core.codebook;

/**
 * The numbering of E8P points in checkpoints of November and December 2023 ({@code codebook_version} 0). Its points are
 * points of {@link E8p}, version 1, so that its codes translate exactly.
 *
 * <p>A version 0 code (the stored int16 plus 32768) has the row of S in bits 15 to 8; bit b + 1 for b = 0 to 6 negates
 * coordinate 7 - b; coordinate 0 is negated where the number of minus signs would else have another parity than the sum of
 * the row; bit 0 is 1 for the shift +1/4 and 0 for -1/4. In its table S entry 254 is a second copy of entry 248, so that 256
 * of the codes have a twin. Source: spec/quip-sharp.md, sections 4.1 and 4.7.
 */
public final class E8pVersion0 {
    private static final int DUPLICATE = 254;
    private static final int ORIGINAL = 248;
    private static final char[] TO_VERSION_1 = new char[65536];
    private static final int[] FROM_VERSION_1 = new int[65536];

    static {
        java.util.Arrays.fill(FROM_VERSION_1, -1);
        for (int code = 65535; code >= 0; code--) {
            int row = code >>> 8 == DUPLICATE ? ORIGINAL : code >>> 8;
            int negative = 0;
            for (int b = 0; b < 7; b++) {
                negative |= (code >>> (b + 1) & 1) << (7 - b);
            }
            int parity = E8p.INSTANCE.parity(row);
            negative |= Integer.bitCount(negative) & 1 ^ parity;
            int odd = 1 - (code & 1);
            int signs = 0;
            for (int k = 0; k < 8; k++) {
                signs |= (negative >>> E8p.coordinate(k) & 1) << k;
            }
            int translated = row << 8 | signs ^ parity << 7 ^ odd;
            TO_VERSION_1[code] = (char) translated;
            // Of two twins the lower one, which comes last.
            FROM_VERSION_1[translated] = code;
        }
    }

    private E8pVersion0() {}

    /** The version 1 code of the same point. */
    public static int toVersion1(int code) {
        return TO_VERSION_1[code & 0xffff];
    }

    /**
     * The lowest version 0 code of the point of a version 1 code.
     *
     * @throws IllegalArgumentException for the 256 points that version 0 does not have
     */
    public static int fromVersion1(int code) {
        int found = FROM_VERSION_1[code & 0xffff];
        if (found < 0) {
            throw new IllegalArgumentException(
                    "E8P version 0 has no code for the point 0x" + Integer.toHexString(code));
        }
        return found;
    }
}
