package dev.gosset.llm.io;

import dev.gosset.core.FormatException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;

/** UTF-8 that people and files give: bytes that are something else become a message that says what and where. */
public final class Utf8 {
    private static final char BYTE_ORDER_MARK = '\uFEFF';
    private static final char REPLACEMENT = '\uFFFD';
    /** Bytes that tell UTF-16 without a byte order mark. */
    private static final int LOOKED_AT = 4096;

    private Utf8() {}

    /**
     * The text without a byte order mark in front of it.
     *
     * @param where what the bytes are, in front of messages
     * @throws FormatException where they are not UTF-8
     */
    public static String decode(String where, byte[] bytes) {
        refuseUtf16(where, bytes);
        String text = new String(bytes, StandardCharsets.UTF_8);
        if (text.indexOf(REPLACEMENT) >= 0) {
            // The text itself holds one, or the decoder put it in place of what it could not read.
            require(where, bytes);
        }
        return text.isEmpty() || text.charAt(0) != BYTE_ORDER_MARK ? text : text.substring(1);
    }

    /** How many bytes a byte order mark in front takes: 3 or 0. */
    static int markBytes(byte[] bytes) {
        return bytes.length >= 3 && bytes[0] == (byte) 0xEF && bytes[1] == (byte) 0xBB && bytes[2] == (byte) 0xBF
                ? 3
                : 0;
    }

    /**
     * Goes over all bytes.
     *
     * @throws FormatException naming the first that is not UTF-8
     */
    public static void require(String where, byte[] bytes) {
        refuseUtf16(where, bytes);
        CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
        ByteBuffer in = ByteBuffer.wrap(bytes);
        CharBuffer out = CharBuffer.allocate(8192);
        CoderResult result;
        do {
            out.clear();
            result = decoder.decode(in, out, true);
        } while (result.isOverflow());
        if (result.isError()) {
            int line = 1;
            for (int i = 0; i < in.position(); i++) {
                line += bytes[i] == '\n' ? 1 : 0;
            }
            throw new FormatException(String.format(
                    java.util.Locale.ROOT,
                    "%s: is not UTF-8 text: found byte 0x%02X at offset %d, in line %d",
                    where,
                    bytes[in.position()],
                    in.position(),
                    line));
        }
    }

    private static void refuseUtf16(String where, byte[] bytes) {
        int first = bytes.length < 2 ? 0 : (bytes[0] & 255) << 8 | bytes[1] & 255;
        boolean marked = first == 0xFEFF || first == 0xFFFE;
        int zeros = 0;
        int looked = Math.min(bytes.length, LOOKED_AT);
        for (int i = 0; i < looked; i++) {
            zeros += bytes[i] == 0 ? 1 : 0;
        }
        // UTF-8 text has no NUL to speak of; in UTF-16 every other byte of ASCII is one.
        if (marked || looked >= 2 && 4 * zeros > looked) {
            throw new FormatException(where + ": is not UTF-8 text: "
                    + (marked
                            ? "found the byte order mark of UTF-16"
                            : "found " + zeros + " NUL among the first " + looked + " bytes, as UTF-16 has them"));
        }
    }
}
