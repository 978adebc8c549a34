package dev.gosset.jinja;

import java.util.Locale;

/** Python's bytes, which a template makes by {@code encode}. */
record Bytes(byte[] bytes) {
    @Override
    public String toString() {
        StringBuilder out = new StringBuilder();
        boolean apostrophe = false;
        boolean quotes = false;
        for (byte b : bytes) {
            apostrophe |= b == '\'';
            quotes |= b == '"';
        }
        char quote = apostrophe && !quotes ? '"' : '\'';
        out.append('b').append(quote);
        for (byte b : bytes) {
            switch (b) {
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\\' -> out.append("\\\\");
                default -> {
                    if (b == quote) {
                        out.append('\\').append(quote);
                    } else if (b >= ' ' && b < 0x7f) {
                        out.append((char) b);
                    } else {
                        out.append(String.format(Locale.ROOT, "\\x%02x", b & 0xff));
                    }
                }
            }
        }
        return out.append(quote).toString();
    }
}
