package dev.gosset.core.rounding;

import dev.gosset.core.GossetException;

/** A matrix that must have a Cholesky factor has none, in the precision that was used. */
public final class NotPositiveDefiniteException extends GossetException {
    private static final long serialVersionUID = 1L;

    public NotPositiveDefiniteException(String message) {
        super(message);
    }
}
