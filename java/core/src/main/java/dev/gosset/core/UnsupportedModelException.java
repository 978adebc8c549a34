package dev.gosset.core;

/** A well-formed model that Gosset does not know: the message says what was seen and what is known. */
public final class UnsupportedModelException extends GossetException {
    private static final long serialVersionUID = 1L;

    public UnsupportedModelException(String message) {
        super(message);
    }
}
