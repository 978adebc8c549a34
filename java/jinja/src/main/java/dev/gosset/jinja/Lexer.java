package dev.gosset.jinja;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Cuts a template into tokens, and its text according to {@code trim_blocks} and {@code lstrip_blocks}. */
final class Lexer {
    /** What a token is. */
    enum Kind {
        /** Text to be copied. */
        DATA,
        /** The opening of a statement. */
        BLOCK_BEGIN,
        BLOCK_END,
        /** The opening of an expression to be printed. */
        PRINT_BEGIN,
        PRINT_END,
        NAME,
        STRING,
        INTEGER,
        FLOAT,
        OPERATOR,
        END
    }

    /**
     * A token.
     *
     * @param text the name, the operator, the number as written, or the content of a string
     * @param line counted from 1
     */
    record Token(Kind kind, String text, int line) {
        boolean is(Kind kind, String text) {
            return this.kind == kind && this.text.equals(text);
        }
    }

    private static final List<String> OPERATORS = List.of(
            "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
            "=", ".", ":", "|", ",", ";");

    private static final Pattern INTEGER = Pattern.compile(
            "0[bB](?:_?[01])++|0[oO](?:_?[0-7])++|0[xX](?:_?[0-9a-fA-F])++|[1-9](?:_?[0-9])*+|0(?:_?0)*+");

    private static final Pattern FLOAT = Pattern.compile(
            "[0-9](?:_?[0-9])*+(?:\\.[0-9](?:_?[0-9])*+(?:[eE][+-]?[0-9](?:_?[0-9])*+)?|[eE][+-]?[0-9](?:_?[0-9])*+)");

    private final String source;
    private final List<Token> tokens = new ArrayList<>();
    private int at;
    private int line = 1;
    /** Whether what comes next begins a line, the text just before it having been swallowed. */
    private boolean lineStarting = true;

    private Lexer(String source) {
        this.source = source;
    }

    static List<Token> tokens(String template) {
        String source = template.replace("\r\n", "\n").replace('\r', '\n');
        if (source.endsWith("\n")) {
            source = source.substring(0, source.length() - 1);
        }
        Lexer lexer = new Lexer(source);
        try {
            lexer.run();
        } catch (JinjaException e) {
            throw e.at(lexer.line);
        }
        return lexer.tokens;
    }

    private void run() {
        while (at < source.length()) {
            int open = nextOpening(at);
            if (open < 0) {
                data(source.substring(at));
                at = source.length();
                break;
            }
            char type = source.charAt(open + 1);
            char sign = open + 2 < source.length() ? source.charAt(open + 2) : ' ';
            boolean signed = sign == '-' || sign == '+';
            String text = stripped(source.substring(at, open), type, signed ? sign : ' ');
            int skipped = open - at;
            data(text);
            line += newlines(source, at + text.length(), at + skipped);
            at = open + 2 + (signed ? 1 : 0);
            switch (type) {
                case '#' -> comment();
                case '{' -> inside(Kind.PRINT_BEGIN, Kind.PRINT_END, "}}");
                default -> {
                    if (!raw()) {
                        inside(Kind.BLOCK_BEGIN, Kind.BLOCK_END, "%}");
                    }
                }
            }
        }
        add(Kind.END, "the end of the template");
    }

    private int nextOpening(int from) {
        for (int i = source.indexOf('{', from); i >= 0 && i + 1 < source.length(); i = source.indexOf('{', i + 1)) {
            char c = source.charAt(i + 1);
            if (c == '{' || c == '%' || c == '#') {
                return i;
            }
        }
        return -1;
    }

    /** What remains of the text before an opening. */
    private String stripped(String text, char type, char sign) {
        if (sign == '-') {
            return Strings.strip(text, null, false, true);
        }
        if (sign != '+' && type != '{') {
            int from = text.lastIndexOf('\n') + 1;
            if ((from > 0 || lineStarting)
                    && Strings.strip(text.substring(from), null, true, false).isEmpty()) {
                return text.substring(0, from);
            }
        }
        return text;
    }

    private void data(String text) {
        if (!text.isEmpty()) {
            add(Kind.DATA, text);
            line += newlines(text, 0, text.length());
        }
    }

    private void comment() {
        int end = source.indexOf("#}", at);
        if (end < 0) {
            throw new JinjaException("a comment is not closed");
        }
        char sign = end > at ? source.charAt(end - 1) : ' ';
        line += newlines(source, at, end);
        at = end + 2;
        afterEnd(sign, true);
    }

    /** Swallows what follows the end of a tag whose last character before the end was {@code sign}. */
    private void afterEnd(char sign, boolean trimsNewline) {
        int from = at;
        if (sign == '-') {
            at = skipSpace(at);
        } else if (trimsNewline && sign != '+' && at < source.length() && source.charAt(at) == '\n') {
            at++;
        }
        line += newlines(source, from, at);
        lineStarting = at > from && source.charAt(at - 1) == '\n';
    }

    /** The text between raw and endraw, if that is what begins here. */
    private boolean raw() {
        int i = skipSpace(at);
        if (!source.startsWith("raw", i)) {
            return false;
        }
        i = skipSpace(i + 3);
        boolean minus = i < source.length() && source.charAt(i) == '-';
        if (!source.startsWith("%}", minus ? i + 1 : i)) {
            return false;
        }
        at = (minus ? i + 1 : i) + 2;
        afterEnd(minus ? '-' : ' ', false);
        for (int open = source.indexOf("{%", at); open >= 0; open = source.indexOf("{%", open + 2)) {
            int j = open + 2;
            char sign = j < source.length() ? source.charAt(j) : ' ';
            if (sign == '-' || sign == '+') {
                j++;
            } else {
                sign = ' ';
            }
            j = skipSpace(j);
            if (!source.startsWith("endraw", j)) {
                continue;
            }
            j = skipSpace(j + 6);
            char last = j < source.length() ? source.charAt(j) : ' ';
            boolean signed = last == '-' || last == '+';
            if (source.startsWith("%}", signed ? j + 1 : j)) {
                String text = source.substring(at, open);
                int end = at + text.length();
                String kept = stripped(text, '%', sign);
                data(kept);
                line += newlines(source, at + kept.length(), end);
                at = (signed ? j + 1 : j) + 2;
                afterEnd(signed ? last : ' ', true);
                return true;
            }
        }
        throw new JinjaException("raw is not closed");
    }

    private int skipSpace(int i) {
        int end = i;
        while (end < source.length() && Strings.isSpace(source.charAt(end))) {
            end++;
        }
        return end;
    }

    private void inside(Kind begin, Kind end, String closing) {
        add(begin, source.substring(at - 2, at));
        Deque<Character> brackets = new ArrayDeque<>();
        while (true) {
            int space = skipSpace(at);
            line += newlines(source, at, space);
            at = space;
            if (at >= source.length()) {
                throw new JinjaException("a tag is not closed, expected '" + closing + "'");
            }
            if (brackets.isEmpty()) {
                char c = source.charAt(at);
                boolean signed = c == '-' || c == '+' && end == Kind.BLOCK_END;
                if (source.startsWith(closing, signed ? at + 1 : at)) {
                    add(end, closing);
                    at += signed ? 3 : 2;
                    afterEnd(signed ? c : ' ', end == Kind.BLOCK_END);
                    return;
                }
            }
            token(brackets);
        }
    }

    private void token(Deque<Character> brackets) {
        char c = source.charAt(at);
        if (Strings.beginsIdentifier(source.codePointAt(at))) {
            int i = at;
            while (i < source.length() && Strings.continuesIdentifier(source.codePointAt(i))) {
                i += Character.charCount(source.codePointAt(i));
            }
            add(Kind.NAME, source.substring(at, i));
            at = i;
        } else if (c >= '0' && c <= '9') {
            number();
        } else if (c == '"' || c == '\'') {
            string(c);
        } else {
            String operator = OPERATORS.stream()
                    .filter(o -> source.startsWith(o, at))
                    .findFirst()
                    .orElseThrow(() -> new JinjaException("unexpected character '" + c + "'"));
            switch (c) {
                case '(', '[', '{' -> brackets.push(c);
                case ')', ']', '}' -> {
                    char open = c == ')' ? '(' : c == ']' ? '[' : '{';
                    if (brackets.isEmpty() || brackets.pop() != open) {
                        throw new JinjaException("unexpected '" + c + "'");
                    }
                }
                default -> {}
            }
            add(Kind.OPERATOR, operator);
            at += operator.length();
        }
    }

    private void number() {
        boolean member = at > 0 && source.charAt(at - 1) == '.';
        Matcher real = FLOAT.matcher(source).region(at, source.length());
        Matcher whole = INTEGER.matcher(source).region(at, source.length());
        boolean isReal = !member && real.lookingAt();
        Matcher found = isReal ? real : whole;
        if (!isReal && !whole.lookingAt()) {
            throw new JinjaException("unexpected character '" + source.charAt(at) + "'");
        }
        add(isReal ? Kind.FLOAT : Kind.INTEGER, found.group().replace("_", ""));
        at = found.end();
    }

    private void string(char quote) {
        StringBuilder out = new StringBuilder();
        int begun = line;
        for (int i = at + 1; i < source.length(); i++) {
            char c = source.charAt(i);
            if (c == quote) {
                tokens.add(new Token(Kind.STRING, out.toString(), begun));
                at = i + 1;
                return;
            }
            if (c == '\n') {
                line++;
            }
            if (c != '\\' || i + 1 >= source.length()) {
                out.append(c);
                continue;
            }
            char e = source.charAt(++i);
            switch (e) {
                case 'n' -> out.append('\n');
                case 't' -> out.append('\t');
                case 'r' -> out.append('\r');
                case 'b' -> out.append('\b');
                case 'f' -> out.append('\f');
                case 'a' -> out.append('\u0007');
                case 'v' -> out.append('\u000b');
                case '\\', '\'', '"' -> out.append(e);
                case '\n' -> line++;
                case 'x' -> i = escaped(i, 2, out);
                case 'u' -> i = escaped(i, 4, out);
                case 'U' -> i = escaped(i, 8, out);
                case '0', '1', '2', '3', '4', '5', '6', '7' -> {
                    int value = 0;
                    int j = i;
                    for (;
                            j < i + 3 && j < source.length() && source.charAt(j) >= '0' && source.charAt(j) <= '7';
                            j++) {
                        value = value * 8 + source.charAt(j) - '0';
                    }
                    out.append((char) value);
                    i = j - 1;
                }
                case 'N' -> i = named(i, out);
                default -> {
                    // Python takes a character beyond ASCII for its own escape, which the backslash then escapes.
                    String escape = Python.escaped(source.codePointAt(i));
                    out.append('\\').append(e < 0x80 ? String.valueOf(e) : escape.substring(1));
                    i += Character.isHighSurrogate(e) ? 1 : 0;
                }
            }
        }
        throw new JinjaException("a string is not closed");
    }

    private int named(int i, StringBuilder out) {
        int end = source.indexOf('}', i);
        if (end < 0 || source.charAt(i + 1) != '{') {
            throw new JinjaException("an escape of a named character needs braces");
        }
        try {
            out.appendCodePoint(Character.codePointOf(source.substring(i + 2, end)));
        } catch (IllegalArgumentException e) {
            throw new JinjaException("no character is named " + source.substring(i + 2, end));
        }
        return end;
    }

    private int escaped(int i, int digits, StringBuilder out) {
        int code = -1;
        if (i + digits < source.length()) {
            try {
                code = Integer.parseUnsignedInt(source.substring(i + 1, i + 1 + digits), 16);
            } catch (NumberFormatException e) {
                code = -1;
            }
        }
        if (!Character.isValidCodePoint(code)) {
            throw new JinjaException("an escape in a string needs " + digits + " hexadecimal digits");
        }
        out.appendCodePoint(code);
        return i + digits;
    }

    private void add(Kind kind, String text) {
        tokens.add(new Token(kind, text, line));
    }

    private static int newlines(String s, int from, int to) {
        int n = 0;
        for (int i = from; i < to; i++) {
            n += s.charAt(i) == '\n' ? 1 : 0;
        }
        return n;
    }
}
