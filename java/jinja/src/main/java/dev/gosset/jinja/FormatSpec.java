package dev.gosset.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Locale;

/**
 * How Python writes a number or a text into a place of given width.
 *
 * @param fill one character
 * @param align {@code <}, {@code >}, {@code ^}, {@code =} (between sign and digits), or 0 for the kind's own
 * @param sign {@code +}, {@code -} or blank
 * @param alternate the form with prefix or point
 * @param grouping {@code ,} or {@code _} between thousands, or 0
 * @param precision -1 for none
 * @param kind the letter, or 0
 */
record FormatSpec(
        String fill, char align, char sign, boolean alternate, int width, char grouping, int precision, char kind) {
    private static final int WIDEST = 1 << 20;

    /** Of the form {@code [[fill]align][sign][z][#][0][width][,][.precision][kind]}. */
    static FormatSpec parse(String spec) {
        int i = 0;
        String fill = null;
        char align = 0;
        int second = spec.isEmpty() ? 0 : spec.offsetByCodePoints(0, 1);
        if (second < spec.length() && "<>=^".indexOf(spec.charAt(second)) >= 0) {
            fill = spec.substring(0, second);
            align = spec.charAt(second);
            i = second + 1;
        } else if (!spec.isEmpty() && "<>=^".indexOf(spec.charAt(0)) >= 0) {
            align = spec.charAt(0);
            i = 1;
        }
        char sign = '-';
        if (i < spec.length() && "+- ".indexOf(spec.charAt(i)) >= 0) {
            sign = spec.charAt(i++);
        }
        boolean alternate = i < spec.length() && spec.charAt(i) == '#';
        i += alternate ? 1 : 0;
        if (i < spec.length() && spec.charAt(i) == '0') {
            i++;
            fill = fill == null ? "0" : fill;
            align = align == 0 ? 'z' : align;
        }
        int from = i;
        i = digits(spec, i);
        int width = i > from ? number(spec.substring(from, i)) : 0;
        char grouping = 0;
        if (i < spec.length() && (spec.charAt(i) == ',' || spec.charAt(i) == '_')) {
            grouping = spec.charAt(i++);
        }
        int precision = -1;
        if (i < spec.length() && spec.charAt(i) == '.') {
            from = i + 1;
            i = digits(spec, from);
            if (i == from) {
                throw new JinjaException("the format " + spec + " has no precision after its point");
            }
            precision = number(spec.substring(from, i));
        }
        char kind = i < spec.length() ? spec.charAt(i++) : 0;
        if (i < spec.length()) {
            throw new JinjaException("the format " + Python.repr(spec) + " is not known");
        }
        return new FormatSpec(fill == null ? " " : fill, align, sign, alternate, width, grouping, precision, kind);
    }

    private static int digits(String s, int i) {
        int at = i;
        while (at < s.length() && s.charAt(at) >= '0' && s.charAt(at) <= '9') {
            at++;
        }
        return at;
    }

    static int number(String digits) {
        if (digits.length() > 7 || Integer.parseInt(digits) > WIDEST) {
            throw new JinjaException("a format's width or precision of " + digits + ", expected at most " + WIDEST);
        }
        return Integer.parseInt(digits);
    }

    private JinjaException unknown(Object v) {
        return new JinjaException("the format " + (kind == 0 ? "" : kind) + " is not known for " + Python.described(v));
    }

    /** Python's {@code format(v, spec)}. */
    static String format(Object v, String spec) {
        if (spec.isEmpty()) {
            return Python.str(v);
        }
        FormatSpec f = parse(spec);
        String s = Python.string(v);
        if (s != null) {
            boolean wrong =
                    f.align == '=' || f.sign != '-' || f.alternate || f.grouping != 0 || f.kind != 0 && f.kind != 's';
            if (wrong) {
                throw f.unknown(v);
            }
            return f.text(s);
        }
        Number n = Numbers.of(v);
        if (n == null) {
            throw new JinjaException(Python.described(v) + " takes no format, found " + Python.repr(spec));
        }
        return f.number(n);
    }

    /** A text, cut to the precision, in its place. */
    String text(String s) {
        String cut =
                precision >= 0 && Python.length(s) > precision ? s.substring(0, s.offsetByCodePoints(0, precision)) : s;
        return placed("", cut, '<');
    }

    /** A number in its place. */
    String number(Number n) {
        return switch (kind) {
            case 'd', 'b', 'o', 'x', 'X', 'c' -> {
                if (n instanceof Double || precision >= 0) {
                    throw unknown(n);
                }
                yield integer(n);
            }
            case 'e', 'E', 'f', 'F', 'g', 'G', '%' -> real(Numbers.toDouble(n));
            case 0, 'n' -> {
                if (n instanceof Double d) {
                    yield real(d);
                }
                if (precision >= 0) {
                    throw unknown(n);
                }
                yield integer(n);
            }
            default -> throw unknown(n);
        };
    }

    private String integer(Number n) {
        BigInteger i = Numbers.big(n);
        if (kind == 'c') {
            if (i.signum() < 0 || i.bitLength() > 21 || !Character.isValidCodePoint(i.intValue())) {
                throw unknown(n);
            }
            return placed("", Character.toString(i.intValue()), '<');
        }
        String digits = switch (kind) {
            case 'b' -> i.abs().toString(2);
            case 'o' -> i.abs().toString(8);
            case 'x' -> i.abs().toString(16);
            case 'X' -> i.abs().toString(16).toUpperCase(Locale.ROOT);
            default -> Numbers.digits(i.abs());
        };
        String prefix = alternate && "boxX".indexOf(kind) >= 0 ? "0" + kind : "";
        return placed(signOf(i.signum() < 0) + prefix, grouped(digits, ""), '>');
    }

    private String signOf(boolean negative) {
        return negative ? "-" : sign == '-' ? "" : String.valueOf(sign);
    }

    /** The digits with separators, and with zeros to the left where zeros fill the place. */
    private String grouped(String digits, String rest) {
        if (grouping == 0) {
            return digits + rest;
        }
        int size = "boxX".indexOf(kind) >= 0 && kind != 0 ? 4 : 3;
        StringBuilder out = new StringBuilder(digits);
        for (int i = digits.length() - size; i > 0; i -= size) {
            out.insert(i, grouping);
        }
        return out + rest;
    }

    private String real(double d) {
        boolean negative = d < 0 || d == 0 && 1 / d < 0;
        double abs = Math.abs(d);
        String body;
        if (!Double.isFinite(abs)) {
            body = Numbers.floating(abs) + (kind == '%' ? "%" : "");
        } else {
            body = switch (kind) {
                case 'f', 'F' -> fixed(new BigDecimal(abs), precision < 0 ? 6 : precision);
                case '%' -> fixed(new BigDecimal(abs * 100), precision < 0 ? 6 : precision) + "%";
                case 'e', 'E' -> scientific(abs, precision < 0 ? 6 : precision);
                case 0 -> precision < 0 ? Numbers.floating(abs) : general(abs, Math.max(1, precision), true);
                default -> general(abs, precision < 0 ? 6 : Math.max(1, precision), false);
            };
        }
        if (Character.isUpperCase(kind)) {
            body = body.toUpperCase(Locale.ROOT);
        }
        int whole = digits(body, 0);
        return placed(
                signOf(negative && !Double.isNaN(d)), grouped(body.substring(0, whole), body.substring(whole)), '>');
    }

    private String fixed(BigDecimal exact, int digits) {
        return exact.setScale(digits, RoundingMode.HALF_EVEN).toPlainString() + (alternate && digits == 0 ? "." : "");
    }

    private String scientific(double abs, int digits) {
        BigDecimal rounded = new BigDecimal(abs).round(new MathContext(digits + 1, RoundingMode.HALF_EVEN));
        String all = rounded.unscaledValue().toString();
        int exponent = abs == 0 ? 0 : all.length() - 1 - rounded.scale();
        all = abs == 0 ? "0".repeat(digits + 1) : all + "0".repeat(Math.max(0, digits + 1 - all.length()));
        String point = digits > 0 || alternate ? "." : "";
        return all.charAt(0) + point + all.substring(1, digits + 1) + String.format(Locale.ROOT, "e%+03d", exponent);
    }

    /** Fixed or scientific, whichever is shorter; {@code likeRepr} keeps a digit after the point. */
    private String general(double abs, int digits, boolean likeRepr) {
        BigDecimal rounded = new BigDecimal(abs).round(new MathContext(digits, RoundingMode.HALF_EVEN));
        int exponent = abs == 0 ? 0 : rounded.precision() - 1 - rounded.scale();
        int limit = likeRepr ? digits - 1 : digits;
        boolean plain = exponent >= -4 && exponent < Math.max(limit, likeRepr ? 1 : 0) || abs == 0;
        String s = plain ? fixed(rounded, Math.max(0, digits - 1 - exponent)) : scientific(abs, digits - 1);
        int e = s.indexOf('e');
        String number = e < 0 ? s : s.substring(0, e);
        if (!alternate && number.indexOf('.') >= 0) {
            number = number.replaceAll("\\.?0+$", "");
        }
        if (likeRepr && plain && number.indexOf('.') < 0) {
            number += ".0";
        }
        return number + (e < 0 ? "" : s.substring(e));
    }

    /** A body with its sign and prefix, filled up to the width. */
    String placed(String sign, String body, char own) {
        long missing = width - Python.length(sign) - Python.length(body);
        char where = align == 0 ? own : align == 'z' ? own == '<' ? '<' : '=' : align;
        if (missing <= 0) {
            return sign + body;
        }
        if (where == '=' && fill.equals("0") && grouping != 0) {
            return sign + zeros(body, width - sign.length());
        }
        return switch (where) {
            case '<' -> sign + body + fill.repeat((int) missing);
            case '>' -> fill.repeat((int) missing) + sign + body;
            case '=' -> sign + fill.repeat((int) missing) + body;
            default -> fill.repeat((int) (missing / 2)) + sign + body + fill.repeat((int) (missing - missing / 2));
        };
    }

    /** Zeros before a number whose thousands are separated: they are separated too. */
    private String zeros(String body, int width) {
        int whole = 0;
        while (whole < body.length()
                && (Character.isLetterOrDigit(body.charAt(whole)) || body.charAt(whole) == grouping)) {
            whole++;
        }
        String digits = body.substring(0, whole).replace(String.valueOf(grouping), "");
        String rest = body.substring(whole);
        String out = grouped(digits, rest);
        while (out.length() < width) {
            digits = "0" + digits;
            out = grouped(digits, rest);
        }
        return out;
    }
}
