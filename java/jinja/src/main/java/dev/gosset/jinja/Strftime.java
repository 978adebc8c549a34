package dev.gosset.jinja;

import java.time.Clock;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoField;
import java.time.temporal.IsoFields;
import java.util.Locale;

/** C's strftime in English, of a time without a zone as Python's {@code datetime.now()} gives it. */
final class Strftime {
    private final ZonedDateTime now;

    private Strftime(ZonedDateTime now) {
        this.now = now;
    }

    static String of(String format, Clock clock) {
        return new Strftime(ZonedDateTime.now(clock)).format(format);
    }

    private String format(String format) {
        Budget.spend((long) format.length() * Budget.ITEM);
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            if (format.charAt(i) != '%') {
                out.append(format.charAt(i));
                continue;
            }
            int from = i++;
            char pad = 0;
            boolean upper = false;
            boolean swapped = false;
            for (; i < format.length() && "-_0^#".indexOf(format.charAt(i)) >= 0; i++) {
                switch (format.charAt(i)) {
                    case '^' -> upper = true;
                    case '#' -> swapped = true;
                    default -> pad = format.charAt(i);
                }
            }
            int digits = i;
            while (i < format.length() && format.charAt(i) >= '0' && format.charAt(i) <= '9') {
                i++;
            }
            int width = digits == i ? -1 : FormatSpec.number(format.substring(digits, i));
            String field = i < format.length() ? field(format.charAt(i), pad, width, swapped) : null;
            if (field == null) {
                // C copies what it does not know.
                out.append(format, from, Math.min(i + 1, format.length()));
            } else {
                out.append(upper ? field.toUpperCase(Locale.ROOT) : field);
            }
        }
        return out.toString();
    }

    /** What a letter stands for, or null where C knows none. */
    private String field(char letter, char pad, int width, boolean swapped) {
        return switch (letter) {
            case 'Y' -> number(now.getYear(), 1, '0', pad, width);
            case 'C' -> number(now.getYear() / 100, 2, '0', pad, width);
            case 'y' -> number(now.getYear() % 100, 2, '0', pad, width);
            case 'G' -> number(now.get(IsoFields.WEEK_BASED_YEAR), 1, '0', pad, width);
            case 'g' -> number(now.get(IsoFields.WEEK_BASED_YEAR) % 100, 2, '0', pad, width);
            case 'V' -> number(now.get(IsoFields.WEEK_OF_WEEK_BASED_YEAR), 2, '0', pad, width);
            case 'm' -> number(now.getMonthValue(), 2, '0', pad, width);
            case 'd' -> number(now.getDayOfMonth(), 2, '0', pad, width);
            case 'e' -> number(now.getDayOfMonth(), 2, ' ', pad, width);
            case 'H' -> number(now.getHour(), 2, '0', pad, width);
            case 'k' -> number(now.getHour(), 2, ' ', pad, width);
            case 'I' -> number((now.getHour() + 11) % 12 + 1, 2, '0', pad, width);
            case 'l' -> number((now.getHour() + 11) % 12 + 1, 2, ' ', pad, width);
            case 'M' -> number(now.getMinute(), 2, '0', pad, width);
            case 'S' -> number(now.getSecond(), 2, '0', pad, width);
            case 'j' -> number(now.getDayOfYear(), 3, '0', pad, width);
            case 'u' -> number(now.getDayOfWeek().getValue(), 1, '0', pad, width);
            case 'w' -> number(now.getDayOfWeek().getValue() % 7, 1, '0', pad, width);
            case 'U' -> number((now.getDayOfYear() + 6 - now.getDayOfWeek().getValue() % 7) / 7, 2, '0', pad, width);
            case 'W' -> number((now.getDayOfYear() + 7 - now.getDayOfWeek().getValue()) / 7, 2, '0', pad, width);
            case 's' -> number(now.toEpochSecond(), 1, '0', pad, width);
            case 'f' -> String.format(Locale.ROOT, "%06d", now.get(ChronoField.MICRO_OF_SECOND));
            case 'B' -> text("MMMM", pad, width, swapped);
            case 'b', 'h' -> text("MMM", pad, width, swapped);
            case 'A' -> text("EEEE", pad, width, swapped);
            case 'a' -> text("EEE", pad, width, swapped);
            case 'p' -> swapped ? text("a", pad, width, false).toLowerCase(Locale.ROOT) : text("a", pad, width, false);
            case 'P' -> text("a", pad, width, false).toLowerCase(Locale.ROOT);
            case 'F' -> format("%Y-%m-%d");
            case 'T', 'X' -> format("%H:%M:%S");
            case 'D', 'x' -> format("%m/%d/%y");
            case 'R' -> format("%H:%M");
            case 'r' -> format("%I:%M:%S %p");
            case 'c' -> format("%a %b %e %H:%M:%S %Y");
            case 'Z', 'z' -> "";
            case '%' -> "%";
            case 'n' -> "\n";
            case 't' -> "\t";
            default -> null;
        };
    }

    private static String number(long n, int own, char ownPad, char pad, int width) {
        char filler = pad == '_' ? ' ' : pad == '0' ? '0' : ownPad;
        String s = Long.toString(n);
        return Character.toString(filler)
                        .repeat(pad == '-' && width < 0 ? 0 : Math.max(0, Math.max(own, width) - s.length()))
                + s;
    }

    private String text(String pattern, char pad, int width, boolean swapped) {
        String s = now.format(DateTimeFormatter.ofPattern(pattern, Locale.ENGLISH));
        String filler = pad == '0' ? "0" : " ";
        return filler.repeat(Math.max(0, width - s.length())) + (swapped ? s.toUpperCase(Locale.ROOT) : s);
    }
}
