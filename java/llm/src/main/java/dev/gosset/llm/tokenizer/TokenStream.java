package dev.gosset.llm.tokenizer;

import java.util.Arrays;

/**
 * Decodes tokens as they come: each call gives the text that has become certain, and a character whose bytes are spread
 * over several tokens only when its last byte is there. The pieces together are the text of all tokens. One caller at a
 * time.
 */
public final class TokenStream {
    /** A character has four bytes at most; what stays incomplete for longer is no UTF-8. */
    private static final int LONGEST_WAIT = 8;

    private final Tokenizer tokenizer;
    private final boolean skipSpecial;
    /** The tokens of the last piece, as context (a leading space depends on it), then those not yet given. */
    private int[] window = new int[0];

    private int given;

    TokenStream(Tokenizer tokenizer, boolean skipSpecial) {
        this.tokenizer = tokenizer;
        this.skipSpecial = skipSpecial;
    }

    /** The text that this token completes, perhaps empty. */
    public String next(int token) {
        window = Arrays.copyOf(window, window.length + 1);
        window[window.length - 1] = token;
        return piece(window.length - given > LONGEST_WAIT);
    }

    /** What is left when no more tokens come; incomplete characters become U+FFFD. */
    public String finish() {
        return piece(true);
    }

    private String piece(boolean force) {
        if (given == window.length) {
            return "";
        }
        String before = tokenizer.decode(Arrays.copyOf(window, given), skipSpecial);
        String all = tokenizer.decode(window, skipSpecial);
        if (!force && (all.length() <= before.length() || all.endsWith("\uFFFD"))) {
            return "";
        }
        window = Arrays.copyOfRange(window, given, window.length);
        given = window.length;
        return all.substring(Math.min(before.length(), all.length()));
    }
}
