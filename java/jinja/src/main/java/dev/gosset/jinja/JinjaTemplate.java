package dev.gosset.jinja;

import dev.gosset.jinja.Node.Output;
import dev.gosset.jinja.Node.Statement;
import java.time.Clock;
import java.util.Map;

/**
 * A parsed template. Immutable, thread-safe.
 *
 * <pre>{@code
 * JinjaTemplate template = JinjaTemplate.parse("chat_template.jinja", text);
 * String prompt = template.render(
 *         Map.of("messages", List.of(Map.of("role", "user", "content", "Hi")), "add_generation_prompt", true),
 *         Clock.systemDefaultZone());
 * }</pre>
 *
 * <p>Besides the variables it is given a template sees the functions {@code range}, {@code dict}, {@code namespace},
 * {@code cycler}, {@code joiner}, {@code raise_exception} and {@code strftime_now}. A filter or test that nobody knows is
 * refused where it is reached.
 *
 * <p>Bounds of one rendering: {@link Limits}, which hold the slowest template to seconds, texts and lists of 2^26, ints of
 * 2^17 bits, 200 calls of macros and recursive loops inside each other; of one template: 100 statements and 200 expressions
 * inside each other.
 */
public final class JinjaTemplate {
    /**
     * What one rendering may use up before it is refused.
     *
     * @param steps statements, calls, filters and operators that are run, and rounds of loops
     * @param work in characters written: 1 for each character of a text that is made, searched or goes into a filter, 64 for each item
     *     that is gone through, compared or sorted, 1 for four characters that are compared
     */
    public record Limits(int steps, long work) {
        /** 20 million steps and the work of writing 2^30 characters: a few seconds. */
        public static final Limits DEFAULT = new Limits(20_000_000, 1L << 30);
    }

    private final String where;
    private final Statement body;

    private JinjaTemplate(String where, Statement body) {
        this.where = where;
        this.body = body;
    }

    /**
     * Parses a template.
     *
     * @param where its file, for messages
     * @throws JinjaException with the line and what is wrong there
     */
    public static JinjaTemplate parse(String where, String source) {
        try {
            return new JinjaTemplate(where, Parser.parse(Lexer.tokens(source)));
        } catch (JinjaException e) {
            throw e.in(where);
        } catch (StackOverflowError e) {
            throw new JinjaException(where + ": the template is nested too deeply", 0, e);
        }
    }

    /**
     * Renders the template.
     *
     * @param variables numbers, texts, booleans, null, lists and maps of them
     * @param clock what {@code strftime_now} tells
     * @throws JinjaException with the line and what went wrong, be it raised by the template itself
     */
    public String render(Map<String, ?> variables, Clock clock) {
        return render(variables, clock, Limits.DEFAULT);
    }

    /**
     * Renders the template within narrower or wider limits.
     *
     * @throws JinjaException as above
     */
    public String render(Map<String, ?> variables, Clock clock, Limits limits) {
        Map<String, Object> all = Globals.functions(clock);
        variables.forEach((name, v) -> all.put(name, Python.of(v)));
        Output out = new Output();
        try {
            Budget.within(limits, () -> body.run(new Scope(all), out));
        } catch (JinjaException e) {
            throw e.in(where);
        } catch (StackOverflowError e) {
            throw new JinjaException(where + ": the template's calls are nested too deeply", 0, e);
        } catch (OutOfMemoryError e) {
            throw new JinjaException(
                    where + ": the template needs more memory than the "
                            + (Runtime.getRuntime().maxMemory() >> 20) + " MiB of the Java heap leave",
                    0,
                    e);
        }
        return out.toString();
    }
}
