package dev.gosset.llm.constraint;

import static dev.gosset.llm.constraint.Expression.bytes;
import static dev.gosset.llm.constraint.Expression.choice;
import static dev.gosset.llm.constraint.Expression.repeat;
import static dev.gosset.llm.constraint.Expression.sequence;
import static dev.gosset.llm.constraint.Expression.text;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;

/**
 * Numbers between two bounds as regular expressions over their digits, without exponents, with no more digits than {@link JsonText}
 * allows. A number is compared digit by digit: as long as all are those of a bound, the next one is bounded too.
 *
 * @param before digits before the point
 * @param low the lower bound's digits before and behind the point, without it; behind the last, zeros follow
 * @param above whether it itself is too small
 * @param high those of the upper bound
 * @param below whether it itself is too large
 * @param whole whether there is no point
 */
record NumberRange(int before, String low, boolean above, String high, boolean below, boolean whole) {
    private static final int DECIMALS = JsonText.MOST_DECIMALS;

    /** Whether a bound has no more digits than are looked at. */
    static boolean isExact(BigDecimal bound) {
        return bound.stripTrailingZeros().scale() <= DECIMALS;
    }

    /**
     * Numbers between bounds, each null where there is none.
     *
     * @param above whether {@code least} itself is too small
     * @param below whether {@code most} itself is too large
     * @return null where there are none
     */
    static Expression of(BigDecimal least, boolean above, BigDecimal most, boolean below, boolean whole) {
        List<Expression> options = new ArrayList<>();
        if (most == null || most.signum() >= 0) {
            boolean bounded = least != null && least.signum() >= 0;
            positive(bounded ? least : BigDecimal.ZERO, bounded && above, most, below, whole, options);
        }
        if (least == null || least.signum() <= 0) {
            boolean bounded = most != null && most.signum() <= 0;
            List<Expression> negative = new ArrayList<>();
            BigDecimal end = least == null ? null : least.negate();
            positive(bounded ? most.negate() : BigDecimal.ZERO, bounded && below, end, above, whole, negative);
            negative.forEach(e -> options.add(sequence(text("-"), e)));
        }
        return options.isEmpty() ? null : choice(options);
    }

    private static void positive(
            BigDecimal least, boolean above, BigDecimal most, boolean below, boolean whole, List<Expression> options) {
        for (int before = 1; before <= JsonText.MOST_DIGITS; before++) {
            BigDecimal first = before == 1 ? BigDecimal.ZERO : BigDecimal.TEN.pow(before - 1);
            BigDecimal end = BigDecimal.TEN.pow(before);
            boolean low = least.compareTo(first) >= 0;
            boolean high = most != null && most.compareTo(end) < 0;
            BigDecimal from = low ? least : first;
            // What is too long begins with a digit less than the end of this length.
            BigDecimal to = high ? most : end.subtract(BigDecimal.ONE.movePointLeft(DECIMALS));
            if (from.compareTo(to) > 0) {
                continue;
            }
            NumberRange range = new NumberRange(
                    before, digits(from, before), low && above, digits(to, before), high && below, whole);
            Expression e = range.digits(0, true, true);
            if (e != null) {
                options.add(e);
            }
        }
    }

    private static String digits(BigDecimal value, int before) {
        String digits = value.movePointRight(DECIMALS).toBigInteger().toString();
        return "0".repeat(before + DECIMALS - digits.length()) + digits;
    }

    /**
     * What may come from digit {@code at} on.
     *
     * @param onLow whether all before are those of the lower bound
     * @param onHigh the same of the upper one
     * @return null where nothing may
     */
    private Expression digits(int at, boolean onLow, boolean onHigh) {
        if (at == before) {
            return point(onLow, onHigh);
        }
        return next(at, onLow, onHigh, new ArrayList<>());
    }

    private Expression point(boolean onLow, boolean onHigh) {
        List<Expression> options = new ArrayList<>();
        if (mayEnd(before, onLow, onHigh)) {
            options.add(sequence());
        }
        Expression fraction = whole ? null : next(before, onLow, onHigh, new ArrayList<>());
        if (fraction != null) {
            options.add(sequence(text("."), fraction));
        }
        return options.isEmpty() ? null : choice(options);
    }

    /** One digit and what follows it, or one of {@code options}. */
    private Expression next(int at, boolean onLow, boolean onHigh, List<Expression> options) {
        char from = onLow ? low.charAt(at) : '0';
        char to = onHigh ? high.charAt(at) : '9';
        if (from == to) {
            add(options, from, to, rest(at + 1, onLow, onHigh));
        } else if (from < to) {
            add(options, from, from, rest(at + 1, onLow, false));
            if (to - from > 1) {
                add(options, from + 1, to - 1, rest(at + 1, false, false));
            }
            add(options, to, to, rest(at + 1, false, onHigh));
        }
        return options.isEmpty() ? null : choice(options);
    }

    private static void add(List<Expression> options, int from, int to, Expression rest) {
        if (rest != null) {
            options.add(sequence(bytes(from, to), rest));
        }
    }

    private Expression rest(int at, boolean onLow, boolean onHigh) {
        if (at <= before) {
            return !onLow && !onHigh
                    ? sequence(repeat(bytes('0', '9'), before - at, before - at), point(false, false))
                    : digits(at, onLow, onHigh);
        }
        if (!onLow && !onHigh) {
            return repeat(bytes('0', '9'), 0, before + DECIMALS - at);
        }
        List<Expression> options = new ArrayList<>();
        if (mayEnd(at, onLow, onHigh)) {
            options.add(sequence());
        }
        if (at < before + DECIMALS) {
            return next(at, onLow, onHigh, options);
        }
        return options.isEmpty() ? null : choice(options);
    }

    /** Whether no more digits may come, which is as if zeros came. */
    private boolean mayEnd(int at, boolean onLow, boolean onHigh) {
        boolean enough = !onLow || !above && low.substring(at).chars().allMatch(c -> c == '0');
        boolean little = !onHigh || !below || high.substring(at).chars().anyMatch(c -> c != '0');
        return enough && little;
    }
}
