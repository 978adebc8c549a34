package dev.gosset.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntPredicate;

/** Python's str: its methods and its kinds of characters. Positions count code points. */
final class Strings {
    /** Up to this length the text that is looked for costs no more than reading the other one. */
    private static final int SHORT = 16;

    private Strings() {}

    private static Callable of(String parameters, Callable body) {
        return Callable.of("a method of str", parameters, body);
    }

    /** A method of a text as something to call, or null where there is none of that name. */
    static Callable method(String s, String name) {
        return switch (name) {
            case "startswith" -> of("0 1 2", a -> hasAffix(s, a, (t, affix) -> t.startsWith(affix)));
            case "endswith" -> of("0 1 2", a -> hasAffix(s, a, (t, affix) -> t.endsWith(affix)));
            case "removeprefix" -> of("0", a -> s.startsWith(sub(a)) ? s.substring(sub(a).length()) : s);
            case "removesuffix" -> of("0", a -> s.endsWith(sub(a)) ? s.substring(0, s.length() - sub(a).length()) : s);
            default -> {
                Callable method = reading(s, name);
                yield method == null
                        ? null
                        : a -> {
                            Budget.made(s);
                            return method.call(a);
                        };
            }
        };
    }

    /** The methods that read all of the text. */
    private static Callable reading(String s, String name) {
        return switch (name) {
            case "strip" -> of("0", a -> strip(s, a.get("0", null), true, true));
            case "lstrip" -> of("0", a -> strip(s, a.get("0", null), true, false));
            case "rstrip" -> of("0", a -> strip(s, a.get("0", null), false, true));
            case "split" -> of("sep maxsplit", a -> split(s, a.get("sep", null), limit(a)));
            case "rsplit" -> of("sep maxsplit", a -> splitFromRight(s, a.get("sep", null), limit(a)));
            case "splitlines" ->
                of("keepends", a -> lines(s, Python.integer(a.get("keepends", false), "keepends") != 0));
            case "upper" -> of("", a -> s.toUpperCase(Locale.ROOT));
            case "lower" -> of("", a -> s.toLowerCase(Locale.ROOT));
            case "casefold" ->
                of(
                        "",
                        a -> s.replace("ß", "ss")
                                .replace("ẞ", "ss")
                                .toLowerCase(Locale.ROOT)
                                .replace('ς', 'σ'));
            case "swapcase" -> of("", a -> swapCase(s));
            case "capitalize" -> of("", a -> capitalize(s));
            case "title" -> of("", a -> title(s));
            case "replace" ->
                of("0 1 2", a -> replace(s, sub(a), Python.text(a.get("1"), "what replaces"), count(a, "2")));
            case "join" -> of("0", a -> join(s, a.get("0")));
            case "find" -> of("0 1 2", a -> find(s, a, false));
            case "rfind" -> of("0 1 2", a -> find(s, a, true));
            case "index" -> of("0 1 2", a -> index(s, a, false));
            case "rindex" -> of("0 1 2", a -> index(s, a, true));
            case "count" ->
                of("0 1 2", a -> {
                    String w = window(s, a);
                    return w == null ? 0L : occurrences(w, sub(a));
                });
            case "zfill" ->
                of("0", a -> {
                    String sign = s.startsWith("-") || s.startsWith("+") ? s.substring(0, 1) : "";
                    return sign + fill("0", missing(s, a)) + s.substring(sign.length());
                });
            case "ljust" -> of("0 1", a -> s + fill(filler(a), missing(s, a)));
            case "rjust" -> of("0 1", a -> fill(filler(a), missing(s, a)) + s);
            case "center" ->
                of("0 1", a -> {
                    long n = missing(s, a);
                    // Python puts the odd blank to the left where the width is odd.
                    long left = n / 2 + (n & (n + Python.length(s)) & 1);
                    return fill(filler(a), left) + s + fill(filler(a), n - left);
                });
            case "expandtabs" -> of("tabsize", a -> expandTabs(s, Python.integer(a.get("tabsize", 8L), "tabsize")));
            case "partition" ->
                of("0", a -> {
                    String sep = separator(a.get("0"));
                    int at = find(s, sep, 0);
                    return new Tuple(
                            at < 0
                                    ? List.of(s, "", "")
                                    : List.of(s.substring(0, at), sep, s.substring(at + sep.length())));
                });
            case "rpartition" ->
                of("0", a -> {
                    String sep = separator(a.get("0"));
                    int at = findLast(s, sep, s.length());
                    return new Tuple(
                            at < 0
                                    ? List.of("", "", s)
                                    : List.of(s.substring(0, at), sep, s.substring(at + sep.length())));
                });
            case "format" -> (Callable) a -> BraceFormat.of(s, a);
            case "format_map" ->
                of("0", a -> {
                    if (!(a.get("0") instanceof Map<?, ?> m)) {
                        throw new JinjaException("format_map takes a dict, found " + Python.described(a.get("0")));
                    }
                    Map<String, Object> named = new java.util.LinkedHashMap<>();
                    m.forEach((k, v) -> named.put(Python.str(k), v));
                    return BraceFormat.of(s, new Arguments(List.of(), named));
                });
            case "encode" -> of("encoding errors", a -> new Bytes(s.getBytes(Members.charset(a))));
            case "translate" -> of("0", a -> translate(s, a.get("0")));
            case "isdigit" -> of("", a -> all(s, Strings::isDigit));
            case "isdecimal" -> of("", a -> all(s, Character::isDigit));
            case "isnumeric" -> of("", a -> all(s, Strings::isNumeric));
            case "isalpha" -> of("", a -> all(s, Character::isLetter));
            case "isalnum" -> of("", a -> all(s, c -> Character.isLetter(c) || isNumeric(c)));
            case "isspace" -> of("", a -> all(s, Strings::isSpace));
            case "isascii" -> of("", a -> s.chars().allMatch(c -> c < 0x80));
            case "isprintable" -> of("", a -> s.codePoints().allMatch(Strings::isPrintable));
            case "isidentifier" -> of("", a -> isIdentifier(s));
            case "isupper" -> of("", a -> isUpper(s));
            case "islower" -> of("", a -> isLower(s));
            case "istitle" -> of("", a -> isTitle(s));
            default -> null;
        };
    }

    // -------------------------------------------------------------------------------------------------- arguments

    private static String sub(Arguments a) {
        return Python.text(a.get("0"), "the argument");
    }

    private static long limit(Arguments a) {
        return Python.integer(a.get("maxsplit", -1L), "maxsplit");
    }

    static long count(Arguments a, String name) {
        return Python.integer(a.get(name, -1L), "count");
    }

    private static String filler(Arguments a) {
        String filler = Python.text(a.get("1", " "), "what fills");
        if (filler.codePointCount(0, filler.length()) != 1) {
            throw new JinjaException("what fills must be one character, found " + Python.repr(filler));
        }
        return filler;
    }

    private static long missing(String s, Arguments a) {
        return Math.max(0, Python.integer(a.get("0"), "a width") - Python.length(s));
    }

    static String fill(String filler, long times) {
        Python.requireLength(times);
        return filler.repeat((int) times);
    }

    /** A position as slices and searches take it, between 0 and n; None is n. */
    static long position(Object v, long n) {
        if (v == null) {
            return n;
        }
        long i = Python.integer(v, "a position");
        return Math.clamp(i < 0 ? i + n : i, 0, n);
    }

    /** The part of a text that the second and third argument leave, or null where they leave less than nothing. */
    private static String window(String s, Arguments a) {
        if (a.get("1", null) == null && a.get("2", null) == null) {
            return s;
        }
        long n = Python.length(s);
        Object start = a.get("1", null) == null ? (Object) 0L : a.get("1");
        long from = position(start, n);
        long to = position(a.get("2", null), n);
        if (from > to || Python.integer(start, "a position") > n) {
            return null;
        }
        int first = s.offsetByCodePoints(0, (int) from);
        return s.substring(first, s.offsetByCodePoints(first, (int) (to - from)));
    }

    private static boolean hasAffix(String s, Arguments a, java.util.function.BiPredicate<String, String> has) {
        String w = window(s, a);
        Object affixes = a.get("0");
        for (Object affix : affixes instanceof Tuple t ? t.items() : Arrays.asList(affixes)) {
            String text = Python.text(affix, "what a str begins or ends with");
            if (w != null && has.test(w, text)) {
                return true;
            }
        }
        return false;
    }

    private static Object find(String s, Arguments a, boolean last) {
        String w = window(s, a);
        String sub = sub(a);
        int i = w == null ? -1 : last ? findLast(w, sub, w.length()) : find(w, sub, 0);
        if (i < 0) {
            return -1L;
        }
        long from = a.get("1", null) == null ? 0 : position(a.get("1"), Python.length(s));
        return from + w.codePointCount(0, i);
    }

    private static Object index(String s, Arguments a, boolean last) {
        Object at = find(s, a, last);
        if (at.equals(-1L)) {
            throw new JinjaException("index: the str does not hold " + Python.repr(sub(a)));
        }
        return at;
    }

    private static long occurrences(String s, String sub) {
        if (sub.isEmpty()) {
            return Python.length(s) + 1;
        }
        long n = 0;
        for (int i = find(s, sub, 0); i >= 0; i = find(s, sub, i + sub.length())) {
            n++;
        }
        return n;
    }

    static String join(String separator, Object items) {
        StringBuilder out = new StringBuilder();
        String between = "";
        for (Object e : Python.list(items)) {
            String text = Python.text(e, "what is joined");
            Python.requireLength(out.length() + (long) between.length() + text.length());
            out.append(between).append(text);
            between = separator;
        }
        return out.toString();
    }

    private static String expandTabs(String s, long size) {
        Budget.spend((long) s.length() * 8);
        StringBuilder out = new StringBuilder();
        long column = 0;
        for (int c : s.codePoints().toArray()) {
            if (c == '\t') {
                long n = size <= 0 ? 0 : size - column % size;
                Python.requireLength(out.length() + n);
                out.repeat(' ', (int) n);
                column += n;
            } else {
                out.appendCodePoint(c);
                column = c == '\n' || c == '\r' ? 0 : column + 1;
            }
        }
        return out.toString();
    }

    private static String translate(String s, Object table) {
        Budget.spend((long) s.length() * Budget.ITEM);
        StringBuilder out = new StringBuilder();
        s.codePoints().forEach(c -> {
            Object v = Python.item(table, (long) c);
            switch (v) {
                case null -> {}
                case Undefined u -> out.appendCodePoint(c);
                case Long l when Character.isValidCodePoint((int) (long) l) -> out.appendCodePoint((int) (long) l);
                default -> out.append(Python.text(v, "what replaces"));
            }
        });
        return out.toString();
    }

    // -------------------------------------------------------------------------------------------------- cutting

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

    /** The first place of a text in another at or after {@code from}, or -1. */
    static int find(String s, String sub, int from) {
        int at = s.indexOf(sub.substring(0, Math.min(SHORT, sub.length())), from);
        if (at >= 0 && sub.length() > SHORT) {
            at = search(s, sub, at, 1);
        }
        Budget.spend((at < 0 ? s.length() : at) - (long) from + sub.length());
        return at;
    }

    /** The last place of a text in another at or before {@code from}, or -1. */
    private static int findLast(String s, String sub, int from) {
        int last = Math.min(from, s.length() - sub.length());
        int at = sub.length() <= SHORT ? s.lastIndexOf(sub, from) : search(s, sub, last + sub.length() - 1, -1);
        Budget.spend(Math.max(0, last - (at < 0 ? 0 : at)) + (long) sub.length());
        return at;
    }

    /** Knuth, Morris and Pratt's search: the time is linear whatever the texts. */
    private static int search(String s, String sub, int from, int step) {
        int n = sub.length();
        int first = step > 0 ? 0 : n - 1;
        int[] border = new int[n];
        for (int i = 1, k = 0; i < n; i++) {
            char c = sub.charAt(first + step * i);
            while (k > 0 && c != sub.charAt(first + step * k)) {
                k = border[k - 1];
            }
            k += c == sub.charAt(first + step * k) ? 1 : 0;
            border[i] = k;
        }
        for (int i = from, k = 0; i >= 0 && i < s.length(); i += step) {
            char c = s.charAt(i);
            while (k > 0 && c != sub.charAt(first + step * k)) {
                k = border[k - 1];
            }
            k += c == sub.charAt(first + step * k) ? 1 : 0;
            if (k == n) {
                return step > 0 ? i - n + 1 : i;
            }
        }
        return -1;
    }

    private static boolean strips(int c, String set) {
        return set == null ? isSpace(c) : set.indexOf(c) >= 0;
    }

    static List<Object> split(String s, Object separator, long limit) {
        List<Object> out = new ArrayList<>();
        if (separator == null) {
            int from = space(s, 0, true);
            while (from < s.length()) {
                Budget.spend(Budget.ITEM);
                int to = limit >= 0 && out.size() >= limit ? s.length() : space(s, from, false);
                out.add(to == s.length() ? strip(s.substring(from), null, false, true) : s.substring(from, to));
                from = space(s, to, true);
            }
            return out;
        }
        String sep = separator(separator);
        int from = 0;
        for (int i = find(s, sep, 0); i >= 0 && (limit < 0 || out.size() < limit); i = find(s, sep, from)) {
            Budget.spend(Budget.ITEM);
            out.add(s.substring(from, i));
            from = i + sep.length();
        }
        out.add(s.substring(from));
        return out;
    }

    /** The end of the run of space, or of other characters, that begins at {@code i}. */
    private static int space(String s, int i, boolean isSpace) {
        int at = i;
        while (at < s.length() && isSpace(s.codePointAt(at)) == isSpace) {
            at += Character.charCount(s.codePointAt(at));
        }
        return at;
    }

    private static List<Object> splitFromRight(String s, Object separator, long limit) {
        if (limit < 0) {
            return split(s, separator, -1);
        }
        List<Object> out = new ArrayList<>();
        if (separator == null) {
            String rest = strip(s, null, false, true);
            while (!rest.isEmpty() && out.size() < limit) {
                Budget.spend(Budget.ITEM + rest.length());
                int from = rest.length();
                while (from > 0 && !isSpace(rest.codePointBefore(from))) {
                    from -= Character.charCount(rest.codePointBefore(from));
                }
                out.add(rest.substring(from));
                rest = strip(rest.substring(0, from), null, false, true);
            }
            String first = strip(rest, null, true, true);
            if (!first.isEmpty()) {
                out.add(strip(rest, null, true, false));
            }
            return out.reversed();
        }
        String sep = separator(separator);
        int to = s.length();
        for (int i = findLast(s, sep, to); i >= 0 && out.size() < limit; i = findLast(s, sep, to - sep.length())) {
            Budget.spend(Budget.ITEM);
            out.add(s.substring(i + sep.length(), to));
            to = i;
            if (to < sep.length()) {
                break;
            }
        }
        out.add(s.substring(0, to));
        return new ArrayList<>(out.reversed());
    }

    private static String separator(Object v) {
        String sep = Python.text(v, "a separator");
        if (sep.isEmpty()) {
            throw new JinjaException("a separator must not be empty");
        }
        return sep;
    }

    static List<Object> lines(String s, boolean keepEnds) {
        List<Object> out = new ArrayList<>();
        int from = 0;
        Budget.spend(s.length());
        while (from < s.length()) {
            Budget.spend(Budget.ITEM);
            int i = from;
            while (i < s.length() && !isLineEnd(s.charAt(i))) {
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

    private static boolean isLineEnd(char c) {
        return c >= '\n' && c <= '\r' || c >= 0x1c && c <= 0x1e || c == 0x85 || c == 0x2028 || c == 0x2029;
    }

    static String replace(String s, String old, String by, long limit) {
        StringBuilder out = new StringBuilder();
        int from = 0;
        long done = 0;
        if (old.isEmpty()) {
            Budget.spend((long) s.length() * Budget.ITEM);
            for (int[] i = {0}; i[0] <= s.length() && (limit < 0 || done < limit); done++) {
                Python.requireLength(out.length() + (long) by.length());
                out.append(by);
                from = i[0];
                if (from == s.length()) {
                    break;
                }
                i[0] += Character.charCount(s.codePointAt(from));
                out.append(s, from, i[0]);
                from = i[0];
            }
            return out.append(s.substring(from)).toString();
        }
        for (int i = find(s, old, 0); i >= 0 && (limit < 0 || done < limit); i = find(s, old, from), done++) {
            Budget.spend(Budget.ITEM);
            Python.requireLength(out.length() + (long) by.length());
            out.append(s, from, i).append(by);
            from = i + old.length();
        }
        return out.append(s.substring(from)).toString();
    }

    // -------------------------------------------------------------------------------------------------- case

    static String capitalize(String s) {
        if (s.isEmpty()) {
            return s;
        }
        int first = s.offsetByCodePoints(0, 1);
        return titled(s.codePointAt(0))
                + s.toLowerCase(Locale.ROOT)
                        .substring(lowered(s.substring(0, first)).length());
    }

    private static String lowered(String s) {
        return s.toLowerCase(Locale.ROOT);
    }

    /** A character at a word's beginning. */
    private static String titled(int c) {
        String one = Character.toString(c);
        String upper = one.toUpperCase(Locale.ROOT);
        // Where one character becomes several, only the first of them is upper case.
        return upper.length() > one.length()
                        && Character.toTitleCase(c) == c
                        && upper.codePointCount(0, upper.length()) > 1
                ? upper.substring(0, upper.offsetByCodePoints(0, 1))
                        + upper.substring(upper.offsetByCodePoints(0, 1)).toLowerCase(Locale.ROOT)
                : Character.toString(Character.toTitleCase(c));
    }

    /** Each run of letters with case capitalized. */
    private static String title(String s) {
        Budget.spend((long) s.length() * Budget.ITEM);
        StringBuilder out = new StringBuilder();
        String lower = null;
        boolean begins = true;
        for (int i = 0; i < s.length(); ) {
            int c = s.codePointAt(i);
            i += Character.charCount(c);
            if (begins) {
                out.append(titled(c));
            } else if (c == 'Σ') {
                // A sigma's form depends on its place in the word.
                lower = lower == null ? s.toLowerCase(Locale.ROOT) : lower;
                out.append(lower.length() == s.length() ? lower.charAt(i - 1) : 'σ');
            } else {
                out.append(Character.toString(c).toLowerCase(Locale.ROOT));
            }
            begins = !isCased(c);
        }
        return out.toString();
    }

    private static String swapCase(String s) {
        Budget.spend((long) s.length() * Budget.ITEM);
        StringBuilder out = new StringBuilder();
        s.codePoints().forEach(c -> {
            String one = Character.toString(c);
            out.append(
                    Character.isUpperCase(c)
                            ? one.toLowerCase(Locale.ROOT)
                            : Character.isLowerCase(c) ? one.toUpperCase(Locale.ROOT) : one);
        });
        return out.toString();
    }

    private static boolean isCased(int c) {
        return Character.isUpperCase(c) || Character.isLowerCase(c) || Character.isTitleCase(c);
    }

    static boolean isUpper(String s) {
        return isOfCase(s, c -> !Character.isUpperCase(c));
    }

    static boolean isLower(String s) {
        return isOfCase(s, c -> !Character.isLowerCase(c));
    }

    private static boolean isOfCase(String s, IntPredicate other) {
        return s.codePoints().anyMatch(Strings::isCased)
                && s.codePoints().filter(Strings::isCased).noneMatch(other);
    }

    private static boolean isTitle(String s) {
        boolean cased = false;
        boolean any = false;
        for (int c : s.codePoints().toArray()) {
            boolean upper = Character.isUpperCase(c) || Character.isTitleCase(c);
            if (upper == cased && (upper || Character.isLowerCase(c))) {
                return false;
            }
            cased = isCased(c);
            any |= cased;
        }
        return any;
    }

    // -------------------------------------------------------------------------------------------------- characters

    private static boolean all(String s, IntPredicate test) {
        Budget.spend((long) s.length() * 8);
        return !s.isEmpty() && s.codePoints().allMatch(test);
    }

    /** What Python's strip takes for space. */
    static boolean isSpace(int c) {
        return Character.isWhitespace(c) || c == 0xa0 || c == 0x85 || c == 0x2007 || c == 0x202f;
    }

    private static boolean isDigit(int c) {
        int value = Character.getNumericValue(c);
        return Character.isDigit(c) || Character.getType(c) == Character.OTHER_NUMBER && value >= 0 && value <= 9;
    }

    private static boolean isNumeric(int c) {
        int type = Character.getType(c);
        return type == Character.DECIMAL_DIGIT_NUMBER
                || type == Character.LETTER_NUMBER
                || type == Character.OTHER_NUMBER;
    }

    static boolean isPrintable(int c) {
        return switch (Character.getType(c)) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.SURROGATE,
                    Character.PRIVATE_USE,
                    Character.UNASSIGNED,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR -> false;
            case Character.SPACE_SEPARATOR -> c == ' ';
            default -> true;
        };
    }

    static boolean beginsIdentifier(int c) {
        return c == '_' || Character.isUnicodeIdentifierStart(c);
    }

    static boolean continuesIdentifier(int c) {
        return c == '_' || Character.isUnicodeIdentifierPart(c) && !Character.isIdentifierIgnorable(c);
    }

    private static boolean isIdentifier(String s) {
        return !s.isEmpty()
                && beginsIdentifier(s.codePointAt(0))
                && s.codePoints().allMatch(Strings::continuesIdentifier);
    }
}
