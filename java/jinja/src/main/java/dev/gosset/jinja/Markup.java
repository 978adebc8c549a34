package dev.gosset.jinja;

/**
 * A text that is HTML already: what is joined to it is escaped.
 *
 * @param text the HTML
 */
record Markup(String text) {
    /** The value as HTML. */
    static Markup of(Object v) {
        return v instanceof Markup m ? m : new Markup(escaped(Python.str(v)));
    }

    /** The text with the characters of HTML's syntax as references. */
    static String escaped(String s) {
        return s.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("'", "&#39;")
                .replace("\"", "&#34;");
    }
}
