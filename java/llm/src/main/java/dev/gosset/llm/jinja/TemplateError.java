package dev.gosset.llm.jinja;

/** What goes wrong inside a template; becomes a {@link dev.gosset.core.FormatException} with the place. */
final class TemplateError extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** The line, counted from 1; 0 where it is not known yet. */
    private final int line;

    TemplateError(String message) {
        this(message, 0);
    }

    private TemplateError(String message, int line) {
        super(message, null, false, false);
        this.line = line;
    }

    int line() {
        return line;
    }

    /** The same error with its line, unless it has one. */
    TemplateError at(int line) {
        return this.line > 0 ? this : new TemplateError(getMessage(), line);
    }
}
