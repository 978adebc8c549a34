/**
 * Chat templates in Jinja, rendered as Hugging Face transformers renders them. Needs nothing but the platform.
 *
 * <p>{@link dev.gosset.jinja.JinjaTemplate} is the door.
 */
module dev.gosset.jinja {
    exports dev.gosset.jinja;
}
