package dev.gosset.llm.constraint;

import dev.gosset.core.GossetException;

/** A JSON schema that is none, or that says what cannot be enforced. */
public final class UnsupportedSchemaException extends GossetException {
    private static final long serialVersionUID = 1L;

    private final String pointer;
    private final String message;

    UnsupportedSchemaException(String pointer, String message) {
        this("the schema", pointer, message);
    }

    private UnsupportedSchemaException(String what, String pointer, String message) {
        super(what + " at '" + (pointer.length() > 200 ? pointer.substring(0, 200) + "..." : pointer) + "': "
                + message);
        this.pointer = pointer;
        this.message = message;
    }

    /** The same of one of several schemas. */
    public UnsupportedSchemaException of(String what) {
        return new UnsupportedSchemaException(what, pointer, message);
    }

    /** Where in the schema: a JSON pointer, empty for the whole. */
    public String pointer() {
        return pointer;
    }
}
