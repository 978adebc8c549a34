package dev.gosset.jinja;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the longer filters on texts do. */
final class Prose {
    private static final int PRETTY_WIDTH = 80;
    private static final HexFormat HEX = HexFormat.of().withUpperCase();
    private static final List<String> DECIMAL = List.of("kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB");
    private static final List<String> BINARY = List.of("KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB");
    private static final Map<String, String> REFERENCES = Map.of(
            "amp", "&", "lt", "<", "gt", ">", "quot", "\"", "apos", "'", "nbsp", "\u00a0", "copy", "\u00a9", "reg",
            "\u00ae", "hellip", "\u2026", "mdash", "\u2014");

    private static final Pattern REFERENCE = Pattern.compile("&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-z]+);");
    private static final Pattern ATTRIBUTE_BREAK = Pattern.compile("[\\s/>=]", Pattern.UNICODE_CHARACTER_CLASS);

    /** A blank run, or a word up to a hyphen between letters or to its end. */
    private static final Pattern PIECE =
            Pattern.compile("[\\t-\\r ]+|[^\\t-\\r ]+?(?:(?<=\\p{L}{2})-(?=\\p{L}-?\\p{L})|(?=[\\t-\\r ]|\\z))");

    private static final Pattern WORD = Pattern.compile("[\\t-\\r ]+|[^\\t-\\r ]+");

    private Prose() {}

    static String fileSize(double bytes, boolean binary) {
        double base = binary ? 1024 : 1000;
        if (bytes == 1) {
            return "1 Byte";
        }
        if (bytes < base) {
            return Numbers.digits(Numbers.toInt(bytes)) + " Bytes";
        }
        double unit = base;
        int i = 0;
        while (i < DECIMAL.size() - 1 && bytes >= unit * base) {
            unit *= base;
            i++;
        }
        return new BigDecimal(bytes / unit).setScale(1, RoundingMode.HALF_EVEN).toPlainString()
                + " "
                + (binary ? BINARY : DECIMAL).get(i);
    }

    /** Each word capitalized; a word begins after space, hyphen or an opening bracket. */
    static String title(String s) {
        Budget.spend((long) s.length() * 16);
        StringBuilder out = new StringBuilder();
        int from = 0;
        while (from < s.length()) {
            boolean between = isBetweenWords(s.codePointAt(from));
            int to = from;
            while (to < s.length() && isBetweenWords(s.codePointAt(to)) == between) {
                to += Character.charCount(s.codePointAt(to));
            }
            int second = s.offsetByCodePoints(from, 1);
            out.append(s.substring(from, second).toUpperCase(Locale.ROOT))
                    .append(s.substring(second, to).toLowerCase(Locale.ROOT));
            from = to;
        }
        return out.toString();
    }

    private static boolean isBetweenWords(int c) {
        return Strings.isSpace(c) || "-({[<".indexOf(c) >= 0;
    }

    static long wordCount(String s) {
        Budget.spend((long) s.length() * 4);
        long words = 0;
        boolean inside = false;
        for (int c : s.codePoints().toArray()) {
            int type = Character.getType(c);
            boolean letter = Character.isLetterOrDigit(c)
                    || c == '_'
                    || type == Character.LETTER_NUMBER
                    || type == Character.OTHER_NUMBER;
            words += letter && !inside ? 1 : 0;
            inside = letter;
        }
        return words;
    }

    static Object truncated(Object v, Arguments a) {
        long length = Python.integer(a.get("length", 255L), "length");
        String end = Python.str(a.get("end", "..."));
        Object leeway = a.get("leeway", null);
        long kept = length - Python.length(end);
        if (kept < 0) {
            throw new JinjaException("truncate to " + length + " characters leaves no room for " + Python.repr(end));
        }
        if (Python.length(v) <= length + (leeway == null ? 5 : Python.integer(leeway, "leeway"))) {
            return v;
        }
        String s = Python.text(v, "what is truncated");
        String cut = s.substring(0, s.offsetByCodePoints(0, (int) kept));
        int blank = a.is("killwords", false) ? -1 : cut.lastIndexOf(' ');
        return Python.marked(v, (blank < 0 ? cut : cut.substring(0, blank)) + end);
    }

    static String wrapped(String s, Arguments a) {
        long width = Python.integer(a.get("width", 79L), "width");
        boolean breaks = a.is("break_long_words", true);
        boolean hyphens = a.is("break_on_hyphens", true);
        Object between = a.get("wrapstring", null);
        if (width <= 0) {
            throw new JinjaException("wordwrap takes a width of at least 1, found " + width);
        }
        String separator = between == null ? "\n" : Python.str(between);
        List<Object> lines = new ArrayList<>();
        for (Object line : Strings.lines(s, false)) {
            lines.add(Strings.join(separator, wrappedLine((String) line, width, breaks, hyphens)));
        }
        return Strings.join(separator, lines);
    }

    private static List<Object> wrappedLine(String line, long width, boolean breaks, boolean hyphens) {
        List<Object> lines = new ArrayList<>();
        List<String> current = new ArrayList<>();
        long length = 0;
        Budget.spend((long) line.length() * Budget.ITEM);
        Matcher pieces = (hyphens ? PIECE : WORD).matcher(line);
        String piece = pieces.find() ? pieces.group() : null;
        while (piece != null) {
            Budget.spend(piece.length());
            if (length + Python.length(piece) <= width) {
                boolean leadingBlank = current.isEmpty() && !lines.isEmpty() && piece.isBlank();
                if (!leadingBlank) {
                    current.add(piece);
                    length += Python.length(piece);
                }
                piece = pieces.find() ? pieces.group() : null;
                continue;
            }
            if (current.isEmpty() && !lines.isEmpty() && piece.isBlank()) {
                piece = pieces.find() ? pieces.group() : null;
                continue;
            }
            if (Python.length(piece) > width) {
                if (breaks) {
                    int end = piece.offsetByCodePoints(0, (int) (width - length));
                    int hyphen = hyphens ? piece.lastIndexOf('-', end - 1) : -1;
                    if (hyphen > 0
                            && !piece.substring(0, hyphen).replace("-", "").isEmpty()) {
                        end = hyphen + 1;
                    }
                    current.add(piece.substring(0, end));
                    piece = piece.substring(end);
                } else if (current.isEmpty()) {
                    current.add(piece);
                    piece = pieces.find() ? pieces.group() : null;
                }
            }
            finish(current, lines);
            length = 0;
        }
        finish(current, lines);
        return lines;
    }

    private static void finish(List<String> current, List<Object> lines) {
        if (!current.isEmpty() && current.getLast().isBlank()) {
            current.removeLast();
        }
        if (!current.isEmpty()) {
            lines.add(String.join("", current));
        }
        current.clear();
    }

    /** Without comments and tags, blanks collapsed, the common character references resolved. */
    static String withoutTags(String s) {
        Budget.spend((long) s.length() * 8);
        String text = without(without(s, "<!--", "-->"), "<", ">");
        String joined = Strings.join(" ", Strings.split(text, null, -1));
        return REFERENCE.matcher(joined).replaceAll(m -> Matcher.quoteReplacement(resolved(m)));
    }

    private static String without(String s, String open, String close) {
        StringBuilder out = new StringBuilder();
        int from = 0;
        for (int i = s.indexOf(open); i >= 0; i = s.indexOf(open, from)) {
            int end = s.indexOf(close, i);
            if (end < 0) {
                break;
            }
            out.append(s, from, i);
            from = end + close.length();
        }
        return out.append(s, from, s.length()).toString();
    }

    private static String resolved(java.util.regex.MatchResult m) {
        String name = m.group(1);
        if (!name.startsWith("#")) {
            return REFERENCES.getOrDefault(name, m.group());
        }
        boolean hex = name.charAt(1) == 'x' || name.charAt(1) == 'X';
        int code = Integer.parseInt(name.substring(hex ? 2 : 1), hex ? 16 : 10);
        return Character.isValidCodePoint(code) && code > 0 ? Character.toString(code) : "\ufffd";
    }

    static String attributes(Map<?, ?> m, boolean leadingBlank) {
        List<Object> out = new ArrayList<>();
        m.forEach((k, v) -> {
            String name = Python.str(k);
            if (v != null && !(v instanceof Undefined)) {
                if (ATTRIBUTE_BREAK.matcher(name).find()) {
                    throw new JinjaException(Python.repr(name) + " is no name of an attribute");
                }
                out.add(Markup.escaped(name) + "=\"" + Markup.of(v).text() + "\"");
            }
        });
        return (leadingBlank && !out.isEmpty() ? " " : "") + Strings.join(" ", out);
    }

    static String urlEncoded(Object v) {
        boolean pairs =
                Python.string(v) == null && (Python.sequence(v) != null || v instanceof Map || v instanceof Iterator);
        if (!pairs) {
            return percent(Python.str(v), "/");
        }
        List<Object> out = new ArrayList<>();
        Object items = v instanceof Map<?, ?> m ? new Dict.View(m, Dict.View.Kind.ITEMS) : v;
        Python.iterate(items).forEachRemaining(pair -> {
            List<Object> two = Python.list(pair);
            if (two.size() != 2) {
                throw new JinjaException("urlencode takes pairs, found " + Python.repr(pair));
            }
            out.add(percent(Python.str(two.get(0)), " ").replace(' ', '+')
                    + "="
                    + percent(Python.str(two.get(1)), " ").replace(' ', '+'));
        });
        return Strings.join("&", out);
    }

    private static String percent(String s, String safe) {
        Budget.spend((long) s.length() * 16);
        StringBuilder out = new StringBuilder();
        for (byte b : s.getBytes(StandardCharsets.UTF_8)) {
            boolean kept = b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z';
            if (kept || b > 0 && ("_.-~" + safe).indexOf(b) >= 0) {
                out.append((char) b);
            } else {
                out.append('%').append(HEX.toHexDigits(b));
            }
        }
        return out.toString();
    }

    /** As Python's pprint: dicts by key, one element a line where a line would be too long. */
    static String pretty(Object v) {
        StringBuilder out = new StringBuilder();
        pretty(v, 0, 0, out);
        return out.toString();
    }

    private static Object ordered(Object v) {
        Budget.spend(2 * Budget.ITEM);
        return switch (v) {
            case Map<?, ?> m -> {
                List<Object> keys = new ArrayList<>(m.keySet());
                try {
                    keys.sort(Python::order);
                } catch (JinjaException e) {
                    // Keys of several kinds stay as they are.
                    keys = new ArrayList<>(m.keySet());
                }
                Dict out = new Dict();
                keys.forEach(k -> out.put(k, ordered(m.get(k))));
                yield out;
            }
            case List<?> l -> new ArrayList<>(l.stream().map(Prose::ordered).toList());
            case Tuple t ->
                new Tuple(new ArrayList<>(t.items().stream().map(Prose::ordered).toList()));
            case null, default -> v;
        };
    }

    private static void pretty(Object v, int indent, int after, StringBuilder out) {
        String whole = Python.repr(ordered(v));
        List<?> items = v instanceof List<?> l ? l : v instanceof Tuple t ? t.items() : null;
        if (whole.length() <= PRETTY_WIDTH - indent - after || items == null && !(v instanceof Map)) {
            out.append(whole);
            return;
        }
        String separator = ",\n" + " ".repeat(indent + 1);
        String between = "";
        Object sorted = ordered(v);
        out.append(sorted instanceof Map ? '{' : sorted instanceof Tuple ? '(' : '[');
        if (sorted instanceof Map<?, ?> m) {
            int left = m.size();
            for (Map.Entry<?, ?> e : m.entrySet()) {
                String key = Python.repr(e.getKey());
                out.append(between).append(key).append(": ");
                pretty(e.getValue(), indent + 1 + key.length() + 2, --left == 0 ? after + 1 : 1, out);
                between = separator;
            }
        } else {
            int left = items.size();
            for (Object e : items) {
                out.append(between);
                pretty(e, indent + 1, --left == 0 ? after + 1 : 1, out);
                between = separator;
            }
        }
        out.append(
                sorted instanceof Map
                        ? "}"
                        : sorted instanceof Tuple t ? t.items().size() == 1 ? ",)" : ")" : "]");
    }
}
