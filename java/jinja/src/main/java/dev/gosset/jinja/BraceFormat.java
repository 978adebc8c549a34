package dev.gosset.jinja;

import java.util.List;

/** Python's {@code str.format}, which reaches attributes only as the template itself may. */
final class BraceFormat {
    private static final int DEEPEST = 2;

    private final Arguments arguments;
    private int automatic;
    private boolean manual;

    private BraceFormat(Arguments arguments) {
        this.arguments = arguments;
    }

    static String of(String format, Arguments arguments) {
        return new BraceFormat(arguments).run(format, DEEPEST);
    }

    private String run(String format, int depth) {
        if (depth == 0) {
            throw new JinjaException("a format's fields are nested too deeply");
        }
        Budget.spend((long) format.length() * Budget.ITEM);
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '{' && c != '}') {
                out.append(c);
                continue;
            }
            if (i + 1 < format.length() && format.charAt(i + 1) == c) {
                out.append(c);
                i++;
                continue;
            }
            int end = c == '{' ? close(format, i + 1) : -1;
            if (end < 0) {
                throw new JinjaException("a single '" + c + "' in a format");
            }
            out.append(field(format.substring(i + 1, end), depth));
            Python.requireLength(out.length());
            i = end;
        }
        return out.toString();
    }

    private static int close(String format, int from) {
        int depth = 1;
        boolean index = false;
        for (int i = from; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c == '[' && depth == 1) {
                index = true;
            } else if (c == ']') {
                index = false;
            } else if (!index || depth > 1) {
                depth += c == '{' ? 1 : c == '}' ? -1 : 0;
                if (depth == 0) {
                    return i;
                }
            }
        }
        return -1;
    }

    private String field(String field, int depth) {
        int end = 0;
        boolean index = false;
        while (end < field.length() && (index || "!:".indexOf(field.charAt(end)) < 0)) {
            index = field.charAt(end) == '[' || index && field.charAt(end) != ']';
            end++;
        }
        Object v = value(field.substring(0, end));
        int at = end;
        if (at < field.length() && field.charAt(at) == '!') {
            char conversion = at + 1 < field.length() ? field.charAt(at + 1) : ' ';
            v = switch (conversion) {
                case 's' -> Python.str(v);
                case 'r' -> Python.repr(v);
                case 'a' -> Python.ascii(v);
                default -> throw new JinjaException("the conversion !" + conversion + " is not known");
            };
            at += 2;
            if (at < field.length() && field.charAt(at) != ':') {
                throw new JinjaException("expected ':' after a conversion in a format");
            }
        }
        return FormatSpec.format(v, at < field.length() ? run(field.substring(at + 1), depth - 1) : "");
    }

    private Object value(String path) {
        int end = 0;
        while (end < path.length() && ".[".indexOf(path.charAt(end)) < 0) {
            end++;
        }
        Object v = first(path.substring(0, end));
        while (end < path.length()) {
            int from = end + 1;
            if (path.charAt(end) == '.') {
                end = from;
                while (end < path.length() && ".[".indexOf(path.charAt(end)) < 0) {
                    end++;
                }
                v = Members.attribute(v, path.substring(from, end));
            } else {
                int close = path.indexOf(']', from);
                if (close < 0) {
                    throw new JinjaException("expected ']' in a format");
                }
                String key = path.substring(from, close);
                boolean digits =
                        !key.isEmpty() && key.length() < 10 && key.chars().allMatch(Character::isDigit);
                v = Members.subscript(v, digits ? (Object) Long.parseLong(key) : key);
                end = close + 1;
            }
        }
        return v;
    }

    private Object first(String name) {
        List<Object> positional = arguments.positional();
        boolean digits = !name.isEmpty() && name.length() < 10 && name.chars().allMatch(Character::isDigit);
        if (name.isEmpty() || digits) {
            if (name.isEmpty() ? manual : automatic > 0) {
                throw new JinjaException("a format numbers some of its fields and not others");
            }
            manual |= digits;
            int index = digits ? Integer.parseInt(name) : automatic++;
            if (index >= positional.size()) {
                throw new JinjaException("a format has more places than its " + positional.size() + " arguments");
            }
            return positional.get(index);
        }
        if (!arguments.named().containsKey(name)) {
            throw new JinjaException("a format needs the argument " + name);
        }
        return arguments.named().get(name);
    }
}
