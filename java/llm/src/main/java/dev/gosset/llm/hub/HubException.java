package dev.gosset.llm.hub;

import dev.gosset.core.GossetException;

/** The Hub has no such model, does not let us have it, or cannot be reached. */
public final class HubException extends GossetException {
    private static final long serialVersionUID = 1L;

    HubException(String message) {
        super(message);
    }

    HubException(String message, Throwable cause) {
        super(message, cause);
    }
}
