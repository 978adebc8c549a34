package dev.gosset.core;

/**
 * A file, a text or a configuration holds something it must not: the message says what was found and expected. It is one line of at most
 * {@value #LONGEST} characters, however long or strange what it quotes: the middle of longer ones is left out, and control characters,
 * which would act on a terminal, become spaces.
 */
public final class FormatException extends GossetException {
    private static final long serialVersionUID = 1L;

    private static final int LONGEST = 1000;

    /** What is kept of the end, where messages say what was expected. */
    private static final int END = 300;

    private static final String GAP = " ... ";

    public FormatException(String message) {
        super(oneLine(message));
    }

    public FormatException(String message, Throwable cause) {
        super(oneLine(message), cause);
    }

    private static String oneLine(String message) {
        String text = String.valueOf(message);
        if (text.length() > LONGEST) {
            text = text.substring(0, LONGEST - END - GAP.length()) + GAP + text.substring(text.length() - END);
        }
        StringBuilder line = new StringBuilder(text);
        for (int i = 0; i < line.length(); i++) {
            if (Character.isISOControl(line.charAt(i))) {
                line.setCharAt(i, ' ');
            }
        }
        return line.toString();
    }
}
