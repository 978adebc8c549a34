package dev.gosset.jinja;

/** A template that is malformed, that fails, that wants too much, or that refuses what it is given. */
public final class JinjaException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int line;

    /** What went wrong inside a template; the place comes with {@link #at} and {@link #in}. */
    JinjaException(String message) {
        this(message, 0, null);
    }

    JinjaException(String message, int line, Throwable cause) {
        // Inside the engine only the template's line tells something; the exception that leaves it has a stack.
        super(message, cause, false, cause != null);
        this.line = line;
    }

    /** The line of the template, counted from 1; 0 where no one line is to blame. */
    public int line() {
        return line;
    }

    /** The same error with its line, unless it has one. */
    JinjaException at(int line) {
        return this.line > 0 ? this : new JinjaException(getMessage(), line, null);
    }

    /** The same error for whoever called the engine, its place in front. */
    JinjaException in(String where) {
        return new JinjaException(where + ":" + line + ": " + getMessage(), line, this);
    }
}
