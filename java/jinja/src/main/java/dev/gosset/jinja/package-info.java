/**
 * The template language that chat templates are written in, with the semantics of Jinja2 3.1 as Hugging Face transformers
 * sets it up: {@code trim_blocks} and {@code lstrip_blocks} on, no escaping, loop controls, generation blocks, an immutable
 * sandbox. A template comes with a model from anywhere, so it can reach nothing but the values it is given, and its steps,
 * its depth, its values and its output are bounded.
 *
 * <p>A template becomes closures: {@code Lexer} and {@code Parser} (statements over expressions) make them, {@code Scope}
 * holds variables, {@code Budget} what a rendering has used up. Python's values are held as: None as null, undefined as
 * {@code Undefined}, bool as Boolean, int as Long or BigInteger, float as Double, str as String (marked as HTML:
 * {@code Markup}), list as List, tuple as {@code Tuple}, dict as Map (made here: {@code Dict}), range as {@code Range}, a
 * generator as Iterator. {@code Python} and {@code Numbers} are their operators, {@code Members} and {@code Strings} their
 * attributes and methods, {@code Filters} and {@code Tests} what Jinja adds.
 *
 * <p>Known to differ from Jinja2: {@code urlize}, {@code lipsum} and complex numbers are refused; objects that Python prints
 * with their address print without it; a filter or test that nobody knows is refused where it is reached and never before;
 * {@code striptags} resolves the common character references only, {@code pprint} breaks no strings.
 */
package dev.gosset.jinja;
