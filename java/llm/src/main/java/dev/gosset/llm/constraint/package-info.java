/**
 * Text that must follow a grammar, for instance be JSON of a schema. {@link dev.gosset.llm.constraint.Grammar} describes such texts over
 * bytes, {@link dev.gosset.llm.constraint.Vocabulary} knows the bytes of each token, and {@link
 * dev.gosset.llm.constraint.Constraint} of both makes the masks that {@link dev.gosset.llm.sampling.Sampler} draws by.
 *
 * <p>Two levels, as of a lexer and a parser: a lexeme, such as a string or a number, is a regular expression over bytes, and the grammar above has
 * lexemes where others have bytes. Both are {@link dev.gosset.llm.constraint.Expression}s and run as the same
 * {@link dev.gosset.llm.constraint.Automaton}, which is made while it runs. What a lexeme makes of a whole vocabulary does not depend on
 * what stands around it, so it is looked up once and kept.
 */
package dev.gosset.llm.constraint;
