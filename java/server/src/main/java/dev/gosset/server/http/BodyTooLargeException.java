package dev.gosset.server.http;

import dev.gosset.core.GossetException;

/** A request has more bytes than it may. */
public final class BodyTooLargeException extends GossetException {
    private static final long serialVersionUID = 1L;

    BodyTooLargeException(long most) {
        super("the body has more than the " + most + " bytes that it may have");
    }
}
