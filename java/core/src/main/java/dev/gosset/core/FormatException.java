package dev.gosset.core;

/** A file, a text or a configuration holds something it must not: the message says what was found and expected. */
public final class FormatException extends GossetException {
    private static final long serialVersionUID = 1L;

    public FormatException(String message) {
        super(message);
    }

    public FormatException(String message, Throwable cause) {
        super(message, cause);
    }
}
