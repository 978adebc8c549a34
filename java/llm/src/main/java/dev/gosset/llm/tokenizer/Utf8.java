package dev.gosset.llm.tokenizer;

/**
 * Decodes UTF-8 byte by byte. What is malformed becomes U+FFFD, one for each longest beginning of a character (Unicode
 * 16, section 3.9, "substitution of maximal subparts"), which is how Rust's {@code from_utf8_lossy} counts them.
 */
final class Utf8 {
    private int codePoint;
    /** Bytes of the character that have come, and bytes that it still lacks. */
    private int pending;

    private int missing;
    /** Bounds of the next byte: the second one of some characters has narrower ones. */
    private int least = 0x80;

    private int most = 0xBF;

    /**
     * Takes a byte and appends what it completes.
     *
     * @return whether all bytes so far can still be UTF-8 since the last that could not
     */
    boolean accept(int b, StringBuilder out) {
        if (missing == 0) {
            return first(b, out);
        }
        if (b < least || b > most) {
            reset();
            out.append('\uFFFD');
            first(b, out);
            return false;
        }
        codePoint = codePoint << 6 | b & 0x3F;
        pending++;
        least = 0x80;
        most = 0xBF;
        if (--missing == 0) {
            out.appendCodePoint(codePoint);
            pending = 0;
        }
        return true;
    }

    private boolean first(int b, StringBuilder out) {
        if (b < 0x80) {
            out.append((char) b);
            return true;
        }
        if (b < 0xC2 || b > 0xF4) {
            out.append('\uFFFD');
            return false;
        }
        missing = b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
        codePoint = b & 0x3F >> missing;
        pending = 1;
        least = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
        most = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
        return true;
    }

    /** Bytes of a character that is not complete. */
    int pending() {
        return pending;
    }

    /** No more bytes come: an incomplete character becomes U+FFFD. */
    void end(StringBuilder out) {
        if (pending > 0) {
            out.append('\uFFFD');
            reset();
        }
    }

    /** Forgets an incomplete character. */
    void reset() {
        missing = 0;
        pending = 0;
        least = 0x80;
        most = 0xBF;
    }
}
