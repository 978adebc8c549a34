package dev.gosset.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Python's arithmetic. An int is a Long where it fits into one, else a BigInteger, and exact either way; a float is a
 * Double.
 */
final class Numbers {
    /** Python writes and reads no int of more digits, for that takes time with their square. */
    private static final int MOST_DIGITS = 4300;
    /** No template needs an int of more bits. */
    private static final int MOST_BITS = 1 << 17;

    private static final BigInteger LEAST_LONG = BigInteger.valueOf(Long.MIN_VALUE);
    private static final BigInteger LARGEST_LONG = BigInteger.valueOf(Long.MAX_VALUE);

    private static final Pattern INT = Pattern.compile("[+-]?\\d+(_\\d+)*", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern FLOAT = Pattern.compile(
            "[+-]?(\\d+(_\\d+)*\\.?(\\d+(_\\d+)*)?|\\.\\d+(_\\d+)*)([eE][+-]?\\d+(_\\d+)*)?|[+-]?(?i:inf(inity)?|nan)",
            Pattern.UNICODE_CHARACTER_CLASS);

    private Numbers() {}

    /** The number that a value is, bools included, or null. */
    static Number of(Object v) {
        return switch (v) {
            case Boolean b -> b ? 1L : 0L;
            case Long l -> l;
            case BigInteger i -> i;
            case Double d -> d;
            case null, default -> null;
        };
    }

    static boolean isInt(Object v) {
        return v instanceof Long || v instanceof BigInteger;
    }

    /** The int as the language holds it. */
    static Object normal(BigInteger i) {
        if (i.compareTo(LEAST_LONG) >= 0 && i.compareTo(LARGEST_LONG) <= 0) {
            return i.longValue();
        }
        if (i.bitLength() > MOST_BITS) {
            throw new JinjaException("an int of more than " + MOST_BITS + " bits");
        }
        return i;
    }

    static BigInteger big(Number n) {
        return n instanceof BigInteger i ? i : BigInteger.valueOf((Long) n);
    }

    static double toDouble(Number n) {
        double d = n.doubleValue();
        if (n instanceof BigInteger && Double.isInfinite(d)) {
            throw new JinjaException("an int is too large for a float");
        }
        return d;
    }

    static boolean isWhole(double d) {
        return d == Math.rint(d) && !Double.isInfinite(d);
    }

    /** The int that is left when the fraction is cut off. */
    static Object toInt(double d) {
        if (!Double.isFinite(d)) {
            throw new JinjaException(floating(d) + " is no int");
        }
        return normal(new BigDecimal(d).toBigInteger());
    }

    // -------------------------------------------------------------------------------------------------- comparison

    /** The sign of a - b, exact; 2 where one is not a number. */
    static int compare(Number a, Number b) {
        if (a instanceof Long p && b instanceof Long q) {
            return Long.compare(p, q);
        }
        if (a instanceof Double || b instanceof Double) {
            double p = a.doubleValue();
            double q = b.doubleValue();
            if (Double.isNaN(p) || Double.isNaN(q)) {
                return 2;
            }
            if (a instanceof Double && b instanceof Double || isInfinite(a) || isInfinite(b)) {
                return p == q ? 0 : isInfinite(a) || isInfinite(b) ? infinite(a, b) : Double.compare(p, q);
            }
            return exact(a).compareTo(exact(b));
        }
        return big(a).compareTo(big(b));
    }

    private static boolean isInfinite(Number n) {
        return n instanceof Double d && Double.isInfinite(d);
    }

    private static int infinite(Number a, Number b) {
        return isInfinite(a) ? (a.doubleValue() > 0 ? 1 : -1) : b.doubleValue() > 0 ? -1 : 1;
    }

    private static BigDecimal exact(Number n) {
        return n instanceof Double d ? new BigDecimal(d) : new BigDecimal(big(n));
    }

    // -------------------------------------------------------------------------------------------------- arithmetic

    static Object compute(String operator, Number a, Number b) {
        if (a instanceof Double || b instanceof Double) {
            return floats(operator, toDouble(a), toDouble(b));
        }
        boolean small = a instanceof Long p && b instanceof Long q && p == p.intValue() && q == q.intValue();
        if (small && !operator.equals("**")) {
            return longs(operator, (Long) a, (Long) b);
        }
        BigInteger p = big(a);
        BigInteger q = big(b);
        Budget.spend((long) p.bitLength() + q.bitLength());
        return ints(operator, p, q);
    }

    private static Object longs(String operator, long p, long q) {
        return switch (operator) {
            case "+" -> p + q;
            case "-" -> p - q;
            case "*" -> p * q;
            case "//" -> Math.floorDiv(p, (long) divisor(q));
            case "%" -> Math.floorMod(p, (long) divisor(q));
            default -> p / divisor(q);
        };
    }

    private static Object ints(String operator, BigInteger p, BigInteger q) {
        return switch (operator) {
            case "+" -> normal(p.add(q));
            case "-" -> normal(p.subtract(q));
            case "*" -> normal(p.multiply(q));
            case "//", "%" -> {
                divisor(q.signum());
                BigInteger[] parts = p.divideAndRemainder(q);
                boolean down = parts[1].signum() != 0 && parts[1].signum() != q.signum();
                yield normal(
                        operator.equals("%")
                                ? down ? parts[1].add(q) : parts[1]
                                : down ? parts[0].subtract(BigInteger.ONE) : parts[0]);
            }
            case "/" -> quotient(p, q);
            default -> power(p, q);
        };
    }

    private static double divisor(double q) {
        if (q == 0) {
            throw new JinjaException("division by zero");
        }
        return q;
    }

    /** The float nearest to p / q. */
    private static double quotient(BigInteger p, BigInteger q) {
        divisor(q.signum());
        BigDecimal exact = new BigDecimal(p);
        BigDecimal divisor = new BigDecimal(q);
        BigDecimal cut = exact.divide(divisor, new MathContext(800, RoundingMode.DOWN));
        if (cut.multiply(divisor).compareTo(exact) != 0) {
            // What was cut off decides only where the digits before it lie in the middle between two floats.
            cut = cut.add(BigDecimal.valueOf((long) p.signum() * q.signum(), cut.scale() + 3));
        }
        double d = cut.doubleValue();
        if (Double.isInfinite(d)) {
            throw new JinjaException("an int is too large for a float");
        }
        return d;
    }

    private static Object power(BigInteger base, BigInteger exponent) {
        if (exponent.signum() < 0) {
            return floats("**", toDouble(base), toDouble(exponent));
        }
        if (base.abs().compareTo(BigInteger.ONE) <= 0) {
            return normal(
                    base.signum() < 0 && !exponent.testBit(0)
                            ? base.negate()
                            : exponent.signum() == 0 ? BigInteger.ONE : base);
        }
        if (exponent.bitLength() > 31 || (base.bitLength() - 1L) * exponent.longValue() > MOST_BITS) {
            throw new JinjaException("an int of more than " + MOST_BITS + " bits");
        }
        return normal(base.pow(exponent.intValue()));
    }

    private static Object floats(String operator, double p, double q) {
        return switch (operator) {
            case "+" -> p + q;
            case "-" -> p - q;
            case "*" -> p * q;
            case "/" -> p / divisor(q);
            case "//" -> floorDivision(p, divisor(q));
            case "%" -> remainder(p, divisor(q));
            default -> {
                double r = Math.pow(p, q);
                if (p == 0 && q < 0) {
                    throw new JinjaException("division by zero: 0 to a negative power");
                }
                if (p == 1 || q == 0 || p == -1 && Double.isInfinite(q)) {
                    // Java's power has no value here.
                    yield 1.0;
                }
                if (Double.isNaN(r) && !Double.isNaN(p) && !Double.isNaN(q)) {
                    throw new JinjaException("a negative float to a broken power is a complex number");
                }
                if (Double.isInfinite(r) && Double.isFinite(p) && Double.isFinite(q)) {
                    throw new JinjaException("a power is too large for a float");
                }
                yield r;
            }
        };
    }

    private static double remainder(double p, double q) {
        double r = p % q;
        if (r == 0) {
            return Math.copySign(0, q);
        }
        return r < 0 != q < 0 ? r + q : r;
    }

    private static double floorDivision(double p, double q) {
        double r = p % q;
        double whole = (p - r) / q;
        if (r != 0 && r < 0 != q < 0) {
            whole -= 1;
        }
        if (whole == 0) {
            return Math.copySign(0, p / q);
        }
        double floor = Math.floor(whole);
        return whole - floor > 0.5 ? floor + 1 : floor;
    }

    static Object negative(Number n) {
        return n instanceof Double d ? (Object) (-d) : normal(big(n).negate());
    }

    /** Python's {@code round}: half to even, of the exact value; an int stays one. */
    static Object round(Number n, int precision) {
        if (!(n instanceof Double d)) {
            if (precision >= 0) {
                return n;
            }
            return normal(new BigDecimal(big(n))
                    .setScale(precision, RoundingMode.HALF_EVEN)
                    .toBigInteger());
        }
        if (!Double.isFinite(d) || precision > 400) {
            return d;
        }
        double rounded = new BigDecimal(d)
                .setScale(Math.max(precision, -400), RoundingMode.HALF_EVEN)
                .doubleValue();
        return Math.copySign(rounded, d);
    }

    // -------------------------------------------------------------------------------------------------- text

    /** Python's {@code int(text, base)}, or null. */
    static Object parseInt(String text, int base) {
        String s = Strings.strip(text, null, true, true);
        String sign = s.startsWith("-") || s.startsWith("+") ? s.substring(0, 1) : "";
        String digits = s.substring(sign.length());
        int found = base;
        String prefix = digits.length() > 1 ? digits.substring(0, 2).toLowerCase(Locale.ROOT) : "";
        int named = switch (prefix) {
            case "0x" -> 16;
            case "0o" -> 8;
            case "0b" -> 2;
            default -> 0;
        };
        if (named != 0 && (base == 0 || base == named)) {
            found = named;
            digits = digits.substring(digits.startsWith("_", 2) ? 3 : 2);
        } else if (base == 0) {
            found = 10;
            if (digits.startsWith("0") && !digits.matches("[0_]+")) {
                return null;
            }
        }
        if (digits.isEmpty() || digits.startsWith("_") || digits.endsWith("_") || digits.contains("__")) {
            return null;
        }
        digits = digits.replace("_", "");
        if (!digits.chars().allMatch(Character::isLetterOrDigit) || digits.length() > MOST_DIGITS) {
            return null;
        }
        try {
            return normal(new BigInteger(sign + digits, found));
        } catch (NumberFormatException e) {
            return null;
        }
    }

    /** Python's {@code float(text)}, or null. */
    static Double parseFloat(String text) {
        String s = Strings.strip(text, null, true, true);
        if (!FLOAT.matcher(s).matches()) {
            return null;
        }
        StringBuilder ascii = new StringBuilder();
        s.codePoints()
                .filter(c -> c != '_')
                .forEach(c -> ascii.appendCodePoint(
                        Character.isDigit(c) ? '0' + Character.digit(c, 10) : Character.toLowerCase(c)));
        String t = ascii.toString();
        return t.endsWith("nan")
                ? Double.NaN
                : t.contains("inf")
                        ? t.startsWith("-") ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY
                        : Double.parseDouble(t);
    }

    /** Whether a text is digits, perhaps with a sign. */
    static boolean isIntText(String s) {
        return INT.matcher(s).matches();
    }

    /** The digits of an int. */
    static String digits(Object i) {
        if (i instanceof BigInteger b && b.bitLength() > MOST_DIGITS * 3.3219280948873626) {
            String s = b.toString();
            if (s.length() - (b.signum() < 0 ? 1 : 0) > MOST_DIGITS) {
                throw new JinjaException("an int of more than " + MOST_DIGITS + " digits cannot be written");
            }
            return s;
        }
        return i.toString();
    }

    /** The shortest digits that make the number, as Python writes them. */
    static String floating(double d) {
        if (Double.isNaN(d)) {
            return "nan";
        }
        if (Double.isInfinite(d)) {
            return d > 0 ? "inf" : "-inf";
        }
        if (d == 0) {
            return 1 / d < 0 ? "-0.0" : "0.0";
        }
        BigDecimal exact = new BigDecimal(Double.toString(d)).stripTrailingZeros();
        if (exact.precision() == 2) {
            // Java writes two digits also where one would do.
            BigDecimal one = new BigDecimal(d).round(new MathContext(1));
            exact = one.doubleValue() == d ? one.stripTrailingZeros() : exact;
        }
        String digits = exact.unscaledValue().abs().toString();
        int exponent = digits.length() - 1 - exact.scale();
        String sign = d < 0 ? "-" : "";
        if (exponent < -4 || exponent >= 16) {
            String fraction = digits.length() > 1 ? "." + digits.substring(1) : "";
            return sign + digits.charAt(0) + fraction + String.format(Locale.ROOT, "e%+03d", exponent);
        }
        String plain = exact.abs().toPlainString();
        return sign + (plain.contains(".") ? plain : plain + ".0");
    }
}
