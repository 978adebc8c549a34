package dev.gosset.core;

/**
 * Root of every failure that is not a bug of Gosset's: the message is one line that names the file, the tensor or the
 * flag, what was found and what was expected.
 */
public class GossetException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public GossetException(String message) {
        super(message);
    }

    public GossetException(String message, Throwable cause) {
        super(message, cause);
    }
}
