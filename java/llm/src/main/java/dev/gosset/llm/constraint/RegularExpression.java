package dev.gosset.llm.constraint;

import java.util.ArrayList;
import java.util.List;

/**
 * Reads the regular expressions of JSON schemas (ECMA-262 without what looks around or back) as the characters of a JSON string. Without
 * {@code ^} and {@code $}, anything may stand before and behind.
 */
final class RegularExpression {
    private static final int MOST_TIMES = 10_000;
    private static final int LAST = 0x10FFFF;

    private final String pattern;
    private int at;

    /** What is wrong with a pattern, or not supported. */
    static final class UnsupportedPatternException extends Exception {
        private static final long serialVersionUID = 1L;

        UnsupportedPatternException(String message) {
            super(message);
        }
    }

    /** Code points, in ranges. */
    private record Characters(List<int[]> ranges) {
        static Characters of(int... borders) {
            List<int[]> ranges = new ArrayList<>();
            for (int i = 0; i < borders.length; i += 2) {
                ranges.add(new int[] {borders[i], borders[i + 1]});
            }
            return new Characters(ranges);
        }

        Characters not() {
            List<int[]> sorted = new ArrayList<>(ranges);
            sorted.sort((a, b) -> Integer.compare(a[0], b[0]));
            List<int[]> rest = new ArrayList<>();
            int next = 0;
            for (int[] range : sorted) {
                if (range[0] > next) {
                    rest.add(new int[] {next, range[0] - 1});
                }
                next = Math.max(next, range[1] + 1);
            }
            if (next <= LAST) {
                rest.add(new int[] {next, LAST});
            }
            return new Characters(rest);
        }

        Expression expression() {
            List<Expression> options = new ArrayList<>();
            ranges.forEach(r -> options.add(JsonText.codePoints(r[0], r[1], true)));
            return Expression.choice(options);
        }
    }

    private static final Characters DIGIT = Characters.of('0', '9');
    private static final Characters WORD = Characters.of('0', '9', 'A', 'Z', '_', '_', 'a', 'z');
    private static final Characters SPACE = Characters.of(
            '\t', '\r', ' ', ' ', 0xA0, 0xA0, 0x1680, 0x1680, 0x2000, 0x200A, 0x2028, 0x2029, 0x202F, 0x202F, 0x205F,
            0x205F, 0x3000, 0x3000, 0xFEFF, 0xFEFF);
    private static final Characters LINE_ENDS = Characters.of('\n', '\n', '\r', '\r', 0x2028, 0x2029);

    private RegularExpression(String pattern) {
        this.pattern = pattern;
    }

    /** The strings that a pattern matches, without quotation marks, regular. */
    static Expression parse(String pattern) throws UnsupportedPatternException {
        RegularExpression reader = new RegularExpression(pattern);
        Expression all = reader.alternatives(true);
        if (reader.at < pattern.length()) {
            throw reader.bad("an opening parenthesis before this one");
        }
        return all;
    }

    /** The whole of a pattern of ours, without anchors. */
    static Expression whole(String pattern) {
        try {
            return parse("^(?:" + pattern + ")$");
        } catch (UnsupportedPatternException e) {
            throw new IllegalArgumentException(pattern, e);
        }
    }

    private UnsupportedPatternException bad(String expected) {
        return new UnsupportedPatternException("at character " + at + " expected " + expected);
    }

    private UnsupportedPatternException unsupported(String what) {
        return new UnsupportedPatternException(what + " at character " + at + " is not supported");
    }

    private boolean take(String text) {
        if (!pattern.startsWith(text, at)) {
            return false;
        }
        at += text.length();
        return true;
    }

    private Expression alternatives(boolean outer) throws UnsupportedPatternException {
        List<Expression> options = new ArrayList<>();
        do {
            options.add(terms(outer));
        } while (take("|"));
        return Expression.choice(options);
    }

    private Expression terms(boolean outer) throws UnsupportedPatternException {
        List<Expression> terms = new ArrayList<>();
        Expression anything = Expression.repeat(Characters.of(0, LAST).expression(), 0, Expression.UNBOUNDED);
        if (outer && !take("^")) {
            terms.add(anything);
        }
        boolean ended = false;
        while (at < pattern.length() && "|)".indexOf(pattern.charAt(at)) < 0) {
            if (outer && take("$")) {
                ended = true;
                if (at < pattern.length() && pattern.charAt(at) != '|') {
                    throw unsupported("'$' in the middle");
                }
            } else {
                terms.add(repeated(atom()));
            }
        }
        if (outer && !ended) {
            terms.add(anything);
        }
        return Expression.sequence(terms);
    }

    private Expression repeated(Expression atom) throws UnsupportedPatternException {
        Expression e = atom;
        if (take("*")) {
            e = Expression.repeat(atom, 0, Expression.UNBOUNDED);
        } else if (take("+")) {
            e = Expression.repeat(atom, 1, Expression.UNBOUNDED);
        } else if (take("?")) {
            e = Expression.repeat(atom, 0, 1);
        } else if (take("{")) {
            int least = number();
            int most = !take(",") ? least : pattern.startsWith("}", at) ? Expression.UNBOUNDED : number();
            if (!take("}") || most < least) {
                throw bad("a count such as {2}, {2,} or {2,5}");
            }
            e = Expression.repeat(atom, least, most);
        } else {
            return atom;
        }
        // Whether it prefers few makes no difference for what matches.
        take("?");
        if (at < pattern.length() && "*+?{".indexOf(pattern.charAt(at)) >= 0) {
            throw bad("no further count");
        }
        return e;
    }

    private int number() throws UnsupportedPatternException {
        int from = at;
        int n = 0;
        while (at < pattern.length() && Character.isDigit(pattern.charAt(at)) && n <= MOST_TIMES) {
            n = 10 * n + Character.digit(pattern.charAt(at++), 10);
        }
        if (at == from || n > MOST_TIMES) {
            throw bad("a number up to " + MOST_TIMES);
        }
        return n;
    }

    private Expression atom() throws UnsupportedPatternException {
        if (take("(")) {
            if (pattern.startsWith("?", at) && !pattern.startsWith("?:", at)) {
                throw unsupported("the group '(?'");
            }
            take("?:");
            Expression group = alternatives(false);
            if (!take(")")) {
                throw bad("a closing parenthesis");
            }
            return group;
        }
        if (take("[")) {
            return set().expression();
        }
        if (take(".")) {
            return LINE_ENDS.not().expression();
        }
        if (take("\\")) {
            return escape(false).expression();
        }
        int c = pattern.codePointAt(at);
        if ("^$*+?{".indexOf(c) >= 0) {
            throw unsupported("'" + (char) c + "' here");
        }
        at += Character.charCount(c);
        return Characters.of(c, c).expression();
    }

    private Characters set() throws UnsupportedPatternException {
        boolean not = take("^");
        List<int[]> ranges = new ArrayList<>();
        while (!take("]")) {
            Characters from = member();
            if (pattern.startsWith("-", at) && !pattern.startsWith("-]", at)) {
                at++;
                Characters to = member();
                int first = single(from);
                int last = single(to);
                if (first < 0 || last < first) {
                    throw bad("a range of characters in order");
                }
                ranges.add(new int[] {first, last});
            } else {
                ranges.addAll(from.ranges());
            }
        }
        Characters all = new Characters(ranges);
        return not ? all.not() : all;
    }

    private static int single(Characters characters) {
        int[] range = characters.ranges().getFirst();
        return characters.ranges().size() == 1 && range[0] == range[1] ? range[0] : -1;
    }

    private Characters member() throws UnsupportedPatternException {
        if (at >= pattern.length()) {
            throw bad("a closing bracket");
        }
        if (take("\\")) {
            return escape(true);
        }
        int c = pattern.codePointAt(at);
        at += Character.charCount(c);
        return Characters.of(c, c);
    }

    private Characters escape(boolean inSet) throws UnsupportedPatternException {
        if (at >= pattern.length()) {
            throw bad("a character behind the backslash");
        }
        char c = pattern.charAt(at++);
        switch (c) {
            case 'd' -> {
                return DIGIT;
            }
            case 'D' -> {
                return DIGIT.not();
            }
            case 'w' -> {
                return WORD;
            }
            case 'W' -> {
                return WORD.not();
            }
            case 's' -> {
                return SPACE;
            }
            case 'S' -> {
                return SPACE.not();
            }
            default -> {}
        }
        int code = switch (c) {
            case 't' -> '\t';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 'f' -> '\f';
            case 'v' -> 0x0B;
            case '0' -> 0;
            case 'x' -> hex(2);
            case 'u' -> hex(4);
            case 'b' -> {
                if (inSet) {
                    yield '\b';
                }
                throw unsupported("the escape \\b");
            }
            default -> {
                if (Character.isLetterOrDigit(c) || Character.isSurrogate(c)) {
                    throw unsupported("the escape \\" + c);
                }
                yield c;
            }
        };
        return Characters.of(code, code);
    }

    private int hex(int digits) throws UnsupportedPatternException {
        int code = 0;
        for (int i = 0; i < digits; i++) {
            int digit = at < pattern.length() ? Character.digit(pattern.charAt(at), 16) : -1;
            if (digit < 0) {
                throw bad(digits + " hexadecimal digits");
            }
            code = 16 * code + digit;
            at++;
        }
        if (Character.isSurrogate((char) code)) {
            throw unsupported("half a surrogate pair");
        }
        return code;
    }
}
