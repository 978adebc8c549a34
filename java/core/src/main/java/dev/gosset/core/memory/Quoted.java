package dev.gosset.core.memory;

/** Text of a file inside a message: on one line, and not longer than a line. */
public final class Quoted {
    private static final int LONGEST = 120;

    private Quoted() {}

    /** {@code text} in single quotes; control characters become {@code ?}, what is beyond 120 characters {@code ...}. */
    public static String of(String text) {
        StringBuilder out = new StringBuilder("'");
        text.chars().limit(LONGEST).forEach(c -> out.append(Character.isISOControl(c) ? '?' : (char) c));
        return out.append(text.length() > LONGEST ? "...'" : "'").toString();
    }
}
