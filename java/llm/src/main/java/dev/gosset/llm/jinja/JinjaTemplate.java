package dev.gosset.llm.jinja;

import dev.gosset.core.FormatException;
import dev.gosset.llm.jinja.Node.Output;
import dev.gosset.llm.jinja.Node.Statement;
import java.time.Clock;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * A parsed template. Immutable, thread-safe.
 *
 * <p>Besides the variables it is given a template sees the functions {@code range}, {@code dict}, {@code namespace},
 * {@code raise_exception} and {@code strftime_now}.
 */
public final class JinjaTemplate {
    private static final int LONGEST_RANGE = 100_000;

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
     * @throws FormatException with the line and what is wrong there
     */
    public static JinjaTemplate parse(String where, String source) {
        try {
            return new JinjaTemplate(where, Parser.parse(Lexer.tokens(source)));
        } catch (TemplateError e) {
            throw located(where, e);
        } catch (StackOverflowError e) {
            throw new FormatException(where + ": the template is nested too deeply", e);
        }
    }

    /**
     * Renders the template.
     *
     * @param variables numbers, texts, booleans, null, lists and maps of them
     * @param clock what {@code strftime_now} tells
     * @throws FormatException with the line and what went wrong, be it raised by the template itself
     */
    public String render(Map<String, ?> variables, Clock clock) {
        Map<String, Object> all = new HashMap<>(functions(clock));
        variables.forEach((name, v) -> all.put(name, Python.of(v)));
        Output out = new Output();
        try {
            body.run(new Scope(all), out);
        } catch (TemplateError e) {
            throw located(where, e);
        } catch (StackOverflowError e) {
            throw new FormatException(where + ": the template's calls are nested too deeply", e);
        }
        return out.toString();
    }

    private static FormatException located(String where, TemplateError e) {
        return new FormatException(where + ":" + e.line() + ": " + e.getMessage(), e);
    }

    private static Map<String, Object> functions(Clock clock) {
        Map<String, Callable> functions = Map.of(
                "range", JinjaTemplate::range,
                "dict",
                        a -> {
                            Map<Object, Object> map = new LinkedHashMap<>();
                            if (a.get(0, "", null) instanceof Map<?, ?> m) {
                                map.putAll(m);
                            }
                            map.putAll(a.named());
                            return map;
                        },
                "namespace",
                        a -> {
                            Map<String, Object> attributes = new LinkedHashMap<>();
                            if (a.get(0, "", null) instanceof Map<?, ?> m) {
                                m.forEach((k, v) -> attributes.put(Python.str(k), v));
                            }
                            attributes.putAll(a.named());
                            return new Namespace(attributes);
                        },
                "raise_exception",
                        a -> {
                            throw new TemplateError(Python.str(a.get(0, "message", "")));
                        },
                "strftime_now", a -> strftime(Python.text(a.get(0, "format"), "the format"), clock));
        return new HashMap<>(functions);
    }

    private static Object range(Arguments a) {
        List<Object> p = a.positional();
        if (p.isEmpty() || p.size() > 3) {
            throw new TemplateError("range takes 1 to 3 ints, found " + p.size());
        }
        long from = p.size() == 1 ? 0 : Python.integer(p.get(0), "a bound of range");
        long to = Python.integer(p.get(p.size() == 1 ? 0 : 1), "a bound of range");
        long step = p.size() < 3 ? 1 : Python.integer(p.get(2), "the step of range");
        if (step == 0) {
            throw new TemplateError("the step of range must not be 0");
        }
        List<Object> out = new ArrayList<>();
        for (long i = from; step > 0 ? i < to : i > to; i += step) {
            if (out.size() == LONGEST_RANGE) {
                throw new TemplateError("range is longer than " + LONGEST_RANGE);
            }
            out.add(i);
        }
        return out;
    }

    /** C's strftime in English. */
    private static String strftime(String format, Clock clock) {
        LocalDateTime now = LocalDateTime.now(clock);
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%' || i + 1 == format.length()) {
                out.append(c);
                continue;
            }
            char d = format.charAt(++i);
            boolean unpadded = d == '-' && i + 1 < format.length();
            if (unpadded) {
                d = format.charAt(++i);
            }
            String pattern = switch (d) {
                case 'Y' -> "uuuu";
                case 'y' -> "uu";
                case 'm' -> unpadded ? "M" : "MM";
                case 'd' -> unpadded ? "d" : "dd";
                case 'e' -> "ppd";
                case 'B' -> "MMMM";
                case 'b', 'h' -> "MMM";
                case 'A' -> "EEEE";
                case 'a' -> "EEE";
                case 'H' -> unpadded ? "H" : "HH";
                case 'I' -> unpadded ? "h" : "hh";
                case 'M' -> unpadded ? "m" : "mm";
                case 'S' -> unpadded ? "s" : "ss";
                case 'p' -> "a";
                case 'j' -> unpadded ? "D" : "DDD";
                case 'F' -> "uuuu-MM-dd";
                case 'T' -> "HH:mm:ss";
                case 'D' -> "MM/dd/uu";
                case 'R' -> "HH:mm";
                case '%' -> "'%'";
                case 'n' -> "'\n'";
                case 't' -> "'\t'";
                default -> throw new TemplateError("strftime_now does not know %" + d);
            };
            out.append(now.format(DateTimeFormatter.ofPattern(pattern, Locale.ENGLISH)));
        }
        return out.toString();
    }
}
