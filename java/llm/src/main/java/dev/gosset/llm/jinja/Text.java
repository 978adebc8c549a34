package dev.gosset.llm.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The methods of Python's str, dict and list. */
final class Text {
    private Text() {}

    /** A method of a text as something to call, or null where there is none of that name. */
    static Callable method(String s, String name) {
        return switch (name) {
            case "strip" -> a -> strip(s, a.get(0, "chars", null), true, true);
            case "lstrip" -> a -> strip(s, a.get(0, "chars", null), true, false);
            case "rstrip" -> a -> strip(s, a.get(0, "chars", null), false, true);
            case "split" -> a -> split(s, a.get(0, "sep", null), limit(a));
            case "rsplit" -> a -> rsplit(s, a.get(0, "sep", null), limit(a));
            case "splitlines" -> a -> lines(s, Python.truth(a.get(0, "keepends", false)));
            case "startswith" -> a -> affixes(a).stream().anyMatch(s::startsWith);
            case "endswith" -> a -> affixes(a).stream().anyMatch(s::endsWith);
            case "removeprefix" -> a -> s.startsWith(first(a)) ? s.substring(first(a).length()) : s;
            case "removesuffix" -> a -> s.endsWith(first(a)) ? s.substring(0, s.length() - first(a).length()) : s;
            case "upper" -> a -> s.toUpperCase(Locale.ROOT);
            case "lower", "casefold" -> a -> s.toLowerCase(Locale.ROOT);
            case "capitalize" -> a -> capitalize(s);
            case "title" -> a -> title(s, true);
            case "replace" ->
                a -> replace(
                        s,
                        first(a),
                        Python.text(a.get(1, "new"), "what replaces"),
                        a.get(2, "count", null) == null ? -1 : Python.integer(a.get(2, "count"), "count"));
            case "join" ->
                a -> {
                    List<String> texts = new ArrayList<>();
                    Python.items(a.get(0, "iterable")).forEach(e -> texts.add(Python.text(e, "what is joined")));
                    return String.join(s, texts);
                };
            case "find" -> a -> position(s, s.indexOf(first(a)));
            case "rfind" -> a -> position(s, s.lastIndexOf(first(a)));
            case "index" ->
                a -> {
                    if (!s.contains(first(a))) {
                        throw new TemplateError("index: the text does not hold " + Python.repr(first(a)));
                    }
                    return position(s, s.indexOf(first(a)));
                };
            case "count" -> a -> count(s, first(a));
            case "zfill" ->
                a -> {
                    long width = Math.min(Python.integer(a.get(0, "width"), "width"), 1000);
                    String sign = s.startsWith("-") || s.startsWith("+") ? s.substring(0, 1) : "";
                    return sign + "0".repeat((int) Math.max(0, width - Python.length(s))) + s.substring(sign.length());
                };
            case "ljust" -> a -> s + padding(s, a);
            case "rjust" -> a -> padding(s, a) + s;
            case "partition" ->
                a -> {
                    int at = s.indexOf(first(a));
                    return new Tuple(
                            at < 0
                                    ? List.of(s, "", "")
                                    : List.of(s.substring(0, at), first(a), s.substring(at + first(a).length())));
                };
            case "rpartition" ->
                a -> {
                    int at = s.lastIndexOf(first(a));
                    return new Tuple(
                            at < 0
                                    ? List.of("", "", s)
                                    : List.of(s.substring(0, at), first(a), s.substring(at + first(a).length())));
                };
            case "isdigit", "isdecimal", "isnumeric" -> a -> all(s, Character::isDigit);
            case "isalpha" -> a -> all(s, Character::isLetter);
            case "isalnum" -> a -> all(s, Character::isLetterOrDigit);
            case "isspace" -> a -> all(s, Text::isSpace);
            case "isupper" -> a -> isCased(s, s.toUpperCase(Locale.ROOT));
            case "islower" -> a -> isCased(s, s.toLowerCase(Locale.ROOT));
            default -> null;
        };
    }

    /** A method of a dict that changes nothing, or null. */
    static Callable method(Map<?, ?> m, String name) {
        return switch (name) {
            case "items" -> a -> pairs(m);
            case "keys" -> a -> new ArrayList<Object>(m.keySet());
            case "values" -> a -> new ArrayList<Object>(m.values());
            case "get" ->
                a -> {
                    Object key = a.get(0, "key");
                    return m.containsKey(key) ? m.get(key) : a.get(1, "default", null);
                };
            default -> null;
        };
    }

    /** A method of a list that changes nothing, or null. */
    static Callable method(List<?> l, String name) {
        return switch (name) {
            case "count" ->
                a -> l.stream().filter(e -> Python.equal(e, a.get(0, "value"))).count();
            case "index" ->
                a -> {
                    for (int i = 0; i < l.size(); i++) {
                        if (Python.equal(l.get(i), a.get(0, "value"))) {
                            return (long) i;
                        }
                    }
                    throw new TemplateError("index: the list does not hold " + Python.repr(a.get(0, "value")));
                };
            default -> null;
        };
    }

    static List<Object> pairs(Map<?, ?> m) {
        List<Object> out = new ArrayList<>();
        m.forEach((k, v) -> out.add(new Tuple(Arrays.asList(k, v))));
        return out;
    }

    static String join(String separator, List<String> texts) {
        long length = 0;
        for (String text : texts) {
            length += text.length() + (long) separator.length();
        }
        Python.requireLength(length);
        return String.join(separator, texts);
    }

    private static String first(Arguments a) {
        return Python.text(a.get(0, "sub"), "the argument");
    }

    private static long limit(Arguments a) {
        return Python.integer(a.get(1, "maxsplit", -1L), "maxsplit");
    }

    private static List<String> affixes(Arguments a) {
        Object v = a.get(0, "prefix");
        List<String> out = new ArrayList<>();
        for (Object e : v instanceof Tuple t ? t : List.of(v)) {
            out.add(Python.text(e, "what a text begins or ends with"));
        }
        return out;
    }

    private static String padding(String s, Arguments a) {
        long width = Math.min(Python.integer(a.get(0, "width"), "width"), 1000);
        return Python.text(a.get(1, "fillchar", " "), "fillchar").repeat((int) Math.max(0, width - Python.length(s)));
    }

    private static Object position(String s, int index) {
        return index < 0 ? -1L : (long) s.codePointCount(0, index);
    }

    private static Object count(String s, String sub) {
        if (sub.isEmpty()) {
            return Python.length(s) + 1;
        }
        long n = 0;
        for (int i = s.indexOf(sub); i >= 0; i = s.indexOf(sub, i + sub.length())) {
            n++;
        }
        return n;
    }

    private static boolean all(String s, java.util.function.IntPredicate test) {
        return !s.isEmpty() && s.codePoints().allMatch(test);
    }

    static boolean isCased(String s, String converted) {
        return s.equals(converted)
                && s.codePoints().anyMatch(c -> Character.toLowerCase(c) != Character.toUpperCase(c));
    }

    /** What Python's strip takes for space. */
    static boolean isSpace(int c) {
        return Character.isWhitespace(c) || c == 0xa0 || c == 0x85 || c == 0x2007 || c == 0x202f;
    }

    static String strip(String s, Object characters, boolean left, boolean right) {
        String set = characters == null ? null : Python.text(characters, "the characters to strip");
        int from = 0;
        int to = s.length();
        while (left && from < to && strips(s.codePointAt(from), set)) {
            from += Character.charCount(s.codePointAt(from));
        }
        while (right && to > from && strips(s.codePointBefore(to), set)) {
            to -= Character.charCount(s.codePointBefore(to));
        }
        return s.substring(from, to);
    }

    private static boolean strips(int c, String set) {
        return set == null ? isSpace(c) : set.indexOf(c) >= 0;
    }

    static List<Object> split(String s, Object separator, long limit) {
        List<Object> out = new ArrayList<>();
        if (separator == null) {
            String rest = strip(s, null, true, false);
            while (!rest.isEmpty()) {
                if (limit >= 0 && out.size() >= limit) {
                    out.add(strip(rest, null, false, true));
                    break;
                }
                int i = 0;
                while (i < rest.length() && !isSpace(rest.codePointAt(i))) {
                    i += Character.charCount(rest.codePointAt(i));
                }
                out.add(rest.substring(0, i));
                rest = strip(rest.substring(i), null, true, false);
            }
            return out;
        }
        String sep = separator(separator);
        int from = 0;
        for (int i = s.indexOf(sep); i >= 0 && (limit < 0 || out.size() < limit); i = s.indexOf(sep, from)) {
            out.add(s.substring(from, i));
            from = i + sep.length();
        }
        out.add(s.substring(from));
        return out;
    }

    private static List<Object> rsplit(String s, Object separator, long limit) {
        if (limit < 0) {
            return split(s, separator, -1);
        }
        if (separator == null) {
            throw new TemplateError("rsplit with a limit needs a separator");
        }
        String sep = separator(separator);
        List<Object> out = new ArrayList<>();
        int to = s.length();
        for (int i = s.lastIndexOf(sep); i >= 0 && out.size() < limit; i = s.lastIndexOf(sep, to - sep.length())) {
            out.addFirst(s.substring(i + sep.length(), to));
            to = i;
            if (to < sep.length()) {
                break;
            }
        }
        out.addFirst(s.substring(0, to));
        return out;
    }

    private static String separator(Object v) {
        String sep = Python.text(v, "a separator");
        if (sep.isEmpty()) {
            throw new TemplateError("a separator must not be empty");
        }
        return sep;
    }

    private static Object lines(String s, boolean keepEnds) {
        List<Object> out = new ArrayList<>();
        int from = 0;
        while (from < s.length()) {
            int i = from;
            while (i < s.length() && s.charAt(i) != '\n' && s.charAt(i) != '\r') {
                i++;
            }
            int end = i;
            if (i < s.length()) {
                i += s.startsWith("\r\n", i) ? 2 : 1;
            }
            out.add(s.substring(from, keepEnds ? i : end));
            from = i;
        }
        return out;
    }

    static String replace(String s, String old, String by, long limit) {
        if (old.isEmpty()) {
            throw new TemplateError("what is replaced must not be empty");
        }
        StringBuilder out = new StringBuilder();
        int from = 0;
        long done = 0;
        for (int i = s.indexOf(old); i >= 0 && (limit < 0 || done < limit); i = s.indexOf(old, from), done++) {
            Python.requireLength(out.length() + (long) by.length());
            out.append(s, from, i).append(by);
            from = i + old.length();
        }
        return out.append(s.substring(from)).toString();
    }

    static String capitalize(String s) {
        if (s.isEmpty()) {
            return s;
        }
        int first = s.offsetByCodePoints(0, 1);
        return s.substring(0, first).toUpperCase(Locale.ROOT)
                + s.substring(first).toLowerCase(Locale.ROOT);
    }

    /** Each word capitalized; words are runs of letters, or for Jinja's filter what follows space, dash or bracket. */
    static String title(String s, boolean byLetters) {
        StringBuilder out = new StringBuilder();
        boolean begins = true;
        for (int i = 0; i < s.length(); ) {
            int c = s.codePointAt(i);
            i += Character.charCount(c);
            out.appendCodePoint(begins ? Character.toTitleCase(c) : Character.toLowerCase(c));
            begins = byLetters ? !Character.isLetter(c) : isSpace(c) || "-({[<".indexOf(c) >= 0;
        }
        return out.toString();
    }
}
