package dev.gosset.core;

/**
 * Root of every failure that is not a bug of Gosset's: the message is one line that names the file, the tensor or the
 * flag, what was found and what was expected. Texts of files may stand in it: control characters, line breaks among them,
 * become spaces, and of a message of more than {@value #LONGEST} characters the middle is left out.
 */
public class GossetException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private static final int LONGEST = 5000;
    private static final int KEPT_END = 500;

    public GossetException(String message) {
        super(line(message));
    }

    public GossetException(String message, Throwable cause) {
        super(line(message), cause);
    }

    private static String line(String message) {
        String cut = message.length() <= LONGEST
                ? message
                : message.substring(0, LONGEST - KEPT_END - 5)
                        + " ... "
                        + message.substring(message.length() - KEPT_END);
        return cut.replaceAll("[\\p{Cntrl}\\u0080-\\u009f\\u2028\\u2029]+", " ");
    }
}
