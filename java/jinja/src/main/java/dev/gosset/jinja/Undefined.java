package dev.gosset.jinja;

/**
 * The value of a name or a member that is not there: empty where it is printed or iterated, an error elsewhere.
 *
 * @param what its name, for messages
 */
record Undefined(String what) {
    static final Undefined NAMELESS = new Undefined("the value");

    /** The error of using it for more than printing. */
    JinjaException refused() {
        return new JinjaException(what + " is undefined");
    }
}
