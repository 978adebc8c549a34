/**
 * The part of the Jinja template language that chat templates are written in, with the semantics of Jinja2 as Hugging Face
 * transformers sets it up: {@code trim_blocks} and {@code lstrip_blocks} on, no escaping, loop controls, an immutable
 * sandbox. A template comes with a model from anywhere, so it can reach nothing but the values it is given, and its
 * steps, its depth and its output are bounded.
 *
 * <p>Python's values are held as: None as null, undefined as {@link dev.gosset.llm.jinja.Undefined}, bool as Boolean, int
 * as Long, float as Double, str as String, list as List, tuple as {@link dev.gosset.llm.jinja.Tuple}, dict as Map.
 */
package dev.gosset.llm.jinja;
