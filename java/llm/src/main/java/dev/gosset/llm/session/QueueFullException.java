package dev.gosset.llm.session;

import dev.gosset.core.GossetException;

/** Too much waits already: the same may be asked again later. */
public final class QueueFullException extends GossetException {
    private static final long serialVersionUID = 1L;

    QueueFullException(long asked, long waiting, long most) {
        super(asked + " tokens were asked for and " + waiting + " wait, more together than the " + most
                + " that may wait");
    }
}
